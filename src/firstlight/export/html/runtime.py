"""What runs a page to verify it: Node, or a browser without a window; either takes the page's own script."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from firstlight.errors import ExportError, NoRuntimeError
from firstlight.types import Array

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge")
OLDEST_NODE = 16
READY = "ready to run"
BATCH = 16_000_000  # bytes of images that a browser is given at once
SAID = 300  # characters of a reason

RUN = Path(__file__).parent / "run.js"


@dataclass(frozen=True)
class Runtime(ABC):
    """A program that runs the page's script. `path` of the program, and its `title` with the version."""

    path: str
    title: str

    names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def run(self, page: Path, pixels: Array, columns: int) -> Array:
        """So many numbers for each image uint8 (N, H, W, C), float32. Raises ExportError where it fails."""


class Node(Runtime):
    names = ("node", "nodejs")

    def run(self, page: Path, pixels: Array, columns: int) -> Array:
        with tempfile.TemporaryDirectory(prefix="firstlight-node-") as folder:
            images, result = Path(folder) / "images", Path(folder) / "result"
            images.write_bytes(pixels.tobytes())
            _output([self.path, str(RUN), str(page), str(images), str(result)])
            if not result.is_file() or result.stat().st_size != 4 * columns * len(pixels):
                raise ExportError(f"{self.title} ran the page and gave no result.")
            return np.fromfile(result, "<f4").reshape(-1, columns)


class Browser(Runtime):
    names = BROWSERS

    def run(self, page: Path, pixels: Array, columns: int) -> Array:
        text = page.read_text(encoding="utf-8")
        parts = "\n".join(_element(text, name) for name in ("engine", "model", "weights"))
        step = max(1, BATCH // pixels[0].nbytes)
        found = [self._some(parts, pixels[i : i + step]) for i in range(0, len(pixels), step)]
        return np.concatenate(found).reshape(-1, columns)

    def _some(self, parts: str, pixels: Array) -> Array:
        images = base64.b64encode(pixels.tobytes()).decode()
        told = self.shown(HARNESS.format(parts=parts, images=images))
        if (result := re.search(r"<body>result:([A-Za-z0-9+/=]*)\s*</body>", told)) is None:
            raise ExportError(f"{self.title} ran the page and gave no result.")
        return np.frombuffer(base64.b64decode(result[1]), "<f4")

    def shown(self, page: str) -> str:
        """What a page has become once its scripts have run. Raises ExportError where the browser does not start."""
        with tempfile.TemporaryDirectory(prefix="firstlight-browser-") as folder:
            path = Path(folder) / "run.html"
            path.write_text(page, encoding="utf-8")
            return _output([self.path, *ARGUMENTS, *_unboxed(), f"--user-data-dir={folder}/profile", path.as_uri()])


ARGUMENTS = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--dump-dom")
HARNESS = """<!doctype html>
<meta charset="utf-8">
<body>{parts}
<script type="text/plain" id="images">{images}</script>
<script>
const text = (id) => document.getElementById(id).textContent;
const {{ operations, size, columns }} = JSON.parse(text("model"));
const net = new Net(operations, text("weights"), size);
const [images, each] = [fromBase64(text("images")), net.image.length];
const found = new Float32Array((images.length / each) * columns);
for (let i = 0; i * each < images.length; i++) {{
  found.set(net.answers(images.subarray(i * each, (i + 1) * each)), i * columns);
}}
let characters = "";
for (const byte of new Uint8Array(found.buffer)) characters += String.fromCharCode(byte);
document.body.textContent = "result:" + btoa(characters);
</script>
"""


def at_hand() -> Runtime:
    """Node where it is there, else a browser. Raises NoRuntimeError where there is neither."""
    found = _found(Node) or _found(Browser)
    if found is None:
        raise NoRuntimeError(
            f"neither Node {OLDEST_NODE} or later (node) nor a browser (chromium, google-chrome or msedge) was found "
            "to run the page. Install one of them and export again."
        )
    return found


def _found(kind: type[Runtime]) -> Runtime | None:
    paths = filter(None, map(shutil.which, kind.names))
    return next((found for path in paths if (found := _opened(kind, path)) is not None), None)


@cache
def _opened(kind: type[Runtime], path: str) -> Runtime | None:
    """The program, with the version that it tells; None where it does not start or is too old."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
        version = re.search(r"\d+(\.\d+)*", told)
        if version is None:
            return None
        if kind is Node:  # other programs are called node too
            said = subprocess.run([path, "-p", "6 * 7"], capture_output=True, text=True, timeout=60, check=True).stdout
            is_node = said.strip() == "42" and int(version[0].split(".")[0]) >= OLDEST_NODE
            return Node(path, f"Node {version[0]}") if is_node else None
        browser = Browser(path, told[: version.end()].strip())
        return browser if READY in browser.shown(f"<p>{READY}</p>") else None
    except (OSError, subprocess.SubprocessError, ExportError):
        return None


def _output(command: list[str]) -> str:
    """What a program prints. Raises ExportError where it fails."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()[-1:]
        raise ExportError(f"{Path(command[0]).name} could not run the page: {' '.join(lines)[:SAID]}")
    return done.stdout


def _element(page: str, name: str) -> str:
    """A script element of the page as it stands there."""
    found = re.search(rf'<script[^>]* id="{name}"[^>]*>.*?</script>', page, re.DOTALL)
    if found is None:
        raise ExportError(f"The page has no script with the id {name}.")
    return found[0]


def _unboxed() -> list[str]:
    """Chromium does not start as the superuser in its sandbox."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
