"""The command line: parse, call the API, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from firstlight import processes
from firstlight.cli import (
    card,
    check,
    compare,
    components,
    data,
    demo,
    explain,
    export,
    labels,
    model,
    parity,
    predict,
    rate,
    run,
    serve,
    study,
    tune,
    view,
)
from firstlight.cli.commands import Command, Commands, with_plugins
from firstlight.errors import ExperimentError, FirstlightError, ProcessLostError, nearest, told

app = typer.Typer(
    name="firstlight",
    help="A laboratory for small-image classifiers: train, measure, explain and compare from one experiment file.",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's would take half of its time to import
)
for command in (
    demo.demo,
    run.run,
    run.resume,
    predict.evaluate,
    predict.predict,
    explain.explain,
    labels.labels,
    export.export,
    card.card,
    run.report,
    compare.compare,
    study.study,
    tune.tune,
    view.view,
    serve.serve,
    model.summary,
    rate.rate,
    components.components,
    parity.parity,
    check.check,
):
    app.command(cls=Command)(with_plugins(command))
app.add_typer(data.app, name="data")


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"firstlight {version('firstlight')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself; the app holds its help text."""


@app.command("help", hidden=True, cls=Command)
def help_(ctx: typer.Context, names: Annotated[list[str] | None, typer.Argument(metavar="COMMAND")] = None) -> None:
    """Print the help of a command, as --help does, or what the code of a warning means, such as FL103."""
    from firstlight.cautions import EXPLAINED

    if names and (about := EXPLAINED.get(names[0].upper())):
        typer.echo(f"{about.code}: {about.title}\n\n{about.meaning}\n\n{about.remedy}")
        return
    found, parent = ctx.parent.command if ctx.parent else ctx.command, ctx.parent
    for name in names or []:
        child = getattr(found, "commands", {}).get(name)
        if child is None:
            raise ExperimentError(f"There is no command {name!r}. {nearest(name, getattr(found, 'commands', {}))}")
        parent, found = type(ctx)(child, info_name=name, parent=parent), child
    typer.echo((parent or ctx).get_help())


def main() -> None:
    """Run the command line. A user's mistake is one message and exit code 2; Typer makes Ctrl-C exit code 130."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the program
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks × or – is no reason to fail
    if processes.world_size() > 1:
        signal.signal(signal.SIGTERM, _exit_in_a_second)
    try:
        with told(lambda text: print(f"firstlight: {text}", file=sys.stderr)):
            _app()
    except ProcessLostError as error:
        _fail(str(error), alone=processes.rank() == 1)  # where it was the first that was lost, the second tells
    except FirstlightError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(f"out of memory: {error} Choose a smaller model or smaller images.", alone=True)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.")


def _app() -> None:
    """Run the command; of several processes, end each at once when it is done.

    An interpreter that takes PyTorch's communication threads down as it ends aborts now and then ("terminate called
    without an active exception"), and torchrun would take the finished run for a failed one.
    """
    try:
        app()
    except SystemExit as done:
        if processes.world_size() == 1 or done.code not in (None, 0):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _exit_in_a_second(number: int, frame: FrameType | None) -> None:
    """Outside training: torchrun sends SIGTERM to the others once one has ended, of which they may just be telling."""
    end = threading.Timer(1, os._exit, (128 + number,))
    end.daemon = True
    end.start()


def _fail(text: str, alone: bool = False) -> NoReturn:
    """Print an error and end. Of processes that train together, one of each machine tells what all of them meet.

    alone  whether this process may be the only one that meets it
    """
    if alone or processes.local_rank() == 0:
        print(f"firstlight: {text}", file=sys.stderr)
    sys.exit(2)
