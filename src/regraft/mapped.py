"""Rows of more images than memory should hold: a file that is mapped into it.

The system keeps in memory what is read of it and drops it when something else needs the room. The
file has no name and is gone with the process, however that ends.
"""

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError

Number = TypeVar("Number", np.float16, np.uint8)

HELD: Final = 32 << 20
"""Bytes of rows that are held in memory; more are mapped. At 2,064 channels 8,000 images."""

_BLOCK: Final = 4096  # images copied at once


def zeros(count: int, width: int, folder: Path | None) -> NDArray[np.float16]:
    """Return zeros for features ``[count, width]``; many are mapped from a file in ``folder``.

    Raises:
        RunError: there is no room for that file. It is found now, since nothing can be done when a
            disk is full in the middle of writing to a mapped file.
    """
    return blank((count, width), np.float16, folder, "features")


def blank(
    shape: tuple[int, ...], kind: type[Number], folder: Path | None, what: str
) -> NDArray[Number]:
    """Return zeros; many are mapped from a file in ``folder``. ``what``: they are, of images.

    Raises:
        RunError: there is no room for that file.
    """
    size = np.dtype(kind).itemsize * math.prod(shape)
    if size <= HELD or folder is None:
        return np.zeros(shape, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, kind, "r+", shape=shape)
    except OSError as error:
        raise RunError(
            f"There is no room for the {what} of {shape[0]:,} images.",
            [
                f"They take {size / 1e9:,.1f} GB in '{folder}' while it runs ({error.strerror}): "
                "free as much, or name a folder on another disk by REGRAFT_CACHE."
            ],
        ) from error


def taken(values: NDArray[Number], rows: NDArray[np.intp], folder: Path | None) -> NDArray[Number]:
    """Return some rows, ``[len(rows), ...]``; ``values`` themselves where that is all of it."""
    if len(rows) == len(values) and (rows == np.arange(len(rows))).all():
        return values
    return beneath([values], rows, folder)


def beneath(
    parts: Sequence[NDArray[Number]], rows: NDArray[np.intp], folder: Path | None
) -> NDArray[Number]:
    """Return the same rows of several, one after the other, ``[len(parts) * len(rows), ...]``."""
    shape = (len(parts) * len(rows), *parts[0].shape[1:])
    found = blank(shape, parts[0].dtype.type, folder, "rows")
    for place, part in enumerate(parts):
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            begin = place * len(rows) + start
            found[begin : begin + len(some)] = part[some]
    return found
