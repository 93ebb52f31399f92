"""The most that a service takes of one request, and of all together."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.data.decoding import ImageLimits
from firstlight.files import MB

LONGEST_SIDE = 10_000  # pixels: some decoders need much memory for a long side alone
BODIES_HELD = 16  # largest bodies that are held at the same time, or as many smaller ones as are no more bytes


@dataclass(frozen=True)
class Limits:
    """What a request may have; beyond it, it is refused with a sentence.

    bytes    of the body of a request
    pixels   of an image, told by its head before it is decoded
    seconds  in which the body must come
    images   of a request
    waiting  images of all requests that wait for a model; beyond them, a request is told to come again (429)
    batch    images that the model is given at once
    """

    bytes: int = 10 * MB
    pixels: int = 25_000_000
    seconds: float = 20.0
    images: int = 64
    waiting: int = 512
    batch: int = 64

    @property
    def image(self) -> ImageLimits:
        """What one image may have."""
        return ImageLimits(self.pixels, LONGEST_SIDE)

    @property
    def held(self) -> int:
        """Bytes of bodies, of all requests together."""
        return BODIES_HELD * self.bytes
