"""What is shown in a notebook: cards of everything. Nothing here needs Jupyter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.notebook.elements import Elements

import firstlight as fl
from firstlight import notebook_display
from firstlight.notebook import cards
from firstlight.records import explanation
from firstlight.records.record_files import write_record
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TrialRecord, Tuned, TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report import build_document
from firstlight.report.document import Section, Text
from firstlight.types import SPLITS, Dataset, Images, SourceFile

QUIET = Console(quiet=True)
HOSTILE = ("<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", '"it\'s" & {{ 7*7 }}')
ENOUGH = 240_000  # characters: what a card holds at most, with its style


def look(thing: Any) -> Elements:
    """What a notebook shows of a thing, checked for what holds of every card."""
    html = thing._repr_html_()
    assert len(html) < ENOUGH
    seen = Elements(html)
    assert seen.found[0] == ("div", {"class": "firstlight firstlight-card"})
    for tag, attributes in seen.found:
        assert tag not in ("script", "link", "iframe", "object", "base", "form"), tag
        assert not any(name.startswith("on") for name in attributes), attributes
        assert (attributes.get("src") or "data:image/").startswith("data:image/"), attributes
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    return seen


@pytest.fixture(scope="module")
def run(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> fl.Run:
    out = tmp_path_factory.mktemp("notebook") / "run"
    return fl.fit("mlp-128", digits, epochs=3, lr=3e-3, out=out, console=QUIET)


def test_a_run_shows_its_outcome_curves_and_mistakes(run: fl.Run) -> None:
    seen = look(run)
    assert f"{100 * run.accuracy:.1f}" in seen.text
    assert "mlp-128 on digits" in seen.text
    assert sum(tag == "svg" for tag, _ in seen.found) >= 4  # loss, accuracy, confusion, classes
    assert any(tag == "img" for tag, _ in seen.found)
    assert run.folder._repr_html_() == run._repr_html_()


def test_what_is_asked_of_a_net_shows_itself_and_prints_in_a_line(run: fl.Run) -> None:
    image = str(run.predictions["test"].ids[0])
    attribution, layers, mistakes = run.attribution(image), run.feature_maps(image), run.mistakes()
    unit = run.maximizing_image("head", 3)
    for found, pictures in ((attribution, 3), (unit, 1), (layers, len(layers)), (mistakes, 8)):
        seen = look(found)
        assert sum(tag == "img" for tag, _ in seen.found) >= pictures
        assert len(repr(found)) < 400
    assert attribution.class_names == run.class_names
    assert f"{100 * attribution.probabilities.max():.1f}" in look(attribution).text
    assert isinstance(layers, tuple)
    assert isinstance(mistakes, tuple)
    first = mistakes[0]
    assert f"{first.id}: {run.class_names[first.label]} taken for" in repr(mistakes)
    assert "There are no mistakes of this kind." in look(explanation.Mistakes()).text


def test_nothing_prints_a_wall_of_numbers(run: fl.Run, digits: Dataset) -> None:
    measured, predictions = run.evaluate()
    assert repr(measured) == (
        f"Evaluation(accuracy={measured.accuracy:.4f}, loss={measured.loss:.4f}, images={measured.images}, classes=10)"
    )
    assert f"float32[{measured.images}, 10]" in repr(predictions)
    for thing in (digits, digits.splits["train"], predictions, run.mistakes()[0]):
        assert len(repr(thing)) < 800
        assert "\n" not in repr(thing)


def test_an_attribution_is_kept_without_the_names_of_the_classes(run: fl.Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "copy")
    folder = RunFolder.open(tmp_path / "copy")
    asked = run.attribution(str(run.predictions["test"].ids[0]))
    names = "activity feature_maps maximizing_images embeddings mistakes label_issues"
    empty: Any = dict.fromkeys(names.split(), ())
    made = explanation.Explanation(
        layer="", looked=1, image="", filters=None, seconds=0.0, attributions=(asked,), **empty
    )
    made.write(folder)
    kept = explanation.read(folder)
    assert kept is not None
    assert kept.attributions[0].class_names == ()
    assert kept.attributions[0].target == asked.target


def test_a_model_shows_its_layers() -> None:
    model = fl.models.lenet5((28, 28, 1), 10)
    seen = look(model)
    assert all(row.name in seen.text for row in model.summary())
    assert "61,706" in seen.text


def test_data_show_images_of_every_split_and_how_many_there_are(digits: Dataset) -> None:
    seen = look(digits)
    assert "1,797" in seen.text
    assert sum(tag == "img" for tag, _ in seen.found) == 10
    train = digits.splits["train"]
    parts = dict(zip(SPLITS, np.array_split(np.arange(len(train)), 3), strict=True))
    three = look(Dataset("three", {name: train.take(index) for name, index in parts.items()}))
    assert sum(tag == "img" for tag, _ in three.found) == 30
    assert "599" in three.text
    assert "1,797" in look(train).text


def test_data_that_are_not_as_published_say_so(digits: Dataset) -> None:
    files = (SourceFile("train.gz", "0" * 64, False),)
    seen = look(replace(digits, files=files, set_aside={"cats/a.png": "it is not an image"}))
    assert "the checksum of train.gz differs" in seen.text
    assert "cats/a.png: it is not an image" in seen.text


def test_large_photographs_make_no_large_card() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 300, 200, 3), dtype=np.uint8)
    names = tuple(f"class number {k} with a long name" for k in range(30))
    images = Images(pixels, np.arange(90) % 30, np.arange(90).astype(str), names)
    index = np.array_split(np.arange(90), 3)
    look(Dataset("photographs", {name: images.take(i) for name, i in zip(SPLITS, index, strict=True)}))


def test_no_images_are_shown_as_none(digits: Dataset) -> None:
    assert "There is no image." in look(digits.splits["train"].take(np.zeros(0, np.int64))).text


def test_hostile_names_stay_text(digits: Dataset, tmp_path: Path) -> None:
    train = digits.splits["train"]
    keep = np.flatnonzero(train.labels < 3)[:200]
    images = Images(train.pixels[keep], train.labels[keep], train.ids[keep], HOSTILE)
    data = Dataset("<b>bold</b>", {"train": images})
    run = fl.fit("softmax-regression", data, epochs=1, out=tmp_path / "<i>run", console=QUIET)
    for thing in (data, images, run):
        seen = look(thing)
        assert not any(tag == "i" for tag, _ in seen.found)
        assert not any(attributes.get("src") == "x" for _, attributes in seen.found)
        assert HOSTILE[0] in unescape(seen.text)


def test_a_report_that_was_written_shows_itself_and_is_a_path(run: fl.Run, tmp_path: Path) -> None:
    path = run.report(tmp_path / "mine.html")
    assert isinstance(path, Path)
    assert path.is_file()
    assert path == tmp_path / "mine.html"
    seen = look(path)
    assert "How to reproduce it" in seen.text
    assert getattr(path.parent, "_repr_html_", lambda: None)() is None


def test_a_document_shows_all_of_itself_until_it_is_too_much(run: fl.Run) -> None:
    whole = build_document(run.folder)
    assert "The model" in look(whole).text
    long = Section("Too long to show", "long", (Text("word " * 60_000),))
    seen = look(replace(whole, sections=(*whole.sections[:2], long, *whole.sections[2:])))
    assert "Too much to show here: Too long to show" in seen.text


def test_a_run_without_a_result_shows_how_far_it_got(run: fl.Run, tmp_path: Path) -> None:
    place = tmp_path / "cut"
    shutil.copytree(run.path, place)
    (place / "result.json").unlink()
    seen = look(RunFolder.open(place))
    assert "It was cut off. Resume it: firstlight resume" in seen.text
    assert sum(tag == "svg" for tag, _ in seen.found) == 2
    (place / "history.csv").unlink()
    assert "of 3" in look(RunFolder.open(place)).text
    (place / "experiment.toml").write_text("not = [toml")
    assert "is damaged" in look(RunFolder.open(place)).text


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(
        '{"format": 1, "name": "s", "title": "A study", "about": "", "runs": [{"name": "a", "seeds": [0]}]}'
    )
    assert "no run of the study has a result yet" in look(StudyFolder.open(tmp_path)).text
    (tmp_path / "tune.toml").write_text("")
    assert "no result.json" in look(TuneFolder.open(tmp_path)).text


def test_a_study_shows_what_was_tried(run: fl.Run, tmp_path: Path) -> None:
    entries = [{"name": name, "seeds": [0, 1]} for name in ("one", "two")]
    write_record(tmp_path, "study.json", {"name": "small", "title": "Two nets", "about": "Why not.", "runs": entries})
    shutil.copytree(run.path, tmp_path / "one" / "seed-0")
    seen = look(StudyFolder.open(tmp_path))
    assert "Two nets" in seen.text
    assert "Why not." in seen.text
    assert "two, seed 0 and seed 1" in seen.text  # which have no result


def test_a_search_shows_its_course_and_its_best_file(tmp_path: Path) -> None:
    trials = [TrialRecord(n, "complete", {"optimizer.lr": 10.0**-n}, 0.5 + n / 10, epochs=3, best=2) for n in (1, 2, 3)]
    (tmp_path / "tune.toml").write_text("")
    (tmp_path / "best.toml").write_text("seed = 7\n")
    space = {"optimizer.lr": {"log": [1e-4, 1e-1]}}
    tuned = Tuned(
        status="complete",
        monitor="val_accuracy",
        maximise=True,
        asked=3,
        sampler="tpe",
        pruner="none",
        seed=0,
        epochs=3,
        data="digits",
        model="mlp-128",
        space=space,
        trials=tuple(trials),
        importance={},
    )
    TuneFolder(tmp_path).write_result(tuned)
    seen = look(TuneFolder.open(tmp_path))
    assert "Trial 3 of 3 was the best" in seen.text
    assert "seed = 7" in seen.text


def test_an_explanation_shows_where_the_net_looks(run: fl.Run, tmp_path: Path) -> None:
    own = fl.open_run(shutil.copytree(run.path, tmp_path / "explained"))
    found = own.explain(method="pca", points=60)
    seen = look(found)
    assert "Feature maps of one image" in seen.text
    assert found.layer in seen.text
    assert len(repr(found)) < 200  # a notebook keeps it beside the card
    assert sum(tag == "img" for tag, _ in seen.found) > 10
    assert explanation.read(own.folder)._repr_html_() == found._repr_html_()  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_parity_check_shows_whether_the_engines_agree() -> None:
    found = fl.parity("softmax-regression", steps=3, batch_size=8, console=QUIET)
    seen = look(found)
    assert found.verdict in seen.text
    assert "head" in seen.text


def test_importing_a_record_imports_no_report() -> None:
    code = "import sys; from firstlight.records import run_folder, search_folder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"firstlight.report", "firstlight.notebook", "altair", "jinja2", "IPython"} & set(loaded)


def test_nothing_to_draw_with_is_no_error(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    monkeypatch.setattr(notebook_display, "_draw", None)
    assert digits._repr_html_() is None


def test_a_thing_without_a_card_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="A int has no notebook display"):
        cards.html(3)
