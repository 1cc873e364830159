"""The rules of the audit, one after another: why an image is not used."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import DAMAGED, EMPTY_CLASS, NO_LABEL, OUTSIDE, REPEATED, TWICE, Dataset
from regraft.data.images import Facts, FactsTable, alike
from regraft.data.images.likeness import Likeness
from regraft.data.kinds import NUMBER, ONE
from regraft.data.targets import LEAST, Memberships

Rows = NDArray[np.int64]

NearCopies = Literal["group", "keep", "drop"]
"""Copies of one capture stay on one side of every split, are as others, or only one is kept."""

NOT_BY_NAME: Final = "not-an-image-file"  # never an error, not even under strict
_SKIPPED: Final = {
    OUTSIDE: "no-class",
    EMPTY_CLASS: "empty-class",
    REPEATED: "repeated-row",
    DAMAGED: "damaged-shard",
    NO_LABEL: "no-label",
    TWICE: "repeated-member",
}


@dataclass(frozen=True)
class LeftOut:
    """A path that is not used. ``reason``: a code. ``detail``: the same in words."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class Ruled:
    """What the rules found.

    ``kept``: indices of items. ``groups`` of the kept: near copies, and what people know to belong
    together; ``copies``: near copies alone. ``near``: pictures that are as near as copies and are
    none; ``crowded``: classes of which too many are like that, or the set's name where its images
    are in none. ``spared``: by class, training
    images that copy held-out ones and are kept all the same.
    """

    kept: NDArray[np.int64]
    left_out: tuple[LeftOut, ...]
    groups: NDArray[np.int64]
    copies: NDArray[np.int64]
    near: NDArray[np.bool_]
    crowded: tuple[str, ...]
    spared: Mapping[str, int]


def apply_rules(
    dataset: Dataset, facts: Sequence[Facts], near_copies: NearCopies = "group"
) -> Ruled:
    """Decide which items are kept, why the others are not, and which of the kept go together."""
    state = _State(dataset, FactsTable.of(facts))
    _leave_out_problems(state)
    _leave_out_copies(state)
    alike = _alike(state)
    copies = np.arange(len(state.items))
    if near_copies != "keep":
        copies[state.kept()] = alike.groups[state.kept()]
    if near_copies == "drop":
        _leave_out_all_but_one(state, copies)
    elif near_copies == "group":
        _leave_out_near_copies(state, copies)
    _leave_out_small_classes(state)
    kept = state.kept()
    left_out = sorted([*state.left_out.values(), *_skipped(dataset)], key=lambda e: e.path)
    groups = joined(copies, state.items.groups)[kept]
    return Ruled(
        kept=kept,
        left_out=tuple(left_out),
        groups=np.unique(groups, return_inverse=True)[1],
        copies=np.unique(copies[kept], return_inverse=True)[1],
        near=alike.near[kept],
        crowded=tuple(_classes(dataset)[number] for number in sorted(alike.crowded)),
        spared=dict(state.spared),
    )


def joined(copies: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """Group numbers [n] after those of one name (a patient, a video) have become one."""
    if not any(names):
        return copies
    parent = np.arange(int(copies.max(initial=-1)) + 1)

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]  # halve the way, so that chains stay cheap
            number = int(parent[number])
        return number

    first: dict[str, int] = {}
    for number, name in zip(copies.tolist(), names, strict=True):
        if name:
            low, high = sorted((root(number), root(first.setdefault(name, number))))
            parent[high] = low
    return np.array([root(number) for number in copies.tolist()], np.int64)


class _State:
    """What has been left out so far. ``held`` and ``pinned``: which items are, ``[n]``."""

    def __init__(self, dataset: Dataset, facts: FactsTable) -> None:
        self.items = dataset.columns
        self.has = Memberships.of(dataset)
        if len(facts) != len(self.items):
            raise ValueError(f"{len(self.items)} items need as many facts, got {len(facts)}")
        self.dataset = dataset
        self.facts = facts
        self.left_out: dict[int, LeftOut] = {}
        self.held = dataset.held
        self.pinned = np.zeros(len(facts), bool)
        if dataset.pinned:
            self.pinned[:] = [path in dataset.pinned for path in self.items.paths]
        self.spared: Counter[str] = Counter()
        self._kept = np.ones(len(facts), bool)

    def leave_out(self, index: int, reason: str, detail: str) -> None:
        self.left_out[index] = LeftOut(self.path(index), reason, detail)
        self._kept[index] = False

    def path(self, index: int) -> str:
        path: str = self.items.paths[int(index)]
        return path

    def kept(self) -> Rows:
        return np.flatnonzero(self._kept)

    def of_class(self, rows: Rows) -> Rows:
        """How many of these items each class, or label, has."""
        return self.has.counts(rows)


def _leave_out_problems(state: _State) -> None:
    """Files that are no usable image."""
    for i, (problem, detail) in state.facts.problems.items():
        shard = state.dataset.lies_in(i)
        state.leave_out(i, problem, detail + f" (in {shard})" * bool(shard))


def _leave_out_copies(state: _State) -> None:
    """Files with the same bytes: one stays, a pinned one first, then a held-out one.

    None stays where the labels differ.
    """
    for same in _same_files(state.facts, state.kept()):
        if len(set(state.items.labels.codes[same].tolist())) > 1:
            _leave_out_contradiction(state, same)
            continue
        pinned = [i for i in same if state.pinned[i]]
        held = [] if pinned else [i for i in same if state.held[i]]
        stays = (pinned or held or same)[0]
        for i in same:
            if held and not state.held[i]:
                detail = f"the same file as {state.path(stays)}, which is held out"
                state.leave_out(i, "copy-of-held-out", detail)
            elif i != stays:
                state.leave_out(i, "exact-copy", f"the same file as {state.path(stays)}")


def _same_files(facts: FactsTable, rows: Rows) -> Iterator[list[int]]:
    """Yield those of some files that have the same bytes, where they are several, ascending."""
    names = facts.digests[rows]
    order = np.lexsort((names[:, 1], names[:, 0]))
    begins = np.append(True, (names[order[1:]] != names[order[:-1]]).any(1))
    starts = np.append(np.flatnonzero(begins), len(order))
    for place in np.flatnonzero(np.diff(starts) > 1):
        yield rows[order[starts[place] : starts[place + 1]]].tolist()


def _leave_out_contradiction(state: _State, same: Sequence[int]) -> None:
    """All copies of a file that has several labels."""
    labels = state.items.labels
    what = "with another number" if state.dataset.kind == NUMBER else "under another label"
    for i in same:
        other = state.path(next(j for j in same if labels[j] != labels[i]))
        state.leave_out(i, "copy-two-labels", f"the same file as {other}, {what}")


def _leave_out_near_copies(state: _State, groups: Rows) -> None:
    """Training images that nearly copy a held-out one, so that no group is on both sides.

    Where a group has a pinned image, which is trained on come what may, its held-out ones go
    instead. No class is emptied for it: of one that would be, all stay.
    """
    if not state.dataset.held_out:
        return
    kept = state.kept()
    pinned = _first_of_group(groups, kept[state.pinned[kept]])[groups]
    for i in kept[(pinned[kept] >= 0) & state.held[kept]].tolist():
        path = state.path(pinned[i])
        detail = f"nearly the same picture as {path}, which was corrected and is trained on"
        state.leave_out(i, "copy-of-corrected", detail)
    kept = state.kept()
    held = _first_of_group(groups, kept[state.held[kept]])[groups]
    copies = kept[(held[kept] >= 0) & ~state.held[kept]]
    for i in _without_emptying(state, copies).tolist():
        detail = f"nearly the same picture as {state.path(held[i])}, which is held out"
        state.leave_out(i, "copy-of-held-out", detail)


def _first_of_group(groups: Rows, rows: Rows) -> Rows:
    """Return the first of ``rows`` in each group by its number; -1 where it has none of them."""
    first = np.full(int(groups.max(initial=-1)) + 1, -1)
    first[groups[rows[::-1]]] = rows[::-1]
    return first


def _without_emptying(state: _State, copies: Rows) -> Rows:
    """Those of the training images that can go; none of a class that would have too few left."""
    kept = state.kept()
    trained, going = state.of_class(kept[~state.held[kept]]), state.of_class(copies)
    emptied = (going > 0) & (trained - going < LEAST) & (trained >= LEAST)
    state.spared.update(
        {state.has.names[code]: int(going[code]) for code in np.flatnonzero(emptied)}
    )
    return copies[~state.has.having(emptied, copies)]


def _leave_out_all_but_one(state: _State, groups: Rows) -> None:
    """All near copies of a picture but one: a pinned one stays first, then a held-out one."""
    kept = state.kept()
    order = kept[np.lexsort((kept, ~state.held[kept], ~state.pinned[kept]))]
    stays = _first_of_group(groups, order)[groups]
    copies = kept[stays[kept] != kept]
    trained = _without_emptying(state, copies[~state.held[copies]])
    for i in sorted([*trained.tolist(), *copies[state.held[copies]].tolist()]):
        state.leave_out(i, "near-copy", f"nearly the same picture as {state.path(stays[i])}")


def _alike(state: _State) -> Likeness:
    """Return what looks alike among the items; what is left out already is like nothing."""
    kept = state.kept()
    one = state.dataset.kind == ONE  # else an image is in no class that would be crowded
    labels = state.items.labels.codes[kept].astype(np.int64) if one else np.zeros_like(kept)
    found = alike(state.facts, labels, kept)
    groups, near = np.arange(len(state.items)), np.zeros(len(state.items), bool)
    groups[kept], near[kept] = kept[found.groups], found.near
    return Likeness(groups, near, found.crowded)


def _classes(dataset: Dataset) -> tuple[str, ...]:
    """Return what images are called alike in: their classes, or the whole set."""
    return dataset.classes if dataset.kind == ONE else (dataset.name,)


def _leave_out_small_classes(state: _State) -> None:
    """Classes with fewer than two images to train on, their held-out images too.

    Of several labels those are not learnt (`regraft.data.targets.learnable`); the images stay.
    """
    if state.dataset.kind != ONE:
        return
    kept = state.kept()
    usable = state.of_class(kept[~state.held[kept]])
    where = "to train on" if state.dataset.held_out else "usable"
    for i in kept[usable[state.items.labels.codes[kept]] < LEAST].tolist():
        label = state.items.labels[i]
        count = usable[state.items.labels.codes[i]]
        detail = f"class {label!r} has {count} {where}; a class needs {LEAST}"
        state.leave_out(i, "class-too-small", detail)


def _skipped(dataset: Dataset) -> Iterable[LeftOut]:
    """Yield what the reader found beside the images."""
    for path, why in dataset.skipped:
        reason = next((code for start, code in _SKIPPED.items() if why.startswith(start)), "")
        yield LeftOut(path, reason or NOT_BY_NAME, why)
