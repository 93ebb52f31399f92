"""The C file: verified by a compiler, checks itself, says what it needs, and holds whatever names people give."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.c.compiling import SANITIZED, compiled
from tests.export.exporting import engine_probabilities, exportable_of, images, task_of, weights_of

from firstlight.errors import ExperimentError, ExportError, NoRuntimeError
from firstlight.export import Expected, Exportable, export, open_format
from firstlight.export.c import C, compiler
from firstlight.export.c.integer_operations import FloatProduct, Int8Prepare, Int8Product
from firstlight.export.gate import Files
from firstlight.export.inference_graph import Convolution, Operation, Prepare, Product
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, MaxPool2D, ReLU
from firstlight.models import Model
from firstlight.records import exports
from firstlight.records.run_folder import RunFolder

LAYERS = (Conv2D(4, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Dense(3), ReLU(), Dense(3))
MODEL = Model("small", Chain(LAYERS), (6, 6, 1), 3)


@pytest.fixture(scope="module")
def leaving() -> tuple[Exportable, Expected]:
    task, vector = task_of(MODEL, standardise="channel"), weights_of(MODEL)
    test = images(MODEL.input_shape, 40, seed=7)
    return exportable_of(task, vector), Expected(test, engine_probabilities(task, vector, test.pixels))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def self_test(folder: Path, source: bytes) -> subprocess.CompletedProcess[str]:
    (folder / "net.c").write_bytes(source)
    program = compiled(folder, [folder / "net.c"], *SANITIZED, "-DFIRSTLIGHT_SELF_TEST")
    return subprocess.run([str(program)], capture_output=True, text=True)


def test_what_agrees_is_written_and_checks_itself(
    c_compiler: str, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    record = export(folder, leaving[0], C(), None, leaving[1])
    assert record.verified
    assert (record.path, record.images) == ("export/net.c", 40)
    assert record.largest_difference == pytest.approx(0, abs=1e-5)
    source = (folder.path / record.path).read_bytes()
    told = self_test(folder.path, source)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("firstlight: 10 of 10 test images as expected")
    head = source.decode("ascii").split("*/", 1)[0]
    assert re.search(r"code [\d,]+ bytes, stack [\d,]+ bytes", head)
    weights = [one.W.size + one.b.size for one in leaving[0].operations if isinstance(one, Convolution | Product)]
    assert record.facts["memory"].startswith(f"{constants(source):,} bytes of weights and tables, ")
    assert constants(source) == 4 * (sum(weights) + 2)  # and the preparation's scale and shift


def test_a_file_with_another_weight_fails_its_own_test(
    c_compiler: str, tmp_path: Path, leaving: tuple[Exportable, Expected]
) -> None:
    model = replace(leaving[0], samples=leaving[1].samples(10))
    source = C().write(model, "Verified.")["net.c"]
    spoilt = re.sub(rb"(dense2_b\[3\] = \{\s+)", rb"\g<1>9.0f + ", source)
    assert spoilt != source
    told = self_test(tmp_path, spoilt)
    assert told.returncode == 1
    assert not told.stdout.startswith("firstlight: 10 of 10")


def constants(source: bytes) -> int:
    """The bytes of constants that a file says it has."""
    found = re.search(rb"flash ([\d,]+)", source)
    assert found is not None
    return int(found[1].replace(b",", b""))


Spoil = Callable[[Operation], Operation]


def _flipped(one: Operation) -> Operation:
    if not isinstance(one, Product | FloatProduct) or one.path != "dense2":
        return one
    W = one.W.copy()
    W[1, 1] *= -1
    return replace(one, W=W)


def _unprepared(one: Operation) -> Operation:
    if isinstance(one, Int8Prepare):
        return replace(one, table=np.roll(one.table, 40, axis=1))
    if not isinstance(one, Prepare):
        return one
    return replace(one, scale=np.full_like(one.scale, 1 / 255), shift=np.zeros_like(one.shift))


def _transposed(one: Operation) -> Operation:
    if not isinstance(one, Product | Int8Product | FloatProduct):
        return one
    return replace(one, W=one.W.T.reshape(one.W.shape))


@pytest.mark.parametrize("spoil", [_flipped, _unprepared, _transposed])
def test_a_spoilt_export_is_not_written(
    c_compiler: str, spoil: Spoil, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    class Spoilt(C):
        def write(self, model: Exportable, claim: str) -> Files:
            return super().write(replace(model, operations=tuple(map(spoil, model.operations))), claim)

    with pytest.raises(ExportError, match="does not agree with the model, so nothing was written"):
        export(folder, leaving[0], Spoilt(), None, leaving[1])
    assert not (folder.path / "export").exists()
    assert exports.read(folder) == ()


HOSTILE = (
    "*/ #error out",
    "??/",
    "/* \\",
    'a"; int x = "',
    "\\x41BC %s %n",
    "Ünïcode 7",
    "\u202egnp",
    "\ud800",
    "a\nb",
)


def test_names_cannot_leave_their_comment_or_string(c_compiler: str, tmp_path: Path) -> None:
    layers = (Flatten(name="1 */"), Dense(4, name="static"), Dense(9, name="ü??/"))
    model = Model("*/ net", Chain(layers), (2, 2, 1), 9)
    task, vector = task_of(model), weights_of(model)
    leaving = replace(exportable_of(task, vector), class_names=HOSTILE, facts=dict.fromkeys(HOSTILE, "*/ ??/"))
    source = C().write(leaving, "Verified */ by ??/")["net.c"]
    assert self_test(tmp_path, source).returncode == 0
    shown = '#include <stdio.h>\n#include "net.c"\nint main(void) { for (int k = 0; k < 9; k++) puts(firstlight_classes[k]); }\n'  # noqa: E501
    (tmp_path / "show.c").write_text(shown)
    program = compiled(tmp_path, [tmp_path / "show.c"])
    told = subprocess.run([str(program)], capture_output=True).stdout
    assert told == b"".join(name.encode("utf-8", "backslashreplace") + b"\n" for name in HOSTILE)


def test_odd_numbers_are_kept_exactly(c_compiler: str, tmp_path: Path) -> None:
    model = Model("net", Chain((Flatten(), Dense(3))), (2, 2, 1), 3)
    task, vector = task_of(model), weights_of(model)
    odd = np.array([1e-45, 3.4028235e38, -0.0, 1 / 3, 16777217, 1.1754942e-38, -1e-7, 1, 0.1, 2, 5, 123456.79])
    vector[:12] = odd.astype(np.float32)
    (W,) = [one.W for one in exportable_of(task, vector).operations if isinstance(one, Product)]
    source = C().write(exportable_of(task, vector), "Verified.")["net.c"]
    (tmp_path / "net.c").write_bytes(source)
    (tmp_path / "show.c").write_text(
        '#include <stdio.h>\n#include "net.c"\nint main(void) { fwrite(dense1_W, 4, 12, stdout); return 0; }\n'
    )
    told = subprocess.run([str(compiled(tmp_path, [tmp_path / "show.c"]))], capture_output=True).stdout
    assert told == W.tobytes()
    with pytest.raises(ExportError, match="not finite"):
        C().write(exportable_of(task, np.full_like(vector, np.inf)), "Verified.")


def test_what_c_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch, leaving: tuple[Exportable, Expected]) -> None:
    long = replace(leaving[0], class_names=("a" * 5000, "b", "c"))
    with pytest.raises(ExportError, match=r"name of the class.*5,000 bytes"):
        C().write(long, "Verified.")
    monkeypatch.setattr("firstlight.export.c.c_format.MOST_WEIGHTS", 10)
    with pytest.raises(ExportError, match="Export it to onnx"):
        C().write(leaving[0], "Verified.")


def test_without_a_compiler_it_is_written_and_says_so(
    monkeypatch: pytest.MonkeyPatch, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    def none(*_: object) -> tuple[str, str]:
        raise NoRuntimeError("no C compiler is at hand.")

    monkeypatch.setattr(compiler, "compiler", none)
    record = export(folder, leaving[0], C(), None, leaving[1])
    assert not record.verified
    source = (folder.path / record.path).read_text(encoding="ascii")
    assert "Not verified: no C compiler is at hand." in source
    assert "test_images[10]" in source


def test_no_compiler_and_a_broken_one_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler.compiler.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRuntimeError, match="no C compiler"):
        compiler.compiler()
    (tmp_path / "cc").write_text("#!/bin/sh\necho no headers >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    with pytest.raises(NoRuntimeError, match="does not build an executable: no headers"):
        compiler.compiler()
    for spoilt, why in {
        "#!/bin/sh\nexec /bin/sleep 9\n": "timed out",
        "": "Exec format error",
        "#!/bin/sh\n": "",
    }.items():
        (tmp_path / "cc").write_text(spoilt)
        monkeypatch.setattr(compiler, "TRIAL_SECONDS", 0.2 if why == "timed out" else 10)
        with pytest.raises(NoRuntimeError, match=f"does not build an executable: .*{why}"):
            compiler.compiler()
    compiler.compiler.cache_clear()


def test_a_program_that_fails_or_never_ends_is_told(c_compiler: str, tmp_path: Path) -> None:
    head = "#include <stdint.h>\nint firstlight_predict(const uint8_t *i, float *p) {"
    pixels = images((2, 2, 1), 3).pixels
    for body, says in {
        "*p = 0; *(volatile int *)0 = i[0]; return 0; }": "ended with the code",
        "while (i[0] < 300) *(volatile float *)p = 0; return 0; }": "was stopped",
        "return x; }": "does not compile",
    }.items():
        (tmp_path / "net.c").write_text(head + body)
        with pytest.raises(ExportError, match=says):
            compiler.answers(tmp_path / "net.c", pixels, 3, strangeness=False, seconds=0.5)


def test_the_file_has_no_more_functions_than_it_calls(leaving: tuple[Exportable, Expected]) -> None:
    text = C().write(leaving[0], "Verified.")["net.c"].decode()
    functions = re.findall(r"^static [\w ]*?(\w+)\(", text, re.MULTILINE)
    assert {"convolution", "max_pool", "product", "relu", "softmax"} < set(functions)
    assert "gelu" not in functions
    assert all(len(re.findall(rf"\b{name}\(", text)) > 1 for name in functions)
    assert math.prod(MODEL.input_shape) * 10 < len(text)


def test_int8_is_measured_and_says_so_beside_float32(
    c_compiler: str, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    model, expected = leaving
    record = export(folder, model, C(int8=True, most_loss=100), None, expected)
    assert record.accuracy == pytest.approx((expected.probabilities.argmax(1) == 0).mean(), abs=0.1)
    assert re.fullmatch(
        r"int8 0\.\d{4}, float32 0\.\d{4}; the same class for \d+ of 40 test images", record.facts["accuracy"]
    )
    assert record.facts["calibration"].startswith("32 of 32 training images")
    source = (folder.path / record.path).read_bytes()
    assert record.facts["accuracy"].encode() in source.replace(b"\n  ", b"")
    told = self_test(folder.path, source)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("firstlight: 10 of 10 test images as expected")
    assert constants(source) < constants(C().write(model, "Verified.")["net.c"])


def test_int8_that_loses_too_much_is_not_written(
    c_compiler: str, folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, expected = leaving
    correct = replace(expected.images, labels=expected.probabilities.argmax(1), class_names=("a", "b", "c"))
    narrow = lambda operations, pixels: dict.fromkeys((one.output for one in operations), (-0.01, 0.01))  # noqa: E731
    monkeypatch.setattr("firstlight.export.c.c_format.calibrated", narrow)
    with pytest.raises(ExportError, match=r"float32 1\.0000: a loss of [\d.]+ points, where 1 is allowed"):
        export(folder, model, C(int8=True), None, replace(expected, images=correct))
    assert not (folder.path / "export").exists()


@pytest.mark.parametrize("spoil", [_flipped, _unprepared, _transposed])
def test_a_spoilt_export_in_int8_is_not_written(
    c_compiler: str, spoil: Spoil, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    class Spoilt(C):
        def _files(self, model: Exportable, operations: Sequence[Operation], *rest: Any) -> Files:
            return super()._files(model, tuple(map(spoil, operations)), *rest)

    with pytest.raises(ExportError, match="int8 does not compute what it should, so nothing was written"):
        export(folder, leaving[0], Spoilt(int8=True, most_loss=100), None, leaving[1])
    assert not (folder.path / "export").exists()


@pytest.mark.parametrize("most_loss", [-1, 101, math.nan, "much"])
def test_a_loss_that_is_none_is_refused(most_loss: Any) -> None:
    with pytest.raises(ExperimentError, match=r"most_loss must be a number from 0 to 100"):
        open_format("c", int8=True, most_loss=most_loss)
