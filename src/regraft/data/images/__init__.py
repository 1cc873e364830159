"""One decode of an image file tells everything that regraft asks of it.

`inspect` turns the bytes of a file into `Facts` (what it is, what is wrong with it,
what it looks like) and into the squares that a network sees (one for each `View`). It never
raises for bad content: whatever is wrong is told in ``Facts.problem``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from regraft.data.images import arrays, colours, deep, formats, likeness, miniature
from regraft.data.images.facts import Facts, absent
from regraft.data.images.facts_table import HALF, INNER, WHOLE, FactsTable
from regraft.data.images.thumbnails import SMALLER, Halves
from regraft.data.images.view import FITS, Pixels, View, in_colour, square, turned
from regraft.mapped import taken

__all__ = [
    "FITS",
    "MAX_PIXELS",
    "SMALL",
    "TINY",
    "Facts",
    "FactsTable",
    "Pixels",
    "View",
    "absent",
    "alike",
    "digest",
    "facts_key",
    "in_colour",
    "inspect",
]

MAX_PIXELS: Final = 200_000_000  # more is refused from the header alone, before it is decoded
TINY: Final = 8  # px; a shorter side below this tells a network nothing
SMALL: Final = 32  # px; below this an image is usable, but noted
_LEAST: Final = 64  # px; the hash wants a decoded shorter side of at least this


def digest(data: bytes | memoryview) -> str:
    """Return the name of a content: BLAKE2b over the file's bytes, 16 bytes, in hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def facts_key(views: Sequence[View]) -> str:
    """Return a name for the facts that `inspect` finds when it makes these views.

    How finely a large JPEG is decoded depends on the views, and a bit of the perceptual hash may
    depend on that: only facts found under the same key are the same on every run. What a network
    of other channels than RGB or grey cannot take is a fact too.
    """
    return f"facts-5-{_need(views)}" + f"-{_other(views)}ch" * bool(_other(views))


def inspect(
    data: bytes, views: Sequence[View], *, describe: bool = True
) -> tuple[Facts, list[Pixels] | None]:
    """Decode a file once: its facts, and uint8 [height, width, channels] for each view.

    The squares are None where ``Facts.problem`` says that the file is not usable. JPEGs much
    larger than the views need are decoded at a half, a quarter or an eighth of their size. Who only
    wants the squares saves a third of a millisecond without ``describe``: what the picture looks
    like (hashes, thumbnails, blank or not, levels) is then left out.
    """
    facts = Facts(digest(data))
    if not data:
        return replace(facts, problem="empty", detail="the file has no bytes"), None
    try:
        file = formats.open_image(data)
        turn = 1 if formats.turns_itself(file) else formats.orientation(file)
        facts = _check_header(facts, file, turn, views)
        if facts.problem:
            return facts, None
        box = _decode(file, _need(views))
        picture, notes = _picture(file)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything for damaged content
        problem, detail = formats.diagnose(data, error)
        return replace(facts, problem=problem, detail=detail), None
    if not describe:
        return facts, _squares(picture, box, turn, views)
    grey = _miniature(picture.image)
    notes = (*facts.notes, *notes, *("blank",) * colours.is_blank(picture.image, grey))
    look = miniature.describe(turned(grey, turn), facts.width, facts.height)
    levels = () if picture.values is None else deep.limits(picture.values)
    facts = replace(facts, notes=notes, levels=levels, **vars(look))
    return facts, _squares(picture, box, turn, views)


def alike(
    facts: Sequence[Facts],
    labels: NDArray[np.int64] | None = None,
    rows: NDArray[np.intp] | None = None,
) -> likeness.Likeness:
    """Which of the pictures with these facts, or of those in some ``rows``, copy one capture."""
    table = FactsTable.of(facts)
    rows = np.arange(len(table)) if rows is None else rows
    hashes, there = table.hashes[rows], table.there[rows]
    whole, inner, half = (taken(each, rows, table.folder) for each in table.pictures)
    return likeness.likeness(
        hashes[:, WHOLE],
        whole,
        labels,
        (hashes[:, INNER], inner) if there[:, INNER].all() else None,
        _halves(Halves(hashes[:, HALF], half, table.sides[rows].min(1)), there[:, HALF]),
    )


def _halves(halves: Halves, there: NDArray[np.bool_]) -> Halves | None:
    """Return the small pictures at half their size, if another one is that much smaller."""
    largest = halves.sides[there].max(initial=0)
    if not len(there) or halves.sides.min() > SMALLER * largest:
        return None
    return halves


@dataclass(frozen=True)
class _Picture:
    """A decoded picture in 8 bits; and its values where it has more, which a view scales."""

    image: Image.Image
    values: deep.Values | None = None
    floats: bool = False
    channels: tuple[Image.Image, ...] = ()  # where it is neither grey nor RGB

    def seen_by(self, view: View, box: tuple[float, float]) -> Pixels:
        if self.channels:
            one = replace(view, channels=1)
            return np.concatenate([square(each, box, one) for each in self.channels], axis=-1)
        return square(self._scaled(view), box, view)

    def _scaled(self, view: View) -> Image.Image:
        if self.values is None or (view.integers, view.floats) == (None, None):
            return self.image
        return Image.fromarray(deep.to_8_bit(self.values, view, floats=self.floats))


def _picture(file: Image.Image) -> tuple[_Picture, tuple[str, ...]]:
    """Return what was decoded, and notes on its colours."""
    if isinstance(file, arrays.NpyImageFile) and file.channels not in (1, 3):
        channels = np.moveaxis(file.pixels, -1, 0)
        return _Picture(file.copy(), channels=tuple(map(Image.fromarray, channels))), ()
    values, floats = deep.values_of(file), file.mode == "F"
    if values is None:
        image, notes = colours.plain(file)
        return _Picture(image), notes
    image = Image.fromarray(deep.to_8_bit(values, None, floats=floats))
    return _Picture(image, values, floats), ("grey",)


def _check_header(
    facts: Facts, image: ImageFile.ImageFile, turn: int, views: Sequence[View]
) -> Facts:
    """Return what the header alone tells, and whether it rules the image out."""
    width, height = image.size[::-1] if turn >= 5 else image.size
    problem, detail = _channels_problem(image, _other(views))
    if not problem:
        problem, detail = _header_problem(image)
    return replace(
        facts,
        format=image.format or "",
        mode=image.mode,
        width=width,
        height=height,
        problem=problem,
        detail=detail,
        notes=("rotated",) * (formats.orientation(image) > 1)
        + ("small",) * (min(width, height) < SMALL)
        + ("16-bit",) * _is_deep(image),
    )


def _header_problem(image: ImageFile.ImageFile) -> tuple[str, str]:
    """Code and words of what rules an image out before it is decoded; '' and '' if nothing."""
    width, height = image.size
    size = f"{width:,} x {height:,} px"
    if width * height > MAX_PIXELS:
        return "bomb", f"{size}: more than {MAX_PIXELS // 10**6} million pixels"
    if min(width, height) < TINY:
        return "tiny", f"{size}: the shorter side has less than {TINY} px"
    count = formats.frames(image)
    if count > 1:
        return "animated", f"{count:,} {'pages' if image.format == 'TIFF' else 'frames'}"
    return "", ""


def _other(views: Sequence[View]) -> int:
    """How many channels the views have, if they are neither grey nor RGB; else 0."""
    return next((view.channels for view in views if view.channels not in (1, 3)), 0)


def _channels_problem(image: ImageFile.ImageFile, other: int) -> tuple[str, str]:
    """Code and words where a picture has not the channels of the views; '' and '' if it has."""
    array = isinstance(image, arrays.NpyImageFile)
    found = image.channels if isinstance(image, arrays.NpyImageFile) else 3
    if found == other or (not other and found in (1, 3)):
        return "", ""
    where = "on its last axis" if array else "(pictures are read as RGB; arrays as .npy files)"
    wanted = other or "1 or 3"
    return "channels", f"the network takes {wanted} channels, this has {found} {where}"


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Return whether a pixel has more than 8 bits a channel (Pillow decodes colour to 8)."""
    return image.mode.startswith(("I", "F")) or any(";16" in str(t[3]) for t in image.tile)


def _need(views: Sequence[View]) -> int:
    """Px that the shorter side of the decoded photo should have for all these views."""
    return max([_LEAST, *(view.need for view in views)])


def _decode(image: ImageFile.ImageFile, need: int) -> tuple[float, float]:
    """Decode everything; give the picture's width and height in decoded px.

    A scaled JPEG may end in a fraction of a pixel, so that those are not always whole.
    """
    drafted = image.draft(None, (need, need))
    image.load()
    return (drafted[1][2], drafted[1][3]) if drafted else image.size


def _miniature(image: Image.Image) -> NDArray[np.float64]:
    """Return the whole picture as [32, 32] grey levels.

    A smooth filter, so that a picture and its rescaled copy become the same to a third of a level;
    averages of whole pixels differ by 5.
    """
    small = image.convert("L").resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _squares(
    picture: _Picture, box: tuple[float, float], turn: int, views: Sequence[View]
) -> list[Pixels]:
    """Each view's square; mirrored views share the work of the others."""
    made: dict[View, Pixels] = {}
    squares = []
    for view in views:
        plain = replace(view, mirror=False) if view.mirror else view
        if plain not in made:
            lying = plain.lying if turn >= 5 else plain  # the picture is turned after it is cut
            made[plain] = turned(picture.seen_by(lying, box), turn)
        seen = made[plain]
        squares.append(np.ascontiguousarray(seen[:, ::-1] if view.mirror else seen))
    return squares
