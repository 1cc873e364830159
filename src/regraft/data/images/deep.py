"""Pictures of more than 8 bits a pixel: one scale for a whole set.

Instruments write 10, 12 or 14 bits into 16, or floats and whole numbers of any range. Scaled one by
one, by its own brightest pixel each, pictures lose their exposure, and one bright pixel changes
everything. So a set has one scale: what is black in all of its pictures, and what is white.

Whole numbers without a sign go from 0 to the end of the smallest usual depth (8, 10, 12, 14, 16
bits) that holds them. Others go from the lowest to the highest value that was measured, floats from
0 to 1 or to 255 where they nearly do. A thousandth of each picture's pixels, and of a set a
hundredth of its pictures, may lie outside: a hot pixel or a failed picture sets no scale.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data.images.view import Pixels, Range, View

Values = NDArray[np.float64]

_BITS: Final = (8, 10, 12, 14, 16)
_OUTSIDE: Final = 0.001  # share of a picture's pixels that sets no scale
_MEASURED: Final = 1 << 20  # pixels that are looked at for that
_TOLERATED: Final = 0.05  # of a scale that a picture may pass it by without a word


def values_of(image: Image.Image) -> Values | None:
    """Return the pixels ``[height, width]`` of a grey picture of more than 8 bits, else None.

    Raises:
        ValueError: there are pixels that are no finite numbers.
    """
    if not image.mode.startswith(("I", "F")):
        return None
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are no finite numbers")
    return values


def limits(values: Values) -> Range:
    """Return the lowest and highest value, a thousandth of the pixels at either end aside."""
    flat = values.ravel()[:: max(values.size // _MEASURED, 1)]
    outside = int(len(flat) * _OUTSIDE)
    ordered = np.partition(flat, [outside, len(flat) - 1 - outside])
    return float(ordered[outside]), float(ordered[-1 - outside])


def scale_of(pictures: Sequence[Range], *, floats: bool) -> Range | None:
    """Black and white of a set, by the limits of its pictures; None where there are none."""
    if not pictures:
        return None
    aside = max(len(pictures) // 100, int(len(pictures) >= 20))
    low = sorted(low for low, _ in pictures)[aside]
    high = sorted(high for _, high in pictures)[-1 - aside]
    if low >= 0 and not floats:
        bits = next((bits for bits in _BITS if high < 1 << bits), int(high).bit_length())
        return 0.0, float((1 << bits) - 1)
    if low >= 0:
        usual = (top for top in (1.0, *((1 << bits) - 1.0 for bits in _BITS)) if high <= top)
        top = next(usual, high)
        low, high = (0.0, top) if high > top / 4 else (min(low, 0.0), high)
    return low, high if high > low else low + 1.0


def to_8_bit(values: Values, view: View | None, *, floats: bool) -> Pixels:
    """Return the levels of a picture, ``[height, width]`` in 0..255.

    What lies outside is cut there.
    """
    scale = None if view is None else view.floats if floats else view.integers
    if scale is None:
        return _by_itself(values, floats=floats)
    low, high = scale
    unit = (high - low) / 255 if floats or low < 0 else (high + 1 - low) / 256
    return ((values - low) / unit).clip(0, 255).astype(np.uint8)


def _by_itself(values: Values, *, floats: bool) -> Pixels:
    """Return the upper 8 of the 16, 12 or 8 bits that are in use.

    Floats in 0..1 stretched to 0..255.
    """
    top = float(values.max())
    if floats and top <= 1:
        unit = 1 / 255
    else:
        unit = next((unit for unit in (1, 1 << 4) if top < 256 * unit), 1 << 8)
    return (values / unit).clip(0, 255).astype(np.uint8)


def outside(levels: Sequence[float], view: View, *, floats: bool) -> str:
    """In words, that a picture of these limits goes beyond the scale of a view; '' if not."""
    if not levels:
        return ""
    scale, (low, high) = view.floats if floats else view.integers, levels
    if scale is None:
        return (
            "it has more than 8 bits a pixel, for which the training images set no scale: its own "
            "brightest pixel did"
        )
    spare = (scale[1] - scale[0]) * _TOLERATED
    if low >= scale[0] - spare and high <= scale[1] + spare:
        return ""
    return f"its values lie in {_span((low, high))}, and are cut to {_span(scale)} as in training"


def in_words(view: View) -> Iterable[str]:
    """Yield the scales of a view, a clause each."""
    for what, scale in (("whole numbers", view.integers), ("floats", view.floats)):
        if scale is not None:
            yield f"{what} from {scale[0]:,g} (black) to {scale[1]:,g} (white)"


def _span(limits: Range) -> str:
    return f"{limits[0]:,g}..{limits[1]:,g}"
