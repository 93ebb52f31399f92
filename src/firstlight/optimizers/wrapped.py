"""Optimizers round another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firstlight.optimizers.base import Block, Optimizer, Part


@dataclass(frozen=True)
class Wrapped(Optimizer):
    """The base of optimizers round another one.

    inner  that one
    """

    inner: Optimizer

    @property
    def moments(self) -> Mapping[str, str]:
        return self.inner.moments

    def parts(self, blocks: Sequence[Block]) -> list[Part]:
        return self.inner.parts(blocks)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return self.inner.twin(torch, groups, fused)

    @property
    def innermost(self) -> Optimizer:
        return self.inner.innermost
