"""What a service answers: the run's own probabilities, or a sentence that says what is wrong."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.odd_images import broken_images, encoded, odd_images, scene
from tests.serve.conftest import HOSTILE, Served

import firstlight as fl
from firstlight.errors import RunError
from firstlight.prepare import outside_image
from firstlight.serve import Limits, ServedModel, served_models
from firstlight.serve.answers import dumped
from firstlight.types import Array

PNG = encoded(scene(8, 8, 1))
TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def rows(answer: httpx.Response) -> np.ndarray:
    """The probabilities of an answer (N, K)."""
    assert answer.status_code == 200, answer.text
    return np.array([list(each["probabilities"].values()) for each in answer.json()["predictions"]])


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """Assert that an answer is a sentence, with that status and those words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    sentence = answer.json()["error"]
    assert sentence[0].isupper() or sentence[0] == "/", sentence
    for word in words:
        assert word in sentence


class TestPredictions:
    @pytest.mark.parametrize("name", ["digits", "colour"])
    def test_odd_files_have_the_answer_of_predict(
        self, both: Served, served_runs: dict[str, fl.Run], name: str
    ) -> None:
        """Alone and together, as bodies, parts and base64: see tests/test_outside_images.py for the other ways."""
        run, address = served_runs[name], f"/v1/models/{name}/predict"
        files = odd_images()
        prepared = [outside_image(data, run.task.preparation) for data in files.values()]
        expected = run.predict(np.stack(prepared))
        alone = [rows(both.client.post(address, content=data))[0] for data in files.values()]
        np.testing.assert_allclose(alone, expected, atol=1e-6)
        parts = both.client.post(address, files=[("image", each) for each in files.items()])
        np.testing.assert_allclose(rows(parts), expected, atol=1e-6)
        assert [each["image"] for each in parts.json()["predictions"]] == list(files)
        in_json = both.client.post(address, json={"images": [text64(data) for data in files.values()]})
        np.testing.assert_allclose(rows(in_json), expected, atol=1e-6)

    def test_an_answer_names_the_model_and_the_most_probable_class(self, both: Served) -> None:
        answer = both.client.post("/v1/predict?model=colour", json={"image": text64(PNG)}).json()
        assert answer["model"] == "colour"
        [prediction] = answer["predictions"]
        assert list(prediction["probabilities"]) == [HOSTILE, "b", "c"]
        assert prediction["probability"] == max(prediction["probabilities"].values())
        assert prediction["probabilities"][prediction["class"]] == prediction["probability"]

    def test_an_image_of_none_of_the_classes_is_told_where_the_run_can(
        self, both: Served, served_runs: dict[str, fl.Run]
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8)
        answers = [both.client.post("/v1/models/digits/predict", content=encoded(one)).json() for one in noise]
        found = [answer["predictions"][0] for answer in answers]
        expected = served_runs["digits"].strangeness(noise)
        np.testing.assert_allclose([one["strangeness"] for one in found], expected, rtol=1e-5)
        assert [one["none_of_these"] for one in found] == (expected > 1).tolist()
        assert any(one["none_of_these"] for one in found)
        [other] = both.client.post("/v1/models/colour/predict", content=PNG).json()["predictions"]
        assert "none_of_these" not in other, "its few validation images do not tell"

    def test_an_image_is_taken_as_a_browser_and_as_curl_send_it(self, digits_alone: Served) -> None:
        expected = rows(digits_alone.client.post("/v1/predict", content=PNG))
        for kind in ("image/png", "application/octet-stream", "application/x-www-form-urlencoded", "IMAGE/x; a=b"):
            answer = digits_alone.client.post("/v1/predict", content=PNG, headers={"Content-Type": kind})
            np.testing.assert_array_equal(rows(answer), expected)
        url = "data:image/png;base64," + text64(PNG)
        np.testing.assert_array_equal(rows(digits_alone.client.post("/v1/predict", json={"image": url})), expected)
        chunks = digits_alone.client.post("/v1/predict", content=iter([PNG[:9], PNG[9:]]))
        np.testing.assert_array_equal(rows(chunks), expected)

    @pytest.mark.parametrize("swift", [True, False])
    def test_requests_at_once_each_have_their_own_answer(
        self,
        serve: Callable[..., Any],
        served_runs: dict[str, fl.Run],
        monkeypatch: pytest.MonkeyPatch,
        swift: bool,
    ) -> None:
        """In the event loop, and in the thread: there some are computed together."""
        monkeypatch.setattr(served_models, "SWIFT", 60.0 if swift else 0.0)
        compute = ServedModel.answers

        def slowly(model: ServedModel, images: Sequence[Array]) -> Array:
            time.sleep(0.0 if swift else 0.02)  # in which others come
            return compute(model, images)

        monkeypatch.setattr(ServedModel, "answers", slowly)
        run = served_runs["digits"]
        digits = [encoded(scene(8, 8, 1) // (1 + n)) for n in range(48)]
        with serve([run.path]) as served, ThreadPoolExecutor(24) as askers:
            found = [*askers.map(lambda data: rows(served.client.post("/v1/predict", content=data))[0], digits)]
            [batches] = served.service.metrics.batches.values()
        expected = run.predict(np.stack([outside_image(data, run.task.preparation) for data in digits]))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert batches.total == len(digits)
        assert swift or sum(batches.counts) < len(digits)


class TestOtherRoutes:
    def test_models(self, both: Served, served_runs: dict[str, fl.Run]) -> None:
        told = {model["name"]: model for model in both.client.get("/v1/models").json()["models"]}
        assert list(told) == ["digits", "colour"]
        assert told["digits"]["classes"] == list(served_runs["digits"].class_names)
        assert told["digits"]["test_accuracy"] == served_runs["digits"].accuracy
        assert told["colour"]["input"] == {"height": 12, "width": 9, "channels": 3}

    def test_head_has_no_body_and_the_length_of_one(self, digits_alone: Served) -> None:
        for path in ("/", "/health", "/metrics", "/v1/models", "/openapi.json", "/page.js"):
            got, head = digits_alone.client.get(path), digits_alone.client.head(path)
            assert (got.status_code, head.status_code, head.content) == (200, 200, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]

    def test_what_it_did_is_in_its_metrics(self, serve: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
        with serve([served_runs["digits"].path]) as served:
            predicted = served.client.post("/v1/predict", json={"images": [text64(PNG)] * 3}).json()["predictions"]
            served.client.post("/v1/predict", content=b"x")
            served.client.get("/%ff")
            text = served.client.get("/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert lines['firstlight_requests_total{path="/v1/predict",status="200"}'] == "1"
        assert lines['firstlight_requests_total{path="/v1/predict",status="422"}'] == "1"
        assert lines['firstlight_requests_total{path="other",status="404"}'] == "1"
        label = predicted[0]["class"]
        assert lines[f'firstlight_predictions_total{{model="digits",class="{label}"}}'] == "3"
        assert lines['firstlight_batch_images_count{model="digits"}'] == "1"
        assert lines['firstlight_batch_images_sum{model="digits"}'] == "3"
        assert lines["firstlight_waiting_images"] == lines["firstlight_held_bytes"] == "0"


class TestRefusals:
    def test_of_a_model(self, both: Served) -> None:
        refused(both.client.post("/v1/predict", content=PNG), 400, "'digits' and 'colour'", "?model=")
        refused(both.client.post("/v1/predict?model=digit", content=PNG), 404, "'digit'", "Did you mean digits?")
        refused(both.client.post("/v1/models/none/predict", content=PNG), 404, "'none'")
        refused(both.client.post("/v1/predict?modle=digits", content=PNG), 400, "'modle'", "?model=NAME")

    def test_of_a_path_or_a_method(self, digits_alone: Served) -> None:
        refused(digits_alone.client.get("/v2/predict"), 404, "/v2/predict")
        refused(digits_alone.client.get("/../../etc/passwd"), 404)
        get, put = digits_alone.client.get("/v1/predict"), digits_alone.client.put("/v1/models", content=b"x")
        refused(get, 405, "takes POST, not GET")
        refused(put, 405, "takes GET, not PUT")
        assert (get.headers["allow"], put.headers["allow"]) == ("POST", "GET, HEAD")

    @pytest.mark.parametrize("name", broken_images())
    def test_of_an_image_that_cannot_be_read(self, digits_alone: Served, name: str) -> None:
        data, _ = broken_images()[name]
        files = [("image", ("good.png", PNG)), ("image", (name, data))]
        refused(digits_alone.client.post("/v1/predict", files=files), 422, f"Image 2 of 2 ({name}) cannot be read: ")
        answer = digits_alone.client.post("/v1/predict", content=data)
        refused(answer, 422 if data else 400, "The image cannot be read: " if data else "holds no image")

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("{", "not valid JSON"),
            ("[" * 100_000, "nested too deep"),
            ("\udcff", "not valid JSON"),
            ("9" * 5000, "not valid JSON"),
            ('{"image": "===="}', "not valid base64"),
            ('{"image": "aé"}', "not valid base64"),
            ('{"image": 3}', "an object with 'image'"),
            ('{"images": ["", 3]}', "an object with 'images'"),
            ('{"image": "", "model": "x"}', "'image', 'model'"),
            ("null", "received null"),
            ("[NaN]", "received an array"),
            ('{"images": []}', "holds no image"),
        ],
    )
    def test_of_json(self, digits_alone: Served, body: str, words: str) -> None:
        content = body.encode("utf-8", "surrogateescape")
        headers = {"Content-Type": "application/json"}
        refused(digits_alone.client.post("/v1/predict", content=content, headers=headers), 400, words)

    def test_of_a_form(self, digits_alone: Served) -> None:
        refused(digits_alone.client.post("/v1/predict", files={"model": (None, "x")}), 400, "'model' is not a file")
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        cut = digits_alone.client.post("/v1/predict", content=b"--b\r\nContent-Disp", headers=headers)
        refused(cut, 400, "cut off")
        empty = digits_alone.client.post("/v1/predict", content=b"", headers=headers)
        refused(empty, 400, "begin with its boundary")

    def test_of_another_type(self, digits_alone: Served) -> None:
        for kind in ("text/html", "video/mp4", "multipart/mixed", "application/jsonx"):
            answer = digits_alone.client.post("/v1/predict", content=PNG, headers={"Content-Type": kind})
            refused(answer, 415, kind, "image/png")

    def test_of_more_than_is_taken(self, serve: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
        limits = Limits(bytes=20_000, pixels=900, seconds=0.3, images=2)
        with serve([served_runs["digits"].path], limits=limits) as served:
            ask = served.client.post
            assert ask("/v1/predict", content=encoded(scene(30, 30))).status_code == 200
            refused(ask("/v1/predict", content=encoded(scene(31, 30))), 422, "more than 900 pixels")
            refused(ask("/v1/predict", content=bytes(20_001)), 413, "20,000 bytes")
            closing = {"Connection": "close"}  # which would cut off who still sends
            refused(ask("/v1/predict", content=bytes(9_000_000), headers=closing), 413, "20,000 bytes")
            refused(ask("/v1/nothing", content=bytes(9_000_000), headers=closing), 404)
            refused(ask("/v1/predict", content=iter([bytes(20_000), b"x"])), 413, "20,000 bytes")
            refused(ask("/v1/predict", json={"images": [text64(PNG)] * 3}), 413, "2 images", "3")
            refused(ask("/v1/predict", files=[("a", ("a.png", PNG))] * 3), 413, "more than 2 parts")
            with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1])), timeout=10) as slow:
                slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nabc")
                answer = b"".join(iter(lambda: slow.recv(4096), b""))  # head and body may come apart
            assert b" 408 " in answer
            assert b"did not arrive within 0.3 seconds" in answer
            assert served.service.bodies.held == 0

    def test_of_what_is_too_much_at_once(self, serve: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
        with serve([served_runs["digits"].path], limits=Limits(bytes=1000, waiting=2)) as served:
            told = served.client.post("/v1/predict", json={"images": [text64(b"")] * 3})
            assert told.status_code == 422
            served.service.batches.waiting = 2
            answer = served.client.post("/v1/predict", content=PNG)
            refused(answer, 429, "already: 2 of at most 2")
            assert answer.headers["retry-after"] == "1"
            served.service.batches.waiting = 0
            served.service.bodies.held = served.service.limits.held
            refused(served.client.post("/v1/predict", content=PNG), 429)
            served.service.bodies.held = 0
            assert served.client.post("/v1/predict", content=PNG).status_code == 200

    def test_of_no_numbers(self, digits_alone: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(name: str, images: list[np.ndarray]) -> np.ndarray:
            return np.full((len(images), 11), np.nan)

        monkeypatch.setattr(digits_alone.service.batches, "answers", broken)
        refused(digits_alone.client.post("/v1/predict", content=PNG), 422, "not finite")

    def test_a_defect_is_a_500_without_its_details(
        self, digits_alone: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(name: str, images: list[np.ndarray]) -> np.ndarray:
            raise ValueError("secret")

        monkeypatch.setattr(digits_alone.service.batches, "answers", broken)
        answer = digits_alone.client.post("/v1/predict", content=PNG)
        refused(answer, 500, "error in firstlight itself")
        assert "secret" not in answer.text
        assert "secret" in caplog.text


class TestWhoMayAsk:
    def test_another_name_and_a_page_elsewhere_are_refused(self, digits_alone: Served) -> None:
        ask = digits_alone.client
        assert ask.get("/health", headers={"Host": "localhost:80"}).status_code == 200
        refused(ask.get("/health", headers={"Host": "evil.example"}), 403, "'evil.example'")
        refused(ask.post("/v1/predict", content=PNG, headers={"Sec-Fetch-Site": "cross-site"}), 403, "another site")
        followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert ask.get("/", headers=followed).status_code == 200
        refused(ask.get("/v1/models", headers=followed), 403)
        assert ask.post("/v1/predict", content=PNG, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200

    def test_with_a_token_nothing_is_told_without_it(
        self, serve: Callable[..., Any], served_runs: dict[str, fl.Run]
    ) -> None:
        with serve([served_runs["digits"].path], token=TOKEN) as served:
            for path in ("/v1/models", "/metrics"):
                refused(served.client.get(path), 401, "Authorization: Bearer TOKEN")
                refused(served.client.get(path, headers={"Authorization": "Bearer x"}), 401, "a wrong token")
                assert served.client.get(path, headers=BEARER).status_code == 200
            for wrong in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"):
                headers = {b"Authorization": wrong.encode()}
                answer = served.client.post("/v1/predict", content=PNG, headers=headers)
                refused(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
            refused(served.client.get("/nothing"), 401)
            for path in ("/", "/page.js", "/page.css", "/palette.css", "/health", "/openapi.json"):
                assert TOKEN not in served.client.get(path).raise_for_status().text
            # Who knows the token may come under any name, as through a proxy.
            asked = served.client.post("/v1/predict", content=PNG, headers={"Host": "a.example", **BEARER})
            assert asked.status_code == 200

    def test_the_page_runs_its_own_scripts_alone(self, digits_alone: Served) -> None:
        policy = digits_alone.client.get("/").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for path in ("/", "/page.js", "/page.css"):
            assert "//" not in digits_alone.client.get(path).text.replace("// ", ""), "it loads from elsewhere"


def test_a_model_that_gives_no_numbers_is_not_served(
    served_runs: dict[str, fl.Run], tmp_path: Path, serve: Callable[..., Any]
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(served_runs["digits"].path, bad)
    weights = load_file(bad / "weights.safetensors")
    save_file({key: np.full_like(value, np.nan) for key, value in weights.items()}, bad / "weights.safetensors")
    with pytest.raises(RunError), serve([bad]):
        pass


def test_a_large_image_does_not_stop_the_others(digits_alone: Served) -> None:
    """While one is decoded in its thread, health and small images are answered."""
    large = encoded(np.zeros((4500, 4500, 3), np.uint8))
    thread = threading.Thread(
        target=lambda: httpx.post(f"{digits_alone.url}/v1/predict", content=large, timeout=60, trust_env=False)
    )
    began = time.perf_counter()
    thread.start()
    answered = 0
    while thread.is_alive():
        assert digits_alone.client.post("/v1/predict", content=PNG).status_code == 200
        answered += 1
    assert answered > 5, f"{answered} in {time.perf_counter() - began:.2f} s"


def test_json_of_names_that_are_no_text() -> None:
    assert json.loads(dumped({"image": "\ud800é"})) == {"image": "\ud800é"}
