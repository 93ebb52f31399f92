"""The table of runs in a browser, with a real training going on in another process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse
from starlette.routing import Route

from firstlight.app import create_app
from firstlight.records.run_folder import RunFolder

SECOND = 1.0  # between an epoch's row in the history and its mark on the curve


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Path]:
    """A run that trains in a process of its own, some epochs a second, until it is stopped."""
    run = tmp_path / "runs" / "live"
    command = ["run", "--data", "digits", "--model", "slim-cnn", "--epochs", "3000", "--out", str(run)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "firstlight", *command], **quiet) as process:  # type: ignore[call-overload]
        try:
            while not (run / "experiment.toml").is_file():
                assert process.poll() is None, "it ended before it began"
                time.sleep(0.02)
            yield run
        finally:
            process.kill()


@pytest.mark.slow
def test_a_training_elsewhere_is_followed_and_stopped(training: Path, page: Any, open_dashboard: Any) -> None:
    with open_dashboard(training.parent) as served:
        page.goto(served.url)
        key = served.id("live")
        row = page.locator(f"#run-{key}")
        row.wait_for()
        page.evaluate(
            """key => {
                window.marks = [];
                const look = () => {
                    const epochs = Number(document.querySelector(`#run-${key} .curve svg`)?.dataset.epochs);
                    if (epochs !== marks.at(-1)?.[0]) marks.push([epochs, Date.now() / 1000]);
                };
                const table = document.querySelector("table.runs");
                new MutationObserver(look).observe(table, { childList: true, subtree: true });
            }""",
            key,
        )
        written = _rows_written(training / "history.csv", epochs=8)
        page.wait_for_timeout(1000)
        marks = page.evaluate("marks")
        assert marks[-1][0] > marks[0][0]
        assert "training" in row.inner_text()
        # A mark shows an epoch at the latest when it shows a later one.
        delays = [
            min(at for epochs, at in marks if epochs >= n) - moment
            for n, moment in written.items()
            if marks[0][0] < n <= marks[-1][0]
        ]
        print(f"row to mark: n = {len(delays)}, {min(delays):.3f} to {max(delays):.3f} s")
        assert len(delays) >= 3
        assert statistics.median(delays) < SECOND

        page.on("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name="Stop live").click()
        page.get_by_text("Stopping live after this step").wait_for()
        page.locator(f"#run-{key}", has_text="interrupted").wait_for(timeout=20_000)
        assert RunFolder.open(training).result.status == "interrupted"
        assert page.locator(f"#run-{key} .accuracy").inner_text().endswith("%")
        page.goto("about:blank")  # its stream would miss the server, which ends now


def _rows_written(history: Path, epochs: int) -> dict[int, float]:
    """When the history had so many rows, in seconds since 1970, for the next few epochs."""
    written: dict[int, float] = {}
    end = time.monotonic() + 60
    while len(written) < epochs and time.monotonic() < end:
        if history.is_file():
            written.setdefault(history.read_text().count("\n") - 1, history.stat().st_mtime)
        time.sleep(0.01)
    return written


@pytest.mark.slow
def test_a_run_that_trains_has_a_page_that_moves_on(training: Path, page: Any, open_dashboard: Any) -> None:
    with open_dashboard(training.parent) as served:
        page.goto(f"{served.url}/run/{served.id('live')}")
        page.get_by_text("It is training").wait_for()
        page.locator("#curves[data-epochs]").wait_for()
        before = page.locator("#curves").get_attribute("data-epochs")
        page.locator(f"#curves:not([data-epochs='{before}'])").wait_for()
        assert int(page.locator("#curves").get_attribute("data-epochs")) > int(before)
        assert page.locator("#curves svg").count() >= 2
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Stop training").click()
        page.get_by_role("heading", name="slim-cnn on digits").wait_for(
            timeout=20_000
        )  # the page of a run with a result
        page.get_by_text("It was interrupted").wait_for()
        page.goto("about:blank")  # its stream would miss the server, which ends now


def test_events_tell_what_changed(training: Path, open_dashboard: Any) -> None:
    with (
        open_dashboard(training.parent) as served,
        httpx.Client(base_url=served.url, trust_env=False, timeout=20) as asking,
        asking.stream("GET", "/api/events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        changes = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        first = next(changes)
        second = next(change for change in changes if change["summary"]["epochs"] != first["summary"]["epochs"])
        assert first["run"] == second["run"] == served.id("live")
        assert first["state"] == "training"
        assert second["summary"]["epochs"] > first["summary"]["epochs"]
        assert len(second["summary"]["curve"]["loss"]) == second["summary"]["epochs"]


def test_filter_sort_and_choose(served: Any, page: Any) -> None:
    page.goto(served.url)
    names = page.locator("table.runs tbody th.name")
    assert sorted(names.all_inner_texts()) == ["cnn", "mlp"]
    page.get_by_role("button", name="parameters").click()
    by_size = names.all_inner_texts()
    page.get_by_role("button", name="parameters").click()
    assert names.all_inner_texts() == by_size[::-1]
    assert page.locator("th.parameters-total").get_attribute("aria-sort") == "ascending"
    page.get_by_role("searchbox").fill("slim DIGITS")
    assert names.all_inner_texts() == ["cnn"]
    page.get_by_role("searchbox").fill("no such thing")
    page.get_by_text("No run fits the filter").wait_for()
    page.get_by_role("searchbox").fill("")
    assert page.locator("#compare").get_attribute("aria-disabled") == "true"
    page.get_by_label("Select mlp").check()
    page.get_by_label("Select cnn").check()
    assert page.locator("#compare").get_attribute("aria-disabled") == "false"
    address = page.locator("#compare").get_attribute("href")
    assert {f"run={served.id(name)}" for name in ("mlp", "cnn")} == set(address.removeprefix("/compare?").split("&"))


def test_where_there_is_no_run_the_page_says_how_to_start_one(page: Any, tmp_path: Path, open_dashboard: Any) -> None:
    with open_dashboard(tmp_path / "runs") as served:
        page.goto(served.url)
        page.get_by_role("heading", name="There is no run yet").wait_for()
        assert page.locator("#empty a", has_text="Start").get_attribute("href") == "/start"
        assert "firstlight run" in page.locator("#empty pre").inner_text()
        assert page.locator("#table").is_hidden()
        page.goto("about:blank")


def test_nothing_overflows(served: Any, page_at: Any) -> None:
    for width in (390, 1280):
        page = page_at(width=width)
        for path in ("/", f"/run/{served.id('cnn')}"):
            page.goto(served.url + path)
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_the_guard_fails_on_a_bad_page(trained_runs: Path, page: Any, serving_app: Any) -> None:
    """A page with an inline script, an image from elsewhere and a script that throws must not pass unheard."""
    app = create_app(trained_runs, token="x" * 8, hosts=["127.0.0.1"])
    bad = "<script>window.ran = true</script><img src='http://elsewhere.example/a.png'><p style='color: red'>"
    app.router.routes.insert(0, Route("/bad", lambda request: HTMLResponse(f"<!doctype html>{bad}")))
    with serving_app(app) as url:
        page.goto(f"{url}/bad")
        page.wait_for_timeout(300)
        heard = "\n".join(page.complaints)
        assert "script-src 'self'" in heard
        assert "img-src" in heard
        assert "style-src" in heard
        assert page.evaluate("window.ran") is None
        page.complaints.clear()
        page.evaluate("setTimeout(() => { throw new Error('thrown on purpose') })")
        page.wait_for_timeout(100)
        assert any("thrown on purpose" in complaint for complaint in page.complaints)
        page.complaints.clear()
