"""Torch's data sets, and all others that are read item by item, as a Dataset.

The labels are those of the items, for these are what trains elsewhere: a list of them beside the
items is used where it is known to hold the same, since reading an item decodes its picture.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from regraft.data.dataset import Dataset, label_names, some, twins
from regraft.data.kinds import NUMBER, SEVERAL, Kind
from regraft.data.readers.labels import flag_names, named_label, raw_label, taken
from regraft.data.readers.memory import REMEDIES, numbered
from regraft.data.readers.pictures import bytes_of
from regraft.errors import DataError

PICTURES: Final = ("image", "img", "picture", "photo", "pixel_values", "input", "x")
LABELS: Final = ("label", "labels", "target", "targets", "class", "category", "y")
PLACES: Final = 8  # items that are read several times, to see whether they stay the same
READINGS: Final = 32  # at least, in all; and each of those at least 4 times


@dataclass(frozen=True)
class _Pairs:
    """Reads pictures by index. ``keys``: of picture and label in an item."""

    source: Any
    keys: tuple[Any, Any]

    def __call__(self, index: int) -> bytes:
        return bytes_of(self.source[index][self.keys[0]])

    def label(self, index: int) -> object:
        """Return the label of an item."""
        return self.source[index][self.keys[1]]


def from_torch(torch_dataset: Any, classes: Sequence[str] | None, kind: Kind | None) -> Dataset:
    """See `regraft.data.dataset.Dataset.from_torch`."""
    first = _first(torch_dataset)
    pairs = _Pairs(torch_dataset, _keys(first))
    places = sorted({round(n) for n in np.linspace(0, len(torch_dataset) - 1, PLACES)})
    _check_repeatable(pairs, places)
    raw, same = _labels(pairs, places)
    names = _class_names(pairs, classes)
    if kind in (SEVERAL, NUMBER) or any(isinstance(raw_label(label), tuple) for label in raw):
        return _of_kind(torch_dataset, pairs, raw, names or (), kind, _fields(first))
    if kind is None and names is None:
        taken([raw_label(label) for label in raw], None, remedies=REMEDIES)
    labels = label_names(raw)
    notes = [*_fields(first), *twins(x for x in raw if isinstance(x, str))]
    if names is not None and classes is None and not same and not set(labels) <= set(names):
        names = None
        notes.append(
            "The labels of the items differ from .targets, or come through a target_transform, so "
            ".classes does not name them; pass classes= to do so."
        )
    items = numbered(labels if names is None else _placed(labels, names))
    return Dataset(type(torch_dataset).__name__, items, (), pairs, notes=tuple(notes))


def _of_kind(
    source: Any,
    pairs: _Pairs,
    raw: Sequence[object],
    names: Sequence[str],
    kind: Kind | None,
    notes: Sequence[str],
) -> Dataset:
    """Return a set with several labels an item, or a number."""
    called = flag_names([raw_label(value) for value in raw], names) if kind != NUMBER else ()
    told = taken([named_label(value, called) for value in raw], kind, remedies=REMEDIES)
    told.refuse("There are labels that cannot be used.", [f"item {n}" for n in range(len(raw))])
    items = numbered(told.labels)
    said = (*notes, *told.notes)
    return Dataset(type(source).__name__, items, (), pairs, notes=said, kind=told.kind)


# --- items ---------------------------------------------------------------------------------------


def _first(source: Any) -> Any:
    """Return the first item. DataError where there is none, or items cannot be had by number."""
    kind = type(source)
    if hasattr(kind, "__getitem__") and hasattr(kind, "__len__"):
        if not len(source):
            problem = "there must be at least one image, got none"
            raise DataError("This data set is empty.", [problem])
        with suppress(NotImplementedError):  # of torch's IterableDataset
            return source[0]
    loads = hasattr(source, "dataset") and hasattr(source, "batch_size")
    remedy = "pass its .dataset" if loads else "pass a list of its (picture, label) pairs"
    raise DataError(
        "A data set must have a length and give its items by number.",
        [f"got {kind.__name__}, which does not: {remedy}"],
    )


def _keys(item: Any) -> tuple[Any, Any]:
    """Where an item has its picture and its label."""
    rule = "an item must be (picture, label), or a dict with them"
    if isinstance(item, Mapping):
        found = [next((key for key in keys if key in item), None) for keys in (PICTURES, LABELS)]
        if None not in found:
            return found[0], found[1]
        there = ", ".join(map(repr, item))
        raise DataError(
            "The items of this data set are of another kind.",
            [
                f"item 0 is a dict with the keys {there}",
                f"the picture must be under one of {', '.join(PICTURES)}, and the label under one "
                f"of {', '.join(LABELS)}: rename them",
            ],
        )
    if not isinstance(item, tuple | list) or len(item) < 2:
        size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise DataError(
            "The items of this data set are of another kind.",
            [f"{rule}, got {type(item).__name__}{size}"],
        )
    return 0, 1


def _fields(item: Any) -> list[str]:
    """Return a sentence where items hold more than a picture and a label."""
    if not isinstance(item, tuple | list) or len(item) == 2:
        return []
    return [f"Items have {len(item)} fields: the first is the picture, the second the label."]


# --- labels --------------------------------------------------------------------------------------


def _labels(pairs: _Pairs, places: Sequence[int]) -> tuple[list[object], bool]:
    """Return the label of each item, and whether they are those that the set's own names count."""
    listed, known = _listed(pairs.source, pairs.keys[1])
    if listed is not None and known and _agree(pairs, listed, places):
        return listed, True
    found = [pairs.label(i) for i in range(len(pairs.source))]
    if listed is not None:
        return found, all(map(_same, found, listed))
    return found, getattr(pairs.source, "target_transform", None) is None


def _listed(source: Any, key: Any) -> tuple[list[object] | None, bool]:
    """Return the labels beside the items, and whether such a set is known to keep to them."""
    module, transform = type(source).__module__, getattr(source, "target_transform", None)
    if module.startswith("torch.utils.data") and hasattr(source, "indices"):  # a Subset
        whole, known = _listed(source.dataset, key)
        return (None if whole is None else [whole[i] for i in source.indices]), known
    known = module.startswith("torchvision.datasets") and transform is None
    found = getattr(source, "targets", None)
    if isinstance(key, str) and hasattr(source, "column_names"):  # of the library datasets
        found, known = source[key], True
    if found is None or not hasattr(found, "__len__") or len(found) != len(source):
        return None, False
    return list(found), known


def _agree(pairs: _Pairs, listed: Sequence[object], places: Sequence[int]) -> bool:
    return all(_same(pairs.label(i), listed[i]) for i in places)


def _same(one: object, other: object) -> bool:
    return raw_label(one) == raw_label(other)


def _class_names(pairs: _Pairs, classes: Sequence[str] | None) -> list[str] | None:
    """Return the names that numbered labels are places in; None where there are none."""
    found = classes if classes is not None else _own_names(pairs.source, pairs.keys[1])
    if found is None:
        return None
    names = label_names(found)
    twice = [f"{name!r} is there twice" for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError("Class names must be unique.", some(twice))
    return names


def _own_names(source: Any, key: Any) -> Sequence[str] | None:
    """Return the names that a set has for its labels."""
    features = getattr(source, "features", None)
    if isinstance(features, Mapping):  # of the library datasets
        return getattr(features.get(key), "names", None)
    if type(source).__module__.startswith("torch.utils.data") and hasattr(source, "indices"):
        return _own_names(source.dataset, key)
    return getattr(source, "classes", None)


def _placed(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names at these places; a label that is itself one of the names stays."""
    places = {str(i): name for i, name in enumerate(names)} | {name: name for name in names}
    wrong = [
        f"label {i} must be 0 to {len(names) - 1}, or one of the {len(names)} names, got {label!r}"
        for i, label in enumerate(labels)
        if label not in places
    ]
    if wrong:
        raise DataError("There are labels that are no place in the list of classes.", some(wrong))
    return [places[label] for label in labels]


# --- random pictures -----------------------------------------------------------------------------


def _check_repeatable(pairs: _Pairs, places: Sequence[int]) -> None:
    """Raise DataError where pictures cannot be used, or are others at each reading.

    Reading must draw no random numbers of Python, NumPy or torch; and as some draw theirs
    elsewhere, several items must come out the same several times.
    """
    times = max(4, -(-READINGS // len(places)))
    for place in places:
        before = _states()
        first = _read(pairs, place)
        if _states() != before:
            raise _random(f"reading image {place} draws random numbers")
        if any(_read(pairs, place) != first for _ in range(times - 1)):
            raise _random(f"image {place} was read up to {times} times and differed")


def _random(what: str) -> DataError:
    headline = "The pictures of this data set change from reading to reading."
    return DataError(headline, [f"{what}; take the random transforms out"])


def _read(pairs: _Pairs, place: int) -> bytes:
    """Return a picture; of those that cannot be used, but for the first, the audit speaks."""
    try:
        return pairs(place)
    except OSError as error:
        if place:
            return b""
        headline = "There are pictures that cannot be used."
        raise DataError(headline, [f"image {place}: {error}"]) from error


def _states() -> list[object]:
    """Where the random numbers of Python, NumPy and, where it is loaded, torch stand."""
    kind, keys, place, *rest = np.random.get_state(legacy=True)
    torch: Any = sys.modules.get("torch")
    drawn: Callable[[], Any] | None = getattr(torch, "get_rng_state", None)
    return [
        random.getstate(),
        (kind, np.asarray(keys).tobytes(), place, *rest),
        drawn().numpy().tobytes() if drawn else None,
    ]
