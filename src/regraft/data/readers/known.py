"""What people know to belong together: by a column of a table, a folder, or part of the name."""

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from regraft.data.dataset import Dataset, clean_label, label_name, some
from regraft.data.kinds import ONE, SEPARATOR, SEVERAL
from regraft.data.readers.words import JSON_LINES, PARQUET
from regraft.errors import DataError, UsageError

COLUMNS: Final = (
    *("group", "group_id", "patient", "patient_id", "subject", "subject_id", "part", "part_id"),
    *("video", "video_id", "clip", "clip_id", "speaker", "speaker_id", "session", "session_id"),
    *("camera", "camera_id", "batch", "batch_id"),
)
"""Columns that are taken for groups unasked, in any case; of several the first here."""

FEWEST: Final = 5  # groups of a column that is taken unasked: fewer cannot be parted five ways
FOLDER: Final = "folder"
NONE: Final = "none"


def with_groups(dataset: Dataset, by: str | None) -> Dataset:
    """Return the data set with the groups that people know, and a sentence about them in its notes.

    ``by``: a column of the table, ``folder`` (the one below the class folder that holds the image),
    or a regular expression whose first group, or all that it matches, is the group's name: looked
    for in the path where it has a slash, else in the file name. ``none``: no groups. Where nothing
    is named, a column of a usual name is taken.

    Raises:
        UsageError: a pattern that cannot be, groups that part nothing, or no such column.
        DataError: the table cannot be read again.
    """
    if by == NONE:
        return replace(dataset, items=dataset.columns.in_groups("" for _ in dataset.items))
    names = [] if dataset.table is None else header(dataset.table)
    if by is None:
        return _by_usual_column(dataset, names)
    column = next((name for name in names if _same(name, by)), "")
    if column:
        return _put(dataset, _cells(dataset, column), f"the column {column!r}", by)
    if by == FOLDER:
        return _put(dataset, _folders(dataset), by, by)
    return _put(dataset, _matched(dataset, by, names), f"{by!r} in the names", by)


def _same(name: str, other: str) -> bool:
    return clean_label(name).casefold() == clean_label(other).casefold()


def _by_usual_column(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """With the groups of the first usual column that parts the images; the others are named."""
    found = [name for usual in COLUMNS for name in names if _same(name, usual)]
    unused: list[str] = []
    for column in found:
        groups = _cells(dataset, column)
        if len(set(groups) - {""}) >= FEWEST and _parts_classes(dataset, groups):
            others = [name for name in found if name != column]
            also = f" (not {_quoted(others)}; --group-by takes another)" if others else ""
            return _grouped(dataset, groups, f"the column {column!r}{also}")
        unused.append(column)
    if not unused:
        return dataset
    note = (
        f"{_quoted(unused)}: fewer than {FEWEST} values, or a class of one value, not taken for "
        f"groups of images that belong together; --group-by {unused[0]} does."
    )
    return replace(dataset, notes=(*dataset.notes, note))


def _parts_classes(dataset: Dataset, groups: Sequence[str]) -> bool:
    """Return whether every class has two groups or more.

    An image without one is a group of its own. Several labels, and numbers, are no classes.
    """
    if dataset.kind != ONE:
        return True
    inside: dict[str, set[str]] = {}
    for item, group in zip(dataset.items, groups, strict=True):
        inside.setdefault(item.label, set()).add(group or item.path)
    return all(len(found) > 1 for found in inside.values())


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _put(dataset: Dataset, groups: Sequence[str], what: str, by: str) -> Dataset:
    """With these groups, which were asked for; UsageError where they part nothing."""
    different = set(groups) - {""}
    if len(different) < 2:
        found = "no group" if not different else f"one group, {next(iter(different))!r}"
        raise UsageError(
            f"--group-by {by} parts nothing.",
            [f"there must be at least two groups, got {found} of {len(groups):,} images"],
        )
    return _grouped(dataset, groups, what)


def _grouped(dataset: Dataset, groups: Sequence[str], what: str) -> Dataset:
    alone = sum(not group for group in groups)
    rest = f"; {alone:,} images have none and are groups of their own" if alone else ""
    note = (
        f"Groups by {what}: {len(set(groups) - {''}):,}, each held out or trained on whole{rest}."
    )
    return replace(
        dataset,
        items=dataset.columns.in_groups(groups),
        notes=(*(one for one in dataset.notes if one != note), note),
    )


def _folders(dataset: Dataset) -> list[str]:
    """Return for each image the folders between its class folder and it."""
    if dataset.kind == SEVERAL:
        return [_folder(item.path, item.label.split(SEPARATOR)) for item in dataset.items]
    return [_folder(item.path, [item.label]) for item in dataset.items]


def _folder(path: str, labels: Collection[str]) -> str:
    """Return the folders between the class folder and the image; '' where there are none."""
    above = path.split("/")[:-1]
    places = [n for n, name in enumerate(above) if clean_label(name) in labels]
    return "/".join(above[places[-1] + 1 :] if places else above[-1:])


def _matched(dataset: Dataset, pattern: str, names: Sequence[str]) -> list[str]:
    """Return what the pattern finds in each path or file name; '' where it finds nothing."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--group-by {pattern} cannot be used.",
            [f"it must be a column, 'folder' or a regular expression, got {error}"],
        ) from error
    whole = "/" in pattern
    groups: list[str] = []
    hits, same = 0, dict[str, str]()
    for path in dataset.columns.paths:
        hit = compiled.search(path if whole else _file(path))
        group = "" if hit is None else (hit[1] if compiled.groups else hit[0]) or ""
        hits += hit is not None
        groups.append(same.setdefault(group, group))
    if not hits:
        first = dataset.items[0].path
        have = f"; its columns are {_quoted(names[:20])}" if names else ""
        raise UsageError(
            f"--group-by {pattern} finds nothing.",
            [f"it must match {'paths' if whole else 'file names'} such as {first!r}{have}"],
        )
    return groups


def _file(path: str) -> str:
    return path.rpartition("/")[2]


# --- columns -------------------------------------------------------------------------------------


def header(table: Path) -> list[str]:
    """Return the names of a table's columns."""
    if table.suffix.lower() in PARQUET:
        from pyarrow import parquet

        return list(parquet.read_schema(table).names)
    return next(_lines(table), [])


def _cells(dataset: Dataset, column: str) -> list[str]:
    """Return the cell of each image in a column; '' where its row has none.

    Raises:
        DataError: rows that give one image several groups; each is named.
    """
    assert dataset.table is not None
    place = _placer(dataset, os.path.dirname(os.path.abspath(dataset.table)))
    paths = _paths(dataset.table, place)
    values, problems = dict[str, str](), list[str]()
    for item, value in zip(paths, _column(dataset.table, column), strict=True):
        if item and values.setdefault(item, value) != value:
            problems.append(f"{item} has two, {values[item]!r} and {value!r}")
    if problems:
        raise DataError(f"An image has one group, by the column {column!r}.", some(problems))
    return [values.get(item.path, "") for item in dataset.items]


def _paths(table: Path, place: Callable[[str], str]) -> list[str]:
    """Return the item of each row: by the column in which the most cells are paths of items."""
    columns = ([place(cell) for cell in _column(table, name)] for name in header(table))
    return max(columns, key=lambda found: sum(map(bool, found)))


def _placer(dataset: Dataset, root: str) -> Callable[[str], str]:
    """Return the item that a cell stands for, as the table's reader does; '' for none."""
    own = {item.path for item in dataset.items}
    ends: dict[str, set[str]] = {}  # a table may hold ids, or names without their folder
    for path in own:
        for end in (_file(path), path.rpartition(".")[0], _file(path).rpartition(".")[0]):
            ends.setdefault(end, set()).add(path)

    def place(cell: str) -> str:
        for path in (cell, cell.replace("\\", "/")):
            inside = os.path.normpath(path).removeprefix(os.path.join(root, ""))
            if Path(inside).as_posix() in own:
                return Path(inside).as_posix()
        found = ends.get(cell, set())
        return next(iter(found)) if len(found) == 1 else ""

    return place


def _column(table: Path, name: str) -> list[str]:
    """Return the cells of a column as text, in rows that hold anything."""
    if table.suffix.lower() in PARQUET:
        from pyarrow import parquet

        cells = parquet.read_table(table, columns=[name])[name].to_pylist()
        return [label_name(cell) for cell in cells if not isinstance(cell, bytes | dict | list)]
    lines = _lines(table)
    place = next(lines).index(name)
    return [cells[place].strip() if place < len(cells) else "" for cells in lines if any(cells)]


def _lines(table: Path) -> Iterator[list[str]]:
    """Return the lines of a text table, which was read once before."""
    with open(table, encoding="utf-8-sig", newline="") as file:
        text = list(file)  # splitlines would end them at more, such as U+2028 in a cell
    if table.suffix.lower() in JSON_LINES:
        return _of_records([json.loads(line) for line in text if line.strip()])
    delimiter = max(",;\t", key=(text or [""])[0].count)
    return csv.reader(text, delimiter=delimiter)


def _of_records(records: Sequence[dict[str, object]]) -> Iterator[list[str]]:
    """Yield objects as lines of a table, the names of columns first."""
    names = list(dict.fromkeys(name for record in records for name in record))
    yield names
    yield from ([label_name(record.get(name)) for name in names] for record in records)
