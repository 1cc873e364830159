"""Where the bytes of an archive lie: a file on the disk, or what came out of a compressed one.

A compressed tar, which cannot be read from the middle, is decompressed into one nameless temporary
file that the system removes when it is closed, whatever happens.
"""

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from regraft.data.dataset import read_file
from regraft.errors import DataError

MAX_RATIO: Final = 100  # a compressed tar that grows by more is a bomb: photos hardly compress
TICK: Final = 2_000_000_000  # ns; the coarsest clock of a file system, that of FAT
FREE_RATIO: Final = 64 << 20  # bytes that may come out whatever the ratio


class Source(Protocol):
    """Bytes that are read from any place, by any thread."""

    def borrow(self) -> Any:
        """Return a context whose value is a file, read from its start."""

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start`` on, fewer where they end before."""


@dataclass(frozen=True)
class OnDisk:
    """A file that is opened for each reading, so that threads do not share a position."""

    path: str

    @contextmanager
    def borrow(self) -> Iterator[BinaryIO]:
        """Open the file."""
        with open(self.path, "rb") as stream:
            yield stream

    def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file."""
        with open(self.path, "rb", buffering=0) as stream:
            stream.seek(start)
            return _whole(stream, size)


class Unpacked:
    """A nameless temporary file; closed, and so gone, with this object. One reader at a time."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    @contextmanager
    def borrow(self) -> Iterator[BinaryIO]:
        """Lend the file."""
        with self._lock:
            self._file.seek(0)
            yield self._file

    def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file."""
        with self.borrow() as stream:
            stream.seek(start)
            return stream.read(size)


def _whole(stream: Any, size: int) -> bytes:
    """Return so many bytes of a file without a buffer, which may give fewer at a time."""
    data = bytearray()
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return bytes(data)


@dataclass(frozen=True)
class Files:
    """Reads files by index; relative paths are taken from ``root``."""

    root: str
    paths: tuple[str, ...]

    def __call__(self, index: int) -> bytes:
        """Return the bytes of file ``index``."""
        return read_file(os.path.join(self.root, self.paths[index]))

    def length(self, index: int) -> int:
        """Return the bytes of file ``index``; OSError where it is not there."""
        return os.stat(os.path.join(self.root, self.paths[index])).st_size

    def stamp(self, index: int) -> str:
        """Return by what file ``index`` is known as unchanged; '' where nothing tells.

        Its path, its place on the disk, its size and its times. That of its last change of any kind
        (ctime) cannot be set, so a time that was put back hides nothing where there is one (Windows
        has that of creation instead). Some drives number files in the order they are asked for,
        anew each time they are connected: only the path says which is which. A file that was
        changed so lately that it could be changed again within the same tick of the clock is not
        known by it.
        """
        path = os.path.abspath(os.path.join(self.root, self.paths[index]))
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # told when it is read
            return ""
        times = found.st_mtime_ns, found.st_ctime_ns
        if not stat.S_ISREG(found.st_mode) or time.time_ns() - max(times) < TICK:
            return ""
        return " ".join(map(str, (found.st_dev, found.st_ino, found.st_size, *times, path)))


def decompressed(path: Path) -> OnDisk | Unpacked:
    """Return the plain tar: the file itself, or what comes out of it, within bounds."""
    with open(path, "rb") as file:
        start = file.read(6)
    openers: dict[bytes, Callable[..., Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZ": bz2.open,
        b"\xfd7": lzma.open,
    }
    opener = openers.get(start[:2])
    if opener is None:
        return OnDisk(os.path.abspath(path))
    target = Unpacked()
    limit = max(FREE_RATIO, MAX_RATIO * path.stat().st_size)
    space = shutil.disk_usage(tempfile.gettempdir()).free
    with opener(path, "rb") as source, target.borrow() as stream:
        _copy(source, stream, path, limit, space)
    return target


def _copy(source: BinaryIO, target: BinaryIO, path: Path, limit: int, space: int) -> None:
    """Copy, and raise DataError as soon as more than ``limit`` or ``space`` bytes have come."""
    total = 0
    while chunk := source.read(1 << 20):
        total += len(chunk)
        if total > limit:
            raise DataError(
                f"'{path}' is refused.",
                [
                    f"it unpacks to more than {MAX_RATIO} times its size, as a decompression bomb "
                    "does; if it is none, unpack it yourself and pass the folder"
                ],
            )
        if total > space - (1 << 28):
            raise DataError(
                f"'{path}' does not fit on the disk.",
                [
                    f"a compressed tar is unpacked into '{tempfile.gettempdir()}', which has "
                    f"{space >> 20:,} MiB free; set TMPDIR to a larger place, or unpack it yourself"
                ],
            )
        target.write(chunk)
