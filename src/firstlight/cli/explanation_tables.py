"""What `firstlight explain` says of a run: a bar and tables on a terminal, and the same as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

    from firstlight.records.explanation import Explanation, Mistake, Separation
    from firstlight.trained_run import Run

SHOWN = 12  # rows of the tables of images

Found = TypeVar("Found")


def watched(work: Callable[..., Found], as_json: bool, **options: Any) -> Found:
    """What `explain`, `maximizing_image` or `mistakes` of a run finds, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from firstlight.console import ConsoleProgress

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
    with ConsoleProgress(Console(stderr=as_json)) as progress:
        progress.show_bar(*columns, description="reading the images", total=None)
        return work(**options, watch=progress.step)


def write(console: Console, found: Explanation, trained: Run) -> None:
    """The layers, how far the classes lie apart, the most confident mistakes and the suspected label errors."""
    _print_layers(console, found)
    _print_separation(console, found)
    _print_mistakes(console, found, trained)
    _print_label_issues(console, found, trained.class_names)


def _print_layers(console: Console, found: Explanation) -> None:
    from rich.table import Table

    from firstlight.report.format import channels_last, percent

    table = Table("layer", "type", "output", box=None, header_style="bold", title_justify="left")
    for heading in ("mean", "sd", "zero", "dead", "saturated", "units"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.activity:
        dead, stuck = (
            f"{len(units):,} of {one.units:,}" if units else "–" for units in (one.dead, one.saturated_units)
        )
        flat = "–" if one.saturated is None else percent(one.saturated, 0)
        shape = " × ".join(map(str, channels_last(one.shape)))
        table.add_row(
            one.layer, one.type, shape, f"{one.mean:.3g}", f"{one.std:.3g}", percent(one.zero, 0), dead, flat, stuck
        )
    _heading(console, f"Activations of the layers over {found.looked:,} test images")
    console.print(table)
    _note(
        console,
        "dead: outputs the same value for every image. saturated: values at which the derivative of the activation "
        "function is less than a hundredth of its maximum (for a ReLU, all below zero); units: those saturated for at "
        "least 95 % of their values.",
    )


def _print_separation(console: Console, found: Explanation) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("silhouette", "agreement", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("made by", no_wrap=True)
    first = found.embeddings[0]
    table.add_row(f"{first.layer}, {first.features:,} features", *_numbers(first.in_features), "")
    for embedding in found.embeddings:
        table.add_row(embedding.method, *_numbers(embedding.in_map), embedding.made_by)
    _heading(console, f"Class separation, {len(first.points):,} training and test images")
    console.print(table)
    _note(
        console,
        f"agreement: the share of the {first.in_features.k} nearest neighbours that have the class of the point. "
        "accuracy: the share of points that have the majority class of these neighbours.",
    )


def _numbers(separation: Separation) -> tuple[str, str, str]:
    from firstlight.report.format import percent

    return f"{separation.silhouette:.3f}", percent(separation.agreement), percent(separation.accuracy)


def _print_mistakes(console: Console, found: Explanation, trained: Run) -> None:
    from rich.markup import escape
    from rich.table import Table

    from firstlight.report.format import percent

    names, predictions = trained.class_names, trained.predictions["test"]
    wrong = int((~predictions.correct).sum())
    _heading(console, f"The most confident of {wrong:,} mistakes on {len(predictions):,} test images")
    table = Table(box=None, header_style="bold")
    table.add_column("image", overflow="fold", min_width=_widest(console, [one.id for one in found.mistakes[:SHOWN]]))
    for heading in ("true class", "predicted"):
        table.add_column(heading)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("nearest training images")
    for one in found.mistakes[:SHOWN]:
        nearest = ", ".join(f"{count} {names[k]}" for k, count in _counts(one.nearest.labels.tolist()))
        row = (one.id, names[one.label], names[one.predicted], percent(one.confidence), nearest)
        table.add_row(*map(escape, row))
    console.print(table if found.mistakes else "None: every test image was classified correctly.")
    _more(console, len(found.mistakes))


def _counts(labels: list[int]) -> list[tuple[int, int]]:
    return sorted(((k, labels.count(k)) for k in set(labels)), key=lambda pair: -pair[1])


def _print_label_issues(console: Console, found: Explanation, names: tuple[str, ...]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from firstlight.report.format import percent

    _heading(console, "Suspected label errors: look at the images before you change a label")
    table = Table(box=None, header_style="bold")
    table.add_column(
        "image", overflow="fold", min_width=_widest(console, [one.id for one in found.label_issues[:SHOWN]])
    )
    for heading in ("split", "labelled", "suggested"):
        table.add_column(heading)
    for heading in ("margin", "neighbours agree"):
        table.add_column(heading, justify="right")
    for one in found.label_issues[:SHOWN]:
        row = (one.id, one.split, names[one.given], names[one.suggested])
        table.add_row(*map(escape, row), f"{one.margin:.2f}", percent(one.neighbours_agree, 0))
    console.print(table if found.label_issues else "None.")
    _more(console, len(found.label_issues))


def _widest(console: Console, names: Sequence[str]) -> int:
    """The columns for the names of files, which are of use only whole: half of the terminal at most."""
    from rich.cells import cell_len

    return min(max(map(cell_len, names), default=0), console.width // 2)


def _more(console: Console, total: int) -> None:
    if total > SHOWN:
        _note(console, f"… and {total - SHOWN} more: the report shows them, and --json lists them.")


def _heading(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold", highlight=False, markup=False, soft_wrap=True)


def _note(console: Console, text: str) -> None:
    console.print(text, style="dim", highlight=False, markup=False)


def summary(found: Explanation, names: tuple[str, ...]) -> dict[str, Any]:
    """What was found as plain values, without the pictures."""
    return {
        "layer": found.layer,
        "looked": found.looked,
        "image": found.image,
        "seconds": found.seconds,
        "layers": [{**vars(one), "dead": list(one.dead)} for one in found.activity],
        "maps": [
            {
                "method": embedding.method,
                "made_by": embedding.made_by,
                "points": len(embedding.points),
                "features": embedding.features,
                "seconds": embedding.seconds,
                "in_features": vars(embedding.in_features),
                "in_map": vars(embedding.in_map),
            }
            for embedding in found.embeddings
        ],
        "mistakes": [mistake(one, names) for one in found.mistakes],
        "suspects": [
            {
                "image": one.id,
                "split": one.split,
                "labelled": names[one.given],
                "suggested": names[one.suggested],
                "margin": one.margin,
                "neighbours_agree": one.neighbours_agree,
            }
            for one in found.label_issues
        ],
    }


def mistake(one: Mistake, names: tuple[str, ...]) -> dict[str, Any]:
    """A mistake as plain values, with its nearest training images."""
    near = zip(one.nearest.ids.tolist(), one.nearest.labels.tolist(), one.nearest.distances.tolist(), strict=True)
    return {
        "image": one.id,
        "true": names[one.label],
        "predicted": names[one.predicted],
        "confidence": one.confidence,
        "nearest": [{"image": name, "class": names[k], "distance": distance} for name, k, distance in near],
    }
