"""The cache folder on disk: its size, and the converted networks (trunks) in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TRUNKS = "trunks"
"""The folder of converted networks, one sub-folder each, written by ``engines``."""

_ABANDONED = 86_400  # s after which an unfinished folder belongs to nobody


@dataclass(frozen=True)
class StoredTrunk:
    """A converted network: the name of its folder, its bytes, and when it was last used."""

    name: str
    bytes: int
    used: float


def inode(path: Path) -> int:
    """Return what tells a file from another that took its name; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def bytes_under(folder: Path) -> int:
    """Bytes of all the files in a folder; files that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def trunks(folder: Path) -> Iterator[StoredTrunk]:
    """Yield the converted networks. A trunk's folder carries the time of its last use."""
    with suppress(OSError):
        for path in sorted((folder / TRUNKS).iterdir()):
            with suppress(OSError):
                used = path.stat().st_mtime
                yield StoredTrunk(path.name, bytes_under(path), used)


def prune_trunks(folder: Path, limit: int, now: float) -> int:
    """Drop the networks used longest ago, and what killed runs left; return the bytes kept."""
    kept = 0
    for rank, trunk in enumerate(sorted(trunks(folder), key=lambda entry: -entry.used)):
        unfinished = trunk.name.startswith(".")
        if (unfinished and trunk.used < now - _ABANDONED) or (rank and kept + trunk.bytes > limit):
            shutil.rmtree(folder / TRUNKS / trunk.name, ignore_errors=True)
        else:
            kept += trunk.bytes
    return kept
