"""environment.json: where and how a run was trained.

The first environment is the record itself; each that the run was resumed in is added to its `resumed`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from firstlight.records.codec import omitted, others
from firstlight.records.estimate import Estimate
from firstlight.records.plugin import SHOWN, PluginRecord
from firstlight.records.values import AtLeastOne, Count, Positive, Table


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The computer; memory_gb is in GiB."""

    system: str = omitted("")
    processor: str = omitted("")
    cores: Count | None = omitted(None)
    memory_gb: Positive | None = None

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.processor, self.system)))


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions, machine, and what the engine says of itself.

    after_epoch  the epoch that the run continued after here; None where it began
    git          the commit of the working folder
    started      when, in ISO 8601
    kernels      of the engine numpy; not_compiled is a layer for which it has no compiled operation,
                 and optimizer_not_compiled, why the formula of the optimizer was not compiled
    torch        of the engine torch, as are channels_last, compiled, processes and exact_noise
    estimate     what was told before it started there
    plugins      where the components come from that are not firstlight's own
    resumed      the environments that it went on in
    """

    after_epoch: Count | None = omitted(None)
    firstlight: str = omitted("")
    python: str = omitted("")
    packages: Mapping[str, str] = omitted(make=dict)
    machine: Machine = omitted(Machine())
    git: str | None = None
    started: str = omitted("")
    engine: str = omitted("")
    torch: str = omitted("")
    device: str = omitted("")
    precision: str = omitted("")
    kernels: str = omitted("")
    channels_last: bool | None = omitted(None)
    compiled: bool | None = omitted(None)
    threads: Count | None = omitted(None)
    not_compiled: str = omitted("")
    optimizer_not_compiled: str = omitted("")
    processes: AtLeastOne | None = omitted(None)
    exact_noise: bool | None = omitted(None)
    estimate: Estimate | None = omitted(None)
    plugins: tuple[PluginRecord, ...] = omitted(())
    resumed: tuple[Environment, ...] = omitted(())
    others: Table = others()

    def __post_init__(self) -> None:
        needed = ("torch", "precision", "channels_last", "threads", "compiled")
        missing = [name for name in needed if getattr(self, name) in (None, "")]
        if self.engine == "torch" and missing:
            raise ValueError(f"the engine torch needs {', '.join(sorted(missing))}")

    @property
    def last(self) -> Environment:
        """Where, and how, the run was trained last."""
        return self.resumed[-1] if self.resumed else self

    def resumed_in(self, now: Environment, after_epoch: int) -> Environment:
        """The environment of a run that is resumed elsewhere, or otherwise, after so many epochs."""
        return replace(self, resumed=(*self.resumed, replace(now, after_epoch=after_epoch)))

    def continuations(self) -> list[str]:
        """Each time that the run was resumed: after which epoch, and in what otherwise than before, for a person."""
        return [
            f"after epoch {'?' if now.after_epoch is None else now.after_epoch}"
            f"{f', with {changes}' if (changes := differences(was, now)) else ''}"
            for was, now in itertools.pairwise((self, *self.resumed))
        ]


def differences(before: Environment, now: Environment) -> str:
    """What decides on the last digits of a number and is no longer as it was, for a person; "" where nothing is."""
    was, here = _deciding(before), _deciding(now)
    changed = [
        f"{name} {value} instead of {was[name]}" for name, value in here.items() if was.get(name, value) != value
    ]
    return ", ".join(changed)


def _deciding(of: Environment) -> dict[str, str]:
    """What the last digits of a number depend on: the way of computing, the versions, the processor."""
    known = {
        "engine": of.engine,
        "device": of.device,
        "precision": of.precision,
        "kernels": of.kernels,
        "threads": of.threads,
        "firstlight": of.firstlight,
        "numpy": of.packages.get("numpy"),
        "numba": of.packages.get("numba"),
        "torch": of.torch,
        "processor": of.machine.processor,
    }
    known |= {one.called: f"of SHA-256 {one.sha256[:SHOWN]}" for one in of.plugins if one.sha256}
    return {name: str(value) for name, value in known.items() if value not in (None, "")}
