"""A decoded picture as 8-bit grey or RGB, and what was seen on the way."""

from typing import Final

import numpy as np
from PIL import Image

_NEAR_WHITE: Final = 40.0  # root mean square distance from white of what is invisible on it
_DARK: Final = (0, 0, 0)
_ONE_COLOUR: Final = 8  # levels between which a picture shows nothing but noise


def plain(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image as 8-bit grey or RGB, and notes on what it was."""
    mode = image.mode
    if image.has_transparency_data:
        return on_ground(image)
    if mode in ("1", "L"):
        return image.convert("L"), ("grey",)
    if mode == "RGB":
        return image, ()
    return image.convert("RGB"), {"P": ("palette",), "CMYK": ("cmyk",)}.get(mode, ())


def on_ground(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Composite on white, or on black what is itself white; noted where a pixel is not opaque.

    The picture alone decides, so that it looks the same wherever it is read.
    """
    notes = ("palette",) * image.mode.startswith("P") + ("grey",) * image.mode.startswith("L")
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return rgba.convert("RGB"), notes
    dark = _is_white(rgba)
    ground = Image.new("RGB", image.size, _DARK if dark else "white")
    ground.paste(rgba, mask=alpha)
    return ground, (*notes, "alpha", *(("white-on-clear",) * dark))


def _is_white(rgba: Image.Image) -> bool:
    """Return whether what is visible would vanish on white."""
    small = rgba.reduce(max(1, min(rgba.size) // 128))  # weighs colours by their opacity
    pixels = np.asarray(small, dtype=np.float64)
    weight = pixels[..., 3]
    distance = np.square(255 - pixels[..., :3]).mean(2)
    seen = float(weight.sum())
    return seen > 0 and float((distance * weight).sum()) < seen * _NEAR_WHITE**2


def is_blank(image: Image.Image, grey: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> bool:
    """Return whether a picture shows nothing: one colour, but for noise.

    ``grey``: its miniature.
    """
    if grey.max() - grey.min() > _ONE_COLOUR:
        return False
    small = image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return int(np.ptp(np.asarray(small), axis=(0, 1)).max()) <= _ONE_COLOUR
