"""Pictures in memory as a Dataset.

Pictures are encoded without loss when they are read (`regraft.data.readers.pictures`), so that
they are named by their content like files are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from regraft.data.dataset import Dataset, Item, label_names, some
from regraft.data.readers.pictures import are_wide, bytes_of, objection
from regraft.errors import DataError


@dataclass(frozen=True)
class _Pictures:
    """Reads pictures by index."""

    pictures: Sequence[Any] | NDArray[Any]
    wide: bool

    def __call__(self, index: int) -> bytes:
        return bytes_of(self.pictures[index], wide=self.wide)


def from_arrays(images: Sequence[Any] | NDArray[Any], labels: Iterable[object]) -> Dataset:
    """See `regraft.data.dataset.Dataset.from_arrays`."""
    names = label_names(labels)
    _check_pictures(images, names)
    return Dataset("arrays", numbered(names), (), _Pictures(images, are_wide(images)))


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
