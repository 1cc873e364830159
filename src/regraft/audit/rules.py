"""The rules of the audit, one after another: why an image is not used."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.dataset import EMPTY_CLASS, OUTSIDE, REPEATED, Dataset, held_out_split
from regraft.images import Facts
from regraft.images.likeness import near_groups

LEAST: Final = 2  # images that a class needs to be learnt and checked
NOT_BY_NAME: Final = "not-an-image-file"  # never an error, not even under strict
_SKIPPED: Final = {OUTSIDE: "no-class", EMPTY_CLASS: "empty-class", REPEATED: "repeated-row"}


@dataclass(frozen=True)
class LeftOut:
    """A path that is not used. ``reason``: a code. ``detail``: the same in words."""

    path: str
    reason: str
    detail: str


def apply_rules(
    dataset: Dataset, facts: Sequence[Facts]
) -> tuple[list[int], tuple[LeftOut, ...], NDArray[np.int64]]:
    """Indices of the items kept, everything left out by path, and the groups of the kept."""
    state = _State(dataset, facts)
    _leave_out_problems(state)
    _leave_out_copies(state)
    groups = _leave_out_near_copies(state)
    _leave_out_small_classes(state)
    kept = state.kept()
    left_out = sorted([*state.left_out.values(), *_skipped(dataset)], key=lambda e: e.path)
    return kept, tuple(left_out), np.unique(groups[kept], return_inverse=True)[1]


class _State:
    """What has been left out so far."""

    def __init__(self, dataset: Dataset, facts: Sequence[Facts]) -> None:
        if len(facts) != len(dataset.items):
            raise ValueError(f"{len(dataset.items)} items need as many facts, got {len(facts)}")
        self.items = dataset.items
        self.facts = facts
        self.left_out: dict[int, LeftOut] = {}
        self.held = held_out_split(dataset.items)
        self.pinned = dataset.pinned

    def leave_out(self, index: int, reason: str, detail: str) -> None:
        self.left_out[index] = LeftOut(self.items[index].path, reason, detail)

    def kept(self) -> list[int]:
        return [i for i in range(len(self.items)) if i not in self.left_out]

    def is_held(self, index: int) -> bool:
        return bool(self.held) and self.items[index].split == self.held

    def is_pinned(self, index: int) -> bool:
        return self.items[index].path in self.pinned


def _leave_out_problems(state: _State) -> None:
    """Files that are no usable image."""
    for i, facts in enumerate(state.facts):
        if facts.problem:
            state.leave_out(i, facts.problem, facts.detail)


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


def _leave_out_near_copies(state: _State) -> NDArray[np.int64]:
    """Training images that nearly copy a held-out one; gives the group of every item.

    Near copies of near copies count too, so that no group is on both sides. Where a group has a
    pinned image, which is trained on come what may, its held-out ones go instead.
    """
    kept = state.kept()
    groups = _groups(state, kept)
    if not state.held:
        return groups
    pinned = {groups[i]: i for i in reversed(kept) if state.is_pinned(i)}
    for i in kept:
        if groups[i] in pinned and state.is_held(i):
            path = state.items[pinned[groups[i]]].path
            detail = f"nearly the same picture as {path}, which was corrected and is trained on"
            state.leave_out(i, "copy-of-corrected", detail)
    kept = state.kept()
    held = {groups[i]: i for i in reversed(kept) if state.is_held(i)}
    for i in kept:
        if groups[i] in held and not state.is_held(i):
            path = state.items[held[groups[i]]].path
            detail = f"nearly the same picture as {path}, which is held out"
            state.leave_out(i, "copy-of-held-out", detail)
    return groups


def _groups(state: _State, kept: Sequence[int]) -> NDArray[np.int64]:
    """The group of every item: of near copies the same; -1 for what is left out already."""
    hashes = np.array([state.facts[i].phash for i in kept], dtype=np.uint64)
    thumbs = np.frombuffer(b"".join(state.facts[i].thumb for i in kept), dtype=np.uint8)
    groups = np.full(len(state.items), -1)
    groups[kept] = near_groups(hashes, thumbs.reshape(len(kept), 256))
    return groups


def _leave_out_small_classes(state: _State) -> None:
    """Classes with fewer than two images to train on, their held-out images too."""
    kept = state.kept()
    usable = Counter(state.items[i].label for i in kept if not state.is_held(i))
    where = "to train on" if state.held else "usable"
    for i in kept:
        label = state.items[i].label
        if usable[label] < LEAST:
            detail = f"class {label!r} has {usable[label]} {where}; a class needs {LEAST}"
            state.leave_out(i, "class-too-small", detail)


def _skipped(dataset: Dataset) -> Iterable[LeftOut]:
    """What the reader found beside the images."""
    for path, why in dataset.skipped:
        reason = next((code for start, code in _SKIPPED.items() if why.startswith(start)), "")
        yield LeftOut(path, reason or NOT_BY_NAME, why)
