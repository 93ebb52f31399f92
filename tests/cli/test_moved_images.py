"""Images that were moved, as a user tells where they are now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.conftest import Answer

from firstlight.records.run_folder import RESULT, RunFolder


def test_resume_and_explain_are_told_where_the_images_are_now(
    firstlight: Callable[..., Answer], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", images=pixels, labels=np.arange(60) % 3)
    run, there = tmp_path / "r", tmp_path / "there.npz"
    small = ("--model", "softmax-regression", "--epochs", 1, "--out", run)
    assert firstlight("run", "--data", tmp_path / "mine.npz", *small).code == 0
    (tmp_path / "mine.npz").rename(there)
    for command in (("explain", run, "--predicted", "0"), ("resume", run)):
        if command[0] == "resume":
            (run / RESULT).unlink()
        refused = firstlight(*command)
        assert refused.code == 2
        assert "--data PATH with resume, explain and evaluate" in refused.err
        assert firstlight(*command, "--data", there).code == 0
    assert RunFolder(run).data.location == str(there)
    assert firstlight("evaluate", run).code == 0


def test_what_set_says_counts_instead_of_a_source_that_is_gone(
    firstlight: Callable[..., Answer], tmp_path: Path
) -> None:
    file = tmp_path / "moved.toml"
    file.write_text('[data]\nsource = "gone"\n[model]\nname = "softmax-regression"\n', encoding="utf-8")
    assert "looked for" in firstlight("summary", file).err
    assert firstlight("summary", file, "--set", "data.source=digits", "--json").json()["parameters"] == 650
