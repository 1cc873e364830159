"""Copies of classified images, in a folder for each class."""

import glob
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from regraft.errors import RunError, UsageError
from regraft.results.atomic import check_target, whole_folder
from regraft.results.result import Prediction

ANY = "/"
"""A part of a path that is not known yet, which no name is."""
UNKNOWN = "(like no training image)"
"""Folder of what is of none of the classes."""
NONE = "(none of the labels)"
"""Folder of what is given none of several labels."""


def check_folder(folder: Path, images: Iterable[str]) -> None:
    """Refuse before the work a folder that is there already, or is among the images.

    Raises:
        RunError: something lies in it, or nothing can be written there.
        UsageError: it lies in a folder that is to be classified, where its copies would be too.
    """
    check_target(folder, _objections)
    place = Path(os.path.realpath(folder))
    for word in images:
        if _meant_with(word, place):
            raise UsageError(
                f"--sort-into {folder} lies in {word}, whose images are classified, and with the "
                "next run the copies would be.",
                ["Name a folder outside of it."],
            )


def _meant_with(word: str, place: Path) -> bool:
    """Return whether a folder or pattern means what is put into a folder of a place, too."""
    if os.path.isdir(word):
        return place.is_relative_to(os.path.realpath(word))
    if not glob.has_magic(word):
        return False
    parts = Path(word).parts
    fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    root = Path(os.path.realpath(Path(*parts[:fixed])))
    return _matches([*root.parts, *parts[fixed:]], [*place.parts, ANY, ANY], len(root.parts))


def _matches(pattern: Sequence[str], path: Sequence[str], literal: int) -> bool:
    """Return whether a path is one that a pattern means; its first parts are no patterns.

    A part of the path that is `ANY`, as class and name of a copy are, is what the pattern wants.
    """
    if not pattern or not path:
        return not path and all(part == "**" for part in pattern)
    if not literal and pattern[0] == "**":
        return _matches(pattern[1:], path, 0) or _matches(pattern, path[1:], 0)
    same = path[0] in (ANY, pattern[0]) or (not literal and fnmatch(path[0], pattern[0]))
    return same and _matches(pattern[1:], path[1:], max(literal - 1, 0))


@contextmanager
def sorting(folder: Path) -> Iterator[Callable[[Prediction], None]]:
    """Yield what copies an image to its class; the folder is there, whole, when all are.

    Raises:
        RunError: something lies in it, or an image cannot be copied there.
    """
    with whole_folder(folder, _objections) as place:
        yield lambda prediction: _copy(prediction, place)


def _objections(folder: Path) -> list[str]:
    if folder.is_dir() and not os.listdir(folder):
        return []
    return ["must be new or empty, is not; name another folder for the copies"]


def _copy(prediction: Prediction, place: Path) -> None:
    if prediction.problem:
        return
    source = Path(prediction.path)
    for kind in _folders(prediction):
        (place / kind).mkdir(exist_ok=True)
        try:
            shutil.copy2(source, _free(place / kind / source.name))
        except OSError as error:
            raise RunError(f"{source} cannot be copied: {error.strerror}.") from error


def _folders(prediction: Prediction) -> Sequence[str]:
    """Return where an image goes: of several labels a copy goes to each that it is given."""
    if prediction.labels is not None:
        return [folder_name(label) for label in prediction.labels] or [NONE]
    return [UNKNOWN if prediction.known is False else folder_name(prediction.label)]


def folder_name(label: str) -> str:
    """Return a class's name as that of a folder: what a path gives a meaning is written as %2F is.

    No name leads out of the folder, and different ones stay different.
    """
    name = "".join(_coded(sign) if sign in '%/\\:*?"<>|' or sign < " " else sign for sign in label)
    return name if name.strip(". ") else "".join(map(_coded, name)) or "%"


def _coded(sign: str) -> str:
    return f"%{ord(sign):02X}"


def _free(path: Path) -> Path:
    """Return the path, or one like it where that is taken: names repeat in several folders."""
    free, number = path, 2
    while free.exists():
        free, number = path.with_name(f"{path.stem} ({number}){path.suffix}"), number + 1
    return free
