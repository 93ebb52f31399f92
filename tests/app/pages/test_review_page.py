"""The page Review: labels in doubt, what is decided of them, and the file that keeps it."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.app.conftest import TOKEN, Served, dashboard

import firstlight as fl
from firstlight.app.pages.review import decisions
from firstlight.app.pages.review.decisions import ChangedError, Decisions, told
from firstlight.data.corrections import Correction, pixels_sha256, read_corrections
from firstlight.errors import DataError, RunError
from firstlight.explain.label_errors import find_label_issues
from firstlight.records import label_issues, out_of_fold
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset, Json, Predictions

# Markup, an emoji beside right-to-left, 200 characters.
HOSTILE = ("<script>alert(1)</script>", "🐈 קטן", "long" * 49 + "long")


@pytest.fixture(scope="module")
def reviewed(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`mlp`, of digits, and `hostile`, of three under odd names; of the labels of both, every tenth is turned."""
    root = tmp_path_factory.mktemp("review") / "runs"
    train = digits.splits["train"]
    for name, file, classes, n in (("mlp", "few", "0123456789", 600), ("hostile", "odd", HOSTILE, 900)):
        kept = np.flatnonzero(train.labels < len(classes))[:n]
        labels = train.labels[kept]
        labels[::10] = (labels[::10] + 1) % len(classes)
        path = root.parent / f"{file}.npz"
        np.savez(path, images=train.pixels[kept, ..., 0], labels=np.array([*classes])[labels])
        fl.fit("mlp-128-64", path, epochs=6, out=root / name, console=Console(quiet=True))
    folds = root / "folds" / "net" / "seed-0"
    for fold in (1, 2):
        data = {"source": str(root.parent / "few.npz"), "folds": 2, "fold": fold}
        asked = {"data": data, "model": {"name": "mlp-128"}, "training": {"epochs": 6}}
        fl.run(asked, out=folds / f"fold-{fold}", console=Console(quiet=True))
    out_of_fold.collect([RunFolder(folds / f"fold-{fold}") for fold in (1, 2)]).write(folds)
    with dashboard(root) as served:
        yield served


def _file(reviewed: Served) -> Path:
    """Where what is decided of `mlp` goes."""
    return decisions.place(reviewed.index.run(reviewed.id("mlp")), reviewed.root, None).path


FOLDS = "folds/net/seed-0"


class Asking:
    """What the page asks of one run."""

    def __init__(self, client: httpx.Client, key: str) -> None:
        self.client, self.key = client, key

    def get(self, kind: str, **params: Any) -> httpx.Response:
        return self.client.get(f"/api/review/{self.key}/{kind}", params=params)

    def list(self, **params: Any) -> Json:
        found: Json = self.get("list", **params).json()
        return found

    def image(self, sample: str) -> Json:
        found: Json = self.get("image", id=sample).json()
        return found

    def decide(self, sample: str, new: str, seen: Json | None = None, **more: Any) -> httpx.Response:
        body = {"id": sample, "new": new, "seen": seen, "by": "Ann", **more}
        return self.client.post(f"/api/review/{self.key}", json=body)

    def put_back(self, sample: str, row: Json | None, seen: Json | None) -> httpx.Response:
        return self.client.post(f"/api/review/{self.key}", json={"id": sample, "row": row, "seen": seen})


@pytest.fixture
def http(reviewed: Served) -> Iterator[httpx.Client]:
    headers = {"X-Firstlight-Token": TOKEN}
    with httpx.Client(base_url=reviewed.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def mlp(reviewed: Served, http: httpx.Client) -> Iterator[Asking]:
    yield Asking(http, reviewed.id("mlp"))
    for path in reviewed.root.glob("*.csv"):
        path.unlink()


@pytest.fixture
def hostile(reviewed: Served, http: httpx.Client) -> Iterator[Asking]:
    yield Asking(http, reviewed.id("hostile"))
    for path in reviewed.root.glob("*.csv"):
        path.unlink()


def _pooled(run: fl.Run) -> Predictions:
    parts = run.predictions.values()
    return Predictions(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("ids", "labels", "probabilities"))
    )


class TestLists:
    def test_the_doubts_are_those_of_confident_learning(self, mlp: Asking, reviewed: Served) -> None:
        pooled = _pooled(fl.open_run(reviewed.root / "mlp"))
        issues = find_label_issues(pooled)
        found = mlp.list()
        assert found["total"] == len(issues) > 5
        assert [(row["id"], row["label"], row["answer"]) for row in found["images"]] == [
            (str(pooled.ids[one.index]), one.given, one.suggested) for one in issues
        ]
        margins = [row["margin"] for row in found["images"]]
        assert margins == sorted(margins, reverse=True)
        assert min(margins) > 0

    def test_a_pair_of_classes_and_the_order_of_pairs(self, mlp: Asking) -> None:
        rows = mlp.list(order="pair")["images"]
        pairs = [(row["label"], row["answer"]) for row in rows]
        sizes = [pairs.count(pair) for pair in pairs]
        assert sizes == sorted(sizes, reverse=True)
        first = mlp.list(label=pairs[0][0], answer=pairs[0][1])
        assert first["total"] == sizes[0]
        assert {(row["label"], row["answer"]) for row in first["images"]} == {pairs[0]}

    def test_all_images_by_cell_class_and_id(self, mlp: Asking, reviewed: Served) -> None:
        run = fl.open_run(reviewed.root / "mlp")
        pooled, counts = _pooled(run), [split.counts[3] for split in run.folder.data.splits.values()]
        assert mlp.list(what="all", label=3)["total"] == sum(counts)
        cell = mlp.list(what="all", label=3, answer=3)
        assert cell["total"] == int(((pooled.labels == 3) & (pooled.predicted == 3)).sum())
        sample = run.folder.data.splits["train"].ids[5]
        [row] = [row for row in mlp.list(what="all", text=sample)["images"] if row["id"] == sample]
        assert (row["split"], row["answer"]) == ("train", None)
        assert mlp.list(text="no such id")["total"] == 0
        assert mlp.get("list", label=99).status_code == 404


class TestAnImage:
    def test_it_comes_with_its_reason_and_its_probabilities(self, mlp: Asking, reviewed: Served) -> None:
        run, row = fl.open_run(reviewed.root / "mlp"), mlp.list()["images"][0]
        pooled, found = _pooled(run), mlp.image(row["id"])
        place = int(np.flatnonzero(pooled.ids == row["id"])[0])
        assert found["label"] == run.class_names[row["label"]]
        assert found["suggested"] == run.class_names[row["answer"]]
        assert found["probabilities"] == pytest.approx(pooled.probabilities[place].tolist())
        assert f"doubt: {found['suggested']} " in found["reason"]
        assert found["decided"] is None

    def test_one_that_was_learnt_from_has_no_probabilities(self, mlp: Asking, reviewed: Served) -> None:
        found = mlp.image(fl.open_run(reviewed.root / "mlp").folder.data.splits["train"].ids[0])
        assert (found["probabilities"], found["suggested"], found["split"]) == (None, None, "train")

    def test_its_picture_is_the_image_as_it_was_loaded(self, mlp: Asking, http: httpx.Client, digits: Dataset) -> None:
        sample = mlp.list()["images"][0]["id"]
        answer = http.get(f"/image/{mlp.key}/loaded.png", params={"id": sample})
        place = int(np.flatnonzero(digits.splits["train"].ids == sample)[0])
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(answer.content))), digits.splits["train"].pixels[place, ..., 0]
        )

    def test_the_nearest_are_training_images_with_labels(self, mlp: Asking, reviewed: Served) -> None:
        run = fl.open_run(reviewed.root / "mlp")
        train = set(run.folder.data.splits["train"].ids)
        for sample in (mlp.list()["images"][0]["id"], min(train)):
            found = mlp.get("nearest", id=sample).json()["images"]
            assert len(found) == 8
            assert {one["id"] for one in found} <= train - {sample}
            assert {one["label"] for one in found} <= set(run.class_names)

    @pytest.mark.parametrize("what", ["image", "nearest"])
    def test_an_unknown_one_is_told(self, mlp: Asking, what: str) -> None:
        assert mlp.get(what, id="../../etc/passwd").status_code == 404


class TestDeciding:
    def test_keep_change_and_drop_are_rows_of_the_file(self, mlp: Asking, reviewed: Served, digits: Dataset) -> None:
        first, second, third = (row["id"] for row in mlp.list()["images"][:3])
        label, suggested = (mlp.image(first)[name] for name in ("label", "suggested"))
        assert mlp.decide(first, label, reason="looked\nat").status_code == 200
        assert mlp.decide(second, mlp.image(second)["suggested"]).status_code == 200
        assert mlp.decide(third, "").status_code == 200
        found = {one.id: one for one in read_corrections(_file(reviewed))}
        assert [found[sample].kind.value for sample in (first, second, third)] == ["kept", "relabelled", "dropped"]
        place = int(np.flatnonzero(digits.splits["train"].ids == first)[0])
        assert found[first].pixels == pixels_sha256(digits.splits["train"].pixels[place])
        assert (found[first].old, found[first].by, found[first].reason) == (label, "Ann", "looked\\nat")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found[first].at)
        assert mlp.list()["decided"] == 3
        assert mlp.image(first)["decided"] == told(found[first])
        assert suggested != label

    def test_what_another_has_decided_is_not_lost(self, mlp: Asking) -> None:
        sample = mlp.list()["images"][0]["id"]
        first = mlp.decide(sample, "7").json()["decided"]
        late = mlp.decide(sample, "")
        assert late.status_code == 409
        assert late.json()["decided"] == first
        assert "Ann" in late.json()["error"]
        again = mlp.decide(sample, "", seen=first).json()["decided"]
        assert mlp.put_back(sample, None, seen=first).status_code == 409
        assert mlp.put_back(sample, first, seen=again).json()["decided"] == first
        assert mlp.image(sample)["decided"] == first
        assert mlp.put_back(sample, None, seen=first).status_code == 200
        assert mlp.list()["decided"] == 0

    def test_it_needs_the_token_and_the_page_itself(self, mlp: Asking, reviewed: Served) -> None:
        sample, path = mlp.list()["images"][0]["id"], f"/api/review/{mlp.key}"
        body = {"id": sample, "new": "", "seen": None}
        with httpx.Client(base_url=reviewed.url, trust_env=False) as stranger:
            assert stranger.post(path, json=body).status_code == 403
        assert mlp.client.post(path, json=body, headers={"Origin": "http://evil.example"}).status_code == 403
        assert mlp.client.get(path).status_code == 405
        assert mlp.list()["decided"] == 0

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 422),
            ([], 422),
            ({"id": "train/0", "seen": None}, 422),
            ({"id": 3, "new": "1", "seen": None}, 422),
            ({"id": "SAMPLE", "new": "eleven", "seen": None}, 404),
            ({"id": "SAMPLE", "new": "1", "seen": "nothing"}, 422),
            ({"id": "SAMPLE", "row": {"id": "SAMPLE"}, "seen": None}, 422),
            ({"id": "SAMPLE", "row": {"id": "other", "pixels": "", "old": "1", "new": "1"}, "seen": None}, 422),
            ({"id": "SAMPLE", "row": {"id": "SAMPLE", "pixels": "no hash", "old": "1", "new": "1"}, "seen": None}, 422),
        ],
    )
    def test_what_is_no_decision_is_refused(self, mlp: Asking, reviewed: Served, body: Any, status: int) -> None:
        sample = mlp.list()["images"][0]["id"]
        text = str(httpx.Request("POST", "http://x", json=body).content, "utf-8").replace("SAMPLE", sample)
        answer = mlp.client.post(f"/api/review/{mlp.key}", content=text)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]
        assert not (_file(reviewed)).exists()

    def test_hostile_names_come_back_as_they_are(self, hostile: Asking, reviewed: Served) -> None:
        page = hostile.client.get("/review", params={"run": hostile.key}).text
        assert HOSTILE[0] not in page
        for row, name in zip(hostile.list()["images"], HOSTILE, strict=False):
            assert hostile.decide(row["id"], name, by=HOSTILE[0]).status_code == 200
        [path] = reviewed.root.glob("corrections-odd-*.csv")
        assert {(one.new, one.by) for one in read_corrections(path)} == {(name, HOSTILE[0]) for name in HOSTILE}
        assert {row["decided"] for row in hostile.list()["images"][:3]} == set(HOSTILE)

    def test_the_doubts_find_wrong_labels(self, hostile: Asking) -> None:
        """Every tenth label was turned: most of the first doubts are about one of them."""
        rows = hostile.list()["images"][:10]
        turned = [int(row["id"].rpartition("/")[2]) % 10 == 0 for row in rows]
        assert sum(turned) >= 0.7 * len(turned)

    def test_a_file_that_was_edited_into_nonsense_is_told_and_left(self, mlp: Asking, reviewed: Served) -> None:
        file = _file(reviewed)
        file.write_text("id;new\nwhat?;;;\n")
        sample = mlp.list()["images"][0]["id"]
        assert "corrections-few-" in mlp.list()["trouble"]
        assert "no decision can be saved" in mlp.client.get("/review", params={"run": mlp.key}).text
        answer = mlp.decide(sample, "")
        assert answer.status_code == 422
        assert "line 1" in answer.json()["error"]
        assert file.read_text() == "id;new\nwhat?;;;\n"


class TestFolds:
    def test_all_images_are_in_question(self, reviewed: Served, http: httpx.Client, mlp: Asking) -> None:
        folds = Asking(http, reviewed.id(FOLDS))
        found = out_of_fold.read(reviewed.root / FOLDS)
        assert found is not None
        issues = find_label_issues(found.predictions)
        rows = folds.list()["images"]
        assert [row["id"] for row in rows] == [str(found.ids[one.index]) for one in issues]
        assert folds.list(what="all")["total"] == 600
        image = folds.image(rows[0]["id"])
        assert image["split"] == f"fold {found.folds[issues[0].index]}"
        assert image["probabilities"] == pytest.approx(found.probabilities[issues[0].index].tolist())
        assert folds.decide(rows[0]["id"], image["suggested"]).status_code == 200
        assert mlp.image(rows[0]["id"])["decided"]["new"] == image["suggested"]  # the images are the same
        page = http.get(f"/run/{folds.key}", follow_redirects=True)
        assert page.url.path == "/review"
        assert "--folds 2" in page.text

    def test_neighbours_that_were_asked(self, reviewed: Served, http: httpx.Client) -> None:
        folds = Asking(http, reviewed.id(FOLDS))
        place = reviewed.root / FOLDS
        found = fl.label_issues(place)
        try:
            rows = folds.list()["images"]
            assert [row["id"] for row in rows] == found.ids[: len(rows)].tolist()
            near = http.get(f"/api/review/{folds.key}/nearest", params={"id": rows[0]["id"]}).json()
            assert [image["id"] for image in near["images"]] == list(found[0].nearest)
            assert "nearest training images" in folds.image(rows[0]["id"])["why"][1]
        finally:
            (place / label_issues.LABEL_ISSUES).unlink()
        near = http.get(f"/api/review/{folds.key}/nearest", params={"id": rows[0]["id"]}).json()
        assert near["images"] == []
        assert "firstlight labels" in near["note"]


def _row(sample: str, new: str = "b") -> Correction:
    return Correction(sample, "0" * 64, "a", new, by="Bob", at="2026-01-02T03:04:05Z")


class TestTheFile:
    def test_many_at_once_lose_nothing(self, tmp_path: Path) -> None:
        kept = Decisions(tmp_path / "c.csv")
        with ThreadPoolExecutor(4) as pool:
            wrote = list(pool.map(lambda n: kept.put(f"{n}", _row(f"{n}"), None), range(24)))
        assert wrote == [None] * 24
        assert kept.read().keys() == {f"{n}" for n in range(24)}

    def test_one_who_believes_something_else_is_refused(self, tmp_path: Path) -> None:
        kept = Decisions(tmp_path / "c.csv")
        kept.put("x", _row("x"), None)
        for seen in (None, told(_row("x", "c"))):
            with pytest.raises(ChangedError, match="Bob") as refused:
                kept.put("x", None, seen)
            assert refused.value.now == _row("x")
        assert kept.put("x", None, told(_row("x"))) == _row("x")
        assert kept.read() == {}

    def test_rows_and_times_of_an_editor_stay(self, tmp_path: Path) -> None:
        file = tmp_path / "c.csv"
        file.write_text(f"pixels,id,new,old\n{'A' * 64},by hand,b,a\n")
        Decisions(file).put("x", _row("x"), None)
        with file.open() as lines:
            assert [(row["id"], row["new"]) for row in csv.DictReader(lines)] == [("by hand", "b"), ("x", "b")]

    def test_a_full_disk_keeps_what_was_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = Decisions(tmp_path / "c.csv")
        kept.put("x", _row("x"), None)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(RunError, match="cannot be written: No space left"):
                kept.put("y", _row("y"), None)
        assert kept.read().keys() == {"x"}
        assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match="cannot be written"):
            Decisions(tmp_path / "file" / "c.csv").put("x", _row("x"), None)
        (tmp_path / "folder").mkdir()
        with pytest.raises((RunError, DataError), match="folder"):
            Decisions(tmp_path / "folder").put("x", _row("x"), None)

    def test_it_is_never_in_a_run_or_among_the_images(self, reviewed: Served, tmp_path: Path) -> None:
        folder = reviewed.index.run(reviewed.id("hostile"))
        usual = decisions.place(folder, reviewed.root, None)
        assert (usual.path.parent, usual.trouble) == (reviewed.root, "")
        given = decisions.place(folder, reviewed.root, tmp_path / "mine.csv")
        assert (given.path, given.trouble) == (tmp_path / "mine.csv", "")
        inside = decisions.place(folder, reviewed.root, folder.path / "exports" / "mine.csv")
        assert "the folder of a run" in inside.trouble
        with pytest.raises(RunError, match="--corrections"):
            inside.put("x", _row("x"), None)


def isolated(name: str) -> str:
    """A name as it stands in a sentence, whichever way it is written."""
    return f"\u2068{name}\u2069"


def test_the_keys_decide_take_back_and_outlive_a_reload(reviewed: Served, mlp: Asking, page: Any) -> None:
    rows = mlp.list()["images"]
    page.goto(f"{reviewed.url}/review?run={mlp.key}")
    told = page.locator("#said")
    page.locator("#near img").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "desk"
    first, second, third, fourth = (mlp.image(row["id"]) for row in rows[:4])
    other = next(name for name in "0123456789" if name not in (third["label"], third["suggested"]))
    for key, text in (
        ("Space", f"Kept {isolated(first['label'])}. 1 of {len(rows)} decided."),
        ("Enter", f"Changed from {isolated(second['label'])} to {isolated(second['suggested'])}. 2 of"),
        (other, f"Changed from {isolated(third['label'])} to {isolated(other)}. 3 of"),
        ("Delete", "Dropped. 4 of"),
        ("ArrowRight", "6 of"),
        ("Control+z", f"Undone: {fourth['id']} is not decided. 3 of"),
        ("Control+z", f"Undone: {third['id']} is not decided. 2 of"),
    ):
        page.keyboard.press(key)
        told.filter(has_text=text).wait_for(state="attached")
        page.locator('#desk[aria-busy="false"]').wait_for()
        assert page.evaluate("document.activeElement.id") == "desk"
    page.reload()
    page.locator("#count", has_text=f"2 of {len(rows)} decided").wait_for()
    page.locator("#where", has_text=third["id"]).wait_for()
    page.wait_for_function("document.activeElement.id === 'desk'")
    page.keyboard.press("Control+z")  # also what was decided before
    told.filter(has_text=f"Undone: {second['id']}").wait_for(state="attached")
    assert [mlp.image(each["id"])["decided"] is None for each in (first, second)] == [False, True]


def test_names_are_searched_and_two_tabs_lose_nothing(reviewed: Served, hostile: Asking, page_at: Any) -> None:
    rows = hostile.list()["images"]
    pages = [page_at(width=390), page_at(dark=True)]
    for page in pages:
        page.goto(f"{reviewed.url}/review?run={hostile.key}&id={rows[0]['id']}")
        page.locator("#near img").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    one, other = pages
    one.locator("#search").fill("קט")
    one.locator("#classes [aria-selected=true]", has_text="קטן").wait_for()
    one.keyboard.press("Escape")
    one.keyboard.type("SCR")  # a letter on the desk begins a search
    one.locator("#classes [aria-selected=true]", has_text=HOSTILE[0]).wait_for()
    one.keyboard.press("Enter")
    one.locator("#said", has_text=f"1 of {len(rows)} decided").wait_for(state="attached")
    assert one.evaluate("document.activeElement.id") == "desk"
    other.keyboard.press("Delete")
    other.locator("#message.error", has_text="meanwhile").wait_for()
    assert other.complaints.pop().count("409")
    other.locator("#status", has_text=HOSTILE[0]).wait_for()
    other.keyboard.press("Delete")  # having seen it
    other.locator("#said", has_text="Dropped").wait_for(state="attached")
    assert hostile.image(rows[0]["id"])["decided"]["new"] == ""
