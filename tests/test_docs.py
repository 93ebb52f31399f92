"""The pages of docs/ that the program makes are current, and links between pages lead somewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated

import pytest
import typer
from docs import names, studies
from docs.reference import commands, dashboard, experiment, python, run_folder
from docs.reference.__main__ import pages

from firstlight import records
from firstlight.experiments import Experiment

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"


def test_the_reference_is_current() -> None:
    """Where it is not: python -m docs.reference."""
    written = {str(path.relative_to(REFERENCE)): path.read_text(encoding="utf-8") for path in REFERENCE.rglob("*.md")}
    written.pop("index.md")
    assert pages() == written


def test_a_name_that_is_not_explained_is_refused() -> None:
    def told(first: int, second: int) -> None:
        """Does it.

        first  one of two
        """

    with pytest.raises(ValueError, match=r"fl\.told: second not explained"):
        [*python.about("fl.told", told)]
    with pytest.raises(ValueError, match=r"fl\.silent is not explained"):
        [*python.about("fl.silent", lambda: None)]
    command = typer.main.get_command(silent)
    with pytest.raises(ValueError, match=r"silent: --odd is not explained"):
        [*commands.about("silent", command)]


silent = typer.Typer()


@silent.command()
def _(odd: Annotated[bool, typer.Option("--odd")] = False) -> None:
    """Has an option that nobody explains."""


def test_every_file_of_a_run_is_explained() -> None:
    """Whatever a constant of the records names, and what a run really has."""
    lists = [run_folder.files(text) for text in run_folder.FOLDERS.values()]
    known = {name.removesuffix("/").rpartition("/")[2] for files in lists for name in files}
    modules = [import_module(f"firstlight.records.{found.name}") for found in iter_modules(records.__path__)]
    names = [value for module in modules for value in vars(module).values() if isinstance(value, str)]
    files = {name for name in names if re.fullmatch(r"\.?[a-z_]+\.(json|npz|csv|toml|html|db|safetensors)", name)}
    assert files - known - {"report.html"} == set()
    assert len(files) > 15


def test_every_page_of_the_dashboard_is_explained() -> None:
    guide = (DOCS / "guide" / "dashboard.md").read_text(encoding="utf-8")
    titles = {module.PAGE.title for module in dashboard.modules().values()} - {""}
    assert {title for title in titles if f"## {title}\n" not in guide} == set()


def test_every_key_of_the_experiment_file_is_explained() -> None:
    page = experiment.page()
    schema = Experiment.model_json_schema()
    keys = {*schema["properties"], *(key for table in schema["$defs"].values() for key in table.get("properties", {}))}
    assert {key for key in keys if f"`{key}`" not in page and f"`[{key}]`" not in page} == set()


def dead_links(page: Path) -> list[str]:
    """Of a page's links to other files, those that lead nowhere."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [link for link in links if link and ":" not in link and not (page.parent / link).exists()]


def test_links_between_pages_lead_somewhere(tmp_path: Path) -> None:
    pages = [*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")]
    assert {page.name: dead for page in pages if (dead := dead_links(page))} == {}
    (tmp_path / "page.md").write_text("[a](page.md#there), [b](gone.md), [c](https://example.org/)", encoding="utf-8")
    assert dead_links(tmp_path / "page.md") == ["gone.md"]


def test_names_in_the_pages_exist() -> None:
    pages = {str(page.relative_to(DOCS)): page for page in DOCS.rglob("*.md")}
    pages |= {f"../{name}": DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md")}
    now = {name: page for name, page in pages.items() if not name.startswith(names.HISTORY)}
    texts = {name: page.read_text(encoding="utf-8") for name, page in now.items()}
    assert {name: found for name, text in texts.items() if (found := [*names.unknown(text)])} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call `fl.fitt(model)`, `fl.fit`, `data.json`.", ["fl.fitt"]),
        ("Set `training.epoch` or `training.epochs`.", ["training.epoch"]),
        ("    firstlight train FILE   # a comment: firstlight knows", ["firstlight train"]),
        ("    firstlight run f.toml --epoch 3 --set model.nam=lenet5", ["model.nam", "firstlight run --epoch"]),
        ("```python\nimport firstlight as fl\nfl.nothing()\n```", ["fl.nothing"]),
        ("```{code-cell} ipython3\n%%bash\nfirstlight trian x\n```", ["firstlight trian x"]),
        ("```{code-cell} ipython3\nsay(\nfirstlight trian x\n```", []),
        ("    firstlight view\n\nfirstlight knows a sentence from a command.", []),
        ("In `firstlight data list --json`, firstlight reads nothing.", []),
    ],
)
def test_a_name_that_does_not_exist_is_found(text: str, found: list[str]) -> None:
    assert [*names.unknown(text)] == found


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("fl.open_run(path)", ("reference/python", "fl-open-run")),
        ("firstlight data list --json", ("reference/commands", "firstlight-data-list")),
        ("FL103", ("reference/warnings/FL103", "")),
        ("numpy.sum", None),
    ],
)
def test_a_name_leads_to_where_it_is_explained(code: str, place: tuple[str, str] | None) -> None:
    assert names.place_of(code) == place
    if place and place[1]:
        headings = re.findall(r"^#+ `(.*)`$", (DOCS / f"{place[0]}.md").read_text(encoding="utf-8"), re.MULTILINE)
        assert place[1] in {re.sub(r"[^a-z]+", "-", heading.lower()) for heading in headings}


def test_the_program_names_pages_that_are_there() -> None:
    """Those of messages of earlier releases too, in whose place a line says where they are now."""
    root = DOCS.parent
    sources = [path.read_text(encoding="utf-8") for path in (root / "src").rglob("*.py")]
    named = {page for text in sources for page in re.findall(r"\bdocs/[\w/-]+\.md", text)}
    assert {page for page in named | {"docs/experiment.md", "docs/plugins.md"} if not (root / page).is_file()} == set()
    assert len(named) > 3


def test_every_decision_is_listed_once() -> None:
    decisions = DOCS / "why" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (decisions / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(page.name for page in decisions.glob("0*.md"))


def test_one_study_is_put_into_the_page_of_all() -> None:
    """The others keep their sections; what is published is counted over all of them."""

    def page(place: str, *sections: tuple[str, str]) -> str:
        tables = [
            f"## {title}\n\n[{title.split()[0].lower()}.toml](x)\n\n"
            f"| run | published, % | test, % | n |\n| --- | ---: | ---: | ---: |\n{rows}"
            for title, rows in sections
        ]
        return "\n\n".join(["# The studies", f"Measured on {place}.", "7 of 9 published numbers are.", *tables]) + "\n"

    two, one = "| a | 90.00 ▲ | 91.00 | 2 |\n| b | 80.00 ▼ | 70.00 | 2 |", "| c | 50.00 | — | 0 |"
    before = page("one machine", ("First", two), ("Second", one))
    after = page("another", ("Second by another title", "| c | 50.00 ≈ | 50.10 ± 0.20 | 3 |\n| d |  | 1.00 | 1 |"))
    found = studies.merged(before, after)
    assert found.count("## ") == 2
    assert found.index("## First") < found.index("## Second")
    assert two in found
    assert "50.10" in found
    assert one not in found
    assert "Measured on one machine; another." in found
    assert "2 of 3 published numbers that were tried are reached" in found
    assert "beaten; 0 others" in found
    assert "7 of 9" not in found


def test_the_page_of_the_studies_counts_what_it_shows() -> None:
    page = (DOCS / "why" / "studies.md").read_text(encoding="utf-8")
    assert studies.merged(page, page) == page
