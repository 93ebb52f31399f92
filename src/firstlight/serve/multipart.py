"""The parts of a body of multipart/form-data (RFC 7578), which has been received whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from firstlight.errors import brief
from firstlight.serve.answers import RefusedError

LONGEST_BOUNDARY = 70  # characters (RFC 2046)
LONGEST_HEAD = 4096  # bytes of a part's headers
_BOUNDARY = re.compile(r"""boundary=(?:"([^"]+)"|([^\s;"]+))""", re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data((?:[ \t]*;.*)?)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(rb';[ \t]*(name|filename)="([^"\r\n]*)"', re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One part: the name of its field, the name of its file ("" where it is none), and what it holds."""

    field: str
    filename: str
    content: bytes


def parts(content_type: str, body: bytes, most: int) -> list[Part]:
    """The parts of a body, in their order.

    content_type  the header, which names what separates them
    most          so many parts at most
    Raises RefusedError where they are malformed or more.
    """
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2]) if found else ""
    if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise RefusedError(400, "The Content-Type multipart/form-data names no boundary of 1 to 70 characters.")
    delimiter = b"\r\n--" + boundary.encode()
    before, *pieces = (b"\r\n" + body).split(delimiter, most + 1)
    if before or not pieces:
        raise RefusedError(400, f"The multipart body does not begin with its boundary {brief(boundary)}.")
    *pieces, end = pieces
    if not end.startswith(b"--"):
        if delimiter in end:
            raise RefusedError(413, f"The multipart body has more than {most:,} parts.")
        raise RefusedError(400, "The multipart body does not end with its boundary: it was cut off.")
    return [_part(piece, number) for number, piece in enumerate(pieces, 1)]


def _part(piece: bytes, number: int) -> Part:
    head, separator, content = piece.partition(b"\r\n\r\n")
    disposition = _DISPOSITION.search(head.replace(b"\r\n", b"\n")) if len(head) <= LONGEST_HEAD else None
    if not separator or disposition is None:
        raise RefusedError(400, f"Part {number} of the multipart body has no Content-Disposition: form-data.")
    names = {key.lower(): value.decode("utf-8", "replace") for key, value in _PARAMETER.findall(disposition[1])}
    return Part(names.get(b"name", ""), names.get(b"filename", ""), content)
