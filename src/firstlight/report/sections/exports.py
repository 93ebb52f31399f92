"""The files that a model was exported to: by what each was verified, on how many images, and what is not verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from firstlight.records.exports import ExportRecord, State
from firstlight.records.group import Group
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import DASH, count, exponent, file_size, percent
from firstlight.text import printable

SINCE = {
    "changed": "was changed since: what was verified is no longer said of it. Export it again",
    "missing": "is no longer there",
}


@dataclass(frozen=True)
class Exports:
    """The exports of a run with what became of their files, and the accuracy of the run itself."""

    exports: Sequence[tuple[ExportRecord, State]]
    accuracy: float


def numbers(group: Group) -> Exports:
    return Exports(group.first.exports, group.first.test.accuracy)


def caption(found: Exports) -> str:
    """What was compared, and how far it went; what has an accuracy of its own is another model."""
    same = [one for one, _ in found.exports if one.verified and one.accuracy is None]
    differences = [one.largest_difference for one in same if one.largest_difference is not None]
    text = "Verified means that the runtime named ran the export on all test images of the run before it was written"
    if not differences:
        return f"{text}."
    return f"{text}, and found the classes of firstlight, with probabilities that differ by {_most(max(differences))}."


def _most(difference: float) -> str:
    return f"at most {exponent(difference)}" if difference else "nothing"


def section(groups: Sequence[Group]) -> Section | None:
    """The exports of a single run; None where there are none."""
    if len(groups) != 1 or len(groups[0].runs) != 1:
        return None
    found = numbers(groups[0])
    return Section("Exports", "exports", blocks(found)) if found.exports else None


def blocks(found: Exports) -> tuple[Block, ...]:
    """A row an export, and what a row has no room for."""
    table = Table(
        titles=("format", "file", "size", "run by", "test images", "largest difference", "accuracy"),
        rows=tuple(_row(one, found.accuracy) for one, _ in found.exports),
        right=frozenset({2, 4, 5, 6}),
        caption=caption(found),
        kind="exports",
    )
    return (table, *_remarks(found))


def _row(one: ExportRecord, accuracy: float) -> tuple[str, ...]:
    """The accuracy is the run's own where every class is."""
    own = one.accuracy if one.accuracy is not None else accuracy if one.verified else None
    return (
        _title(one),
        printable(one.path),
        file_size(one.bytes),
        printable(one.runtime) if one.verified else "not verified",
        count(one.images) if one.verified else DASH,
        exponent(one.largest_difference),
        DASH if own is None else percent(own, 2),
    )


def _remarks(found: Exports) -> Iterator[Text]:
    for one, state in found.exports:
        name = f"{_title(one)} ({printable(one.path)})"
        if not one.verified:
            yield Text(f"{name} is not verified: {printable(one.not_verified)}", tone="warning")
        if state:
            yield Text(f"{name} {SINCE[state]}.", tone="warning")
        if one.accuracy is not None:
            yield Text(
                f"{name} does not give the classes of firstlight everywhere: its accuracy on the test images is "
                f"{percent(one.accuracy, 2)}, and that of the run {percent(found.accuracy, 2)}.",
                tone="note",
            )
        if one.facts:
            facts = " · ".join(f"{printable(key)}: {printable(value)}" for key, value in one.facts.items())
            yield Text(f"{name} · {facts}", tone="note")


def _title(one: ExportRecord) -> str:
    """The format with its options: "C, int8"."""
    options = (name if value is True else f"{name} {value}" for name, value in one.options.items())
    return printable(", ".join((one.title, *options)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd exports, by what is odd."""

    def record(**changes: object) -> ExportRecord:
        usual: dict[str, object] = {
            **{"format": "onnx", "title": "ONNX", "path": "export/net.onnx", "sha256": {"net.onnx": "0"}},
            **{"bytes": 250_000, "written": "2026-01-01T00:00:00+00:00", "firstlight": "0.1.0"},
        }
        return ExportRecord(**usual | changes)  # type: ignore[arg-type]

    verified = record(runtime="ONNX Runtime 1.20", images=10_000, largest_difference=3.1e-7)
    hostile = record(title="<b>", path="/a \x07 </script>/net", not_verified="<i>no reader</i>.", facts={"<b>": "\x00"})
    quantized = record(
        title="C",
        options={"int8": True, "most": 2},
        runtime="gcc 12",
        images=60,
        accuracy=0.5,
        facts={"memory": "9 KB"},
    )
    return {
        "verified": blocks(Exports([(verified, "")], 0.98)),
        "not verified, and hostile": blocks(Exports([(hostile, "changed"), (verified, "missing")], 0.98)),
        "quantized": blocks(Exports([(quantized, "")], 1.0)),
        "no difference": blocks(Exports([(record(runtime="Node", images=1, largest_difference=0.0), "")], 0.0)),
    }
