"""Corrections: a table of paths and right labels, put into a data set.

The table may be the ``suspects.csv`` of a RUN: there a person writes the right labels into a column
of their own, and rows without one change nothing; or the images that ``regraft next`` named, of
which those count that have got a label.

A path that is an image of the data set gives it that label, and so do the bytes of one; any other
is a new image. Either way it is trained on and never held out, for whoever corrects a mistake has
looked at it.
"""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from regraft.data.dataset import Dataset, Item, clean_label, label_name, read_file, some
from regraft.data.kinds import NUMBER, SEPARATOR, SEVERAL, Kind
from regraft.data.readers.labels import number
from regraft.data.readers.table import CORRECTION, corrections_of
from regraft.errors import DataError


@dataclass(frozen=True, eq=False)
class Corrected:
    """The data set after the corrections, and the one before them.

    ``before`` has the old labels, and lacks the images that were held out until they were
    corrected. ``relabelled``, ``confirmed`` (they had that label already) and ``added`` are the
    paths of what was corrected, sorted.
    """

    after: Dataset
    before: Dataset
    relabelled: tuple[str, ...]
    confirmed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def named(self) -> str:
        """What was corrected, in words."""
        images = "image" if len(self.relabelled) == 1 else "images"
        confirmed = f"{len(self.confirmed):,} confirmed, " if self.confirmed else ""
        return f"{len(self.relabelled):,} {images} relabelled, {confirmed}{len(self.added):,} added"

    @property
    def paths(self) -> frozenset[str]:
        """All of what was corrected."""
        return frozenset((*self.relabelled, *self.confirmed, *self.added))


def correct(dataset: Dataset, table: Path, root: Path) -> Corrected:
    """Put a table of corrections (columns path and label) into a data set.

    Args:
        dataset: what is corrected.
        table: a CSV or Parquet file. Where it has a column ``correction``, as ``suspects.csv`` of a
            RUN has, the right labels are those in it, and rows without one change nothing. A path
            in it counts from the table's folder, else from ``root``; its end, such as a bare file
            name, also stands for the one image of the data set whose path ends so. Back slashes
            part folders, as on Windows. Of several labels those in a row are all that the image
            has; ``|`` alone stands for none.
        root: the folder that the data set's own paths count from.

    Raises:
        DataError: the table cannot be read, names files that are not there, or one twice with
            different labels, or has labels of another kind than the data.
    """
    places = _places(dataset, table, root)
    own, new, problems = dict[str, str](), dict[str, str](), list[str]()
    labels = {item.path: item.label for item in dataset.items}
    classes = frozenset(dataset.classes)
    rows = corrections_of(table)
    for path, label, was in rows:
        known, found = places(path)
        if not label:  # nobody has written into this row, or else into the wrong column
            has = labels[found[0]] if was is not None and known and len(found) == 1 else was
            problems += [] if has == was else [f"{path}: is {has!r} in the data, {was!r} {_BESIDE}"]
            continue
        if len(found) != 1:
            problems.append(f"{path}: {_no_place(found)}")
            continue
        label, wrong = _of_kind(label, dataset.kind, classes)
        if wrong:
            problems.append(f"{path}: {wrong}")
            continue
        target = own if known else new
        if target.setdefault(found[0], label) != label:
            problems.append(f"{path}: has two labels, {target[found[0]]!r} and {label!r}")
    if not problems and not own and not new:
        column = "label" if all(row.was is None for row in rows) else CORRECTION
        problems.append(f"no right label is written into the column {column!r} yet")
    if not problems:
        problems += _spread(dataset, own, new)
    if problems:
        raise DataError(f"'{table}' has corrections that cannot be used.", some(problems))
    return _put(dataset, own, new, table.parent)


_BESIDE = f"beside an empty {CORRECTION!r}: write a right label into that column"


def _of_kind(label: str, kind: Kind, classes: frozenset[str]) -> tuple[str, str]:
    """Return a right label as the data has its own, and what is wrong with it."""
    names = {clean_label(name) for name in label.split(SEPARATOR)} - {""}
    if kind == SEVERAL:
        return SEPARATOR.join(sorted(names)), ""
    if kind == NUMBER:
        value = number(label)
        wrong = f"{label!r} is no number, as the labels of the data are"
        return ("", wrong) if value is None else (label_name(value), "")
    if len(names) > 1 and names <= classes:
        return label, f"{label!r} are several labels, and images of the data have one"
    return label, ""


def _no_place(found: list[str]) -> str:
    if not found:
        return "no such file beside the table, and no such image in the data"
    return f"stands for {len(found):,} images of the data, {found[0]} and others: write more of it"


def _places(dataset: Dataset, table: Path, root: Path) -> Callable[[str], tuple[bool, list[str]]]:
    """Where a path of the table leads: (True, paths of items) or (False, files)."""
    own = {item.path for item in dataset.items}
    by_name: dict[str, list[str]] = {}
    for path in sorted(own):
        by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def place(path: str) -> tuple[bool, list[str]]:
        known, found = as_written(path)
        windows = posixpath.normpath(path.replace("\\", "/"))
        return (known, found) if found or windows == path else as_written(windows)

    def as_written(path: str) -> tuple[bool, list[str]]:
        beside = table.parent / path
        for file, folder in ((beside, root), (beside.resolve(), root.resolve())):
            inside = Path(os.path.relpath(file, folder)).as_posix()
            if inside in own:
                return True, [inside]
        if path in own:
            return True, [path]
        if beside.is_file():
            return False, [str(beside)]
        same = by_name.get(path.rpartition("/")[2], [])
        return True, [name for name in same if f"/{name}".endswith(f"/{path}")]

    return place


def _spread(dataset: Dataset, own: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    """Correct every image of the data with the same bytes too; gives what contradicts itself.

    A new file that is one of them is none: a person may have corrected a copy of it.
    """
    labels: dict[bytes, str] = {}
    digests = {item.path: _digest(dataset, n) for n, item in enumerate(dataset.items)}
    files = {file: hashlib.sha256(read_file(file)).digest() for file in new}
    for path, label in (*own.items(), *new.items()):
        digest = digests.get(path) or files.get(path)
        if digest and labels.setdefault(digest, label) != label:
            yield f"{path}: has two labels, {labels[digest]!r} and {label!r}"
    own |= {path: labels[digest] for path, digest in digests.items() if digest in labels}
    known = set(digests.values())
    for file in [file for file, digest in files.items() if digest in known]:
        del new[file]


def _digest(dataset: Dataset, index: int) -> bytes:
    """Of an image's bytes; empty where they cannot be read, which the audit names."""
    try:
        return hashlib.sha256(dataset.read(index)).digest()
    except OSError:
        return b""


def _put(
    dataset: Dataset, own: Mapping[str, str], new: Mapping[str, str], folder: Path
) -> Corrected:
    old = {item.path: item.label for item in dataset.items}
    items = [_corrected(item, own) for item in dataset.items]
    split = "train" if any(item.split for item in items) else ""
    shown = {os.path.relpath(file, folder): file for file in new}
    added = {Path(name).as_posix(): file for name, file in shown.items()}
    names = {_free(name, set(old)): file for name, file in added.items()}
    whole = [*items, *(Item(name, new[file], split) for name, file in names.items())]
    order = sorted(range(len(whole)), key=lambda i: whole[i].path)
    files = list(names.values())

    def read(index: int) -> bytes:
        place = order[index] - len(items)
        return dataset.read(order[index]) if place < 0 else read_file(files[place])

    after = replace(
        dataset,
        items=tuple(whole[i] for i in order),
        read=read,
        pinned=dataset.pinned | frozenset(own) | frozenset(names),
        order=None,
    )
    relabelled = tuple(sorted(path for path, label in own.items() if label != old[path]))
    confirmed = tuple(sorted(path for path, label in own.items() if label == old[path]))
    return Corrected(after, _before(dataset, own), relabelled, confirmed, tuple(sorted(names)))


def _corrected(item: Item, own: Mapping[str, str]) -> Item:
    """Return the same with its right label, and on the training side, where the data has sides."""
    if item.path not in own:
        return item
    return replace(item, label=own[item.path], split="train" if item.split else "")


def _before(dataset: Dataset, own: Mapping[str, str]) -> Dataset:
    """Return the data set without what was held out until its correction, never trained on."""
    kept = [
        n
        for n, item in enumerate(dataset.items)
        if not (dataset.holds_out(item) and item.path in own)
    ]
    return replace(
        dataset,
        items=tuple(dataset.items[n] for n in kept),
        read=lambda index: dataset.read(kept[index]),
        pinned=dataset.pinned | frozenset(own),
        order=None,
    )


def _free(name: str, taken: set[str]) -> str:
    """Return a path that no item has."""
    return name if name not in taken else _free(f"added/{name}", taken)
