"""Which images are held out, and the folds of cross-validation.

Both keep each class's share, and never put two images of one group (the same picture, or nearly
so) on different sides.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.audit import Audit
from regraft.data.dataset import Dataset, quoted
from regraft.data.kinds import NUMBER, ONE, SEVERAL, Kind
from regraft.data.targets import Memberships, learnable, only_groups, strata, take_back
from regraft.errors import DataError, UsageError

Indices = NDArray[np.int64]

TEST_FRACTION: Final = 0.2

FEW: Final = 200
"""Held-out images below which their accuracy says little: a fifth of 228 images gave 76 to 98 %
over six seeds. A set that small proves itself by cross-validation."""

EACH_ONCE: Final = "cross-validated"


@dataclass(frozen=True)
class Split:
    """Two sides, as ascending positions into ``audit.kept``.

    ``origin`` says what is held out: the data's own ``test`` or ``val``, or ``held out`` by seed.
    Where it is ``cross-validated`` the sides overlap: each image of ``test`` is held out once, in
    turn.
    """

    train: Indices
    test: Indices
    origin: str


def split(dataset: Dataset, audit: Audit, *, test_fraction: float | None, seed: int) -> Split:
    """Return the data's own test split, else its val split, else a stratified share chosen by seed.

    Where there is a test split, val joins the training side. A share is ``test_fraction`` (0.2
    where None) of each class: at least one image where the class has three, and always so that
    two are left to train. Several labels, and numbers, are shared out by the parts that
    `regraft.data.targets.strata` gives; each label keeps two images, too. Groups are drawn
    whatever their size. Who is chosen depends on names alone: images that are added later move few
    of the others. What the data pins is never held out, nor is anything of its group.

    Raises:
        UsageError: a fraction outside 0..1, or one for data that has a split of its own.
        DataError: no class is large enough to hold one out.
    """
    check_fraction(dataset, test_fraction)
    kept, items = np.asarray(audit.kept, np.int64), dataset.columns
    if dataset.held_out:
        held = dataset.held[kept]
        return Split(np.flatnonzero(~held), np.flatnonzero(held), dataset.held_out)
    labels, grouped = strata(dataset, kept), any(items.groups.different)
    ranks = _ranks((items.groups[i] or items.paths[i] for i in audit.kept), seed)
    order = np.arange(len(kept))
    if grouped or not items.paths.ascend:
        names = [items.groups[i] or items.paths[i] for i in audit.kept]
        order = np.unique(names, return_inverse=True)[1]
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    pinned = _pinned(dataset, kept)
    held = _hold_out(labels, audit.groups, ranks, fraction, order, pinned)
    if dataset.kind == SEVERAL:
        take_back(held, dataset, kept, audit.groups, ranks)
    if not held.any():
        free = _hold_out(labels, audit.groups, ranks, fraction, order)
        raise DataError(
            "There are too few images to hold any out.",
            [_nothing_to_spare(dataset.kind, pinned=bool(free.any()), grouped=grouped)],
        )
    return Split(np.flatnonzero(~held), np.flatnonzero(held), "held out")


def _pinned(dataset: Dataset, kept: Indices) -> NDArray[np.bool_]:
    """Which of the kept images are never held out."""
    if not dataset.pinned:
        return np.zeros(len(kept), bool)
    return np.array([dataset.items[i].path in dataset.pinned for i in kept.tolist()], bool)


_NONE: Final = {ONE: "no class", SEVERAL: "no label", NUMBER: "no range of the numbers"}


def _nothing_to_spare(kind: Kind, *, pinned: bool, grouped: bool) -> str:
    """Why no image can be held out: what is ``pinned`` stands in the way, or known groups do."""
    none = _NONE[kind]
    if pinned:
        return (
            f"what was corrected is trained on, with all that goes with it, and {none} has "
            "another image to spare; add images beside those, or bring a test split"
        )
    if grouped:
        return (
            f"{none} has three images in groups of which one can be spared; add groups, hold "
            "images out one by one (--group-by none), or bring a test split"
        )
    return f"{none} has three different pictures; add some, or bring a test split"


def untested(dataset: Dataset, audit: Audit, sides: Split) -> list[str]:
    """Return a sentence where a share that was drawn has none of some classes or labels."""
    has, kept = Memberships.of(dataset), np.asarray(audit.kept, np.int64)
    lacks = learnable(dataset, kept)[0] & (has.counts(kept[sides.test]) == 0)
    never, what = [has.names[n] for n in np.flatnonzero(lacks)], _NONE[dataset.kind].split()[1]
    if not never or sides.origin not in ("held out", EACH_ONCE):
        return []
    return [
        f"No image of {quoted(never)} is held out: that takes three images in groups of which one "
        f"can be spared. How well such a {what} is recognised is not measured."
    ]


def each_once(
    dataset: Dataset, audit: Audit, held: Split, test_fraction: float | None
) -> Split | None:
    """Every image held out once, where the other choice, ``held``, has only :data:`FEW` of them.

    Not where the data brings a split of its own, or a person named a fraction. What the data pins,
    and near copies of it, are trained on in every turn, and so is the only group of a class or
    label: held out, it would leave none of it to learn from.
    """
    if held.origin != "held out" or test_fraction is not None or len(held.test) >= FEW:
        return None
    kept = np.asarray(audit.kept, np.int64)
    pinned = _pinned(dataset, kept)
    only = only_groups(dataset, kept, audit.groups)
    test = np.flatnonzero(~np.isin(audit.groups, [*audit.groups[pinned], *only]))
    return Split(np.arange(len(kept)), test, EACH_ONCE) if len(test) else None


def validation(
    labels: NDArray[Any], groups: Indices, seed: int, fraction: float = TEST_FRACTION
) -> tuple[Indices, Indices]:
    """Part training images into those to train on and those to validate with, as positions.

    Groups stay together, and a class of fewer than three images validates nothing.
    """
    ranks = np.random.default_rng(seed).permutation(len(labels)).astype(np.uint64)
    held = _hold_out(np.asarray(labels), groups, ranks, fraction, np.arange(len(labels)))
    return np.flatnonzero(~held), np.flatnonzero(held)


def check_fraction(dataset: Dataset, fraction: float | None) -> None:
    """Raise UsageError for a share that cannot be, or that the data leaves no choice about."""
    own = dataset.held_out
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


def _ranks(names: Iterable[str], seed: int) -> NDArray[np.uint64]:
    """Return a random-looking number for each name, from the name and the seed alone."""
    texts = (f"{seed}\0{name}".encode() for name in names)
    hashes = (hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.fromiter((int.from_bytes(found, "big") for found in hashes), np.uint64)


def _hold_out(
    labels: NDArray[Any],
    groups: Indices,
    ranks: NDArray[np.uint64],
    fraction: float,
    order: Indices,
    pinned: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mark whole groups by rank until each class has its share; bool [n].

    A group's rank is that of its first member in ``order`` [n], which must not depend on the ranks:
    the least of all its ranks would prefer large groups. Groups of several classes come first,
    then each class's own, the large ones as much as single images. A group with a ``pinned`` image
    is never held out.
    """
    label = np.unique(labels, return_inverse=True)[1]
    group, first, size = _groups(groups, order)
    table = np.zeros((len(size), int(label.max()) + 1), np.int64)
    np.add.at(table, (group, label), 1)
    free = np.ones(len(size), bool)
    if pinned is not None:
        free[group[pinned]] = False
    counts = table.sum(0)
    share = np.round(fraction * counts).astype(int)
    target = np.where(counts >= 3, np.clip(share, 1, np.maximum(counts - 2, 0)), 0)
    chosen = np.zeros(len(size), bool)
    mixed = (table > 0).sum(1) > 1
    by_rank = np.argsort(ranks[first], kind="stable")
    _choose_mixed(chosen, by_rank[(mixed & free)[by_rank]], table, target)
    for members in _by_class(label[first], ranks[first]):
        own = int(label[first[members[0]]])
        left = int(target[own] - table[chosen, own].sum())
        pure = members[~mixed[members] & free[members]]
        _choose(chosen, pure, size, left, int(counts[own]) - 2, ranks[first])
    _add_missing(chosen, by_rank[(mixed & free)[by_rank]], table, target)
    return chosen[group]


def _groups(groups: Indices, order: NDArray[Any]) -> tuple[Indices, Indices, Indices]:
    """Group 0..g-1 of each image, and of each group its first image in ``order`` and its size."""
    group = np.unique(groups, return_inverse=True)[1]
    sorted_ = np.lexsort((order, group))
    starts = np.flatnonzero(np.diff(group[sorted_], prepend=-1))
    return group, sorted_[starts], np.bincount(group)


def _by_class(label: Indices, ranks: NDArray[np.uint64]) -> list[Indices]:
    """Positions of each class in the order of their ranks."""
    order = np.lexsort((ranks, label))
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _choose_mixed(
    chosen: NDArray[np.bool_], members: Indices, table: Indices, target: Indices
) -> None:
    """Mark groups of several classes (a patient, a speaker) for as long as the shares come closer.

    ``table`` [groups, classes]: images of each. Each class keeps two images to train on.
    """
    inside, counts = table[members].sum(0), table.sum(0)
    wanted = target * inside / np.maximum(counts, 1)
    held = np.zeros(table.shape[1], np.int64)
    for member in members:
        more = held + table[member]
        if np.abs(more - wanted).sum() < np.abs(held - wanted).sum() and _leaves_two(more, counts):
            chosen[member] = True
            held = more


def _leaves_two(held: Indices, counts: Indices) -> bool:
    """Return whether each class of which images are held out keeps two to train on."""
    return bool((counts - held)[held > 0].min(initial=2) >= 2)


def _add_missing(
    chosen: NDArray[np.bool_], members: Indices, table: Indices, target: Indices
) -> None:
    """Hold out the smallest possible group for a class that only shared groups have."""
    counts = table.sum(0)
    for label in np.flatnonzero((target > 0) & (table[chosen].sum(0) == 0)):
        able = members[(table[members, label] > 0) & ~chosen[members]]
        for member in able[np.argsort(table[able].sum(1), kind="stable")]:
            if _leaves_two(table[chosen].sum(0) + table[member], counts):
                chosen[member] = True
                break


def _choose(
    chosen: NDArray[np.bool_],
    members: Indices,
    size: Indices,
    target: int,
    most: int,
    ranks: NDArray[np.uint64],
) -> None:
    """Mark groups of one class, ``members`` in the order of their ranks, for ``target`` images.

    Groups of several images make up the share that they have of the class, single images the rest:
    if what does not fit were passed over, small groups would be preferred. Where nothing fits, the
    smallest group goes, unless it is the only one.
    """
    if target <= 0 or not len(members):
        return
    large, single = members[size[members] > 1], members[size[members] == 1]
    share = target * size[large].sum() / size[members].sum()
    held, limit = 0, min(2 * target, most)
    for member in large:
        after = held + int(size[member])
        if after > share and (after > limit or not _rounds_up(member, held, share, size, ranks)):
            break
        chosen[member] = True
        held = after
        if held >= share:
            break
    rest = single[: max(target - held, 0)]
    chosen[rest] = True
    if not held and not len(rest) and len(members) > 1:
        chosen[members[np.argmin(size[members])]] = True


def _rounds_up(
    member: int, held: int, share: float, size: Indices, ranks: NDArray[np.uint64]
) -> bool:
    """Return whether the group that goes beyond the share is taken: as likely as it would be exact.

    Decided by its rank, scattered; the same for the same names and seed.
    """
    scattered = int(ranks[member]) * 0x9E3779B97F4A7C15 % 2**64 / 2**64
    return bool(scattered < (share - held) / size[member])


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
    """Return how many of ``count`` single images each fold gets, so that ``row`` becomes level.

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
