"""A ``Dataset`` or ``DatasetDict`` of the library datasets, handed over in Python.

The library is not imported: what it has is asked for by name. Images are read as they are stored,
before they are decoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.data.dataset import NO_LABEL, Dataset, Item, label_name, listed, read_file, some, twins
from regraft.data.readers.columns import PATHS, UNNAMED, NamedColumns
from regraft.data.readers.image_tables import choice, inside, label_choice, names_by_number
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
    entries, skipped = list[tuple[str, str, str, tuple[int, int]]](), list[tuple[str, str]]()
    for place, (name, part) in enumerate(used.items()):
        if (image, label) != _columns(part, named):
            raise DataError(
                "The splits of this data set have different columns.",
                [f"{n}: {listed(list(p.features), 20)}" for n, p in used.items()],
            )
        paths = _paths(part, image)
        for row, text in enumerate(_labels(part, label, name)):
            path = "/".join([name] * bool(name) + [paths[row]])
            if text:
                entries.append((path, text, splits.get(name, ""), (place, row)))
            else:
                skipped.append((path, f"{NO_LABEL} in its row"))
    entries.sort(key=lambda entry: entry[0])
    stored = tuple(_stored(part, image) for part in used.values())
    notes = [f"The splits {listed(unknown, 10)} were not used: no split is called so."] * bool(
        unknown
    )
    return Dataset(
        "dataset",
        tuple(Item(path, text, split) for path, text, split, _ in entries),
        tuple(skipped),
        _Rows(stored, image, tuple(rows for *_, rows in entries)),
        notes=(*notes, *twins({text for _, text, *_ in entries})),
    )


def _columns(part: Any, named: NamedColumns) -> tuple[str, str]:
    """Return the columns of images and labels."""
    features = part.features
    images = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    counted = [name for name, kind in features.items() if getattr(kind, "names", None)]
    image = named.path or choice(images, PATHS)
    label = named.label or label_choice(list(features), images, counted)
    if image not in features or label not in features:
        lacks = "image" if not image else "label"
        raise DataError(
            f"This data set has no column that is clearly the {lacks}.",
            [f"its columns are {listed(list(features), 20)}"],
        )
    return image, label


def _labels(part: Any, column: str, split: str) -> list[str]:
    """Return the label of each row; '' for none."""
    found = [label_name(value) for value in part[column]]
    names = getattr(part.features[column], "names", None)
    if not names:
        return found
    by_number = names_by_number([str(name) for name in names])
    wrong = [f"{split} row {n:,}: {text}" for n, text in enumerate(found) if text not in by_number]
    if wrong:
        raise DataError(
            f"There are labels that are none of the {len(names):,} classes.", some(wrong)
        )
    return [by_number[text] for text in found]


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
