"""Corrections: a table of paths and right labels, put into a data set.

A path that is an image of the data set gives it another label; any other is a new image. Either way
it is trained on and never held out, for whoever corrects a mistake has looked at it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from regraft.dataset import Dataset, Item, read_file, some
from regraft.errors import DataError
from regraft.readers.table import pairs_of


@dataclass(frozen=True, eq=False)
class Corrected:
    """The data set after the corrections, and the one before them with the same images pinned.

    ``relabelled`` and ``added`` are the paths of what was corrected, sorted.
    """

    after: Dataset
    before: Dataset
    relabelled: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def named(self) -> str:
        """What was corrected, in words."""
        return f"{len(self.relabelled):,} images relabelled, {len(self.added):,} added"


def correct(dataset: Dataset, table: Path, root: Path) -> Corrected:
    """Put a table of corrections (columns path and label) into a data set.

    Args:
        dataset: what is corrected.
        table: a CSV or Parquet file. A path in it counts from the table's folder, else from
            ``root``; a bare file name also stands for the one image of the data set so named.
        root: the folder that the data set's own paths count from.

    Raises:
        DataError: the table cannot be read, names files that are not there, or one twice with
            different labels.
    """
    places = _places(dataset, table, root)
    own, new, problems = dict[str, str](), dict[str, str](), list[str]()
    for path, label in pairs_of(table):
        found = places(path)
        if found is None:
            problems.append(f"{path}: no such file beside the table, and no such image in the data")
            continue
        known, name = found
        target = own if known else new
        if target.setdefault(name, label) != label:
            problems.append(f"{path}: has two labels, {target[name]!r} and {label!r}")
    if problems:
        raise DataError(f"'{table}' has corrections that cannot be used.", some(problems))
    return _put(dataset, own, new, table.parent)


def _places(dataset: Dataset, table: Path, root: Path) -> Callable[[str], tuple[bool, str] | None]:
    """Where a path of the table leads: (True, an item's path), (False, a file), or nowhere."""
    own = {item.path for item in dataset.items}
    by_name: dict[str, list[str]] = {}
    for path in own:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def place(path: str) -> tuple[bool, str] | None:
        beside = table.parent / path
        inside = Path(os.path.relpath(beside, root)).as_posix()
        for name in (inside, path):
            if name in own:
                return True, name
        if beside.is_file():
            return False, str(beside)
        named = by_name.get(path, [])
        return (True, named[0]) if len(named) == 1 else None

    return place


def _put(
    dataset: Dataset, own: Mapping[str, str], new: Mapping[str, str], folder: Path
) -> Corrected:
    pinned = frozenset(own)
    before = replace(
        dataset, items=tuple(_in_training(i) if i.path in own else i for i in dataset.items)
    )
    items = [replace(i, label=own.get(i.path, i.label)) for i in before.items]
    split = "train" if any(item.split for item in items) else ""
    shown = {os.path.relpath(file, folder): file for file in new}
    added = {Path(name).as_posix(): file for name, file in shown.items()}
    names = {_free(name, {item.path for item in items}): file for name, file in added.items()}
    whole = [*items, *(Item(name, new[file], split) for name, file in names.items())]
    order = sorted(range(len(whole)), key=lambda i: whole[i].path)
    files = list(names.values())

    def read(index: int) -> bytes:
        place = order[index] - len(items)
        return dataset.read(order[index]) if place < 0 else read_file(files[place])

    after = Dataset(
        dataset.name,
        tuple(whole[i] for i in order),
        dataset.skipped,
        read,
        dataset.pinned | pinned | frozenset(names),
    )
    before = replace(before, pinned=dataset.pinned | pinned)
    return Corrected(after, before, tuple(sorted(own)), tuple(sorted(names)))


def _in_training(item: Item) -> Item:
    """The same on the training side, where the data has sides."""
    return replace(item, split="train") if item.split else item


def _free(name: str, taken: set[str]) -> str:
    """A path that no item has."""
    return name if name not in taken else _free(f"added/{name}", taken)
