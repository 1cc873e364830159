"""How a picture becomes the square (or rectangle) that a network sees."""

from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Shape = tuple[int, int, int]
"""Height and width in px, and channels, of an image."""

Pixels = NDArray[np.uint8]
Range = tuple[float, float]
Number = TypeVar("Number", bound=np.generic)

FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FITS: Final = ("crop", "pad", "squash")
BORDER: Final = (124, 116, 104)  # around a padded picture: the mean of ImageNet


@dataclass(frozen=True)
class View:
    """How a photo becomes the square that a network sees.

    ``size``: side in px. ``crop``: share of the shorter side that is kept, 0 < crop <= 1.
    ``mirror``: left and right swapped. ``zoom`` > 1: a tighter crop around the centre. ``fit``:
    what is seen of a long picture: its middle square (``crop``), or all of it, within a border
    (``pad``) or pressed into the square (``squash``), where ``crop`` takes nothing away.
    ``integers``, ``floats``: black and white of pictures of more than 8 bits a pixel; None: each by
    its own brightest pixel. ``width``: where a network takes no square, px from left to right, and
    ``size`` is its height; 0 for as much as that. ``channels``: 3 for RGB, 1 for grey, else those
    of arrays.
    """

    size: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mirror: bool = False
    zoom: float = 1.0
    fit: str = "crop"
    integers: Range | None = None
    floats: Range | None = None
    width: int = 0
    channels: int = 3

    def __post_init__(self) -> None:
        """Check every field; ValueError names all that are wrong."""
        for name in ("integers", "floats"):
            if isinstance(value := getattr(self, name), list):  # as JSON has it
                object.__setattr__(self, name, tuple(value))
        rules = (
            ("size", "at least 1 px", self.size >= 1),
            ("crop", "above 0 and at most 1", 0 < self.crop <= 1),
            ("interpolation", f"one of {', '.join(FILTERS)}", self.interpolation in FILTERS),
            ("zoom", "at least 1", self.zoom >= 1),
            ("fit", f"one of {', '.join(FITS)}", self.fit in FITS),
            ("integers", "two numbers, the lower first", _ascends(self.integers)),
            ("floats", "two numbers, the lower first", _ascends(self.floats)),
            ("width", "0 (as size) or more", self.width >= 0),
            ("channels", "at least 1", self.channels >= 1),
        )
        wrong = [
            f"{name} must be {rule}, got {getattr(self, name)!r}"
            for name, rule, right in rules
            if not right
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height and width in px, and channels, of what the network sees."""
        return self.size, self.width or self.size, self.channels

    @property
    def longest(self) -> int:
        """The longer side of what the network sees, px."""
        return max(self.shape[:2])

    @property
    def lying(self) -> "View":
        """The same with height and width changed round."""
        return replace(self, size=self.width, width=self.size) if self.width else self

    @property
    def colours(self) -> str:
        """What its channels are in words: RGB, grey, or how many."""
        return {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels}-channel")

    @property
    def sides(self) -> str:
        """Height and width in words, such as ``224 x 224 px``."""
        return f"{self.shape[0]} x {self.shape[1]} px"

    @property
    def key(self) -> str:
        """A stable name for cache keys, such as ``224-0.875-bicubic``."""
        zoom = f"-zoom{self.zoom:g}" if self.zoom != 1 else ""
        fit = f"-{self.fit}" if self.fit != "crop" else ""
        scale = "".join(
            f"-{name}{limits[0]!r}..{limits[1]!r}"
            for name, limits in (("i", self.integers), ("f", self.floats))
            if limits
        )
        mirror = "-mirror" * self.mirror
        size = f"{self.size}x{self.width}" if self.width else f"{self.size}"
        grey = {1: "-grey", 3: ""}.get(self.channels, f"-{self.channels}ch")
        return f"{size}-{self.crop:g}-{self.interpolation}{zoom}{fit}{scale}{grey}{mirror}"

    @property
    def unusual(self) -> dict[str, object]:
        """What this view has beside a size, a crop and a filter, by name: for others to follow."""
        fit = {"fit": self.fit} if self.fit != "crop" else {}
        shape = {"width": self.width} if self.width else {}
        shape |= {"channels": self.channels} if self.channels != 3 else {}
        limits = {"integers": self.integers, "floats": self.floats}
        return fit | shape | {name: list(scale) for name, scale in limits.items() if scale}

    @property
    def need(self) -> int:
        """Px that the shorter side of the decoded photo should have, so that nothing is lost."""
        return int(-(-self.longest * self.zoom // self.crop))


def _ascends(limits: Range | None) -> bool:
    return limits is None or limits[0] < limits[1]


def square(image: Image.Image, box: tuple[float, float], view: View) -> Pixels:
    """Return what a view shows of a picture, whose width and height in the image's px are ``box``.

    In one pass over the pixels that are needed; ``[height, width, channels]``, RGB or all grey.
    """
    height, width, channels = view.shape
    (left, right), (top, bottom) = seen(box, view)
    columns, rows = filled(box, view)
    filtered = FILTERS[view.interpolation]
    small = image.resize((columns, rows), filtered, (left, top, right, bottom))
    if small.mode != "RGB":
        small = small.convert("RGB")
    if view.fit == "pad":
        whole = Image.new("RGB", (width, height), BORDER)
        whole.paste(small, ((width - columns) // 2, (height - rows) // 2))
        small = whole
    if channels == 3:
        return np.array(small)
    return np.array(small.convert("L"))[..., None].repeat(channels, axis=-1)


def seen(box: tuple[float, float], view: View) -> tuple[Range, Range]:
    """From where to where, in px of a picture of this width and height, it is seen; x, then y."""
    width, height = box
    if view.fit == "crop":
        high, wide, _ = view.shape
        width, height = (
            min(width, height * wide / high) * view.crop,
            min(height, width * high / wide) * view.crop,
        )
    return _middle(box[0], width / view.zoom), _middle(box[1], height / view.zoom)


def _middle(length: float, part: float) -> Range:
    start = (length - part) / 2
    return start, start + part


def filled(box: tuple[float, float], view: View) -> tuple[int, int]:
    """Columns and rows that a picture of this width and height takes of what is seen."""
    (high, wide, _), (width, height) = view.shape, box
    if view.fit != "pad":
        return wide, high
    across, down = (
        width / max(width, height * wide / high),
        height / max(height, width * high / wide),
    )
    return _inside(across, wide), _inside(down, high)


def _inside(share: float, size: int) -> int:
    """Px of a side that are taken; so that as many are left before as after them."""
    return size - 2 * min(round(size * (1 - share) / 2), (size - 1) // 2)


def drawn(picture: Pixels, view: View) -> Pixels:
    """Return a picture that was made, ``[height, width, 3]``, as a network sees it, whole."""
    image = Image.fromarray(picture)
    plain = View(view.size, 1.0, "bilinear", fit="squash", width=view.width, channels=view.channels)
    return square(image, image.size, plain)


def in_colour(pixels: Pixels) -> Pixels:
    """Return ``[..., 3]`` of pixels of any number of channels, to be shown: the first three."""
    return pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].repeat(3, axis=-1)


def turned(pixels: NDArray[Number], turn: int) -> NDArray[Number]:
    """Apply an EXIF orientation (1 to 8) to [height, width, ...] pixels."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
