"""Tables of paths and labels: CSV and Parquet."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from regraft.data.dataset import REPEATED, Dataset, Item, clean_label, some
from regraft.data.kinds import NUMBER, ONE, SEPARATOR, SEVERAL, Kind
from regraft.data.readers.columns import (
    UNNAMED,
    Columns,
    NamedColumns,
    columns_of,
    plain,
    splits_by_columns,
)
from regraft.data.readers.labels import IN_LISTS, taken
from regraft.data.readers.layout import is_image
from regraft.data.readers.streams import Files
from regraft.data.readers.table_rows import TableRow, read_table, text_of
from regraft.errors import DataError


def open_table(path: Path, named: NamedColumns = UNNAMED) -> Dataset:
    """Return the set of a table with columns path, label and perhaps split.

    Where no path leads to a file, files of those names, with any image's suffix, are looked for
    in the folders below the table. A row that repeats another is skipped and named. Files that are
    missing stay, to be named by the audit, unless all are.

    Raises:
        DataError: no such columns, rows without a path or label, splits of unknown names, one file
            under two labels or splits, split columns that
            contradict each other, or no file where the table says; all of it is named.
    """
    table = read_table(path, partial(columns_of, named=named, seek=True), named.kind)
    if not table.rows:
        raise DataError(f"'{path}' has no rows.", ["there must be a row for each image"])
    root = os.path.dirname(os.path.abspath(path))
    numbers, cells = [row.number for row in table.rows], [row.cells for row in table.rows]
    splits = splits_by_columns(table.columns, numbers, cells, table.values)
    parted = [replace(row, split=split) for row, split in zip(table.rows, splits.rows, strict=True)]
    rows = [_located(row, root) for row in _without_fractions(parted)]
    written = [row.path for row in rows]
    rows, ambiguous = _looked_for(rows, root)
    found = sum(row.path != path for row, path in zip(rows, written, strict=True))
    told = taken([row.label for row in rows], named.kind)
    rows = [replace(row, label=label) for row, label in zip(rows, told.labels, strict=True)]
    wrong = [f"row {rows[n].number:,} ({rows[n].path}): {why}" for n, why in told.problems]
    problems = [*_cell_problems(rows, told.kind), *some(wrong), *splits.problems, *ambiguous]
    rows, together = _together(rows) if named.kind == SEVERAL else (rows, [])
    first = _first_rows(rows)
    problems += [*_contradictions(rows, first, told.kind), *_all_missing(rows, root)]
    if problems:
        raise DataError(f"'{path}' has rows that cannot be used.", problems)
    kept = sorted(first.values(), key=lambda row: row.path)
    items = tuple(Item(row.path, text_of(row), row.split) for row in kept)
    skipped = tuple(
        (row.path, f"{REPEATED}: row {row.number:,} says what row {first[row.path].number:,} does")
        for row in rows
        if row is not first[row.path]
    )
    read = Files(root, tuple(item.path for item in items))
    located = [f"No path led to a file; {found:,} were found by name in the folders below."]
    said = [note for note in told.notes if note != IN_LISTS or not table.columns.sought]
    notes = (*located[: found > 0], *table.notes, *splits.notes, *said, *together)
    quantity = table.quantity if told.kind == NUMBER else ""
    return Dataset(path.stem, items, skipped, read, notes=notes, kind=told.kind, quantity=quantity)


def _together(rows: Sequence[TableRow]) -> tuple[list[TableRow], list[str]]:
    """Rows of one image and split as one with the labels of all, and a sentence where there are."""
    labels: dict[tuple[str, str], set[str]] = {}
    first: dict[tuple[str, str], TableRow] = {}
    for row in rows:
        key = row.path, row.split
        first.setdefault(key, row)
        labels.setdefault(key, set()).update(text_of(row).split(SEPARATOR))
    joined = [
        replace(row, label=SEPARATOR.join(sorted(labels[key] - {""}))) for key, row in first.items()
    ]
    more = len(rows) - len(joined)
    said = f"{more:,} rows name an image again, which has the labels of all its rows."
    return joined, [said] if more else []


def _for_corrections(path: Path, names: Sequence[str]) -> Columns:
    """Return the columns of a table of corrections: in place of the splits, what a person wrote."""
    found, by_name = columns_of(path, names), {plain(name): name for name in reversed(names)}
    written = [by_name[name] for name in (CORRECTION,) if name in by_name]
    if not written and SUGGESTION in by_name:  # the labels are what a person writes
        return replace(found, label=by_name[SUGGESTION], splits=(found.label,), others=())
    return replace(found, splits=tuple(written), others=())


CORRECTION = "correction"
"""Column for the right labels, beside labels that look wrong; a person fills it in."""

SUGGESTION = "suggestion"
"""Column for what an image looks like. Without :data:`CORRECTION` beside it the table names images
to be labelled, and a person fills in their labels."""


class Correction(NamedTuple):
    """A path as it stands in a table of corrections, with its right label.

    ``was``: the label beside the right one, where the table has a column :data:`CORRECTION`; there
    the right one is empty until a person has written it, and so it is beside a suggestion.
    """

    path: str
    label: str
    was: str | None = None


def corrections_of(path: Path) -> list[Correction]:
    """Return the rows of a table of corrections.

    Raises:
        DataError: it is not there or cannot be read, or a row lacks its path or label.
    """
    if not path.is_file():
        raise DataError(f"'{path}' is not there.", ["it must be a table with path and label"])
    table = read_table(path, _for_corrections)
    rows, suggested = table.rows, plain(table.columns.label) == SUGGESTION
    problems = _cell_problems(rows) if rows else ["there must be a row for each image"]
    if problems:
        raise DataError(f"'{path}' has rows that cannot be used.", problems)
    return [
        Correction(
            row.path, clean_label(row.cells[0]), None if suggested else clean_label(text_of(row))
        )
        if row.cells
        else Correction(row.path, clean_label(text_of(row)))
        for row in rows
    ]


# --- rows ----------------------------------------------------------------------------------------


def _without_fractions(rows: Sequence[TableRow]) -> Sequence[TableRow]:
    """Labels 3.0 become 3 where all labels are like that: whole numbers that passed as floats."""
    texts = [row.label if isinstance(row.label, str) else "" for row in rows]
    if all(text.endswith(".0") and text[:-2].lstrip("-").isdecimal() for text in texts):
        return [replace(row, label=text[:-2]) for row, text in zip(rows, texts, strict=True)]
    return rows


def _located(row: TableRow, root: str) -> TableRow:
    """Return the path as it is shown and read.

    Posix, and relative where it lies in the table's folder.
    """
    path = row.path
    if not path or not os.path.exists(os.path.join(root, path)):
        path = path.replace("\\", "/")  # written on Windows
    if os.path.isabs(path):
        path = os.path.normpath(path)
        path = path.removeprefix(os.path.join(root, ""))
    elif path:
        path = os.path.normpath(path)
    return replace(row, path=Path(path).as_posix() if path else "")


def _looked_for(rows: list[TableRow], root: str) -> tuple[list[TableRow], list[str]]:
    """Rows whose paths are ids, or names without their folder, with the paths of those files.

    Only where no path leads to a file. Also what is wrong: ids of several files.
    """
    if any(row.path and os.path.isfile(os.path.join(root, row.path)) for row in rows):
        return rows, []
    files: dict[str, list[str]] = {}
    for folder, _, names in os.walk(root):
        for name in filter(is_image, names):
            inside = Path(os.path.relpath(os.path.join(folder, name), root)).as_posix()
            bare = inside.rpartition(".")[0]
            for key in {inside, bare, name, name.rpartition(".")[0]}:
                files.setdefault(key, []).append(inside)
    found = [files.get(row.path, []) for row in rows]
    several = [
        f"row {row.number:,}: {row.path} stands for {len(some_of):,} files, {some_of[0]} and "
        f"{some_of[1]}; write more of the path, or move the others out"
        for row, some_of in zip(rows, found, strict=True)
        if len(some_of) > 1
    ]
    pairs = zip(rows, found, strict=True)
    return [replace(row, path=one[0]) if one else row for row, one in pairs], some(several)


# --- mistakes ------------------------------------------------------------------------------------


def _first_rows(rows: Sequence[TableRow]) -> dict[str, TableRow]:
    """Return the first row of each path."""
    first: dict[str, TableRow] = {}
    for row in rows:
        first.setdefault(row.path, row)
    return first


def _cell_problems(rows: Sequence[TableRow], kind: Kind = ONE) -> list[str]:
    """Cells too many, and cells that must not be empty and are; of several labels none may be."""
    surplus = [
        f"row {row.number:,} has more cells than the table has columns; put quotes around cells "
        "that hold the separator"
        for row in rows
        if row.surplus
    ]
    no_path = [f"row {row.number:,} has no path" for row in rows if not row.path]
    no_label = [
        f"row {row.number:,} ({row.path}) has no label"
        for row in rows
        if kind == ONE and not clean_label(text_of(row))
    ]
    return [*some(surplus), *some(no_path), *some(no_label)]


def _contradictions(rows: Sequence[TableRow], first: dict[str, TableRow], kind: Kind) -> list[str]:
    """Rows that say of a file what an earlier row denies."""
    what = "one number" if kind == NUMBER else "one label; or, by --labels several, all of them"
    pairs = [(row, first[row.path]) for row in rows if row.path and row is not first[row.path]]
    labels = [
        f"row {row.number:,} calls {row.path} {row.label!r}, row {other.number:,} {other.label!r}: "
        f"an image has {what}"
        for row, other in pairs
        if row.label != other.label
    ]
    splits = [
        f"row {row.number:,} puts {row.path} into {row.split!r}, row {other.number:,} into "
        f"{other.split!r}: an image is in one split"
        for row, other in pairs
        if row.split != other.split
    ]
    return [*some(labels), *some(splits)]


def _all_missing(rows: Sequence[TableRow], root: str) -> list[str]:
    """Said where not a single path leads to a file."""
    paths = [row.path for row in rows if row.path]
    if not paths or any(os.path.isfile(os.path.join(root, path)) for path in paths):
        return []
    return [
        f"none of its {len(paths):,} paths leads to a file, the first {paths[0]!r}; "
        f"paths are taken from the table's own folder, '{root}'"
    ]
