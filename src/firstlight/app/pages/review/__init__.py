"""The page /review: labels in doubt, one at a time, and what is decided of them."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import tomli_w
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight.app.images import KEPT_BY_BROWSER, class_number
from firstlight.app.index import Index
from firstlight.app.pages.review import decisions, listing, reasons
from firstlight.app.pages.review.decisions import ChangedError, Decisions, told
from firstlight.app.pages.review.subject import Subject, Subjects
from firstlight.app.server import responses
from firstlight.app.server.errors import UnknownError
from firstlight.app.server.responses import Page
from firstlight.app.summary import READY, by_data
from firstlight.data.corrections import Correction, pixels_sha256
from firstlight.errors import FirstlightError, RunError
from firstlight.files import json_object
from firstlight.image_encoding import png
from firstlight.records.run_folder import EXPERIMENT, RunFolder
from firstlight.text import one_line
from firstlight.types import Json

MOST = 3000  # images of a list; more are narrowed down by class or id
LONGEST = 500  # characters of a reason


def page(request: Request) -> Response:
    """The page, for the run or the folds that are asked for, or else the run that ended last."""
    index: Index = request.app.state.index
    ready = [summary for summary in index.summaries_within()[0] if summary.state in READY]
    folds = [entry for entry in index.entries() if entry.kind == "folds"]
    asked = request.query_params.get("run")
    values: Json = {"facts": None, "problem": "", "name": ""}
    chosen = asked or (ready[0].id if ready else None)
    if chosen is not None:
        entry = index.any_entry(chosen)  # an id that there is not is told as such
        values["name"] = entry.name
        if entry.kind == "run" and index.summary(entry) not in ready:
            ready = [index.summary(entry), *ready]
        try:
            values["facts"] = facts(request, entry.id)
        except FirstlightError as error:
            values["problem"] = str(error)
    choices = [(data, [(each.id, each.name, each.accuracy) for each in runs]) for data, runs in by_data(ready)]
    if folds:
        choices.insert(0, ("all images, by folds", [(entry.id, entry.name, None) for entry in folds]))
    return responses.page(request, "review/page.html.j2", title="Review", choices=choices, chosen=chosen, **values)


def facts(request: Request, key: str) -> Json:
    """What the page must know of a run before the first image. Raises RunError where its records are damaged."""
    index: Index = request.app.state.index
    subject = _subjects(request).get(key)
    kept = _decisions(request, subject)
    trouble = kept.trouble
    try:
        kept.read()
    except FirstlightError as error:
        trouble = f"{error} Until that is fixed, no decision can be saved here."
    pairs = Counter((doubt.given, doubt.suggested) for doubt in subject.doubts)
    return {
        "run": key,
        "about": subject.run,
        "folds": subject.folds,
        "classes": list(subject.classes),
        "labels": list(subject.labels),
        "splits": list(dict.fromkeys(subject.splits.tolist())),
        "pairs": [[*pair, n] for pair, n in pairs.most_common()],
        "doubts": len(subject.doubts),
        "note": subject.note,
        "by": decisions.user(),
        "trouble": trouble,
        "version": _version(index.run(subject.run)),
        "file": str(kept.path),
        "setting": tomli_w.dumps({"corrections": str(kept.path.resolve())}).strip(),
        "command": _command(index.run(subject.run), subject.folds, kept.path),
    }


def listed(request: Request) -> Response:
    """The doubts, or all images, of certain classes, or whose ids hold a text; and how many of them are decided."""
    subjects, key, asked = _subjects(request), request.path_params["id"], request.query_params
    subject = subjects.get(key)
    wanted = listing.Wanted(
        label=class_number(asked.get("label", ""), subject.classes),
        answer=class_number(asked.get("answer", ""), subject.classes),
        text=asked.get("text", ""),
        order=asked.get("order", ""),
    )
    kept = _decisions(request, subject)
    done, trouble = _read(kept)
    if asked.get("what") == "all":
        rows = listing.of_all(subject, subjects.everything(subject), wanted, done)
    else:
        rows = listing.of_doubts(subject, wanted, done)
    return responses.reply(
        {
            "total": len(rows),
            "decided": sum(row["decided"] is not None for row in rows),
            "images": rows[:MOST],
            "trouble": trouble,
        }
    )


def image(request: Request) -> Response:
    """One image: its label, what the net says of it, why it is in doubt, and what is decided."""
    subjects, key = _subjects(request), request.path_params["id"]
    subject, sample = subjects.get(key), request.query_params.get("id", "")
    located = subjects.image(subject, sample)
    done, trouble = _read(_decisions(request, subject))
    row = subject.rows.get(sample)
    doubt = None if row is None else subject.doubted.get(row)
    decided = done.get(sample)
    height, width, _ = located.pixels.shape
    return responses.reply(
        {
            "id": sample,
            "split": _split(subjects, subject, sample, row),
            "label": located.label,
            "probabilities": None if row is None else subject.predictions.probabilities[row].tolist(),
            "used": None if row is None else int(subject.predictions.labels[row]),
            "suggested": reasons.suggested(subject, row, doubt, located.label),
            "why": reasons.why(subject, row, doubt),
            "reason": reasons.reason(subject, row, doubt),
            "decided": told(decided),
            "stale": decided is not None and decided.pixels != pixels_sha256(located.pixels),
            "trouble": trouble,
            "width": width,
            "height": height,
        }
    )


def _split(subjects: Subjects, subject: Subject, sample: str, row: int | None) -> str:
    if row is not None:
        return str(subject.splits[row])
    every = subjects.everything(subject)
    found = np.flatnonzero(every.ids == sample)
    return str(every.splits[found[0]]) if len(found) else ""


def near(request: Request) -> Response:
    """The training images that the net finds most like one."""
    subjects, key = _subjects(request), request.path_params["id"]
    subject, sample = subjects.get(key), request.query_params.get("id", "")
    row = subject.rows.get(sample)
    doubt = None if row is None else subject.doubted.get(row)
    if subject.folds:
        found = list(doubt.nearest) if doubt else []
        note = "" if found else "In a cross-validation they are known for suspected labels, after firstlight labels."
    else:
        split = _split(subjects, subject, sample, row)
        if not split:
            raise UnknownError("The run left this image out, so it has no neighbours.")
        images = subjects.nearest.of(key, split, sample)
        found, note = list(zip(images.ids.tolist(), images.labels.tolist(), strict=True)), ""
    near = [{"id": name, "label": subject.classes[label]} for name, label in found]
    return responses.reply({"images": near, "note": note})


def picture(request: Request) -> Response:
    """An image as it was loaded, as a PNG."""
    subjects = _subjects(request)
    located = subjects.image(subjects.get(request.path_params["id"]), request.query_params.get("id", ""))
    return Response(png(located.pixels), media_type="image/png", headers=KEPT_BY_BROWSER)


async def decide(request: Request) -> Response:
    """Keep, relabel or drop an image, or restore an earlier decision about it."""
    return await responses.compute(request, _decide, request, await request.body())


def _decide(request: Request, body: bytes) -> Response:
    asked = _asked(body)
    subjects, key = _subjects(request), request.path_params["id"]
    subject, sample = subjects.get(key), asked["id"]
    located = subjects.image(subject, sample)
    if "row" in asked:  # undone
        row = None if asked["row"] is None else _row(asked["row"], sample)
    else:
        new = asked["new"]
        if new and new not in subject.labels:
            raise UnknownError(f"There is no class {new[:80]!r}. The classes are {', '.join(subject.labels)[:300]}.")
        row = Correction(
            id=sample,
            pixels=pixels_sha256(located.pixels),
            old=located.label,
            new=new,
            reason=one_line(asked.get("reason", ""))[:LONGEST],
            by=one_line(asked.get("by", "")).strip()[: decisions.LONGEST_NAME],
            at=decisions.now(),
        )
    try:
        _decisions(request, subject).put(sample, row, asked["seen"])
    except ChangedError as error:
        return responses.reply({"error": str(error), "decided": told(error.now)}, 409)
    return responses.reply({"decided": told(row)})


def _asked(body: bytes) -> Json:
    """What a request to decide has: id and seen; new, reason and by, or row. Raises RunError where it has not."""
    texts = ("id", "new", "reason", "by")
    try:
        asked = json_object(body)
        for name in texts:
            if not isinstance(asked.get(name, ""), str):
                raise ValueError(f"{name} is not a string")
        for name in ("seen", "row"):
            if not isinstance(asked.get(name), dict | None):
                raise ValueError(f"{name} is not a decision")
        missing = {"id", "seen"} - asked.keys() or ({"new"} - asked.keys() if "row" not in asked else set())
        if missing:
            raise ValueError(f"it lacks {min(missing)}")
    except ValueError as error:
        raise RunError(f"A decision is a JSON object with id, seen, and new or row; {error}.") from None
    return asked


def _row(value: Json, sample: str) -> Correction:
    """A decision that is put back. Raises RunError where it is none."""
    try:
        row = Correction(**value)
    except TypeError:
        raise RunError("What is to be restored is not a decision.") from None
    if row.id != sample or not all(isinstance(text, str) for text in value.values()):
        raise RunError("What is to be restored is a decision about another image.")
    return row


def _subjects(request: Request) -> Subjects:
    found: Subjects = request.app.state.subjects
    return found


def _decisions(request: Request, subject: Subject) -> Decisions:
    index: Index = request.app.state.index
    return decisions.place(index.run(subject.run), index.root, _subjects(request).corrections)


def _read(kept: Decisions) -> tuple[dict[str, Correction], str]:
    """What is decided, or why that cannot be known."""
    try:
        return kept.read(), kept.trouble
    except FirstlightError as error:
        return {}, str(error)


def _command(run: RunFolder, folds: int | None, file: Path) -> str:
    """How the same is trained again with the corrections."""
    if folds:
        return f"firstlight run FILE.toml --folds {folds}"
    return shlex.join(["firstlight", "run", str(run.path / EXPERIMENT), "--set", f"data.corrections={file.resolve()}"])


def _version(run: RunFolder) -> str:
    """What is another where the images are others."""
    content = "".join(split.sha256 for split in run.data.splits.values())
    return hashlib.sha256(content.encode()).hexdigest()[:12]


PAGE = Page(
    title="Review",
    address="/review",
    position=3,
    routes=[
        Route("/review", responses.endpoint(page)),
        Route("/api/review/{id}/list", responses.endpoint(listed)),
        Route("/api/review/{id}/image", responses.endpoint(image)),
        Route("/api/review/{id}/nearest", responses.endpoint(near, inference=True)),
        Route("/image/{id}/loaded.png", responses.endpoint(picture)),
        Route("/api/review/{id}", decide, methods=["POST"]),
    ],
)
