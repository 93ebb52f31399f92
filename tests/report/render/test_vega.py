"""What charts share: the room beside a single value, the schema, the libraries of a page."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import numpy as np
import pytest

from firstlight.report.render import vega
from firstlight.report.sections import class_counts


@pytest.mark.parametrize(("value", "domain"), [(1.0, [0.9, 1.0]), (0.5, [0.45, 0.55]), (0.0, [0.0, 0.1])])
def test_room_beside_a_single_share_ends_at_none_and_all(value: float, domain: list[float]) -> None:
    assert vega.even([np.array([value, np.nan, value])], most=1).to_dict() == {"zero": False, "domain": domain}


def test_the_schema_rejects_what_altair_does_not_know() -> None:
    with pytest.raises(Exception, match=r"(?s)unexpected|is not|schema"):
        alt.Chart.from_dict({**class_counts.chart(("a", "b"), [3, 4], "images"), "layr": []}, validate=True)


def test_the_bundle_defines_what_the_page_calls_and_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vega, "user_cache", lambda: tmp_path / "firstlight")
    vega.javascript.cache_clear()
    code = vega.javascript()
    assert "window.vegaEmbed" in code
    (kept,) = (tmp_path / "firstlight").iterdir()
    kept.write_text("kept", "utf-8")
    vega.javascript.cache_clear()
    assert vega.javascript() == "kept"
    kept.unlink()
    (tmp_path / "firstlight").rmdir()
    (tmp_path / "firstlight").write_text("no folder", "utf-8")
    vega.javascript.cache_clear()
    assert vega.javascript() == code
    vega.javascript.cache_clear()
