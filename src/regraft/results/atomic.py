"""A folder that is whole or absent.

What is written goes into a hidden folder beside the target and is moved into place when all of it
is on the disk. An exception, Ctrl-C included, takes the hidden folder away again. One left by a
process that was killed is recognised by its name, and by nobody holding its lock, and is swept away
by the next write to the same target.

A folder that is replaced stays where it is until the new one is whole. Then it is moved aside, the
new one is moved in, and it is removed; `restore` puts it back should the process be killed between
the two moves.
"""

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from regraft.errors import RunError

Objections = Callable[[Path], Sequence[str]]
"""Tells why a folder (that exists) must not be replaced: nothing when it may."""

Seen = TypeVar("Seen")

PARTIAL, REPLACED = "partial", "replaced"
ATTEMPTS = 20  # of moving into place, while others do the same

REMEDIES = {
    errno.ENOSPC: "free some space, or name a folder on another disk",
    errno.EDQUOT: "free some space, or name a folder on another disk",
    errno.EFBIG: "name a folder on a disk that takes larger files",
    errno.EROFS: "name a folder on a disk that can be written",
    errno.EACCES: "ask for permission to write there, or name another folder",
    errno.EPERM: "ask for permission to write there, or name another folder",
    errno.EBUSY: "name a new folder inside it",  # a mount point cannot be moved into place
    errno.ENAMETOOLONG: "give it a shorter name",
}


@contextmanager
def whole_folder(target: Path, objections: Objections) -> Iterator[Path]:
    """Yield an empty folder to write into; once it is written it becomes ``target``.

    Parents that are missing are made, and unmade when the writing fails.

    Raises:
        RunError: ``target`` exists and there are objections to replacing it; or the disk is full or
            cannot be written. Nothing is left behind.

    """
    target = Path(os.path.realpath(target))  # what a link points to is replaced, not the link
    with _explained(target):
        check_target(target, objections)
        missing = [parent for parent in target.parents if not parent.exists()]
        partial, lock = target, -1
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target)
            partial, lock = _start(target)
            yield partial
            _flush(partial)
            _move_in(partial, target, objections)
        except BaseException:
            if partial != target:
                shutil.rmtree(partial, ignore_errors=True)
            _unmake(missing)
            raise
        finally:
            if lock >= 0:
                os.close(lock)


def check_target(target: Path, objections: Objections) -> None:
    """Refuse now what `whole_folder` would refuse after the work is done.

    Raises:
        RunError: ``target`` exists and must not be replaced, or its parent cannot be written.

    """
    target = Path(os.path.realpath(target))
    with _explained(target):
        restore(target)
        _replaceable(target, objections)
        if target.is_mount():
            raise OSError(errno.EBUSY, "is a mount point", str(target))
        parent = next(parent for parent in target.parents if os.path.lexists(parent))
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", str(parent))
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "cannot be written", str(parent))


def restore(target: Path) -> None:
    """Put back what was moved aside by a process killed before it moved the new folder in."""
    if not os.path.lexists(target):
        for aside in _siblings(target, REPLACED):
            with suppress(OSError):  # another process was quicker
                os.rename(aside, target)
                return


def steady(target: Path, look: Callable[[Path], Seen]) -> Seen:
    """Look at a folder, and look again if it was replaced meanwhile.

    Raises:
        OSError, RunError: what ``look`` raised of a folder that was there all the time.

    """
    while True:
        before = _identity(target)
        try:
            seen = look(target)
        except (OSError, RunError):
            if _identity(target) == before:
                raise
            continue
        if _identity(target) == before:
            return seen


def _identity(target: Path) -> tuple[int, int, int] | None:
    """Tell a folder from another one of the same name."""
    try:
        found = os.stat(target)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _move_in(partial: Path, target: Path, objections: Objections) -> None:
    """Rename ``partial`` to ``target``, replacing what is there if there are no objections.

    A rename onto a folder that is not empty fails, so of two writers at once the second one sees
    the first one's folder and is refused, or replaces it whole.
    """
    for _ in range(ATTEMPTS):
        with suppress(OSError):
            target.rmdir()  # does nothing unless it is empty
        if _renamed(partial, target):
            break
        # Only what was seen and not objected to is moved aside, nothing that came since.
        if _replaceable(target, objections):
            with _aside(target):
                if _renamed(partial, target):
                    break
    else:
        raise FileExistsError(errno.EEXIST, "other processes keep writing it", str(target))
    _flush(target.parent)


def _renamed(source: Path, target: Path) -> bool:
    """Rename unless something is in the way."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _replaceable(target: Path, objections: Objections) -> bool:
    """Return whether there is something that may be replaced.

    Raises:
        RunError: there is something that may not.

    """

    def look(target: Path) -> Sequence[str] | None:
        try:
            return objections(target) if os.path.lexists(target) else None
        except FileNotFoundError:  # another process moved it aside meanwhile
            if os.path.lexists(target):
                raise
            return None

    found = steady(target, look)
    if found:
        raise RunError(f"'{target}' cannot be written.", found)
    return found is not None


@contextmanager
def _aside(target: Path) -> Iterator[None]:
    """Move what is at ``target`` aside; remove it, or put it back if nothing took its place."""
    aside = _sibling(target, REPLACED)
    try:
        with suppress(FileNotFoundError):
            os.rename(target, aside)
        yield
    finally:
        if not os.path.lexists(target):
            with suppress(OSError):
                os.rename(aside, target)
        shutil.rmtree(aside, ignore_errors=True)


def _sibling(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(4)}.{kind}"


def _siblings(target: Path, kind: str) -> list[Path]:
    """Return the hidden folders of ``target``, the latest first."""
    start, end, length = f".{target.name}.", f".{kind}", len(_sibling(target, kind).name)
    with suppress(OSError):
        found = [
            (entry.stat().st_mtime, Path(entry.path))
            for entry in os.scandir(target.parent)
            if entry.name.startswith(start) and entry.name.endswith(end)
            if len(entry.name) == length and entry.is_dir(follow_symlinks=False)
        ]
        return [path for _, path in sorted(found, reverse=True)]
    return []


def _start(target: Path) -> tuple[Path, int]:
    """Make and lock the hidden folder; return it with the handle that holds the lock."""
    while True:
        partial = _sibling(target, PARTIAL)
        try:
            partial.mkdir()
            with suppress(FileNotFoundError):
                handle = _locked(partial, wait=True)
                if partial.exists():
                    return partial, handle
                os.close(handle)
            # Another process swept it away before it was locked.
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _sweep(target: Path) -> None:
    """Remove what processes that no longer live have left beside ``target``."""
    for partial in _siblings(target, PARTIAL):
        with suppress(OSError):
            handle = _locked(partial, wait=False)
            shutil.rmtree(partial, ignore_errors=True)
            os.close(handle)
    if os.path.lexists(target):
        for aside in _siblings(target, REPLACED):
            shutil.rmtree(aside, ignore_errors=True)


def _locked(folder: Path, *, wait: bool) -> int:
    """Open a folder and lock it; the lock goes when the handle is closed or the process ends.

    Raises:
        OSError: the folder is gone; or, without ``wait``, it is locked or cannot be locked here.

    """
    if sys.platform == "win32":  # folders cannot be locked there: nothing is swept
        if wait:
            return -1
        raise BlockingIOError
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # locked, or a disk without locks
        if not wait:
            os.close(handle)
            raise
    return handle


def _unmake(parents: Sequence[Path]) -> None:
    """Remove the parents that were made for a target, the deepest first."""
    for parent in parents:
        with suppress(OSError):  # another process may have put something there
            parent.rmdir()


def _flush(folder: Path) -> None:
    """Have the names in ``folder`` on the disk, where the system can do that for a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn an error of the system into one that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "name another folder")
        place = _place(error, target)
        problem = f"{place}: {error.strerror or error} ({_free(target)}); {remedy}"
        raise RunError(f"'{target}' cannot be written.", [problem]) from error


def _place(error: OSError, target: Path) -> str:
    """Name the path that an error is about, as it would have been called at last."""
    name = os.fsdecode(error.filename) if error.filename else str(target)
    head, _, tail = name.partition(f".{target.name}.")
    return os.path.join(head, target.name, *tail.split(os.sep)[1:]) if tail else name


def _free(target: Path) -> str:
    for parent in target.parents:
        with suppress(OSError):
            return f"{shutil.disk_usage(parent).free / 1e6:,.1f} MB free"
    return "free space unknown"
