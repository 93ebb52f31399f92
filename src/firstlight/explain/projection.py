"""Features put on a plane, so that images which a net sees alike lie close together.

    pca    the two directions of most variance; distances mean what they mean in the features, the rest is left out
    t-sne  keeps neighbours together (van der Maaten and Hinton 2008); distances between clusters mean little
    umap   likewise (McInnes et al. 2018), somewhat more of the whole kept

The last two see the first 50 principal components, and start from the first two (Kobak and Berens 2019). New rows
cannot be put on a map: training and test images that are to be seen together are given together.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from firstlight import processes
from firstlight.errors import DataError, ExperimentError, nearest
from firstlight.explain.explained_run import Steps
from firstlight.explain.features import finite_rows
from firstlight.kernels.lock import ForkedLock, in_turn
from firstlight.randomness import generator
from firstlight.types import Array

METHODS = ("pca", "t-sne", "umap")
COMPONENTS = 50  # what t-SNE and UMAP see of wider features
PERPLEXITY = 30
NEIGHBOURS = 15  # of UMAP
FEWEST = 4  # rows, below which neighbours say nothing
MANY = 5000  # points from which openTSNE interpolates and scikit-learn takes several threads
EVERY = 10  # steps of openTSNE or UMAP from one report of progress to the next
SPREAD = 1e-4  # of the points that t-SNE starts from


def project(features: Array, method: str, seed: int, progress: Steps | None = None) -> Array:
    """Put rows of features on a plane: float32 (N, 2). The same seed gives the same points on the same machine.

    features  numbers (N, D); rows that are all equal lie on one point, the origin
    method    "pca", "t-sne" (by openTSNE where the extra `embed` is installed, else by scikit-learn) or "umap"
    progress  called with (steps done, steps in all), from 0 to all; what it raises ends the work

    Points of PCA have the features' unit. The perplexity of t-SNE is 30, or a third of the other points where that is
    less, as both libraries look at three times as many neighbours; UMAP looks at 15, or all others.

    Raises DataError for features that are not finite numbers (N, D), or for fewer than 4 rows (PCA takes any), and
    ExperimentError for an unknown method or one whose library is not installed.
    """
    made_by(method)
    x = finite_rows(features)
    if method != "pca" and len(x) < FEWEST:
        raise DataError(f"{method} needs at least {FEWEST} images; received {len(x)}. Take more, or pca.")
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = float(np.abs(x).max())
    if scale == 0:
        return np.zeros((len(x), 2), np.float32)
    x /= scale  # squares of large or small numbers stay within float32
    seed %= 2**32
    tell = progress or (lambda done, total: None)
    if method == "pca":
        tell(0, 1)
        points = _principal(x, 2, seed) * scale
        tell(1, 1)
    else:
        x = _principal(x, COMPONENTS, seed) if x.shape[1] > COMPONENTS else x
        points = _NEIGHBOURLY[method](x, _start(x, seed), seed, tell)
    return np.ascontiguousarray(points, dtype=np.float32)


def made_by(method: str) -> str:
    """Which library makes a map by `method` here, with its version: "openTSNE 1.0.4".

    Raises ExperimentError for an unknown method or one whose library is not installed.
    """
    if method not in METHODS:
        raise ExperimentError(f"There is no embedding called {method!r}. {nearest(str(method), METHODS)}")
    if method == "umap" and find_spec("umap") is None:
        raise ExperimentError("UMAP needs umap-learn, which is not installed: pip install 'firstlight[umap]'")
    package = "scikit-learn"
    if method == "umap":
        package = "umap-learn"
    elif method == "t-sne" and find_spec("openTSNE"):
        package = "openTSNE"
    return f"{package} {metadata.version(package)}"


def _principal(x: Array, components: int, seed: int) -> Array:
    """The first principal components of centred rows, (N, components); zeros beyond the rank that N and D allow."""
    found = np.zeros((len(x), components), np.float32)
    possible = min(components, *x.shape)
    found[:, :possible] = PCA(possible, random_state=seed).fit_transform(x)
    return found


def _start(x: Array, seed: int) -> Array:
    """Where the points start: two principal components, so small that the whole can still arrange itself.

    A hundredth of noise lets equal rows move apart, and rows on a line leave it.
    """
    start = _principal(x, 2, seed)
    start /= start[:, 0].std()
    noise = generator(seed, "embedding").normal(scale=0.01, size=start.shape)
    return ((start + noise) * SPREAD).astype(np.float32)


def _perplexity(n: int) -> float:
    return min(PERPLEXITY, (n - 1) / 3)


def _t_sne(x: Array, start: Array, seed: int, tell: Steps) -> Array:
    by = _open_tsne if find_spec("openTSNE") else _scikit_tsne
    return by(x, start, seed, tell)


def _open_tsne(x: Array, start: Array, seed: int, tell: Steps) -> Array:
    """By openTSNE (Poličar et al. 2024), which takes the repulsion of many points from a grid (Linderman et al. 2019).

    On one thread: where other work keeps the cores busy, each of hundreds of short steps waits until all threads have
    had one.
    """
    import openTSNE

    done = 0

    def step(iteration: int, error: float, embedding: Array) -> None:
        nonlocal done
        done += EVERY  # the library's own count begins again after early exaggeration
        tell(done, total)

    tsne = openTSNE.TSNE(
        perplexity=_perplexity(len(x)),
        initialization=start.astype(np.float64),
        neighbors="exact",
        negative_gradient_method="bh" if len(x) < MANY else "fft",
        n_jobs=1,
        random_state=seed,
        callbacks=step,
        callbacks_every_iters=EVERY,
    )
    total = tsne.early_exaggeration_iter + tsne.n_iter
    tell(0, total)
    return np.asarray(tsne.fit(x))


def _scikit_tsne(x: Array, start: Array, seed: int, tell: Steps) -> Array:
    """By scikit-learn, with Barnes and Hut's tree for any number of points; a few points on one thread, as above."""
    tsne = TSNE(
        perplexity=_perplexity(len(x)),
        init=start,
        random_state=seed,
        verbose=2,  # what _Listener hears
    )
    total = tsne.max_iter
    tell(0, total)
    threads = 1 if len(x) < MANY else processes.cores()
    # One at a time: what is set here is everybody's, and another would give back what it found.
    with (
        _everybodys,
        threadpool_limits(threads, "openmp"),
        contextlib.redirect_stdout(cast(TextIO, _Listener(sys.stdout, total, tell))),
    ):
        points = tsne.fit_transform(x)
    tell(total, total)
    return points


_everybodys = ForkedLock()


class _Listener:
    """Standard output while scikit-learn's t-SNE runs, which has no callback: every 50 steps it prints where it is.

    What is printed meanwhile by other threads, or by `tell` itself, goes to the standard output.
    """

    ITERATION = re.compile(r"\[t-SNE\] Iteration (\d+):")

    def __init__(self, through: TextIO, total: int, tell: Steps) -> None:
        self.through, self.total, self.tell = through, total, tell
        self.thread = threading.get_ident()
        self.telling = False

    def write(self, text: str) -> int:
        if self.telling or threading.get_ident() != self.thread:
            return self.through.write(text)
        if found := self.ITERATION.match(text):
            self.telling = True
            self.tell(min(int(found[1]), self.total), self.total)
            self.telling = False
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.through, name)


@in_turn  # not every kind of threads that Numba can have lets two callers in at once
def _umap(x: Array, start: Array, seed: int, tell: Steps) -> Array:
    """By umap-learn, on one thread: on several its result differs from call to call."""
    import numba

    import firstlight.kernels._jit  # noqa: F401  (from then on Numba takes no settings from the working folder)
    from firstlight.kernels._cache import give_numba_a_folder

    package = find_spec("umap")
    if package is not None and package.origin:
        give_numba_a_folder(Path(package.origin))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it misses TensorFlow for what is not used here
        from umap import UMAP

    epochs = 500 if len(x) <= 10_000 else 200  # its own rule
    # By steps and not by seconds: 500 epochs of a few points are over in less than any interval worth waiting for.
    by_steps = {"miniters": EVERY, "mininterval": 0, "maxinterval": 0}
    bar = {"disable": False, "file": _Bar(tell), "bar_format": "{n_fmt} {total_fmt}", **by_steps}
    umap = UMAP(
        n_neighbors=min(NEIGHBOURS, len(x) - 1),
        init=start / SPREAD,
        n_epochs=epochs,
        random_state=seed,
        n_jobs=1,
        tqdm_kwds=bar,
    )
    tell(0, epochs)
    threads = numba.get_num_threads()
    try:
        points = umap.fit_transform(x)
    finally:
        numba.set_num_threads(threads)  # which it leaves at one where it is interrupted
    tell(epochs, epochs)
    return points


class _Bar:
    """The file that UMAP's progress bar is drawn on."""

    def __init__(self, tell: Steps) -> None:
        self.tell = tell
        self.ended = False

    def write(self, text: str) -> int:
        numbers = text.split()
        if len(numbers) == 2 and not self.ended:
            try:
                self.tell(int(numbers[0]), int(numbers[1]))
            except BaseException:
                self.ended = True  # the bar is drawn once more as it closes
                raise
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""


_NEIGHBOURLY: dict[str, Callable[[Array, Array, int, Steps], Array]] = {"t-sne": _t_sne, "umap": _umap}
