"""What a run was told to take before it started, and what it took."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.records.codec import omitted
from firstlight.records.values import Count, Positive
from firstlight.text import bytes_said, duration


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of training and evaluation: seconds, and bytes of memory of the process without mapped files (0: not known)."""

    seconds: Positive
    memory: Count = 0


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """An estimate, and what came out; memory as it was seen after each epoch and at the end.

    whole  whether training went to the end that the estimate was of: it was not stopped before
    """

    told: Estimate
    took: Estimate
    whole: bool = omitted(True)

    def said(self) -> str:
        """Both, for a person: "took 43 s (told: 40 s), 380 MB of memory (told: 400 MB)"."""
        parts = [f"took {duration(self.took.seconds)} (estimated: {duration(self.told.seconds)})"]
        if self.took.memory and self.told.memory:
            parts.append(f"{bytes_said(self.took.memory)} of memory (estimated: {bytes_said(self.told.memory)})")
        return ", ".join(parts)
