"""The engine of PyTorch: the layers' twins, autograd and PyTorch's own optimizers, on a CPU, a GPU, or in processes.

The training images stay on the device as bytes, in the order (N, H, W, C), and a batch is gathered by index and scaled
there; where they are augmented, the host makes a few batches at a time. Everything drawn from the seed is drawn on the
host, as for the other engine; dropout masks only on demand.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import math
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import distributed

from firstlight import kernels, processes
from firstlight.engines.base import Tally, Task, Trace, not_finite
from firstlight.errors import ExperimentError, ModelError, ProcessLostError, TrainingError
from firstlight.kernels.lock import LOCK, in_turn, lost
from firstlight.layers import Chain, TwinPass
from firstlight.prepare import Augmented, batches, steps
from firstlight.randomness import generator
from firstlight.types import Array, Images, Shape
from firstlight.weights import Layout

EVALUATION_BATCH = {"cpu": 256, "cuda": 2048}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
TRIAL = 0.3  # seconds for each way of computing that is tried
CLEARLY = 0.95  # of the time of the way so far: what another must take to be chosen
LONG = 120.0  # seconds of training from which compiling the net is tried: it takes about a minute itself
TOGETHER = 20  # steps after which processes tell each other the loss so far


@dataclass(frozen=True)
class TorchEngine:
    """Opens sessions on a device.

    device       "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU where there is one
    precision    "float32" or "float64"; "bfloat16" or "float16" for products in half precision (autocast) in training;
                 "auto" for bfloat16 where a trial shows that it is faster
    exact_noise  dropout masks from the host's generators, the same as on the other engine
    """

    device: str = "auto"
    precision: str = "float32"
    exact_noise: bool = False
    name: str = "torch"

    def session(self, task: Task, train: Images | None = None, vector: Array | None = None) -> TorchSession:
        """See `Engine.session`."""
        return TorchSession(task, train, vector, self)


@dataclass(frozen=True)
class Way:
    """How a session computes: what the trials of `warm_up` choose between."""

    channels_last: bool = False
    threads: int = 1
    reduced: str = ""  # the name of the half precision, if any
    compiled: bool = False


class Resident(NamedTuple):
    """Training images on the device: uint8 (N, H, W, C), int64 (N,), and what the loss of each counts, if not one."""

    pixels: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor | None


class TorchSession:
    """See `Session`. Weights are parameters of a module, each of the shape that the other engine gives it.

    Threads take turns, a step or a batch of images at a time: settings and generators are PyTorch's, not a session's.
    """

    def __init__(self, task: Task, train: Images | None, vector: Array | None, engine: TorchEngine) -> None:
        self.task = task
        self.engine = engine
        self.layout = task.model.layout
        self.device = find_device(engine.device)
        self.rank, self.world = processes.rank(), processes.world_size()
        if self.world > 1:
            _join(self.device)
        self.dtype = DTYPES.get(engine.precision, torch.float32)
        self.way = Way(threads=_threads(), reduced=engine.precision if engine.precision in REDUCED else "")
        self.images = train
        self.augmented: Augmented | None = None
        self.module: Callable[..., Any]
        with self._turn():
            start = task.model.layout.initial(task.seed, np.float64) if vector is None else vector
            self.net = Net(task.trained_layers(), self.layout, self._tensor(start, self.dtype))
            starts = {entry.start: self.net.tensors[entry.name] for entry in self.layout.entries}
            self.penalties = [(starts[part.start], l1, l2) for part, l1, l2 in task.penalties()]
            scale, shift = task.preparation.scale_shift(np.float64)
            self.scale, self.shift = self._tensor(scale, self.dtype), self._tensor(shift, self.dtype)
            if train is not None:
                if not self.net.trained:
                    raise ModelError(f"{task.model.name} has nothing to train: all that it has is frozen.")
                if task.augmentation:
                    self.augmented = task.augmented(train, kernels.load())
                else:
                    self.resident = self._resident(train)
                self._go(self.way)

    # --- training -----------------------------------------------------------------------------------------------------

    def warm_up(self, batch_size: int, epochs: int, as_before: Mapping[str, Any] | None = None) -> None:
        """See `Session.warm_up`: try ways of computing, and keep the fastest, or take that of `as_before`."""
        n = self.task.images_per_epoch(len(self._train_images()), batch_size)
        self._must_be_enough(n, batch_size)
        share = -(-min(batch_size, n) // self.world)
        with self._turn(), self._generators(0)():  # of others' work, too, trials would tell nothing
            vector, state = self.vector(), self.state()
            way = self._way_of(as_before or {})
            if way is None:
                self._choose_way(share, epochs * steps(n, batch_size))
            else:
                self._go(way)
                self._trial(share)
            if self.way.compiled:
                self._trial(n - (steps(n, batch_size) - 1) * batch_size)  # the last batch has a size of its own
            self.restore(vector, state)
        self._replicate()

    def train_step(self, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        """See `Session.train_step`."""
        self._train_images()
        self._replicate()
        with self._turn(), self._generators(epoch)():
            sums = torch.stack(self._step(*self._share(index, epoch), len(index), epoch, step, rate))
            loss, correct = self._together(sums).tolist()
        if not math.isfinite(loss):
            raise not_finite(loss / len(index), epoch, step, rate)
        return loss / len(index), int(correct)

    def train_epoch(self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]) -> Tally:
        """See `Session.train_epoch`. On a GPU the host does not wait for it before the end of the epoch."""
        n = self.task.images_per_epoch(len(self._train_images()), batch_size)
        self._replicate()
        gpu = self.device.type == "cuda"
        generators, shares, done = self._generators(epoch), self._shares(epoch, batch_size), 0
        with self._turn():
            # Of the losses, of what was correct, and of the images; what the host knows of it comes later from a GPU.
            sums = torch.zeros(3, dtype=self._wide(), device=self.device)
            known = torch.zeros(3, dtype=self._wide(), pin_memory=gpu)
            total, correct, seen = sums.unbind()
        for step, rate in enumerate(rates):
            with self._turn(), generators():
                images, places, size = next(shares)
                loss, hits = self._step(images, places, size, epoch, step, float(rate))
                total += loss
                correct += hits
                seen += size / self.world
                done += size
                if self.world > 1 and (step + 1) % TOGETHER and done < n:
                    continue
                known.copy_(self._together(sums), non_blocking=gpu)
                mean = float(known[0]) / max(float(known[2]), 1.0)
            if self.device.type == "cpu" and not math.isfinite(mean):
                raise not_finite(mean, epoch, step, float(rate))
            progress(done, mean)
        with self._turn():
            loss, hits, _ = self._together(sums).tolist()
            self._share_statistics()
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in epoch {epoch + 1}, at a learning rate of up to {rates.max():g}. "
                "The steps were too large: try a tenth of the learning rate (--lr), or a warm-up "
                "(--set schedule.warmup=1)."
            )
        return Tally(loss / n, hits / n)

    def _share(self, index: Array, epoch: int) -> tuple[Resident, torch.Tensor]:
        """Images on the device, and which of them are this process's part of the batch at `index`."""
        mine = np.array_split(np.arange(len(index)), self.world)[self.rank]
        if self.augmented is None:
            return self.resident, self._tensor(index[mine], torch.int64)
        images = self.augmented.batch(index, epoch).take(mine)
        return self._resident(images), torch.arange(len(images), device=self.device)

    def _shares(self, epoch: int, batch_size: int) -> Iterator[tuple[Resident, torch.Tensor, int]]:
        """The same for each batch of an epoch, and how many images the batch has."""
        train = self._train_images()
        order = self.task.order(train, epoch, batch_size)
        if self.augmented is None:
            resident: Any = self._tensor(order, torch.int64)
            for index in batches(resident, batch_size):
                share = cast(torch.Tensor, index).tensor_split(self.world)[self.rank]
                yield self.resident, share, len(index)
            return
        whole = [*batches(np.arange(len(order)), batch_size)]
        sizes = map(len, whole)
        mine = [np.array_split(part, self.world)[self.rank] for part in whole]
        for images, parts in self.augmented.runs(order, epoch, mine):
            run = self._resident(images)
            places: Any = torch.arange(len(images), device=self.device)
            for share in places.split([*map(len, parts)]):
                yield run, share, next(sizes)

    def _step(
        self, images: Resident, mine: torch.Tensor, n: int, epoch: int, step: int, rate: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on this process's part of n images; of these, the sum of their losses and how many were correct."""
        for group, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        run = replace(self.run, uniform=self._uniform(n, epoch, step)) if self.engine.exact_noise else self.run
        sums = self._gradients(images, mine, n, run)
        self.task.optimizer.twin_step(self.net.trained, self._optimizer_step)
        self.steps += 1
        return sums

    def _gradients(
        self, images: Resident, places: torch.Tensor, n: int, run: TwinPass
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Leave on the parameters the gradients of the images at `places`, a part of a batch of n."""
        x, labels = self._batch(images.pixels, places), images.labels.index_select(0, places)
        for theta in self.net.trained:
            theta.grad = None
        with self._autocast():
            y = self.module(x, run)
        y = y.to(self.dtype)
        values = self.task.loss.twin(torch, y, labels)
        if images.weights is not None:
            values = values * images.weights.index_select(0, places)
        loss = values.sum()
        # The mean over the processes, which the replicas take of the gradients, is then that over the whole batch.
        objective = loss * (self.world / n)
        for weights, l1, l2 in self.penalties:
            if l1:
                objective = objective + l1 * weights.abs().sum()
            if l2:
                objective = objective + l2 * weights.square().sum()
        self.scaler.scale(objective).backward()
        columns: Any = y.detach().T
        return loss.detach(), (self.task.loss.predicted(columns) == labels).sum()

    def _optimizer_step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    # --- using --------------------------------------------------------------------------------------------------------

    def outputs(self, images: Images) -> Array:
        """See `Session.outputs`. In full precision, whatever the training's; each process does a part."""
        size, run = EVALUATION_BATCH.get(self.device.type, 256), TwinPass()
        share, units = -(-len(images) // self.world), math.prod(self.task.model.output_shape)
        with self._turn():
            pixels = self._tensor(images.pixels, torch.uint8)
            mine = torch.arange(len(images), device=self.device)[self.rank * share :][:share]
            rows = torch.zeros((share, units), dtype=self.dtype, device=self.device)
        for start in range(0, len(mine), size):
            with self._turn(), torch.no_grad():
                places = mine[start : start + size]
                rows[start : start + len(places)] = self.net(self._batch(pixels, places), run)
        with self._turn():
            if self.world > 1:
                parts = [torch.empty_like(rows) for _ in range(self.world)]
                distributed.all_gather(parts, rows)
                rows = torch.cat(parts)
            return rows[: len(images)].cpu().numpy()

    def prepared(self, images: Images) -> Array:
        """See `Session.prepared`."""
        with self._turn(), torch.no_grad():
            x = self._batch(self._tensor(images.pixels, torch.uint8), torch.arange(len(images), device=self.device))
            return x.cpu().numpy()

    def trace(self, x: Array, cotangents: Mapping[str, Array] | None = None, only: Collection[str] = ()) -> Trace:
        """See `Session.trace`. Each process does all of it."""
        values: dict[str, torch.Tensor] = {}

        def watch(path: str, y: torch.Tensor) -> torch.Tensor:
            # Its own node of the graph: what a layer hands on as it came would else share its gradient with others.
            values[path] = y.view_as(y)
            return values[path]

        with self._turn(), torch.set_grad_enabled(bool(cotangents)):
            start = self._tensor(np.ascontiguousarray(x), self.dtype).requires_grad_(bool(cotangents))
            self.net(start, TwinPass(watch=watch))
            kept = {path: y for path, y in values.items() if not only or path in only}
            gradients: list[Array] = []
            if cotangents:
                parts = [(values[path] * self._tensor(dy, self.dtype)).sum() for path, dy in cotangents.items()]
                wanted = [start, *kept.values()]
                found = torch.autograd.grad(torch.stack(parts).sum(), wanted, allow_unused=True, materialize_grads=True)
                gradients = [gradient.cpu().numpy() for gradient in found]
            kept_values = {path: y.detach().cpu().numpy() for path, y in kept.items()}
        return Trace(kept_values, dict(zip(kept, gradients[1:], strict=False)), gradients[0] if gradients else None)

    @in_turn
    def vector(self) -> Array:
        """See `Session.vector`."""
        arrays = [self.net.tensors[entry.name].detach().reshape(-1) for entry in self.layout.entries]
        return torch.cat(arrays).cpu().numpy()

    @in_turn
    def state(self) -> dict[str, Array]:
        """See `Session.state`. A moment is one array for all trained weights, as on the other engine."""
        known = [self.optimizer.state.get(theta, {}) for theta in self.net.trained]
        # PyTorch's own count where it keeps one: it leaves out the steps that overflowed in half precision.
        arrays = {"step": np.array([int(known[0].get("step", self.steps))], np.int64)}
        for ours, theirs in self.task.optimizer.moments.items():
            moments = [
                torch.zeros_like(theta) if state.get(theirs) is None else state[theirs]
                for theta, state in zip(self.net.trained, known, strict=True)
            ]
            arrays[ours] = torch.cat([moment.reshape(-1) for moment in moments]).cpu().numpy()
        if self.scaler.is_enabled():
            scale = self.scaler.state_dict()
            arrays["loss_scale"] = np.array([scale["scale"], scale["_growth_tracker"]], np.float64)
        return arrays

    @in_turn
    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        """See `Session.restore`."""
        with torch.no_grad():
            for entry in self.layout.entries:
                values = self._tensor(vector[entry.start : entry.stop], self.dtype)
                self.net.tensors[entry.name].copy_(values.reshape(entry.parameter.shape))
        if state is None:
            return
        self._open_optimizer()
        self.steps = int(state["step"][0])
        if "loss_scale" in state and self.scaler.is_enabled():
            scale, growth = state["loss_scale"].tolist()
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale, "_growth_tracker": int(growth)})
        if self.steps == 0:
            return
        counts = not isinstance(self.optimizer, torch.optim.SGD)
        moments, start = {}, 0
        for number, theta in enumerate(self.net.trained):
            part = slice(start, start + theta.numel())
            moments[number] = {"step": torch.tensor(float(self.steps))} if counts else {}
            moments[number] |= {
                # In the memory order of the weights: a fused step takes it for granted.
                theirs: torch.empty_like(theta).copy_(self._tensor(state[ours][part], self.dtype).reshape(theta.shape))
                for ours, theirs in self.task.optimizer.moments.items()
            }
            start = part.stop
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})

    def agree(self, stop: bool) -> bool:
        """See `Session.agree`."""
        if self.world == 1:
            return stop
        with self._told():
            answer = torch.tensor([stop], dtype=torch.int64)  # on the host: a GPU need not be waited for
            distributed.all_reduce(answer)
        return bool(answer.item())

    def share(self, text: str) -> str:
        """See `Session.share`."""
        if self.world == 1:
            return text
        said = [text]
        with self._told():
            distributed.broadcast_object_list(said, 0, device=torch.device("cpu"))
        return said[0]

    def describe(self) -> dict[str, Any]:
        """See `Session.describe`."""
        gpu = self.device.type == "cuda"
        return {
            "engine": self.engine.name,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(self.device) if gpu else self.device.type,
            "precision": self.way.reduced or str(self.dtype).removeprefix("torch."),
            "channels_last": self.way.channels_last,
            "compiled": self.way.compiled,
            "threads": self.way.threads,
            "processes": self.world,
            "exact_noise": self.engine.exact_noise,
        }

    # --- what a step needs --------------------------------------------------------------------------------------------

    def _batch(self, pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The images at `places` as the net takes them: (n, C, H, W), scaled, and each standardized if asked for."""
        x = pixels.index_select(0, places).permute(0, 3, 1, 2)
        x = x.to(self.dtype, memory_format=self._memory_format()).mul_(self.scale).add_(self.shift)
        if not self.task.preparation.per_image:
            return x
        std, mean = torch.std_mean(x, (1, 2, 3), correction=0, keepdim=True)
        return x.sub_(mean).div_(torch.where(std > 0, std, 1))

    def _resident(self, images: Images) -> Resident:
        """A copy of training images on the device."""
        weights = self.task.image_weights(images.labels)
        return Resident(
            self._tensor(images.pixels, torch.uint8),
            self._tensor(images.labels, torch.int64),
            None if weights is None else self._tensor(weights, self.dtype),
        )

    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.way.channels_last else torch.contiguous_format

    def _tensor(self, array: Array, dtype: torch.dtype) -> torch.Tensor:
        """A copy on the device. The host does not wait for it."""
        forwards = array if min(array.strides, default=0) >= 0 else array.copy()  # as PyTorch wants it
        return torch.tensor(forwards, dtype=dtype).to(self.device, non_blocking=True)

    def _wide(self) -> torch.dtype:
        """What sums over an epoch are taken in."""
        return torch.float32 if self.device.type == "mps" else torch.float64  # which has no float64

    def _uniform(self, n: int, epoch: int, step: int) -> Callable[[str, Shape], torch.Tensor]:
        """The host's draws for a batch of n, of which this process takes its images'."""

        def uniform(path: str, shape: Shape) -> torch.Tensor:
            # Batch last, and always float32, as on the other engine.
            draws = generator(self.task.seed, "noise", path, epoch, step).random((*shape[1:], n), dtype=np.float32)
            mine = np.array_split(draws, self.world, axis=-1)[self.rank]
            return self._tensor(np.moveaxis(mine, -1, 0), torch.float32)

        return uniform

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.way.reduced:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, REDUCED[self.way.reduced])

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """While no other thread works: in this session's settings, with errors that tell what to do."""
        with LOCK, self._settings(), self._told():
            yield

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """This session's threads and denormals, and the caller's own again after.

        Denormals are a matter of each thread. Those that PyTorch starts for its work take over what this one has just
        then, and keep it: where a session is the first to use PyTorch, as on the command line, all of them flush.
        """
        threads, flushed = torch.get_num_threads(), _flushes_denormals()
        ours = 1 if lost("torch") else self.way.threads
        if threads != ours:
            torch.set_num_threads(ours)
        torch.set_flush_denormal(self.dtype == torch.float32)
        try:
            yield
        finally:
            torch.set_flush_denormal(flushed)
            if threads != torch.get_num_threads():
                torch.set_num_threads(threads)

    def _generators(self, epoch: int) -> Callable[[], contextlib.AbstractContextManager[None]]:
        """PyTorch's generators for the turns of an epoch: they start by (seed, epoch, process), and go on from turn to
        turn; the caller's own are untouched between.
        """
        seed = int(generator(self.task.seed, "torch", epoch, self.rank).integers(2**63))
        ours: list[torch.Tensor] = []

        @contextlib.contextmanager
        def turn() -> Iterator[None]:
            all_ = [torch.default_generator]
            if self.device.type == "cuda":
                all_.append(torch.cuda.default_generators[self.device.index])
            before = [one.get_state() for one in all_]
            for one, state in itertools.zip_longest(all_, ours):
                one.manual_seed(seed) if state is None else one.set_state(state)
            try:
                yield
            finally:
                ours[:] = [one.get_state() for one in all_]
                for one, state in zip(all_, before, strict=True):
                    one.set_state(state)

        return turn

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what can go wrong outside the program into errors that say what to do."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise MemoryError(f"that of {self.device} is full. Try a smaller batch (--batch-size).") from None
            if "forked subprocess" in str(error):
                raise ExperimentError(
                    "A GPU cannot be used in a process that was forked from one that uses it. Start processes by "
                    'spawn, as multiprocessing.get_context("spawn") does, or use --device cpu.'
                ) from None
            if self.world == 1 or not _is_connection(error):
                raise
            raise ProcessLostError(f"Another of the {self.world} processes that train together has ended.") from None

    def _train_images(self) -> Images:
        if self.images is None:
            raise ModelError("This session was opened to predict: it has no training images.")
        return self.images

    # --- with other processes -----------------------------------------------------------------------------------------

    def _must_be_enough(self, n: int, batch_size: int) -> None:
        """Raise ExperimentError where a process would have too few images of a batch for batch norm."""
        least = min(n, batch_size, n - (steps(n, batch_size) - 1) * batch_size) // self.world
        rows = self.task.model.summary()
        learnt = any(row.type == "BatchNorm" and row.name not in self.task.running_stats for row in rows)
        if self.world > 1 and least < 2 and learnt:
            raise ExperimentError(
                f"training.batch_size: of {n} images in batches of {batch_size}, one of {self.world} processes gets "
                f"only {least} of the smallest batch, too few for batch norm. Choose another size, or fewer processes."
            )

    def _replicate(self) -> None:
        """From now on, the gradients of a step are means over the processes."""
        if self.world > 1 and self.module is self.net:
            # Kernels over one channel lie in memory alike whatever their strides say, and PyTorch warns of those.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            with self._told():
                self.module = torch.nn.parallel.DistributedDataParallel(self.net)

    def _together(self, sums: torch.Tensor) -> torch.Tensor:
        """Sums over the images of all processes from those of this one."""
        if self.world > 1:
            sums = sums.clone()
            distributed.all_reduce(sums)
        return sums

    def _share_statistics(self) -> None:
        """Take over the first process's running statistics, so that all of them evaluate and save the same net."""
        if self.world > 1:
            for statistics in self.net.held:
                distributed.broadcast(statistics, 0)

    # --- the way of computing -----------------------------------------------------------------------------------------

    def _way_of(self, record: Mapping[str, Any]) -> Way | None:
        """The way that `describe` recorded, where it was chosen for the same circumstances."""
        now = self.describe()
        if any(record.get(key) != now[key] for key in ("engine", "torch", "device", "processes")):
            return None
        auto = self.engine.precision == "auto" and record["precision"] in REDUCED
        reduced = record["precision"] if auto else self.way.reduced
        return Way(record["channels_last"], min(record["threads"], _threads()), reduced, record["compiled"])

    def _choose_way(self, share: int, steps: int) -> None:
        """Time a few batches of `share` images in each way of computing, and keep the fastest."""
        chosen, best = self.way, self._trial(share)
        for change in self._changes(best * steps):
            try:
                self._go(replace(chosen, **change))
                seconds = self._trial(share)
            except Exception:
                if not self.way.compiled:
                    raise
                continue  # no compiler here, or one that cannot do this net
            if seconds < CLEARLY * best:
                chosen, best = self.way, seconds
        self._go(chosen)

    def _changes(self, seconds: float) -> Iterator[dict[str, Any]]:
        """What may be faster than the plain way, for training that would take so many seconds in it."""
        if any(theta.dim() == 4 for theta in self.net.tensors.values()):
            yield {"channels_last": True}
        if self.device.type == "cpu" and self.way.threads > 1:
            yield {"threads": 1}
        if self.engine.precision == "auto":
            yield {"reduced": "bfloat16"}
        # On a CPU it never paid: docs/log.md.
        if self.device.type == "cuda" and self.world == 1 and not self.engine.exact_noise and seconds > LONG:
            yield {"compiled": True}

    def _trial(self, share: int) -> float:
        """The seconds that gradients of so many images take in this process."""
        images, places = self._share(np.arange(share * self.world) % len(self._train_images()), 0)
        run = TwinPass(True, running_stats=self.task.running_stats)
        seconds: list[float] = []
        with self._settings():
            while len(seconds) < 3 or (sum(seconds[1:]) < TRIAL and len(seconds) < 20):
                began = time.perf_counter()
                float(self._gradients(images, places, share, run)[0])  # on a GPU, this waits for it
                seconds.append(time.perf_counter() - began)
        best = torch.tensor(min(seconds[1:]))
        if self.world > 1:  # all choose alike, by the slowest
            distributed.all_reduce(best, distributed.ReduceOp.MAX)
        return best.item()

    def _go(self, way: Way) -> None:
        """Compute in this way from now on, with an optimizer that has not taken a step."""
        self.way = way
        for theta in self.net.tensors.values():
            if theta.dim() == 4:
                theta.data = theta.data.contiguous(memory_format=self._memory_format())
        self.module = self.net
        if way.compiled:
            self.module = torch.compile(self.net, mode="reduce-overhead", dynamic=False)
        batch_norm = shared_batch_norm if self.world > 1 and self.task.share_norms else None
        self.run = TwinPass(True, "", None, batch_norm, self.task.running_stats)
        self._open_optimizer()

    def _open_optimizer(self) -> None:
        """The optimizer before its first step, with a group for each factor of the learning rate."""
        entries = [entry for entry in self.layout.entries if entry.parameter.trainable]
        grouped = [
            (factor, [self.net.tensors[entry.name] for entry in group])
            for factor, group in itertools.groupby(entries, lambda entry: self.task.lr_factor(entry.name))
        ]
        self.factors = [factor for factor, _ in grouped]
        groups = [{"params": parameters} for _, parameters in grouped]
        self.optimizer = self.task.optimizer.twin(torch, groups, fused=self.device.type in ("cpu", "cuda"))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.way.reduced == "float16")
        self.steps = 0


class Net(torch.nn.Module):
    """The layers' twins with their tensors.

    tensors  by name
    trained  those to train, in order
    held     the others: running statistics, and what is frozen. They are no buffers of the module, which the replicas
             of several processes would send to each other before each step.
    """

    def __init__(self, layers: Chain, layout: Layout, vector: torch.Tensor) -> None:
        super().__init__()
        self.layers = layers
        self.tensors: dict[str, torch.Tensor] = {}
        self.trained: list[torch.nn.Parameter] = []
        self.held: list[torch.Tensor] = []
        self.tree: dict[str, Any] = {}
        for entry in layout.entries:
            part = vector[entry.start : entry.stop].reshape(entry.parameter.shape).clone()
            branch = self.tree
            for step in entry.path[:-1]:
                branch = branch.setdefault(step, {})
            if entry.parameter.trainable:
                theta = torch.nn.Parameter(part)
                self.register_parameter(entry.name.replace(".", "/"), theta)  # a module's names take no full stop
                self.trained.append(theta)
                part = theta
            else:
                self.held.append(part)
            self.tensors[entry.name] = branch[entry.path[-1]] = part

    def forward(self, x: torch.Tensor, run: TwinPass) -> torch.Tensor:
        """Raw outputs (N, K) of prepared images (N, C, H, W)."""
        y: torch.Tensor = self.layers.twin(torch, self.tree, x, run)
        return y


def find_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a GPU where there is one. Raises ExperimentError where it is not there."""
    kind, _, number = name.partition(":")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        kind = "cuda" if gpus else "cpu"
    if kind not in ("cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise ExperimentError(f"device: there is none called {name!r}. Known: auto, cpu, cuda, cuda:1, mps.")
    if kind == "cuda" and not gpus:
        built = "was built without CUDA" if torch.version.cuda is None else "finds no GPU of NVIDIA"
        raise ExperimentError(f"device: {name} is not here: PyTorch {torch.__version__} {built}. Use --device cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ExperimentError("device: mps is not here: it is the GPU of a Mac. Use --device cpu.")
    if kind == "cuda":
        if number and processes.local_world_size() > 1:
            raise ExperimentError(f"device: {name} is one GPU, and each process needs its own. Use --device cuda.")
        place = int(number or processes.local_rank())
        if place >= gpus:
            known = ", ".join(f"cuda:{gpu}" for gpu in range(gpus))
            raise ExperimentError(f"device: cuda:{place} is not here; received {name!r}. Known: {known}.")
        return torch.device("cuda", place)
    return torch.device(kind)


def shared_batch_norm(
    x: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    training: bool,
    momentum: float,
    epsilon: float,
) -> torch.Tensor:
    """PyTorch's batch_norm, over the images of all processes. (PyTorch's own SyncBatchNorm works on GPUs alone.)"""
    if not training:
        return torch.nn.functional.batch_norm(x, mean, var, gamma, beta, False, momentum, epsilon)
    axes, shape = (0, *range(2, x.dim())), (1, -1, *[1] * (x.dim() - 2))
    z = x.to(gamma.dtype)  # under autocast, x has half precision
    total = _sum(torch.cat([z.sum(axes), z.new_full((1,), z.numel() // z.shape[1])]))
    m = total[-1]
    batch_mean = total[:-1] / m
    centred = z - batch_mean.view(shape)
    batch_var = _sum(centred.square().sum(axes)) / m
    with torch.no_grad():
        mean.lerp_(batch_mean, momentum)
        var.lerp_(batch_var * (m / (m - 1)), momentum)
    y = centred * (gamma / torch.sqrt(batch_var + epsilon)).view(shape) + beta.view(shape)
    return y.to(x.dtype)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return SumOverProcesses.apply(x)  # type: ignore[no-untyped-call]


class SumOverProcesses(torch.autograd.Function):
    """Σ over the processes of a tensor that each of them has; the gradient of each is the sum of theirs by it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
        total = dy.clone()
        distributed.all_reduce(total)
        return total


def _join(device: torch.device) -> None:
    """Meet the other processes that torchrun started."""
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Beside NCCL, gloo for what the hosts have to tell each other.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)


def _threads() -> int:
    """As many as this process has cores; PyTorch's own number may be lower, by OMP_NUM_THREADS."""
    if lost("torch"):
        return 1
    cores = processes.cores()
    together = processes.local_world_size()
    # torchrun sets OMP_NUM_THREADS to 1 where nobody else has: that says nothing.
    return max(1, cores // together) if together > 1 else max(1, min(cores, torch.get_num_threads()))


def _is_connection(error: RuntimeError) -> bool:
    """Whether an error tells that another process is gone."""
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in ("gloo", "NCCL", "peer"))


def _flushes_denormals() -> bool:
    """Whether this thread's arithmetic takes denormal numbers for zero; PyTorch can set it, but not tell."""
    return sys.float_info.min / 2 == 0.0
