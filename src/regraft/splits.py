"""Which images are held out, and the folds of cross-validation.

Both keep each class's share, and never put two images of one group (the same picture, or nearly
so) on different sides.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.audit import Audit
from regraft.dataset import Dataset, held_out_split
from regraft.errors import DataError, UsageError

Indices = NDArray[np.int64]

TEST_FRACTION: Final = 0.2


@dataclass(frozen=True)
class Split:
    """Two sides, as ascending positions into ``audit.kept``.

    ``origin`` says what is held out: the data's own ``test`` or ``val``, or ``held out`` by seed.
    """

    train: Indices
    test: Indices
    origin: str


def split(dataset: Dataset, audit: Audit, *, test_fraction: float | None, seed: int) -> Split:
    """The data's own test split, else its val split, else a stratified share chosen by seed.

    Where there is a test split, val joins the training side. A share is ``test_fraction`` (0.2
    where None) of each class: at least one image where the class has three, and always so that
    two are left to train. Who is chosen depends on names alone: images that are added later move
    few of the others. What the data pins is never held out, nor is any near copy of it.

    Raises:
        UsageError: a fraction outside 0..1, or one for data that has a split of its own.
        DataError: no class is large enough to hold one out.
    """
    check_fraction(dataset, test_fraction)
    own = held_out_split(dataset.items)
    items = [dataset.items[i] for i in audit.kept]
    if own:
        held = np.array([item.split == own for item in items], dtype=bool)
        return Split(np.flatnonzero(~held), np.flatnonzero(held), own)
    labels = np.array([item.label for item in items])
    ranks = _ranks([item.path for item in items], seed)
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    pinned = np.array([item.path in dataset.pinned for item in items], dtype=bool)
    held = _hold_out(labels, audit.groups, ranks, fraction, pinned)
    if not held.any():
        raise DataError(
            "There are too few images to hold any out.",
            ["no class has three different pictures; add some, or bring a test split"],
        )
    return Split(np.flatnonzero(~held), np.flatnonzero(held), "held out")


def validation(
    labels: NDArray[Any], groups: Indices, seed: int, fraction: float = TEST_FRACTION
) -> tuple[Indices, Indices]:
    """Part training images into those to train on and those to validate with, as positions.

    Near copies stay together, and a class of fewer than three images validates nothing.
    """
    ranks = np.random.default_rng(seed).permutation(len(labels)).astype(np.uint64)
    held = _hold_out(np.asarray(labels), groups, ranks, fraction)
    return np.flatnonzero(~held), np.flatnonzero(held)


def check_fraction(dataset: Dataset, fraction: float | None) -> None:
    """Raise UsageError for a share that cannot be, or that the data leaves no choice about."""
    own = held_out_split(dataset.items)
    if fraction is None:
        return
    if own:
        raise UsageError(
            "The data has a split of its own, so there is nothing to hold out.",
            [
                f"test fraction {fraction:g} was given, and the data's {own} images are held out; "
                "leave the fraction away, or pass the data without its split"
            ],
        )
    if not 0 < fraction < 1:
        raise UsageError(
            "The test fraction cannot be used.",
            [f"it must be above 0 and below 1, got {fraction:g}; 0.2 holds out a fifth"],
        )


def _ranks(paths: list[str], seed: int) -> NDArray[np.uint64]:
    """A number for each path that looks random and depends on the path and the seed alone."""
    hashes = (hashlib.blake2b(f"{seed}\0{path}".encode(), digest_size=8).digest() for path in paths)
    return np.frombuffer(b"".join(hashes), dtype=">u8").astype(np.uint64)


def _hold_out(
    labels: NDArray[Any],
    groups: Indices,
    ranks: NDArray[np.uint64],
    fraction: float,
    pinned: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mark whole groups by rank until each class has its share; bool [n].

    A group with several labels is never held out: it would upset the shares of other classes. Nor
    is one with a ``pinned`` image.
    """
    label = np.unique(labels, return_inverse=True)[1]
    group, first, size = _groups(groups, ranks)
    mixed = np.zeros(len(size), bool)
    mixed[group[label != label[first][group]]] = True
    if pinned is not None:
        mixed[group[pinned]] = True
    counts = np.bincount(label)
    share = np.round(fraction * counts).astype(int)
    target = np.where(counts >= 3, np.clip(share, 1, np.maximum(counts - 2, 0)), 0)
    chosen = np.zeros(len(size), bool)
    for members in _by_class(label[first], ranks[first]):
        _choose(chosen, members[~mixed[members]], size, int(target[label[first[members[0]]]]))
    return chosen[group]


def _groups(groups: Indices, ranks: NDArray[np.uint64]) -> tuple[Indices, Indices, Indices]:
    """Group 0..g-1 of each image, and of each group its lowest-ranked image and its size."""
    group = np.unique(groups, return_inverse=True)[1]
    order = np.lexsort((ranks, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return group, order[starts], np.bincount(group)


def _by_class(label: Indices, ranks: NDArray[np.uint64]) -> list[Indices]:
    """Positions of each class in the order of their ranks."""
    order = np.lexsort((ranks, label))
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _choose(chosen: NDArray[np.bool_], members: Indices, size: Indices, target: int) -> None:
    """Mark the first groups that fit into ``target`` images; where none does, the smallest.

    That one is larger than the share asked for, but it is never the only one.
    """
    left = target
    for member in members:
        if not left:
            break
        if size[member] <= left:
            chosen[member] = True
            left -= int(size[member])
    if target and left == target and len(members) > 1:
        chosen[members[np.argmin(size[members])]] = True


def folds(labels: NDArray[Any], groups: Indices, k: int, seed: int) -> Indices:
    """Fold 0..k-1 of each image, [n]: every class and every fold as even as whole groups allow.

    Groups of several images go one by one, the largest first, to the fold that has the fewest of
    their class. Then the single images fill up what is uneven, all of a class at once. Classes
    smaller than k are in some folds only.

    Raises:
        ValueError: k below 2, or above the number of groups.
    """
    label = np.unique(labels, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(label)).astype(np.uint64)
    group, first, size = _groups(groups, order)
    if not 2 <= k <= len(size):
        raise ValueError(f"k must be 2 to {len(size)} (the number of groups), got {k}")
    counts = np.zeros((int(label.max()) + 1, k), np.int64)
    fold = np.full(len(size), -1)
    _place_large(fold, counts, np.flatnonzero(size > 1), label, group)
    single = np.flatnonzero(size == 1)
    if len(single):
        for members in _by_class(label[first[single]], order[first[single]]):
            row = counts[label[first[single[members[0]]]]]
            given = _fill(row, counts.sum(0), len(members))
            fold[single[members]] = np.repeat(np.arange(k), given)
            row += given
    return fold[group]


def _place_large(
    fold: Indices, counts: Indices, large: Indices, label: Indices, group: Indices
) -> None:
    """Give each group of several images a fold; ``counts`` [classes, k] grow along."""
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(sizes)
    for member in large[np.argsort(-sizes[large], kind="stable")]:
        inside = np.bincount(label[order[ends[member] - sizes[member] : ends[member]]])
        wanted = counts[inside.argmax()]
        best = np.lexsort((counts.sum(0), wanted))[0]
        fold[member] = best
        counts[: len(inside), best] += inside


def _fill(row: Indices, totals: Indices, count: int) -> Indices:
    """How many of ``count`` single images each fold gets, so that ``row`` becomes level.

    What cannot be shared out evenly goes to the folds that are the least full altogether.
    """
    steps = np.sort(row)
    room = np.arange(1, len(row) + 1) * np.append(steps[1:], steps[-1] + count + 1)
    lowest = int(np.argmax(room - np.cumsum(steps) >= count)) + 1
    level = (count + int(steps[:lowest].sum())) // lowest
    given = np.maximum(level - row, 0)
    at_level = np.flatnonzero(row + given == level)
    rest = count - int(given.sum())
    given[at_level[np.argsort(totals[at_level], kind="stable")[:rest]]] += 1
    return given
