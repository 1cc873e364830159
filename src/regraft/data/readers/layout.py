"""What the names of folders say: which are classes, which are splits.

Shared by folders and archives; works on relative posix paths alone.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from regraft.data.dataset import EMPTY_CLASS, OUTSIDE, Item, clean_label, some, twins
from regraft.data.images.formats import READ, UNREAD
from regraft.data.readers.words import PLAIN, says_nothing, splits_of, without_labels
from regraft.errors import DataError

Parts = tuple[str, ...]

_REMEDY: Final = (
    "put the images of each class into a folder named after it (photos/cat/..., photos/dog/...), "
    "or write a table with the columns path and label"
)
_SYSTEM: Final = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir"}


@dataclass(frozen=True)
class Arrangement:
    """Items sorted by path, for each the place of its file in the list given, and the rest.

    ``notes``: what was understood, in sentences.
    """

    items: tuple[Item, ...]
    places: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Shape:
    """Which part of an image's path is its class, and which its split.

    ``depth``: how many folders are stepped over. ``splits`` of the names of folders, above the
    classes or, where ``below``, in each of them. ``levels``: the place of the class folder, by the
    folder at the top.
    """

    depth: int
    levels: Mapping[str, int]
    splits: Mapping[str, str] = field(default_factory=dict)
    below: bool = False

    def level(self, parts: Parts) -> int:
        """Return the place of a path's class folder; beyond its end where it lies in none."""
        return self.levels.get(parts[self.depth], len(parts))

    def split(self, parts: Parts) -> str:
        """Return the split of an image in a class folder."""
        return self.splits.get(parts[self.depth + self.below], "")


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or the system's own."""
    return name.startswith(".") or name in _SYSTEM


def is_image(name: str) -> bool:
    """Return whether a file has the name of an image."""
    return suffix(name) in READ or suffix(name) in UNREAD


def suffix(name: str) -> str:
    """Return the last part of a file's name, in small letters, without the point."""
    stem, _, last = name.rpartition("/")[2].rpartition(".")
    return last.lower() if stem else ""


def readable(name: str) -> str:
    """Return a file's name as text that any output can hold.

    Bytes that are no UTF-8 become escapes.
    """
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def in_no_utf8(names: Iterable[str]) -> list[str]:
    """Return a sentence where names of files are bytes that are no UTF-8."""
    first = next((name for name in names if readable(name) != name), None)
    if first is None:
        return []
    return [f"There are names in no UTF-8; what is none in them is escaped: {readable(first)}."]


def arrange(where: str, files: Sequence[str], folders: Iterable[str]) -> Arrangement:
    """Make items of the images among ``files``; ``folders`` are looked at for empty classes.

    The folders at the top are the classes, or, where they are all called after splits, those below;
    splits may also lie in each class folder. Folders that hold nothing but one other (an archive's
    own) are stepped over. Images deeper in a class folder belong to it.

    Raises:
        DataError: no images, no class folders, or no telling which folders are the classes.
    """
    images = [i for i, path in enumerate(files) if is_image(path)]
    parts = {i: tuple(files[i].split("/")) for i in images}
    others = [path for path in files if not is_image(path)]
    _check_any(where, images, others)
    shape = _shape(where, list(parts.values()))
    found = [i for i in images if len(parts[i]) > shape.level(parts[i]) + 1]
    loose = [files[i] for i in images if len(parts[i]) <= shape.level(parts[i]) + 1]
    if not found:
        raise DataError(
            f"'{where}' has no class folders.",
            [f"it holds {count_of(len(loose), 'image')}, the first {loose[0]!r}; {_REMEDY}"],
        )
    order = sorted(found, key=files.__getitem__)
    skipped = [(path, f"not an image by its name ({_kind(path)})") for path in others]
    skipped += [(path, OUTSIDE) for path in loose]
    skipped += [(f"{path}/", EMPTY_CLASS) for path in _empty(folders, parts.values(), shape)]
    labels = _labels(where, {parts[i][shape.level(parts[i])] for i in found})
    repeats = _repeats(where, [parts[i] for i in found], shape)
    items = tuple(
        Item(files[i], labels[parts[i][shape.level(parts[i])]], shape.split(parts[i]))
        for i in order
    )
    notes = (*_understood(shape), *twins(labels), *repeats)
    return Arrangement(items, tuple(order), tuple(sorted(skipped)), notes)


def _labels(where: str, folders: Iterable[str]) -> dict[str, str]:
    """Return the label of each class folder."""
    labels = {name: clean_label(name) for name in sorted(folders)}
    empty = [f"a class folder is called {name!a}" for name, label in labels.items() if not label]
    if empty:
        raise DataError(f"'{where}' has a class without a name that can be seen.", some(empty))
    return labels


def _start(images: Sequence[Parts]) -> int:
    """Return how many folders to step over.

    Those that hold one other folder level and nothing else.
    """
    depth = 0
    while len({parts[depth] for parts in images}) == 1 and all(len(p) > depth + 2 for p in images):
        depth += 1
    return depth


# --- splits --------------------------------------------------------------------------------------


def _shape(where: str, images: Sequence[Parts]) -> _Shape:
    """Find out which folders are the classes."""
    depth = _start(images)
    inside: dict[str, list[Parts]] = defaultdict(list)
    for parts in images:
        if len(parts) > depth + 1:
            inside[parts[depth]].append(parts)
    splits = _splits(where, inside, depth)
    if splits:
        levels = {top: _class_level(top, inside, depth + 1) for top in splits}
        return _Shape(depth, levels, splits)
    below = _splits_below(where, inside, depth)
    return _Shape(depth, dict.fromkeys(inside, depth), below, bool(below))


def _splits(where: str, inside: Mapping[str, Sequence[Parts]], depth: int) -> dict[str, str]:
    """Return the splits of the folders at the top; none where those are the classes.

    Raises:
        DataError: some are and some are not, or there is none to train on.
    """
    splits = splits_of(inside)
    plain = all(name.lower() in PLAIN for name in splits)
    tops = {top for top in inside if not (set(splits.values()) > {"train"} and without_labels(top))}
    if "train" in splits.values() and len(splits) == len(tops):
        deeper = all(any(len(p) > depth + 2 for p in inside[top]) for top in splits)
        return splits if plain or deeper or set(splits.values()) > {"train"} else {}
    if set(splits.values()) > {"train"}:
        others = ", ".join(sorted(tops - set(splits))[:10])
        raise DataError(
            f"'{where}' mixes splits and other folders.",
            [
                f"{', '.join(sorted(splits))} name splits, {others} do not; where they are all "
                "classes rename those, else move the others out"
            ],
        )
    if splits and plain and len(splits) == len(tops):
        raise DataError(
            f"'{where}' has no training images.",
            [f"there must be a folder called train, found only {', '.join(sorted(tops))}"],
        )
    return {}


def _class_level(top: str, inside: Mapping[str, Sequence[Parts]], level: int) -> int:
    """Where the class folders of a split lie.

    ``train/images/cat`` and ``train/train/cat`` have them one folder deeper than usual; images that
    lie in ``images`` itself lie in none, unless that is a class of another split.
    """
    names = {
        other: {p[level] for p in images if len(p) > level + 1} for other, images in inside.items()
    }
    classes = set[str]().union(*(found for found in names.values() if len(found) > 1))
    images = inside[top]
    while len({parts[level] for parts in images}) == 1 and all(len(p) > level + 1 for p in images):
        name = images[0][level]
        if name in classes or (name != top and not says_nothing(name)):
            break
        level += 1
    return level


def _splits_below(where: str, inside: Mapping[str, Sequence[Parts]], depth: int) -> dict[str, str]:
    """Return the splits of the folders in each class folder (cat/train, cat/test).

    None as a rule.
    """
    below = {
        top: {parts[depth + 1] if len(parts) > depth + 2 else "" for parts in images}
        for top, images in inside.items()
    }
    names = set[str]().union(*below.values())
    splits = splits_of(names)
    parted = [top for top, found in below.items() if {*map(splits.get, found)} - {None} > {"train"}]
    if not parted:
        return {}
    if len(splits) < len(names):
        some_of = ", ".join(
            repr(name) if name else "no folder" for name in sorted(names - set(splits))
        )
        raise DataError(
            f"'{where}' mixes splits and other folders below its classes.",
            [
                f"{', '.join(sorted(splits))} below {parted[0]} name splits, but other images lie "
                f"in {some_of}; put every image into a folder of its split, or none"
            ],
        )
    return splits


def _understood(shape: _Shape) -> list[str]:
    """Return a sentence on split folders, where their names are not just train or test."""
    names = sorted(shape.splits)
    taken = [f"{name} as {shape.splits[name]}" for name in names]
    if shape.below:
        return [f"The folders below the class folders are taken as splits: {', '.join(taken)}."]
    if all(name.lower() in PLAIN for name in names):
        return []
    return [f"The folders above the class folders are taken as splits: {', '.join(taken)}."]


# --- what contradicts itself ---------------------------------------------------------------------


def _repeats(where: str, images: Sequence[Parts], shape: _Shape) -> list[str]:
    """Return a sentence where several classes have folders of the same names.

    Raises:
        DataError: all of them have the same: then those may be the classes, as well.
    """
    below: dict[str, set[str]] = defaultdict(set)
    direct = 0
    for parts in images:
        level = shape.level(parts)
        place = level + 1 + shape.below
        direct += len(parts) <= place + 1
        below[clean_label(parts[level])] |= {parts[place]} if len(parts) > place + 1 else set()
    if 2 * direct > len(images):
        return []
    counted = Counter(name for names in below.values() for name in names)
    repeated = sorted(name for name, count in counted.items() if count > 1)
    if len(below) < 2 or len(repeated) < 2:
        return []
    tops, names = (", ".join(some(sorted(group))) for group in (below, repeated))
    if set(counted.values()) == {len(below)}:
        raise DataError(
            f"It cannot be told which folders of '{where}' are the classes.",
            [
                f"{tops} all hold folders of the same names: {names}",
                f"where {tops} are the classes, put all images of each straight into its folder",
                f"where {names} are the classes, put those at the top, with the images of each in "
                "one folder",
                "or write a table with the columns path and label",
            ],
        )
    return [f"The classes are {tops}; several of them hold folders of the same names: {names}."]


def _empty(folders: Iterable[str], images: Iterable[Parts], shape: _Shape) -> list[str]:
    """Return the folders at the classes' level, beside some with images, that have none."""
    full = {parts[: shape.level(parts) + 1] for parts in images}
    beside = {parts[:-1] for parts in full}
    above = bool(shape.splits) and not shape.below
    found = (tuple(folder.split("/")) for folder in folders)
    return [
        "/".join(parts)
        for parts in found
        if len(parts) > shape.depth and parts not in full and parts[:-1] in beside
        if len(parts) == shape.levels.get(parts[shape.depth], shape.depth + above) + 1
    ]


def _check_any(where: str, images: Sequence[int], others: Sequence[str]) -> None:
    """Raise DataError where there is no image, with what there is instead."""
    if images:
        return
    kinds = Counter(map(_kind, others)).most_common(5)
    there = ", ".join(f"{count:,} {kind}" for kind, count in kinds) or "no files at all"
    raise DataError(
        f"'{where}' holds no images.",
        [f"files must be named .jpg, .png, .webp or the like; found {there}", _REMEDY],
    )


def _kind(path: str) -> str:
    return f".{suffix(path)}" if suffix(path) else "no suffix"


def count_of(number: int, thing: str) -> str:
    """Return how many of a thing there are, as it is said."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
