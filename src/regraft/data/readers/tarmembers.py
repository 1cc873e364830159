"""The files in one tar, one after the other: damage costs what it hits, and is told."""

import os
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple

from regraft.data.dataset import DAMAGED

Tell = Callable[[str, str], None]
"""Called with a member, '' for the tar itself, and why it is left out."""

_LOOKED_AT: Final = 1 << 20  # bytes of what lies between two members that are looked at


class TarMember(NamedTuple):
    """A file in a tar. ``start``: of its own bytes, ``size``: how many they are."""

    name: str
    start: int
    size: int


def tar_members(stream: BinaryIO, tell: Tell) -> Iterator[TarMember]:
    """Yield the regular files of a tar, and tell of all else that lies in it but folders.

    A header that is damaged costs its own member: what follows is found again at the next header.
    A tar that is cut short gives the members before the cut. None is kept: memory does not grow.

    Raises:
        OSError: it cannot be read.
    """
    length, end, last = stream.seek(0, os.SEEK_END), 0, ""
    stream.seek(0)
    # Damaged headers are passed over by ignore_zeros, and seen by the gap that they leave.
    try:
        archive = tarfile.TarFile(fileobj=stream, encoding="utf-8", ignore_zeros=True)
    except tarfile.TarError as error:
        tell("", f"{DAMAGED}: {error if length else 'it is empty'}")
        return
    while (info := _next(archive, tell)) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every one
        following = int(archive.offset)
        _tell_of_gap(stream, end, info.offset, last, tell)
        last, end = info.name, following
        if info.isreg() and info.offset_data + info.size > length and not info.issparse():
            tell(last, f"{DAMAGED}, which is cut short in it: what followed is lost")
            return
        if info.isreg() and not info.issparse():
            yield TarMember(last, info.offset_data, info.size)
        elif not info.isdir():
            tell(last, "a link, or no regular file, in the shard")
    if end == 0:
        tell("", f"{DAMAGED}: it is no tar")
    elif end >= length:
        tell("", f"{DAMAGED}: it has no end mark; what came after {last} is lost, if anything")
    else:
        _tell_of_gap(stream, end, length, last, tell)


def _next(archive: tarfile.TarFile, tell: Tell) -> tarfile.TarInfo | None:
    """Return the next member; None at the end, or where nothing more can be told apart."""
    try:
        return archive.next()
    except (tarfile.TarError, ValueError, UnicodeError) as error:
        tell("", f"{DAMAGED} beyond byte {archive.offset:,}: {error}")
        return None


def _tell_of_gap(stream: BinaryIO, start: int, end: int, last: str, tell: Tell) -> None:
    """Tell of what lies between two members, and is no empty block and no header for all."""
    if end <= start:
        return
    stream.seek(start)
    found = stream.read(min(end - start, _LOOKED_AT))
    if found.strip(b"\0") and not (found[156:157] == b"g" and found[257:262] == b"ustar"):
        where = f"after {last}" if last else "at its start"
        tell("", f"{DAMAGED}: no header at byte {start:,}, {where}; the member there is left out")
