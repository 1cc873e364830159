"""What is known of very many files, in columns: some 90 bytes each, their small pictures mapped.

As objects the facts of a million files take more than a gigabyte. Here an object is made when it is
asked for, and what is asked of all files is a column.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from regraft.data.images.facts import Facts
from regraft.mapped import blank

WHOLE: Final = 0
INNER: Final = 1
HALF: Final = 2
"""Places of a picture's hash and thumbnail, those of its middle and of itself at half its size."""

_DIGEST: Final = 3
_PIXELS: Final = 256  # of a thumbnail
_Kind = tuple[str, str, tuple[str, ...]]


class FactsTable(Sequence[Facts]):
    """The facts of ``count`` files, by index; blank until they are set.

    ``digests`` uint64 ``[n, 2]``: the contents' names as numbers. ``hashes`` uint64 ``[n, 3]`` and
    ``pictures``, three times uint8 ``[n, 256]``: of the whole, the middle and the half. ``there``
    bool ``[n, 4]``: which of these three there are, and whether there is a digest. ``sides`` int64
    ``[n, 2]``: width and height, px. ``levels`` float64 ``[n, 2]``: nan where there are none.
    ``folder``: where what is large is mapped.
    """

    def __init__(self, count: int, folder: Path | None = None) -> None:
        self.folder = folder
        self.digests = np.zeros((count, 2), np.uint64)
        self.hashes = np.zeros((count, 3), np.uint64)
        self.pictures = tuple(
            blank((count, _PIXELS), np.uint8, folder, "thumbnails") for _ in range(3)
        )
        self.there = np.zeros((count, 4), bool)
        self.sides = np.zeros((count, 2), np.int64)
        self.levels = np.full((count, 2), np.nan)
        self.problems: dict[int, tuple[str, str]] = {}
        """Of the files that have one: its code, and in words."""
        self._kind = np.zeros(count, np.int32)
        self._kinds: list[_Kind] = [("", "", ())]
        self._place = {self._kinds[0]: 0}

    @classmethod
    def of(cls, facts: Iterable[Facts]) -> Self:
        """Return these facts as a table, which they may be already."""
        if isinstance(facts, cls):
            return facts
        every = list(facts)
        table = cls(len(every))
        for index, one in enumerate(every):
            table[index] = one
        return table

    def __len__(self) -> int:
        return len(self._kind)

    def __setitem__(self, index: int, facts: Facts) -> None:
        digest = bytes.fromhex(facts.digest)
        self.digests[index] = np.frombuffer(digest, ">u8") if digest else 0
        self.hashes[index] = facts.phash, facts.inner_hash, facts.half_hash
        parts = facts.thumb, facts.inner, facts.half
        for rows, part in zip(self.pictures, parts, strict=True):
            rows[index] = np.frombuffer(part, np.uint8) if part else 0
        self.there[index] = *map(bool, parts), bool(digest)
        self.sides[index] = facts.width, facts.height
        self.levels[index] = facts.levels or np.nan
        kind = facts.format, facts.mode, facts.notes
        if kind not in self._place:
            self._place[kind] = len(self._kinds)
            self._kinds.append(kind)
        self._kind[index] = self._place[kind]
        self.problems.pop(index, None)
        if facts.problem:
            self.problems[index] = facts.problem, facts.detail

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        place = range(len(self))[index]
        form, mode, notes = self._kinds[int(self._kind[place])]
        problem, detail = self.problems.get(place, ("", ""))
        whole, middle, half = self.hashes[place].tolist()
        there = self.there[place].tolist()
        thumb, inner, small = (
            rows[place].tobytes() if known else b""
            for rows, known in zip(self.pictures, there, strict=False)
        )
        width, height = self.sides[place].tolist()
        levels = () if np.isnan(self.levels[place, 0]) else tuple(self.levels[place].tolist())
        return Facts(
            self.digest(place), form, mode, width, height, problem, detail, notes,
            whole, thumb, levels, middle, inner, half, small,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Facts]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(one == its for one, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def digest(self, index: int) -> str:
        """Return the name of a file's content; '' where it could not be read."""
        known = self.there[index, _DIGEST]
        return self.digests[index].astype(">u8").tobytes().hex() if known else ""

    @property
    def read(self) -> NDArray[np.bool_]:
        """Which files could be read, ``[n]``."""
        return self.there[:, _DIGEST]

    def noted(self, note: str) -> NDArray[np.bool_]:
        """Which files have a note, ``[n]``."""
        return np.array([note in notes for _, _, notes in self._kinds])[self._kind]

    def notes(self, rows: NDArray[np.intp]) -> dict[str, int]:
        """How many of these files have each note, by name."""
        counted = np.bincount(self._kind[rows], minlength=len(self._kinds)).tolist()
        found: dict[str, int] = {}
        for (_, _, notes), count in zip(self._kinds, counted, strict=True):
            for note in notes if count else ():
                found[note] = found.get(note, 0) + count
        return dict(sorted(found.items()))

    def mode_is(self, mode: str) -> NDArray[np.bool_]:
        """Which files were of a mode of Pillow's, ``[n]``."""
        return np.array([its == mode for _, its, _ in self._kinds])[self._kind]
