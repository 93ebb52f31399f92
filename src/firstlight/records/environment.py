"""What environment.json says of where a run was trained, and where it went on.

The first environment is the record itself; each that the run went on in is added to its `resumed`.
"""

from __future__ import annotations

import itertools

from firstlight.types import Json

# What the last digits of a number may depend on.
DECIDING = ("engine", "device", "precision", "kernels", "threads", "firstlight", "numpy", "numba", "torch", "processor")


def gone_on(before: Json, epochs: int, now: Json) -> Json:
    """The environment of a run that goes on elsewhere, or otherwise, after so many epochs: those before stay in it."""
    return before | {"resumed": [*before.get("resumed", []), {"after_epoch": epochs, **now}]}


def last_environment(record: Json) -> Json:
    """Where, and how, a run was trained last."""
    resumed = record.get("resumed")
    return resumed[-1] if isinstance(resumed, list) and resumed and isinstance(resumed[-1], dict) else record


def continuations(record: Json) -> list[str]:
    """Each time that a run went on: after which epoch, and in what otherwise than before, for a person."""
    resumed = record.get("resumed")
    places = [record, *(one for one in resumed if isinstance(one, dict))] if isinstance(resumed, list) else []
    return [
        f"after epoch {now.get('after_epoch', '?')}{f', with {changes}' if (changes := differences(was, now)) else ''}"
        for was, now in itertools.pairwise(places)
    ]


def differences(before: Json, now: Json) -> str:
    """What decides on the last digits of a number and is no longer as it was, for a person; "" where nothing is."""
    was, here = _deciding(before), _deciding(now)
    changed = [
        f"{name} {value} instead of {was[name]}" for name, value in here.items() if was.get(name, value) != value
    ]
    return ", ".join(changed)


def _deciding(record: Json) -> dict[str, str]:
    """What decides on the last digits: the way of computing, the versions, the processor."""
    inner = [table for name in ("packages", "machine") if isinstance(table := record.get(name), dict)]
    known = {name: value for table in (record, *inner) for name, value in table.items()}
    return {name: str(known[name]) for name in DECIDING if name in known}
