"""`firstlight export`: what it writes and says, of one run and of several, and what it refuses."""

import json
import shutil
import signal
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight.export import FORMATS
from firstlight.records import exports
from firstlight.records.run_folder import RunFolder
from firstlight.trained_run import Run
from firstlight.types import Dataset

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    """A run, and where its images are."""
    few, folder = digits.splits["train"].take(np.arange(200)), tmp_path_factory.mktemp("runs")
    np.savez(folder / "few.npz", images=few.pixels, labels=few.labels)
    data = Dataset("few", {"train": few})
    return fl.fit("mlp-128", data, epochs=1, out=folder / "small", console=Console(quiet=True)).path, folder / "few.npz"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of it; reports are of other tests, and take longer than all of these."""
    monkeypatch.setattr(Run, "report", lambda self: None)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained[0], "small")
    return Path("small")


@pytest.fixture
def images(trained):
    return ("--data", trained[1])


def test_one_run(firstlight, run, images):
    answer = firstlight("export", run, "--to", "onnx", *images)
    place = run / "export" / "small.onnx"
    assert (answer.code, answer.err) == (0, "")
    verification, written = answer.out.splitlines()
    assert verification.startswith("Verified by ONNX Runtime ")
    assert "on all 40 test images (largest difference " in verification
    assert written.startswith(f"ONNX: {place} (")
    [record] = exports.read(RunFolder.open(run))
    assert (record.format, record.path) == ("onnx", "export/small.onnx")
    assert record.bytes == place.stat().st_size
    assert firstlight("export", run, "--to", "onnx", "--quiet", *images).out == f"{place}\n"


def test_sigterm_ends_it_without_leftovers(firstlight, run, images, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def ended(*_):
        assert any((tmp_path / "temporary").iterdir())
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(FORMATS["onnx"], "run", ended)
    before = signal.getsignal(signal.SIGTERM)
    assert firstlight("export", run, "--to", "onnx", *images).code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert not any((tmp_path / "temporary").iterdir())
    assert not (run / "export").exists()


def test_json_says_where_the_file_is(firstlight, run, images, tmp_path):
    inside = firstlight("export", run, "--to", "onnx", "--json", *images).json()
    assert (inside["run"], inside["path"]) == ("small", "small/export/small.onnx")
    assert inside["largest_difference"] < 1e-4
    outside = firstlight("export", run, "--to", "onnx", "--out", "a.onnx", "--json", *images).json()
    assert outside["path"] == str(tmp_path / "a.onnx")
    assert Path("a.onnx").read_bytes() == (run / "export" / "small.onnx").read_bytes()


def test_without_its_images_it_is_not_verified(firstlight, run):
    answer = firstlight("export", run, "--to", "onnx")
    assert answer.code == 0
    assert answer.err.startswith("Not verified: the test images of the run are not available.")
    assert "Verified" not in answer.out
    assert firstlight("export", run, "--to", "onnx", "--json").json()["not_proved"]


def test_several_runs(firstlight, run, images):
    shutil.copytree(run, "other")
    shutil.copytree(run, "elsewhere/small")
    answer = firstlight("export", run, "other", "--to", "onnx", "--quiet", "--out", "all", *images)
    assert answer.out == f"{Path('all/small.onnx').resolve()}\n{Path('all/other.onnx').resolve()}\n"
    lines = firstlight("export", run, "other", "--to", "onnx", "--json", *images).out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["small/export/small.onnx", "other/export/other.onnx"]
    answer = firstlight("export", run, "elsewhere/small", "--to", "onnx", "--out", "all", *images)
    assert answer.code == 2
    assert "called small, and one would replace the other" in answer.err
    assert "name a folder" in firstlight("export", run, "other", "--to", "onnx", "--out", "all/small.onnx").err


def test_of_several_runs_one_that_fails_stops_no_other(firstlight, run, images):
    answer = firstlight("export", "missing", run, "--to", "onnx", "--quiet", *images)
    assert answer.code == 1
    assert answer.err.startswith("firstlight: missing: ")
    assert answer.out == f"{run / 'export' / 'small.onnx'}\n"
    alone = firstlight("export", "missing", "--to", "onnx")
    assert (alone.code, alone.out) == (2, "")


def test_what_does_not_agree_is_refused(firstlight, run, images, monkeypatch):
    right = FORMATS["onnx"].run

    def wrong(self, model, folder, pixels):
        return np.roll(right(self, model, folder, pixels), 1, axis=1)

    monkeypatch.setattr(FORMATS["onnx"], "run", wrong)
    answer = firstlight("export", run, "--to", "onnx", *images)
    assert answer.code == 2
    assert "of 40 test images 40 differ, 40 of them in their class" in answer.err
    assert not (run / "export").exists()


def test_formats_are_listed(firstlight, run):
    for answer in (firstlight("export"), firstlight("export", run)):
        assert answer.code == 0
        for name, form in FORMATS.items():
            assert any(line.startswith(name) and line.endswith(form.about) for line in answer.out.splitlines())
    assert [one["name"] for one in firstlight("export", "--json").json()] == list(FORMATS)
    words = firstlight("export", "--help").out.split()
    for name, form in FORMATS.items():
        assert " ".join([name, f"({form.about})"]) in " ".join(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "onxx"), "--to onxx: there is no such format. Did you mean onnx?"),
        (("--to", "pytorch"), "Did you mean torch?"),
        (("--to", "tflite"), "Known: "),
        (("--to", "onnx", "--int8"), "--int8 is an option of c, and not of onnx."),
        (("--to", "onnx", "--most-loss", "2"), "--most-loss is an option of c"),
        (("--to", "c", "--weights", "float16"), "--weights is an option of html"),
        (("--int8",), "Name a format with --to."),
        (("--out", "somewhere"), "Name a format with --to."),
    ],
)
def test_mistakes(arguments, message, firstlight, run):
    answer = firstlight("export", run, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert not (run / "export").exists()


def test_a_run_is_needed(firstlight):
    answer = firstlight("export", "--to", "onnx")
    assert answer.code == 2
    assert "firstlight export RUN --to onnx" in answer.err


def test_every_option_of_a_format_is_one_of_the_command(firstlight):
    words = firstlight("export", "--help").out.split()
    for form in FORMATS.values():
        for option in fields(form):
            assert f"--{option.name.replace('_', '-')}" in words


def test_it_is_told_how_far_the_proof_is(run, trained):
    told = []
    Run(run).export("onnx", data=trained[1], watch=lambda *step: told.append(step))
    assert told[0] == ("reading the images", 0, None)
    assert ("the model on 40 test images", 0, 40) in told
    assert any(what.startswith("ONNX Runtime") and what.endswith("on 40 test images") for what, _, _ in told)
    assert told[-1] == ("the report", 0, None)
