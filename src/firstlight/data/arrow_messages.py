"""What the batches of an Arrow file have when unpacked, told by their heads before anything is unpacked.

A compressed batch says in its metadata that it is, and where its buffers lie; each begins with the number of its bytes
when unpacked, or −1 where it is stored as it is (Arrow's columnar format, "Encapsulated message format"). The metadata
is a flatbuffer: a table begins with the distance back to its list of fields, which has the place of each in the table.
"""

from __future__ import annotations

import struct
from typing import Any

_HEADER, _KIND = 2, 1  # fields of Message
_DICTIONARY, _RECORDS = 2, 3  # kinds of messages
_DATA = 1  # field of DictionaryBatch: its RecordBatch
_BUFFERS, _COMPRESSION = 2, 3  # fields of RecordBatch


def unpacked_bytes(metadata: bytes, body: Any) -> int:
    """The bytes of a message's body when unpacked. Raises struct.error where its metadata is not sound."""
    message = _at(metadata, 0)
    kind, header = _field(metadata, message, _KIND), _field(metadata, message, _HEADER)
    if kind is None or header is None or metadata[kind] not in (_DICTIONARY, _RECORDS):
        return len(body)
    batch: int | None = _at(metadata, header)
    if metadata[kind] == _DICTIONARY:
        data = _field(metadata, _at(metadata, header), _DATA)
        batch = None if data is None else _at(metadata, data)
    buffers = None if batch is None else _field(metadata, batch, _BUFFERS)
    if batch is None or buffers is None or _field(metadata, batch, _COMPRESSION) is None:
        return len(body)
    first = _at(metadata, buffers)
    (count,) = struct.unpack_from("<I", metadata, first)
    places = struct.iter_unpack("<qq", metadata[first + 4 : first + 4 + 16 * count])
    return sum(_size(body, offset, length) for offset, length in places)


def _size(body: Any, offset: int, length: int) -> int:
    if length < 8:
        return 0
    (size,) = struct.unpack_from("<q", body, offset)
    return int(size if size >= 0 else length - 8)


def _at(data: bytes, place: int) -> int:
    """Where that lies to which the offset at `place` leads."""
    return int(place + struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where the field of a table lies; None where it has its usual value."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, fields)
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", data, fields + place)[0] if place < size else 0
    return table + offset if offset else None
