"""Pictures in memory as a Dataset.

Pictures are encoded without loss when they are read (`regraft.data.readers.pictures`), so that
they are named by their content like files are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import Dataset, Item, label_names, some
from regraft.data.kinds import ONE, Kind
from regraft.data.readers.labels import Label, flag_names, named_label, raw_label, taken
from regraft.data.readers.pictures import are_wide, bytes_of, objection
from regraft.errors import DataError


@dataclass(frozen=True)
class _Pictures:
    """Reads pictures by index."""

    pictures: Sequence[Any] | NDArray[Any]
    wide: bool

    def __call__(self, index: int) -> bytes:
        return bytes_of(self.pictures[index], wide=self.wide)


REMEDIES: Final = ("target='number'", "several=False")


def from_arrays(
    images: Sequence[Any] | NDArray[Any],
    labels: Iterable[object],
    names: Sequence[str],
    kind: Kind | None,
) -> Dataset:
    """See `regraft.data.dataset.Dataset.from_arrays`."""
    found = _labels(labels, names)
    told = taken(found, kind, ask=not names, remedies=REMEDIES)
    told.refuse("There are labels that cannot be used.", [f"image {n}" for n in range(len(found))])
    if told.kind == ONE:
        label_names(told.labels)
    _check_pictures(images, told.labels)
    read = _Pictures(images, are_wide(images))
    items, notes = numbered(told.labels), told.notes
    return Dataset("arrays", items, (), read, notes=notes, kind=told.kind)


def _labels(labels: Iterable[object], names: Sequence[str]) -> list[Label]:
    """Return the labels one by one; of an array of 0 and 1, the names of the columns with 1."""
    shape: tuple[int, ...] = getattr(labels, "shape", ())
    if len(shape) != 2:
        values = list(labels)
        called = flag_names([raw_label(value) for value in values], names)
        return [named_label(value, called) for value in values]
    table = np.asarray(labels)
    if shape[1] == 1:
        return [raw_label(value) for value in table[:, 0]]
    called = list(names) or [str(place) for place in range(shape[1])]
    wrong = ~np.isin(table, (0, 1))
    problems = [
        f"image {n}, {called[k] if k < len(called) else k}: got {table[n, k]!s}"
        for n, k in np.argwhere(wrong)[:1000].tolist()
    ]
    if len(called) != shape[1]:
        problems.append(f"{shape[1]:,} columns need as many names, got {len(called):,}")
    if problems:
        raise DataError("A table of labels must hold 0 and 1.", some(problems))
    places = np.split(np.nonzero(table)[1], np.cumsum(np.count_nonzero(table, 1))[:-1])
    found = [tuple(called[place] for place in own.tolist()) for own in places]
    if all(len(own) == 1 for own in found):
        return [own[0] for own in found]
    return list(found)


def numbered(labels: Iterable[str]) -> tuple[Item, ...]:
    """Items for pictures that have no path."""
    return tuple(Item(f"{i:06}.png", label) for i, label in enumerate(labels))


# --- pictures ------------------------------------------------------------------------------------


def _check_pictures(images: Sequence[Any] | NDArray[Any], names: Sequence[str]) -> None:
    """Raise DataError with every reason why pictures and labels do not make a data set."""
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise DataError("Pictures must be an array or a list.", [f"got {type(images).__name__}"])
    problems = []
    if len(images) != len(names):
        problems.append(f"there must be as many labels as images: {len(names)} and {len(images)}")
    if not len(images):
        problems.append("there must be at least one image, got none")
    wrong = [f"image {i}: {why}" for i, picture in enumerate(images) if (why := objection(picture))]
    if problems or wrong:
        raise DataError("These pictures cannot be used.", [*problems, *some(wrong)])
