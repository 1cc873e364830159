"""A ``Dataset`` or ``DatasetDict`` of the library datasets, handed over in Python.

The library is not imported: what it has is asked for by name. Images are read as they are stored,
before they are decoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.data.dataset import NO_LABEL, Dataset, Item, listed, read_file, some
from regraft.data.kinds import NUMBER
from regraft.data.readers.columns import PATHS, UNNAMED, NamedColumns
from regraft.data.readers.image_tables import choice, inside, label_choice, taken_of_rows
from regraft.data.readers.labels import (
    Label,
    named_label,
    names_by_number,
    number_column,
    raw_label,
)
from regraft.data.readers.words import splits_of
from regraft.errors import DataError


def is_hub_set(source: Any) -> bool:
    """Return whether this is a set of the library datasets, or one for each split."""
    if isinstance(source, Mapping):
        return bool(source) and all(map(is_hub_set, source.values()))
    return isinstance(getattr(source, "features", None), Mapping) and hasattr(source, "cast_column")


@dataclass(frozen=True, eq=False)
class _Rows:
    """Reads images by index: those of each set follow those of the one before."""

    sets: tuple[Any, ...]
    column: str
    rows: tuple[tuple[int, int], ...]

    def __call__(self, index: int) -> bytes:
        place, row = self.rows[index]
        stored = self.sets[place][row][self.column]
        if stored.get("bytes") is not None:
            return bytes(stored["bytes"])
        if not stored.get("path"):
            raise OSError("neither bytes nor a path are stored")
        return read_file(stored["path"])


def open_hub_set(source: Any, named: NamedColumns = UNNAMED) -> Dataset:
    """Return the set of such an object.

    Raises:
        DataError: no column is clearly the images or the labels, or a split is unknown.
    """
    parts = dict(source) if isinstance(source, Mapping) else {"": source}
    splits = splits_of(parts)
    unknown = [name for name in parts if name not in splits] if len(parts) > 1 else []
    used = {name: part for name, part in parts.items() if name not in unknown}
    if not used:
        raise DataError(
            "This data set has no split to train on.", [f"it has {listed(unknown, 10)}"]
        )
    first = next(iter(used.values()))
    image, label = _columns(first, named)
    entries, raw = list[tuple[str, str, tuple[int, int]]](), list[Label | None]()
    for place, (name, part) in enumerate(used.items()):
        if (image, label) != _columns(part, named):
            raise DataError(
                "The splits of this data set have different columns.",
                [f"{n}: {listed(list(p.features), 20)}" for n, p in used.items()],
            )
        paths = _paths(part, image)
        for row, found in enumerate(_labels(part, label, name)):
            path = "/".join([name] * bool(name) + [paths[row]])
            entries.append((path, splits.get(name, ""), (place, row)))
            raw.append(found)
    classes = bool(_class_names(first.features[label]))
    told, labels, rows = taken_of_rows(raw, named.kind, classes)
    told.refuse("This data set has rows that cannot be used.", [entries[n][0] for n in rows])
    missing = sorted({*range(len(raw))} - labels.keys())
    order = sorted(labels, key=lambda n: entries[n][0])
    stored = tuple(_stored(part, image) for part in used.values())
    notes = [f"The splits {listed(unknown, 10)} were not used: no split is called so."] * bool(
        unknown
    )
    return Dataset(
        "dataset",
        tuple(Item(entries[n][0], labels[n], entries[n][1]) for n in order),
        tuple((entries[n][0], f"{NO_LABEL} in its row") for n in missing),
        _Rows(stored, image, tuple(entries[n][2] for n in order)),
        notes=(*notes, *told.notes),
        kind=told.kind,
        quantity=label if told.kind == NUMBER else "",
    )


def _columns(part: Any, named: NamedColumns) -> tuple[str, str]:
    """Return the columns of images and labels."""
    features = part.features
    images = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    counted = [name for name, kind in features.items() if _class_names(kind)]
    image = named.path or choice(images, PATHS)
    label = named.label or label_choice(list(features), images, counted)
    if named.kind == NUMBER and not named.label:
        label = number_column("the data set", [n for n, f in features.items() if _is_number(f)])
    if image not in features or label not in features:
        lacks = "image" if not image else "label"
        raise DataError(
            f"This data set has no column that is clearly the {lacks}.",
            [f"its columns are {listed(list(features), 20)}"],
        )
    return image, label


def _class_names(feature: Any) -> list[str]:
    """Return the names of classes that a column, or each list in it, holds numbers of."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return [str(name) for name in getattr(inner, "names", None) or ()]


def _is_number(feature: Any) -> bool:
    kind = str(getattr(feature, "dtype", "")) if not _class_names(feature) else ""
    return kind.startswith(("int", "uint", "float", "decimal"))


def _labels(part: Any, column: str, split: str) -> list[Label | None]:
    """Return the label of each row; None for none."""
    names, values = _class_names(part.features[column]), list(part[column])
    known = names_by_number(names)
    told = [() if value is None else raw_label(value) for value in values]
    wrong = [
        f"{split} row {n:,}: {text}"
        for n, own in enumerate(told)
        for text in (own if isinstance(own, tuple) else (own,))
        if names and text not in known
    ]
    if wrong:
        raise DataError(
            f"There are labels that are none of the {len(names):,} classes.", some(wrong)
        )
    return [None if value is None else named_label(value, names) for value in values]


def _stored(part: Any, image: str) -> Any:
    """Return the same set, whose images come as they are stored."""
    kind = part.features[image]
    raw = (
        part.cast_column(image, type(kind)(decode=False)) if getattr(kind, "decode", True) else part
    )
    return raw.select_columns([image]) if hasattr(raw, "select_columns") else raw


def _paths(part: Any, image: str) -> list[str]:
    """Return what the images are called, where that is known without reading them; else numbers."""
    numbered = [f"{row:06}" for row in range(len(part))]
    table = getattr(part, "data", None)
    if table is None or getattr(part, "_indices", None) is not None:
        return numbered
    try:
        chunks = table.column(image).chunks
        paths = [path for chunk in chunks for path in chunk.field("path").to_pylist()]
    except (AttributeError, KeyError, TypeError, ValueError):
        return numbered
    names = inside(paths)
    return names if "" not in names and len(set(names)) == len(part) else numbered
