"""Class folders whose photos lie in several: each photo is one image with all their labels."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import Dataset, quoted
from regraft.data.kinds import NUMBER, ONE, SEPARATOR, SEVERAL, Kind
from regraft.data.readers.labels import taken
from regraft.errors import DataError

SHARE: Final = 10  # of so many different photos one lies in several folders: then it is no mistake
_LOOKED: Final = 200  # names that are in several folders of which some must be of one size


def by_folders(dataset: Dataset, asked: Kind | None) -> Dataset:
    """Return a set of class folders with what its labels are said to be, or are by themselves.

    Unasked photos have several labels where at least a tenth of them lie, with the same name and
    the same bytes, in several class folders; where several are asked for, whatever their names.

    Raises:
        DataError: numbers are asked for, and folders are called otherwise.
    """
    if asked == NUMBER:
        return _numbers(dataset)
    if asked == ONE:
        return dataset
    sizes = _sizes(dataset)
    by_name = [path.rpartition("/")[2] for path in dataset.columns.paths] if not asked else None
    keys = _keys(dataset, by_name)
    if asked is None and not _may_be_many(dataset, keys, sizes):
        return dataset
    found = list(_doubles(dataset, keys, sizes))
    more = sum(len(same) - 1 for same in found)
    if asked is None and len(found) * SHARE < len(dataset) - more:
        return dataset
    return _merged(dataset, found, asked)


def _numbers(dataset: Dataset) -> Dataset:
    """Return the set with the names of its folders as numbers."""
    names = dataset.classes
    wrong = [name for name, own in zip(names, taken(names, NUMBER).labels, strict=True) if not own]
    if wrong:
        raise DataError(
            f"The class folders of '{dataset.name}' are no numbers.",
            [
                f"--target number needs one for each image, got {quoted(wrong)}; write a table "
                "with the columns path and label, the number"
            ],
        )
    told = taken(list(dataset.columns.labels), NUMBER)
    items = [
        replace(item, label=label) for item, label in zip(dataset.items, told.labels, strict=True)
    ]
    note = "The names of the class folders are taken for the numbers."
    return replace(dataset, items=items, kind=NUMBER, notes=(*dataset.notes, note))


# --- the same photo ------------------------------------------------------------------------------

Groups = list[list[int]]


def _sizes(dataset: Dataset) -> Callable[[int], int]:
    """Return what gives the size of a file, without reading it where that can be had."""
    size: Callable[[int], int] | None = getattr(dataset.read, "length", None)
    return size if size is not None else lambda index: len(dataset.read(index))


def _keys(dataset: Dataset, names: Sequence[str] | None) -> Groups:
    """Return the images of one split, and name, that lie in several class folders."""
    splits, labels = dataset.columns.splits.codes.tolist(), dataset.columns.labels.codes.tolist()
    found = defaultdict[Hashable, list[int]](list)
    for index, split in enumerate(splits):
        found[(split, names[index]) if names is not None else split].append(index)
    return [same for same in found.values() if len({labels[index] for index in same}) > 1]


def _may_be_many(dataset: Dataset, keys: Groups, sizes: Callable[[int], int]) -> bool:
    """Return whether a tenth of the photos may lie in several folders, from a look at some."""
    more = sum(len(same) - 1 for same in keys)
    if not keys or len(keys) * SHARE < len(dataset) - more:
        return False
    some = keys[:: max(1, len(keys) // _LOOKED)]
    return any(True for same in some for _ in _of_one(same, sizes))


def _of_one(rows: Sequence[int], what: Callable[[int], Any]) -> Iterator[list[int]]:
    """Yield those of some images of which something is the same; not of what cannot be told."""
    found = defaultdict[Any, list[int]](list)
    for index in rows:
        try:
            found[what(index)].append(index)
        except OSError:  # the audit names it
            continue
    yield from (same for value, same in found.items() if value and len(same) > 1)


def _doubles(dataset: Dataset, keys: Groups, sizes: Callable[[int], int]) -> Iterator[list[int]]:
    """Yield the images with the same bytes that lie in several class folders, by path."""
    labels = dataset.columns.labels.codes

    def digest(index: int) -> bytes:
        return hashlib.blake2b(dataset.read(index)).digest()

    for key in keys:
        for alike in _of_one(key, sizes):
            if len({*labels[alike].tolist()}) > 1:
                for same in _of_one(alike, digest):
                    if len({*labels[same].tolist()}) > 1:
                        yield sorted(same, key=dataset.columns.paths.__getitem__)


def _merged(dataset: Dataset, found: Groups, asked: Kind | None) -> Dataset:
    """Return the set in which each of these is one image, with all labels."""
    wrong = [name for name in dataset.classes if SEPARATOR in name]
    if wrong:
        raise DataError(
            f"'{dataset.name}' has class folders that cannot be one of several labels.",
            [f"{quoted(wrong)}: {SEPARATOR!r} stands between labels; rename them"],
        )
    labels, gone = dataset.columns.labels, np.zeros(len(dataset), bool)
    joined = dict[int, str]()
    for first, *others in found:
        joined[first] = SEPARATOR.join(sorted({labels[n] for n in (first, *others)}))
        gone[others] = True
    rows = np.flatnonzero(~gone)
    items = [replace(dataset.items[n], label=joined.get(n, labels[n])) for n in rows.tolist()]
    hint = "; --labels one takes them for contradictions" if asked is None else ""
    note = (
        f"{len(found):,} of {len(rows):,} photos lie in several class folders; each is one image "
        f"with all those labels, by its first path{hint}."
    )
    place = np.cumsum(~gone) - 1
    order = dataset.order
    return replace(
        dataset,
        items=items,
        read=_Chosen(dataset.read, rows),
        order=None if order is None else place[order[~gone[order]]],
        kind=SEVERAL,
        notes=(*dataset.notes, note),
    )


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Reads the images of another set that are in this one too, ``rows`` [images]."""

    read: Any
    rows: NDArray[np.int64]

    def __call__(self, index: int) -> bytes:
        return bytes(self.read(int(self.rows[index])))

    def lies_in(self, index: int) -> str:
        """Return the shard that an image lies in; '' where it is a file of its own."""
        find = getattr(self.read, "lies_in", None)
        return "" if find is None else str(find(int(self.rows[index])))

    def stamp(self, index: int) -> str:
        """Return by what an image is known as unchanged; '' where it has to be read."""
        find = getattr(self.read, "stamp", None)
        return "" if find is None else str(find(int(self.rows[index])))
