"""Features of more images than memory should hold: a file that is mapped into it.

The system keeps in memory what is read of it and drops it when something else needs the room. The
file has no name and is gone with the process, however that ends.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError

HELD: Final = 256 << 20
"""Bytes of features that are held in memory; more are mapped. At 2,064 channels 65,000 images."""

_BLOCK: Final = 4096  # images copied at once


def zeros(count: int, width: int, folder: Path | None) -> NDArray[np.float16]:
    """Return float16 zeros ``[count, width]``; many are mapped from a file in ``folder``.

    Raises:
        RunError: there is no room for that file. It is found now, since nothing can be done when a
            disk is full in the middle of writing to a mapped file.
    """
    size = 2 * count * width
    if size <= HELD or folder is None:
        return np.zeros((count, width), np.float16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float16, "r+", shape=(count, width))
    except OSError as error:
        raise RunError(
            f"There is no room for the features of {count:,} images.",
            [
                f"They take {size / 1e9:,.1f} GB in '{folder}' while it runs ({error.strerror}): "
                "free as much, or name a folder on another disk by REGRAFT_CACHE."
            ],
        ) from error


def taken(
    features: NDArray[np.float16], rows: NDArray[np.intp], folder: Path | None
) -> NDArray[np.float16]:
    """Return some rows, ``[len(rows), width]``; ``features`` themselves where that is all of it."""
    if len(rows) == len(features) and (rows == np.arange(len(rows))).all():
        return features
    found = zeros(len(rows), features.shape[1], folder)
    for start in range(0, len(rows), _BLOCK):
        found[start : start + _BLOCK] = features[rows[start : start + _BLOCK]]
    return found
