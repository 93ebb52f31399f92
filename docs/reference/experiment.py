"""The keys of the experiment, study and search files: experiment.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence

from docs.reference.markdown import table
from pydantic import BaseModel

from firstlight.app.pages.start import form
from firstlight.app.pages.start.form import Field
from firstlight.experiments.search.config import Tuning
from firstlight.experiments.study import File, Run
from firstlight.layers import LAYERS
from firstlight.options import documented
from firstlight.prepare.augmentations import AUGMENTATIONS, Ranged
from firstlight.prepare.augmentations.flip import Flip
from firstlight.text import listed

INTRODUCTION = """\
# The experiment file, key by key

Made by `python -m docs.reference` from the program itself. `firstlight run FILE.toml` takes such a file, `--set \
table.key=value` sets any key on the command line, and `fl.fit(..., settings={"table.key": value})` in Python. \
Only `data.source` is needed. A run writes its experiment with every default to `experiment.toml`.

A value is TOML: text in quotes, numbers, `true` and `false`, lists `[1, 2]`, tables `{ key = 1 }`."""

AUGMENTATION = """\
Options of those that have some of their own, as in `mixup = { alpha = 0.4, p = 0.5 }`; `p`, which is 1 where it is \
not given, is the probability that it is applied to an image:"""

STUDY = """\
## The study file

`firstlight study FILE.toml` runs several experiments, each with several seeds."""

SEARCH = """\
## The search file

`firstlight tune FILE.toml` takes an experiment file with these two tables; `firstlight run` ignores them.

`[space]` has a key for each setting that is searched, and for it a list of values or a range: \
`lr = { log = [1e-4, 1e-1] }`, `lag = { uniform = [0, 0.5] }`, `batch_size = { int = [16, 256], step = 16 }` or \
`batch_size = { log_int = [16, 256] }`. `[tune]` says how to search:"""


def page() -> str:
    """The text of experiment.md."""
    parts = [INTRODUCTION]
    for section in form.sections():
        parts += [f"## {f'`[{section.name}]`' if section.name else 'Keys outside of any table'}", section.about]
        parts.append(_table(_row(field) for field in section.fields if not field.only_for))
        if options := [field for field in section.fields if field.only_for]:
            parts += [f"What `{section.name}.name` may be, and its options:", _table(_named(section.name))]
            parts.append(_table(_merged(options)))
        if section.name == "augment":
            parts += [AUGMENTATION, _table(_kinds())]
        if section.name == "model":
            parts += ["The types of `[[model.layers]]`, with their options:", _table(_layers(), "type")]
    parts += [STUDY, _table(_keys(File)), "Keys of a `[[run]]`, beside tables of the experiment file:"]
    parts += [_table(_keys(Run)), SEARCH, _table(_keys(Tuning))]
    return "\n\n".join(parts) + "\n"


def _row(field: Field) -> tuple[str, str, str]:
    given = [f"`{name}`" for name, _ in field.choices]
    allowed = listed(given, "or") if given and not field.key.endswith(".name") else field.limits
    allowed = "a list, in brackets" if field.kind == "strings" else allowed
    meaning = f"{field.help} ({allowed})" if field.help and allowed else field.help or allowed
    default = f"`{field.default}`" if field.default else "needed" if field.key == "data.source" else field.unset
    return f"`{field.key.rpartition('.')[2]}`", default, meaning


def _merged(options: Sequence[Field]) -> Iterator[tuple[str, str, str]]:
    """Options that several of what can be named have, with the same default, in one row."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for field in options:
        found.setdefault(_row(field), []).append(f"`{field.only_for}`")
    for (key, default, meaning), names in found.items():
        yield key, default, f"{meaning + '; ' if meaning else ''}of {listed(names)}"


def _named(section: str) -> Iterator[tuple[str, str, str]]:
    for name, kind in form.CHOICES[f"{section}.name"].items():
        yield f"`{name}`", "", (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _kinds() -> Iterator[tuple[str, str, str]]:
    """The options of augmentations that are not ranges."""
    for name, kind in sorted(AUGMENTATIONS.items()):
        for option in () if issubclass(kind, Ranged | Flip) else AUGMENTATIONS.options(name):
            if option.name != "p":
                default = f"`{form.as_text(option.default)}`"
                yield f"`{name}.{option.name}`", default, f"{option.explanation} ({option.allowed})"


def _layers() -> Iterator[tuple[str, str, str]]:
    for name in sorted(LAYERS):
        options = [
            f"`{option.name} = {form.as_text(option.default)}`"
            if isinstance(option.default, bool | int | float | str | tuple)
            else f"`{option.name}`"
            for option in LAYERS.options(name)
            if option.name != "name"
        ]
        yield f"`{name}`", ", ".join(options), LAYERS.summary(name)


def _keys(section: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """The keys of a table that no form has."""
    known = documented(section.__doc__)
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        needed = field.is_required()
        shown = "needed" if needed else "" if default in (None, "", {}, []) else f"`{form.as_text(default)}`"
        yield f"`{name}`", shown, known[name]


def _table(rows: Iterable[tuple[str, str, str]], first: str = "key") -> str:
    return table((first, "options" if first == "type" else "default", "meaning"), rows)
