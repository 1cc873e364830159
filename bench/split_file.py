"""A data set's folder -> one CSV of path, label, split that every tool can be given.

Rows are what every tool can use: files that Pillow decodes, one of each set of identical files
(none of it where the copies have two labels). The set's own test images are held out where it has
any, else its validation images, else a fifth of each class by seed. Of a copy in both, the held out
one stays.
"""

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True)
class Row:
    """One image: its absolute path, its label, ``train`` or ``test``."""

    path: str
    label: str
    split: str


def split_rows(folder: Path, *, seed: int, limit: int | None = None) -> list[Row]:
    """List what is in a folder of class folders, split; at most ``limit`` a class and split."""
    rows = _held_out(_listed(folder), seed)
    return _distinct(_first(_readable(rows), limit))


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write the CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split"))
        table.writerows((row.path, row.label, row.split) for row in rows)


def _listed(folder: Path) -> list[Row]:
    """Return every file, with the split that its folder names ('' where none does)."""
    tops = [top for top in sorted(folder.iterdir()) if top.is_dir()]
    named = bool(tops) and all(top.name in SPLITS for top in tops)
    places = [(top, SPLITS[top.name]) for top in tops] if named else [(folder, "")]
    return [
        Row(str(file.resolve()), kind.name, split)
        for place, split in places
        for kind in sorted(place.iterdir())
        if kind.is_dir()
        for file in sorted(kind.iterdir())
    ]


def _held_out(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the rows with ``train`` and ``test`` alone, the held out ones first."""
    found = {row.split for row in rows}
    if found == {""}:
        rows = _drawn(rows, seed)
    else:
        held = "test" if "test" in found else "val"
        rows = [replace(row, split="test" if row.split == held else "train") for row in rows]
    return sorted(rows, key=lambda row: row.split)


def _drawn(rows: Sequence[Row], seed: int) -> list[Row]:
    """Hold out a fifth of each class."""
    classes: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        classes[row.label].append(row)
    chosen: list[Row] = []
    for label, members in sorted(classes.items()):
        random.Random(f"{seed} {label}").shuffle(members)
        count = max(1, round(len(members) / 5))
        chosen += [replace(row, split="test") for row in members[:count]]
        chosen += [replace(row, split="train") for row in members[count:]]
    return chosen


def _readable(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if _decodes(row.path)]


def _decodes(path: str) -> bool:
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                return False
            image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _first(rows: Sequence[Row], limit: int | None) -> list[Row]:
    seen: dict[tuple[str, str], int] = defaultdict(int)
    kept = []
    for row in rows:
        seen[row.label, row.split] += 1
        if limit is None or seen[row.label, row.split] <= limit:
            kept.append(row)
    return kept


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Keep the first of identical files, and none where they have two labels."""
    alike: dict[bytes, list[Row]] = defaultdict(list)
    for row in rows:
        alike[hashlib.sha256(Path(row.path).read_bytes()).digest()].append(row)
    return [same[0] for same in alike.values() if len({row.label for row in same}) == 1]
