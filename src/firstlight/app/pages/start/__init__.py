"""The page /start: an experiment put together in forms, shown as the file that they make, and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight.app.index import Index
from firstlight.app.pages.start import catalogue, form
from firstlight.app.pages.start.catalogue import Item
from firstlight.app.server import responses
from firstlight.app.server.errors import UnknownError
from firstlight.app.server.processes import TrainingProcess, TrainingProcesses
from firstlight.app.server.responses import Page
from firstlight.errors import ExperimentError, FirstlightError, KeyedError, ModelError, RunError, ShapeError
from firstlight.experiments import Experiment
from firstlight.experiments.config import IMAGENET
from firstlight.files import json_object

TOLD = 80  # characters of a key that there is not
ORIGIN = "form"
# Fields that name something on this machine, by an id.
IMAGES, WEIGHTS, CORRECTIONS = "data.source", "weights.init_from", "data.corrections"
NAMES = {IMAGES: "images", CORRECTIONS: "corrections"}
RESIZE = "Set a size that it accepts, such as 28 or 32, under Images."


@dataclass(frozen=True)
class Checked:
    """What became of a filled form.

    errors    lines by the key of the field that they are about, "" for none of them
    notes     what is known of the model before anything is read
    """

    experiment: Experiment | None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def page(request: Request) -> Response:
    """The forms, empty or as a run was asked for."""
    index: Index = request.app.state.index
    items = _items(request)
    texts: dict[str, str] = {}
    like, lacking = request.query_params.get("run"), ""
    if like is not None:
        folder = index.run(like)
        experiment = Experiment.of_run(folder)
        texts = form.texts_of(experiment.unusual())
        for key, found in items.items():
            wanted = texts.get(key, "")
            texts[key] = next((item.id for item in found if item.source == wanted), "")
            if wanted and not texts[key] and key != WEIGHTS:
                lacking += f"The {NAMES[key]} of {folder.name} cannot be chosen here. "
    sections = [replace(section, fields=_folded(section)) for section in form.sections()]
    return responses.page(
        request,
        "start/page.html.j2",
        title="Start",
        usual=[form.all_fields()[key] for key in form.USUAL],
        sections=[section for section in sections if section.fields],
        items={key: _grouped(found) for key, found in items.items()},
        texts=texts,
        like=index.entry(like).name if like is not None else "",
        lacking=lacking,
        root=str(index.root),
        started=request.query_params.get("started", ""),
        about={key: dict(form.all_fields()[key].choices) for key in form.CHOICES},
    )


async def check(request: Request) -> Response:
    """The file that the form makes, or what is wrong with it."""
    return await responses.compute(request, _check, request, await request.body())


def _check(request: Request, body: bytes) -> Response:
    checked = _checked(_texts(body), _items(request))
    toml = "" if checked.experiment is None else checked.experiment.to_toml(brief=True)
    return responses.reply({"toml": toml, "errors": dict(checked.errors), "notes": checked.notes})


async def begin(request: Request) -> Response:
    """Start the run that the form asks for."""
    return await responses.compute(request, _begin, request, await request.body())


def _begin(request: Request, body: bytes) -> Response:
    checked = _checked(_texts(body), _items(request))
    if checked.experiment is None or checked.errors:
        return responses.reply({"errors": dict(checked.errors), "error": "Something in the form is wrong."}, 422)
    trainings: TrainingProcesses = request.app.state.trainings
    asked = checked.experiment
    training = trainings.start(asked.to_toml(brief=True), f"{asked.model.name}-{_stem(asked.data.source)}")
    return responses.reply({"name": training.name}, 201)


def resume(request: Request) -> Response:
    """Continue a run that was interrupted or cut off."""
    index: Index = request.app.state.index
    trainings: TrainingProcesses = request.app.state.trainings
    entry = index.entry(request.path_params["id"])
    summary = index.summary(entry)
    if summary.state not in ("interrupted", "cut off"):
        raise RunError(f"{entry.name} cannot be resumed: it is {summary.state}.")
    training = trainings.resume(entry.path, entry.name)
    return responses.reply({"name": training.name}, 202)


def state(request: Request) -> Response:
    """How far a started run is: its id once there is one, the process's last words where there will be none."""
    trainings: TrainingProcesses = request.app.state.trainings
    training = trainings.get(request.path_params["name"])
    if training is None:
        raise UnknownError("This server has not started such a run. The page Runs shows all runs.")
    now = training.state
    return responses.reply(
        {"state": now, "run": _id(request, training) if now == "begun" else None, "output": training.output}
    )


def _texts(body: bytes) -> dict[str, str]:
    """The texts of the fields. Raises ExperimentError where the body has none."""
    try:
        texts = json_object(body)
        for key, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"{key[:TOLD]} is not a string")
    except ValueError as error:
        raise ExperimentError(f"The form is a JSON object with a string for each field; {error}.") from None
    return texts


def _checked(texts: Mapping[str, str], items: Mapping[str, list[Item]]) -> Checked:
    """The experiment of a filled form, and all that can be said of it before images are read."""
    picked: dict[str, Item] = {}
    try:
        tables = form.tables_of(texts)
        for key, found in items.items():
            if texts.get(key):
                picked[key] = catalogue.chosen(found, texts[key], key)
                section, _, name = key.partition(".")
                tables[section][name] = picked[key].source
        experiment = Experiment.of(tables, ORIGIN)
        experiment.build_schedule().rates(0, 1, experiment.training.epochs, 1.0)  # as the run itself does first
    except KeyedError as error:
        return Checked(None, form.errors_of(error))
    except FirstlightError as error:
        return Checked(None, {"": [str(error)]})
    try:
        return Checked(experiment, {}, _notes(experiment, picked[IMAGES]))
    except ModelError as error:
        lines = {"model.name": [f"{error} {RESIZE}"]} if isinstance(error, ShapeError) else form.errors_of(error)
        return Checked(experiment, lines)


def _notes(experiment: Experiment, images: Item) -> tuple[str, ...]:
    """What the model will be. Raises ModelError where it does not fit the images."""
    asked = experiment.data
    if images.shape is None or images.classes is None:
        return ("The model is built for the images when the run begins.",)
    height, width, channels = images.shape
    if asked.size is not None:
        height, width = asked.size
    if experiment.prepare.greyscale:
        channels = 1
    elif experiment.prepare.standardise == IMAGENET:
        channels = 3
    classes = len(asked.classes) or len(asked.regroup) or images.classes
    model = experiment.build_model((height, width, channels), classes)
    experiment.build_loss().check_head(model.layers, (channels, height, width), classes)
    size = "×".join(map(str, model.input_shape))
    return (f"{model.name}: {model.parameters:,} parameters, images of {size} in {classes} classes.",)


def _items(request: Request) -> dict[str, list[Item]]:
    """What can be chosen in the fields that name something on this machine."""
    state = request.app.state
    return {
        IMAGES: catalogue.images(state.data),
        WEIGHTS: catalogue.weights(state.index),
        CORRECTIONS: catalogue.corrections(state.index, state.data),
    }


def _grouped(found: list[Item]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in found:
        groups.setdefault(item.group, []).append(item)
    return groups


def _folded(section: form.Section) -> tuple[form.Field, ...]:
    """The fields of a table that are not among the usual ones."""
    return tuple(each for each in section.fields if each.key not in (*form.USUAL, *form.OF_FILES))


def _stem(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2].partition(".")[0]


def _id(request: Request, training: TrainingProcess) -> str | None:
    index: Index = request.app.state.index
    return next((entry.id for entry in index.entries(anew=True) if entry.name == training.name), None)


PAGE = Page(
    title="Start",
    address="/start",
    position=4,
    routes=[
        Route("/start", responses.endpoint(page)),
        Route("/api/start/check", check, methods=["POST"]),
        Route("/api/start", begin, methods=["POST"]),
        Route("/api/start/{name}", state),
        Route("/api/runs/{id}/resume", responses.endpoint(resume), methods=["POST"]),
    ],
)
