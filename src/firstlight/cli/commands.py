"""What the commands share: plain usage lines, names that users try, options that many of them have."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from firstlight.errors import ExperimentError, nearest
from firstlight.text import listed

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to standard error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the path of the report, and errors.")]
Open = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
ClassifierPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="The folder of a run; or STUDY/NAME, to use its nets as an ensemble.", show_default=False
    ),
]

# Names that users of other tools try, and what does the work here.
SYNONYMS = {
    "classify": "firstlight predict RUN PATH classifies images",
    "convert": "firstlight export RUN --to FORMAT writes a model in another format",
    "dashboard": "firstlight view opens the dashboard",
    "deploy": "firstlight serve RUN answers other programs over HTTP",
    "fit": "firstlight run trains a model",
    "infer": "firstlight predict RUN PATH classifies images",
    "init": "firstlight run FILE.toml takes an experiment file; docs/reference/experiment.md lists its keys",
    "list": "firstlight view lists runs, firstlight data list datasets, firstlight summary models",
    "models": "firstlight summary lists the models",
    "plot": "firstlight report RUN writes a page with the charts",
    "search": "firstlight tune FILE.toml searches for good settings",
    "sweep": "firstlight tune FILE.toml searches for good settings",
    "test": "firstlight evaluate RUN measures a trained model",
    "train": "firstlight run trains a model",
    "ui": "firstlight view opens the dashboard",
}


_KINDS = {"<int>": "N", "<int range>": "N", "<float>": "X", "<str>": "TEXT", "<path>": "PATH"}


# In the help of an option: the names that there are.
OPTIMIZERS = "{optimizers}"
FORMATS = "{formats}"


def default_of(argument: str) -> str:
    """In the help of `firstlight parity`: the default of an argument of `fl.parity`."""
    return f"{{default {argument}}}"


def _default_of_parity(found: re.Match[str]) -> str:
    from firstlight import api

    return str(inspect.signature(api.parity).parameters[found[1]].default)


def _load_plugins(names: list[str] | None) -> list[str]:
    if names:
        from firstlight import plugins

        plugins.load(names, "--plugin")
    return names or []


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE|MODULE",
        help="A file or an installed module that defines your own components.",
        callback=_load_plugins,
        is_eager=True,  # before other options are looked at, which may name what it brings
        show_default=False,
    ),
]


def with_plugins(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the option --plugin, which does its work before the command begins."""

    @functools.wraps(command)
    def called(*, plugins: list[str] | None = None, **options: Any) -> None:
        command(**options)

    own = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("plugins", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins)
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.parameters.values()]
    vars(called)["__signature__"] = own.replace(parameters=[*parameters, option])
    called.__annotations__ = {each.name: each.annotation for each in (*parameters, option)}
    return called


class Command(TyperCommand):
    """A command whose help says RUN and N, where Typer's says {RUN}, <list[Path]> and <int range>."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            shown = getattr(parameter, "display_type", None)  # of newer versions of Typer
            if isinstance(parameter, TyperArgument):
                vars(parameter)["display_type"] = lambda ctx: None  # its name says what it is
            elif shown is not None:
                vars(parameter)["display_type"] = lambda ctx, shown=shown: _KINDS.get(shown(ctx), shown(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; names that only a registry knows are looked up now, for that takes its import."""
        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            if OPTIMIZERS in text:
                from firstlight import optimizers

                text = text.replace(OPTIMIZERS, listed(optimizers.OPTIMIZERS, "or"))
            if FORMATS in text:
                from firstlight import export

                about = (f"{name} ({form.about})" for name, form in export.FORMATS.items())
                text = text.replace(FORMATS, listed(about, "or", separator="; "))
            if "{default " in text:
                text = re.sub(r"\{default (\w+)\}", _default_of_parity, text)
            if text:
                vars(parameter)["help"] = text
        super().format_help(ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line: RUN IMAGE..., not {RUN} {IMAGE}..., nor IMAGE alone."""
        options, *arguments = super().collect_usage_pieces(ctx)
        many = [parameter.nargs == -1 for parameter in self.params if isinstance(parameter, TyperArgument)]
        names = [re.sub(r"^\{(.*)\}$", r"\1", piece.removesuffix("...")) for piece in arguments]
        return [options, *(name + "..." * several for name, several in zip(names, many, strict=True))]


class Commands(TyperGroup):
    """The commands; one that does not exist is answered with the one that is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See `click.Group`."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            advice = f": {SYNONYMS[name]}." if name in SYNONYMS else f". {nearest(name, self.list_commands(ctx))}"
            raise ExperimentError(f"There is no command {name!r}{advice}")
        return super().resolve_command(ctx, args)


def asked_for(
    file: Path | None,
    settings: Sequence[str] | None,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    search: bool = False,
) -> dict[str, Any]:
    """The tables of an experiment file with what the command line says over them; without a file, that alone.

    settings  those of --set, over all others
    options   values by the keys that they stand for; None where one was not given
    search    whether the tables of a search are wanted too
    """
    from firstlight import experiments, plugins

    over: dict[str, Any] = {}
    for key, value in options.items():
        if value is not None:
            experiments.put(over, key, value)
    more = [experiments.parse_setting(text) for text in settings or []]
    given = {*(key for key, value in options.items() if value is not None), *(key for key, _ in more)}
    tables = experiments.merged(experiments.read_located(file, given, search=search) if file else {}, over)
    for key, value in more:
        experiments.put(tables, key, value)
    if "plugins" in given:
        experiments.load_plugins(tables, "--set")
    if named_plugins := plugins.named():  # so that a run's own file names those of --plugin too
        tables["plugins"] = named_plugins
    return tables


def console(json: bool = False, quiet: bool = False) -> Console:
    """Where progress goes: standard output, out of the way of JSON, or nowhere."""
    from rich.console import Console

    return Console(stderr=json, quiet=quiet)


def show(page: Path) -> None:
    """Open a report in the browser."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        typer.echo(f"No browser was found to open {page} with.", err=True)
