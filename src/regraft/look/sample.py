"""The images that are looked at: drawn evenly over the classes, checked, copies left out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import View
from regraft.data.audit import LeftOut
from regraft.data.dataset import Dataset, Item, few, some
from regraft.data.images import Facts, Pixels, absent, alike, inspect
from regraft.distributed import cores
from regraft.errors import DataError, UsageError

LEAST = 6
"""Fewer usable images than this show nothing."""

_LOT = 32  # images checked at once
_NAMED = 5  # files left out that are named one by one

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Sample:
    """Images of a data set: ``square(n)`` gives the n-th as the network sees it.

    ``labels`` are places in ``classes``; ``groups`` the same number for nearly the same picture.
    ``asked``: how many were wanted.
    """

    name: str
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.intp]
    groups: NDArray[np.int64]
    left_out: tuple[LeftOut, ...]
    asked: int
    square: Callable[[int], Pixels]

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.items)

    def remarks(self) -> list[str]:
        """Say what is left out, the first few by name, and that there are fewer than asked for."""
        lines = [f"left out {each.path}: {each.detail or each.reason}" for each in self.left_out]
        lines = few(lines, _NAMED)
        if len(self) < self.asked:
            lines.append(f"{len(self):,} images are looked at; there are no more that can be used")
        return lines


def draw(
    dataset: Dataset,
    view: View,
    most: int,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> Sample:
    """Draw up to ``most`` usable images, one of each class in turn.

    A file that cannot be used, or with the same bytes as one before, gives way to the next.

    Raises:
        UsageError: a seed that is none.
        DataError: too few of them can be used.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed must be from 0 to 2**63 - 1, got {seed}.")
    kept: list[tuple[int, Facts]] = []
    left_out: list[LeftOut] = []
    first: dict[str, int] = {}
    wanted = min(most, len(dataset))
    order = iter(_order(dataset, seed))
    with ThreadPoolExecutor(cores()) as pool:
        while len(kept) < most and (lot := list(islice(order, min(_LOT, most - len(kept))))):
            found = pool.map(lambda i: _facts(dataset, i, view), lot)
            for index, facts in zip(lot, found, strict=True):
                reason = _objection(dataset, facts, first)
                if reason:
                    left_out.append(LeftOut(dataset.items[index].path, *reason))
                else:
                    first[facts.digest] = index
                    kept.append((index, facts))
            progress(min(len(kept), wanted), wanted)
    _check(dataset, kept, left_out)
    return _sample(dataset, view, sorted(kept, key=lambda pair: pair[0]), left_out, most)


def _order(dataset: Dataset, seed: int) -> Iterator[int]:
    """Every image once: one of each class in turn, in an order drawn from the seed."""
    random = np.random.default_rng(seed)
    of_class: dict[str, list[int]] = {name: [] for name in dataset.classes}
    for index in random.permutation(len(dataset)).tolist():
        of_class[dataset.items[index].label].append(index)
    names = [dataset.classes[n] for n in random.permutation(len(dataset.classes))]
    for turn in zip_longest(*(of_class[name] for name in names)):
        yield from (index for index in turn if index is not None)


def _facts(dataset: Dataset, index: int, view: View) -> Facts:
    try:
        return inspect(dataset.read(index), [view])[0]
    except OSError as error:
        return absent(error.strerror or error)


def _objection(dataset: Dataset, facts: Facts, first: dict[str, int]) -> tuple[str, str] | None:
    """Why an image is not looked at, as a code and in words; None if it is."""
    if facts.problem:
        return facts.problem, facts.detail
    if facts.digest in first:
        return "exact-copy", f"the same file as {dataset.items[first[facts.digest]].path}"
    return None


def _check(dataset: Dataset, kept: list[tuple[int, Facts]], left_out: list[LeftOut]) -> None:
    if len(kept) < LEAST:
        raise DataError(
            f"There must be at least {LEAST} images that can be used in {dataset.name!r}, "
            f"got {len(kept)}.",
            some([f"{left.path}: {left.detail or left.reason}" for left in left_out]),
        )


def _sample(
    dataset: Dataset,
    view: View,
    kept: list[tuple[int, Facts]],
    left_out: list[LeftOut],
    asked: int,
) -> Sample:
    indices = [index for index, _ in kept]
    items = tuple(dataset.items[index] for index in indices)
    classes = tuple(sorted({item.label for item in items}))

    def square(n: int) -> Pixels:
        try:
            made = inspect(dataset.read(indices[n]), [view])[1]
        except OSError as error:
            raise _gone(items[n]) from error
        if made is None:
            raise _gone(items[n])
        return made[0]

    return Sample(
        name=dataset.name,
        items=items,
        classes=classes,
        labels=np.array([classes.index(item.label) for item in items], np.intp),
        groups=alike([facts for _, facts in kept]).groups,
        left_out=tuple(left_out),
        asked=asked,
        square=square,
    )


def _gone(item: Item) -> DataError:
    return DataError(
        f"{item.path} could be read a moment ago and cannot be read now.",
        ["Leave the images alone while they are looked at."],
    )
