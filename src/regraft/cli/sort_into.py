"""Copies of classified images, in a folder for each class."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.errors import RunError, UsageError
from regraft.results.atomic import check_target, whole_folder
from regraft.results.result import Prediction

UNKNOWN = "(like no training image)"
"""Folder of what is of none of the classes."""


def check_folder(folder: Path, images: Iterable[str]) -> None:
    """Refuse before the work a folder that is there already, or is among the images.

    Raises:
        RunError: something lies in it, or nothing can be written there.
        UsageError: it lies in a folder that is to be classified, where its copies would be too.
    """
    check_target(folder, _objections)
    place = Path(os.path.realpath(folder))
    around = [word for word in images if os.path.isdir(word)]
    inside = [word for word in around if place.is_relative_to(os.path.realpath(word))]
    if inside:
        raise UsageError(
            f"--sort-into {folder} lies in {inside[0]}, whose images are classified, and with the "
            "next run the copies would be.",
            ["Name a folder beside it."],
        )


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
    kind = UNKNOWN if prediction.known is False else folder_name(prediction.label)
    (place / kind).mkdir(exist_ok=True)
    source = Path(prediction.path)
    try:
        shutil.copy2(source, _free(place / kind / source.name))
    except OSError as error:
        raise RunError(f"{source} cannot be copied: {error.strerror}.") from error


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
