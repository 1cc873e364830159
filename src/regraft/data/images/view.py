"""How a picture becomes the square that a network sees."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
    its own brightest pixel.
    """

    size: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mirror: bool = False
    zoom: float = 1.0
    fit: str = "crop"
    integers: Range | None = None
    floats: Range | None = None

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
        fit = f"-{self.fit}" if self.fit != "crop" else ""
        scale = "".join(
            f"-{name}{limits[0]!r}..{limits[1]!r}"
            for name, limits in (("i", self.integers), ("f", self.floats))
            if limits
        )
        mirror = "-mirror" * self.mirror
        return f"{self.size}-{self.crop:g}-{self.interpolation}{zoom}{fit}{scale}{mirror}"

    @property
    def unusual(self) -> dict[str, object]:
        """What this view has beside a size, a crop and a filter, by name: for others to follow."""
        fit = {"fit": self.fit} if self.fit != "crop" else {}
        limits = {"integers": self.integers, "floats": self.floats}
        return fit | {name: list(scale) for name, scale in limits.items() if scale}

    @property
    def need(self) -> int:
        """Px that the shorter side of the decoded photo should have, so that nothing is lost."""
        return int(-(-self.size * self.zoom // self.crop))


def _ascends(limits: Range | None) -> bool:
    return limits is None or limits[0] < limits[1]


def square(image: Image.Image, box: tuple[float, float], view: View) -> Pixels:
    """Return what a view shows of a picture, whose width and height in the image's px are ``box``.

    In one pass over the pixels that are needed.
    """
    (left, right), (top, bottom) = (_seen(length, min(box), view) for length in box)
    if view.fit == "pad":
        columns, rows = (_filled(length / max(box), view.size) for length in box)
    else:
        columns = rows = view.size
    filtered = FILTERS[view.interpolation]
    small = image.resize((columns, rows), filtered, (left, top, right, bottom)).convert("RGB")
    if view.fit != "pad":
        return np.array(small)
    whole = Image.new("RGB", (view.size, view.size), BORDER)
    whole.paste(small, ((view.size - columns) // 2, (view.size - rows) // 2))
    return np.array(whole)


def _seen(length: float, shorter: float, view: View) -> Range:
    """From where to where a side of this length is seen."""
    seen = (shorter * view.crop if view.fit == "crop" else length) / view.zoom
    start = (length - seen) / 2
    return start, start + seen


def _filled(share: float, size: int) -> int:
    """Px of the square that a side takes; so that as many are left before it as after it."""
    return size - 2 * min(round(size * (1 - share) / 2), (size - 1) // 2)


def turned(pixels: NDArray[Number], turn: int) -> NDArray[Number]:
    """Apply an EXIF orientation (1 to 8) to [height, width, ...] pixels."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
