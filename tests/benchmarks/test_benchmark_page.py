"""The page and its plots, from a record; the record whole or not at all; commands timed as processes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.goals import goals
from benchmarks.page import page
from benchmarks.passages import PASSAGES
from benchmarks.processes import CommandError, timed
from benchmarks.record import RecordError, figures, ms
from benchmarks.sections import SECTIONS, Options, records

from benchmarks import __main__ as command
from benchmarks import plots, record

WHERE: dict[str, Any] = {
    "machine": {"processor": "An abacus", "cores": 2, "memory_gb": 1.0, "system": "Wood"},
    "python": "3.11.7",
    "versions": {"firstlight": "0.1.0", "torch": "2.13.0"},
    "git": "abc",
    "started": "2026-11-21T00:00:00+00:00",
    "rounds": 7,
    "quick": False,
    "seconds": 12.0,
}


def case(name: str, **turns: list[float]) -> dict[str, Any]:
    turns = {key.replace("_", "-"): value for key, value in turns.items()}
    left_out = {"jax": "jax not installed"}
    return {"name": name, "batch": 32, "turns": turns, "chosen": {}, "left_out": left_out, "idle": {"firstlight": 0.02}}


@pytest.fixture
def measured() -> dict[str, Any]:
    """Step times of two nets, and a run."""
    steps = [
        case("lenet5, batch 32", firstlight=[1e-3] * 7, torch=[5e-3] * 7, torch_compiled=[6e-3] * 7),
        case("mnist-cnn, batch 64", firstlight=[8e-3] * 7, torch=[9e-3] * 7, keras_tensorflow=[32e-3] * 7),
    ]
    detail = {"seconds": 10.0, "memory": 500e6, "accuracy": 0.9, "set": 42_336_000, "epochs": [1.0]}
    detail["parts"] = {"data": 1.0, "compile": 0.4, "train": 7.0, "evaluate": 0.2}
    run = {"epochs": 10, "turns": {"firstlight": [10.0] * 3}, "details": {"firstlight": [detail]}, "left_out": {}}
    turns = {"epoch": [1.1e-3] * 7, "ready": [1.05e-3] * 7, "gather": [5e-5] * 7, "order": [1e-6] * 7}
    return {
        "format": 1,
        "sections": {
            "steps": {**WHERE, "cases": steps},
            "run": {**WHERE, **run},
            "epoch": {**WHERE, "turns": turns, "images": 54_000, "batch": 32},
        },
    }


def test_goals_are_reached_missed_or_not_measured(measured: dict[str, Any]) -> None:
    found = {goal.what: goal for goal in goals(measured["sections"])}
    assert found["lenet5, batch 32: times faster than PyTorch's fastest"].reached is False
    assert found["lenet5, batch 32: times faster than Keras/TF `fit`"].reached is None
    assert found["mnist-cnn, batch 64: times faster than PyTorch's fastest"].reached is False
    assert found["mnist-cnn, batch 64: times faster than Keras/TF `fit`"].reached is True
    assert found["its peak memory"][1:] == ("the training set twice + 300 MB: 385 MB", "500 MB", False)
    assert found["an epoch, in its steps"][2:] == ("1.10", True)
    assert found["`firstlight --help`"].reached is None


def test_the_page_says_it_plainly(measured: dict[str, Any]) -> None:
    text = page(measured)
    assert "An abacus, 2 cores" in text
    assert "torch 2.13.0" in text
    assert (
        "| lenet5, batch 32: times faster than PyTorch's fastest | 6 | 5.00 (5.00 by rounds; PyTorch eager) |" in text
    )
    assert "| mnist-cnn, batch 64 | 8.00 ± 0.00 | 9.00 ± 0.00 |" in text
    assert "**missed**" in text
    assert "Left out, plain JAX: jax not installed." in text
    assert "n = 7" in text
    assert "at most 2.0% of a core" in text
    assert "Not measured yet: lenet5, batch 32: times faster than Keras/TF `fit`; " in text
    [command] = re.findall(r"`python -m benchmarks --only (.+)`", text.partition("## Not measured yet")[2])
    assert set(command.split()) == SECTIONS.keys() - {"steps", "run", "epoch"}
    assert "no measurement" not in text
    measured["sections"]["steps"]["quick"] = True
    assert "no measurement" in page(measured)


def test_a_row_in_which_a_peer_is_faster_stands_first(measured: dict[str, Any]) -> None:
    cases = measured["sections"]["steps"]["cases"]
    rows = [page(measured).index(f"\n| {name} | ") for name in ("lenet5, batch 32", "mnist-cnn, batch 64")]
    assert rows[0] < rows[1]
    cases[1]["turns"]["keras-tensorflow"] = [7e-3] * 7
    rows = [page(measured).index(f"\n| {name} | ") for name in ("lenet5, batch 32", "mnist-cnn, batch 64")]
    assert rows[1] < rows[0]


def test_a_map_counts_only_in_full(measured: dict[str, Any]) -> None:
    maps = {"firstlight-map": {"library": "openTSNE 1.0.4", "agreement": {"before": 0.8, "after": 0.75}}}
    embed = {**WHERE, "points": 10_000, "features": 128, "source": "fashion-mnist", "maps": maps}
    embed |= {"turns": {"firstlight-map": [50.0, 30.0, 35.0]}, "left_out": {"scikit-learn-map": "it broke"}}
    measured["sections"]["embed"] = embed
    what = "10,000 images of 128 features on a map by t-SNE"
    assert {goal.what: goal[1:] for goal in goals(measured["sections"])}[what] == ("under 40 s", "35.0 s", True)
    text = page(measured)
    assert "| firstlight with openTSNE (openTSNE 1.0.4) | 35.0 ± 5.0 s | 0.750 |" in text
    assert "Left out, scikit-learn's TSNE: it broke." in text
    embed["points"] = 1000
    assert {goal.what: goal.reached for goal in goals(measured["sections"])}[what] is None


def test_sections_measured_elsewhere_are_told_apart(measured: dict[str, Any]) -> None:
    measured["sections"]["run"] |= {"machine": WHERE["machine"] | {"cores": 64}}
    text = page(measured)
    assert "2 cores, 1.0 GB" in text
    assert "64 cores, 1.0 GB" in text
    assert "(steps, epoch)" in text


def test_the_title_says_on_which_kind_of_processor(measured: dict[str, Any]) -> None:
    assert page(measured).startswith("# Benchmarks\n")
    measured["sections"]["run"]["instructions"] = "AVX2"
    assert page(measured).startswith("# Benchmarks, AVX2\n")
    measured["sections"]["epoch"]["instructions"] = "AVX-512"
    assert page(measured).startswith("# Benchmarks\n")
    assert "An abacus with AVX-512, 2 cores" in page(measured)


def test_every_section_has_its_passage() -> None:
    assert PASSAGES.keys() == SECTIONS.keys()
    assert {plot.section for plot in plots.PLOTS.values()} <= SECTIONS.keys()
    missing = page({"format": 1, "sections": {}}).partition("## Not measured yet")[2]
    assert set(SECTIONS) <= set(missing.partition("--only ")[2].partition("`")[0].split())


def test_plots_are_written_for_what_was_measured(measured: dict[str, Any], tmp_path: Path) -> None:
    plots.write(measured, tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "benchmarks-steps.svg"
    drawing = path.read_text()
    assert drawing.startswith("<svg")
    for text in ("mnist-cnn, batch 64", "PyTorch compiled", 'fill="white"'):
        assert text in drawing


def test_a_section_is_put_in_place_and_the_others_stay(measured: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "docs" / record.NAME
    record.put(path, "startup", {"turns": {"a": [1 / 3]}}, Options(), 3.21)
    record.put(path, "steps", {"cases": []}, Options(quick=True, rounds=2), 1.0)
    sections = record.read(path)["sections"]
    assert sections["startup"]["turns"] == {"a": [0.333333]}
    assert sections["startup"]["quick"] is False
    assert sections["steps"]["rounds"] == 2
    assert "firstlight" in sections["steps"]["versions"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 7, "sections": {}}', '{"format": 1, "sections": []}'])
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / record.NAME
    path.write_text(text)
    with pytest.raises(RecordError, match="is not a record of benchmarks"):
        record.read(path)


def test_the_command_writes_the_page_anew(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / record.NAME).write_text(json.dumps(measured))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--page", "--out", str(tmp_path)])
    assert command.main() == 0
    assert (tmp_path / "benchmarks.md").read_text() == page(measured)
    assert (tmp_path / "images" / "benchmarks-steps.svg").exists()


def test_too_few_rounds_are_no_measurement(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--rounds", "3"])
    with pytest.raises(SystemExit):
        command.main()
    assert "fewer than 7" in capsys.readouterr().err


def test_figures() -> None:
    assert [figures(value) for value in (0.01234, 1.2345, 12.345, 123.45, 1234.5, 0.0)] == [
        "0.0123",
        "1.23",
        "12.3",
        "123",
        "1234",
        "0",
    ]
    assert ms([1e-3, 2e-3, 3e-3]) == "2.00 ± 0.50"


def test_a_command_is_timed_with_its_own_memory() -> None:
    small = timed([sys.executable, "-S", "-c", "pass"])
    large = timed([sys.executable, "-S", "-c", "b = bytearray(100_000_000); b[::4096] = b[::4096]"])
    assert small.seconds > 0
    assert 90e6 < large.memory - small.memory < 150e6


def test_a_command_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(CommandError, match=r"exit code 2: no such thing"):
        timed([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(2)"])
    with pytest.raises(CommandError, match="could not be started"):
        timed(["/there/is/no/such/program"])


def test_one_image_is_measured_beside_the_fastest_peer(measured: dict[str, Any]) -> None:
    turns = {"firstlight": [2e-5] * 7, "onnxruntime": [3e-5, 4e-5, 5e-5, 4e-5, 4e-5, 4e-5, 4e-5], "torch": [1e-4] * 7}
    measured["sections"]["single"] = {**WHERE, "cases": [case("one image", **turns)]}
    [found] = [goal for goal in goals(measured["sections"]) if "one image" in goal.what]
    assert found[2:] == ("0.500 (0.500 by rounds; ONNX Runtime)", True)
    text = page(measured)
    assert "| firstlight | 20.0 | 20.0 to 20.0 |" in text
    assert "| ONNX Runtime | 40.0 | 40.0 to 40.0 |" in text
    measured["sections"]["single"]["cases"][0]["turns"]["firstlight"] = [5e-5] * 7
    assert [goal.reached for goal in goals(measured["sections"]) if "one image" in goal.what] == [False]


def test_a_service_is_measured_beside_a_bare_one(measured: dict[str, Any]) -> None:
    def loads(p50: float) -> list[dict[str, float]]:
        return [{"rate": 500.0, "p50": p50, "p99": 0.02}] * 7

    names = ("firstlight-serve", "bare-server")
    serve = {**WHERE, "connections": 64, "of_each_turn": 3.0, "libraries": {"uvicorn": "1.0"}, "left_out": {}}
    serve |= {"turns": dict(zip(names, ([0.0004] * 7, [0.0005] * 7), strict=True))}
    own = "half of its own saturation"
    both = dict(zip(names, (loads(0.003), loads(0.002)), strict=True))
    measured["sections"]["serve"] = serve | {"latencies": {own: both, "half of the bare server's": both}}
    found = [
        goal[2:]
        for goal in goals(measured["sections"])
        if "serv" in goal.what or goal.what.startswith(("its p50", "its p99"))
    ]
    assert found == [("1.25 (1.25 by rounds)", True), ("1.50 (1.50 by rounds)", False), ("1.00 (1.00 by rounds)", True)]
    text = page(measured)
    assert "| `firstlight serve` | saturation | **2,500 ± 0** |  |  |" in text
    assert f"| ONNX Runtime behind starlette | {own} | 500 | 2.00 ± 0.00 | 20.0 ± 0.0 |" in text


def test_a_record_has_the_median_of_its_seconds_and_its_least_accuracy() -> None:
    ours = [{"seconds": 5.0 + n, "train": 3.0, "accuracy": 0.92 + n / 1000} for n in range(5)]
    section = {"study": "fashion-fast", "runs": {"firstlight": ours, "PyTorch": ours[:1]}, "threads": 2}
    section["file"] = records.recipe("fashion-fast")
    lines = PASSAGES["fashion-fast"].write(section)
    assert "| firstlight | 7.0 ± 1.0 | 3.0 | 0.9220 | 0.9200 | 5 |" in lines
    assert "| PyTorch | 5.0 ± 0.0 | 3.0 | 0.9200 | 0.9200 | 1 |" in lines
    assert lines == PASSAGES["fashion-fast"].write(section | {"left_out": {}})
    left = PASSAGES["fashion-fast"].write(section | {"left_out": {"PyTorch, bfloat16": "no instruction"}})
    assert left == [*lines, "", "Left out, PyTorch, bfloat16: no instruction."]
    old = PASSAGES["fashion-fast"].write(section | {"file": records.recipe("mnist-fast")})
    assert old[: len(lines)] == lines
    assert "changed" in old[-1]


def test_runs_of_a_fast_study_go_on_where_they_were_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[int, tuple[str, ...]]] = []

    def run(file: Path, out: Path, seed: int, *arguments: str) -> dict[str, float]:
        assert "airbench" in file.read_text()
        if "--set" not in arguments:  # which compiles alone
            if len(ended) == 3:
                raise KeyboardInterrupt
            ended.append((seed, arguments))
        return {"seed": seed, "seconds": 2.0 + seed, "train": 1.0, "accuracy": 0.9}

    monkeypatch.setattr(records, "_run", run)
    monkeypatch.setattr(records, "LEFT_OUT", {"PyTorch, bfloat16": "no instruction"})
    options = Options(seeds=2, begun=tmp_path / "begun.json")
    with pytest.raises(KeyboardInterrupt):
        records.cifar_fast(options)
    del ended[:]
    section = records.cifar_fast(options)
    torch = ("--engine", "torch", "--device", "cpu")
    assert ended == [(1, torch)], "the other three were on the disk"
    assert {who: [run["seed"] for run in runs] for who, runs in section["runs"].items()} == {
        "firstlight": [0, 1],
        "PyTorch": [0, 1],
    }
    assert section["seconds"] == 10


@pytest.mark.parametrize(("seconds", "accuracy", "reached"), [(5, 0.92, True), (7, 0.92, False), (5, 0.919, False)])
def test_a_record_is_reached_by_its_accuracy_within_its_time(seconds: float, accuracy: float, reached: bool) -> None:
    runs = {"firstlight": [{"seconds": seconds, "train": 3.0, "accuracy": accuracy}] * 5}
    section = {"study": "fashion-fast", "file": records.recipe("fashion-fast"), "runs": runs}
    found = {goal.what: goal for goal in goals({"fashion-fast": section})}
    now = found["fashion-fast: accuracy on the test images"]
    assert now.reached is reached
    assert found["mnist-fast: accuracy on the test images"].reached is None
    (then,) = (goal for goal in goals({"fashion-fast": section | {"file": ""}}) if goal.what == now.what)
    assert then.found.startswith(now.found)
    assert then.found != now.found
