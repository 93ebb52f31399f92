"""The text of every kind of page, and its charts, are as they were: nothing gets lost where the report is changed.

Where words or charts were changed on purpose: `python -m tests.report.golden_pages`, and look at the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.golden_pages import GOLDEN, SUBJECTS, golden


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_page_says_and_draws_what_it_did(name: str, tmp_path: Path) -> None:
    assert golden(name, tmp_path).splitlines() == (GOLDEN / f"{name}.txt").read_text("utf-8").splitlines()
