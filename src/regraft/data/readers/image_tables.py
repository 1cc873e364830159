"""Parquet files that hold the images themselves, as Hugging Face data sets do.

A column of structs ``{bytes, path}`` (or of bytes) has the images; an ``int`` label has its class
names in the schema. Row groups are read when an image of theirs is, and only a few are held.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from regraft.data.dataset import NO_LABEL, Dataset, Item, label_name, listed, some
from regraft.data.kinds import NUMBER, ONE, Kind
from regraft.data.readers.columns import (
    LABELS,
    PATHS,
    UNNAMED,
    Columns,
    NamedColumns,
    plain,
    split_columns,
    splits_by_columns,
)
from regraft.data.readers.labels import (
    Label,
    Taken,
    flag_names,
    named_label,
    names_by_number,
    number_column,
    raw_label,
    taken,
)
from regraft.data.readers.layout import count_of
from regraft.data.readers.row_groups import ImageColumns, ImageTable, RowGroups, parquet_file
from regraft.data.readers.shards import set_name, split_notes, split_of_files, without_ending
from regraft.data.readers.words import PARQUET
from regraft.errors import DataError


def is_table(name: str) -> bool:
    """Return whether a file is called a Parquet table."""
    return name.lower().endswith(PARQUET)


def holds_images(file: Any) -> bool:
    """Return whether a Parquet file has a column of images; False where it cannot be read.

    A column of bytes beside one of paths is none: the files are the images.
    """
    try:
        from pyarrow import ArrowException, parquet, types
    except ModuleNotFoundError:
        return False
    try:
        schema = parquet.read_schema(file)
    except (ArrowException, OSError):
        return False
    found = _image_columns(schema)
    if any(types.is_struct(schema.field(name).type) for name in found):
        return True
    return bool(found) and not any(plain(n) in PATHS for n in schema.names if n not in found)


def open_image_tables(
    where: str,
    files: Mapping[str, Any],
    *,
    root: str = "",
    others: Sequence[str] = (),
    named: NamedColumns = UNNAMED,
) -> Dataset:
    """Return the set of images in Parquet files.

    Args:
        where: what the user named.
        files: by name, paths or what opens a file; names, or folders, may be those of splits.
        root: the folder that paths of images count from, where a file has no bytes of them.
        others: names of other files there.
        named: the columns of images and labels that a person names.

    Raises:
        DataError: a file cannot be read, columns are missing, or differ from file to file.
    """
    tables = [_table(where, name, file, named) for name, file in files.items()]
    _check_alike(where, tables)
    by_file = split_of_files(where, list(files))
    raw, splits, notes = list[Label | None](), list[str](), list[str]()
    skipped = [(name, "not a table by its name") for name in others]
    first, problems = [0], list[str]()
    for table in tables:
        called, split = by_file[table.name]
        found = _labels(table, problems)
        raw += found
        rows = ([split] * len(found), list[str]())
        parts, said = rows if called else _parted(table, len(found), problems)
        splits += parts
        notes += [note for note in said if note not in notes]
        first.append(len(raw))
    if problems:
        raise DataError(f"'{where}' has rows that cannot be used.", some(problems))
    names = _unique(tables, _names(tables, first, by_file), first)
    told, labels, labelled = taken_of_rows(raw, named.kind, bool(tables[0].schema.names))
    told.refuse(f"'{where}' has rows that cannot be used.", [names[i] for i in labelled])
    if not labels:
        raise DataError(f"'{where}' holds no image with a label.", [f"{len(raw):,} rows have none"])
    missing = sorted({*range(len(raw))} - labels.keys())
    skipped += [(names[i], f"{NO_LABEL} in its row") for i in missing]
    order = sorted(labels, key=names.__getitem__)
    items = tuple(Item(names[i], labels[i], splits[i]) for i in order)
    schema, places = tables[0].schema, np.asarray(order, np.int64)
    note = (
        f"Images out of {count_of(len(tables), 'Parquet file')}: the column {schema.image!r}, "
        f"their labels {schema.label!r}."
    )
    return Dataset(
        set_name(where),
        items,
        tuple(sorted(skipped)),
        RowGroups(tables, np.asarray(first, np.int64), places, root),
        notes=(note, *split_notes(by_file), *notes, *told.notes),
        order=np.argsort(places, kind="stable"),
        kind=told.kind,
        quantity=schema.label if told.kind == NUMBER else "",
    )


def taken_of_rows(
    raw: Sequence[Label | None], asked: Kind | None, classes: bool
) -> tuple[Taken, dict[int, str], list[int]]:
    """Decide what the labels of rows are, of which some have none.

    ``classes``: whether they are those of a class by their type. Gives what they are taken for, the
    label of each row that has one, and the rows that were looked at.
    """
    rows = [i for i, label in enumerate(raw) if label is not None]
    told = taken([label for label in raw if label is not None], asked, ask=not classes)
    pairs = zip(rows, told.labels, strict=True)
    return told, {i: text for i, text in pairs if text or told.kind != ONE}, rows


# --- columns -------------------------------------------------------------------------------------


def _table(where: str, name: str, file: Any, named: NamedColumns) -> ImageTable:
    """Open one file."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise DataError(
            f"'{where}' cannot be read: Parquet needs the package pyarrow.",
            ["install it with: pip install 'regraft[table]'"],
        ) from error
    try:
        with parquet_file(file) as opened:
            metadata, arrow = opened.metadata, opened.schema_arrow
        schema = _schema(where, name, arrow, named)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"'{where}' has a file that cannot be read.", [f"{name}: {error}"]
        ) from error
    counts = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    return ImageTable(name, file, metadata, arrow, schema, np.cumsum([0, *counts]))


def _image_columns(schema: Any) -> list[str]:
    """Return the columns that hold images."""
    from pyarrow import types

    def holds(kind: Any) -> bool:
        if types.is_struct(kind):
            return {"bytes", "path"} <= {field.name for field in kind}
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    return [column.name for column in schema if holds(column.type)]


def _schema(where: str, name: str, schema: Any, named: NamedColumns) -> ImageColumns:
    """Return the columns of images and labels.

    Raises:
        DataError: there is none, or several and no telling which.
    """
    from pyarrow import types

    features = _features(schema)
    images = _image_columns(schema)
    asked = named.find(schema.names)
    image = (asked[0] if asked[0] in images else "") if named.path else choice(images, PATHS)
    counted = [n for n in schema.names if _class_names(features.get(n, {}))]
    label = asked[1] or label_choice(schema.names, images, counted)
    if named.kind == NUMBER and not named.label:
        numbers = [n for n in schema.names if _is_number(schema.field(n).type) and n not in counted]
        label = number_column(where, [n for n in numbers if n not in split_columns(numbers, ())])
    if not image or label not in schema.names:
        lacks = "image" if not image else "label"
        there = images if not image else counted or [named.label]
        several = f"several may be it: {listed(there, 10)}" if len(there) > 1 else "none is found"
        raise DataError(
            f"'{where}' has no column that is clearly the {lacks}.",
            [f"{name}: its columns are {listed(schema.names, 20)}; {several}"],
        )
    names = tuple(map(str, _class_names(features.get(label, {}))))
    nested = bool(types.is_struct(schema.field(image).type))
    return ImageColumns(image, label, nested, names, split_columns(schema.names, {image, label}))


def _features(schema: Any) -> dict[str, Any]:
    """Return what the library datasets wrote of the columns."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return (
        {n: f for n, f in features.items() if isinstance(f, dict)}
        if isinstance(features, dict)
        else {}
    )


def _class_names(feature: Mapping[str, Any]) -> Sequence[Any]:
    """Return the names of classes that a column, or each list in it, holds numbers of."""
    inner = feature.get("feature")
    return (inner if isinstance(inner, dict) else feature).get("names") or ()


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def choice(names: Sequence[str], usual: Sequence[str]) -> str:
    """Return the only one of these, or the first that has a usual name; '' for none."""
    by_name = {plain(name): name for name in reversed(names)}
    found = next((by_name[name] for name in usual if name in by_name), "")
    return found or (names[0] if len(names) == 1 else "")


def label_choice(names: Sequence[str], images: Collection[str], counted: Sequence[str]) -> str:
    """Return the column of labels: of those with names of classes, else of usual names; or ''."""
    if counted:
        return choice(counted, LABELS)
    return choice([n for n in names if plain(n) in LABELS and n not in images], LABELS)


def _check_alike(where: str, tables: Sequence[ImageTable]) -> None:
    """Raise DataError where files have other columns, or other class names, than the first."""
    one = tables[0]
    problems = []
    for other in tables[1:]:
        if other.schema[:3] != one.schema[:3]:
            problems.append(
                f"{one.name} has the columns {listed(one.arrow.names, 10)}; "
                f"{other.name} has {listed(other.arrow.names, 10)}"
            )
        elif other.schema.names != one.schema.names:
            problems.append(
                f"the classes of {one.name} are {listed(one.schema.names, 5)}; those of "
                f"{other.name} are {listed(other.schema.names, 5)}"
            )
        elif not one.schema.names and _are_numbers(other) != _are_numbers(one):
            label = one.schema.label
            kinds = [f"{t.arrow.field(label).type} in {t.name}" for t in (one, other)]
            problems.append(f"the column {label!r} is {' and '.join(kinds)}")
    if problems:
        raise DataError(f"'{where}' has files that do not go together.", some(problems))


def _are_numbers(table: ImageTable) -> bool:
    """Return whether labels are numbers, and no texts."""
    from pyarrow import types

    return bool(types.is_integer(table.arrow.field(table.schema.label).type))


# --- rows ----------------------------------------------------------------------------------------


def _labels(table: ImageTable, problems: list[str]) -> list[Label | None]:
    """Return the label of each row, by name where it is a number; None where it has none."""
    names = table.schema.names
    known, values = names_by_number(names), table.texts(table.schema.label)
    called = flag_names([raw_label(value) for value in values if value is not None], names)
    found: list[Label | None] = []
    for row, value in enumerate(values, 1):
        label = None if value is None else raw_label(value)
        own = () if label is None or not names else label if isinstance(label, tuple) else (label,)
        problems += [
            f"{table.name}, row {row:,}: label {one} is none of its {len(names):,} classes"
            for one in own
            if one not in known
        ]
        found.append(None if label is None else named_label(value, called))
    return found


def _names(
    tables: Sequence[ImageTable], first: Sequence[int], by_file: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Return what the images are called in the files, below their split; '' where not at all."""
    names = [""] * first[-1]
    for called in dict.fromkeys(called for called, _ in by_file.values()):
        rows, stored = list[int](), list[Any]()
        for table, start, end in zip(tables, first[:-1], first[1:], strict=True):
            if table.schema.nested and by_file[table.name][0] == called:
                rows += range(start, end)
                stored += table.texts(f"{table.schema.image}\0path")
        for row, name in zip(rows, inside(stored), strict=True):
            names[row] = f"{called}/{name}" if called and name else name
    return names


def inside(paths: Sequence[Any]) -> list[str]:
    """Return paths as posix, below the folder that all share where they are absolute; '' for none.

    Sets that were made from a folder tell where that lay on somebody's machine.
    """
    texts = [str(path).replace("\\", "/") if path else "" for path in paths]
    given = [text for text in texts if text]
    if not given or not all(t[0] == "/" or ":" in t.partition("/")[0] for t in given):
        return [text.lstrip("/") for text in texts]
    shared = len(shared_folders(given))
    return ["/".join(text.split("/")[shared:]) for text in texts]


def shared_folders(paths: Sequence[str]) -> list[str]:
    """Return the folders, from the top, that all paths lie in; none of no paths."""
    if not paths:
        return []
    first, last = (path.split("/")[:-1] for path in (min(paths), max(paths)))  # of all others too
    pairs = zip(first, last, strict=False)
    return [name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _unique(tables: Sequence[ImageTable], names: list[str], first: Sequence[int]) -> list[str]:
    """Return names that tell all images apart: their own, else file and row."""
    given = [name for name in names if name]
    own = len(set(given)) == len(given)
    found = list[str]()
    for table, start, end in zip(tables, first[:-1], first[1:], strict=True):
        file = without_ending(table.name)
        rows = enumerate(names[start:end])
        found += [name if name and own else f"{file}/{row:06}" for row, name in rows]
    return found


def _parted(table: ImageTable, count: int, problems: list[str]) -> tuple[list[str], list[str]]:
    """Return the split of each row by the columns that may give it, and sentences."""
    columns = Columns(table.schema.image, table.schema.label, table.schema.splits, ())
    if not columns.splits:
        return [""] * count, []
    cells = [[label_name(value) for value in table.texts(name)] for name in columns.splits]
    splits = splits_by_columns(columns, range(1, count + 1), list(zip(*cells, strict=True)), {})
    problems += [f"{table.name}: {problem}" for problem in splits.problems]
    return list(splits.rows), list(splits.notes)
