"""The OpenAPI document says what the service does."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.odd_images import encoded, scene
from tests.serve.conftest import Served

import firstlight as fl

PNG = encoded(scene(8, 8, 1))
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfits(value: Any, schema: Any, document: Any, at: str = "") -> list[str]:
    """Where a value is not as a schema says; of JSON Schema what the document uses."""
    if "$ref" in schema:
        return misfits(value, resolved(document, schema["$ref"]), document, at)
    if "oneOf" in schema:
        fits = [each for each in schema["oneOf"] if not misfits(value, each, document, at)]
        return [] if len(fits) == 1 else [f"{at}: fits {len(fits)} of oneOf"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: {value!r}"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, KINDS[kind]) for kind in kinds):
        return [f"{at}: {value!r} is no {kinds}"]
    if isinstance(value, list):
        return [
            wrong for i, each in enumerate(value) for wrong in misfits(each, schema["items"], document, f"{at}[{i}]")
        ]
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        wrong = [f"{at}: no {key}" for key in schema.get("required", ()) if key not in value]
        for key, each in value.items():
            if key in known or isinstance(others, dict):
                wrong += misfits(each, known.get(key, others), document, f"{at}.{key}")
            elif others is False:
                wrong.append(f"{at}.{key}: not known")
        return wrong
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return [f"{at}: {value}"]
    return []


def resolved(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@pytest.fixture(scope="module")
def document(both: Served) -> Any:
    return both.client.get("/openapi.json").json()


def test_the_checker_finds_what_does_not_fit(document: Any) -> None:
    schema = {"$ref": "#/components/schemas/Predictions"}
    good = {"model": "a", "predictions": [{"class": "x", "probability": 0.5, "probabilities": {"x": 0.5}}]}
    assert misfits(good, schema, document) == []
    for wrong in (
        {"model": "a"},
        good | {"more": 1},
        good | {"predictions": [{"class": "x"}]},
        good | {"predictions": [good["predictions"][0] | {"probability": 1.5}]},  # type: ignore[operator]
        good | {"predictions": {}},
    ):
        assert misfits(wrong, schema, document)


def test_references_lead_somewhere_and_routes_answer_as_they_say(both: Served, document: Any) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', str(document).replace("'", '"')):
        resolved(document, reference)
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            options = {"content": PNG} if method == "post" else {}
            query = "?model=digits" if path == "/v1/predict" else ""
            answer = both.client.request(method, path.replace("{model}", "digits") + query, **options)
            assert answer.status_code == 200, path
            [(kind, content)] = about["responses"]["200"]["content"].items()
            assert answer.headers["content-type"].startswith(kind), path
            if kind == "application/json":
                assert misfits(answer.json(), content["schema"], document) == [], path
            for status, refusal in about["responses"].items():
                assert int(status) < 500
                assert refusal["description"]


def test_refusals_are_as_it_says(both: Served, document: Any) -> None:
    responses = document["paths"]["/v1/predict"]["post"]["responses"]
    answers = [
        both.client.post("/v1/predict", content=PNG),
        both.client.post("/v1/predict?model=x", content=PNG),
        both.client.get("/v1/predict"),
        both.client.post("/v1/predict?model=digits", content=b"x"),
        both.client.post("/v1/predict?model=digits", content=b"x", headers={"Content-Type": "text/html"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 404, 405, 422, 415]
    for answer in answers:
        schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
        assert misfits(answer.json(), schema, document) == []


def test_what_json_it_takes(document: Any) -> None:
    schema = {"$ref": "#/components/schemas/Images"}
    text = base64.b64encode(PNG).decode()
    assert misfits({"image": text}, schema, document) == []
    assert misfits({"images": [text, text]}, schema, document) == []
    assert misfits({"image": text, "images": []}, schema, document)


def test_with_a_token_all_but_health_say_so(serve: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
    with serve([served_runs["digits"].path], token="a-token-of-the-tests") as served:
        document = served.client.get("/openapi.json").json()
        assert document["security"] == [{"token": []}]
        assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
        for path, methods in document["paths"].items():
            for method, about in methods.items():
                needs = served.client.request(method, path.replace("{model}", "digits")).status_code == 401
                assert needs == (about.get("security", document["security"]) != []), path
                assert not needs or "401" in about["responses"], path
