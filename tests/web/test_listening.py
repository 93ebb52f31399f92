"""Where a server listens, and the token that others need."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstlight.errors import RunError
from firstlight.web import listening


def test_a_token_is_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-a-file\n")
    assert listening.own_token(None, file)[0] == "a-token-of-a-file"
    monkeypatch.setenv("FIRSTLIGHT_TOKEN", "one-of-a-variable")
    assert listening.own_token(None, None) == ("one-of-a-variable", "FIRSTLIGHT_TOKEN")
    assert listening.own_token("given", None) == ("given", "--token")
    assert listening.own_token(None, file)[0] == "a-token-of-a-file"
    with pytest.raises(RunError, match="not both"):
        listening.own_token("given", file)
    for bad in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="cannot be read"):
            listening.own_token(None, bad)


def test_a_token_that_no_address_takes_is_told() -> None:
    listening.check_token("a-Z_0.~", "--token")
    with pytest.raises(RunError, match=r"--token may contain only letters .* received 'a b'"):
        listening.check_token("a b", "--token")


@pytest.mark.parametrize(
    ("host", "address", "names"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", {"localhost", "127.0.0.1", "::1"}),
        ("::1", "http://[::1]:80", {"localhost", "127.0.0.1", "::1"}),
        ("0.0.0.0", "http://127.0.0.1:80", {"*"}),
        ("192.0.2.7", "http://192.0.2.7:80", {"192.0.2.7"}),
        ("Example.org", "http://Example.org:80", {"example.org"}),
    ],
)
def test_names_and_address_of_a_host(host: str, address: str, names: set[str]) -> None:
    assert listening.address_of(host, 80) == address
    assert listening.hosts_of(host) == names
    assert listening.is_loopback(host) == ("localhost" in names)
