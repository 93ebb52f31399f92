"""The parts of a body of multipart/form-data."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.serve.answers import RefusedError
from firstlight.serve.multipart import LONGEST_HEAD, Part, parts

HEAD = b'Content-Disposition: form-data; name="f"; filename="a"'
FORM = "multipart/form-data; boundary=b"


def body(*pieces: bytes) -> bytes:
    return b"".join(b"--b\r\n" + piece + b"\r\n" for piece in pieces) + b"--b--\r\n"


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_what_a_client_sends_comes_out_whole(contents: list[bytes]) -> None:
    files = [("image", (f"{n} é;.png", content, "image/png")) for n, content in enumerate(contents)]
    request = httpx.Request("POST", "http://x", files=files)
    found = parts(request.headers["content-type"], request.read(), 5)
    assert found == [Part("image", f"{n} é;.png", content) for n, content in enumerate(contents)]


@settings(max_examples=40)
@given(st.binary(max_size=300), st.text(max_size=80))
def test_whatever_comes_is_parts_or_a_refusal(content: bytes, boundary: str) -> None:
    for kind in (FORM, f"multipart/form-data; boundary={boundary}", boundary):
        for whole in (content, b"--b\r\n" + content, body(content), b"--b\r\n" + HEAD + content):
            try:
                found = parts(kind, whole, 3)
            except RefusedError:
                continue
            assert len(found) <= 3


def test_quoted_boundaries_and_other_headers() -> None:
    piece = b'X: y\r\ncontent-disposition:form-data;name="f" ; FileName="a"\r\nContent-Type: image/png\r\n\r\n1\r\n--c'
    assert parts('multipart/form-data; charset=x; Boundary="b"', body(piece), 1) == [Part("f", "a", b"1\r\n--c")]


@pytest.mark.parametrize(
    ("kind", "content", "status", "words"),
    [
        ("multipart/form-data", body(HEAD + b"\r\n\r\n"), 400, "names no boundary"),
        (f"multipart/form-data; boundary={'b' * 71}", b"", 400, "names no boundary"),
        (FORM, b"x" + body(HEAD + b"\r\n\r\n"), 400, "does not begin"),
        (FORM, body(HEAD + b"\r\n\r\n")[:-6], 400, "cut off"),
        (FORM, body(HEAD), 400, "Part 1"),
        (FORM, body(b'Content-Disposition: attachment; filename="a"\r\n\r\n'), 400, "Part 1"),
        (FORM, body(HEAD + b"\r\n\r\n", b"\r\n\r\n"), 400, "Part 2"),
        (FORM, body(HEAD + b"\r\nX: " + b"x" * LONGEST_HEAD + b"\r\n\r\n"), 400, "Part 1"),
        (FORM, body(*[HEAD + b"\r\n\r\n"] * 4), 413, "more than 3 parts"),
        (FORM, body(*[HEAD + b"\r\n\r\n"] * 100_000), 413, "more than 3 parts"),
    ],
)
def test_malformed_bodies_are_refused(kind: str, content: bytes, status: int, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as told:
        parts(kind, content, 3)
    assert told.value.status == status
