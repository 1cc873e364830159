"""What was computed from an image, kept on disk under the name of its content.

A `Store` is one SQLite file in the user's cache folder. It maps ``(space, digest)`` to
bytes: the *digest* names the content of an image file, the *space* names everything else that the
value depends on (network, preprocessing, engine). A changed file has another digest, so nothing
in here ever goes out of date; what was not used for longest goes first when the folder grows too
large.

A cache may never stop a run. Whatever goes wrong with the folder (read-only, full, damaged) is
said once as a warning, however often the folder is opened, and the store goes on as if it
remembered nothing.
"""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from regraft.features.cache import disk, sqlite
from regraft.features.cache.disk import TRUNKS

__all__ = ["LIMIT", "TRUNKS", "CacheEntry", "Features", "Store", "cache_folder", "default_folder"]

Features = NDArray[np.float16]
T = TypeVar("T")

PRODUCTS = "products-"
"""What the names of spaces begin with that hold what was computed from many images at once."""

LIMIT = 10_000_000_000
"""Bytes that the cache folder may hold unless told otherwise."""

_DATABASE = f"images-{sqlite.LAYOUT}.sqlite"
_SET_ASIDE = f"{_DATABASE}.damaged"
_STALE = 3600  # s; a use is noted at most this often, so that reading hardly ever writes
_PATIENCE = 60.0  # s to wait for another process that is writing

log = logging.getLogger("regraft")


def default_folder(environ: Mapping[str, str]) -> Path:
    """``REGRAFT_CACHE`` where it is set, else the user's cache folder."""
    if environ.get("REGRAFT_CACHE"):
        return Path(environ["REGRAFT_CACHE"]).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("regraft")


def cache_folder(given: str | os.PathLike[str] | None) -> Path:
    """Return the cache folder: the one given, else the user's."""
    return default_folder(os.environ) if given is None else Path(given)


@dataclass(frozen=True)
class CacheEntry:
    """One line of what the cache holds: the values of a space, or a converted network (a trunk)."""

    kind: str  # 'images' | 'products', of many images | 'trunk'
    name: str
    count: int
    bytes: int
    used: float  # s since 1970, to the hour


class Store:
    """The cache of one folder. Safe for threads, for several processes, and to kill at any time."""

    def __init__(self, folder: Path, limit_bytes: int, clock: Callable[[], float]) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._writable = True

    @classmethod
    def open(
        cls, folder: Path, limit_bytes: int = LIMIT, *, clock: Callable[[], float] = time.time
    ) -> Self:
        """Open the cache in ``folder``, which is made if need be.

        Args:
            folder: where the cache lives.
            limit_bytes: what `prune` holds the folder under.
            clock: tells the time in seconds, for the order in which entries go.
        """
        store = cls(folder, limit_bytes, clock)
        store._connect()
        return store

    def close(self) -> None:
        """Let go of the file. What was put is on disk already."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- values ----------------------------------------------------------------------------------

    def facts(self, space: str, digests: Sequence[str]) -> dict[str, str]:
        """Return the texts known for these digests; those not known are left out."""
        return {digest: data.decode() for digest, data in self._get(space, digests)}

    def put_facts(self, space: str, facts: Mapping[str, str]) -> None:
        """Remember a text for each digest, all of them or none."""
        self._put(space, ((digest, text.encode()) for digest, text in facts.items()))

    def features(self, space: str, digests: Sequence[str]) -> dict[str, Features]:
        """Return the float16 vectors known for these digests; those not known are left out."""
        return {
            digest: np.frombuffer(data, np.float16)
            for digest, data in self._get(space, digests)
            if len(data) % 2 == 0
        }

    def put_features(self, space: str, features: Mapping[str, Features]) -> None:
        """Remember a float16 vector for each digest, all of them or none."""
        self._put(space, ((digest, row.tobytes()) for digest, row in features.items()))

    def blob(self, space: str, digest: str) -> bytes | None:
        """Return the bytes known for this digest; None where there are none."""
        return next((data for _, data in self._get(space, [digest])), None)

    def put_blob(self, space: str, digest: str, data: bytes) -> None:
        """Remember bytes for a digest."""
        self.put_blobs(space, {digest: data})

    def put_blobs(self, space: str, blobs: Mapping[str, bytes]) -> None:
        """Remember bytes for each digest, all of them or none."""
        self._put(space, blobs.items())

    def _get(self, space: str, digests: Sequence[str]) -> list[tuple[str, bytes]]:
        now = int(self._clock())

        def read(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
            rows = sqlite.get(db, space, digests)
            stale = [entry for entry, used, _, _ in rows if used < now - _STALE]
            if stale and self._writable:
                sqlite.note_use(db, stale, now)
            return [(digest, data) for _, _, digest, data in rows]

        return self._guarded(read, [])

    def _put(self, space: str, values: Iterable[tuple[str, bytes]]) -> None:
        rows, now = list(values), int(self._clock())
        if rows and self._writable:
            self._guarded(lambda db: sqlite.put(db, space, rows, now), None, writing=True)

    # --- housekeeping ----------------------------------------------------------------------------

    def entries(self) -> list[CacheEntry]:
        """Return what the cache holds, the last used first."""
        none: list[tuple[str, int, int, int]] = []
        found = [CacheEntry(_kind(row[0]), *row) for row in self._guarded(sqlite.spaces, none)]
        found += [CacheEntry("trunk", t.name, 1, t.bytes, t.used) for t in disk.trunks(self.folder)]
        return sorted(found, key=lambda entry: (-entry.used, entry.name))

    def size(self) -> int:
        """Bytes on disk, converted networks and all."""
        return disk.bytes_under(self.folder)

    def prune(self) -> None:
        """Drop what was not used for longest until the folder keeps its limit.

        Nothing happens below the limit; above it a tenth more is dropped than must be, so that
        the next pass does not have to. Networks may take half of the limit.
        """
        trunks = disk.prune_trunks(self.folder, self.limit_bytes // 2, self._clock())
        excess = self._guarded(sqlite.bytes_in_use, 0) + trunks - self.limit_bytes
        if excess > 0 and self._writable:
            most = excess + self.limit_bytes // 10
            self._guarded(lambda db: sqlite.drop_oldest(db, most), None, writing=True)

    def clear(self) -> None:
        """Forget everything."""
        self._guarded(sqlite.empty, None, writing=True)
        shutil.rmtree(self.folder / TRUNKS, ignore_errors=True)
        if self._writable:
            (self.folder / _SET_ASIDE).unlink(missing_ok=True)

    # --- the file and its troubles ---------------------------------------------------------------

    def _connect(self, damage: Exception | None = None) -> None:
        """Open the file, a new one where it is damaged; give up where there is no way."""
        path = self.folder / _DATABASE
        trouble = damage
        for _ in range(2):
            try:
                if damage is not None:
                    self._set_aside(path, damage)
                self.folder.mkdir(parents=True, exist_ok=True)
                self._db = sqlite.connect(str(path), _PATIENCE)
                self._inode = disk.inode(path)
                return
            except (OSError, sqlite3.Error) as error:
                self._inode, trouble = disk.inode(path), error
                damage = error if sqlite.damaged(error) else None
                if damage is None:
                    break
        self._give_up(trouble)

    def _guarded(
        self, work: Callable[[sqlite3.Connection], T], otherwise: T, *, writing: bool = False
    ) -> T:
        """Do the work; rebuild a damaged file and try again; else go on without the cache."""
        with self._lock:
            for last in (False, True):
                if self._db is None:
                    break
                try:
                    return work(self._db)
                except sqlite3.Error as error:
                    if last or not sqlite.damaged(error):
                        self._give_up(error, reading=not writing)
                        break
                    self._connect(error)
        return otherwise

    def _set_aside(self, path: Path, damage: Exception) -> None:
        """Rename the damaged file, unless another process has done so since it was opened."""
        self.close()
        if disk.inode(path) != self._inode:
            return
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        aside = path.with_name(_SET_ASIDE)
        path.replace(aside)
        log.warning("The cache was damaged (%s). It is set aside as %s.", damage, aside)

    def _give_up(self, error: Exception | None, *, reading: bool = True) -> None:
        """Say once that the cache cannot be used, and use it no more."""
        if self._writable:
            verb = "used" if reading else "written"
            _warn_once(f"The cache in {self.folder} cannot be {verb} ({error}).")
        self._writable = False
        if reading:
            self.close()


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def _kind(space: str) -> str:
    return "products" if space.startswith(PRODUCTS) else "images"
