"""What the names of folders say: which are classes, which are splits.

Shared by folders and archives; works on relative posix paths alone.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from regraft.dataset import EMPTY_CLASS, OUTSIDE, Item
from regraft.errors import DataError
from regraft.images.formats import READ, UNREAD

Parts = tuple[str, ...]

SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_REMEDY: Final = (
    "put the images of each class into a folder named after it (photos/cat/..., photos/dog/...), "
    "or write a table with the columns path and label"
)
_SYSTEM: Final = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir"}


@dataclass(frozen=True)
class Arrangement:
    """Items sorted by path, for each the place of its file in the list given, and the rest."""

    items: tuple[Item, ...]
    places: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or the system's own."""
    return name.startswith(".") or name in _SYSTEM


def is_image(name: str) -> bool:
    """Whether a file has the name of an image."""
    return suffix(name) in READ or suffix(name) in UNREAD


def suffix(name: str) -> str:
    """The last part of a file's name, in small letters, without the point."""
    return PurePosixPath(name).suffix.lower().removeprefix(".")


def split_name(name: str) -> str:
    """train, val or test for any usual name of it, in any case; '' for other names."""
    return SPLITS.get(name.strip().lower(), "")


def arrange(where: str, files: Sequence[str], folders: Iterable[str]) -> Arrangement:
    """Make items of the images among ``files``; ``folders`` are looked at for empty classes.

    The folders at the top are the classes, or, where they are called train, val and test, those
    below. Folders that hold nothing but one other (an archive's own) are stepped over. Images
    deeper in a class folder belong to it.

    Raises:
        DataError: no images, no class folders, or no telling which folders are the classes.
    """
    images = [i for i, path in enumerate(files) if is_image(path)]
    parts = {i: tuple(files[i].split("/")) for i in images}
    others = [path for path in files if not is_image(path)]
    _check_any(where, images, others)
    depth = _start(list(parts.values()))
    tops = {path[depth] for path in parts.values() if len(path) > depth + 1}
    level = depth + 1 if _has_splits(where, tops) else depth
    found = [i for i in images if len(parts[i]) > level + 1]
    loose = [files[i] for i in images if len(parts[i]) <= level + 1]
    if not found:
        raise DataError(
            f"'{where}' has no class folders.",
            [f"it holds {_count(len(loose), 'image')}, the first {loose[0]!r}; {_REMEDY}"],
        )
    order = sorted(found, key=files.__getitem__)
    skipped = [(path, f"not an image by its name ({_kind(path)})") for path in others]
    skipped += [(path, OUTSIDE) for path in loose]
    skipped += [(f"{path}/", EMPTY_CLASS) for path in _empty(folders, parts.values(), depth, level)]
    items = tuple(_item(files[i], parts[i], level, level > depth) for i in order)
    return Arrangement(items, tuple(order), tuple(sorted(skipped)))


def _item(path: str, parts: Parts, level: int, has_splits: bool) -> Item:
    """The item of an image whose class folder is the part ``level`` of its path."""
    return Item(path, clean_label(parts[level]), split_name(parts[level - 1]) * has_splits)


def clean_label(name: str) -> str:
    """A label as it is compared: composed and decomposed accents are the same."""
    return unicodedata.normalize("NFC", name).strip()


def _start(images: Sequence[Parts]) -> int:
    """How many folders to step over: those that hold one other folder level and nothing else."""
    depth = 0
    while len({parts[depth] for parts in images}) == 1 and all(len(p) > depth + 2 for p in images):
        depth += 1
    return depth


def _has_splits(where: str, tops: set[str]) -> bool:
    """Whether the folders at the top are splits.

    Raises:
        DataError: some are and some are not, or there is none to train on.
    """
    splits = {top: split_name(top) for top in tops if split_name(top)}
    if "train" in splits.values() and len(splits) == len(tops):
        return True
    if set(splits.values()) > {"train"}:
        others = ", ".join(sorted(tops - set(splits))[:10])
        raise DataError(
            f"'{where}' mixes splits and other folders.",
            [
                f"{', '.join(sorted(splits))} name splits, {others} do not; where they are all "
                "classes rename those, else move the others out"
            ],
        )
    if splits and len(splits) == len(tops):
        raise DataError(
            f"'{where}' has no training images.",
            [f"there must be a folder called train, found only {', '.join(sorted(tops))}"],
        )
    return False


def _empty(folders: Iterable[str], images: Iterable[Parts], depth: int, level: int) -> list[str]:
    """The folders at the classes' level, beside some with images, that have none themselves."""
    full = {parts[: level + 1] for parts in images}
    beside = {parts[:depth] for parts in full}
    found = (tuple(folder.split("/")) for folder in folders)
    return [
        "/".join(parts)
        for parts in found
        if len(parts) == level + 1 and parts not in full and parts[:depth] in beside
        if level == depth or split_name(parts[depth])
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


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
