"""What a net needs as C: bytes of flash and RAM, time an image and accuracy, in float32 and in int8.

    FIRSTLIGHT_DATA=… python -m benchmarks.c_export [--epochs 5] [--out runs/c-export]

Trains lenet5 and slim-cnn on Fashion-MNIST (finished runs are not repeated), exports each both ways, and writes the
table in docs/guide/export.md again. Flash is for a Cortex-M4 where arm-none-eabi-gcc is at hand, else for this machine.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import firstlight as fl
from benchmarks.passages import table
from firstlight.export.c.compiler import compiler

MODELS = ("lenet5", "slim-cnn")
PAGE = Path(__file__).parents[1] / "docs" / "guide" / "export.md"
BEGIN, END = "<!-- python -m benchmarks.c_export -->", "<!-- end -->"
CORTEX_M4 = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
ROUNDS, IMAGES = 15, 100

DRIVER = f"""\
#include <stdio.h>
#include <time.h>
#include "net.c"

int main(void)
{{
    static uint8_t image[FIRSTLIGHT_HEIGHT * FIRSTLIGHT_WIDTH * FIRSTLIGHT_CHANNELS];
    float probabilities[FIRSTLIGHT_CLASSES];
    for (size_t p = 0; p < sizeof image; p++)
        image[p] = (uint8_t)(p * 37);
    const clock_t start = clock();
    for (int n = 0; n < {IMAGES}; n++)
        firstlight_predict(image, probabilities);
    printf("%g\\n", (double)(clock() - start) / CLOCKS_PER_SEC / {IMAGES} * 1000);
    return 0;
}}
"""


@dataclass(frozen=True)
class Export:
    """One file, and the programs that time it at -O2 and -O3."""

    name: str
    source: Path
    accuracy: float
    programs: dict[str, Path]


def trained(name: str, folder: Path, epochs: int) -> fl.Run:
    """The run of a model; trained where it is not yet."""
    experiment = {
        "data": {"source": "fashion-mnist"},
        "model": {"name": name},
        "optimizer": {"name": "adamw", "lr": 0.002},
        "training": {"epochs": epochs, "batch_size": 128},
    }
    return fl.run(experiment, out=folder / name, reuse=True)


def exported(run: fl.Run, int8: bool, folder: Path) -> Export:
    """The C file of a run, proved, and its programs."""
    kind = "int8" if int8 else "float32"
    folder = folder / f"{run.folder.name}-{kind}"
    folder.mkdir()
    record = run.export("c", folder / "net.c", int8=int8)
    (folder / "driver.c").write_text(DRIVER)
    programs = {level: folder / f"time{level}" for level in ("-O2", "-O3")}
    for level, program in programs.items():
        subprocess.run([compiler()[0], "-std=c99", level, "driver.c", "-o", program, "-lm"], cwd=folder, check=True)
    accuracy = run.folder.result.test.evaluation.accuracy if record.accuracy is None else record.accuracy
    return Export(f"{run.folder.model.name}, {kind}", folder / "net.c", accuracy, programs)


def flash(source: Path) -> tuple[int, int]:
    """Bytes of code and of constants at -Os, without the mathematics library."""
    known = shutil.which(CORTEX_M4[0]) is not None
    command = CORTEX_M4 if known else (compiler()[0],)
    subprocess.run([*command, "-std=c99", "-Os", "-c", "net.c", "-o", "net.o"], cwd=source.parent, check=True)
    size = "arm-none-eabi-size" if known else "size"
    told = subprocess.run([size, "-A", "net.o"], cwd=source.parent, check=True, capture_output=True, text=True).stdout
    found = [(name, int(bytes_)) for name, bytes_ in re.findall(r"^\.(\w+)\S*\s+(\d+)", told, re.MULTILINE)]
    return (
        sum(bytes_ for name, bytes_ in found if name == "text"),
        sum(bytes_ for name, bytes_ in found if name in ("rodata", "data")),
    )


def milliseconds(exports: list[Export]) -> dict[tuple[str, str], float]:
    """An image's time by export and level of optimization: the medians of rounds in which all take turns."""
    turns: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for one in exports:
            for level, program in one.programs.items():
                told = subprocess.run([program], check=True, capture_output=True, text=True).stdout
                turns.setdefault((one.name, level), []).append(float(told))
    return {key: statistics.median(times) for key, times in turns.items()}


def scratch(source: Path) -> int:
    """The static RAM that a file says it needs."""
    found = re.search(r"RAM ([\d,]+) bytes", source.read_text())
    assert found is not None
    return int(found[1].replace(",", ""))


def page(exports: list[Export], epochs: int) -> str:
    """The table and what it was measured on, in Markdown."""
    times = milliseconds(exports)
    rows = []
    for one in exports:
        code, constants = flash(one.source)
        sizes = (f"{size:,}" for size in (code + constants, constants, code, scratch(one.source)))
        ms = (f"{times[one.name, level]:.2f}" for level in ("-O2", "-O3"))
        rows.append((one.name, *sizes, *ms, f"{one.accuracy:.4f}"))
    head = ("", "flash, bytes", "of them constants", "and code", "RAM, bytes", "ms at -O2", "ms at -O3", "accuracy")
    chip = "a Cortex-M4 (arm-none-eabi-gcc -Os)" if shutil.which(CORTEX_M4[0]) else f"{platform.machine()} (-Os)"
    return "\n".join(
        [
            *table(head, rows),
            "",
            f"Fashion-MNIST, 28×28 grey, {epochs} epochs, all 10,000 test images. Flash is for {chip}, without the "
            "mathematics library; RAM is static scratch memory, without the stack and the image. Milliseconds per "
            f"image on one core of {platform.machine()} by {compiler()[1]}, median of {ROUNDS} rounds in turns.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/c-export"))
    options = parser.parse_args()
    runs = [trained(name, options.out, options.epochs) for name in MODELS]
    with tempfile.TemporaryDirectory() as folder:
        exports = [exported(run, int8, Path(folder)) for run in runs for int8 in (False, True)]
        text = page(exports, options.epochs)
    print(text)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
