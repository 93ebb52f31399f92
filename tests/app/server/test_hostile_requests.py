"""The door of the dashboard when it is crowded, asked by strangers, or shows folders of anybody."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import random
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.app.conftest import TOKEN

from firstlight.app.index import Index
from firstlight.app.server import processes, responses, serving
from firstlight.app.server.errors import BusyError
from firstlight.records.run_folder import RunFolder
from firstlight.web import server

FILES = ("experiment.toml", "model.json", "data.json", "result.json", "history.csv", "environment.json")
ROUTES_TRIED = 4  # of each spoilt file, drawn by a seed
ARRAYS = ("predictions.npz", "samples.npz", "weights.safetensors")


@pytest.fixture
def two(trained_runs: Path, tmp_path: Path) -> Path:
    """A good run and one to be spoilt, without reports."""
    for name in ("good", "bad"):
        shutil.copytree(trained_runs / "mlp", tmp_path / name)
        (tmp_path / name / "report.html").unlink(missing_ok=True)
    return tmp_path


@pytest.fixture
def serve(open_dashboard: Any) -> Iterator[Callable[[Path], tuple[Any, httpx.Client]]]:
    """Serves a folder, and asks with the token."""
    with ExitStack() as stack:

        def served(root: Path, **options: Any) -> tuple[Any, httpx.Client]:
            running = stack.enter_context(open_dashboard(root, **options))
            headers = {"X-Firstlight-Token": TOKEN}
            asking = httpx.Client(base_url=running.url, headers=headers, timeout=20, trust_env=False)
            return running, stack.enter_context(asking)

        yield served


def routes(key: str, other: str) -> list[str]:
    """Every address that reads the run `key`."""
    return [
        "/",
        "/api/runs",
        f"/api/runs/{key}",
        f"/run/{key}",
        f"/api/runs/{key}/curves",
        f"/api/runs/{key}/images?split=test",
        f"/api/runs/{key}/image?split=test&id=1",
        f"/image/{key}/own/test/0.png",
        f"/image/{key}/kept/test/0.png",
        f"/api/runs/{key}/look?index=0",
        f"/api/runs/{key}/layers?index=0",
        f"/api/runs/{key}/embeddings/0",
        f"/image/{key}/map/0.png",
        f"/api/runs/{key}/explain",
        f"/draw?run={key}",
        f"/compare?run={key}&run={other}",
        f"/api/compare/{key}/{other}",
        f"/api/compare/{other}/{key}/both",
        f"/start?run={key}",
        f"/report/run/{key}",
        f"/pdf/run/{key}",
    ]


def deep(kind: str) -> bytes:
    return b"[" * 50_000 if kind == ".json" else b"x = " + b"[" * 5_000


SPOILT: dict[str, Callable[[Path], Any]] = {
    "deep": lambda path: path.write_bytes(deep(path.suffix)),
    "wrong type": lambda path: path.write_bytes(b"[]" if path.suffix == ".json" else b"data = 3\ntraining = []\n"),
    "digits": lambda path: path.write_bytes(b"9" * 5_000 if path.suffix == ".json" else b"seed = " + b"9" * 5_000),
    "long cell": lambda path: path.write_bytes(b'epoch,loss\n"' + b"x" * 200_000 + b'",1\n'),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "sparse": lambda path: os.truncate(path, 3_000_000_000),
    "outside": lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
    "a loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "surrogate": lambda path: path.write_text('{"format": 1, "status": "\\ud800", "name": "\\udcff"}'),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", SPOILT)
def test_one_spoilt_folder_spoils_its_own_row_alone(two: Path, serve: Any, how: str) -> None:
    """Whatever file of a run is spoilt: every route answers, none with a defect, and the other run is whole."""
    served, client = serve(two)
    key, other = served.id("bad"), served.id("good")
    every = routes(key, other)
    draw = random.Random(how)
    for name in (*FILES, *ARRAYS):
        SPOILT[how](two / "bad" / name)
        for path in draw.sample(every, ROUTES_TRIED):
            answer = client.get(path)
            assert answer.status_code < 500, (name, path, answer.text)
        rows = {row["name"]: row for row in client.get("/api/runs").json()["runs"]}
        assert rows["good"]["state"] == "finished"
        if name in ("experiment.toml", "result.json", "model.json") and how != "outside":
            assert rows.get("bad", {"state": "gone"})["state"] in ("damaged", "gone", "cut off", "newer"), name
        shutil.rmtree(two / "bad")
        shutil.copytree(two / "good", two / "bad")
    for path in routes(other, key)[1:5]:
        assert client.get(path).status_code == 200


def test_a_lock_that_is_a_pipe_hangs_nothing(two: Path, serve: Any) -> None:
    (two / "bad" / "result.json").unlink()
    (two / "bad" / ".lock").unlink(missing_ok=True)
    os.mkfifo(two / "bad" / ".lock")
    _, client = serve(two)
    states = {row["name"]: row["state"] for row in client.get("/api/runs").json()["runs"]}
    assert states == {"good": "finished", "bad": "cut off"}


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", b"a\nb\x1b[1m", "\u202edlrow".encode()])
def test_a_folder_whose_name_is_no_text_is_a_row(two: Path, serve: Any, name: bytes) -> None:
    try:
        (two / "bad").rename(two / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes no such name")
    served, client = serve(two)
    rows = client.get("/api/runs").json()["runs"]
    assert len(rows) == 2
    [row] = [row for row in rows if row["name"] != "good"]
    assert row["name"] == name.decode("utf-8", "backslashreplace")
    for path in routes(row["id"], served.id("good")):
        assert client.get(path).status_code < 500, path
    assert client.get(f"/run/{row['id']}").status_code == 200
    assert client.get(f"/api/runs/{row['id']}/look?index=0").status_code == 200


def test_a_name_that_cannot_be_written_leads_to_one_id(tmp_path: Path) -> None:
    for name in (b"\xe9", b"\xe8"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        (folder / "experiment.toml").write_text("")
    entries = Index(tmp_path).entries()
    assert len({entry.id for entry in entries}) == len(entries) == 2


@pytest.mark.parametrize("name", ["report.html", "report.pdf"])
def test_a_link_out_of_a_run_folder_is_not_followed(two: Path, serve: Any, name: str) -> None:
    secret = two.parent / "secret.txt"
    secret.write_text("a secret")
    (two / "bad" / name).symlink_to(secret)
    (two / "bad" / "experiment.toml").unlink()
    (two / "bad" / "experiment.toml").symlink_to(secret)
    served, client = serve(two)
    for path in routes(served.id("bad"), served.id("good")):
        answer = client.get(path)
        assert "a secret" not in answer.text, path
    kind = "report" if name == "report.html" else "pdf"
    answer = client.get(f"/{kind}/run/{served.id('bad')}")
    assert answer.status_code == 422
    assert "outside its folder" in answer.text
    inner = two / "good" / "kept.html"
    inner.write_text("<p>inside</p>")
    (two / "good" / name).symlink_to(inner)
    assert "inside" in client.get(f"/{kind}/run/{served.id('good')}").text


def test_records_of_other_types_are_told_as_damaged(two: Path, serve: Any) -> None:
    served, client = serve(two)
    draw = random.Random(1)
    changes: list[tuple[str, tuple[str, ...], Any]] = [
        ("result.json", ("test", "accuracy"), "high"),
        ("result.json", ("test",), 3),
        ("result.json", ("seconds", "train"), [1]),
        ("result.json", ("parameters", "total"), {"a": 1}),
        ("result.json", ("status",), {"a": 1}),
        ("result.json", ("test", "confusion"), "none"),
        ("model.json", ("class_names",), 7),
        ("model.json", ("input_shape",), "large"),
        ("model.json", ("layers",), [[]]),
        ("model.json", ("preparation",), [1, 2]),
        ("data.json", ("splits",), [1]),
        ("data.json", ("splits", "test"), 5),
    ]
    for name, keys, value in changes:
        path = two / "bad" / name
        before = path.read_text()
        record = json.loads(before)
        inner = record
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(record))
        for address in draw.sample(routes(served.id("bad"), served.id("good")), ROUTES_TRIED):
            answer = client.get(address)
            assert answer.status_code < 500, (name, keys, address, answer.text)
        assert client.get(f"/run/{served.id('good')}").status_code == 200
        path.write_text(before)


def test_a_huge_input_shape_takes_no_memory(two: Path, serve: Any) -> None:
    path = two / "bad" / "model.json"
    record = json.loads(path.read_text())
    record["input_shape"] = [1, 1_000_000, 1_000_000]
    record["preparation"]["input_shape"] = [1, 1_000_000, 1_000_000]
    path.write_text(json.dumps(record))
    served, client = serve(two)
    for address in routes(served.id("bad"), served.id("good")):
        assert client.get(address).status_code < 500, address
    answer = client.post(f"/api/draw/{served.id('bad')}", content=_bmp())
    assert answer.status_code == 422
    assert client.post(f"/api/draw/{served.id('good')}", content=_bmp()).status_code == 200


def _bmp() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "BMP")
    return buffer.getvalue()


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    answer = responses.reply({"a": [float("nan"), 1.0, (float("inf"),)], "b": "\ud800"})
    assert json.loads(bytes(answer.body)) == {"a": [None, 1.0, [None]], "b": "\ud800"}


@pytest.mark.parametrize(
    "path",
    [
        "/image/{key}/own/test/" + "9" * 5_000 + ".png",
        "/image/{key}/own/test/1e3.png",
        "/image/{key}/own/test/٣.png",
        "/image/{key}/map/" + "9" * 5_000 + ".png",
        "/api/runs/{key}/look?index=" + "9" * 5_000,
        "/api/runs/{key}/images?page=" + "9" * 5_000,
        "/api/compare/{key}/{key}/both?page=" + "9" * 5_000,
    ],
)
def test_a_number_of_thousands_of_digits_is_no_index(client: httpx.Client, served: Any, path: str) -> None:
    assert client.get(path.format(key=served.id("mlp"))).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 5_000,
        b'{"seed": "\\ud800"}',
        b'{"\\udfff": "1"}',
        b"\xff",
        b"",
        b"NaN",
    ],
)
def test_a_form_that_is_none_is_refused(client: httpx.Client, body: bytes) -> None:
    for path in ("/api/start/check", "/api/start"):
        answer = client.post(path, content=body)
        assert answer.status_code == 422
        assert answer.json()["error"]


def test_curves_of_a_history_without_accuracy(two: Path, serve: Any) -> None:
    (two / "bad" / "result.json").unlink()  # which has the hash of the whole history
    (two / "bad" / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    served, client = serve(two)
    answer = client.get(f"/api/runs/{served.id('bad')}/curves")
    assert answer.status_code == 200
    assert len(answer.json()["charts"]) == 1


class TestAnotherSite:
    """What a browser says of the page that asks."""

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_its_page_gets_nothing_computed(self, client: httpx.Client, served: Any, site: str) -> None:
        key = served.id("mlp")
        for path in (f"/api/runs/{key}/look?index=0", f"/image/{key}/own/test/0.png", "/static/base.css", "/"):
            for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")):
                headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
                assert client.get(path, headers=headers).status_code == 403, (path, mode)
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert client.get(f"/image/{key}/own/test/0.png", headers=headers).status_code == 403
        assert client.post(f"/api/runs/{key}/stop", headers=headers).status_code == 403

    def test_its_link_to_a_page_is_followed(self, client: httpx.Client, served: Any) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        for path in ("/", f"/run/{served.id('mlp')}", "/draw"):
            assert client.get(path, headers=headers).status_code == 200

    def test_our_own_pages_and_programs_are_answered(self, client: httpx.Client) -> None:
        for site in ("same-origin", "none"):
            assert client.get("/api/runs", headers={"Sec-Fetch-Site": site}).status_code == 200
        assert client.get("/api/runs").status_code == 200


def test_the_cookie_is_not_the_token_and_changes_nothing(trained_runs: Path, open_dashboard: Any) -> None:
    with (
        open_dashboard(trained_runs, locked=True) as served,
        httpx.Client(base_url=served.url, trust_env=False) as asking,
    ):
        asking.get(f"/?token={TOKEN}")
        [(name, value)] = asking.cookies.items()
        assert TOKEN not in value
        assert name == f"firstlight-{urlsplit(served.url).port}"
        assert asking.get("/").status_code == 200
        stop = f"/api/runs/{served.id('mlp')}/stop"
        assert asking.post(stop, headers={"X-Firstlight-Token": value}).status_code == 403
        assert httpx.get(served.url, headers={"X-Firstlight-Token": value}, trust_env=False).status_code == 401


class TestCrowd:
    def test_a_head_that_does_not_end_is_cut_off(
        self, served: Any, monkeypatch: pytest.MonkeyPatch, client: httpx.Client
    ) -> None:
        monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
        entry = (urlsplit(served.url).hostname, urlsplit(served.url).port)
        for begun in (b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "):
            with socket.create_connection(entry, timeout=10) as waiting:
                waiting.sendall(begun)
                assert waiting.recv(100) == b""  # not a timeout
        with socket.create_connection(entry, timeout=10) as second:  # the second request of a connection too
            second.sendall(b"GET /api/start/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert second.recv(9) == b"HTTP/1.1 "
            second.sendall(b"GET / HT")
            while second.recv(65_536):
                pass
        assert client.get("/api/runs").status_code == 200

    def test_an_answer_may_take_longer_than_a_head(self, serving_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "HEAD_SECONDS", 0.1)

        async def slow(request: Request) -> Response:
            await asyncio.sleep(0.5)
            return PlainTextResponse("here")

        with serving_app(Starlette(routes=[Route("/slow", slow)])) as url:
            assert httpx.get(f"{url}/slow", trust_env=False).text == "here"

    def test_one_connection_too_many_is_told_so(self, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = (urlsplit(served.url).hostname, urlsplit(served.url).port)
        monkeypatch.setattr(server, "MOST_CONNECTIONS", 0)
        with socket.create_connection(entry, timeout=10) as refused:
            assert refused.recv(12) == b"HTTP/1.1 429"
        monkeypatch.undo()
        assert httpx.get(f"{served.url}/api/runs", trust_env=False).status_code == 200

    def test_without_descriptors_it_waits_and_says_so_once(
        self, two: Path, serve: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served, client = serve(two)
        assert client.get("/api/runs").status_code == 200
        entry = (urlsplit(served.url).hostname, urlsplit(served.url).port)
        accept, tries = socket.socket.accept, []

        def none_left(listening: socket.socket) -> Any:
            tries.append(time.monotonic())
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(socket.socket, "accept", none_left)
        with caplog.at_level(logging.DEBUG), socket.create_connection(entry, timeout=20) as waiting:
            waiting.sendall(b"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            deadline = time.monotonic() + 20
            while len(tries) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            monkeypatch.setattr(socket.socket, "accept", accept)
            assert waiting.recv(12) == b"HTTP/1.1 200"  # it was taken when there was room
        assert len(tries) < 10
        told = [record for record in caplog.records if "No new connection" in record.getMessage()]
        assert len(told) == 1

    def test_a_folder_that_there_is_no_descriptor_for_is_not_gone(
        self, two: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served, client = serve(two)
        key = served.id("good")
        scan = os.scandir

        def refused(path: Any) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

        monkeypatch.setattr(os, "scandir", refused)
        monkeypatch.setattr(served.index, "_pause", 0.0)
        answer = client.get("/api/runs")
        monkeypatch.setattr(os, "scandir", scan)
        assert answer.status_code == 503
        assert client.get(f"/run/{key}").status_code == 200

    def test_those_who_wait_for_a_net_keep_no_threads(self, served: Any) -> None:
        """As many questions as there are threads wait for that of inference; static files are served meanwhile."""
        asked = [f"{served.url}/api/runs/{served.id('mlp')}/look?index={n}" for n in range(45)]
        answers: list[int] = []

        def ask(address: str) -> None:
            answers.append(httpx.get(address, trust_env=False, timeout=60).status_code)

        threads = [threading.Thread(target=ask, args=(address,)) for address in asked]
        free = threading.Event()
        served.threads.inference.submit(free.wait)
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert httpx.get(f"{served.url}/static/base.css", trust_env=False, timeout=10).status_code == 200
        assert not answers
        free.set()
        for thread in threads:
            thread.join(60)
        assert answers == [200] * len(asked)


class TestStarts:
    def test_no_more_processes_than_allowed(self, tmp_path: Path) -> None:
        trainings = processes.TrainingProcesses(tmp_path, at_once=2)
        started = [trainings.start("[data]\nsource = 'nowhere'\n", "run") for _ in range(2)]
        with pytest.raises(BusyError, match=r"2 of the runs .* are still training, and at most 2"):
            trainings.start("", "run")
        assert len(list((tmp_path / processes.STARTED).iterdir())) == 2  # the third left nothing
        for each in started:
            each.process.wait(120)
        trainings.start("", "run").process.wait(120)

    def test_too_many_is_429(self, tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        served, client = serve(tmp_path)
        monkeypatch.setattr(served.trainings, "at_once", 0)
        texts = {"data.source": "digits", "model.name": "mlp-128", "training.epochs": "1"}
        answer = client.post("/api/start", json=texts)
        assert answer.status_code == 429
        assert "--at-once" in answer.json()["error"]

    def test_an_interrupted_run_goes_on(self, trained_runs: Path, tmp_path: Path, serve: Any) -> None:
        shutil.copytree(trained_runs / "mlp", tmp_path / "run")
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        served, client = serve(tmp_path)
        key = served.id("run")
        assert client.post(f"/api/runs/{key}/resume").status_code == 422  # it is finished
        (tmp_path / "run" / "result.json").unlink()
        answer = client.post(f"/api/runs/{key}/resume")
        assert answer.status_code == 202, answer.text
        started = served.trainings.get(answer.json()["name"])
        assert started.process.wait(120) == 0, started.output
        again = RunFolder.open(tmp_path / "run").result
        assert again.test.accuracy == result["test"]["accuracy"]


def test_many_runs_are_listed_without_waiting_for_all(two: Path, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(8):
        shutil.copytree(two / "good", two / f"more-{n}")
    monkeypatch.setattr(Index.summaries_within, "__defaults__", (0.0,))
    _, client = serve(two)
    found = client.get("/api/runs").json()
    assert (found["runs"], found["left"]) == ([], 10)
    told: set[str] = set()
    with client.stream("GET", "/api/events") as stream:  # brings them
        for line in stream.iter_lines():
            if line.startswith("data:"):
                told.add(json.loads(line[5:])["summary"]["name"])
            if len(told) == 10:
                break
    assert "more-7" in told
    found = client.get("/api/runs").json()
    assert (len(found["runs"]), found["left"]) == (10, 0)


class TestToken:
    def test_the_browser_is_given_no_token_on_its_command_line(self) -> None:
        with serving._page_that_leads_to("http://127.0.0.1:1/?token=secret") as address:
            file = Path(address.removeprefix("file://"))
            assert "secret" not in address
            assert "token=secret" in file.read_text()
            assert not stat.S_IMODE(file.parent.stat().st_mode) & 0o077
        assert not file.exists()


def test_a_folder_that_there_is_not_is_told(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    answer = firstlight("view", tmp_path / "typo", "--no-browser")
    assert answer.code == 2
    assert "there is no such folder" in answer.err
