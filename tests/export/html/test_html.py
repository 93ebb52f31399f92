"""The HTML format behind the gate: what is written, what is refused, and what runs it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import CHROMIUM
from tests.export.exporting import engine_probabilities, exportable_of, images, task_of, weights_of

from firstlight.errors import ExperimentError, ExportError, NoRuntimeError
from firstlight.export import Expected, Exportable, export, open_format
from firstlight.export.gate import Files
from firstlight.export.html import Html, runtime
from firstlight.layers import Chain, Conv2D, Dense, Flatten, MaxPool2D, ReLU
from firstlight.models import Model
from firstlight.records.run_folder import RunFolder

Leaving = tuple[Exportable, Expected]


def leaving(gain: float = 1.0) -> Leaving:
    """A model, whose outputs are so many times as large as usual, with what the engine says of images."""
    layers = (Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(3, name="head"))
    model = Model("net", Chain(layers), (9, 8, 1), 3)
    task, vector = task_of(model, standardise="channel"), weights_of(model)
    vector[-model.layers.layers[-1].parameters((48,))["W"].size - 3 :] *= gain
    test = images(model.input_shape, 600, seed=7)
    return exportable_of(task, vector), Expected(test, engine_probabilities(task, vector, test.pixels))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def text_of(folder: RunFolder) -> str:
    return (folder.path / "export" / "net.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("node")
def test_float16_where_it_passes_the_gate_and_float32_elsewhere(folder: RunFolder) -> None:
    sizes = {}
    for gain, kept in ((0.01, "float16"), (30.0, "float32")):
        model, expected = leaving(gain)
        record = export(folder, model, Html(), None, expected)
        assert record.facts == {"weights": kept}
        assert record.runtime.startswith("Node ")
        assert record.images == 600
        text = text_of(folder)
        assert f'"type":"{kept}"' in text
        assert "600 test images" in text
        sizes[kept] = record.bytes
    assert sizes["float16"] < sizes["float32"]
    with pytest.raises(ExportError, match="does not agree"):
        export(folder, model, Html(weights="float16"), None, expected)


def flipped(text: str) -> str:
    """The page with the last weight turned round."""
    weights = re.search(r'id="weights">(.*?)</script>', text)
    assert weights is not None
    kept = np.frombuffer(base64.b64decode(weights[1]), "<f4").copy()
    kept[np.abs(kept).argmax()] *= -1
    return text.replace(weights[1], base64.b64encode(kept.tobytes()).decode())


SPOILT: dict[str, Callable[[str], str]] = {
    "a weight": flipped,
    "no preparation": lambda text: text.replace("* scales[i] + shifts[i]", "/ 255"),
    "no rectifier": lambda text: text.replace("(x > 0 ? x : 0)", "x"),
    "the border": lambda text: text.replace("first; l < last", "first + 1; l < last").replace(
        "k = first;", "k = last - 1;"
    ),
}


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_page_is_refused(how: str, folder: RunFolder) -> None:
    class Spoilt(Html):
        def write(self, model: Exportable, claim: str) -> Files:
            return {name: SPOILT[how](data.decode()).encode() for name, data in super().write(model, claim).items()}

    model, expected = leaving()
    assert Spoilt().write(model, "") != Html().write(model, "")
    with pytest.raises(ExportError, match="does not agree with the model, so nothing was written"):
        export(folder, model, Spoilt(weights="float32"), None, expected)
    assert not (folder.path / "export").exists()


@pytest.mark.usefixtures("node")
def test_a_page_that_fails_is_told(folder: RunFolder) -> None:
    class Broken(Html):
        def write(self, model: Exportable, claim: str) -> Files:
            files = super().write(model, claim)
            return {name: data.replace(b"class Net {", b"class Net {{") for name, data in files.items()}

    model, expected = leaving()
    with pytest.raises(ExportError, match="node could not run the page: SyntaxError"):
        export(folder, model, Broken(), None, expected)


def test_without_a_runtime_the_page_says_that_nothing_is_verified(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    model, expected = leaving()
    record = export(folder, model, Html(), None, expected)
    assert not record.verified
    assert "Install one of them" in record.not_verified
    text = text_of(folder)
    assert '<p class="caution" id="claim">Not verified: neither Node' in text
    assert '"type":"float32"' in text
    with pytest.raises(NoRuntimeError):
        runtime.at_hand()


def test_a_program_that_does_not_start_or_is_too_old_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version, code in (("node", "v12.22.1", 0), ("chromium", "Chromium 99.0", 1)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo {version}; else exit {code}; fi\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRuntimeError, match="neither Node"):
        runtime.at_hand()


def test_a_program_that_is_called_node_and_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "node"
    monkeypatch.setenv("PATH", str(tmp_path))
    for text in ("#!/bin/sh\necho v20.0.0\n", ""):
        program.write_text(text)
        program.chmod(0o755)
        runtime._opened.cache_clear()
        with pytest.raises(NoRuntimeError, match="neither Node"):
            runtime.at_hand()
    program.write_text("#!/bin/sh\n")
    with pytest.raises(ExportError, match="gave no result"):
        runtime.Node(str(program), "Node 20").run(tmp_path / "net.html", np.zeros((2, 2, 2, 1), np.uint8), 3)


@pytest.mark.slow
def test_a_browser_runs_the_page_where_there_is_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: object
) -> None:
    monkeypatch.setattr(runtime.Node, "names", ("there-is-no-node",))
    monkeypatch.setattr(runtime.Browser, "names", CHROMIUM)
    monkeypatch.setattr(runtime, "BATCH", 400 * 72)  # two processes for 600 images
    model, expected = leaving()
    form = Html(weights="float32")
    assert re.fullmatch(r"\D+ \d+(\.\d+)+", form.runtime())
    found = form.answers(model, form.write(model, ""), expected.images.pixels)
    np.testing.assert_allclose(found, expected.probabilities, atol=2e-6)


def test_options(folder: RunFolder) -> None:
    assert open_format("html", weights="float16") == Html(weights="float16")
    with pytest.raises(ExperimentError, match=r"html\.weights must be auto, float16 or float32; received 'float61'"):
        open_format("html", weights="float61")
    model, _ = leaving(1e6)
    with pytest.raises(ExportError, match="65504"):
        Html(weights="float16").write(model, "")


def test_where_the_training_images_are_gone_nobody_is_asked_to_draw() -> None:
    from firstlight.errors import RunError

    def gone() -> None:
        raise RunError("The images are gone.")

    model, _ = leaving()
    [data] = Html().write(replace(model, strokes=gone), "Not verified: …").values()  # type: ignore[arg-type]
    assert '"plain":false' in data.decode()
    assert "Draw here" not in data.decode()
