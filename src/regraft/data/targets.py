"""What is learnt of images: which labels each has, or its number; and what splits keep even."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import Dataset, quoted
from regraft.data.kinds import NUMBER, ONE, SEPARATOR, SEVERAL, Kind

Rows = NDArray[np.int64]

LEAST: Final = 2  # images that a class or label needs to be learnt and checked
SPARED: Final = 3  # images that a label needs, so that one can be held out
_PARTS: Final = 10  # of the numbers that are kept even
_OF_PART: Final = 5  # images that each of them has at least


@dataclass(frozen=True, eq=False)
class Targets:
    """What the new layer is to say of images.

    ``names`` [K]: of the labels, or of the number. ``values`` float32 [n, K]: 1 where an image has
    the label, else 0; or the number.
    """

    kind: Kind
    names: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Memberships:
    """Which labels the images of a data set have, without a cell for each that they lack.

    ``names`` [K]: of the labels; of numbers their one name, which each image has. ``codes``
    [items]: which of the different texts each is; text t has the labels
    ``flat[starts[t]:starts[t + 1]]``.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]
    starts: Rows
    flat: Rows

    @classmethod
    def of(cls, dataset: Dataset) -> "Memberships":
        """Return those of all images of a data set."""
        labels, names = dataset.columns.labels, dataset.classes
        if dataset.kind == SEVERAL:
            place = {name: number for number, name in enumerate(names)}
            parts = [text.split(SEPARATOR) if text else [] for text in labels.different]
            starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
            flat = np.fromiter((place[name] for own in parts for name in own), np.int64)
            return cls(names, labels.codes, starts, flat)
        texts = np.arange(len(labels.different) + 1)
        flat = np.zeros(len(texts) - 1, np.int64) if dataset.kind == NUMBER else texts[:-1]
        return cls(names, labels.codes, texts, flat)

    def pairs(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return positions in ``rows`` and the label there, once for each label of each image."""
        codes = self.codes[rows]
        many = self.starts[codes + 1] - self.starts[codes]
        which = np.repeat(np.arange(len(rows)), many)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
        return which, self.flat[self.starts[codes[which]] + nth]

    def counts(self, rows: Rows) -> Rows:
        """Return how many of these items have each label, ``[K]``."""
        return np.bincount(self.pairs(rows)[1], minlength=len(self.names))

    def having(self, labels: NDArray[np.bool_], rows: Rows) -> NDArray[np.bool_]:
        """Return which of these items have any of the ``labels`` [K] that are marked."""
        which, label = self.pairs(rows)
        found = np.zeros(len(rows), bool)
        found[which[labels[label]]] = True
        return found


def targets_of(dataset: Dataset, kept: Sequence[int] | Rows) -> Targets:
    """Return what is learnt of the items ``kept`` [n], of a set with several labels or numbers.

    Labels that cannot be learnt are not among them (`learnable`).

    Raises:
        ValueError: the set has one label an image: those are ``dataset.columns.labels.codes``.
    """
    rows = np.asarray(kept, np.int64)
    if dataset.kind == ONE:
        raise ValueError("one label an image is its class, not a target with columns")
    if dataset.kind == NUMBER:
        return Targets(NUMBER, dataset.classes, _numbers(dataset, rows)[:, None])
    has = Memberships.of(dataset)
    use = learnable(dataset, rows)[0]
    which, label = has.pairs(rows)
    values = np.zeros((len(rows), int(use.sum())), np.float32)
    learnt = use[label]
    values[which[learnt], (np.cumsum(use) - 1)[label[learnt]]] = 1
    names = tuple(name for name, used in zip(has.names, use, strict=True) if used)
    return Targets(SEVERAL, names, values)


def _numbers(dataset: Dataset, rows: Rows) -> NDArray[np.float32]:
    """Return the number of each of these items."""
    labels = dataset.columns.labels
    numbers = np.array([float(text) for text in labels.different], np.float32)
    return np.asarray(numbers[labels.codes[rows]])


def learnable(dataset: Dataset, kept: Rows) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which labels can be learnt, [K], and sentences on the others.

    Of several an image, those cannot that fewer than two of the images to train on have, or all of
    them. Of one an image the audit has left out the images of those that cannot.
    """
    has, train = Memberships.of(dataset), kept[~dataset.held[kept]]
    there, trained = has.counts(kept) > 0, has.counts(train)
    if dataset.kind != SEVERAL:
        return there, []
    few = there & (trained < LEAST)
    every = there & ~few & (trained == len(train))
    said = [
        f"{quoted(names)} {_on(names)} {what}: not learnt; the images stay."
        for those, what in (
            (few, f"fewer than {LEAST} images to train on"),
            (every, "every image to train on, so there is nothing to tell apart"),
        )
        if (names := [has.names[place] for place in np.flatnonzero(those)])
    ]
    return there & ~few & ~every, said


def _on(names: Sequence[str]) -> str:
    return "is on" if len(names) == 1 else "are each on"


# --- what splits and folds keep even -------------------------------------------------------------


def strata_of(targets: Targets) -> Rows:
    """Return for each image which part of the set it stands for, int [n], 0 to the last part.

    Of several labels: the rarest of its labels that at least three images have; images of no label
    are a part of their own, and what is too rare is one together. Of numbers: their deciles, fewer
    where there are fewer than fifty; equal numbers lie in one.
    """
    if targets.kind == NUMBER:
        return _deciles(targets.values[:, 0])
    which, label = np.nonzero(targets.values)
    return _rarest(which, label, *targets.values.shape)


def strata(dataset: Dataset, kept: Sequence[int] | Rows) -> Rows:
    """Return the same for the items ``kept`` of any set; of one label an image, its class."""
    rows = np.asarray(kept, np.int64)
    if dataset.kind == ONE:
        return dataset.columns.labels.codes[rows].astype(np.int64)
    if dataset.kind == NUMBER:
        return _deciles(_numbers(dataset, rows))
    return _rarest(*_learnt(dataset, rows), len(rows), len(dataset.classes))


def _learnt(dataset: Dataset, rows: Rows) -> tuple[Rows, Rows]:
    """Return positions in ``rows`` and the label there, of the labels that can be learnt."""
    which, label = Memberships.of(dataset).pairs(rows)
    learnt = learnable(dataset, rows)[0][label]
    return which[learnt], label[learnt]


def _rarest(which: Rows, label: Rows, n: int, labels: int) -> Rows:
    """Return the parts of ``n`` images that have these labels, pair by pair."""
    counts = np.bincount(label, minlength=labels)
    part = np.zeros(n, np.int64)  # 0: no label; 1: too rare; from 2 on: the labels
    part[which] = 1
    often = counts[label] >= SPARED
    which, label = which[often], label[often]
    order = np.lexsort((label, counts[label], which))
    first = order[np.flatnonzero(np.diff(which[order], prepend=-1))]
    part[which[first]] = label[first] + 2
    small = np.bincount(part, minlength=labels + 2) < SPARED
    part[(part > 1) & small[part]] = 1
    return np.unique(part, return_inverse=True)[1]


def _deciles(numbers: NDArray[np.float32]) -> Rows:
    """Return in which part of the numbers, the least first, each lies."""
    parts = max(1, min(_PARTS, len(numbers) // _OF_PART))
    edges = np.sort(numbers)[[len(numbers) * part // parts for part in range(1, parts)]]
    found = np.searchsorted(edges, numbers, side="right")
    return np.unique(found, return_inverse=True)[1]


# --- what is left to train on --------------------------------------------------------------------


def only_groups(dataset: Dataset, kept: Rows, groups: Rows) -> list[int]:
    """Return the groups without which a class, or a label that can be learnt, would have none."""
    which, label = _learnt(dataset, kept)
    pairs = set(zip(label.tolist(), groups[which].tolist(), strict=True))
    several = Counter(label for label, _ in pairs)
    return [group for label, group in pairs if several[label] == 1]


def take_back(
    held: NDArray[np.bool_], dataset: Dataset, kept: Rows, groups: Rows, ranks: NDArray[np.uint64]
) -> None:
    """Take out of ``held`` [n] the groups that labels need which have fewer than two images left.

    An image stands for its rarest label when it is drawn, and its others may be as rare. Those of
    the highest ``ranks`` [n] go first, one of each label at a time.
    """
    which, label = _learnt(dataset, kept)
    while True:
        left = np.bincount(label[~held[which]], minlength=len(dataset.classes))
        wanted = np.flatnonzero(held[which] & (left[label] < LEAST))
        if not len(wanted):
            return
        order = wanted[np.lexsort((ranks[which[wanted]], label[wanted]))]
        last = order[np.flatnonzero(np.diff(label[order], append=-1))]
        held[np.isin(groups, groups[which[last]])] = False
