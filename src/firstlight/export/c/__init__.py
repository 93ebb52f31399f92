"""One C99 file without dependencies: float32, or int8 after a calibration on training images."""

from firstlight.export.c.c_format import C

__all__ = ["C"]
