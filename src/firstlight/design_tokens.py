"""Colours and typefaces: the one place from which pages, cards, charts, PDFs and contact sheets have theirs.

The colours of series are after Okabe and Ito. A page of HTML and its charts name them as variables of CSS, so that one
drawing serves light, dark and paper; a PDF and a card have them written in.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT = {
    "paper": "#fdfcf9",
    "wash": "#f3f1eb",
    "rule": "#e2dfd7",
    "muted": "#5d6470",
    "ink": "#1c1f24",
    "warn": "#a34700",
    "edge": "rgb(60 50 30 / 0.22)",
    "series-1": "#0072b2",
    "series-2": "#d55e00",
    "series-3": "#009e73",
    "series-4": "#c0629a",
    "series-5": "#a87400",
    "series-6": "#3b9bd6",
    "series-7": "#6b7280",
    "series-8": "#5a4fa3",
    "hit": "#0072b2",
    "miss": "#d55e00",
    "on-hit": "#ffffff",
}
DARK = {
    "paper": "#14171b",
    "wash": "#1c2026",
    "rule": "#2e333b",
    "muted": "#a1a8b3",
    "ink": "#e8e6e1",
    "warn": "#f0a063",
    "edge": "rgb(0 0 0 / 0.7)",
    "series-1": "#56b4e9",
    "series-2": "#f08a4b",
    "series-3": "#2cc295",
    "series-4": "#e39cc6",
    "series-5": "#e6b34d",
    "series-6": "#1d87cc",
    "series-7": "#98a1ae",
    "series-8": "#a79bea",
    "hit": "#1a76b4",
    "miss": "#b5500f",
}
FONTS = {
    "sans": 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif',
    "serif": 'ui-serif, Charter, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "Liberation Serif", serif',
    "mono": 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace',
}
CHART_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"

# A sheet is a PNG on white paper, whatever shows it.
SHEET = {
    "paper": "#ffffff",
    "ink": "#1c1c1e",
    "text": "#3a3a3c",
    "muted": "#6e6e73",
    "true": LIGHT["series-1"],
    "wrong": "#b3261e",
    "other": "#8e8e93",
}
SHEET_FONT = "Helvetica, Arial, sans-serif"


def declarations(tokens: Mapping[str, str]) -> str:
    """Tokens as variables of CSS: "--paper: #fdfcf9; --wash: …"."""
    return " ".join(f"--{name}: {value};" for name, value in tokens.items())


def css() -> str:
    """All tokens as a style sheet, the dark ones for a screen that asks for them."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {declarations(DARK)} }} }}"
    return f":root {{ {declarations(LIGHT | FONTS)} }}\n{dark}\n"
