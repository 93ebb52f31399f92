"""Every command, as a user types it; every mistake is one message and exit code 2."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Answer

Call = Callable[..., Answer]
SMALL = ("--data", "digits", "--model", "mlp-128", "--epochs", 2, "--set", "data.limit=200")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run, made by the command line in a process of its own."""
    out = tmp_path_factory.mktemp("runs") / "small"
    command = [sys.executable, "-m", "firstlight", "run", *map(str, SMALL), "--lr", "0.005", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert re.fullmatch(r"test accuracy \d\d\.\d\d\u202f% \(95\u202f% interval \d\d\.\d–\d\d\.\d\u202f%, .*", lines[-5])
    assert lines[-4].startswith("mlp-128, ")
    assert lines[-3].startswith("Training and evaluation took ")
    assert lines[-2] == f"Report: {out / 'report.html'}"
    assert lines[-1].startswith(f"Next: firstlight explain {out}, ")
    return out


def test_run_writes_a_run_and_its_report(run: Path) -> None:
    assert (run / "report.html").stat().st_size > 100_000
    assert (run / "result.json").exists()


def test_json_alone_goes_to_standard_output(firstlight: Call, tmp_path: Path) -> None:
    answer = firstlight("run", *SMALL, "--out", tmp_path / "a", "--json")
    result = answer.json()
    assert answer.code == 0
    assert result["epochs"]["run"] == 2
    assert 0 < result["test"]["accuracy"] < 1
    assert "epoch 1/2" in answer.err


def test_a_file_with_options_before_it(firstlight: Call, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text('[data]\nsource = "digits"\nlimit = 100\n[model]\nname = "softmax-regression"\n')
    answer = firstlight(
        "run", file, "--epochs", 1, "--set", "training.batch_size=50", "--out", tmp_path / "a", "--json"
    )
    assert answer.json()["epochs"]["asked"] == 1
    assert "batch_size = 50" in (tmp_path / "a" / "experiment.toml").read_text()


def test_a_run_repeats_from_its_own_file(firstlight: Call, run: Path, tmp_path: Path) -> None:
    assert firstlight("run", run / "experiment.toml", "--out", tmp_path / "again").code == 0
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()


def test_evaluate_gives_the_recorded_numbers(firstlight: Call, run: Path) -> None:
    again = firstlight("evaluate", run, "--json").json()
    import json

    assert again["accuracy"] == json.loads((run / "result.json").read_text())["test"]["accuracy"]
    answer = firstlight("evaluate", run, "--split", "train")
    assert "200 images" in answer.out
    assert "precision" in answer.out
    assert "calibration error" in answer.out


def test_report_prints_its_path(firstlight: Call, run: Path) -> None:
    assert firstlight("report", run).out.strip() == str(run / "report.html")
    drawn = firstlight("report", run, "--figures", run / "figures").out.splitlines()
    assert drawn[0] == str(run / "report.html")
    assert sorted(drawn[1:]) == sorted(str(path) for path in (run / "figures").glob("*.svg"))


def test_a_report_as_pdf(firstlight: Any, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    assert firstlight("report", run, "--pdf").out.strip() == str(run / "report.pdf")
    assert (run / "report.pdf").read_bytes().startswith(b"%PDF-")
    elsewhere = tmp_path / "new" / "small.pdf"
    assert firstlight("report", run, "--out", elsewhere).out.strip() == str(elsewhere)
    assert str(tmp_path / "two.pdf") in firstlight("compare", run, run, "--out", tmp_path / "two.pdf").out
    for file in (elsewhere, tmp_path / "two.pdf"):
        assert file.read_bytes().startswith(b"%PDF-")
    contradicted = firstlight("report", run, "--html", "--out", tmp_path / "b.pdf")
    assert contradicted.code == 2
    assert "b.pdf does not match the format" in contradicted.err


def test_summary_draws_the_net(firstlight: Call, tmp_path: Path) -> None:
    path = tmp_path / "lenet5.svg"
    assert firstlight("summary", "lenet5", "--svg", path).out == f"{path}\n"
    assert path.read_text("utf-8").count("data-path=") == 12
    assert firstlight("summary", "two-layer", "--svg", path, "--json").json()["name"] == "two-layer"
    assert path.read_text("utf-8").count("data-path=") == 4


def test_summary(firstlight: Call) -> None:
    answer = firstlight("summary", "lenet5-batchnorm")
    assert "62,274: 61,990 trainable" in answer.out
    assert "28 × 28 × 6" in answer.out
    assert firstlight("summary", "pyramid", "--input", "32x32x1", "--json").json()["parameters"] == 141_866
    assert firstlight("summary", "mlp-128", "--set", "model.units=[7]", "--json").json()["parameters"] == 785 * 7 + 80
    listed = firstlight("summary", "--json").json()
    assert [(row["parameters"], row["input_shape"]) for row in listed if row["name"] == "lenet5"] == [
        (61_706, [28, 28, 1])
    ]
    assert all(row["about"] for row in listed)
    text = firstlight("summary", "--list").out
    assert text == firstlight("summary").out
    assert all(row["name"] in text for row in listed)


def test_an_experiment_file_is_counted_and_its_search_is_ignored_by_run(firstlight: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    layers = '[[model.layers]]\ntype = "Flatten"\n[[model.layers]]\ntype = "Dense"\nunits = 10\n'
    search = "[tune]\ntrials = 2\n[space]\nlr = [1e-3, 1e-2]\n"
    file.write_text(f'[data]\nsource = "digits"\nlimit = 100\n[training]\nepochs = 1\n{layers}{search}')
    assert firstlight("summary", file, "--json").json()["parameters"] == 650
    assert firstlight("summary", file, "--input", "9x9x3", "--json").json()["parameters"] == 244 * 10
    answer = firstlight("run", file, "--out", tmp_path / "a")
    assert answer.code == 0
    assert "[tune] and [space]" in answer.out.splitlines()[0]


def test_resume_of_a_complete_run_is_refused(firstlight: Call, run: Path) -> None:
    answer = firstlight("resume", run)
    assert answer.code == 2
    assert "nothing to resume" in answer.err


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learnt_and_resume_goes_on(firstlight: Call, interrupted: Call, tmp_path: Path) -> None:
    options = ["--data", "digits", "--model", "mlp-128", "--epochs", 9000, "--seed", 3, "--out", tmp_path / "a"]
    history = tmp_path / "a" / "history.csv"
    answer = interrupted("run", *options, at=history)
    assert answer.code == 0, answer.err
    assert "Interrupted. To continue: firstlight resume" in answer.out
    epochs = len(history.read_text().splitlines()) - 1
    assert 1 <= epochs < 9000
    assert (tmp_path / "a" / "weights.safetensors").exists()

    text = (tmp_path / "a" / "experiment.toml").read_text()
    (tmp_path / "a" / "experiment.toml").write_text(text.replace("epochs = 9000", f"epochs = {epochs + 1}"))
    assert firstlight("resume", tmp_path / "a", "--json").json()["epochs"]["run"] == epochs + 1
    text = text.replace("epochs = 9000", f"epochs = {epochs + 1}")
    (tmp_path / "whole.toml").write_text(text)
    assert firstlight("run", tmp_path / "whole.toml", "--out", tmp_path / "b").code == 0
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == (
        tmp_path / "b" / "weights.safetensors"
    ).read_bytes()


MISTAKES: list[tuple[list[object], list[str]]] = [
    (["run"], ["--data", "--model"]),
    (["run", "absent.toml"], ["absent.toml", "no such"]),
    (["run", "lenet5"], ["firstlight run --data mnist --model lenet5"]),
    (["run", "digits"], ["firstlight run --data digits --model"]),
    (["run", "fashion-fast"], ["firstlight study fashion-fast"]),
    (["run", "--data", "digitz"], ["digitz", "digits"]),
    (["run", "--data", "./nowhere"], ["nowhere"]),
    (["run", "--data", "digits", "--model", "lenet"], ["lenet", "lenet5"]),
    (["run", "--data", "digits", "--model", "lenet5"], ["lenet5 does not fit images of 8×8×1", "data.size"]),
    (["run", "--data", "digits", "--optimizer", "adma"], ["adma", "adam"]),
    (["run", "--data", "digits", "--lr", "-1"], ["optimizer.lr", "-1"]),
    (["run", "--data", "digits", "--epochs", "-1"], ["training.epochs", "-1"]),
    (["run", "--data", "digits", "--set", "trainning.epochs=1"], ["trainning", "training"]),
    (["run", "--data", "digits", "--set", "nonsense"], ["key=value"]),
    (["run", "--data", "digits", "--set", "data.validation=0.9"], ["validation"]),
    (["run", "--data", "digits", "--bogus"], ["--bogus"]),
    (["run", "--data", "digits", "--epochs", "many"], ["many"]),
    (["summary", "lenet"], ["lenet", "lenet5"]),
    (["summary", "--svg", "net.svg"], ["--svg", "name it"]),
    (["summary", "lenet5", "--svg", "net.png"], ["--svg", ".svg", "net.png"]),
    (["summary", "lenet5", "--input", "28"], ["28x28x1"]),
    (["summary", "lenet5", "--input", "8x8x1"], ["8×8×1"]),
    (["summary", "lenet5", "--set", "model.activation=rleu"], ["rleu", "relu"]),
    (["evaluate", "absent"], ["absent", "no such run"]),
    (["predict", "absent", "a.png"], ["absent", "no such run"]),
    (["report", "."], ["not a run folder"]),
    (["resume", "absent"], ["absent"]),
    (["bogus"], ["bogus"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: " ".join(map(str, value)))
def test_a_mistake_is_one_message_and_nothing_is_written(
    firstlight: Call, arguments: list[object], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = firstlight(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(firstlight: Call, run: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    answer = firstlight("run", *SMALL, "--out", run)
    assert answer.code == 2
    assert "exists already" in answer.err
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_a_folder_that_cannot_be_made(firstlight: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = firstlight("run", *SMALL, "--out", tmp_path / "file" / "run")
    assert answer.code == 2
    assert "Not a directory" in answer.err


def test_a_users_own_images(firstlight: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, brightness in (("dark", 60), ("light", 190)):
        for i in range(20):
            path = tmp_path / "mine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(brightness - 40, brightness + 40, (6, 6, 3), dtype=np.uint8)).save(path)
    answer = firstlight("run", "--data", "mine", "--model", "softmax-regression", "--epochs", 20, "--lr", 0.05)
    assert answer.code == 0, answer.err
    out = tmp_path / "runs" / "softmax-regression-mine"
    assert firstlight("evaluate", out, "--json").json()["accuracy"] == 1
    assert "mine/light/3.png: light" in firstlight("predict", out, "mine/light/3.png").out
    own = firstlight("evaluate", out, "--json").json()
    assert own["images"] == 8
    for spelling in ("mine", "mine/", "./mine", tmp_path / "mine"):
        assert firstlight("evaluate", out, "--data", spelling, "--json").json() == own, "its own test images, not all"
    assert firstlight("evaluate", out, "--data", "mine", "--split", "train", "--json").json()["images"] == 28


def test_options_replace_what_the_file_says_of_another_model(firstlight: Call, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text(
        """
        training.epochs = 1
        data = { source = "digits", limit = 50 }
        optimizer = { name = "sgd", momentum = 0.9 }
        [[model.layers]]
        type = "Flatten"
        [[model.layers]]
        type = "Dense"
        units = 10
        """
    )
    assert firstlight("run", file, "--out", tmp_path / "a", "--json").json()["model"] == "custom"
    options = ("--model", "mlp-128", "--optimizer", "adam")
    assert firstlight("run", file, *options, "--out", tmp_path / "b", "--json").json()["model"] == "mlp-128"
    # the model of a file without any name, too, though it would be this one if the file had no layers
    options = ("--model", "lenet5", "--set", "data.size=28")
    assert firstlight("run", file, *options, "--out", tmp_path / "c", "--json").json()["model"] == "lenet5"


def test_an_option_does_not_hide_a_mistake_in_the_file(firstlight: Call, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text('optimizer = "sgd"\ndata = { source = "digits", limit = 50 }\n')
    answer = firstlight("run", file, "--lr", "0.1", "--out", tmp_path / "a")
    assert (answer.code, "optimizer is 'sgd', not a table" in answer.err) == (2, True)


def test_odd_class_names_stay_text(firstlight: Call, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    names = np.array(["[/x]", "[red]cat"])
    np.savez(tmp_path / "odd.npz", images=pixels, labels=np.arange(40) % 2, class_names=names)
    options = ("--data", tmp_path / "odd.npz", "--model", "softmax-regression", "--epochs", 1)
    assert firstlight("run", *options, "--out", tmp_path / "a").code == 0
    answer = firstlight("evaluate", tmp_path / "a")
    assert answer.code == 0
    assert all(name in answer.out for name in names)


def test_a_terminal_without_unicode_is_no_obstacle() -> None:
    command = [sys.executable, "-m", "firstlight", "summary", "lenet5"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_ctrl_c_in_the_first_epoch_keeps_the_weights_so_far(interrupted: Call, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6_000, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "many.npz", images=pixels, labels=np.arange(6_000) % 2)
    options = ["--data", tmp_path / "many.npz", "--model", "vgg-small", "--out", tmp_path / "a"]
    answer = interrupted("run", *options, at=tmp_path / "a" / ".progress")  # training has begun then
    assert answer.code == 0, answer.err
    assert "weights of epoch 0 of 0" in answer.out
    assert (tmp_path / "a" / "report.html").exists()


def test_a_report_that_cannot_be_written_does_not_hide_the_numbers(
    firstlight: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firstlight import report

    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", full)
    answer = firstlight("run", *SMALL, "--out", tmp_path / "a")
    assert answer.code == 2
    assert "test accuracy " in answer.out
    assert f"No space left on device. Fix that, then: firstlight report {tmp_path / 'a'}" in answer.err


def test_a_run_that_diverges_says_so_and_keeps_what_it_had(firstlight: Call, tmp_path: Path) -> None:
    settings = ("training.epochs=6", "schedule.warmup=5", "loss.name=half-mse", "model.units=[16]")
    arguments = ["--optimizer", "sgd", "--lr", "10", *(f"--set={setting}" for setting in settings)]
    answer = firstlight("run", *SMALL, *arguments, "--out", tmp_path / "a")
    assert answer.code == 2
    assert "test accuracy" in answer.out
    assert "The loss became" in answer.err
    assert f"The weights from before that are in {tmp_path / 'a'}" in answer.err


def test_version_and_help(firstlight: Call) -> None:
    assert firstlight("--version").out.startswith("firstlight 0.")
    text = firstlight("--help").out
    for command in ("demo", "run", "resume", "evaluate", "predict", "report", "summary", "data"):
        assert command in text
        told = [firstlight(command, option).out for option in ("--help", "-h")] + [firstlight("help", command).out]
        assert len(set(told)) == 1
        assert not re.search(r"\{|\[\[|<", told[0].partition("Options:")[0])
    assert "Usage: firstlight predict [OPTIONS] RUN PATH..." in firstlight("predict", "-h").out
    assert "--install-completion" in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [("train", "firstlight run"), ("convert", "firstlight export"), ("sumary", "Did you mean summary"), ("-x", "-x")],
)
def test_a_command_that_does_not_exist_is_answered_with_what_is_meant(firstlight: Any, name: str, meant: str) -> None:
    answer = firstlight(name, "a", "b")
    assert answer.code == 2
    assert meant in answer.err


@pytest.mark.parametrize("command", ["run", "report", "compare", "resume"])
def test_quiet_prints_the_path_alone_and_the_report_can_be_opened(
    firstlight: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    page = {"run": tmp_path / "a" / "report.html", "report": run / "report.html"}.get(command, tmp_path / "c.html")
    arguments = {
        "run": (*SMALL, "--size", 8, "--out", tmp_path / "a", "-q"),
        "report": (run,),
        "compare": (run, run, "-o", page, "-q"),
    }
    if command == "resume":
        assert firstlight("resume", run, "-q").code == 2
        return
    answer = firstlight(command, *arguments[command], "--open")
    assert (answer.code, answer.out, answer.err) == (0, f"{page}\n", "")
    assert opened == [page.resolve().as_uri()]


def test_a_closed_pipe_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "firstlight", "summary", "vgg16"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_options_of_the_file_stay_with_the_optimizer_it_means(firstlight: Call, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text('training.epochs = 1\ndata = { source = "digits", limit = 50 }\noptimizer = { lr = 0.02 }\n')
    options = ("--model", "softmax-regression", "--optimizer", "adam", "--out", tmp_path / "a")
    assert firstlight("run", file, *options).code == 0
    assert "lr = 0.02" in (tmp_path / "a" / "experiment.toml").read_text()


def test_photographs_of_many_sizes_are_checked(firstlight: Call, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(6):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)).save(path)
    assert firstlight("data", "check", tmp_path / "photos").code == 0
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"\x89PNG no more")
    (tmp_path / "photos" / "b" / "copy.png").write_bytes((tmp_path / "photos" / "a" / "0.png").read_bytes())
    answer = firstlight("data", "check", tmp_path / "photos")
    assert answer.code == 1
    assert "broken.png" in answer.out
    assert "copy.png" in answer.out
    assert "64×64" in answer.err
    refused = firstlight("run", "--data", tmp_path / "photos", "--model", "softmax-regression")
    assert refused.code == 2
    assert "data.size=64" in refused.err


def test_compare_puts_runs_on_one_page(firstlight: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        run = ("run", "--data", "digits", "--model", "softmax-regression", "--epochs", 1, "--seed", seed)
        assert firstlight(*run, "--out", tmp_path / f"seed{seed}").code == 0
    both = ("compare", tmp_path / "seed0", tmp_path / "seed1", "--title", "Two seeds")
    answer = firstlight(*both)
    page = tmp_path / "seed0-vs-seed1.html"
    assert (answer.code, answer.out.splitlines()[-1]) == (0, f"Report: {page}")
    assert re.search(r"seed0 … seed1 +2 +\d\d\.\d\d\s% +\d\d\.\d\d ± ", answer.out.replace("\u00a0", " "))
    assert firstlight(*both).out.splitlines()[-1] == f"Report: {page} (an earlier one was replaced)"
    assert firstlight(*both, "--quiet").out.splitlines() == [str(page)]
    alone = firstlight("compare", tmp_path / "seed0")
    assert alone.code == 2
    assert f"firstlight report {tmp_path / 'seed0'}" in alone.err
    text = page.read_text()
    assert all(shown in text for shown in ("Two seeds", "seed0", "seed1"))
    (tmp_path / "study").mkdir()
    for seed in (0, 1):
        (tmp_path / f"seed{seed}").rename(tmp_path / "study" / f"seed-{seed}")
    (tmp_path / "study" / "seed-1").rename(tmp_path / "study" / "another")  # whatever it is called
    shutil.copytree(tmp_path / "study" / "seed-0", tmp_path / "study" / "seed-2")
    (tmp_path / "study" / "seed-2" / "result.json").unlink()
    whole = firstlight("compare", tmp_path / "study")
    page = tmp_path / "study.html"
    assert (whole.code, whole.out.splitlines()[-1]) == (0, f"Report: {page}")
    assert "Comparison of 2 runs" in page.read_text()
    assert "seed-0 … another is right on" in page.read_text()
    assert f"{tmp_path / 'study' / 'seed-2'} has no result yet and is left out." in whole.err

    missing = firstlight("compare", tmp_path / "study", tmp_path / "seed9", "--out", tmp_path / "other.html")
    assert (missing.code, (tmp_path / "other.html").exists()) == (2, False)

    (tmp_path / "study.json").write_text("{}")
    all_of_it = firstlight("compare", tmp_path)
    assert all_of_it.code == 2
    one = tmp_path / "study" / "seed-0"
    for said in ("is a study, not a run", tmp_path / "report.html", f"such as {one};", f"as in {one.parent}."):
        assert str(said) in all_of_it.err


def test_summary_counts_what_is_frozen(firstlight: Any, tmp_path: Path) -> None:
    counts = ("mnist-cnn", "--classes", 2, "--set", "model.outputs=1", "--freeze", "*", "--freeze", "!head")
    answer = firstlight("summary", *counts)
    assert "parameters 55,809: 65 trainable, 55,744 frozen" in answer.out
    assert firstlight("summary", *counts, "--json").json()["frozen"] == 55_744
    assert "no parameters called 'haed'" in firstlight("summary", "mnist-cnn", "--freeze", "haed").err


def test_a_run_on_the_other_engine_says_what_it_ran_on(firstlight: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run = ("run", "--data", "digits", "--model", "pyramid-regularised", "--epochs", 1, "--engine", "torch")
    begun = ("--set", "weights.freeze=['dense1']", "--device", "cpu", "--exact-noise", "--precision", "float64")
    answer = firstlight(*run, *begun, "--out", path)
    assert answer.code == 0, answer.err
    assert "frozen)" in answer.out
    environment = json.loads((path / "environment.json").read_text())
    assert (environment["engine"], environment["precision"], environment["device"]) == ("torch", "float64", "cpu")
    summary = firstlight("summary", path).out
    assert "batch norm: train" in summary
    assert "8,320 frozen" in summary
    both = [firstlight("evaluate", path, "--engine", engine, "--json").json() for engine in ("numpy", "torch")]
    assert both[0]["accuracy"] == both[1]["accuracy"]
    assert both[0]["loss"] == pytest.approx(both[1]["loss"], rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "torch", "--device", "cuda"), "device: cuda is not available"),
        (("--engine", "torch", "--device", "gpu"), "device: 'gpu' is unknown"),
        (("--engine", "torch", "--device", "cpu:1"), "device: 'cpu:1' is unknown"),
        (("--device", "cuda"), "the engine numpy runs on the CPU"),
        (("--precision", "float16"), "the engine numpy has no 'float16'"),
        (("--engine", "tensorflow"), "engine"),
        (("--init-from", "nowhere"), "nowhere is neither a run folder nor a file"),
    ],
)
def test_an_engine_or_device_that_is_not_here_is_named(
    firstlight: Any, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    answer = firstlight("run", "--data", "digits", "--model", "mlp-128", *options, "--out", tmp_path / "run")
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "run").exists()


def test_without_pytorch_its_engine_says_how_to_install_it(
    firstlight: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("firstlight.engines.find_spec", lambda name: None)
    answer = firstlight("run", "--data", "digits", "--engine", "torch", "--out", tmp_path / "run")
    assert answer.code == 2
    assert "pip install 'firstlight[torch]'" in answer.err
