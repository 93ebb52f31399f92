"""The trials of a search in Optuna's storage: which comes next, what it draws, when it stops, what came of it.

A search has a *place* for each of its trials. A fresh attempt takes the next place; one that follows an attempt whose
process was killed takes its place and its values. What is drawn for a place depends on the seed, the place and the
trials that ended before, never on how often the search was interrupted.

Whoever takes a trial holds the lock of its folder while it trains: the system lets go of it however the process ends.
A trial of a machine that does not see this folder writes the time into the storage now and then instead.
"""

from __future__ import annotations

import itertools
import json
import socket
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.pool import NullPool

from firstlight.errors import ExperimentError, FirstlightError, RunError, brief
from firstlight.experiments.paths import differing
from firstlight.experiments.search.config import Search
from firstlight.experiments.search.space import Choice, Domain
from firstlight.locks import has_locks, is_locked
from firstlight.randomness import generator
from firstlight.records import run_folder, search_folder
from firstlight.records.locked_folder import locked_folder
from firstlight.records.record_files import record_of
from firstlight.records.search_folder import State, TrialRecord

DRAWS = 20  # so often values are drawn again that were tried before
ATTEMPTS = 3  # so often a process may be killed in one trial, before the trial is given up
HEARTBEAT = 30.0  # seconds between two signs of life in a storage that machines share
HEARTBEAT_TIMEOUT = 300.0  # seconds without one, after which the process counts as killed
MIN_TRIALS_FOR_IMPORTANCE = 5  # complete trials from which the importance of keys is told
SEARCH, PLACE, RECORD, OWNER, SIGN, SESSION = "search", "place", "record", "owner", "sign_of_life", "session"


@dataclass
class RunningTrial:
    """A trial that this process trains.

    values  of the searched keys
    folder  for its files
    """

    trial: Trial
    place: int
    values: dict[str, Any]
    folder: Path
    lock: ExitStack
    seen: float = field(default_factory=time.monotonic)


class Storage:
    """The storage of one search."""

    def __init__(self, search: Search, out: Path) -> None:
        """Open the storage, or make it. Raises ExperimentError where it cannot be, or holds another search."""
        self.search, self.out = search, out
        self.locks = has_locks(out)
        self.shared = search.tuning.storage is not None or not self.locks
        self.owner = f"{socket.gethostname()}:{out.resolve()}"
        self.domains = {key: _distribution(domain) for key, domain in search.space.items()}
        self.url = search.tuning.storage or ""
        url = self.url or f"sqlite:///{(out / search_folder.STORAGE).resolve()}"
        with self._read_errors(), _url_errors(self.url):
            self.optuna = _open_study(url, out.resolve().name, search, _Sampler(self))
        with self._read_errors():
            self._must_be_of_this_search()
        self._must_match_result()

    def _must_be_of_this_search(self) -> None:
        """Raise ExperimentError where the storage holds another search, or lost the one that the folder tells of."""
        asked = json.dumps(self.search.to_json(), sort_keys=True, default=str)
        held = self.optuna.user_attrs.get(SEARCH)
        if held is None:
            if (self.out / search_folder.TUNE).exists():  # which is written once the storage knows the search
                raise ExperimentError(
                    f"{self._display_name} does not contain the search that {self.out / search_folder.TUNE} describes: "
                    "it was emptied, or it is another storage. Restore it, or start again in another folder with --out."
                )
            self.optuna.set_user_attr(SEARCH, asked)
        elif differing(json.loads(held), json.loads(asked), elsewhere=True):
            raise ExperimentError(
                f"The storage holds another search called {self.optuna.study_name}. Choose another folder with --out: "
                "its name is that of the search in the storage."
            )

    def _must_match_result(self) -> None:
        """Raise ExperimentError where the folder's result tells of a trial that the storage lacks or has otherwise."""
        told = search_folder.TuneFolder(self.out)
        try:
            ended = [trial for trial in told.result.trials if trial.state in search_folder.ENDED]
        except RunError:  # there is none yet, or it is written again
            return
        held = {record.number: record.value for record in self.records()}
        for trial in ended:
            if trial.number not in held or (trial.state == "complete" and held[trial.number] != trial.value):
                raise ExperimentError(
                    f"{self.out / run_folder.RESULT} lists trial {trial.number} ({trial.value}), which "
                    f"{self._display_name} {'has with another value' if trial.number in held else 'lacks'}: it is an "
                    "older copy, or was altered. Restore the newest, or start again in another folder with --out."
                )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the storage cannot do is a RunError for a person: the disk is full, or the file is damaged."""
        try:
            yield
        except (OSError, FirstlightError):
            raise
        except Exception as error:  # of Optuna, of SQLAlchemy, or of the driver that the URL names
            if not _is_storage_error(error):
                raise
            reason = _reason(error)
            damaged = any(word in reason for word in ("malformed", "not a database", "no such table"))
            advice = (
                "Restore an undamaged copy, or start again in another folder with --out."
                if damaged
                else "Correct that; the same command then continues."
            )
            raise RunError(
                f"{self._display_name} {'is damaged' if damaged else 'cannot be used'}: {reason}. {advice}"
            ) from None

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        """As `errors`; that a value in the storage cannot be read, for it is damaged or altered, is a RunError too."""
        with self.errors():
            try:
                yield
            except (FirstlightError, OSError):
                raise
            except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
                if _is_storage_error(error):
                    raise
                raise RunError(
                    f"{self._display_name} is damaged: a value in it cannot be read ({brief(str(error), 100)}). "
                    "Restore an undamaged copy, or start again in another folder with --out."
                ) from None

    @property
    def _display_name(self) -> str:
        """The storage, without a password."""
        return f"storage {_without_password(self.url)}" if self.url else str(self.out / search_folder.STORAGE)

    def claim(self, session: str) -> RunningTrial | None:
        """The next trial, or None where all that are asked for are done or being trained.

        session  names the command that asks: it gives a trial up in which it was killed too often
        """
        with search_folder.exclusive(self.out):
            attempts = self._fail_abandoned(self._attempts())
            waiting = any(trial.state == TrialState.WAITING for trials in attempts.values() for trial in trials)
            if not waiting and not self._enqueue_next(attempts, session):
                return None
            return self._start(session)

    def heartbeat(self, running: RunningTrial) -> None:
        """Tell other machines, now and then, that the trial is being trained."""
        if self.shared and time.monotonic() - running.seen > HEARTBEAT:
            running.trial.set_user_attr(SIGN, time.time())
            running.seen = time.monotonic()

    def report(self, running: RunningTrial, epoch: int, value: float) -> bool:
        """Record the value after an epoch; whether the trial is stopped there."""
        running.trial.report(value, epoch)
        pruner = self.search.pruner
        if pruner is None or not pruner.is_rung(running.place, epoch):
            return False
        bracket = pruner.bracket(running.place)
        others = [
            trials[-1].intermediate_values[epoch]
            for place, trials in self._attempts().items()
            if place != running.place and pruner.bracket(place) == bracket
            if trials[-1].state != TrialState.FAIL and epoch in trials[-1].intermediate_values
        ]
        return pruner.prunes(value, others, self.search.maximize)

    def close(self, running: RunningTrial, record: TrialRecord) -> None:
        """Record what came of a trial."""
        kept = {key: getattr(record, key) for key in ("state", "epochs", "best", "seconds", "reason")}
        running.trial.set_user_attr(RECORD, {**kept, "value": record.value})
        if record.state == "complete":
            self.optuna.tell(running.trial, record.value)
        else:  # what failed counts as pruned too: samplers learn from that, and would draw it again otherwise
            self.optuna.tell(running.trial, state=TrialState.PRUNED)
        running.lock.close()

    def records(self) -> list[TrialRecord]:
        """The trials in the order of their places; those of an earlier call that asked for more are among them."""
        with self._read_errors():
            found = self._attempts()
            return [self._record(place, found[place]) for place in sorted(found)]

    def importance(self) -> dict[str, float]:
        """The importance of each key, the largest first; empty where too few trials are complete, or all are equal."""
        with self._read_errors():
            complete = self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(complete) < MIN_TRIALS_FOR_IMPORTANCE or len({trial.value for trial in complete}) == 1:
                return {}
            keys = [key for key in self.domains if len({trial.params[key] for trial in complete}) > 1]
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.search.tuning.seed)
            found = optuna.importance.get_param_importances(self.optuna, evaluator=evaluator, params=keys)
            return {key: float(share) for key, share in found.items()}

    def _attempts(self) -> dict[int, list[FrozenTrial]]:
        """The attempts at each place, in order."""
        attempts: dict[int, list[FrozenTrial]] = {}
        fresh = itertools.count()
        with self._read_errors():
            trials = sorted(self.optuna.get_trials(deepcopy=False), key=lambda trial: trial.number)
        for trial in trials:
            place = trial.user_attrs[PLACE] if PLACE in trial.user_attrs else next(fresh)
            attempts.setdefault(place, []).append(trial)
        return attempts

    def _used(self, place: int) -> set[Hashable]:
        """The values that the trials of other places have: with the same ones, a training would be done again."""
        attempts = self._attempts()
        return {_canonical(trial.params) for other in attempts if other != place for trial in attempts[other]}

    def _place(self, trial: Trial | FrozenTrial) -> int:
        found = self._attempts()
        return next(place for place, trials in found.items() if any(one.number == trial.number for one in trials))

    def _fail_abandoned(self, attempts: dict[int, list[FrozenTrial]]) -> dict[int, list[FrozenTrial]]:
        """Mark attempts as failed whose process is gone; return the attempts as they are then."""
        gone = [
            trial
            for place, trials in attempts.items()
            for trial in trials
            if trial.state == TrialState.RUNNING and not self._is_alive(place, trial)
        ]
        for trial in gone:
            self.optuna.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        return self._attempts() if gone else attempts

    def _is_alive(self, place: int, trial: FrozenTrial) -> bool:
        if self.locks and (not self.shared or trial.user_attrs.get(OWNER) == self.owner):
            return is_locked(self._folder(place))
        begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
        return time.time() - max(begun, trial.user_attrs.get(SIGN, 0.0)) < HEARTBEAT_TIMEOUT

    def _enqueue_next(self, attempts: Mapping[int, list[FrozenTrial]], session: str) -> bool:
        """See to it that Optuna's next trial is the one for the first place that has none; whether there is one."""
        for place in range(self.search.trials):
            trials = attempts.get(place)
            if trials is None:
                return True  # a fresh one
            if all(trial.state == TrialState.FAIL for trial in trials):
                if sum(trial.user_attrs.get(SESSION) == session for trial in trials) >= ATTEMPTS:
                    self._give_up(place, trials[-1])
                    continue
                known = trials[-1].params if OWNER in trials[-1].user_attrs else {}
                self.optuna.enqueue_trial(known, user_attrs={PLACE: place})
                return True
        return False

    def _give_up(self, place: int, trial: FrozenTrial) -> None:
        reason = f"Its process was killed {ATTEMPTS} times, perhaps by the system because it ran out of memory."
        attributes = {PLACE: place, RECORD: {"state": "failed", "reason": reason}}
        self.optuna.add_trial(
            optuna.trial.create_trial(
                state=TrialState.PRUNED,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=attributes,
            )
        )

    def _start(self, session: str) -> RunningTrial | None:
        trial = self.optuna.ask(self.domains)
        place = self._place(trial)
        if place >= self.search.trials:  # another machine was quicker
            self.optuna.tell(trial, state=TrialState.FAIL)
            return None
        folder = self._folder(place)
        folder.mkdir(parents=True, exist_ok=True)
        lock = ExitStack()
        lock.enter_context(locked_folder(folder))
        trial.set_user_attr(SESSION, session)
        trial.set_user_attr(SIGN, time.time())
        trial.set_user_attr(OWNER, self.owner)
        return RunningTrial(trial, place, self._values(trial.params), folder, lock)

    def _folder(self, place: int) -> Path:
        return self.out / search_folder.TRIALS / TrialRecord(place + 1, "waiting", {}).folder

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the experiment file for Optuna's."""
        space = self.search.space
        return {key: json.loads(params[key]) if isinstance(space[key], Choice) else params[key] for key in params}

    def _record(self, place: int, trials: Sequence[FrozenTrial]) -> TrialRecord:
        """The attempt that counts: the one that ended, or the last."""
        trial = next((trial for trial in trials if RECORD in trial.user_attrs and _ended(trial)), trials[-1])
        values = {key: value for key, value in self._values(trial.params).items() if key in self.search.space}
        ordered = {key: values[key] for key in self.search.space if key in values}
        if _ended(trial):
            kept = trial.user_attrs.get(RECORD, {})
            whole = {**kept, "number": place + 1, "values": ordered, "attempts": len(trials)}
            return record_of(TrialRecord, whole, self.out / search_folder.STORAGE)
        state: State = "running" if trial.state == TrialState.RUNNING else "waiting"
        return TrialRecord(place + 1, state, ordered, attempts=len(trials))


class _Sampler(BaseSampler):
    """Draws the values of a trial from the seed, its place, and what ended before it."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.storage.domains

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if trial.system_attrs.get("fixed_params"):
            return {}  # an attempt with the values of the one before
        search = self.storage.search
        place = min(self.storage._place(trial), search.trials - 1)  # one that is too many is given back at once
        if search.tuning.sampler == "grid":
            return {key: _encoded(search.space[key], value) for key, value in search.grid[place].items()}
        used = self.storage._used(place)
        for turn in range(DRAWS):
            values = self._draw(study, trial, search_space, place, turn)
            if _canonical(values) not in used:
                return values
        # Nearly all has been tried: what is left is looked for.
        for point in search.points():
            left = {key: _encoded(search.space[key], value) for key, value in point.items()}
            if _canonical(left) not in used:
                return left
        return values

    def _draw(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
        place: int,
        turn: int,
    ) -> dict[str, Any]:
        """Values for a place; other ones at each turn."""
        search = self.storage.search
        purpose = ("tune", place) if turn == 0 else ("tune", place, turn)
        seed = int(generator(search.tuning.seed, *purpose).integers(2**32))
        inner = _tpe(seed) if search.tuning.sampler == "tpe" else RandomSampler(seed)
        varied = {key: domain for key, domain in search_space.items() if not domain.single()}
        values = inner.sample_relative(study, trial, varied)
        rest = {key: domain for key, domain in search_space.items() if key not in values}
        return values | {key: inner.sample_independent(study, trial, key, domain) for key, domain in rest.items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is drawn with the others")


def _canonical(params: Mapping[str, Any]) -> Hashable:
    """Values to compare, whichever way a number was reached."""
    return tuple((key, f"{value:.12g}" if isinstance(value, float) else value) for key, value in sorted(params.items()))


def _tpe(seed: int) -> TPESampler:
    """Tree-structured Parzen estimators over all keys together (Bergstra et al. 2011, Watanabe 2023).

    Trials that others train count as bad while they run, so that workers do not all try the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _distribution(domain: Domain) -> BaseDistribution:
    """The domain as Optuna has it; a choice is the JSON of its value, which may be of any type."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([json.dumps(value) for value in domain.values])
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _encoded(domain: Domain, value: Any) -> Any:
    return json.dumps(value) if isinstance(domain, Choice) else value


def _open_study(url: str, name: str, search: Search, sampler: BaseSampler) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url.startswith("sqlite"):  # a connection that is kept is never closed: Optuna closes no storage
        options: dict[str, Any] = {"connect_args": {"timeout": 60}, "poolclass": NullPool}
    else:
        options = {"pool_pre_ping": True}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
    direction: Literal["maximize", "minimize"] = "maximize" if search.maximize else "minimize"
    return optuna.create_study(
        storage=storage, study_name=name, direction=direction, sampler=sampler, load_if_exists=True
    )


@contextmanager
def _url_errors(url: str) -> Iterator[None]:
    """Raise ExperimentError for a storage of the user's that cannot be opened; "" is the folder's own."""
    try:
        yield
    except Exception as error:
        if not url or not (_is_storage_error(error) or isinstance(error, ImportError | OSError | ValueError)):
            raise
        shown, reason = _without_password(url), _reason(error)
        if isinstance(error, ImportError):
            raise ExperimentError(
                f"storage {shown}: {reason}. Install the driver of that database, such as psycopg2-binary for "
                "PostgreSQL."
            ) from None
        raise ExperimentError(
            f"storage {shown} cannot be opened: {reason}. It must be a URL of SQLAlchemy, such as "
            "postgresql://user:password@host/base or sqlite:///search.db."
        ) from None


def _is_storage_error(error: Exception) -> bool:
    """Whether an error is of Optuna's storage, or of what lies below it."""
    below = type(error).__module__.split(".")[0] in ("sqlalchemy", "alembic", "sqlite3")
    return below or isinstance(error, optuna.exceptions.OptunaError)


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _without_password(url: str) -> str:
    return url.split("@")[-1]


def _ended(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
