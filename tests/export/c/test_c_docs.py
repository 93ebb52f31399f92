"""The program in docs/guide/export.md works as it stands there."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.export.c.compiling import compiled
from tests.export.exporting import distances_of, exportable_of, images, task_of, weights_of

from firstlight.export.c import C
from firstlight.export.inference_graph import operations_of
from firstlight.export.reference import values
from firstlight.layers import Chain, Dense, Flatten
from firstlight.models import Model

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "export.md"


@pytest.mark.parametrize("int8", [False, True])
def test_the_program_of_the_docs_names_the_class_of_a_picture(c_compiler: str, tmp_path: Path, int8: bool) -> None:
    blocks = re.findall(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (program,) = (block for block in blocks if "main(" in block)
    assert len(program.splitlines()) <= 20
    model = Model("net", Chain((Flatten(), Dense(3))), (5, 4, 1), 3)
    leaving = exportable_of(task_of(model), weights_of(model))
    (tmp_path / "lenet5.c").write_bytes(C(int8=int8).write(leaving, "Verified.")["net.c"])
    (tmp_path / "classify.c").write_text(program)
    made = compiled(tmp_path, [tmp_path / "classify.c"])
    pixels = images((5, 4, 1), 1, seed=9).pixels
    (tmp_path / "picture.pgm").write_bytes(b"P5\n4 5\n255\n" + pixels.tobytes())
    told = subprocess.run([str(made), str(tmp_path / "picture.pgm")], capture_output=True, text=True)
    *_, (_, y) = values(leaving.operations, pixels)
    name, share = re.fullmatch(r"(class \d) ([\d.]+) %\n", told.stdout).groups()  # type: ignore[union-attr]
    assert name == f"class {y.argmax()}"
    assert float(share) == pytest.approx(100 * y.max(), abs=1)
    (tmp_path / "picture.pgm").write_bytes(b"P5\n5 4\n255\n" + pixels.tobytes())
    wrong = subprocess.run([str(made), str(tmp_path / "picture.pgm")], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (1, "usage: classify IMAGE.pgm, 4 by 5 pixels\n")


def test_the_calls_that_the_docs_list_are_those_of_the_file() -> None:
    block = re.findall(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    model = Model("net", Chain((Flatten(), Dense(3))), (5, 4, 1), 3)
    task, vector = task_of(model), weights_of(model)
    classes, _ = distances_of(task, vector, images((5, 4, 1), 2).pixels)
    leaving = replace(exportable_of(task, vector), operations=operations_of(task, vector, classes))
    source = C().write(leaving, "Verified.")["net.c"].decode()
    for line in block.splitlines():
        declared = re.sub(r"\[\]", "[", line.split(";")[0]).split("[")[0]
        assert declared in source
