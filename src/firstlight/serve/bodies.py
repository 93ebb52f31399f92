"""What a request brings: its body, received within limits, and the images in it, ready for a model."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive

from firstlight.data.decoding import ImageLimits
from firstlight.errors import UnreadableImageError, brief
from firstlight.files import MB
from firstlight.prepare import Preparation, outside_image
from firstlight.serve.answers import RefusedError, busy
from firstlight.serve.limits import Limits
from firstlight.serve.multipart import parts
from firstlight.types import Array

# A body that is one image. The last is what curl --data-binary says unless it is told otherwise.
RAW = ("", "application/octet-stream", "application/x-www-form-urlencoded")
DROP_SECONDS = 5.0  # in which a body that is refused may still come
WAYS = (
    "Send the bytes of an image (Content-Type: image/png, image/jpeg, …), multipart/form-data with several, or "
    'application/json such as {"image": "its bytes in base64"}'
)


@dataclass(frozen=True)
class NamedImage:
    """The bytes of one image file, and the name that it came under; "" where it has none."""

    name: str
    content: bytes


class DisconnectedError(Exception):
    """The one who asked has gone."""


class Incoming:
    """A request's `receive`, which knows whether the body has ended."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        message = await self.receive()
        self.ended = not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Let the rest come for a while: who is refused and still sends would be cut off before he can read why."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                while not self.ended:
                    await self()


class Bodies:
    """Receives bodies, and knows how many bytes of all of them are held."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    async def received(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The body of a request; `done` with its length follows when it is no longer held.

        Raises RefusedError where it is too long, too slow, or too much with all others; DisconnectedError.
        """
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:18]) > self.limits.bytes:
            raise self._too_long()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise DisconnectedError
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    self.held += len(chunk)
                    chunks.append(chunk)
                    if size > self.limits.bytes:
                        raise self._too_long()
                    if self.held > self.limits.held:
                        raise busy("Too much is being sent by all clients together.")
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except BaseException as error:
            self.done(size)
            if isinstance(error, TimeoutError):
                seconds = f"{self.limits.seconds:g} seconds"
                raise RefusedError(408, f"The body of the request did not arrive within {seconds}.") from None
            raise

    def done(self, size: int) -> None:
        """So many bytes are no longer held."""
        self.held -= size

    def _too_long(self) -> RefusedError:
        return RefusedError(413, f"The body of a request may have {_megabytes(self.limits.bytes)}; this one has more.")


def _megabytes(size: int) -> str:
    return f"{size / MB:g} MB" if size >= MB else f"{size:,} bytes"


def images_of(content_type: str, body: bytes, limits: Limits) -> list[NamedImage]:
    """The images in a body, by what its Content-Type says that it is. Raises RefusedError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in RAW or kind.startswith("image/"):
        images = [NamedImage("", body)] if body else []
    elif kind == "multipart/form-data":
        images = _of_form(content_type, body, limits)
    elif kind == "application/json":
        images = _of_json(body)
    else:
        raise RefusedError(415, f"The Content-Type {brief(kind)!r} is not supported. {WAYS}.")
    if not images:
        raise RefusedError(400, f"The request holds no image. {WAYS}.")
    if len(images) > limits.images:
        raise RefusedError(413, f"A request may hold {limits.images:,} images; received {len(images):,}.")
    return images


def prepared(images: list[NamedImage], preparation: Preparation, limits: ImageLimits) -> list[Array]:
    """Each image as a model takes it, uint8 (H, W, C).

    Raises RefusedError that names the first that cannot be read, or has more than `limits`.
    """
    found = []
    for number, image in enumerate(images, 1):
        try:
            found.append(outside_image(image.content, preparation, limits=limits))
        except UnreadableImageError as error:
            called = f"Image {number} of {len(images)}" if len(images) > 1 else "The image"
            name = f" ({brief(image.name)})" if image.name else ""
            raise RefusedError(422, f"{called}{name} cannot be read: {error.reason}.") from error
    return found


def _of_form(content_type: str, body: bytes, limits: Limits) -> list[NamedImage]:
    images = []
    for part in parts(content_type, body, limits.images):
        if not part.filename:
            text = f"The field {brief(part.field)!r} is not a file. Every part is an image with a file name"
            raise RefusedError(400, f"{text}: curl -F image=@a.png -F image=@b.png")
        images.append(NamedImage(part.filename, part.content))
    return images


def _of_json(body: bytes) -> list[NamedImage]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise RefusedError(400, f"The body is not valid JSON: {why}.") from None
    keys = list(value) if isinstance(value, dict) else []
    texts = [value["image"]] if keys == ["image"] else value["images"] if keys == ["images"] else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        forms = 'either {"image": "…"} or {"images": ["…", "…"]}, with the bytes of images in base64'
        raise RefusedError(400, f"The JSON must be {forms}; received {_shape(value)}.")
    return [NamedImage("", _decoded(text, number)) for number, text in enumerate(texts, 1)]


def _decoded(text: str, number: int) -> bytes:
    """The bytes of base64, which may be a data URL as a browser makes it."""
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"Image {number} of the JSON is not valid base64: {str(error).lower()}.") from None


def _shape(value: Any) -> str:
    """What JSON is, in words that quote nothing long."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(repr(brief(key, 40)) for key in list(value)[:5]) or "no keys")
    return {list: "an array", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
