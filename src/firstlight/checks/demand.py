"""What a component must pass, demand by demand, and spoilt versions of it that show that the demands can fail."""

from __future__ import annotations

import copy
import importlib.util
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from firstlight.checks.result import ComponentCheck, Finding, Proof
from firstlight.errors import brief
from firstlight.types import Array

Subject = TypeVar("Subject")
Owner = TypeVar("Owner")

OURS = Path(__file__).parents[1]


class DemandError(AssertionError):
    """A demand that does not hold: where, what was expected and what was received."""

    def __init__(self, where: str, expected: str, received: object) -> None:
        self.where, self.expected, self.received = where, expected, brief(received)
        super().__init__(f"{where}: expected {expected}; received {self.received}")


class NotApplicableError(Exception):
    """A demand that does not apply; the text says why."""


@dataclass(frozen=True)
class Demand(Generic[Subject]):
    """One thing that must hold.

    name   what the table calls it
    holds  raises DemandError where it does not hold for a subject, NotApplicableError where it does not apply to it
    slow   whether it takes seconds: it is then proved on the faults that are slow as well, and on no other
    """

    name: str
    holds: Callable[[Subject], None]
    slow: bool = False

    @property
    def about(self) -> str:
        """What must hold: the docstring of the function, in a line."""
        return " ".join((self.holds.__doc__ or "").split())


@dataclass(frozen=True)
class Fault(Generic[Subject]):
    """A mistake that somebody could make.

    name   what the table calls it
    spoil  a subject -> the same with the mistake; raises NotApplicableError where it cannot have it
    """

    name: str
    spoil: Callable[[Subject], Subject]
    slow: bool = False


def examine(
    kind: str,
    name: str,
    subjects: Sequence[Subject],
    demands: Sequence[Demand[Subject]],
    faults: Sequence[Fault[Subject]],
) -> ComponentCheck:
    """Every demand on every subject; and for every fault, which of the demands that hold catch it."""
    findings = tuple(_finding(demand, subjects) for demand in demands)
    holding = [demand for demand, found in zip(demands, findings, strict=True) if found.passed]
    return ComponentCheck(kind, name, findings, tuple(_proof(fault, subjects, holding) for fault in faults))


def verify(demand: Demand[Subject], subject: Subject) -> None:
    """Raise DemandError unless the demand holds; an error in the subject's own code is a failure too."""
    try:
        demand.holds(subject)
    except NotApplicableError:
        raise
    except DemandError as failure:
        place = f"{subject}, {failure.where}" if failure.where else str(subject)
        raise DemandError(place, failure.expected, failure.received) from None
    except Exception as error:
        raise DemandError(str(subject), "no error", f"{type(error).__name__}: {error}{_place(error)}") from error


def spoilt(component: Owner, **methods: Callable[..., Any]) -> Owner:
    """A copy of a component on which some methods are others; it has the type, the fields and the name that it had."""
    made = copy.copy(component)
    for name, method in methods.items():
        object.__setattr__(made, name, method)
    return made


def must_store_nothing(where: str, held: Mapping[str, object], component: object, call: str = "call") -> None:
    """Raise DemandError where an attribute of a component, or of a class, is not what it was in `held`."""
    now = vars(component)
    if changed := sorted(name for name in {**now, **held} if now.get(name) is not held.get(name)):
        raise DemandError(where, f"no attribute set by {call}", ", ".join(changed))


def must_be_unwritten(where: str, array: Array, before: Array) -> None:
    """Raise DemandError unless an array has the bits that it had before."""
    if array.tobytes() != before.tobytes():
        raise DemandError(where, "an array that is not modified", "one that was modified")


def must_be_finite(where: str, array: Array) -> None:
    """Raise DemandError, with the first number that is not finite, where there is one."""
    finite = np.isfinite(array)
    if not finite.all():
        raise DemandError(where, "finite numbers", array[~finite].flat[0])


def must_have_pytorch() -> None:
    """Raise NotApplicableError where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise NotApplicableError("PyTorch is not installed: pip install 'firstlight[torch]'")


def must_equal(where: str, expected: object, received: object, said: str) -> None:
    """Raise DemandError unless both are equal; `said` has a place for what was expected."""
    if expected != received:
        raise DemandError(where, said.format(expected), received)


def must_be_close(where: str, found: Any, expected: Any, rounding: float, whose: str = "") -> None:
    """Raise DemandError unless the arrays agree within `rounding`, beside the largest of their numbers or 1."""
    ours, theirs = np.asarray(found), np.asarray(expected)
    if ours.shape != theirs.shape:
        raise DemandError(where, f"the shape {theirs.shape}{f', as {whose} has it' if whose else ''}", ours.shape)
    size = max(float(np.abs(theirs).max(initial=0)), 1.0)
    difference = float(np.abs(ours - theirs).max(initial=0))
    if not difference <= rounding * size:
        if ours.size == 1:
            raise DemandError(where, f"{theirs.item():.9g}", f"{ours.item():.9g}")
        expected = f"what {whose} gives" if whose else "the same numbers"
        raise DemandError(
            where, f"{expected}, within {rounding:g}", f"a relative difference of {difference / size:.1e}"
        )


def _finding(demand: Demand[Subject], subjects: Sequence[Subject]) -> Finding:
    done, reason = 0, ""
    for subject in subjects:
        try:
            verify(demand, subject)
        except NotApplicableError as skipped:
            reason = str(skipped)
        except DemandError as failure:
            return Finding(
                demand.name, demand.about, False, done + 1, failure.where, failure.expected, str(failure.received)
            )
        else:
            done += 1
    return Finding(demand.name, demand.about, True if done else None, done, reason="" if done else reason)


def _proof(fault: Fault[Subject], subjects: Sequence[Subject], demands: Sequence[Demand[Subject]]) -> Proof:
    """Which demands catch the fault: on the first of the subjects where any does."""
    reason, spoilt_any = "", False
    for subject in subjects:
        try:
            broken = fault.spoil(subject)
        except NotApplicableError as skipped:
            reason = str(skipped)
            continue
        except Exception:  # which a demand has told of
            reason = "the component itself fails"
            continue
        spoilt_any = True
        caught = tuple(demand.name for demand in demands if demand.slow <= fault.slow and _fails(demand, broken))
        if caught:
            return Proof(fault.name, True, caught)
    return Proof(fault.name, False if spoilt_any else None, reason=reason)


def _fails(demand: Demand[Subject], subject: Subject) -> bool:
    try:
        verify(demand, subject)
    except NotApplicableError:
        return False
    except DemandError:
        return True
    return False


def _place(error: BaseException) -> str:
    """The file and line of the user's code that raised, or nothing where it is ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if OURS not in Path(frame.filename).parents]
    own = [frame for frame in frames if "site-packages" not in frame.filename and not frame.filename.startswith("<")]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
