"""Every page of the dashboard: dashboard.md."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from docs.reference.commands import explained
from docs.reference.markdown import escaped, table

from firstlight.app.server.static_files import PAGES

INTRODUCTION = """\
# The pages of the dashboard

Made by `python -m docs.reference` from the program itself. How to use them, with pictures: \
[the dashboard](../guide/dashboard.md)."""


def modules() -> dict[str, ModuleType]:
    """The package of each page by its folder, in the order of the navigation, those without a title last."""
    names = sorted(path.parent.name for path in PAGES.glob("*/__init__.py"))
    found = {name: import_module(f"firstlight.app.pages.{name}") for name in names}
    return dict(sorted(found.items(), key=lambda item: (not item[1].PAGE.title, item[1].PAGE.position)))


def page() -> str:
    """The text of dashboard.md. Raises ValueError where a page is not explained."""
    rows = []
    for name, module in modules().items():
        about = explained(module.__doc__, f"The page {name}").partition("\n\n")[0].replace("\n", " ")
        address = module.PAGE.address or str(module.PAGE.routes[0].path)
        rows.append((module.PAGE.title or name.capitalize(), f"`{address}`", escaped(about)))
    return f"{INTRODUCTION}\n\n{table(('page', 'address', 'what it is'), rows)}\n"
