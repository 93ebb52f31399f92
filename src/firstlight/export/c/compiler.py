"""A compiler of C: found, tried, and used to run what was exported on images."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from firstlight.errors import ExportError, NoRuntimeError, brief
from firstlight.processes import cores
from firstlight.types import Array

NAMES = ("cc", "gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
# In the order of the file: -O3 makes vectors of its loops, and changes no result.
FAST = ("-std=c99", "-O3")
PATIENCE = 600.0  # seconds for one compilation
TRIAL_SECONDS = 60.0  # for a compiler to show that it is one

TRIAL = "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\nint main(void) { return 0; }\n"

DRIVER = """\
#include <stdint.h>
#include <stdio.h>

int firstlight_predict(const uint8_t *image, float *probabilities);
{strangeness}
static uint8_t image[{pixels}];
static float probabilities[{columns}];

int main(int count, char **names)
{{
    FILE *in = count == 3 ? fopen(names[1], "rb") : NULL, *out = in ? fopen(names[2], "wb") : NULL;
    if (!out)
        return 1;
    while (fread(image, sizeof image, 1, in) == 1) {{
        firstlight_predict(image, probabilities);
        {after}
        if (fwrite(probabilities, sizeof probabilities, 1, out) != 1)
            return 1;
    }}
    return fclose(out);
}}
"""


STRANGENESS = {
    "strangeness": "float firstlight_strangeness(void);",
    "after": "probabilities[sizeof probabilities / sizeof *probabilities - 1] = firstlight_strangeness();",
}
NOTHING = {"strangeness": "", "after": ""}


@cache
def compiler() -> tuple[str, str]:
    """The path of a compiler of C that makes programs, and its name with version. Raises NoRuntimeError."""
    told = []
    for path in filter(None, map(shutil.which, NAMES)):
        with tempfile.TemporaryDirectory(prefix="firstlight-c-") as folder:
            (Path(folder) / "trial.c").write_text(TRIAL)
            try:
                done = _run([path, "-std=c99", "trial.c", "-o", "trial", "-lm"], Path(folder), TRIAL_SECONDS)
                about = _run([path, "--version"], Path(folder), TRIAL_SECONDS).stdout.decode(errors="replace")
            except (OSError, subprocess.TimeoutExpired) as error:
                told.append(f"{path} does not build an executable: {brief(str(error))}.")
                continue
            if done.returncode == 0 and (Path(folder) / "trial").is_file():
                return path, about.split("\n")[0].strip() or path
        told.append(f"{path} does not build an executable: {brief(done.stderr.decode(errors='replace').strip())}")
    if told:
        raise NoRuntimeError(" ".join(told))
    raise NoRuntimeError("no C compiler (cc, gcc or clang) was found. Install one, and export again.")


def compiled(folder: Path, files: list[Path], options: tuple[str, ...], output: str) -> Path:
    """What a compiler makes of `files`, in `folder`. Raises ExportError with what it says, NoRuntimeError."""
    path, _ = compiler()
    try:
        done = _run([path, *options, *map(str, files), "-o", output, "-lm"], folder)
    except subprocess.TimeoutExpired:
        raise ExportError(f"{path} needs more than {PATIENCE:g} s for the C export, so nothing was written.") from None
    if done.returncode:
        raise ExportError(f"{path} does not compile the C export: {brief(done.stderr.decode(errors='replace'))}")
    return folder / output


def answers(source: Path, pixels: Array, columns: int, strangeness: bool, seconds: float) -> Array:
    """What a C file gives for images uint8 (N, H, W, C), float32 (N, columns), one process a core.

    strangeness  whether that is the last of the columns, behind the probabilities
    seconds      after which it is stopped
    Raises ExportError where it does not compile, fails or is stopped.
    """
    with tempfile.TemporaryDirectory(prefix="firstlight-c-") as temporary:
        folder = Path(temporary)
        driver = folder / "driver.c"
        driver.write_text(
            DRIVER.format(
                pixels=math.prod(pixels.shape[1:]), columns=columns, **(STRANGENESS if strangeness else NOTHING)
            )
        )
        program = compiled(folder, [source.resolve(), driver], FAST, "predict")
        parts = np.array_split(pixels, max(1, min(cores(), len(pixels) // 100)))
        for number, part in enumerate(parts):
            (folder / f"{number}.in").write_bytes(np.ascontiguousarray(part).tobytes())
        _run_all(program, folder, len(parts), seconds)
        found = b"".join((folder / f"{number}.out").read_bytes() for number in range(len(parts)))
    if len(found) != 4 * columns * len(pixels):
        raise ExportError(f"The C export gave {len(found):,} bytes of answers for {len(pixels):,} images.")
    return np.frombuffer(found, np.float32).reshape(len(pixels), columns)


def _run_all(program: Path, folder: Path, count: int, seconds: float) -> None:
    started = []
    try:
        for number in range(count):
            command = [str(program), f"{number}.in", f"{number}.out"]
            started.append(subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for one in started:
            if code := one.wait(timeout=seconds):
                raise ExportError(f"The compiled C export ended with the code {code}, so nothing was written.")
    except subprocess.TimeoutExpired:
        raise ExportError(f"The compiled C export ran for more than {seconds:,.0f} s and was stopped.") from None
    finally:
        for one in started:
            one.kill()
            one.wait()


def code_and_stack(source: str) -> tuple[int, int] | None:
    """The bytes of code, and of the stack of the deepest call, at -Os; None where there are no tools that tell."""
    tool = shutil.which("size")
    with tempfile.TemporaryDirectory(prefix="firstlight-c-") as temporary:
        folder = Path(temporary)
        (folder / "net.c").write_text(source, encoding="ascii")
        try:
            compiled(folder, [folder / "net.c"], ("-std=c99", "-Os", "-c", "-fstack-usage"), "net.o")
        except ExportError:
            return None
        if tool is None or not (folder / "net.su").is_file():
            return None
        told = _run([tool, "-A", "net.o"], folder).stdout.decode()
        code = sum(int(found[1]) for found in re.finditer(r"^\.text\S*\s+(\d+)", told, re.MULTILINE))
        usage = (line.split("\t") for line in (folder / "net.su").read_text().splitlines())
        used = {place.rsplit(":", 1)[-1]: int(size) for place, size, *_ in usage}
    if not code:
        return None
    deepest = max((size for name, size in used.items() if name != "firstlight_predict"), default=0)
    return code, used.get("firstlight_predict", 0) + deepest


def _run(command: list[str], folder: Path, seconds: float = PATIENCE) -> subprocess.CompletedProcess[bytes]:
    own = os.environ | {"TMPDIR": str(folder)}  # a compiler that is stopped leaves files, which go with the folder
    return subprocess.run(
        command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, env=own, check=False
    )
