"""Items in columns: a million names and labels in some tens of megabytes.

An object is made when one is asked for; what is asked of all of them is a column.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

_CODE: Final = "utf-8", "surrogatepass"  # a name that is no UTF-8 has lone surrogates


@dataclass(frozen=True, slots=True)
class Item:
    """One image. ``path``: as shown to people, posix, unique. ``split``: '', train, val or test.

    ``group``: what people know to belong together (a patient, part, video), '' where nothing is.
    """

    path: str
    label: str
    split: str = ""
    group: str = ""


class Texts(Sequence[str]):
    """Texts one after the other in one buffer."""

    def __init__(self, texts: Iterable[str]) -> None:
        buffer, ends = bytearray(), array("q", [0])
        for text in texts:
            buffer += text.encode(*_CODE)
            ends.append(len(buffer))
        self._buffer, self._ends = bytes(buffer), ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return self._buffer[self._ends[place] : self._ends[place + 1]].decode(*_CODE)

    @property
    def ascend(self) -> bool:
        """Whether each comes after the one before it."""
        return all(before < after for before, after in pairwise(self))


class Categorical(Sequence[str]):
    """Texts of which there are few different ones.

    ``different``: those, ascending; ``codes`` int32 ``[n]``: which of them each is.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        known: dict[str, int] = {}
        codes = np.array(array("i", (known.setdefault(text, len(known)) for text in texts)))
        order = sorted(known)
        self.different = tuple(order)
        rank = np.empty(len(order), np.int32)
        rank[[known[text] for text in order]] = np.arange(len(order))
        self.codes = rank[codes] if len(codes) else np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice | np.ndarray):
            return [self.different[code] for code in self.codes[index].tolist()]
        return self.different[int(self.codes[index])]

    def __iter__(self) -> Iterator[str]:
        return (self.different[int(code)] for code in self.codes)

    def are(self, text: str) -> NDArray[np.bool_]:
        """Which of them are this text, ``[n]``."""
        same = np.array([one == text for one in self.different], bool)
        found: NDArray[np.bool_] = same[self.codes]
        return found


class Items(Sequence[Item]):
    """Items by index: ``paths``, ``labels``, ``splits`` and ``groups`` are its columns."""

    def __init__(
        self, paths: Texts, labels: Categorical, splits: Categorical, groups: Categorical
    ) -> None:
        self.paths, self.labels, self.splits, self.groups = paths, labels, splits, groups

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """Return these items in columns, in which they may be already."""
        if isinstance(items, cls):
            return items
        labels, splits, groups = list[str](), list[str](), list[str]()
        same: dict[str, str] = {}

        def paths() -> Iterator[str]:
            for item in items:
                for texts, text in zip(
                    (labels, splits, groups), (item.label, item.split, item.group), strict=True
                ):
                    texts.append(same.setdefault(text, text))
                yield item.path

        return cls(Texts(paths()), Categorical(labels), Categorical(splits), Categorical(groups))

    def in_groups(self, groups: Iterable[str]) -> "Items":
        """Return the same in other groups."""
        return Items(self.paths, self.labels, self.splits, Categorical(groups))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        return Item(self.paths[index], self.labels[index], self.splits[index], self.groups[index])

    def __iter__(self) -> Iterator[Item]:
        return map(Item, self.paths, self.labels, self.splits, self.groups)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(Item.__eq__, self, other))

    def __hash__(self) -> int:
        return hash((len(self), self[0] if len(self) else None))

    def __repr__(self) -> str:
        return f"<{len(self):,} items>"
