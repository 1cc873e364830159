"""Pictures in memory, and torch's data sets, as a Dataset.

Pictures are encoded without loss when they are read (:mod:`regraft.readers.pictures`), so that they
are named by their content like files are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from regraft.dataset import Dataset, Item, label_names, some
from regraft.errors import DataError
from regraft.readers.pictures import are_wide, bytes_of, objection


@dataclass(frozen=True)
class _Pictures:
    """Reads pictures by index."""

    pictures: Sequence[Any] | NDArray[Any]
    wide: bool

    def __call__(self, index: int) -> bytes:
        return bytes_of(self.pictures[index], wide=self.wide)


@dataclass(frozen=True)
class _Pairs:
    """Reads the pictures of (picture, label) pairs by index."""

    pairs: Any

    def __call__(self, index: int) -> bytes:
        return bytes_of(self.pairs[index][0])


def from_arrays(images: Sequence[Any] | NDArray[Any], labels: Iterable[object]) -> Dataset:
    """See :meth:`regraft.dataset.Dataset.from_arrays`."""
    names = label_names(labels)
    _check_pictures(images, names)
    return Dataset("arrays", _numbered(names), (), _Pictures(images, are_wide(images)))


def from_torch(torch_dataset: Any, classes: Sequence[str] | None) -> Dataset:
    """See :meth:`regraft.dataset.Dataset.from_torch`."""
    if not len(torch_dataset):
        raise DataError("This data set is empty.", ["there must be at least one image, got none"])
    names = _class_names(torch_dataset, classes)
    labels = label_names(_targets(torch_dataset))
    pairs = _Pairs(torch_dataset)
    _check_repeatable(pairs)
    items = _numbered(labels if names is None else _placed(labels, names))
    return Dataset(type(torch_dataset).__name__, items, (), pairs)


def _numbered(labels: Iterable[str]) -> tuple[Item, ...]:
    """Items for pictures that have no path."""
    return tuple(Item(f"{i:06}.png", label) for i, label in enumerate(labels))


# --- labels --------------------------------------------------------------------------------------


def _class_names(torch_dataset: Any, classes: Sequence[str] | None) -> list[str] | None:
    """The names that numbered labels are places in; None where there are none."""
    found = classes if classes is not None else getattr(torch_dataset, "classes", None)
    if found is None:
        return None
    names = label_names(found)
    twice = [f"{name!r} is there twice" for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError("Class names must be unique.", some(twice))
    return names


def _targets(torch_dataset: Any) -> Iterator[object]:
    """The labels, without decoding pictures where the set has a list of them."""
    listed = getattr(torch_dataset, "targets", None)
    if listed is not None and len(listed) == len(torch_dataset):
        yield from listed
    else:
        yield from (torch_dataset[i][1] for i in range(len(torch_dataset)))


def _placed(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names at these places; a label that is itself one of the names stays."""
    places = {str(i): name for i, name in enumerate(names)} | {name: name for name in names}
    wrong = [
        f"label {i} must be 0 to {len(names) - 1}, or one of the {len(names)} names, got {label!r}"
        for i, label in enumerate(labels)
        if label not in places
    ]
    if wrong:
        raise DataError("There are labels that are no place in the list of classes.", some(wrong))
    return [places[label] for label in labels]


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


def _check_repeatable(pairs: _Pairs) -> None:
    """Raise DataError where the first picture cannot be used, or is another at each reading."""
    try:
        first, again = pairs(0), pairs(0)
    except OSError as error:
        raise DataError("There are pictures that cannot be used.", [f"image 0: {error}"]) from error
    if first != again:
        raise DataError(
            "The pictures of this data set change from reading to reading.",
            ["image 0 was read twice and differed; take the random transforms out"],
        )
