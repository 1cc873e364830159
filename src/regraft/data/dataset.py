"""A Dataset: named images, each with a label, several or a number, perhaps already split.

It holds an index and a way to read the bytes of one image; pixels are read when they are needed.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.items import Item as Item  # where it was, and is looked for
from regraft.data.items import Items as Items
from regraft.data.kinds import NUMBER, ONE, SEPARATOR, SEVERAL, Kind, asked_for
from regraft.errors import DataError

MAX_BYTES: Final = 1 << 30  # a file larger than this is no photo, and is not read
OUTSIDE: Final = "an image outside any class folder"
EMPTY_CLASS: Final = "a class folder without images"
REPEATED: Final = "a repeated row"
DAMAGED: Final = "damaged in its shard"
NO_LABEL: Final = "no label"
TWICE: Final = "repeated in its shard"
_UNSEEN: Final = dict.fromkeys(
    (0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)
# Between letters that are no ASCII, joiners make one emoji of several, or part Persian words.
_JOINERS: Final = re.compile(
    r"(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f\u200c\u200d])"
)
SHOWN: Final = 10  # of each kind of problem that an error lists one by one


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images by index, sorted by path.

    ``skipped``: (path, reason) of what was found beside the images. ``read(i)`` gives the bytes of
    image i, or raises OSError where it is missing or may not be read. ``pinned``: paths that are
    never held out. ``notes``: sentences on what was taken how, or not used, for people to know.
    """

    name: str
    items: Sequence[Item]
    skipped: tuple[tuple[str, str], ...]
    read: Callable[[int], bytes] = field(repr=False)
    pinned: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    table: Path | None = None
    """Where the images are listed, if they are in a table; its other columns may group them."""
    order: NDArray[np.int64] | None = None
    """In which order [images] reading them all is cheap; as they come, where None."""
    check: bool = False
    """Whether files are read that look unchanged, too; else their size and times are believed."""
    kind: Kind = ONE
    """What ``Item.label`` holds: ``one`` label, ``several``, sorted, with ``|`` between them ('':
    none of them), or a ``number``."""
    quantity: str = ""
    """What the number is called, where it is one; '' where that is not known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", Items.of(self.items))

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.items)

    @property
    def columns(self) -> Items:
        """The items, column by column."""
        return Items.of(self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        """The label names of all splits, sorted; of numbers, what they are called."""
        texts = self.columns.labels.different
        if self.kind == SEVERAL:
            names = {name for text in texts for name in text.split(SEPARATOR)}
            return tuple(sorted(names - {""}))
        return (self.quantity or "value",) if self.kind == NUMBER else texts

    @cached_property
    def held_out(self) -> str:
        """Which of the data's own splits is held out: test, else val, else none ('')."""
        splits = self.columns.splits.different
        return next((split for split in ("test", "val") if split in splits), "")

    def holds_out(self, item: Item) -> bool:
        """Return whether an image is in that split."""
        return bool(self.held_out) and item.split == self.held_out

    @property
    def held(self) -> NDArray[np.bool_]:
        """Which images are in that split, ``[n]``."""
        return self.columns.splits.are(self.held_out or "none")

    def lies_in(self, index: int) -> str:
        """Return the shard that image ``index`` lies in; '' where it is a file of its own."""
        find = getattr(self.read, "lies_in", None)
        return "" if find is None else str(find(index))

    def stamp(self, index: int) -> str:
        """Return by what image ``index`` is known as unchanged; '' where it has to be read."""
        find = getattr(self.read, "stamp", None)
        return "" if find is None else str(find(index))

    @classmethod
    def open(
        cls,
        source: "str | os.PathLike[str] | Dataset | Any",
        *,
        path_column: str | None = None,
        label_column: str | None = None,
        labels: str | None = None,
        target: str | None = None,
        check: bool = False,
    ) -> "Dataset":
        """Return the data set of class folders, a table, an archive or shards.

        ``source`` may also be a list of tars or of Parquet files with images, a ``Dataset`` or
        ``DatasetDict`` of the library datasets, or a Dataset, which is given as it is. The columns
        are those of a table, of Parquet files or of a .json in shards, where other than usual names
        have paths (or images) and labels. ``labels``: ``one`` an image, or ``several``; ``target``:
        ``number``; without either the data tells. With ``check`` every file is read, also one that
        by its size and times is what it was when the cache noted its content.

        Raises:
            DataError: it is not there, or is none of these; every mistake in it is named.
            UsageError: ``labels`` and ``target`` contradict each other, or say something else.
        """
        kind = asked_for(labels, target)
        if isinstance(source, Dataset):
            return replace(source, check=True) if check and not source.check else source
        from regraft.data.readers import open_source
        from regraft.data.readers.columns import NamedColumns

        found = open_source(source, NamedColumns(path_column or "", label_column or "", kind))
        return replace(found, check=check)

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[Any] | NDArray[Any],
        labels: Iterable[object],
        *,
        names: Sequence[str] | None = None,
        several: bool | None = None,
        target: str | None = None,
    ) -> "Dataset":
        """Pictures in memory and their labels.

        Args:
            images: an array [n, height, width], or with channels last, of 0..255, or of floats in
                0..1; or a sequence of such pictures, or of PIL images, of any sizes.
            labels: one for each; or several: lists of names, texts with ``|`` between them, or an
                array [n, K] of 0 and 1; or, with ``target="number"``, numbers.
            names: of the K columns, or what labels that are numbers are places in.
            several: whether an image has several labels, instead of what the labels tell.
            target: ``number`` estimates it.

        Raises:
            DataError: the lengths differ, or pictures or labels cannot be used; all are named.
            UsageError: ``several`` and ``target`` contradict each other.
        """
        from regraft.data.readers.memory import from_arrays

        labelled = None if several is None else SEVERAL if several else ONE
        return from_arrays(images, labels, names or (), asked_for(labelled, target))

    @classmethod
    def from_torch(
        cls,
        torch_dataset: Any,
        classes: Sequence[str] | None = None,
        *,
        several: bool | None = None,
        target: str | None = None,
    ) -> "Dataset":
        """Any sized, indexable set of (picture, label) pairs, such as torch's and torchvision's.

        A picture is a PIL image, an array, or a tensor with channels first. A whole-numbered label
        is a place in ``classes``, by default in ``torch_dataset.classes``; without either it is
        itself the name. A list of labels, or 0 and 1 for each of ``classes``, are several; see
        `from_arrays` for ``several`` and ``target``.

        Raises:
            DataError: its pictures or labels cannot be used, or change from reading to reading.
            UsageError: ``several`` and ``target`` contradict each other.
        """
        from regraft.data.readers.pairs import from_torch

        labelled = None if several is None else SEVERAL if several else ONE
        return from_torch(torch_dataset, classes, asked_for(labelled, target))


def read_file(path: str | Path) -> bytes:
    """Return the bytes of a file.

    OSError where there is none, or where it is larger than any photo.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"more than {MAX_BYTES >> 20:,} MiB: no photo is that large")
    return data


def some(problems: Sequence[str]) -> list[str]:
    """Return the first problems of a kind, and how many more there are."""
    return few(problems, SHOWN, "... and {:,} more like that")


def few(names: Sequence[str], most: int, more: str = "... and {:,} more") -> list[str]:
    """Return the first names; a last one says how many more there are, where there are more."""
    rest = len(names) - most
    return [*names[:most], *([more.format(rest)] if rest > 0 else [])]


def listed(names: Sequence[str], most: int, more: str = " and {} more") -> str:
    """Return the same as a part of a sentence."""
    shown = few(names, most, more)
    return ", ".join(shown[:most]) + "".join(shown[most:])


def quoted(names: Sequence[str]) -> str:
    """Names in quotes, the first ten of them."""
    return listed([repr(name) for name in names], 10, " and {:,} more")


def label_names(labels: Iterable[object]) -> list[str]:
    """Labels as text: whole numbers without a point, so 3.0 and 3 are both '3'.

    Raises:
        DataError: labels that are empty, missing or no single value.
    """
    names = [label_name(label) for label in labels]
    wrong = [f"label {i} is empty or no single value" for i, name in enumerate(names) if not name]
    if wrong:
        raise DataError("Each image needs one label, a text or a number.", some(wrong))
    return names


def label_name(label: object) -> str:
    """One label as text; empty where it is missing (None, nan, '') or no single value."""
    try:
        value = label.item() if hasattr(label, "item") else label
    except (RuntimeError, TypeError, ValueError):  # several values
        return ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.0f}" if value.is_integer() else repr(value)
    return clean_label(str(value)) if isinstance(value, str | int) else ""


def clean_label(name: str) -> str:
    """Return a label as it is compared: what cannot be seen makes no other class.

    Composed and decomposed accents are the same, and so are all kinds of spaces; those around it
    go, and characters without width (a byte order mark, soft hyphens, marks of direction; joiners
    where they join nothing).
    """
    text = unicodedata.normalize("NFC", name)
    seen = _JOINERS.sub("", text.translate(_UNSEEN))
    return "".join(" " if unicodedata.category(sign) == "Zs" else sign for sign in seen).strip()


def twins(names: Iterable[str]) -> list[str]:
    """Return a sentence for the labels that were written in ways that only differ unseen."""
    ways = defaultdict(set)
    for name in names:
        ways[clean_label(name)].add(name)
    several = [sorted(written) for _, written in sorted(ways.items()) if len(written) > 1]
    shown = [" and ".join(map(ascii, written)) for written in several]
    return [f"Labels that look the same are one: {', '.join(some(shown))}."] if shown else []
