"""One decode of an image file tells everything that regraft asks of it.

:func:`inspect` turns the bytes of a file into :class:`Facts` (what it is, what is wrong with it,
what it looks like) and into the squares that a network sees (one for each :class:`View`). It never
raises for bad content: whatever is wrong is told in ``Facts.problem``.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from regraft.images import formats, likeness

Pixels = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)

MAX_PIXELS: Final = 200_000_000  # more is refused from the header alone, before it is decoded
TINY: Final = 8  # px; a shorter side below this tells a network nothing
SMALL: Final = 32  # px; below this an image is usable, but noted
_LEAST: Final = 64  # px; the hash wants a decoded shorter side of at least this
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class View:
    """How a photo becomes the square that a network sees.

    ``size``: side in px. ``crop``: share of the shorter side that is kept, 0 < crop <= 1.
    ``mirror``: left and right swapped. ``zoom`` > 1: a tighter crop around the centre.
    """

    size: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mirror: bool = False
    zoom: float = 1.0

    def __post_init__(self) -> None:
        """Check every field; ValueError names all that are wrong."""
        rules = (
            ("size", "at least 1 px", self.size >= 1),
            ("crop", "above 0 and at most 1", 0 < self.crop <= 1),
            ("interpolation", f"one of {', '.join(_FILTERS)}", self.interpolation in _FILTERS),
            ("zoom", "at least 1", self.zoom >= 1),
        )
        wrong = [
            f"{name} must be {rule}, got {getattr(self, name)!r}"
            for name, rule, right in rules
            if not right
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def key(self) -> str:
        """A stable name for cache keys, such as ``224-0.875-bicubic``."""
        zoom = f"-zoom{self.zoom:g}" if self.zoom != 1 else ""
        return f"{self.size}-{self.crop:g}-{self.interpolation}{zoom}{'-mirror' * self.mirror}"

    @property
    def need(self) -> int:
        """Px that the shorter side of the decoded photo should have, so that nothing is lost."""
        return int(-(-self.size * self.zoom // self.crop))


@dataclass(frozen=True)
class Facts:
    """What one decode tells of one file.

    ``problem`` is empty for a usable image, else one of ``missing``, ``empty``, ``not-an-image``,
    ``unreadable``, ``truncated``, ``animated``, ``tiny``, ``bomb``; ``detail`` says it in words.
    ``notes`` holds any of ``rotated``, ``grey``, ``palette``, ``alpha``, ``cmyk``, ``16-bit``,
    ``small``. Width and height are meant after EXIF rotation; 0 where they are not known.
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

    def to_json(self) -> str:
        """One compact line of JSON."""
        values = asdict(self) | {"thumb": b64encode(self.thumb).decode()}
        return json.dumps(list(values.values()), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """The facts that :meth:`to_json` wrote."""
        values = dict(zip((field.name for field in fields(cls)), json.loads(text), strict=True))
        values |= {"notes": tuple(values["notes"]), "thumb": b64decode(values["thumb"])}
        return cls(**values)


def digest(data: bytes) -> str:
    """The name of a content: BLAKE2b over the file's bytes, 16 bytes, in hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def absent(reason: object) -> Facts:
    """The facts of a file that could not be read at all; ``reason`` is the error it gave."""
    return Facts(digest="", problem="missing", detail=str(reason))


def facts_key(views: Sequence[View]) -> str:
    """A name for the facts that :func:`inspect` finds when it makes these views.

    How finely a large JPEG is decoded depends on the views, and a bit of the perceptual hash may
    depend on that: only facts found under the same key are the same on every run.
    """
    return f"facts-1-{_need(views)}"


def inspect(data: bytes, views: Sequence[View]) -> tuple[Facts, list[Pixels] | None]:
    """Decode a file once: its facts, and a uint8 [size, size, 3] RGB square for each view.

    The squares are None where ``Facts.problem`` says that the file is not usable. JPEGs much
    larger than the views need are decoded at a half, a quarter or an eighth of their size.
    """
    facts = Facts(digest(data))
    if not data:
        return replace(facts, problem="empty", detail="the file has no bytes"), None
    try:
        file = formats.open_image(data)
        turn = 1 if formats.turns_itself(file) else formats.orientation(file)
        facts = _check_header(facts, file, turn)
        if facts.problem:
            return facts, None
        box = _decode(file, _need(views))
        image, colours = _plain(file)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything for damaged content
        problem, detail = formats.diagnose(data, error)
        return replace(facts, problem=problem, detail=detail), None
    phash, thumb = likeness.describe(_turn(_miniature(image), turn))
    facts = replace(facts, notes=(*facts.notes, *colours), phash=phash, thumb=thumb)
    return facts, _squares(image, box, turn, views)


def _check_header(facts: Facts, image: ImageFile.ImageFile, turn: int) -> Facts:
    """What the header alone tells, and whether it rules the image out."""
    width, height = image.size[::-1] if turn >= 5 else image.size
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


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a pixel has more than 8 bits a channel (Pillow decodes colour to 8 by itself)."""
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


def _plain(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The image as 8-bit grey or RGB, and notes on what it was."""
    mode = image.mode
    if image.has_transparency_data:
        return _on_white(image)
    if mode.startswith(("I", "F")):
        return _to_8_bit(image), ("grey",)
    if mode in ("1", "L"):
        return image.convert("L"), ("grey",)
    return image.convert("RGB"), {"P": ("palette",), "CMYK": ("cmyk",)}.get(mode, ())


def _on_white(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Composite on white; noted where at least one pixel is not opaque."""
    notes = ("palette",) * image.mode.startswith("P") + ("grey",) * image.mode.startswith("L")
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return rgba.convert("RGB"), notes
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=alpha)
    return white, (*notes, "alpha")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits a pixel: the upper 8 of the 16, 12 or 8 bits that are in use.

    Instruments write 12 bits into 16, and the upper 8 of 16 would blacken those. Floats in 0..1
    are stretched to 0..255.
    """
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are no finite numbers")
    top = float(values.max())
    if image.mode == "F" and top <= 1:
        unit = 1 / 255
    else:
        unit = next((unit for unit in (1, 1 << 4) if top < 256 * unit), 1 << 8)
    return Image.fromarray((values / unit).clip(0, 255).astype(np.uint8))


def _miniature(image: Image.Image) -> NDArray[np.float64]:
    """The whole picture as [32, 32] grey levels.

    A smooth filter, so that a picture and its rescaled copy become the same to a third of a level;
    averages of whole pixels differ by 5.
    """
    small = image.convert("L").resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _squares(
    image: Image.Image, box: tuple[float, float], turn: int, views: Sequence[View]
) -> list[Pixels]:
    """Each view's square; mirrored views share the work of the others."""
    made: dict[View, Pixels] = {}
    squares = []
    for view in views:
        plain = replace(view, mirror=False)
        if plain not in made:
            made[plain] = _turn(_square(image, box, plain), turn)
        square = made[plain]
        squares.append(np.ascontiguousarray(square[:, ::-1] if view.mirror else square))
    return squares


def _square(image: Image.Image, box: tuple[float, float], view: View) -> Pixels:
    """Cut out the centre and resize it, in one pass over the pixels that are needed."""
    width, height = box
    side = min(width, height) * view.crop / view.zoom
    left, top = (width - side) / 2, (height - side) / 2
    small = image.resize(
        (view.size, view.size), _FILTERS[view.interpolation], (left, top, left + side, top + side)
    )
    return np.array(small.convert("RGB"))


def _turn(pixels: NDArray[Number], turn: int) -> NDArray[Number]:
    """Apply an EXIF orientation (1 to 8) to [height, width, ...] pixels."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
