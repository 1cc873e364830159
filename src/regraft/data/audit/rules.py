"""The rules of the audit, one after another: why an image is not used."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import DAMAGED, EMPTY_CLASS, NO_LABEL, OUTSIDE, REPEATED, TWICE, Dataset
from regraft.data.images import Facts, alike
from regraft.data.images.likeness import Likeness

NearCopies = Literal["group", "keep", "drop"]
"""Copies of one capture stay on one side of every split, are as others, or only one is kept."""

LEAST: Final = 2  # images that a class needs to be learnt and checked
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
    none; ``crowded``: classes of which too many are like that. ``spared``: by class, training
    images that copy held-out ones and are kept all the same.
    """

    kept: list[int]
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
    state = _State(dataset, facts)
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
    groups = joined(copies, [item.group for item in state.items])[kept]
    return Ruled(
        kept=kept,
        left_out=tuple(left_out),
        groups=np.unique(groups, return_inverse=True)[1],
        copies=np.unique(copies[kept], return_inverse=True)[1],
        near=alike.near[kept],
        crowded=tuple(dataset.classes[number] for number in sorted(alike.crowded)),
        spared=dict(state.spared),
    )


def joined(copies: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """Group numbers [n] after those of one name (a patient, a video) have become one."""
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
    """What has been left out so far."""

    def __init__(self, dataset: Dataset, facts: Sequence[Facts]) -> None:
        if len(facts) != len(dataset.items):
            raise ValueError(f"{len(dataset.items)} items need as many facts, got {len(facts)}")
        self.dataset = dataset
        self.items = dataset.items
        self.facts = facts
        self.left_out: dict[int, LeftOut] = {}
        self.pinned = dataset.pinned
        self.spared: Counter[str] = Counter()

    def leave_out(self, index: int, reason: str, detail: str) -> None:
        self.left_out[index] = LeftOut(self.items[index].path, reason, detail)

    def kept(self) -> list[int]:
        return [i for i in range(len(self.items)) if i not in self.left_out]

    def is_held(self, index: int) -> bool:
        return self.dataset.holds_out(self.items[index])

    def is_pinned(self, index: int) -> bool:
        return self.items[index].path in self.pinned


def _leave_out_problems(state: _State) -> None:
    """Files that are no usable image."""
    for i, facts in enumerate(state.facts):
        if facts.problem:
            shard = state.dataset.lies_in(i)
            state.leave_out(i, facts.problem, facts.detail + f" (in {shard})" * bool(shard))


def _leave_out_copies(state: _State) -> None:
    """Files with the same bytes: one stays, a pinned one first, then a held-out one.

    None stays where the labels differ.
    """
    by_digest = defaultdict(list)
    for i in state.kept():
        by_digest[state.facts[i].digest].append(i)
    for same in by_digest.values():
        if len(same) == 1:
            continue
        if len({state.items[i].label for i in same}) > 1:
            _leave_out_contradiction(state, same)
            continue
        pinned = [i for i in same if state.is_pinned(i)]
        held = [] if pinned else [i for i in same if state.is_held(i)]
        stays = (pinned or held or same)[0]
        for i in same:
            if held and not state.is_held(i):
                detail = f"the same file as {state.items[stays].path}, which is held out"
                state.leave_out(i, "copy-of-held-out", detail)
            elif i != stays:
                state.leave_out(i, "exact-copy", f"the same file as {state.items[stays].path}")


def _leave_out_contradiction(state: _State, same: Sequence[int]) -> None:
    """All copies of a file that has several labels."""
    for i in same:
        label = state.items[i].label
        other = next(state.items[j] for j in same if state.items[j].label != label)
        state.leave_out(i, "copy-two-labels", f"the same file as {other.path}, under another label")


def _leave_out_near_copies(state: _State, groups: NDArray[np.int64]) -> None:
    """Training images that nearly copy a held-out one, so that no group is on both sides.

    Where a group has a pinned image, which is trained on come what may, its held-out ones go
    instead. No class is emptied for it: of one that would be, all stay.
    """
    if not state.dataset.held_out:
        return
    kept = state.kept()
    pinned = {groups[i]: i for i in reversed(kept) if state.is_pinned(i)}
    tested = [i for i in kept if groups[i] in pinned and state.is_held(i)]
    path = {i: state.items[pinned[groups[i]]].path for i in tested}
    for i in tested:
        detail = f"nearly the same picture as {path[i]}, which was corrected and is trained on"
        state.leave_out(i, "copy-of-corrected", detail)
    kept = state.kept()
    held = {groups[i]: i for i in reversed(kept) if state.is_held(i)}
    copies = [i for i in kept if groups[i] in held and not state.is_held(i)]
    for i in _without_emptying(state, copies):
        detail = (
            f"nearly the same picture as {state.items[held[groups[i]]].path}, which is held out"
        )
        state.leave_out(i, "copy-of-held-out", detail)


def _without_emptying(state: _State, copies: Sequence[int]) -> list[int]:
    """Those of the training images that can go; none of a class that would have too few left."""
    trained = Counter(state.items[i].label for i in state.kept() if not state.is_held(i))
    going = Counter(state.items[i].label for i in copies)
    emptied = {label for label in going if trained[label] - going[label] < LEAST <= trained[label]}
    state.spared.update({label: going[label] for label in emptied})
    return [i for i in copies if state.items[i].label not in emptied]


def _leave_out_all_but_one(state: _State, groups: NDArray[np.int64]) -> None:
    """All near copies of a picture but one: a pinned one stays first, then a held-out one."""
    kept = state.kept()
    order = sorted(kept, key=lambda i: (not state.is_pinned(i), not state.is_held(i), i))
    stays = {groups[i]: i for i in reversed(order)}
    copies = [i for i in kept if stays[groups[i]] != i]
    trained = _without_emptying(state, [i for i in copies if not state.is_held(i)])
    for i in sorted([*trained, *(i for i in copies if state.is_held(i))]):
        path = state.items[stays[groups[i]]].path
        state.leave_out(i, "near-copy", f"nearly the same picture as {path}")


def _alike(state: _State) -> Likeness:
    """Return what looks alike among the items; what is left out already is like nothing."""
    kept = state.kept()
    names = sorted({item.label for item in state.items})
    place = {name: number for number, name in enumerate(names)}
    labels = np.array([place[state.items[i].label] for i in kept], np.int64)
    found = alike([state.facts[i] for i in kept], labels)
    groups, near = np.arange(len(state.items)), np.zeros(len(state.items), bool)
    groups[kept], near[kept] = np.asarray(kept, np.int64)[found.groups], found.near
    return Likeness(groups, near, found.crowded)


def _leave_out_small_classes(state: _State) -> None:
    """Classes with fewer than two images to train on, their held-out images too."""
    kept = state.kept()
    usable = Counter(state.items[i].label for i in kept if not state.is_held(i))
    where = "to train on" if state.dataset.held_out else "usable"
    for i in kept:
        label = state.items[i].label
        if usable[label] < LEAST:
            detail = f"class {label!r} has {usable[label]} {where}; a class needs {LEAST}"
            state.leave_out(i, "class-too-small", detail)


def _skipped(dataset: Dataset) -> Iterable[LeftOut]:
    """Yield what the reader found beside the images."""
    for path, why in dataset.skipped:
        reason = next((code for start, code in _SKIPPED.items() if why.startswith(start)), "")
        yield LeftOut(path, reason or NOT_BY_NAME, why)
