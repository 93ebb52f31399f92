"""A session of the engine of PyTorch.

The training images stay on the device as bytes, in the order (N, H, W, C), and a batch is gathered by index and scaled
there; where they are augmented, the host makes a few batches at a time, and where they are mapped, it reads one at a
time. Everything drawn from the seed is drawn on the host, as for the other engine; dropout masks only on demand.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from firstlight import kernels
from firstlight.engines.base import EpochMetrics, Task, Trace, not_finite
from firstlight.engines.torch import tuning
from firstlight.engines.torch.device import default_threads, find_device, seeded_generators, thread_settings
from firstlight.engines.torch.distributed import ProcessGroup, shared_batch_norm
from firstlight.engines.torch.state import Net, TrainingState
from firstlight.engines.torch.tuning import HALF_PRECISIONS, ComputeMode
from firstlight.errors import ExperimentError, ModelError, TrainingError
from firstlight.kernels.lock import LOCK, in_turn
from firstlight.layers import TwinPass
from firstlight.pixels import is_mapped, located
from firstlight.prepare import Augmented, batches, steps
from firstlight.randomness import generator
from firstlight.types import Array, Images, Shape

EVALUATION_BATCH = {"cpu": 256, "cuda": 2048}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
TOGETHER = 20  # steps after which processes tell each other the loss so far


class Resident(NamedTuple):
    """Training images on the device.

    pixels   uint8 (N, H, W, C)
    labels   int64 (N,)
    targets  what the loss is taken against: the labels, or of mixed images the shares of classes (N, K)
    weights  (N,), what the loss of each counts, if not one
    rows     int64 (N,), where each lies among the pixels, which are those of a file; None: at its own place
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor | None
    rows: torch.Tensor | None = None


class _Lent:
    """An array that may not be written to, in the form in which PyTorch takes it without a copy; nothing writes to it.

    It is told that it may write, for it would warn otherwise. The pages of the file are protected all the same.
    """

    def __init__(self, array: Array) -> None:
        self.array = array  # which lives as long as what is made of it
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


class TorchSession:
    """See `Session`. Weights are parameters of a module, each of the shape that the other engine gives it.

    Threads take turns, a step or a batch of images at a time: settings and generators are PyTorch's, not a session's.
    """

    def __init__(
        self,
        task: Task,
        train: Images | None,
        vector: Array | None,
        device: str,
        precision: str,
        exact_noise: bool,
    ) -> None:
        self.task, self.precision, self.exact_noise = task, precision, exact_noise
        self.device = find_device(device)
        self.group = ProcessGroup(self.device)
        self.dtype = DTYPES.get(precision, torch.float32)
        self.mode = ComputeMode(threads=default_threads(), half=precision if precision in HALF_PRECISIONS else "")
        self.images = train
        self.augmented: Augmented | None = None
        self.module: Callable[..., Any]
        with self._turn():
            start = task.model.layout.initial(task.seed, np.float64) if vector is None else vector
            self.net = Net(task.trained_layers(), task.model.layout, self._tensor(start, self.dtype))
            self.trained = TrainingState(task, self.net, self.device, lambda array: self._tensor(array, self.dtype))
            starts = {entry.start: self.net.tensors[entry.name] for entry in task.model.layout.entries}
            self.penalties = [(starts[part.start], l1, l2) for part, l1, l2 in task.penalties()]
            scale, shift = task.preparation.scale_shift(np.float64)
            self.scale, self.shift = self._tensor(scale, self.dtype), self._tensor(shift, self.dtype)
            if train is not None:
                if not self.net.trained:
                    raise ModelError(f"{task.model.name} has nothing to train: all of its parameters are frozen.")
                self.augmented = task.augmented(train, kernels.load()) if task.augmentation else None
                if not self.made_by_host:
                    self.resident = self._resident(train)
                self.use(self.mode)

    # --- training -----------------------------------------------------------------------------------------------------

    def warm_up(self, batch_size: int, epochs: int, as_before: Mapping[str, Any] | None = None) -> None:
        """See `Session.warm_up`: try modes, and keep the fastest, or take that of `as_before`."""
        n = self.task.images_per_epoch(len(self._train_images()), batch_size)
        self._must_be_enough(n, batch_size)
        share = -(-min(batch_size, n) // self.group.size)
        with self._turn(), self._generators(0)():  # of others' work, too, trials would tell nothing
            vector, state = self.vector(), self.state()
            mode = tuning.recorded_mode(as_before or {}, self.describe(), self.precision == "auto", self.mode)
            if mode is None:
                self._choose_mode(share, epochs * steps(n, batch_size))
            else:
                self.use(mode)
                self._trial(share)
            if self.mode.compiled:
                self._trial(n - (steps(n, batch_size) - 1) * batch_size)  # the last batch has a size of its own
            self.restore(vector, state)
        self._replicate()

    def train_step(self, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        """See `Session.train_step`."""
        self._train_images()
        self._replicate()
        with self._turn(), self._generators(epoch)():
            sums = torch.stack(self._step(*self._share(index, epoch), len(index), epoch, step, rate))
            loss, correct = self.group.total(sums).tolist()
        if not math.isfinite(loss):
            raise not_finite(loss / len(index), epoch, step, rate)
        return loss / len(index), int(correct)

    def train_epoch(
        self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]
    ) -> EpochMetrics:
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
                seen += size / self.group.size
                done += size
                if self.group.size > 1 and (step + 1) % TOGETHER and done < n:
                    continue
                known.copy_(self.group.total(sums), non_blocking=gpu)
                mean = float(known[0]) / max(float(known[2]), 1.0)
            if self.device.type == "cpu" and not math.isfinite(mean):
                raise not_finite(mean, epoch, step, float(rate))
            progress(done, mean)
        with self._turn():
            loss, hits, _ = self.group.total(sums).tolist()
            # So that all processes evaluate and save the same net.
            self.group.from_first([*self.net.held, *self.trained.average.values()])
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in epoch {epoch + 1}, at a learning rate of up to {rates.max():g}. "
                "The steps were too large: try one tenth of the learning rate (--lr), or a warm-up "
                "(--set schedule.warmup=1)."
            )
        return EpochMetrics(loss / n, hits / n)

    @property
    def made_by_host(self) -> bool:
        """Whether the host makes the images of a batch: they are augmented, or read from a file by it alone."""
        return self.augmented is not None or not self._reads_in_place(self._train_images())

    def _reads_in_place(self, images: Images) -> bool:
        """Whether a batch can be gathered from all images where they lie, in memory or in a file that is mapped."""
        pixels: Any = images.pixels
        return not is_mapped(pixels) or (self.device.type == "cpu" and pixels.change is None)

    def _share(self, index: Array, epoch: int) -> tuple[Resident, torch.Tensor]:
        """Images on the device, and which of them are this process's part of the batch at `index`."""
        mine = self.group.part(np.arange(len(index)))
        if not self.made_by_host:
            return self.resident, self._tensor(index[mine], torch.int64)
        if self.augmented is None:
            images = self._train_images().take(index[mine])
        else:
            images = self.augmented.batch(index, epoch).take(mine)
        return self._resident(images), torch.arange(len(images), device=self.device)

    def _shares(self, epoch: int, batch_size: int) -> Iterator[tuple[Resident, torch.Tensor, int]]:
        """The same for each batch of an epoch, and how many images the batch has."""
        train = self._train_images()
        order = self.task.order(train, epoch, batch_size)
        if not self.made_by_host:
            resident: Any = self._tensor(order, torch.int64)
            for index in batches(resident, batch_size):
                share = cast(torch.Tensor, index).tensor_split(self.group.size)[self.group.rank]
                yield self.resident, share, len(index)
            return
        if self.augmented is None:
            for index in batches(order, batch_size):
                yield *self._share(index, epoch), len(index)
            return
        whole = [*batches(np.arange(len(order)), batch_size)]
        sizes = map(len, whole)
        mine = [self.group.part(part) for part in whole]
        for images, parts in self.augmented.runs(order, epoch, mine):
            run = self._resident(images)
            places: Any = torch.arange(len(images), device=self.device)
            for share in places.split([*map(len, parts)]):
                yield run, share, next(sizes)

    def _step(
        self, images: Resident, mine: torch.Tensor, n: int, epoch: int, step: int, rate: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on this process's part of n images; of these, the sum of their losses and how many were correct."""
        run = replace(self.run, uniform=self._uniform(n, epoch, step)) if self.exact_noise else self.run
        sums = self._gradients(images, mine, n, run)
        self.trained.step(rate)
        return sums

    def _gradients(
        self, images: Resident, places: torch.Tensor, n: int, run: TwinPass
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Leave on the parameters the gradients of the images at `places`, a part of a batch of n."""
        where = places if images.rows is None else images.rows.index_select(0, places)
        x, labels = self._batch(images.pixels, where), images.labels.index_select(0, places)
        for theta in self.net.trained:
            theta.grad = None
        with self._autocast():
            y = self.module(x, run)
        y = y.to(self.dtype)
        values = self.task.loss.twin(torch, y, images.targets.index_select(0, places))
        if images.weights is not None:
            values = values * images.weights.index_select(0, places)
        loss = values.sum()
        # The mean over the processes, which the replicas take of the gradients, is then that over the whole batch.
        objective = loss * (self.group.size / n)
        for weights, l1, l2 in self.penalties:
            if l1:
                objective = objective + l1 * weights.abs().sum()
            if l2:
                objective = objective + l2 * weights.square().sum()
        self.trained.backward(objective)
        columns: Any = y.detach().T
        return loss.detach(), (self.task.loss.predicted(columns) == labels).sum()

    # --- using --------------------------------------------------------------------------------------------------------

    def outputs(self, images: Images | Array) -> Array:
        """See `Session.outputs`. In full precision, whatever the training's; each process does a part."""
        given = images.pixels if isinstance(images, Images) else images
        size, run = EVALUATION_BATCH.get(self.device.type, 256), TwinPass()
        share, units = -(-len(images) // self.group.size), math.prod(self.task.model.output_shape)
        with self._turn():
            mine = np.arange(len(images))[self.group.rank * share :][:share]
            rows = torch.zeros((share, units), dtype=self.dtype, device=self.device)
        for start in range(0, len(mine), size):
            with self._turn(), torch.no_grad():
                block = given[mine[start] : mine[start : start + size][-1] + 1]
                places = torch.arange(len(block), device=self.device)
                rows[start : start + len(block)] = self.net(self._batch(self._tensor(block, torch.uint8), places), run)
        with self._turn():
            return self.group.gather(rows)[: len(images)].cpu().numpy()

    def prepared(self, images: Images) -> Array:
        """See `Session.prepared`."""
        with self._turn(), torch.no_grad():
            pixels = self._tensor(images.pixels[:], torch.uint8)
            x = self._batch(pixels, torch.arange(len(images), device=self.device))
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
                inputs = [start, *kept.values()]
                found = torch.autograd.grad(torch.stack(parts).sum(), inputs, allow_unused=True, materialize_grads=True)
                gradients = [gradient.cpu().numpy() for gradient in found]
            kept_values = {path: y.detach().cpu().numpy() for path, y in kept.items()}
        return Trace(kept_values, dict(zip(kept, gradients[1:], strict=False)), gradients[0] if gradients else None)

    @in_turn
    def vector(self) -> Array:
        """See `Session.vector`."""
        return self.trained.vector()

    @in_turn
    def state(self) -> dict[str, Array]:
        """See `Session.state`."""
        return self.trained.arrays()

    @in_turn
    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        """See `Session.restore`."""
        self.trained.restore_weights(vector)
        if state is not None:
            self.trained.restore_optimizer(state, self.mode.half)

    def agree(self, stop: bool) -> bool:
        """See `Session.agree`."""
        return self.group.agree(stop)

    def share(self, text: str) -> str:
        """See `Session.share`."""
        return self.group.share(text)

    def describe(self) -> dict[str, Any]:
        """See `Session.describe`."""
        gpu = self.device.type == "cuda"
        return {
            "engine": "torch",
            "torch": str(torch.__version__),
            "device": torch.cuda.get_device_name(self.device) if gpu else self.device.type,
            "precision": self.mode.half or str(self.dtype).removeprefix("torch."),
            "channels_last": self.mode.channels_last,
            "compiled": self.mode.compiled,
            "threads": self.mode.threads,
            "processes": self.group.size,
            "exact_noise": self.exact_noise,
        }

    # --- what a step needs --------------------------------------------------------------------------------------------

    def _batch(self, pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The images at `places` as the net takes them: (n, C, H, W), scaled, and each standardized if asked for."""
        x = pixels.index_select(0, places).permute(0, 3, 1, 2)
        x = x.to(self.dtype, memory_format=self.mode.memory_format).mul_(self.scale).add_(self.shift)
        if not self.task.preparation.per_image:
            return x
        std, mean = torch.std_mean(x, (1, 2, 3), correction=0, keepdim=True)
        return x.sub_(mean).div_(torch.where(std > 0, std, 1))

    def _resident(self, images: Images) -> Resident:
        """A copy of training images on the device; of mapped ones that are read in place, a view of their file."""
        targets, weights = self.task.targets(images, np.arange(len(images)))
        labels = self._tensor(images.labels, torch.int64)
        pixels, rows = self._pixels(images)
        return Resident(
            pixels,
            labels,
            labels if targets.ndim == 1 else self._tensor(np.ascontiguousarray(targets.T), self.dtype),
            None if weights is None else self._tensor(weights, self.dtype),
            rows,
        )

    def _pixels(self, images: Images) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The pixels of images as a tensor, and their rows in it where it is of a file."""
        if not (is_mapped(images.pixels) and self._reads_in_place(images)):
            return self._tensor(images.pixels[:], torch.uint8), None
        base, rows = located(images.pixels, np.arange(len(images)))
        return torch.from_numpy(np.asarray(_Lent(base))), self._tensor(rows, torch.int64)

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
            mine = self.group.part(draws, axis=-1)
            return self._tensor(np.moveaxis(mine, -1, 0), torch.float32)

        return uniform

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.mode.half:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, HALF_PRECISIONS[self.mode.half])

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """While no other thread works: in this session's settings, with errors that tell what to do."""
        with LOCK, self._settings(), self.group.errors():
            yield

    def _settings(self) -> contextlib.AbstractContextManager[None]:
        return thread_settings(self.mode.threads, self.dtype == torch.float32)

    def _generators(self, epoch: int) -> Callable[[], contextlib.AbstractContextManager[None]]:
        """PyTorch's generators for the turns of an epoch: they start by (seed, epoch, process)."""
        seed = int(generator(self.task.seed, "torch", epoch, self.group.rank).integers(2**63))
        return seeded_generators(self.device, seed)

    def _train_images(self) -> Images:
        if self.images is None:
            raise ModelError("This session was opened to predict: it has no training images.")
        return self.images

    # --- with other processes -----------------------------------------------------------------------------------------

    def _must_be_enough(self, n: int, batch_size: int) -> None:
        """Raise ExperimentError where a process would have too few images of a batch for batch norm."""
        least = min(n, batch_size, n - (steps(n, batch_size) - 1) * batch_size) // self.group.size
        rows = self.task.model.summary()
        learnt = any(row.type == "BatchNorm" and row.name not in self.task.running_stats for row in rows)
        if self.group.size > 1 and least < 2 and learnt:
            raise ExperimentError(
                f"training.batch_size: of {n} images in batches of {batch_size}, one of {self.group.size} processes "
                f"gets only {least} of the smallest batch, too few for batch norm. Choose another size, or fewer "
                "processes."
            )

    def _replicate(self) -> None:
        """From now on, the gradients of a step are means over the processes."""
        if self.module is self.net:
            self.module = self.group.replicate(self.net)

    # --- the mode -----------------------------------------------------------------------------------------------------

    def use(self, mode: ComputeMode) -> None:
        """Compute in this mode from now on, with an optimizer that has not taken a step."""
        self.mode = mode
        self.net.lay_out(mode.memory_format)
        self.module = torch.compile(self.net, mode="reduce-overhead", dynamic=False) if mode.compiled else self.net
        batch_norm = shared_batch_norm if self.group.size > 1 and self.task.share_norms else None
        self.run = TwinPass(True, "", None, batch_norm, self.task.running_stats)
        self.trained.open_optimizer(mode.half)

    def _choose_mode(self, share: int, steps: int) -> None:
        """Time a few batches of `share` images in each mode, and use the fastest for so many steps of training."""

        def trial(mode: ComputeMode) -> float:
            self.use(mode)
            return self._trial(share)

        seconds = self._trial(share)
        self.use(tuning.fastest(self.mode, seconds, self._candidates(seconds * steps), trial))

    def _candidates(self, seconds: float) -> Iterator[dict[str, Any]]:
        """What may be faster for training that would take so many seconds in the mode so far."""
        return tuning.candidates(
            self.mode,
            images=self.net.has_convolutions,
            device=self.device.type,
            auto=self.precision == "auto",
            may_compile=self.group.size == 1 and not self.exact_noise,
            seconds=seconds,
        )

    def _trial(self, share: int) -> float:
        """The seconds that gradients of so many images take in this process, or in the slowest of several."""
        images, places = self._share(np.arange(share * self.group.size) % len(self._train_images()), 0)
        run = TwinPass(True, running_stats=self.task.running_stats)
        with self._settings():
            # On a GPU, the loss as a number waits for it.
            seconds = tuning.timed(lambda: float(self._gradients(images, places, share, run)[0]))
        return self.group.largest(torch.tensor(seconds)).item()
