"""Where an export goes: a file or a folder that is whole or absent."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from regraft.errors import RunError
from regraft.results.atomic import check_target, whole_folder


def check_place(out: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Refuse before the work what `whole` would refuse after it.

    Raises:
        RunError: something is there that may not be replaced, or nothing can be written there.
    """
    check_target(out, partial(_objections, names=names, overwrite=overwrite))


@contextmanager
def whole(out: Path, names: Sequence[str], *, overwrite: bool) -> Iterator[Path]:
    """Give a place to write to, which becomes ``out`` when all went well.

    Args:
        out: a folder that will hold ``names``, or a file where those are empty.
        names: of the folder's files.
        overwrite: replace an earlier export.

    Raises:
        RunError: something is there that may not be replaced, or it cannot be written.
    """
    objections = partial(_objections, names=names, overwrite=overwrite)
    if names:
        with whole_folder(out, objections) as place:
            yield place
        return
    check_target(out, objections)
    with _explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        drafts = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield drafts / out.name
        check_target(out, objections)
        with _explained(out):
            (drafts / out.name).replace(out)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def size_of(place: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = place.iterdir() if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files)


def _objections(place: Path, *, names: Sequence[str], overwrite: bool) -> list[str]:
    """Tell why what is there must not be replaced."""
    kind = "folder" if names else "file"
    if place.is_dir() != bool(names):
        there = "folder" if place.is_dir() else "file"
        return [f"must be a {kind}, is a {there}; name another with --out"]
    found = sorted(path.name for path in place.iterdir()) if names else []
    if names and not found:
        return []
    if others := [name for name in found if name not in names]:
        return [f"must hold an earlier export only, also holds {others[0]}; name another folder"]
    return [] if overwrite else ["must not exist yet; name another, or ask for --overwrite"]


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Turn an error of the system into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"'{out}' cannot be written: {error.strerror}.", ["Name another place with --out."]
        ) from error
