"""A folder of images with their labels in ``metadata.csv`` or ``.jsonl``, an ``imagefolder``.

Or in ``_classes.csv``, with a column of 0 and 1 for each label, as Roboflow writes it. A table
lies at the top or in each folder of a split, and its ``file_name`` counts from there.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from regraft.data.dataset import NO_LABEL, Dataset, Item
from regraft.data.kinds import SEVERAL
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.streams import Files
from regraft.data.readers.table import open_table
from regraft.data.readers.words import splits_of

_NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


def is_metadata(name: str) -> bool:
    """Return whether a file is called like such a table."""
    return name.rpartition("/")[2].lower() in _NAMES


def open_metadata(
    path: Path,
    tables: Sequence[str],
    images: Sequence[str],
    named: NamedColumns = UNNAMED,
) -> Dataset:
    """Return the images of a folder by its tables; ``images`` are all that lie in it.

    Images that are in no table are left out and named. Where a table has no split of its own, the
    folders at the top that are called after splits are.

    Raises:
        DataError: a table cannot be used; see `regraft.data.readers.table.open_table`.
    """
    items, skipped, notes = list[Item](), list[tuple[str, str]](), list[str]()
    opened = [open_table(path / name, named) for name in tables]
    kinds = {found.kind for found in opened}
    if len(kinds) > 1:  # of one table alone each image may happen to have one label
        opened = [open_table(path / name, named._replace(kind=SEVERAL)) for name in tables]
    for name, found in zip(tables, opened, strict=True):
        inside = name.rpartition("/")[0]
        places = {item.path: _placed(inside, item.path) for item in found.items}
        items += [replace(item, path=places[item.path]) for item in found.items]
        skipped += [(_placed(inside, entry), why) for entry, why in found.skipped]
        notes += [note for note in found.notes if note not in notes]
    tops = {item.path.partition("/")[0] for item in items if "/" in item.path}
    splits = splits_of(tops)
    if not any(item.split for item in items) and tops == set(splits):
        items = [replace(i, split=splits.get(i.path.partition("/")[0], "")) for i in items]
    items.sort(key=lambda item: item.path)
    known = {item.path for item in items}
    skipped += [(n, f"{NO_LABEL}: it is in no {tables[0]}") for n in images if n not in known]
    read = Files(os.path.abspath(path), tuple(item.path for item in items))
    taken = f"The labels are those in {', '.join(tables)}."
    return Dataset(
        Path(os.path.abspath(path)).name,
        tuple(items),
        tuple(sorted(skipped)),
        read,
        notes=(taken, *notes),
        kind=opened[0].kind,
        quantity=opened[0].quantity,
        table=path / tables[0] if len(tables) == 1 and "/" not in tables[0] else None,
    )


def _placed(folder: str, path: str) -> str:
    """Return a path below the folder that its table lies in."""
    return f"{folder}/{path}" if folder and not path.startswith("/") else path
