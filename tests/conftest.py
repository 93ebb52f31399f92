"""What several suites share: small real images, and the command line called in this process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from rich.console import Console

import firstlight as fl
from firstlight.cli import main
from firstlight.types import Dataset

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Many tests start processes, and a shell that keeps Python from writing bytecode lets each of them compile all sources.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The products of MKL, PyTorch's, are the same bits wherever their factors lie: without it some processors' are not.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

# A loaded machine is no reason to fail: no test asserts a time.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell lets what it runs in the background ignore Ctrl-C, and so would the commands that the tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's embedded digits: 1,797 real images of 8×8."""
    return fl.load("digits")


@pytest.fixture(scope="session")
def few_digits(digits: Dataset) -> Dataset:
    """The first 300 of them."""
    train = digits.splits["train"]
    return Dataset("few-digits", {"train": train.take(np.arange(300))})


@pytest.fixture(scope="session")
def digits_run(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> fl.Run:
    """A dense net that has learnt the digits; whoever changes its folder makes a copy."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return fl.fit("mlp-128", digits, epochs=8, lr=3e-3, out=out, console=Console(quiet=True))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published image sets; tests that need it say plainly that they were skipped."""
    folder = os.environ.get("FIRSTLIGHT_DATA")
    if not folder:
        pytest.skip("FIRSTLIGHT_DATA is not set: the published image sets are not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window; skipped with a plain reason where there is none, unless one is required."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        reason = f"no browser on this machine (looked for {', '.join(CHROMIUM)})"
        if os.environ.get("FIRSTLIGHT_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=15_000)  # on a busy machine
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield running
        running.close()


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def firstlight(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call the command line as `firstlight("run", "--data", "digits")`."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["firstlight", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def interrupted() -> Callable[..., Answer]:
    """Start the command line as a program, and press Ctrl-C soon after the file `at` is there.

    As in a terminal, all processes of the command hear of it.
    """

    def call(*arguments: object, at: Path, after: float = 0.1) -> Answer:
        process = subprocess.Popen(
            [sys.executable, "-m", "firstlight", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            while not at.exists() and process.poll() is None:
                time.sleep(0.02)
            time.sleep(after)
            assert process.poll() is None, f"it ended by itself: {process.communicate()}"
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert "Traceback" not in err
        return Answer(process.returncode, out, err)

    return call
