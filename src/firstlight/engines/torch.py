"""The engine of PyTorch: the layers' twins, autograd and PyTorch's own optimisers, on a CPU, a GPU, or in processes.

The training images stay on the device as bytes, in the order (N, H, W, C), and a batch is gathered by index and scaled
there. Everything drawn from the seed is drawn on the host, as for the other engine; dropout masks only on demand.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import distributed

from firstlight import processes
from firstlight.engines.base import Tally, Task, not_finite
from firstlight.errors import ExperimentError, ModelError, RunError, TrainingError
from firstlight.layers import Chain, TwinPass
from firstlight.prepare import batches, epoch_order, steps
from firstlight.randomness import generator
from firstlight.types import Array, Images, Shape
from firstlight.weights import Layout

EVALUATION_BATCH = {"cpu": 256, "cuda": 2048}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
TRIAL = 0.3  # seconds for each way of computing that is tried
CLEARLY = 0.95  # of the time of the way so far: what another must take to be chosen
LONG = 120.0  # seconds of training from which compiling the net is tried: it takes about a minute itself


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


class TorchSession:
    """See `Session`. Weights are parameters of a module, each of the shape that the other engine gives it."""

    def __init__(self, task: Task, train: Images | None, vector: Array | None, engine: TorchEngine) -> None:
        self.task = task
        self.engine = engine
        self.layout = task.model.layout
        self.device = find_device(engine.device)
        self.world = processes.world_size()
        if self.world > 1:
            _join(self.device)
        self.dtype = DTYPES.get(engine.precision, torch.float32)
        start = task.model.layout.initial(task.seed, np.float64) if vector is None else vector
        self.net = Net(task.trained_layers(), self.layout, self._tensor(start, self.dtype))
        self.way = Way(threads=_threads(), reduced=engine.precision if engine.precision in REDUCED else "")
        starts = {entry.start: self.net.tensors[entry.name] for entry in self.layout.entries}
        self.penalties = [(starts[part.start], l1, l2) for part, l1, l2 in task.penalties()]
        scale, shift = task.preparation.scale_shift(np.float64)
        self.scale, self.shift = self._tensor(scale, self.dtype), self._tensor(shift, self.dtype)
        self.images = train
        if train is not None:
            self.pixels, self.labels = self._tensor(train.pixels, torch.uint8), self._tensor(train.labels, torch.int64)
            self._go(self.way)

    # --- training -----------------------------------------------------------------------------------------------------

    def warm_up(self, batch_size: int, epochs: int) -> None:
        """See `Session.warm_up`: try ways of computing, and keep the fastest."""
        images = self._train_images()
        index = np.arange(min(batch_size, len(images)))
        before = self.vector()
        with self._random(0), self._told():
            if self.world == 1:
                self._choose_way(index, epochs * steps(len(images), batch_size))
            else:  # trials of processes that wait for each other would time the others
                self._trial(index)
        self.restore(before)

    def train_step(self, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        """See `Session.train_step`."""
        self._train_images()
        with self._settings(), self._random(epoch):
            loss, right = self._step(index, epoch, step, rate).tolist()
        if not math.isfinite(loss):
            raise not_finite(loss / len(index), epoch, step, rate)
        return loss / len(index), int(right)

    def train_epoch(self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]) -> Tally:
        """See `Session.train_epoch`. On a GPU the host does not wait for it before the end of the epoch."""
        order = epoch_order(self.task.seed, epoch, len(self._train_images()))
        sums = torch.zeros(2, dtype=self._wide(), device=self.device)
        total, done = 0.0, 0
        with self._settings(), self._random(epoch):
            for step, (index, rate) in enumerate(zip(batches(order, batch_size), rates, strict=True)):
                sums += self._step(index, epoch, step, float(rate))
                done += len(index)
                if self.device.type == "cpu":
                    total = float(sums[0])
                    if not math.isfinite(total):
                        raise not_finite(total, epoch, step, float(rate))
                progress(done, total / done)
            total, right = sums.tolist()
            self._share_statistics()
        if not math.isfinite(total):
            raise TrainingError(
                f"The loss became {total} in epoch {epoch + 1}, at a learning rate of up to {rates.max():g}. "
                "The steps were too large: try a tenth of the learning rate (--lr), or a warm-up "
                "(--set schedule.warmup=1)."
            )
        return Tally(total / done, right / done)

    def _step(self, index: Array, epoch: int, step: int, rate: float) -> torch.Tensor:
        """One step; (sum of the losses, how many were right) over the batch of all processes, on the device."""
        for group, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        with self._told():
            sums = self._gradients(index, epoch, step)
            self.task.optimizer.twin_step(self.net.trained, self._optimizer_step)
        self.steps += 1
        return sums

    def _gradients(self, index: Array, epoch: int, step: int) -> torch.Tensor:
        """Leave the gradients of one batch on the parameters; return (sum of the losses, how many were right)."""
        mine = np.array_split(index, self.world)[processes.rank()] if self.world > 1 else index
        places = self._tensor(mine, torch.int64)
        x, labels = self._batch(self.pixels, places), self.labels[places]
        run = TwinPass(True, "", self._uniform(index, epoch, step), self._batch_norm(), self.task.settled)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            y = self.module(x, run)
        y = y.to(self.dtype)
        values = self.task.loss.twin(torch, y, labels)
        # The mean over the processes, which the replicas take of the gradients, is then that over the whole batch.
        objective = values.sum() * (self.world / len(index))
        for weights, l1, l2 in self.penalties:
            objective = objective + l1 * weights.abs().sum() + l2 * weights.square().sum()
        self.scaler.scale(objective).backward()
        columns: Any = y.detach().T
        right = (self.task.loss.predicted(columns) == labels).sum()
        sums = torch.stack([values.detach().sum(dtype=self._wide()), right.to(self._wide())])
        if self.world > 1:
            distributed.all_reduce(sums)
        return sums

    def _optimizer_step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    # --- using --------------------------------------------------------------------------------------------------------

    def outputs(self, images: Images) -> Array:
        """See `Session.outputs`. In full precision, whatever the training's; each process does a part."""
        pixels = self._tensor(images.pixels, torch.uint8)
        share = -(-len(images) // self.world)
        mine = np.arange(len(images))[processes.rank() * share :][:share]
        rows = torch.zeros((share, math.prod(self.task.model.output_shape)), dtype=self.dtype, device=self.device)
        size = EVALUATION_BATCH.get(self.device.type, 256)
        with self._settings(), self._told(), torch.no_grad():
            for start in range(0, len(mine), size):
                places = self._tensor(mine[start : start + size], torch.int64)
                rows[start : start + len(places)] = self.net(self._batch(pixels, places), TwinPass())
            if self.world > 1:
                parts = [torch.empty_like(rows) for _ in range(self.world)]
                distributed.all_gather(parts, rows)
                rows = torch.cat(parts)
        return rows[: len(images)].cpu().numpy()

    def vector(self) -> Array:
        """See `Session.vector`."""
        arrays = [self.net.tensors[entry.name].detach().reshape(-1) for entry in self.layout.entries]
        return torch.cat(arrays).cpu().numpy().copy()

    def state(self) -> dict[str, Array]:
        """See `Session.state`. A moment is one array for all trained weights, as on the other engine."""
        arrays = {"step": np.array([self.steps], np.int64)}
        known = [self.optimizer.state.get(theta, {}) for theta in self.net.trained]
        for ours, theirs in self.task.optimizer.moments.items():
            moments = [
                torch.zeros_like(theta) if state.get(theirs) is None else state[theirs]
                for theta, state in zip(self.net.trained, known, strict=True)
            ]
            arrays[ours] = torch.cat([moment.detach().reshape(-1) for moment in moments]).cpu().numpy().copy()
        if self.scaler.is_enabled():
            scale = self.scaler.state_dict()
            arrays["loss_scale"] = np.array([scale["scale"], scale["_growth_tracker"]], np.float64)
        return arrays

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
        moments, start = {}, 0
        for number, theta in enumerate(self.net.trained):
            part = slice(start, start + theta.numel())
            moments[number] = {"step": torch.tensor(float(self.steps))} | {
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
            answer = torch.tensor([float(stop)], device=self.device)
            distributed.all_reduce(answer)
            return bool(answer.item())

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
        """The images at `places` as the net takes them: (n, C, H, W), scaled."""
        x = pixels.index_select(0, places).permute(0, 3, 1, 2)
        return x.to(self.dtype, memory_format=self._memory_format()).mul_(self.scale).add_(self.shift)

    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.way.channels_last else torch.contiguous_format

    def _tensor(self, array: Array, dtype: torch.dtype) -> torch.Tensor:
        """A copy on the device. The host does not wait for it."""
        return torch.tensor(array, dtype=dtype).to(self.device, non_blocking=True)

    def _wide(self) -> torch.dtype:
        """What sums over an epoch are taken in."""
        return torch.float32 if self.device.type == "mps" else torch.float64  # which has no float64

    def _uniform(self, index: Array, epoch: int, step: int) -> Callable[[str, Shape], torch.Tensor] | None:
        """The host's draws for the batch, of which this process takes its images'."""
        if not self.engine.exact_noise:
            return None

        def uniform(path: str, shape: Shape) -> torch.Tensor:
            # Batch last, and always float32, as on the other engine.
            draws = generator(self.task.seed, "noise", path, epoch, step).random(
                (*shape[1:], len(index)), dtype=np.float32
            )
            mine = np.array_split(draws, self.world, axis=-1)[processes.rank()]
            return self._tensor(np.moveaxis(mine, -1, 0).copy(), torch.float32)

        return uniform

    def _batch_norm(self) -> Callable[..., torch.Tensor] | None:
        return shared_batch_norm if self.world > 1 and self.task.share_norms else None

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.way.reduced:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, REDUCED[self.way.reduced])

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """This session's threads and denormals, and the caller's own again after."""
        threads, ours = torch.get_num_threads(), self.way.threads
        if threads != ours:
            torch.set_num_threads(ours)
        torch.set_flush_denormal(self.dtype == torch.float32)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            if threads != ours:
                torch.set_num_threads(threads)

    @contextlib.contextmanager
    def _random(self, epoch: int) -> Iterator[None]:
        """PyTorch's generator, started by (seed, epoch, process); the caller's own goes on after as if untouched."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            draw = generator(self.task.seed, "torch", epoch, processes.rank())
            torch.manual_seed(int(draw.integers(2**63)))
            yield

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what can go wrong outside the program into errors that say what to do."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise MemoryError(f"the memory of {self.device} is full. Try a smaller batch (--batch-size).") from None
        except RuntimeError as error:
            if self.world == 1 or not _is_connection(error):
                raise
            raise RunError(f"Another of the {self.world} processes that train together has ended.") from None

    def _train_images(self) -> Images:
        if self.images is None:
            raise ModelError("This session was opened to predict: it has no training images.")
        return self.images

    def _share_statistics(self) -> None:
        """Take over the first process's running statistics, so that all of them evaluate and save the same net."""
        if self.world > 1:
            with self._told():
                for statistics in self.net.buffers():
                    distributed.broadcast(statistics, 0)

    # --- the way of computing -----------------------------------------------------------------------------------------

    def _choose_way(self, index: Array, steps: int) -> None:
        """Time a few steps of each way of computing, and keep the fastest."""
        chosen, best = self.way, self._trial(index)
        for change in self._changes():
            if change.get("compiled") and best * steps < LONG:
                continue
            self._go(replace(chosen, **change))
            seconds = self._trial(index)
            if seconds < CLEARLY * best:
                chosen, best = self.way, seconds
        self._go(chosen)

    def _changes(self) -> Iterator[dict[str, Any]]:
        """What may be faster than the plain way."""
        if any(theta.dim() == 4 for theta in self.net.trained):
            yield {"channels_last": True}
        if self.device.type == "cpu" and self.way.threads > 1:
            yield {"threads": 1}
        if self.engine.precision == "auto":
            yield {"reduced": "bfloat16"}
        if self.device.type in ("cpu", "cuda"):
            yield {"compiled": True}

    def _trial(self, index: Array) -> float:
        """The seconds that the gradients of one batch take; infinity where they cannot be had in this way."""
        seconds: list[float] = []
        with self._settings():
            while len(seconds) < 3 or (sum(seconds[1:]) < TRIAL and len(seconds) < 20):
                began = time.perf_counter()
                try:
                    float(self._gradients(index, 0, 0)[0])  # on a GPU, this waits for it
                except (MemoryError, ModelError):
                    raise
                except Exception:
                    if not self.way.compiled:
                        raise
                    return math.inf  # no compiler here, or one that cannot do this net
                seconds.append(time.perf_counter() - began)
        return min(seconds[1:])

    def _go(self, way: Way) -> None:
        """Compute in this way from now on, with an optimiser that has not taken a step."""
        self.way = way
        for theta in self.net.trained:
            if theta.dim() == 4:
                theta.data = theta.data.contiguous(memory_format=self._memory_format())
        self.module: Callable[..., torch.Tensor] = self.net
        if way.compiled:
            self.module = torch.compile(self.net, mode="reduce-overhead" if self.device.type == "cuda" else None)
        if self.world > 1:
            self.module = torch.nn.parallel.DistributedDataParallel(self.net)
        self._open_optimizer()

    def _open_optimizer(self) -> None:
        """The optimiser before its first step, with a group for each factor of the learning rate."""
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
    """The layers' twins with their parameters. `tensors` has them by name, `trained` those to train, in order."""

    def __init__(self, layers: Chain, layout: Layout, vector: torch.Tensor) -> None:
        super().__init__()
        self.layers = layers
        self.tensors: dict[str, torch.Tensor] = {}
        self.trained: list[torch.nn.Parameter] = []
        self.tree: dict[str, Any] = {}
        for entry in layout.entries:
            part = vector[entry.start : entry.stop].reshape(entry.parameter.shape).clone()
            name = entry.name.replace(".", "/")  # a module's own names take no full stop
            branch = self.tree
            for step in entry.path[:-1]:
                branch = branch.setdefault(step, {})
            if entry.parameter.trainable:
                theta = torch.nn.Parameter(part)
                self.register_parameter(name, theta)
                self.trained.append(theta)
                part = theta
            else:
                self.register_buffer(name, part)
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
    if kind not in ("cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdigit())):
        raise ExperimentError(f"device: there is none called {name!r}. Known: auto, cpu, cuda, cuda:1, mps.")
    if kind == "cuda" and not gpus:
        built = "was built without CUDA" if torch.version.cuda is None else "finds no GPU of NVIDIA"
        raise ExperimentError(f"device: {name} is not here: PyTorch {torch.__version__} {built}. Use --device cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ExperimentError("device: mps is not here: it is the GPU of a Mac. Use --device cpu.")
    if kind == "cuda":
        place = int(number or os.environ.get("LOCAL_RANK", "0"))
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
    from torch.distributed.nn.functional import all_reduce  # as the module's, and differentiable

    axes, shape = (0, *range(2, x.dim())), (1, -1, *[1] * (x.dim() - 2))
    m = torch.tensor(float(x.numel() // x.shape[1]), dtype=x.dtype, device=x.device)
    distributed.all_reduce(m)
    batch_mean = all_reduce(x.sum(axes)) / m  # type: ignore[no-untyped-call]
    centred = x - batch_mean.view(shape)
    batch_var = all_reduce(centred.square().sum(axes)) / m  # type: ignore[no-untyped-call]
    with torch.no_grad():
        mean.lerp_(batch_mean, momentum)
        var.lerp_(batch_var * (m / (m - 1)), momentum)
    return centred * (gamma / torch.sqrt(batch_var + epsilon)).view(shape) + beta.view(shape)


def _join(device: torch.device) -> None:
    """Meet the other processes that torchrun started."""
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)


def _threads() -> int:
    """As many as this process has cores; PyTorch's own number may be lower, by OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # torchrun sets OMP_NUM_THREADS to 1 where nobody else has: that says nothing.
    return max(1, cores // together) if together > 1 else max(1, min(cores, torch.get_num_threads()))


def _is_connection(error: RuntimeError) -> bool:
    """Whether an error tells that another process is gone."""
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in ("gloo", "NCCL", "peer"))
