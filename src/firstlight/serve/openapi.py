"""The OpenAPI document of a service: https://spec.openapis.org/oas/v3.1.0"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from firstlight.serve.limits import Limits
from firstlight.types import Json

_REFUSALS = {
    "400": "The request cannot be understood: the sentence says where.",
    "401": "The token is missing or wrong.",
    "403": "The host name is not the service's, or the request comes from a page of another site.",
    "404": "There is no such model or path.",
    "405": "The path has another method.",
    "408": "The body did not arrive in time.",
    "413": "The body is too long, or holds too many images.",
    "415": "The Content-Type is not supported.",
    "422": "An image cannot be read, or has too many pixels.",
    "429": "Overloaded: try again after Retry-After.",
}


def document(limits: Limits, *, locked: bool) -> Json:
    """The document. `locked`: requests need the token."""
    paths: Json = {
        "/v1/predict": {"post": _predict(limits, "query")},
        "/v1/models/{model}/predict": {"post": _predict(limits, "path")},
        "/v1/models": {"get": _reading("The models that are served.", "Models", locked=True)},
        "/health": {"get": _reading("Whether the service is up; needs no token.", "Health")},
        "/metrics": {"get": _text("Metrics of the service, for Prometheus.", locked=True)},
    }
    security: Json = {"security": [{"token": []}]} if locked else {}
    if locked:
        paths["/health"]["get"]["security"] = []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "firstlight serve",
            "version": version("firstlight"),
            "description": "Classes and probabilities of images, by models that were trained with firstlight.",
        },
        **security,
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _predict(limits: Limits, place: str) -> Json:
    binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    form = {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "string", "format": "binary"}},
    }
    parameter = {
        "name": "model",
        "in": place,
        "required": place == "path",
        "description": "The name of a model; where only one is served, it need not be named.",
        "schema": {"type": "string"},
    }
    return {
        "summary": "Classes and probabilities of one image, or of several.",
        "description": f"At most {limits.images:,} images and {limits.bytes:,} bytes per request, and "
        f"{limits.pixels:,} pixels per image; the body must arrive within {limits.seconds:g} seconds.",
        "parameters": [parameter],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": binary,
                "application/octet-stream": binary,
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": _ref("Images")},
            },
        },
        "responses": {
            "200": _json("A prediction for each image, in their order.", "Predictions"),
            **_refusals(*_REFUSALS),
        },
    }


def _reading(summary: str, schema: str, *, locked: bool = False) -> Json:
    return {"summary": summary, "responses": {"200": _json(summary, schema), **_refusals("401" if locked else "403")}}


def _text(summary: str, *, locked: bool) -> Json:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}, **_refusals("401")}}


def _refusals(*statuses: str) -> Json:
    return {status: _json(_REFUSALS[status], "Error") for status in statuses}


def _json(description: str, schema: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, **properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer", "minimum": 1}
_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
_BASE64: Json = {"type": "string", "description": "The bytes of an image file in base64, or a data URL of it."}
_SCHEMAS: Json = {
    "Images": {"oneOf": [_object("image", image=_BASE64), _object("images", images=_list(_BASE64))]},
    "Predictions": _object("model predictions", model=_TEXT, predictions=_list(_ref("Prediction"))),
    "Prediction": _object(
        "class probability probabilities",
        image={"type": "string", "description": "The name of its file, where it came with one."},
        probability=_SHARE,
        probabilities={"type": "object", "additionalProperties": _SHARE, "description": "Of each class."},
        none_of_these={
            "type": "boolean",
            "description": "Whether it is of none of the classes (out of distribution), if that is known.",
        },
        strangeness={
            "type": "number",
            "minimum": 0,
            "description": "The novelty score: the distance from the classes, relative to the threshold. Above 1, the "
            "image is of none of them.",
        },
        **{"class": {"type": "string", "description": "The most probable class."}},
    ),
    "Models": _object("models", models=_list(_ref("Model"))),
    "Model": _object(
        "name architecture nets classes input parameters data test_accuracy",
        name=_TEXT,
        architecture=_TEXT,
        nets={"type": "integer", "minimum": 1, "description": "How many; their probabilities are averaged."},
        classes=_list(_TEXT),
        input=_object("height width channels", height=_WHOLE, width=_WHOLE, channels=_WHOLE),
        parameters={"type": "integer", "minimum": 0, "description": "Of all nets together."},
        data={"type": "string", "description": "The images that it was trained on."},
        test_accuracy={"type": ["number", "null"], "description": "On its test images, a fraction."},
    ),
    "Health": _object("status version", status={"const": "ok"}, version=_TEXT),
    "Error": _object("error", error={"type": "string", "description": "What was wrong, and what to do."}),
}
