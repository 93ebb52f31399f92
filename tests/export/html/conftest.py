"""Pages to test, and Node to run their scripts in."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from firstlight.export.html.page import HERE

LOADER = """
const [vm, fs] = [require("node:vm"), require("node:fs")];
const given = JSON.parse(fs.readFileSync(0, "utf8"));
for (const script of given.scripts) vm.runInThisContext(fs.readFileSync(script, "utf8"));
fs.writeFileSync(1, JSON.stringify(vm.runInThisContext(given.code)(given.value)));
"""


@pytest.fixture(scope="session")
def node() -> str:
    """Node; skipped with a plain reason where it is not there."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not on this machine")
    return found


@pytest.fixture(scope="session")
def in_node(node: str) -> Callable[..., Any]:
    """in_node("(value) => count(value)", value, "engine.js"): what a function answers beside the page's scripts."""

    def run(code: str, value: object, *scripts: str) -> Any:
        told = json.dumps({"scripts": [str(HERE / name) for name in scripts], "code": code, "value": value})
        command = [node, "-e", LOADER]
        done = subprocess.run(command, input=told, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
