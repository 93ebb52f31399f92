"""What a check found: a record of plain values, and how it reads as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from firstlight.text import listed
from firstlight.types import Json


@dataclass(frozen=True)
class Finding:
    """What became of one demand.

    about     what must hold, in a sentence
    passed    None where it does not apply, for `reason`
    cases     examples on which it was tried
    where     of the first failure: the example, the mode, the array
    expected, received  in words or numbers
    """

    demand: str
    about: str
    passed: bool | None
    cases: int = 0
    where: str = ""
    expected: str = ""
    received: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.passed is None:
            return f"{self.demand}: {self.reason}"
        return (
            self.demand
            if self.passed
            else f"{self.demand}: {self.where}: expected {self.expected}; " + (f"received {self.received}")
        )


@dataclass(frozen=True)
class Proof:
    """A spoilt version of the component, and the demands that it failed.

    caught  whether any demand did; None where the component cannot be spoilt so, for `reason`
    """

    fault: str
    caught: bool | None
    by: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.caught is None:
            return f"{self.fault}: {self.reason}"
        return f"{self.fault}: caught by {listed(self.by)}" if self.caught else f"{self.fault}: not caught"


@dataclass(frozen=True)
class ComponentCheck:
    """What a component passes, and which of its spoilt versions the same demands catch.

    kind      "layer", "loss", …; `name` is what it is called
    findings  each demand, and whether it holds
    proofs    each spoilt version, and whether the demands catch it
    """

    kind: str
    name: str
    findings: tuple[Finding, ...]
    proofs: tuple[Proof, ...] = ()

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The demands that do not hold."""
        return tuple(found for found in self.findings if found.passed is False)

    @property
    def passed(self) -> bool:
        """Whether every demand that applies holds."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        if self.failures:
            return f"✗ {self.name} fails: {listed(found.demand for found in self.failures)}."
        done = sum(found.passed is True for found in self.findings)
        if not done:
            return f"– {self.name}: no check applies."
        caught = sum(proof.caught is True for proof in self.proofs)
        tried = sum(proof.caught is not None for proof in self.proofs)
        return (
            f"✓ {self.name} passes all {done} checks that apply; of {tried} deliberately broken versions, they caught "
            f"{caught}."
        )

    def to_json(self) -> Json:
        """Plain values."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        signs = {True: "✓", False: "✗", None: "–"}
        lines = [f"{self.kind} {self.name}"]
        lines += [f"  {signs[found.passed]} {found}" for found in self.findings]
        if self.proofs:
            lines.append("Deliberately broken versions, to show that the checks can fail")
            lines += [f"  {signs[proof.caught]} {proof}" for proof in self.proofs]
        return "\n".join([*lines, self.verdict])
