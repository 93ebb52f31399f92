"""The study file: several experiments compared fairly, each over several seeds.

title = "What dropout does to LeNet-5"
about = "…"                       # what it shows
seeds = 6                         # 0 to 5; or a list
folds = 5                         # instead: a run for each fold of one seed (or of each seed that is given)

[defaults]                        # any tables of the experiment file
data = { source = "fashion-mnist" }

[[run]]
name = "lenet5"                   # the name of its folder, and in the report
published = 0.900                 # a test accuracy to stand beside ours
published_validation = 0.910      # or the greatest validation accuracy over the epochs, to stand beside that of ours
model = { name = "lenet5" }       # tables of the experiment file, over the defaults

[[run]]
name = "dropout"
model = { name = "lenet5-dropout" }

[matrix]                          # every run with every combination of these values
optimizer.lr = [0.001, 0.01]

Without a [[run]], the matrix varies the defaults. `weights.init_from = "@lenet5"` starts from that run of the same
study, of the same seed. `parity = "lenet5"` holds the gradients of a run against autograd's. [[search]] is a search
as in `firstlight tune`, with a name, over the defaults; a run with `winner_of` is of what that search found best.
"""

from __future__ import annotations

import copy
import math
import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from firstlight.errors import ExperimentError, FirstlightError, brief, nearest
from firstlight.experiments.config import OF_A_SEARCH, Experiment, Section, as_experiment_error, parse, put, text_of
from firstlight.experiments.matrix import Matrix, combinations
from firstlight.experiments.paths import located
from firstlight.experiments.search.config import Search
from firstlight.experiments.tables import merged
from firstlight.files import is_file
from firstlight.records.study_folder import FoldKey, RunKey, StudyEntry, StudyFolder, StudyRecord, run_title

SUFFIX = ".toml"
RESERVED = (".toml", ".json", ".html", ".lock")
MOST_SEEDS = 1000
LONGEST_NAME = 80
SEARCHED = "settings"  # the name of the search that one experiment over folds has
_NAME = r"[\w+][\w.+=-]*"


def _number_or_list(value: Any) -> Any:
    """Checked here, because a union's own errors name types instead of what may be given."""
    given = value if isinstance(value, list) else [value]
    least, most = (0, math.inf) if isinstance(value, list) else (1, MOST_SEEDS)
    if given and all(isinstance(n, int) and not isinstance(n, bool) and least <= n <= most for n in given):
        return value
    raise ValueError(f"give how many, from 1 to {MOST_SEEDS}, or a list of integers from 0, as in [0, 1, 7]")


def _name(value: Any) -> Any:
    """Checked here, because a pattern's own error shows the pattern instead of what may be given."""
    if isinstance(value, str) and not (re.fullmatch(_NAME, value) and len(value) <= LONGEST_NAME):
        raise ValueError(
            f"the name is also that of a folder: up to {LONGEST_NAME} letters, digits and _ + . = -, the first one no "
            'dot, = or -, as in "two-words"'
        )
    return value


Name = Annotated[str, BeforeValidator(_name)]
Folds = Annotated[int, Field(ge=2, le=MOST_SEEDS, strict=True)]
Seeds = Annotated[int | list[int], BeforeValidator(_number_or_list)]
Accuracy = Annotated[float, Field(ge=0, le=1)]


class Run(BaseModel):
    """What a [[run]] says beside the tables of its experiment.

    name                  the name of its folder, and in the report
    published             a published test accuracy, from 0 to 1, for comparison
    published_validation  the published highest validation accuracy over the epochs, for comparison
    beside                other test accuracies, by what they are: { "Keras" = 0.9 }
    note                  a note for the report
    seeds                 instead of the study's: how many, or a list
    winner_of             the search whose best experiment its tables go over, instead of the defaults
    optional              true if it needs something that may be unavailable, such as published weights: the study is
                          complete without it
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: Name
    published: Accuracy | None = None
    published_validation: Accuracy | None = None
    beside: dict[str, Accuracy] = {}
    note: str = ""
    seeds: Seeds | None = None
    winner_of: str = ""
    optional: bool = False


class _Search(BaseModel):
    """What a [[search]] says beside the tables of its tune file."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Name


class File(Section):
    """The tables of a study file.

    title     the title of the report
    about     what the study shows
    seeds     how many, starting at 0, or a list
    folds     the number of folds of all images: each run is trained once for each fold, and tested on it. With folds,
              one seed unless several are given, each with other folds
    defaults  tables of the experiment file, for every run
    run       [[run]], several: an experiment each
    matrix    keys of the experiment file, each with a list of values: every run with every combination
    search    [[search]], several: a search each, with a name, over the defaults
    parity    the run whose gradients are checked against autograd
    """

    title: Annotated[str, Field(min_length=1)]
    about: str = ""
    seeds: Seeds = 6
    folds: Folds | None = None
    defaults: dict[str, Any] = Field(default_factory=dict)
    run: list[dict[str, Any]] = Field(default_factory=list)
    matrix: Matrix = Field(default_factory=dict)
    search: list[_Search] = Field(default_factory=list)
    parity: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One of the runs of a study.

    entry      its name, seeds, and what stands beside it
    tables     its experiment, without the seed
    needs      the run of the same study whose weights it starts from, or ""
    winner_of  the search whose best experiment its tables go over, or ""
    optional   whether it needs what may not be had, such as published weights: without it, the study is complete
    """

    entry: StudyEntry
    tables: Mapping[str, Any]
    needs: str = ""
    winner_of: str = ""
    optional: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    def experiment(self, key: RunKey, folder: StudyFolder, best: Mapping[str, Any] | None = None) -> Experiment:
        """Its experiment with a seed, and of a fold, where the study's runs lie in `folder`.

        best  the tables that the search has found best, its split among them
        """
        tables = merged(best or {}, self.tables)
        tables["seed"] = key.seed if isinstance(key, FoldKey) else key
        if isinstance(key, FoldKey):
            _put_fold(tables, folder.folds, key)
        if self.needs:
            needed = next(entry for entry in folder.entries if entry.name == self.needs)
            put(tables, "weights.init_from", str(folder.place(needed, _needed(key, needed))))
        return Experiment.of(tables, self.name)


def _put_fold(tables: dict[str, Any], folds: int | None, key: FoldKey) -> None:
    put(tables, "data.folds", folds)
    put(tables, "data.fold", key.fold)


def _needed(key: RunKey, needed: StudyEntry) -> RunKey:
    """The run of another entry that one starts from: that of its own seed (and fold), or of the first seed."""
    if isinstance(key, FoldKey):
        return key if key.seed in needed.seeds else key._replace(seed=needed.seeds[0])
    return key if key in needed.seeds else needed.seeds[0]


@dataclass(frozen=True)
class Plan:
    """A study, checked: what it compares, in the order of its file.

    name      that of its file
    text      the file as it was given
    searches  the tables of its searches, by name
    parity    the run whose gradients are held against autograd's, or ""
    folds     how many there are of each seed; None where each is one run
    """

    name: str
    title: str
    about: str
    text: str
    runs: tuple[PlannedRun, ...]
    searches: Mapping[str, Mapping[str, Any]]
    parity: str
    folds: int | None = None

    @property
    def record(self) -> StudyRecord:
        """What study.json says of it."""
        return StudyRecord(self.name, self.title, self.about, tuple(run.entry for run in self.runs), self.folds)

    def search(self, name: str, key: FoldKey | None = None) -> Search:
        """One of its searches; over folds, that of a fold, whose test images it never sees."""
        tables, of = copy.deepcopy(dict(self.searches[name])), ""
        if key is not None:
            tables["seed"] = key.seed
            tables["data"].setdefault("split_seed", key.seed)
            _put_fold(tables, self.folds, key)
            of = f" of {run_title(key)}"
        return Search.of(tables, f"{self.name}, search {name!r}{of}")

    def only(self, names: Sequence[str]) -> Plan:
        """The study's runs called `names`, with those that they start from. Raises ExperimentError for another name."""
        known = {run.name: run for run in self.runs}
        wanted: set[str] = set()
        for name in names:
            if name not in known:
                raise ExperimentError(f"{self.name} has no run called {name!r}. {nearest(name, known)}")
            while name:
                wanted.add(name)
                name = known[name].needs
        runs = tuple(run for run in self.runs if run.name in wanted)
        searches = {name: self.searches[name] for name in self.searches if any(run.winner_of == name for run in runs)}
        return replace(self, runs=runs, searches=searches, parity=self.parity if self.parity in wanted else "")

    def with_seeds(self, entries: Sequence[StudyEntry]) -> Plan:
        """The same study with the seeds that its folder has recorded."""
        seeds = {entry.name: entry.seeds for entry in entries}
        own = ((run, seeds.get(run.name, run.entry.seeds)) for run in self.runs)
        return replace(self, runs=tuple(replace(run, entry=replace(run.entry, seeds=of)) for run, of in own))

    def stages(self) -> list[list[PlannedRun]]:
        """The runs in an order in which each comes after the one that it starts from."""
        left, stages, done = list(self.runs), list[list[PlannedRun]](), {""}
        while left:
            stages.append([run for run in left if run.needs in done])
            left = [run for run in left if run.needs not in done]
            done |= {run.name for run in stages[-1]}
        return stages


def plan(
    tables: Mapping[str, Any],
    name: str,
    text: str = "",
    *,
    seeds: int | None = None,
    folds: int | None = None,
    origin: str = "study",
    file: Path | None = None,
) -> Plan:
    """The study that `tables` describe. Raises ExperimentError that names each bad key.

    file   that they are of, if any: their paths are relative to it
    seeds  so many instead of the file's; a run that has its own keeps at most so many of them
    folds  so many instead of the file's
    """
    for option, number, least in (("seeds", seeds, 1), ("folds", folds, 2)):
        if number is not None and number < least:
            raise ExperimentError(f"--{option} must be at least {least}; received {number}.")
    options = {key: number for key, number in (("seeds", seeds), ("folds", folds)) if number is not None}
    one_seed = {"seeds": 1} if {**tables, **options}.get("folds") is not None else {}
    try:
        asked = File.model_validate({**one_seed, **tables, **options})
    except ValidationError as error:
        raise as_experiment_error(error, origin, File) from None
    if not asked.run and not asked.matrix and not asked.search:
        raise ExperimentError(f"{origin}: it has no runs: give a [[run]] for each experiment, or a [matrix].")
    for where, keys in (("defaults", asked.defaults), ("matrix", asked.matrix)):
        if "seed" in keys:
            raise ExperimentError(
                f"{origin}: {where}.seed: a study runs each experiment with several seeds: use seeds."
            )
        if asked.folds is not None:
            _must_have_no_fold(keys, f"{origin}: {where}")
    searches = dict[str, dict[str, Any]]()
    for search in asked.search:
        with _told_of(f"{origin}, search {search.name!r}"):
            searches[search.name] = _located(merged(asked.defaults, search.__pydantic_extra__ or {}), file)
            if asked.folds is not None:
                _must_have_no_fold(searches[search.name], f"search {search.name!r}")
            Search.of(searches[search.name], f"{origin}, search {search.name!r}")
    given_runs = [_given(keys, number, origin) for number, keys in enumerate(asked.run, 1)]
    runs = [
        _planned(given, values, asked, searches, seeds, origin, file)
        for given in given_runs or ([Run.model_construct(name="")] if asked.matrix else [])
        for values in combinations(asked.matrix)
    ]
    planned = Plan(name, asked.title, asked.about.strip(), text, tuple(runs), searches, asked.parity, asked.folds)
    _check(planned, len(asked.search), origin)
    return planned


def _must_have_no_fold(tables: Mapping[str, Any], where: str) -> None:
    """A study over folds says itself which fold a run is of."""
    data = tables.get("data")
    keys = {*tables, *(f"data.{key}" for key in (data if isinstance(data, Mapping) else ()))}
    found = next((key for key in ("data.fold", "data.folds") if key in keys), None)
    if found is not None:
        raise ExperimentError(
            f"{where}: {found}: with folds, each experiment is trained once for every fold: leave {found} out."
        )


def over_folds(tables: Mapping[str, Any], folds: int, name: str, origin: str = "experiment") -> Plan:
    """The study of one experiment over folds, with its seed; a search in its tables is done in each fold.

    name  of the study, which its folder has; <model>-<images>-<folds>-folds where none is given
    Raises ExperimentError.
    """
    if folds < 2:
        raise ExperimentError(f"--folds must be at least 2; received {folds}.")
    _must_have_no_fold(tables, origin)
    own = {key: value for key, value in tables.items() if key not in (*OF_A_SEARCH, "seed")}
    experiment = Experiment.of({**own, "seed": tables.get("seed", 0)}, origin)
    model, images = experiment.model.name, Path(experiment.data.source).name
    run = {"name": _as_name(model)}
    study: dict[str, Any] = {
        "title": f"{model} on {images}, {folds} folds",
        "seeds": [experiment.seed],
        "folds": folds,
    }
    if "space" in tables:
        searched = {key: tables[key] for key in OF_A_SEARCH if key in tables}
        study |= {"search": [{"name": SEARCHED, **own, **searched}], "run": [{**run, "winner_of": SEARCHED}]}
    else:
        study["run"] = [{**run, **own}]
    name = name or f"{_as_name(f'{model}-{images}')}-{folds}-folds"
    return plan(study, name, tomli_w.dumps(study), origin=origin)


def _as_name(text: str) -> str:
    """A text as the name of a run."""
    return re.sub(r"[^\w.+=-]+", "-", text).strip("-.=")[:LONGEST_NAME] or "net"


def read_plan(study: str | Path, seeds: int | None = None, folds: int | None = None) -> Plan:
    """The study in a file, or the packaged one of that name. Raises ExperimentError where there is none."""
    path, files = Path(study), _files()
    if str(study) in files:
        text = files[str(study)].read_text(encoding="utf-8")
        origin = f"{study}{SUFFIX}"
        return plan(tomllib.loads(text), str(study), text, seeds=seeds, folds=folds, origin=origin)
    if path.suffix != SUFFIX and not is_file(path):
        raise ExperimentError(
            f"There is no study called {brief(str(study))!r}, and no such file. {nearest(str(study), files)}"
        )
    text = text_of(path)
    tables = parse(text, str(path))
    if "data" in tables and "title" not in tables:
        how = "tune" if "space" in tables else "run"
        raise ExperimentError(f"{path} is not a study but an experiment: firstlight {how} {path}")
    return plan(tables, path.stem, text, seeds=seeds, folds=folds, origin=str(path), file=path)


def packaged() -> dict[str, str]:
    """The studies that come with firstlight: their titles by name."""
    return {name: str(tomllib.loads(file.read_text(encoding="utf-8"))["title"]) for name, file in _files().items()}


def _files() -> dict[str, Traversable]:
    """The packaged study files by name."""
    folder = resources.files("firstlight.experiments") / "files"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(SUFFIX)), key=lambda file: file.name)
    return {file.name.removesuffix(SUFFIX): file for file in files}


def _given(keys: Mapping[str, Any], number: int, origin: str) -> Run:
    """A [[run]], the first having number 1. Raises ExperimentError that names it, and each bad key."""
    where = f"{origin}, run {keys['name']!r}" if "name" in keys else f"{origin}, run number {number}"
    try:
        run = Run.model_validate(keys)
    except ValidationError as error:
        raise as_experiment_error(error, where, Run) from None
    unknown = [key for key in run.__pydantic_extra__ or {} if key not in Experiment.model_fields]
    if unknown:
        known = (Run.model_fields.keys() | Experiment.model_fields.keys()) - {"seed"}
        said = f"{unknown[0]}: there is no such key. {nearest(unknown[0], known)}"
        raise ExperimentError(f"{where}: {said}", keys=[(unknown[0], said)])
    return run


def _planned(
    given: Run,
    values: Mapping[str, tuple[Any, str]],
    asked: File,
    searches: Mapping[str, Any],
    most: int | None,
    origin: str,
    file: Path | None,
) -> PlannedRun:
    """The run `given` with the matrix's `values`, over the defaults unless a search's best experiment is under it."""
    own = given.__pydantic_extra__ or {}
    if "seed" in own:
        raise ExperimentError(f"{origin}: run {given.name!r} has a seed: give seeds = [{own['seed']}].")
    parts = [f"{key.rpartition('.')[2]}={called}" for key, (_, called) in values.items()]
    name = "+".join(([given.name] if given.name else []) + parts)
    where, best = f"{origin}, run {name!r}", dict[str, Any]()
    if given.winner_of:
        _must_be_one(given.winner_of, searches, f"{origin}: run {given.name!r}, winner_of")
        best = {key: v for key, v in searches[given.winner_of].items() if key not in ("tune", "space")}
    with _told_of(where):
        tables = merged({} if given.winner_of else asked.defaults, own)
        for key, (value, _) in values.items():
            put(tables, key, copy.deepcopy(value))
        tables = _located(tables, file)
        if asked.folds is not None:
            _must_have_no_fold(tables, where)
        Experiment.of(merged(best, tables), where)
    start = tables.get("weights", {}).get("init_from")
    needs = start[1:] if isinstance(start, str) and start.startswith("@") else ""
    seeds = _seeds(asked.seeds) if given.seeds is None else _seeds(given.seeds)[:most]
    entry = StudyEntry(name, seeds, given.published, given.published_validation, given.beside, given.note.strip())
    return PlannedRun(entry, tables, needs, given.winner_of, given.optional)


def _located(tables: dict[str, Any], file: Path | None) -> dict[str, Any]:
    return tables if file is None else located(tables, file)


@contextmanager
def _told_of(where: str) -> Iterator[None]:
    """A mistake in any run or search is told, with its name, before the first one starts."""
    try:
        yield
    except FirstlightError as error:
        raise ExperimentError.of(error, where) from None


def _seeds(given: int | list[int]) -> tuple[int, ...]:
    return tuple(range(given)) if isinstance(given, int) else tuple(dict.fromkeys(given))


def _check(planned: Plan, searches: int, origin: str) -> None:
    """Names are unique, and what a run starts from exists and comes to an end."""
    names = [run.name for run in planned.runs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ExperimentError(f"{origin}: more than one run is called {twice[0]!r}.")
    as_folders: dict[str, str] = {}
    for name in (*names, *(f"search-{name}" for name in planned.searches)):
        other = as_folders.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise ExperimentError(
                f"{origin}: {other!r} and {name!r} are one folder where names that differ only in capitals, or in how "
                "accents are stored, are the same, as on macOS and Windows. Rename one of them."
            )
    if len(planned.searches) < searches:
        raise ExperimentError(f"{origin}: two searches have the same name.")
    if planned.parity:
        _must_be_one(planned.parity, names, f"{origin}: parity")
        if next(run for run in planned.runs if run.name == planned.parity).winner_of:
            raise ExperimentError(f"{origin}: parity: {planned.parity!r} is known only after its search.")
    for name in names:
        if Path(name).suffix in RESERVED or name.startswith("search-"):
            raise ExperimentError(f"{origin}: run {name!r}: the study's folder has files of its own by such names.")
    for run in planned.runs:
        if run.needs:
            _must_be_one(run.needs, names, f"{origin}: run {run.name!r} starts from")
    by_name = {run.name: run for run in planned.runs}
    for run in planned.runs:
        if run.needs:
            _must_have_its_seeds(run, by_name[run.needs], origin)
    chain = {run.name: run.needs for run in planned.runs}
    for name in names:
        seen, at = {name}, chain[name]
        while at:
            if at in seen:
                raise ExperimentError(
                    f"{origin}: the runs {', '.join(sorted(seen))} start from one another in a circle."
                )
            seen.add(at)
            at = chain[at]


def _must_have_its_seeds(run: PlannedRun, needed: PlannedRun, origin: str) -> None:
    """Of the same images, another seed is another split: what one run was trained on would be the other's test."""
    data, before = run.tables.get("data", {}), needed.tables.get("data", {})
    lacking = [seed for seed in run.entry.seeds if seed not in needed.entry.seeds]
    fixed = data.get("split_seed") is not None and data.get("split_seed") == before.get("split_seed")
    if lacking and data.get("source") == before.get("source") and not fixed:
        raise ExperimentError(
            f"{origin}: run {run.name!r} starts from {needed.name!r}, which has no seed {lacking[0]}. Another seed may "
            f"be another split, and images that {needed.name!r} was trained on would be tested. Give both the same "
            "seeds, or both a data.split_seed."
        )


def _must_be_one(name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        raise ExperimentError(f"{where}: {name!r} is unknown. {nearest(name, known)}".rstrip())
