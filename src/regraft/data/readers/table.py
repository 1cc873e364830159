"""Tables of paths and labels: CSV and Parquet."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from regraft.data.dataset import REPEATED, Dataset, Item, clean_label, label_name, some, twins
from regraft.data.readers.columns import (
    FEW,
    UNNAMED,
    Columns,
    NamedColumns,
    columns_of,
    plain,
    splits_by_columns,
)
from regraft.data.readers.layout import is_image
from regraft.data.readers.streams import Files
from regraft.data.readers.words import JSON_LINES, PARQUET
from regraft.errors import DataError

Look = Callable[[Path, Sequence[str]], Columns]
"""Which columns are used, of their names."""


@dataclass(frozen=True)
class _Row:
    """A row as it stands in the table; ``number`` as people count (the header of a CSV is 1).

    ``cells``: those of the columns that may give the split.
    """

    number: int
    path: str
    label: str
    split: str = ""
    surplus: int = 0  # cells beyond the columns
    cells: tuple[str, ...] = ()


@dataclass
class _Table:
    """A table as it was read. ``values``: of the other columns, where they are few."""

    columns: Columns
    rows: list[_Row] = field(default_factory=list)
    values: dict[str, set[str]] = field(default_factory=dict)

    def see(self, name: str, value: str) -> None:
        """Note a value of another column, as long as it has few."""
        if name in self.values:
            self.values[name].add(value)
            if len(self.values[name]) > FEW:
                del self.values[name]


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
    table = _read(path, partial(columns_of, named=named))
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
    first = _first_rows(rows)
    problems = [*_cell_problems(rows), *splits.problems, *ambiguous]
    problems += [*_contradictions(rows, first), *_all_missing(rows, root)]
    if problems:
        raise DataError(f"'{path}' has rows that cannot be used.", problems)
    kept = sorted(first.values(), key=lambda row: row.path)
    items = tuple(Item(row.path, clean_label(row.label), row.split) for row in kept)
    skipped = tuple(
        (row.path, f"{REPEATED}: row {row.number:,} says what row {first[row.path].number:,} does")
        for row in rows
        if row is not first[row.path]
    )
    read = Files(root, tuple(item.path for item in items))
    located = [f"No path led to a file; {found:,} were found by name in the folders below."]
    notes = (*located[: found > 0], *splits.notes, *twins(row.label for row in rows))
    return Dataset(path.stem, items, skipped, read, notes=notes)


def _read(path: Path, look: Look = columns_of) -> _Table:
    """Return the table in a file."""
    kind = path.suffix.lower()
    if kind in JSON_LINES:
        return _json_lines(path, look)
    return _parquet(path, look) if kind in PARQUET else _csv(path, look)


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
    table = _read(path, _for_corrections)
    rows, suggested = table.rows, plain(table.columns.label) == SUGGESTION
    problems = _cell_problems(rows) if rows else ["there must be a row for each image"]
    if problems:
        raise DataError(f"'{path}' has rows that cannot be used.", problems)
    return [
        Correction(
            row.path, clean_label(row.cells[0]), None if suggested else clean_label(row.label)
        )
        if row.cells
        else Correction(row.path, clean_label(row.label))
        for row in rows
    ]


# --- rows ----------------------------------------------------------------------------------------


def _csv(path: Path, look: Look) -> _Table:
    """Return a text table with commas, semicolons or tabs between the cells."""
    number = 1
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
            table = _empty(look(path, names))
            places = [names.index(name) for name in _needed(table.columns)]
            others = {name: names.index(name) for name in table.columns.others}
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                number = reader.line_num + 1
                if any(cells):
                    table.rows.append(_row(number, cells, places, len(names)))
                    for name in list(table.values):
                        table.see(name, "".join(cells[others[name] : others[name] + 1]).strip())
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' cannot be read as text.",
            [f"it must be UTF-8 ({error.reason} at byte {error.start:,}); save it as 'CSV UTF-8'"],
        ) from error
    except csv.Error as error:
        raise DataError(
            f"'{path}' cannot be read as a CSV table.", [f"after row {number:,}: {error}"]
        ) from error
    return table


def _empty(columns: Columns) -> _Table:
    """Return a table of these columns, without rows yet."""
    return _Table(columns, values={name: set() for name in columns.others})


def _needed(columns: Columns) -> list[str]:
    """Return the columns whose cells are kept."""
    return [columns.path, columns.label, *columns.splits]


def _row(number: int, cells: Sequence[str], places: Sequence[int], width: int) -> _Row:
    """Return the row of these cells; those that are missing at its end are empty."""
    padded = [*cells, *[""] * (width - len(cells))]
    surplus = sum(cell != "" for cell in cells[width:])
    path, label, *splits = (padded[place].strip() for place in places)
    return _Row(number, path, label, surplus=surplus, cells=tuple(splits))


def _json_lines(path: Path, look: Look) -> _Table:
    """Return a table with one JSON object a line."""
    records: list[tuple[int, dict[str, Any]]] = []
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    records.append((number, dict(json.loads(line))))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"'{path}' cannot be read as lines of JSON.",
            [f"after row {records[-1][0] if records else 0:,}: {error}; each line is one {{...}}"],
        ) from error
    table = _empty(look(path, list(dict.fromkeys(name for _, one in records for name in one))))
    for number, record in records:
        needed = _needed(table.columns)
        image, label, *splits = (_text(record.get(name), path, name) for name in needed)
        table.rows.append(_Row(number, image, label, cells=tuple(splits)))
        for name in list(table.values):
            value = record.get(name)
            table.see(name, "" if isinstance(value, dict | list) else label_name(value))
    return table


def _parquet(path: Path, look: Look) -> _Table:
    """Return a Parquet table.

    Only the columns that are needed are read, and other short ones of text.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise DataError(
            f"'{path}' cannot be read: Parquet needs the package pyarrow.",
            ["install it with: pip install 'regraft[table]', or save the table as CSV"],
        ) from error
    try:
        schema = parquet.read_schema(path)
        table = _empty(look(path, schema.names))
        needed = _needed(table.columns)
        values = [parquet.read_table(path, columns=[name])[name].to_pylist() for name in needed]
        for name in table.columns.others:
            if pyarrow.types.is_string(schema.field(name).type):
                for value in parquet.read_table(path, columns=[name])[name].unique().to_pylist():
                    table.see(name, label_name(value))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a Parquet table.", [str(error)]) from error
    for number, cells in enumerate(zip(*values, strict=True), 1):
        texts = [_text(cell, path, name) for cell, name in zip(cells, needed, strict=True)]
        image, label, *splits = texts
        table.rows.append(_Row(number, image, label, cells=tuple(splits)))
    return table


def _text(cell: Any, path: Path, column: str) -> str:
    """Return a cell as text."""
    if isinstance(cell, bytes | dict | list):
        raise DataError(
            f"'{path}' has a column that cannot be used.",
            [
                f"{column!r} must hold texts or numbers, got {type(cell).__name__}; "
                "write the images as files and their paths into the table"
            ],
        )
    return cell.strip() if isinstance(cell, str) else label_name(cell)


def _without_fractions(rows: Sequence[_Row]) -> Sequence[_Row]:
    """Labels 3.0 become 3 where all labels are like that: whole numbers that passed as floats."""
    if all(row.label.endswith(".0") and row.label[:-2].lstrip("-").isdecimal() for row in rows):
        return [replace(row, label=row.label[:-2]) for row in rows]
    return rows


def _located(row: _Row, root: str) -> _Row:
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


def _looked_for(rows: list[_Row], root: str) -> tuple[list[_Row], list[str]]:
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


def _first_rows(rows: Sequence[_Row]) -> dict[str, _Row]:
    """Return the first row of each path."""
    first: dict[str, _Row] = {}
    for row in rows:
        first.setdefault(row.path, row)
    return first


def _cell_problems(rows: Sequence[_Row]) -> list[str]:
    """Cells too many, and cells that must not be empty and are."""
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
        if not clean_label(row.label)
    ]
    return [*some(surplus), *some(no_path), *some(no_label)]


def _contradictions(rows: Sequence[_Row], first: dict[str, _Row]) -> list[str]:
    """Rows that say of a file what an earlier row denies."""
    pairs = [(row, first[row.path]) for row in rows if row.path and row is not first[row.path]]
    labels = [
        f"row {row.number:,} calls {row.path} {row.label!r}, row {other.number:,} {other.label!r}: "
        "an image has one label"
        for row, other in pairs
        if clean_label(row.label) != clean_label(other.label)
    ]
    splits = [
        f"row {row.number:,} puts {row.path} into {row.split!r}, row {other.number:,} into "
        f"{other.split!r}: an image is in one split"
        for row, other in pairs
        if row.split != other.split
    ]
    return [*some(labels), *some(splits)]


def _all_missing(rows: Sequence[_Row], root: str) -> list[str]:
    """Said where not a single path leads to a file."""
    paths = [row.path for row in rows if row.path]
    if not paths or any(os.path.isfile(os.path.join(root, path)) for path in paths):
        return []
    return [
        f"none of its {len(paths):,} paths leads to a file, the first {paths[0]!r}; "
        f"paths are taken from the table's own folder, '{root}'"
    ]
