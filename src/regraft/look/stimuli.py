"""Drawn pictures that differ in one thing alone: the orientation of edges, or a shape.

Everything else (place, size, colours, contrast, blur, texture, grain) is drawn at random for each
picture, from the same distribution for every class. So whoever tells the classes apart tells them
by the orientation, or by the shape. Each picture depends on its task, its number and the seed
alone, and classes take turns: picture ``n`` is of class ``n % 8``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Outline: TypeAlias = NDArray[np.float64]
"""Corners ``[n, 2]`` of a polygon: x to the right, y down."""

ANGLES = tuple(22.5 * k for k in range(8))
"""Degrees that an edge is turned from the vertical, clockwise."""

JITTER = 4.0  # degrees, either way, around each of the angles
_FINE = 4  # outlines are drawn so many times as large, and averaged


@dataclass(frozen=True)
class DrawnTask:
    """A kind of drawn pictures. ``draw(number, size, seed)`` gives one ``[size, size, 3]``."""

    name: str
    classes: tuple[str, ...]
    draw: Callable[[int, int, int], Pixels]

    def label(self, number: int) -> int:
        """Return the class of a picture: they take turns."""
        return number % len(self.classes)


def edges(number: int, size: int, seed: int) -> Pixels:
    """Edges in one direction between two colours, in a round window that fades into a third.

    The window makes the edges as long in every orientation, and no orientation touches the border
    of the picture in a way of its own.
    """
    random = np.random.default_rng([seed, 1, number])
    angle = math.radians(ANGLES[number % len(ANGLES)] + random.uniform(-JITTER, JITTER))
    first, second, behind = _colours(random)
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    x, y = x - random.uniform(0.4, 0.6), y - random.uniform(0.4, 0.6)
    blur = max(math.exp(random.uniform(math.log(0.004), math.log(0.015))), 0.3 / size)
    across = _stripes(x * math.cos(angle) + y * math.sin(angle), blur, random)
    window = _step((random.uniform(0.25, 0.4) - np.hypot(x, y)) / 0.05)
    inside = _mix(first, second, across)
    return _finished(behind + window[..., None] * (inside - behind), random)


def _stripes(x: Floats, blur: float, random: np.random.Generator) -> Floats:
    """0 and 1 in turn along ``x``, the edges between them at random distances."""
    least = random.uniform(0.05, 0.15)
    places = -0.6 + np.cumsum(random.uniform(least, 2 * least, 24)) - random.uniform(0, least)
    sides = [(-1) ** n * _step((x - place) / blur) for n, place in enumerate(places) if place < 0.6]
    side: Floats = np.add.reduce(sides)
    return side


def shape(number: int, size: int, seed: int) -> Pixels:
    """Return a figure of one texture on a ground of another, of any size, place and colour."""
    random = np.random.default_rng([seed, 2, number])
    mask = _figure(number, size, random)[..., None]
    figure, ground, _ = _colours(random)
    inside, outside = _textured(figure, size, random), _textured(ground, size, random)
    return _finished(outside + mask * (inside - outside), random)


def figure(number: int, size: int, seed: int) -> Floats:
    """Where the figure of `shape` is: its share of each pixel, ``[size, size]``."""
    return _figure(number, size, np.random.default_rng([seed, 2, number]))


def _figure(number: int, size: int, random: np.random.Generator) -> Floats:
    """Return a shape that covers 6 to 16 % of the picture and lies in it whole.

    All shapes are placed as if they reached as far as the one that reaches farthest, so that the
    place tells nothing either.
    """
    outlines = list(SHAPES.values())[number % len(SHAPES)]
    scale = math.sqrt(random.uniform(0.06, 0.16))
    reach = scale * _REACH
    centre = random.uniform(reach, 1 - reach, 2)
    angle = random.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    fine = size * _FINE
    image = Image.new("L", (fine, fine))
    draw = ImageDraw.Draw(image)
    for fill, outline in zip((255, 0), outlines, strict=False):
        corners = (outline * scale @ turn + centre) * fine
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=fill)
    return np.asarray(image.reduce(_FINE), np.float32) / np.float32(255)


# --- colours and textures ------------------------------------------------------------------------


def _colours(random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Two colours that differ in brightness by 50 to 110 levels, either way, and one between."""
    middle, apart = random.uniform(85, 170), random.uniform(50, 110)
    apart *= random.choice([-1.0, 1.0])
    tints = [random.uniform(-35, 35, 3) for _ in range(3)]
    levels = (middle - apart / 2, middle + apart / 2, middle)
    first, second, third = (
        (level + tint - tint.mean()).astype(np.float32)
        for level, tint in zip(levels, tints, strict=True)
    )
    return first, second, third


def _textured(colour: Floats, size: int, random: np.random.Generator) -> Floats:
    """Return a surface ``[size, size, 3]`` of this mean colour.

    Plain, striped, chequered or cloudy.
    """
    kind = random.integers(4)
    period, angle = random.uniform(0.06, 0.2), random.uniform(0, math.pi)
    depth, phase = random.uniform(8, 26), random.uniform(0, 2 * math.pi, 2)
    clouds = random.standard_normal((3, round(1 / period) + 2, round(1 / period) + 2))
    if kind == 0:
        return np.broadcast_to(colour, (size, size, 3))
    if kind == 1:
        return colour + np.float32(depth) * np.stack(
            [_enlarged(layer, size) for layer in clouds], axis=-1
        )
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    along = 2 * math.pi / period * (x * math.cos(angle) + y * math.sin(angle)) + phase[0]
    across = 2 * math.pi / period * (y * math.cos(angle) - x * math.sin(angle)) + phase[1]
    wave = np.sin(along) if kind == 2 else np.sin(along) * np.sin(across)
    surface: Floats = (colour + depth * wave[..., None]).astype(np.float32)
    return surface


def _enlarged(layer: NDArray[np.float64], size: int) -> Floats:
    """Return a coarse grid of numbers as a smooth surface ``[size, size]`` around 0."""
    image = Image.fromarray(layer.astype(np.float32))
    smooth = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    centred: Floats = (smooth - smooth.mean()).astype(np.float32)
    return centred


def _finished(image: Floats, random: np.random.Generator) -> Pixels:
    """With a little grain, as 0..255."""
    grain = random.standard_normal(image.shape, np.float32) * np.float32(random.uniform(2, 8))
    return (image + grain).round().clip(0, 255).astype(np.uint8)


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    return first + share[..., None] * (second - first)


def _step(x: Floats) -> Floats:
    """From 0 to 1 around 0, smoothly (the logistic function)."""
    rising: Floats = np.reciprocal(1 + np.exp(-np.clip(x, -30, 30)), dtype=np.float32)
    return rising


# --- outlines: each covers an area of 1 around the middle of its corners --------------------------


def _regular(corners: int, start: float = 0.0) -> Outline:
    angle = start + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _arc(radius: float, start: float, end: float, middle: float = 0.0) -> Outline:
    angle = np.linspace(start, end, 48)
    return np.stack([middle + radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _star() -> Outline:
    points: Outline = _regular(10)
    points[1::2] *= 0.45
    return points


def _cross() -> Outline:
    near, far = 1.0, 3.0
    quarter = np.array([[far, -near], [far, near], [near, near]])
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn for turn in turns])


def _crescent() -> Outline:
    """Return a disc without the part of it that another one covers, 0.5 radii to the right."""
    bite, radius = 0.5, 0.85
    x = (1 - radius**2 + bite**2) / (2 * bite)  # where the two circles meet
    tip, inner = math.acos(x), math.atan2(math.sqrt(1 - x * x), x - bite)
    outer = _arc(1, tip, 2 * math.pi - tip)
    return np.concatenate([outer, _arc(radius, 2 * math.pi - inner, inner, bite)])


def _area(outline: Outline) -> float:
    """Area of a polygon by the shoelace formula."""
    x, y = outline.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _unit(*outlines: Outline) -> tuple[Outline, ...]:
    """Return an outline, and perhaps a hole in it, at an area of 1 and with the middle at 0."""
    whole = outlines[0]
    area = _area(whole) - sum(_area(hole) for hole in outlines[1:])
    middle = (whole.min(0) + whole.max(0)) / 2
    return tuple((outline - middle) / math.sqrt(area) for outline in outlines)


SHAPES: dict[str, tuple[Outline, ...]] = {
    "circle": _unit(_regular(96)),
    "ring": _unit(_regular(96), 0.6 * _regular(96)),
    "half circle": _unit(_arc(1, 0, math.pi)),
    "crescent": _unit(_crescent()),
    "triangle": _unit(_regular(3)),
    "square": _unit(_regular(4)),
    "cross": _unit(_cross()),
    "star": _unit(_star()),
}
"""Outlines by name; the second of two is a hole."""

_REACH = max(float(np.hypot(*outlines[0].T).max()) for outlines in SHAPES.values())

ORIENTATION = DrawnTask("orientation", tuple(f"{angle:g}°" for angle in ANGLES), edges)
SHAPE = DrawnTask("shape", tuple(SHAPES), shape)
