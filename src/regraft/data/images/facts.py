"""What one decode tells of one file."""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, fields
from typing import Final

from regraft.data.images import deep
from regraft.data.images.view import View

_BYTES: Final = ("thumb", "inner", "half")  # facts that are bytes


@dataclass(frozen=True)
class Facts:
    """What one decode tells of one file.

    ``problem`` is empty for a usable image, else one of ``missing``, ``empty``, ``not-an-image``,
    ``unreadable``, ``truncated``, ``animated``, ``tiny``, ``bomb``, ``channels`` (not those of the
    views); ``detail`` says it in words. ``notes`` holds any of ``rotated``, ``grey``, ``palette``,
    ``alpha``, ``white-on-clear``, ``cmyk``, ``16-bit``, ``small``, ``blank``. Width and height are
    meant after EXIF rotation; 0 where they are not known. ``levels``: the lowest and
    highest value of a grey picture of more than 8 bits (`regraft.data.images.deep.limits`),
    which holds floats where ``mode`` is F.
    """

    digest: str
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()
    phash: int = 0
    thumb: bytes = b""
    levels: tuple[float, ...] = ()
    inner_hash: int = 0
    inner: bytes = b""
    half_hash: int = 0
    half: bytes = b""

    def outside(self, view: View) -> str:
        """Say in words that its values go beyond the scale of a view; '' if they do not."""
        return deep.outside(self.levels, view, floats=self.mode == "F")

    def to_json(self) -> str:
        """One compact line of JSON."""
        coded = {name: b64encode(getattr(self, name)).decode() for name in _BYTES}
        values = vars(self) | coded  # not asdict, which copies deep and takes a millisecond
        return json.dumps(list(values.values()), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return the facts that `to_json` wrote."""
        values = dict(zip((field.name for field in fields(cls)), json.loads(text), strict=True))
        values |= {name: tuple(values[name]) for name in ("notes", "levels")}
        values |= {name: b64decode(values[name]) for name in _BYTES}
        return cls(**values)


def absent(reason: object) -> Facts:
    """Return the facts of a file that could not be read at all; ``reason`` is the error it gave."""
    return Facts(digest="", problem="missing", detail=str(reason))
