"""One run, one estimator and several of each, used by threads, forks, pools, Dask and an event loop, with each of
Numba's ways to make threads; and used ones pickled and copied. Each case is a process of its own. Survived: the same
bits as one thread gives, or an error that says what to do; nothing hangs, nothing aborts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import finished_run

HEAD = """\
import multiprocessing, os, threading
import numpy as np
import firstlight as fl
RUN = {run!r}
images = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 1), np.uint8)

def together(work, count):
    wrong = []
    def safe(k):
        try: work(k)
        except BaseException as error: wrong.append(repr(error))
    threads = [threading.Thread(target=safe, args=(k,)) for k in range(count)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not wrong, f"{{len(wrong)}} of {{count}} threads: {{wrong[0][:200]}}"

def same(found, right):
    assert np.array_equal(found, right), f"differs by {{abs(found - right).max()}}"

def part(k):
    return fl.Run(RUN).predict(images[k : k + 10])

def main():
"""

ONE_RUN = """
run = fl.Run(RUN)
right = [run.predict(images[k : k + 20 - k]) for k in range(4)]
def work(k):
    for _ in range(40): same(run.predict(images[k : k + 20 - k]), right[k])
together(work, 4)
"""
OWN_RUNS = ONE_RUN.replace("def work(k):", "def work(k):\n    run = fl.Run(RUN)")
MIXED = """
run = fl.Run(RUN)
right, saliency = run.predict(images), run.look(images[0]).saliency
def work(k):
    for _ in range(8):
        same(run.predict(images), right) if k % 2 else same(run.look(images[0]).saliency, saliency)
together(work, 4)
"""
FITS = """
from sklearn.datasets import load_digits
digits = load_digits()
def fitted():
    net = fl.Classifier("slim-cnn", epochs=2, random_state=0).fit(digits.images[:200], digits.target[:200])
    return net.predict_proba(digits.images[200:260])
right = fitted()
together(lambda k: same(fitted(), right), 3)
"""
FORK = """
run = fl.Run(RUN)
right = run.predict(images)
pid = os.fork()
if pid == 0:
    try:
        same(run.predict(images), right)
        os._exit(0)
    except fl.FirstlightError:
        os._exit(0)
    except BaseException:
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0, "the child failed"
same(run.predict(images), right)
"""
FORK_POOL = """
run = fl.Run(RUN)
run.predict(images)
with multiprocessing.get_context("fork").Pool(2) as pool:
    try: found = pool.map_async(part, [0, 10, 20]).get(60)
    except fl.FirstlightError: found = None
if found: same(np.concatenate(found), np.concatenate([part(k) for k in (0, 10, 20)]))
"""
JOBLIB = """
import joblib
run = fl.Run(RUN)
run.predict(images)
try: found = joblib.Parallel(n_jobs=2, backend={backend!r}, timeout=90)(joblib.delayed(part)(k) for k in (0, 10, 20))
except fl.FirstlightError: found = None
if found: same(np.concatenate(found), np.concatenate([part(k) for k in (0, 10, 20)]))
"""
DASK = """
import dask
run = fl.Run(RUN)
right = [run.predict(images[k : k + 10]) for k in (0, 10, 20, 30)]
later = dask.delayed(lambda k: run.predict(images[k : k + 10]))
found = dask.compute(*[later(k) for k in (0, 10, 20, 30)] * 10, scheduler="threads", num_workers=4)
for k, answer in enumerate(found): same(answer, right[k % 4])
"""
EVENT_LOOP = """
import asyncio
run = fl.Run(RUN)
right = run.predict(images)
async def ask():
    loop = asyncio.get_running_loop()
    answers = await asyncio.gather(*[loop.run_in_executor(None, run.predict, images) for _ in range(20)])
    for found in answers: same(found, right)
asyncio.run(ask())
"""
COPIES = """
import copy, pickle
run = fl.Run(RUN)
right = run.predict(images)
run.look(images[0])
for made in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))): same(made.predict(images), right)
"""
CHANGED = """
run = fl.Run(RUN)
right = run.predict(images)
stop = threading.Event()
def work(k):
    if k == 0:
        for _ in range(40): same(run.predict(np.array(images)), right)  # an array that nobody else holds
        stop.set()
    while not stop.is_set(): np.zeros(200_000)
together(work, 2)
"""


@dataclass(frozen=True)
class Case:
    """A program, and the environment that it runs in."""

    source: str
    environment: dict[str, str] = field(default_factory=dict)


def _layers(source: str, *layers: str) -> dict[str, Case]:
    return {
        layer or "as installed": Case(source, {"NUMBA_THREADING_LAYER": layer} if layer else {}) for layer in layers
    }


GROUPS: dict[str, dict[str, Case]] = {
    "four threads, one run": _layers(ONE_RUN, "", "omp", "workqueue"),
    "four threads, a run each": _layers(OWN_RUNS, "", "workqueue"),
    "predict beside look": _layers(MIXED, "", "workqueue"),
    "three fits at once": _layers(FITS, "", "workqueue"),
    "a fork after use": _layers(FORK, "", "omp", "workqueue"),
    "a pool of forks after use": _layers(FORK_POOL, "", "workqueue"),
    "joblib": {name: Case(JOBLIB.format(backend=name)) for name in ("loky", "threading", "multiprocessing")},
    "Dask's threads": {"": Case(DASK)},
    "an event loop": {"": Case(EVENT_LOOP)},
    "copies and pickles of a used run": {"": Case(COPIES)},
    "arrays that are let go": {"": Case(CHANGED)},
}
CASES = {f"{group}, {name}".rstrip(", "): case for group, cases in GROUPS.items() for name, case in cases.items()}
LONGEST = 180  # seconds


def attack(a: Attack) -> None:
    """Every case once, in a drawn order, as long as there is time."""
    run = finished_run(a)
    file = a.work / "case.py"
    for name in a.in_turn(CASES):
        body = "\n".join(f"    {line}" for line in CASES[name].source.strip().splitlines())
        file.write_text(HEAD.format(run=str(run)) + body + '\n\nif __name__ == "__main__":\n    main()\n')
        a.count(name, _ended([sys.executable, str(file)], CASES[name].environment))


def _ended(command: list[str], environment: dict[str, str]) -> str | None:
    """Run a case; the kind of fault, or None."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NUMBA_NUM_THREADS": "2", **environment},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"it hangs: not ended after {LONGEST} s"
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return (output.strip().splitlines() or ["no message"])[-1][:160] if process.returncode else None
