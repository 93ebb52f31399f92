"""What a request is answered with: JSON, text or a file; and a refusal, which is raised."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from firstlight.errors import FirstlightError

Header = tuple[bytes, bytes]
PLAIN_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


@dataclass(frozen=True)
class Answer:
    """An answer that is sent whole.

    media    its Content-Type
    headers  beside Content-Type and Content-Length
    """

    status: int
    content: bytes
    media: bytes = b"application/json"
    headers: tuple[Header, ...] = PLAIN_HEADERS

    def head(self) -> list[Header]:
        """All headers, names in lower case."""
        length = str(len(self.content)).encode()
        return [(b"content-type", self.media), (b"content-length", length), *self.headers]


class RefusedError(FirstlightError):
    """A request is not answered as it wishes.

    status   of HTTP, 4xx
    text     a sentence: what was wrong, what was received, what to do
    headers  such as what Retry-After says
    """

    def __init__(self, status: int, text: str, headers: Iterable[Header] = ()) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, tuple(headers)

    def answer(self) -> Answer:
        """The refusal as JSON: {"error": sentence}."""
        return Answer(self.status, dumped({"error": self.text}), headers=(*PLAIN_HEADERS, *self.headers))


def busy(text: str) -> RefusedError:
    """The error of what is too much just now: 429, to be tried again."""
    return RefusedError(429, f"{text} Try again in a second.", [(b"retry-after", b"1")])


_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def dumped(value: Any) -> bytes:
    """JSON in UTF-8: what is not a character, such as half a pair in a name, stays an escape."""
    return _JSON.encode(value).encode("utf-8", "backslashreplace")
