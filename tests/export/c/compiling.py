"""C files of many nets, compiled together under the sanitizers and run on images."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from firstlight.export.c.compiler import STRICT, compiler
from firstlight.types import Array

SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wconversion", "-Wshadow")
NAMES = ("firstlight_predict", "firstlight_classes", "firstlight_facts", "firstlight_claim")


def compiled(folder: Path, files: Sequence[Path], *options: str) -> Path:
    """The program that a strict compiler makes of the files."""
    command = [compiler()[0], *STRICT, *options, *map(str, files), "-o", str(folder / "program"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "program"


def answers(
    folder: Path, sources: Mapping[str, bytes], pixels: Mapping[str, Array], classes: int, logits: Mapping[str, str]
) -> dict[str, tuple[Array, Array]]:
    """The probabilities (N, K) and the logits of each net, all in one program; `logits` are where in C they lie."""
    files, declared, called = [], "", ""
    for number, (name, source) in enumerate(sources.items()):
        renamed = "".join(f"#define {one} {one}_{number}\n" for one in NAMES)
        file = folder / f"net{number}.c"
        declaration = f"const float *logits_{number}(void)"
        shown = f"{declaration};\n{declaration} {{ return {logits[name]}; }}\n"
        file.write_bytes(renamed.encode() + source + shown.encode())
        files.append(file)
        declared += f"{declaration};\nint firstlight_predict_{number}(const uint8_t *image, float *probabilities);\n"
        called += (
            f"    run(firstlight_predict_{number}, logits_{number}(), {number}, {pixels[name][0].size}, {classes});\n"
        )
        (folder / f"{number}.in").write_bytes(pixels[name].tobytes())
    (folder / "driver.c").write_text(DRIVER.format(declared=declared, called=called))
    program = compiled(folder, [*files, folder / "driver.c"], *SANITIZED)
    done = subprocess.run([str(program)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [folder / f"{number}.out" for number in range(len(sources))]
    found = [np.frombuffer(file.read_bytes(), np.float32).reshape(-1, 2, classes) for file in files]
    return {name: (both[:, 0], both[:, 1]) for name, both in zip(sources, found, strict=True)}


DRIVER = """\
#include <stdint.h>
#include <stdio.h>

{declared}
static void run(int predict(const uint8_t *, float *), const float *logits, int number, size_t pixels, size_t classes)
{{
    static uint8_t image[100000];
    static float probabilities[1000];
    char name[32];
    sprintf(name, "%d.in", number);
    FILE *in = fopen(name, "rb");
    sprintf(name, "%d.out", number);
    FILE *out = fopen(name, "wb");
    while (fread(image, pixels, 1, in) == 1) {{
        predict(image, probabilities);
        fwrite(probabilities, sizeof(float), classes, out);
        fwrite(logits, sizeof(float), classes, out);
    }}
    fclose(in);
    fclose(out);
}}

int main(void)
{{
{called}    return 0;
}}
"""


def constants_of(source: bytes) -> list[str]:
    """The names of the constant arrays of a file."""
    return re.findall(r"^static const \w+ (\w+)\[", source.decode(), re.MULTILINE)
