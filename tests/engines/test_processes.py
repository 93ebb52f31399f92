"""Training in several processes: real ones, started by torchrun, that talk through gloo on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from firstlight import experiments, processes
from firstlight.console import TrainingProgress
from firstlight.records.run_folder import CHECKPOINTS, RunFolder

pytestmark = pytest.mark.slow

EXPERIMENT = """
engine = "torch"
precision = "float64"
exact_noise = true
device = "cpu"
[data]
source = "digits"
[model]
layers = [
    { type = "Conv2D", filters = 16, l2 = 1e-3 },
    { type = "ReLU" },
    { type = "Dropout", rate = 0.2 },
    { type = "Flatten" },
    { type = "Dense", units = 64 },
    { type = "Tanh" },
    { type = "Dropout", rate = 0.3 },
    { type = "Dense", units = 10 },
]
[optimizer]
name = "sgd"
lr = 0.05
momentum = 0.9
[schedule]
name = "cosine"
[penalty]
l1 = 1e-5
[training]
epochs = 15
batch_size = 61
"""
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "penalty", "learning_rate")


def torchrun(*arguments: object, count: int = 2, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start `count` processes together, or one by itself."""
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    return subprocess.Popen(
        [sys.executable, *together, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def finished(started: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str, str]:
    """The exit code and what was printed."""
    try:
        out, err = started.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        started.terminate()
        out, err = started.communicate()
        raise AssertionError(f"it did not end:\n{out}\n{err}") from None
    return started.returncode, out, err


def process_of(started: subprocess.Popen[str], rank: int) -> int:
    """The id of the process with this rank."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == started.pid and f"RANK={rank}" in (entry / "environ").read_text().split("\0"):
                return int(entry.name)
        except OSError:
            continue  # it has ended meanwhile
    raise AssertionError(f"no process of rank {rank}")


def wait_for(checkpoint: Path, started: subprocess.Popen[str]) -> None:
    """Wait until a checkpoint is complete."""
    while not (checkpoint / "manifest.json").exists():
        assert started.poll() is None, finished(started)
        time.sleep(0.01)


def histories(*folders: Path) -> list[np.ndarray[Any, Any]]:
    return [np.stack([RunFolder.open(folder).history[name] for name in COLUMNS]) for folder in folders]


def assert_same_course(one: Path, other: Path) -> None:
    a, b = histories(one, other)
    assert a.shape == b.shape
    assert np.abs(a - b).max() < 1e-9
    assert a[1, -1] < a[1, 0] / 2, "something was learnt"
    predicted = [RunFolder.open(folder).predictions["test"].probabilities for folder in (one, other)]
    assert np.abs(predicted[0] - predicted[1]).max() < 1e-6


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "experiment.toml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="module")
def alone(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process, which was never stopped."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    experiments.start(
        experiments.set_up(experiments.Experiment.of(experiments.read(file))),
        out,
        TrainingProgress(Console(quiet=True)),
    )
    return out


def test_two_processes_have_the_loss_curve_of_one(file: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    code, printed, err = finished(torchrun("-m", "firstlight", "run", file, "--out", out))
    assert code == 0, err
    assert_same_course(alone, out)
    assert printed.count("test accuracy") == len(re.findall("epoch +3/15", printed)) == printed.count("Report:") == 1
    assert "firstlight" not in err
    assert "Warning" not in err
    assert RunFolder.open(out).environment.processes == 2
    names = [{path.name for path in folder.iterdir()} for folder in (alone, out)]
    assert names[0] | {"report.html"} == names[1]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_killed_ends_the_run_so_that_one_can_go_on(
    file: Path, alone: Path, tmp_path: Path, firstlight: Any, rank: int
) -> None:
    out = tmp_path / "killed"
    started = torchrun("-m", "firstlight", "run", file, "--out", out)
    wait_for(out / CHECKPOINTS / "epoch-00002", started)
    os.kill(process_of(started, rank), signal.SIGKILL)
    code, _, err = finished(started)
    assert code != 0
    [message] = [line for line in err.splitlines() if line.startswith("firstlight: ")]
    assert message == (
        "firstlight: Another of the 2 processes that train together has ended. The checkpoint of the last complete "
        f"epoch is kept. Resume it: firstlight resume {out}"
    )
    assert "src/firstlight" not in err, "no traceback of ours"
    done = len(RunFolder.open(out).history["loss"])
    assert 1 <= done < 15
    answer = firstlight("resume", out)
    assert answer.code == 0, answer.err
    assert_same_course(alone, out)


def test_processes_asked_to_stop_do_so_together_and_go_on_together(file: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    started = torchrun("-m", "firstlight", "run", file, "--out", out)
    wait_for(out / CHECKPOINTS / "epoch-00001", started)
    started.terminate()
    _, printed, err = finished(started)
    assert f"firstlight resume {out}" in printed, err
    assert RunFolder.open(out).result.status == "interrupted"
    assert "src/firstlight" not in err
    code, printed, err = finished(torchrun("-m", "firstlight", "resume", out))
    assert code == 0, err
    assert printed.count("test accuracy") == 1
    assert_same_course(alone, out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "training.batch_size"),
        (["--out", "there"], "exists already"),
    ],
    ids=["bad experiment", "folder in the way"],
)
def test_an_error_is_told_once(file: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").touch()
    out = ["--out", str(tmp_path / "a")] if "--out" not in arguments else []
    arguments = [str(tmp_path / "there") if argument == "there" else argument for argument in arguments]
    code, printed, err = finished(torchrun("-m", "firstlight", "run", file, *arguments, *out))
    assert code != 0
    [line] = [line for line in (printed + err).splitlines() if line.startswith("firstlight: ")]
    assert message in line
    assert "src/firstlight" not in err, "no traceback of ours"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["notes.txt"]


# What each process does in the tests below: it trains as `changes` say, and leaves what came of it in a file.
SCRIPT = """
import json, sys
from dataclasses import replace
import numpy as np
import firstlight as fl
from firstlight import data, processes
from firstlight.engines import Task
from firstlight.engines.torch import ComputeMode, TorchEngine
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool2D, Tanh
from firstlight.losses import CrossEntropy
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Augmentation, Preparation
from firstlight.errors import FirstlightError

images = data.split(data.load("digits"))["train"].take(np.arange(127))
net = Chain((Conv2D(4, 3), BatchNorm(), Tanh(), Flatten(), Dense(12, bias=False), BatchNorm(), Tanh(), Dense(10)))
task = Task(Model("net", net, (8, 8, 1), 10), CrossEntropy(), Preparation.fit(images), SGD(momentum=0.5), l2=1e-3)
running_stats = frozenset({"batchnorm1", "batchnorm2"})
answer = {}
mixed = Augmentation.of({"rotate": 20, "noise": 0.1, "flip_horizontal": 0.5, "mixup": 1.0})
drawn = {"share_norms": True, "augmentation": mixed}
every = {"shared": {"share_norms": True}, "own": {}, "running": {"running_stats": running_stats}, "augmented": drawn}
for name, changes in every.items():
    for precision in ("float64", "bfloat16"):
        session = TorchEngine("cpu", precision, True).session(replace(task, **changes), images)
        session.use(ComputeMode(channels_last=name == "running", half=session.mode.half))
        tallies = [session.train_epoch(e, 30, np.full(5, 0.1), lambda images, loss: None) for e in range(2)]
        vector = session.vector().tolist()
        step = session.train_step(np.arange(40, 69), 2, 0, 0.1)
        losses = [t.loss for t in tallies] + [t.accuracy for t in tallies] + list(step)
        answer[name + " " + precision] = {"losses": losses, "vector": vector}
plain = Chain((Conv2D(4, 3), MaxPool2D(2), Tanh(), Dropout(0.2), Flatten(), Dense(10)))
plain = replace(task, model=Model("plain", plain, (8, 8, 1), 10), optimizer=SGD(momentum=0.9))
session = TorchEngine("cpu", "float64", True).session(plain, images)
session.warm_up(125, 1)
metrics = session.train_epoch(0, 125, np.full(2, 0.1), lambda images, loss: None)  # the last batch has 2 images
answer["few"] = [metrics.loss, metrics.accuracy, *session.vector()]
session = TorchEngine("cpu", "bfloat16", True).session(task, images)
one = images.take(np.arange(1))
answer["outputs"] = [session.outputs(some).tolist() for some in (images, one)]
answer["agreed"] = [session.agree(processes.rank() == 1), session.agree(False)]
answer["shared"] = session.share(f"from {processes.rank()}")
session.warm_up(60, 1)
answer["mode"] = session.describe()
run = fl.fit("softmax-regression", "digits", epochs=1, settings={"engine": "torch", "device": "cpu"})
answer["run"] = [run.accuracy, str(run.path), run.class_names]
try:
    session.warm_up(125, 1)
    answer["refused"] = ""
except FirstlightError as error:
    answer["refused"] = str(error)
with open(f"{sys.argv[1]}.{processes.rank()}", "w") as file:
    json.dump(answer, file)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Any]]:
    """What the script gives in one process, and in each of three."""
    folder = tmp_path_factory.mktemp("answers")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    found = {}
    for count in (1, 3):
        code, out, err = finished(torchrun(script, folder / f"{count}", count=count, cwd=folder))
        assert code == 0, out + err
        assert "Warning" not in err, err
        found[count] = [json.loads((folder / f"{count}.{rank}").read_text()) for rank in range(count)]
    return found


@pytest.mark.parametrize("name", ["shared", "running", "augmented"])
def test_batch_norms_with_shared_or_running_statistics_learn_as_in_one_process(
    answers: dict[int, list[Any]], name: str
) -> None:
    [one], three = answers[1], answers[3]
    assert one["augmented float64"]["vector"] != one["shared float64"]["vector"]
    for answer in three:
        for key in ("losses", "vector"):  # running statistics are part of it
            assert np.abs(np.subtract(answer[f"{name} float64"][key], one[f"{name} float64"][key])).max() < 1e-9
            near = np.abs(np.subtract(answer[f"{name} bfloat16"][key], one[f"{name} float64"][key])).max()
            assert 0 < near < 0.1, "in half precision nearly so"


def test_batch_norms_of_their_own_learn_otherwise_but_all_processes_end_alike(answers: dict[int, list[Any]]) -> None:
    [one], three = answers[1], answers[3]
    key = "own float64"
    assert np.abs(np.subtract(three[0][key]["vector"], one[key]["vector"])).max() > 1e-3
    assert three[0] == three[1] | {"agreed": three[0]["agreed"]} == three[2]


def test_the_parts_that_processes_evaluate_make_a_whole(answers: dict[int, list[Any]]) -> None:
    [one], three = answers[1], answers[3]
    for some in range(2):
        whole = np.array(one["outputs"][some])
        assert whole.shape == ((127, 10), (1, 10))[some]
        for answer in three:
            assert np.array(answer["outputs"][some]).shape == whole.shape
            assert np.abs(np.array(answer["outputs"][some]) - whole).max() < 0.1  # trained in half precision


def test_processes_agree_and_follow_the_first(answers: dict[int, list[Any]]) -> None:
    assert [answer["agreed"] for answer in answers[3]] == [[True, False]] * 3
    assert [answer["agreed"] for answer in answers[1]] == [[False, False]]
    assert [answer["shared"] for answer in answers[3]] == ["from 0"] * 3


def test_processes_choose_the_same_way(answers: dict[int, list[Any]]) -> None:
    assert len({json.dumps(answer["mode"]) for answer in answers[3]}) == 1
    assert answers[3][0]["mode"]["processes"] == 3


def test_batches_too_small_for_batch_norm_are_refused_before_training(answers: dict[int, list[Any]]) -> None:
    assert [answer["refused"] for answer in answers[1]] == [""]
    for answer in answers[3]:
        assert "127 images in batches of 125, one of 3 processes gets only 0 of the smallest" in answer["refused"]


def test_a_process_may_have_no_image_of_a_batch(answers: dict[int, list[Any]]) -> None:
    [one], three = answers[1], answers[3]
    for answer in three:
        assert np.abs(np.subtract(answer["few"], one["few"])).max() < 1e-9


def test_every_process_gets_the_run_that_the_first_one_wrote(answers: dict[int, list[Any]]) -> None:
    assert [answer["run"] for answer in answers[3]] == [answers[3][0]["run"]] * 3
    assert answers[3][0]["run"][1] == "runs/softmax-regression-digits-2", "the second, after that of one process"
    assert answers[3][0]["run"][0] == pytest.approx(answers[1][0]["run"][0], abs=0.02)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, as if it were the second of two on the second of two machines with two each."""
    values = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second")
def test_a_process_knows_its_place() -> None:
    assert (processes.rank(), processes.local_rank()) == (3, 1)
    assert (processes.world_size(), processes.local_world_size()) == (4, 2)
    assert not processes.is_main()


def test_a_process_alone_leads() -> None:
    assert (processes.rank(), processes.local_rank()) == (0, 0)
    assert (processes.world_size(), processes.local_world_size()) == (1, 1)
    assert processes.is_main()


@pytest.mark.usefixtures("second")
def test_only_the_first_looks_for_the_folder_or_writes_to_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments.must_be_free(tmp_path)
    TrainingProgress(Console()).note("hello")
    assert capsys.readouterr().out == ""
