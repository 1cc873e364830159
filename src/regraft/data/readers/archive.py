"""Archives, read in place: nothing is unpacked onto the disk under a name of their choice."""

import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regraft.data.dataset import MAX_BYTES, Dataset, some
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.doubles import by_folders
from regraft.data.readers.layout import arrange, in_no_utf8, is_hidden, readable
from regraft.data.readers.shards import classes_beside, holds_samples, open_shards
from regraft.data.readers.streams import OnDisk, Unpacked, decompressed
from regraft.data.readers.zipnames import zip_names
from regraft.errors import DataError

_NO_FILE: Final = "a link, or no regular file, in the archive"
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


@dataclass(frozen=True)
class Member:
    """Where a file lies in an archive. ``start``: of its bytes, or of a zip's local header."""

    name: str
    start: int
    packed: int
    size: int
    method: int | None = None  # of a zip; None in a tar
    check: int = 0  # CRC-32, of a zip


@dataclass
class _Listing:
    """What an archive holds."""

    files: dict[str, Member] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_zip(path: Path, named: NamedColumns = UNNAMED) -> Dataset:
    """Return a zip of a folder of class folders.

    Raises:
        DataError: damaged, encrypted, a bomb, or with members that lead out of it.
    """
    named.refuse(str(path), "an archive of images")
    try:
        with zipfile.ZipFile(path) as archive:
            listing = _list_zip(archive.infolist())
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        UnicodeDecodeError,
        struct.error,
        OSError,
    ) as error:
        raise DataError(f"'{path}' cannot be read as a zip.", [_words(error)]) from error
    packed = sum(member.packed for member in listing.files.values())
    if packed > path.stat().st_size:
        listing.problems.append("its members overlap, as in a decompression bomb")
    return by_folders(_dataset(path, listing, OnDisk(os.path.abspath(path))), named.kind)


def open_tar(path: Path, named: NamedColumns = UNNAMED) -> Dataset:
    """Return a tar of a folder of class folders, or of WebDataset samples, compressed or not.

    Raises:
        DataError: damaged, a bomb, or with members that lead out of it.
    """
    try:
        file = decompressed(path)
        if holds_samples(file):
            return open_shards(str(path), {path.name: file}, classes_beside(path), named=named)
        named.refuse(str(path), "an archive of images")
        with (
            file.borrow() as stream,
            tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as archive,
        ):
            listing = _list_tar(archive)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise DataError(f"'{path}' cannot be read as a tar.", [_words(error)]) from error
    return by_folders(_dataset(path, listing, file), named.kind)


def _dataset(path: Path, listing: _Listing, file: "OnDisk | Unpacked") -> Dataset:
    """Return the data set of a listing that has no problems."""
    if listing.problems:
        raise DataError(f"'{path}' is refused.", some(listing.problems))
    members = list(listing.files.values())
    found = arrange(str(path), [member.name for member in members], listing.folders)
    skipped = tuple(sorted([*found.skipped, *listing.skipped.items()]))
    chosen = tuple(members[place] for place in found.places)
    name, read = path.name.split(".")[0], _Members(file, chosen)
    return Dataset(name, found.items, skipped, read, notes=(*listing.notes, *found.notes))


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Members:
    """Reads members by index; OSError where one is damaged."""

    file: OnDisk | Unpacked
    members: tuple[Member, ...]

    def length(self, index: int) -> int:
        """Return the bytes of member ``index``."""
        return self.members[index].size

    def __call__(self, index: int) -> bytes:
        member = self.members[index]
        with self.file.borrow() as stream:
            stream.seek(member.start)
            if member.method is not None:
                stream.seek(_local_header(stream.read(30)), os.SEEK_CUR)
            data = stream.read(member.packed)
        return data if member.method is None else _unzip(data, member)


def _local_header(header: bytes) -> int:
    """Return how many bytes lie between a zip's local header and the member's own."""
    if len(header) < 30 or header[:4] != b"PK\3\4":
        raise OSError("damaged in the zip: no header where it should be")
    name, extra = struct.unpack_from("<HH", header, 26)
    return int(name + extra)


def _unzip(data: bytes, member: Member) -> bytes:
    """Return a member's bytes, never more than the zip says, and checked."""
    if member.method == _DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise OSError(f"damaged in the zip: {error}") from error
    if len(data) != member.size or zlib.crc32(data) != member.check:
        raise OSError("damaged in the zip: its length or checksum is wrong")
    return data


# --- listing -------------------------------------------------------------------------------------


def _list_zip(infos: Sequence[zipfile.ZipInfo]) -> _Listing:
    """Return the members of a zip."""
    names, notes = zip_names(infos)
    listing = _Listing(notes=notes)
    for info, name in zip(infos, names, strict=True):
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            _add_folder(listing, name)
        elif kind not in (0, stat.S_IFREG):
            listing.skipped[readable(name)] = _NO_FILE
        elif info.flag_bits & 1:
            listing.problems.append(f"{name} is encrypted; pack it without a password")
        elif info.compress_type not in (_STORED, _DEFLATED):
            listing.problems.append(
                f"{name} is compressed in a way that is not read; pack it with deflate"
            )
        else:
            place = (info.header_offset, info.compress_size, info.file_size)
            member = Member(name, *place, info.compress_type, info.CRC)
            _add_file(listing, member)
    return listing


def _list_tar(archive: tarfile.TarFile) -> _Listing:
    """Return the members of a tar."""
    listing, names = _Listing(), list[str]()
    while (info := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every one
        names += [] if info.name.isascii() else [info.name]
        if info.isdir():
            _add_folder(listing, info.name)
        elif not info.isreg() or info.issparse():
            listing.skipped[readable(info.name)] = _NO_FILE
        else:
            _add_file(listing, Member(info.name, info.offset_data, info.size, info.size))
    listing.notes += in_no_utf8(names)
    return listing


def _add_folder(listing: _Listing, raw: str) -> None:
    """Note a folder, unless it is hidden or leads out."""
    name = _inside(listing, raw)
    if name and not _hidden(listing, name, folder=True):
        listing.folders.append(name)


def _add_file(listing: _Listing, member: Member) -> None:
    """Note a file; the last of a name counts, as it would when unpacked."""
    name = _inside(listing, member.name)
    if not name or _hidden(listing, name, folder=False):
        return
    if member.size > MAX_BYTES:
        listing.problems.append(f"{name} unpacks to more than {MAX_BYTES >> 20:,} MiB: no photo")
    if name in listing.files:
        listing.skipped[name] = "another member of this name follows in the archive"
    start, packed, size = member.start, member.packed, member.size
    listing.files[name] = Member(name, start, packed, size, member.method, member.check)


def _inside(listing: _Listing, raw: str) -> str:
    """Return a member's name as a relative posix path; '' and a problem where it leads out."""
    name = raw.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in parts:
        listing.problems.append(f"{raw!r} leads out of the archive; pack it with relative names")
        return ""
    return readable("/".join(parts))


def _hidden(listing: _Listing, name: str, *, folder: bool) -> bool:
    """Return whether a member is hidden, or in a hidden folder; the hidden thing is noted once."""
    parts = name.split("/")
    depth = next((depth for depth, part in enumerate(parts) if is_hidden(part)), -1)
    if depth < 0:
        return False
    inner = folder or depth < len(parts) - 1
    hidden = "/".join(parts[: depth + 1]) + "/" * inner
    listing.skipped[hidden] = f"a hidden {'folder' if inner else 'file'}"
    return True
