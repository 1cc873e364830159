"""Names in zips, which may be in an encoding that the zip does not tell."""

import zipfile
import zlib
from collections.abc import Sequence
from typing import Final

_IS_UTF8: Final = 0x800  # the flag that says so
_UNICODE_PATH: Final = 0x7075  # the extra field of Info-ZIP with a second name, in UTF-8


def zip_names(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], list[str]]:
    """Return the members' names, and a sentence where their encoding is a guess.

    A name is in UTF-8 where the zip says so or a field of the member's holds that. The others are,
    where all of them can be; else in code page 437, as the standard has it.
    """
    names = [_declared(info) for info in infos]
    raw = {n: _raw(infos[n]) for n, name in enumerate(names) if not name}
    try:
        read = {n: name.decode() for n, name in raw.items()}
    except UnicodeDecodeError:
        read = {n: _guessed(name) for n, name in raw.items()}
    known = [name or read[n] for n, name in enumerate(names)]
    doubtful = [name for n, name in read.items() if not raw[n].isascii()]
    if not doubtful or all(read[n].encode() == raw[n] for n in raw):
        return known, []
    return known, [
        "The names in the zip are in an encoding that it does not tell, and are read as code page "
        f"437, such as {doubtful[0]!r}; where they are wrong, pack it with names in UTF-8."
    ]


def _guessed(name: bytes) -> str:
    """Return a name as code page 437.

    In Chinese and Japanese ones a back slash may be half of a sign, so that it parts no folders
    where slashes do.
    """
    text = name.decode("cp437")
    return text.replace("\\", "\uff3c") if "/" in text and not name.isascii() else text


def _declared(info: zipfile.ZipInfo) -> str:
    """Return a name whose encoding is told; '' for others."""
    if info.flag_bits & _IS_UTF8:
        return info.filename
    extra = info.extra
    while len(extra) >= 4:
        kind, size = (int.from_bytes(extra[n : n + 2], "little") for n in (0, 2))
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        stale = field[1:5] != zlib.crc32(_raw(info)).to_bytes(4, "little")
        if kind == _UNICODE_PATH and field[:1] == b"\1" and not stale:
            return field[5:].decode("utf-8", "replace")
    return ""


def _raw(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name, which zipfile takes for code page 437."""
    return info.orig_filename.split("\0")[0].encode("cp437")
