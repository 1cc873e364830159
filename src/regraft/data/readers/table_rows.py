"""The rows of tables of paths and labels, as they stand in CSV, Parquet or lines of JSON."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from regraft.data.dataset import label_name
from regraft.data.kinds import SEPARATOR, Kind
from regraft.data.readers.columns import FEW, Columns, lacks
from regraft.data.readers.labels import Label, raw_label
from regraft.data.readers.sought import Sought, sought_in
from regraft.data.readers.words import JSON_LINES, PARQUET
from regraft.errors import DataError

Look = Callable[[Path, Sequence[str]], Columns]
"""Which columns are used, of their names."""


@dataclass(frozen=True)
class TableRow:
    """A row as it stands in the table; ``number`` as people count (the header of a CSV is 1).

    ``cells``: those of the columns that may give the split.
    """

    number: int
    path: str
    label: Label
    split: str = ""
    surplus: int = 0  # cells beyond the columns
    cells: tuple[str, ...] = ()


def text_of(row: TableRow) -> str:
    """Return a row's label as text; of a list, its names with ``|`` between them."""
    return row.label if isinstance(row.label, str) else SEPARATOR.join(row.label)


@dataclass
class Table:
    """A table as it was read. ``values``: of the other columns, where they are few.

    ``sought``: looks for the labels, where no column is called after them. ``notes``, ``quantity``:
    sentences on the labels, and what they are called where they are numbers.
    """

    columns: Columns
    sought: Sought | None
    rows: list[TableRow] = field(default_factory=list)
    values: dict[str, set[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    quantity: str = ""

    def see(self, name: str, value: str) -> None:
        """Note a value of another column, as long as it has few."""
        if name in self.values:
            self.values[name].add(value)
            if len(self.values[name]) > FEW:
                del self.values[name]


def read_table(path: Path, look: Look, kind: Kind | None = None) -> Table:
    """Return the table in a file. ``kind``: what a person says that the labels are.

    Raises:
        DataError: it cannot be read, or has no column for paths or for labels.
    """
    ending = path.suffix.lower()
    read = _json_lines if ending in JSON_LINES else _parquet if ending in PARQUET else _csv
    table = read(path, look, kind)
    if table.sought is None or not table.rows:
        return replace(table, quantity=table.columns.label)
    found = table.sought.found(path)
    if found is None:
        raise lacks(path, [*dict.fromkeys((table.columns.path, *table.columns.others))])
    used = frozenset(found.columns)
    others = tuple(name for name in table.columns.others if name not in used)
    return replace(
        table,
        columns=replace(table.columns, others=others),
        rows=[replace(row, label=own) for row, own in zip(table.rows, found.labels, strict=True)],
        notes=found.notes,
        quantity=found.quantity,
    )


def _csv(path: Path, look: Look, kind: Kind | None) -> Table:
    """Return a text table with commas, semicolons or tabs between the cells."""
    number = 1
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
            table = _empty(kind, look(path, names))
            places = [names.index(name) for name in _needed(table.columns)]
            place = {name: number for number, name in reversed([*enumerate(names)])}
            others = {name: place[name] for name in table.values}
            # the one more makes it a tuple, also of one
            sought = itemgetter(*(place[name] for name in table.columns.sought), 0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                number = reader.line_num + 1
                if any(cells):
                    if table.sought is not None:
                        table.sought.add(sought([*cells, *[""] * (len(names) - len(cells))])[:-1])
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


def _empty(kind: Kind | None, columns: Columns) -> Table:
    """Return a table of these columns, without rows yet."""
    sought = sought_in(columns.sought, kind) if columns.sought else None
    others = [] if sought else columns.others
    return Table(columns, sought, values={name: set() for name in others})


def _needed(columns: Columns) -> list[str]:
    """Return the columns whose cells are kept; of labels that are sought, the path's again."""
    return [columns.path, columns.label or columns.path, *columns.splits]


def _row(number: int, cells: Sequence[str], places: Sequence[int], width: int) -> TableRow:
    """Return the row of these cells; those that are missing at its end are empty."""
    padded = [*cells, *[""] * (width - len(cells))]
    surplus = sum(cell != "" for cell in cells[width:])
    path, label, *splits = (padded[place].strip() for place in places)
    return TableRow(number, path, label, surplus=surplus, cells=tuple(splits))


def _json_lines(path: Path, look: Look, kind: Kind | None) -> Table:
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
    table = _empty(
        kind, look(path, list(dict.fromkeys(name for _, one in records for name in one)))
    )
    for number, record in records:
        needed = _needed(table.columns)
        table.rows.append(_of_cells(number, [record.get(name) for name in needed], needed, path))
        if table.sought is not None:
            sought = (record.get(name) for name in table.columns.sought)
            table.sought.add([_cell(value) for value in sought])
        for name in list(table.values):
            value = record.get(name)
            table.see(name, _cell(value))
    return table


def _parquet(path: Path, look: Look, kind: Kind | None) -> Table:
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
        table = _empty(kind, look(path, schema.names))
        needed = _needed(table.columns)
        values = [parquet.read_table(path, columns=[name])[name].to_pylist() for name in needed]
        for name in list(table.values):
            if pyarrow.types.is_string(schema.field(name).type):
                for value in parquet.read_table(path, columns=[name])[name].unique().to_pylist():
                    table.see(name, label_name(value))
        if table.sought is not None:
            for row in _batched(path, table.columns.sought):
                table.sought.add([*map(_cell, row)])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a Parquet table.", [str(error)]) from error
    for number, cells in enumerate(zip(*values, strict=True), 1):
        table.rows.append(_of_cells(number, cells, needed, path))
    return table


def _batched(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of these columns of a Parquet table, a part of it at a time."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(4096, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _of_cells(number: int, cells: Sequence[Any], columns: Sequence[str], path: Path) -> TableRow:
    """Return the row of these cells of path, label and splits."""
    image, label, *splits = zip(cells, columns, strict=True)
    own = raw_label(label[0])
    if isinstance(own, str):
        own = _text(*label, path=path)
    texts = [_text(*one, path=path) for one in splits]
    return TableRow(number, _text(*image, path=path), own, cells=tuple(texts))


def _cell(value: Any) -> str:
    """Return a cell of another column as text; '' where it is none."""
    return "" if isinstance(value, bytes | dict | list) else label_name(value)


def _text(cell: Any, column: str, path: Path) -> str:
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
