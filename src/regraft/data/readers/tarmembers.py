"""The files in one tar, one after the other: damage costs what it hits, and is told."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from tarfile import BLOCKSIZE
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
    # Damaged headers are passed over (ignore_zeros), and seen by the gap that they leave. A TarFile
    # reads the first one as it is made, where that may not fail: it is made of an empty block.
    nothing = io.BytesIO(bytes(BLOCKSIZE))
    archive = tarfile.TarFile(fileobj=nothing, encoding="utf-8", ignore_zeros=True)
    archive.fileobj, archive.offset = stream, 0
    while True:
        plain = _plain(stream, end) if end else None
        if plain is not None:
            last, size, start = *plain, end + BLOCKSIZE
            end = start + -(-size // BLOCKSIZE) * BLOCKSIZE
            archive.offset = end
        elif (info := _next(archive, length)) is None:
            break
        else:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every one
            _tell_of_gap(stream, end, info.offset, last, tell)
            last, size, start, end = info.name, info.size, info.offset_data, int(archive.offset)
            if not info.isreg() or info.issparse():
                if not info.isdir():
                    tell(last, "a link, or no regular file, in the shard")
                continue
        if start + size > length:
            tell(last, f"{DAMAGED}, which is cut short in it: what followed is lost")
            return
        yield TarMember(last, start, size)
    if end == 0:
        tell("", f"{DAMAGED}: it is {'no tar' if length else 'empty'}")
    elif end >= length:
        tell("", f"{DAMAGED}: it has no end mark; what came after {last} is lost, if anything")
    else:
        _tell_of_gap(stream, end, length, last, tell)


def _plain(stream: BinaryIO, place: int) -> tuple[str, int] | None:
    """Return name and size of a regular file without anything special; None for all else.

    With tarfile alone, which reads the rest, the list of a shard took twice as long.
    """
    stream.seek(place)
    head = stream.read(BLOCKSIZE)
    name, _, rest = head[:100].partition(b"\0")
    if head[257:263] not in (b"ustar\0", b"ustar ") or head[156:157] not in (b"0", b"\0"):
        return None
    if rest.strip(b"\0") or name.endswith(b"/") or not name or head[124] & 0x80:
        return None
    try:
        size, check = (
            int(field.strip(b" \0") or b"0", 8) for field in (head[124:136], head[148:156])
        )
        if head[257:263] == b"ustar\0" and (above := head[345:500].rstrip(b"\0")):
            name = above + b"/" + name
        whole = sum(head) - sum(head[148:156]) + 8 * ord(" ")
        return (name.decode("utf-8"), size) if whole == check else None
    except ValueError:
        return None


def _next(archive: tarfile.TarFile, length: int) -> tarfile.TarInfo | None:
    """Return the next member that can be read, beyond what cannot; None at the end."""
    while True:
        place = int(archive.offset)
        try:
            return archive.next()
        except (tarfile.TarError, ValueError):  # a header that belongs to the one before is damaged
            archive.offset = max(int(archive.offset), place) + BLOCKSIZE
            if archive.offset >= length:
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
