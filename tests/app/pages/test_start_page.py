"""The page Start: forms made from the schema, the file that they make, and the run that it starts."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from tests.app.conftest import TOKEN, Served, dashboard, looking
from tests.conftest import Answer

from firstlight.app.pages.start import catalogue, form
from firstlight.app.server import processes
from firstlight.app.server.processes import FILE, OUTPUT, STARTED, TrainingProcess, TrainingProcesses
from firstlight.errors import ExperimentError, RunError
from firstlight.experiments import Experiment
from firstlight.optimizers import OPTIMIZERS, Optimizer
from firstlight.records.run_folder import RunFolder

HOSTILE = "<img src=x onerror=alert(1)>"
PATIENCE = 120  # seconds that a started process may take on a busy machine


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Served]:
    """A dashboard over an empty folder, with images of one's own to choose; what it starts has ended by the end."""
    own = tmp_path / "own"
    for name in ("cats", HOSTILE):
        (own / "pets" / name).mkdir(parents=True)
        for i in range(8):
            levels = np.random.default_rng(i).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(levels).save(own / "pets" / name / f"{i}.png")
    (own / HOSTILE / "class").mkdir(parents=True)
    Image.new("L", (8, 8)).save(own / HOSTILE / "class" / "1.png")
    (own / "notes").mkdir()
    (own / "notes" / "read.txt").write_text("no images")
    (own / ".hidden" / "class").mkdir(parents=True)
    Image.new("L", (8, 8)).save(own / ".hidden" / "class" / "1.png")
    np.savez(own / "arrays.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    (own / "table.csv").write_text("path,label\n")
    with dashboard(tmp_path / "runs", data=own) as running:
        yield running
        for training in trainings(running):
            training.process.wait(PATIENCE)


def trainings(served: Served) -> list[TrainingProcess]:
    """The runs that a dashboard has started, by the folders with their files."""
    kept = served.root / STARTED
    found = [served.trainings.get(path.name) for path in sorted(kept.iterdir())] if kept.is_dir() else []
    return [training for training in found if training]


@pytest.fixture
def send(bench: Served) -> Iterator[Callable[..., httpx.Response]]:
    """Send a filled form as the page does: send("check", {"training.epochs": "3"})."""
    with httpx.Client(base_url=bench.url, headers={"X-Firstlight-Token": TOKEN}, trust_env=False, timeout=60) as client:

        def posted(what: str, texts: Any) -> httpx.Response:
            return client.post("/api/start/check" if what == "check" else "/api/start", json=texts)

        yield posted


def keys_of(schema: Mapping[str, Any]) -> list[str]:
    """Every key of the experiment's schema, with its table."""
    keys = []
    for name, about in schema["properties"].items():
        if "$ref" not in about:
            keys.append(name)
            continue
        table = schema["$defs"][about["$ref"].rpartition("/")[2]]
        keys += [f"{name}.{inner}" for inner in table["properties"]]
    return keys


class TestForm:
    def test_every_key_of_the_schema_has_a_field_with_a_description(self, bench: Served) -> None:
        page = httpx.get(f"{bench.url}/start", trust_env=False).text
        keys = [key for key in keys_of(Experiment.model_json_schema()) if key not in form.OF_FILES]
        assert len(keys) > 40
        for key in keys:
            assert f'data-key="{key}"' in page, key
            field = next(field for field in form.all_fields().values() if field.key == key)
            assert field.help, f"{key} is not described"

    def test_every_option_of_every_name_has_a_field(self, bench: Served) -> None:
        page = httpx.get(f"{bench.url}/start", trust_env=False).text
        every: tuple[dict[str, dict[str, Any]], ...] = (
            *({"model": {"name": name}} for name in form.CHOICES["model.name"]),
            *({"optimizer": {"name": name}} for name in form.CHOICES["optimizer.name"]),
            *({"schedule": {"name": name}} for name in form.CHOICES["schedule.name"]),
            *({"loss": {"name": name}} for name in form.CHOICES["loss.name"]),
            {"augment": {"rotate": 5, "crop": 0.5, "cutout": 0.1, "noise": 0.1}},
        )
        for tables in every:
            full = Experiment.of({"data": {"source": "mnist"}, **tables}).model_dump()
            [section] = tables
            for option in full[section]:
                assert f'data-key="{section}.{option}"' in page, (section, option)

    def test_every_id_in_the_page_is_there_once(self, bench: Served) -> None:
        page = httpx.get(f"{bench.url}/start", trust_env=False).text
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))

    @pytest.mark.parametrize(
        "tables",
        [
            {},
            {"model": {"name": "slim-cnn", "filters": [4, 8], "activation": "elu"}, "seed": 7},
            {"model": {"layers": [{"type": "Flatten"}, {"type": "Dense", "units": 10, "name": "head"}]}},
            {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr_factors": {"head": 10.0}}},
            {"schedule": {"name": "one-cycle", "rise": 0.2}, "training": {"epochs": 3, "early_stopping": 2}},
            {"augment": {"rotate": 15, "flip_horizontal": 0.5, "fill": "constant", "fill_value": 255}},
            {"loss": {"class_weights": {"a": 2.0, "b, c": 1.0}, "label_smoothing": 0.1}},
            {"loss": {"class_weights": "balanced"}, "prepare": {"scale": False, "standardise": "pixel"}},
            {"data": {"source": "mnist", "size": [32, 28], "classes": ["1", "7, or so", "3"], "limit": 5}},
            {"data": {"source": "mnist", "regroup": {"odd": ["1", "3"], 'a "b"': ["2"]}}, "penalty": {"l2": 1e-4}},
            {"weights": {"init_from": "imagenet", "freeze": ["*", "!head"]}, "model": {"name": "resnet18"}},
            {"weights": {"init_from": "imagenet"}, "prepare": {"standardise": "none"}, "model": {"name": "resnet18"}},
        ],
    )
    def test_an_experiment_goes_through_file_and_form_unchanged(self, tables: dict[str, Any]) -> None:
        experiment = Experiment.of({"data": {"source": "mnist"}, **tables})
        brief = experiment.to_toml(brief=True)
        assert Experiment.of(tomllib.loads(brief)) == experiment
        assert len(brief) < len(experiment.to_toml())
        again = form.tables_of(form.texts_of(experiment.unusual()))
        assert Experiment.of(again) == experiment

    def test_the_brief_file_has_only_what_differs(self) -> None:
        tables = {"data": {"source": "mnist"}, "optimizer": {"name": "sgd", "lr": 0.01}, "training": {"epochs": 10}}
        brief = tomllib.loads(Experiment.of(tables).to_toml(brief=True))
        assert brief == {"data": {"source": "mnist"}, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd"}}


class TestCheck:
    @pytest.mark.parametrize(
        ("texts", "key", "words"),
        [
            ({"training.epochs": "-3"}, "training.epochs", "must be at least 0; received -3"),
            ({"training.epochs": "many"}, "training.epochs", "received 'many'"),
            ({"training.batch_size": "1.5"}, "training.batch_size", "received 1.5"),
            ({"data.size": "0"}, "data.size", "received"),
            ({"data.size": "28x"}, "data.size", "a height and a width"),
            ({"data.validation": "1"}, "data.validation", "must be below 1"),
            ({"optimizer.lr": "0"}, "optimizer.lr", "must be above 0"),
            (
                {"optimizer.name": "sgd", "optimizer.momentum@sgd": "2"},
                "optimizer.momentum",
                "from 0 to below 1; received 2",
            ),
            ({"optimizer.name": "addam"}, "optimizer.name", "Did you mean adam"),
            ({"model.name": "slim-cnn", "model.filters@slim-cnn": "big"}, "model.filters", "received 'big'"),
            ({"augment.rotate": "999"}, "augment.rotate", "-180 to 180"),
            ({"augment.rotate": "[5, "}, "augment.rotate", "received '[5,'"),
            ({"loss.class_weights": "heavy"}, "loss.class_weights", '"balanced", or a number'),
            ({"schedule.name": "cosine", "schedule.warmup@cosine": "99"}, "schedule.warmup", "less than the 10 epochs"),
            ({"model.name": "lenet5", "data.source": "digits"}, "model.name", "Set a size"),
            ({"weights.fresh": "head"}, "weights", "give weights.init_from"),
        ],
    )
    def test_what_is_wrong_stands_at_its_field(
        self, send: Callable[..., httpx.Response], texts: dict[str, str], key: str, words: str
    ) -> None:
        found = send("check", {"data.source": "mnist", **texts}).json()
        place = key if key in {field.key for field in form.all_fields().values()} else ""
        assert words in " ".join(found["errors"][place]), found
        assert list(found["errors"]) == [place]

    def test_several_mistakes_are_told_at_once(self, send: Callable[..., httpx.Response]) -> None:
        found = send("check", {"training.epochs": "-1", "seed": "x"}).json()
        assert set(found["errors"]) == {"training.epochs", "seed", "data.source"}
        assert found["toml"] == ""

    def test_the_file_and_the_size_of_the_model(self, send: Callable[..., httpx.Response]) -> None:
        texts = {"data.source": "digits", "data.size": "28", "training.epochs": "2", "prepare.greyscale": "true"}
        found = send("check", texts).json()
        assert tomllib.loads(found["toml"]) == {
            "data": {"source": "digits", "size": [28, 28]},
            "prepare": {"greyscale": True},
            "model": {"name": "lenet5"},
            "training": {"epochs": 2},
        }
        assert found["notes"] == ["lenet5: 61,706 parameters, images of 28×28×1 in 10 classes."]

    @pytest.mark.parametrize(
        ("texts", "key"),
        [
            ({"data.source": "/etc"}, "data.source"),
            ({"data.source": "../own/pets"}, "data.source"),
            ({"data.source": "digits", "weights.init_from": "/tmp/weights.safetensors"}, "weights.init_from"),
            ({"data.source": "digits", "data.corrections": "../own/corrections.csv"}, "data.corrections"),
        ],
    )
    def test_no_path_comes_from_the_page(
        self, send: Callable[..., httpx.Response], texts: dict[str, str], key: str
    ) -> None:
        assert "choose one of those that are listed" in send("check", texts).json()["errors"][key][0]

    @pytest.mark.parametrize("body", [[], "text", {"no.such": "1"}, {"seed": 3}, {"seed": {"a": "b"}}])
    def test_what_is_no_form_is_refused(self, send: Callable[..., httpx.Response], body: Any) -> None:
        answer = send("start", body)
        assert answer.status_code == 422
        assert answer.json()["error"]

    def test_values_cannot_bring_keys_of_their_own(self, send: Callable[..., httpx.Response]) -> None:
        texts = {"data.source": "digits", "model.name": "mlp-128", "seed": "1\n[data]\nsource = '/etc'"}
        assert "/etc" not in send("check", texts).json()["toml"]


class TestOffers:
    def test_images_below_the_data_folder_are_offered_and_nothing_else(self, bench: Served, tmp_path: Path) -> None:
        own = [item for item in catalogue.images(tmp_path / "own") if item.group == "In own"]
        assert [item.text for item in own] == sorted([HOSTILE, "arrays.npz", "pets", "table.csv"])
        assert all(re.fullmatch("[0-9a-f]{12}", item.id) for item in own)

    def test_a_folder_of_classes_is_offered_itself(self, bench: Served, tmp_path: Path) -> None:
        pets = catalogue.images(tmp_path / "own" / "pets")[0]
        assert (pets.text, pets.source) == ("pets itself", str((tmp_path / "own" / "pets").resolve()))

    def test_an_own_set_becomes_its_path_in_the_file(self, send: Callable[..., httpx.Response], tmp_path: Path) -> None:
        pets = next(item for item in catalogue.images(tmp_path / "own") if item.text == "pets")
        toml = send("check", {"data.source": pets.id, "model.name": "mlp-128"}).json()["toml"]
        assert tomllib.loads(toml)["data"]["source"] == str(tmp_path / "own" / "pets")

    def test_tables_of_corrections_are_offered(
        self, bench: Served, send: Callable[..., httpx.Response], tmp_path: Path
    ) -> None:
        bench.root.mkdir(exist_ok=True)
        (bench.root / "corrections-pets.csv").touch()
        found = catalogue.corrections(bench.index, tmp_path / "own")
        assert [item.text for item in found] == ["corrections-pets.csv"]
        toml = send("check", {"data.source": "digits", "data.corrections": found[0].id}).json()["toml"]
        assert tomllib.loads(toml)["data"]["corrections"] == str(bench.root / "corrections-pets.csv")

    def test_a_data_folder_that_there_is_not(self, firstlight: Callable[..., Answer], tmp_path: Path) -> None:
        answer = firstlight("view", tmp_path, "--data", tmp_path / "none", "--no-browser")
        assert answer.code == 2
        assert "there is no such folder" in answer.err


class TestLaunch:
    def test_names_are_plain_and_never_taken_twice(self, tmp_path: Path) -> None:
        (tmp_path / "etc-passwd").mkdir()
        trainings = TrainingProcesses(tmp_path)
        started = [trainings.start("not = an experiment", "../../etc/passwd"), trainings.start("no = 1", f"{HOSTILE}é")]
        for training in started:
            training.process.wait(PATIENCE)
        assert [training.name for training in started] == ["etc-passwd-2", "img-src-x-onerror-alert-1"]
        assert {path.name for path in tmp_path.iterdir()} == {"etc-passwd", STARTED}

    def test_a_file_that_does_not_fit_fails_with_the_words_of_the_command(self, tmp_path: Path) -> None:
        training = TrainingProcesses(tmp_path).start("[data]\nsource = 'nowhere'\n", "run")
        training.process.wait(PATIENCE)
        assert training.state == "failed"
        assert training.output.startswith("firstlight: ")
        assert "data.source: " in training.output
        assert "nowhere" in training.output

    @pytest.mark.skipif(not hasattr(os, "getsid"), reason="sessions are of POSIX")
    def test_its_process_is_in_a_session_of_its_own(self, tmp_path: Path) -> None:
        training = TrainingProcesses(tmp_path).start("[data]\nsource = 'nowhere'\n", "run")
        try:
            assert os.getsid(training.process.pid) == training.process.pid
        finally:
            training.process.wait(PATIENCE)

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(RunError, match="cannot be written"):
            TrainingProcesses(tmp_path).start("", "run")

    def test_a_root_in_whose_way_a_file_lies_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "runs").write_text("a file")
        with pytest.raises(RunError, match="cannot be written"):
            TrainingProcesses(tmp_path / "runs").start("", "run")

    def test_nothing_starts_without_the_token(self, bench: Served) -> None:
        texts = {"data.source": "digits", "model.name": "mlp-128", "training.epochs": "1"}
        for headers in ({}, {"X-Firstlight-Token": "guessed"}):
            answer = httpx.post(f"{bench.url}/api/start", json=texts, headers=headers, trust_env=False)
            assert answer.status_code == 403
        assert not (bench.root / STARTED).exists()

    def test_a_start_that_this_server_does_not_know(self, bench: Served) -> None:
        answer = httpx.get(f"{bench.url}/api/start/..%2F..%2Fetc", trust_env=False)
        assert answer.status_code == 404
        answer = httpx.get(f"{bench.url}/api/start/unknown", trust_env=False)
        assert answer.status_code == 404
        assert "has not started such a run" in answer.json()["error"]


def finished(training: TrainingProcess) -> RunFolder:
    """The run of a training when its process has ended well."""
    assert training.process.wait(PATIENCE) == 0, training.output
    return RunFolder.open(training.run)


class TestPage:
    def test_digits_are_trained_from_the_page(self, bench: Served, page: Page) -> None:
        page.goto(f"{bench.url}/start")
        assert page.locator("#begin").is_disabled()
        page.select_option('[data-key="data.source"]', "digits")
        page.locator('[data-errors-of="model.name"]', has_text="does not fit images of 8×8×1").wait_for()
        page.select_option('[data-key="model.name"]', "mlp-128")
        page.fill('[data-key="training.epochs"]', "1")
        page.locator("#toml", has_text="epochs = 1").wait_for()
        page.locator("#begin:enabled").wait_for()
        shown = page.locator("#toml").inner_text()
        page.click("#begin")
        page.wait_for_url(re.compile(r"/run/[0-9a-f]{12}$"), timeout=1000 * PATIENCE)
        [training] = trainings(bench)
        run = finished(training)
        assert (training.name, run.result.epochs.run) == ("mlp-128-digits", 1)
        assert Experiment.of(run.experiment.tables) == Experiment.of(tomllib.loads(shown))
        assert bench.id("mlp-128-digits") == page.url.rpartition("/")[2]

    @pytest.mark.slow
    def test_an_own_set_with_a_hostile_class_is_trained(self, bench: Served, page: Page) -> None:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.goto(f"{bench.url}/start")
        assert page.locator("option", has_text="<img src").count() == 1
        page.select_option('[data-key="data.source"]', label="pets")
        page.select_option('[data-key="model.name"]', "mlp-128")
        page.fill('[data-key="training.epochs"]', "1")
        page.locator("#toml", has_text="epochs = 1").wait_for()
        page.locator("#begin:enabled").click()
        page.wait_for_url(re.compile(r"/run/[0-9a-f]{12}$"), timeout=1000 * PATIENCE)
        assert HOSTILE in finished(trainings(bench)[0]).class_names

    def test_a_start_that_fails_shows_what_its_process_said(
        self, bench: Served, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        damaged = tmp_path / "damaged" / "mnist"
        damaged.mkdir(parents=True)
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (damaged / f"{part}-ubyte.gz").write_bytes(b"no images")
        monkeypatch.setenv("FIRSTLIGHT_DATA", str(damaged.parent))
        page.goto(f"{bench.url}/start")
        page.select_option('[data-key="data.source"]', "mnist")
        page.locator("#begin:enabled").click()
        page.locator("#waiting", has_text="failed before training began").wait_for(timeout=1000 * PATIENCE)
        assert page.locator("#output").inner_text().startswith("firstlight: ")
        assert "mnist" in page.locator("#output").inner_text()
        page.locator("#begin:enabled").wait_for()  # it can be tried again

    def test_mistakes_stand_beside_their_fields_also_in_what_is_folded(self, bench: Served, page: Page) -> None:
        page.goto(f"{bench.url}/start")
        page.select_option('[data-key="data.source"]', "mnist")
        page.click("summary:has-text('Penalties')")
        page.fill('[data-key="penalty.l2"]', "-1")
        page.locator('[data-errors-of="penalty.l2"]', has_text="received -1").wait_for()
        page.click("summary:has-text('Penalties')")  # it folds itself open again with the next check
        page.fill('[data-key="seed"]', HOSTILE)
        page.locator('[data-errors-of="seed"]', has_text=HOSTILE).wait_for()
        assert page.locator('[data-errors-of="penalty.l2"]').is_visible()
        assert page.locator('[data-key="seed"]').get_attribute("aria-invalid") == "true"
        assert page.locator("#begin").is_disabled()
        page.click("text=Defaults")
        page.locator('[data-errors-of="seed"]').wait_for(state="hidden")

    def test_options_are_those_of_what_is_chosen(self, bench: Served, page: Page) -> None:
        page.goto(f"{bench.url}/start")
        page.select_option('[data-key="data.source"]', "mnist")
        page.click("summary:has-text('Optimizer')")
        assert page.locator('[name="optimizer.beta1@adam"]').is_visible()
        page.select_option('[data-key="optimizer.name"]', "sgd")
        page.fill('[name="optimizer.momentum@sgd"]', "0.9")
        page.locator("#toml", has_text="momentum = 0.9").wait_for()
        assert page.locator('[name="optimizer.beta1@adam"]').is_hidden()
        page.select_option('[data-key="optimizer.name"]', "adam")  # what was set for the other plays no part
        page.wait_for_function("() => !document.getElementById('toml').textContent.includes('momentum')")

    def test_a_run_is_taken_as_the_beginning(self, served: Served, page: Page) -> None:
        page.goto(f"{served.url}/start?run={served.id('cnn')}")
        page.locator("#toml", has_text="slim-cnn").wait_for()
        experiment = Experiment.of(RunFolder.open(served.root / "cnn").experiment.tables)
        assert Experiment.of(tomllib.loads(page.locator("#toml").inner_text())) == experiment

    def test_it_fits_a_phone(self, browser: Browser, bench: Served) -> None:
        with looking(browser, width=390) as (page, complaints):
            page.goto(f"{bench.url}/start")
            for summary in page.locator("summary").all():
                summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert not complaints.found


@pytest.mark.slow
def test_a_run_goes_on_when_its_server_ends(tmp_path: Path) -> None:
    with dashboard(tmp_path) as running:
        texts = {"data.source": "digits", "model.name": "mlp-128", "training.epochs": "2"}
        headers = {"X-Firstlight-Token": TOKEN}
        answer = httpx.post(f"{running.url}/api/start", json=texts, headers=headers, trust_env=False, timeout=60)
        assert answer.json() == {"name": "mlp-128-digits"}
    [training] = trainings(running)
    assert training.state in ("starting", "begun")
    assert finished(training).result.status == "finished"


def test_an_unknown_id_is_told_in_the_words_of_the_form() -> None:
    with pytest.raises(ExperimentError, match=r"^data.source: choose one of those that are listed; received 'x'"):
        catalogue.chosen(catalogue.images(None), "x", "data.source")


def test_an_optimizer_without_a_learning_rate_of_its_own_is_in_the_form() -> None:
    with OPTIMIZERS.restored():

        @OPTIMIZERS.register
        class Plain(Optimizer):
            """θ ← θ − lr g"""

            lr: float

            def formula(self, theta: Any, g: Any, lr: float) -> Any:
                return theta - lr * g

        fields = {field.key: field for section in form.sections.__wrapped__() for field in section.fields}
        assert "plain" in dict(fields["optimizer.name"].choices)
        assert "sgd 0.01" in fields["optimizer.lr"].limits
        assert "plain" not in fields["optimizer.lr"].limits


def test_a_run_works_among_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of runs may be anybody's, and programs take settings from where they work."""
    asked: list[tuple[tuple[str, ...], Path]] = []
    monkeypatch.setattr(processes, "firstlight", lambda *words, folder, **more: asked.append((words, folder)))
    TrainingProcesses(tmp_path).start("", "net")
    [(words, folder)] = asked
    assert folder == tmp_path / STARTED / "net"
    assert sorted(path.name for path in folder.iterdir()) == [FILE, OUTPUT]
    assert words == ("run", "--out", str(tmp_path / "net"), "--", str(folder / FILE))
