"""The things in a picture, each as outlines around a place on the axis."""

from regraft.diagram.scene import Fate, Kind
from regraft.diagram.shapes import Outline, Point, circle, ellipse, line, polygon, rectangle
from regraft.diagram.sizes import CELLS, Size, parted

HALVES: dict[Fate, tuple[Fate, Fate]] = {"either": ("trained", "scratch")}
"""Fates that are drawn as two halves, the upper and the lower."""


def tokens(
    left: float, axis: float, size: Size, fate: Fate, slices: int, beside: int
) -> tuple[Outline, ...]:
    """Return a block of patches, its left edge given, and above it the tokens beside them."""
    above, patches = parted(size, beside)
    top, bottom = axis - size.tall / 2, axis + size.tall / 2
    return (
        *solid(left, bottom - patches.tall / 2, patches, fate, "tokens", slices),
        *solid(left, top + above.tall / 2, above, fate, "tokens", slices, (min(beside, 2), 1)),
    )


def solid(
    left: float,
    axis: float,
    size: Size,
    fate: Fate,
    kind: Kind,
    slices: int,
    cells: tuple[int, int] = (CELLS, CELLS),
) -> tuple[Outline, ...]:
    """Return a block or bar that stands on the axis, its left edge given.

    ``cells``: of tokens, how many from front to back and how many from top to bottom.
    """
    top = axis - size.tall / 2 + size.up
    front = (left, top, left + size.width, top + size.height)
    halves = HALVES.get(fate, (fate,))
    found = [
        outline
        for i, half in enumerate(halves)
        for outline in _half(front, size, half, i / len(halves), (i + 1) / len(halves))
    ]
    if size.aside:
        found.append(Outline(_lid(front, size), f"{halves[0]} face"))
        found.append(Outline(_lid(front, size), "light"))
    grain = [] if fate == "removed" else _grain(front, size, kind, slices, cells)
    found += [Outline(d, "grain") for d in grain]
    found.append(Outline(_edges(front, size), f"edge {halves[0]}-edge"))
    if fate == "removed":
        found.append(Outline(_cross(front, size), "crossed"))
    return tuple(found)


def picture(left: float, axis: float, size: Size, patches: int = 0) -> tuple[Outline, ...]:
    """Return a photo of hills under a sun, seen from the side; cut into patches where there are."""
    bottom = axis + size.tall / 2

    def at(x: float, y: float) -> Point:
        """Return a point of the photo, 0 to 1 from its lower left corner."""
        return left + x * size.aside, bottom - y * size.height - x * size.up

    def area(*points: Point) -> str:
        return polygon(*(at(x, y) for x, y in points))

    frame = area((0, 0), (1, 0), (1, 1), (0, 1))
    x, y = at(0.68, 0.74)
    sun = ellipse(x, y, 0.04 * size.height, 0.07 * size.height)
    places = [i / patches for i in range(1, patches)]
    cuts = [line(at(share, 0), at(share, 1)) + line(at(0, share), at(1, share)) for share in places]
    return (
        Outline(frame, "sky"),
        Outline(sun, "sun"),
        Outline(area((0, 0), (1, 0), (1, 0.34), (0.72, 0.56), (0.4, 0.22), (0, 0.3)), "far"),
        Outline(area((0, 0), (1, 0), (1, 0.14), (0.7, 0.2), (0.34, 0.46), (0, 0.16)), "near"),
        *([Outline("".join(cuts), "patches")] if cuts else []),
        Outline(frame, "edge frame"),
    )


def scissors(x: float, y: float, unit: float) -> tuple[Outline, ...]:
    """Scissors that cut downwards from ``y``, ``11 * unit`` high."""
    rings = "".join(circle(x + side * 2.3 * unit, y + 2 * unit, 2 * unit) for side in (-1, 1))
    blades = "".join(
        line((x + side * 1.5 * unit, y + 3.8 * unit), (x - side * 1.9 * unit, y + 11 * unit))
        for side in (-1, 1)
    )
    return Outline(rings, "blade"), Outline(blades, "blade")


def arrow(start: float, end: float, y: float, head: float) -> tuple[Outline, ...]:
    """Return a line to the right; with a head where there is room for one."""
    if end - start < 2.5 * head:
        return (Outline(line((start, y), (end, y)), "flow"),)
    tip = polygon((end, y), (end - head, y - 0.55 * head), (end - head, y + 0.55 * head))
    return Outline(line((start, y), (end - head, y)), "flow"), Outline(tip, "tip")


def _half(
    front: tuple[float, float, float, float], size: Size, fate: Fate, upper: float, lower: float
) -> list[Outline]:
    """Return the front and the side of a block between two shares of its height."""
    left, top, right, bottom = front
    high, low = top + upper * (bottom - top), top + lower * (bottom - top)
    found = [Outline(rectangle(left, high, right, low), f"{fate} face")]
    if size.aside:
        across, up = size.aside, size.up
        side = polygon(
            (right, high), (right + across, high - up), (right + across, low - up), (right, low)
        )
        found += [Outline(side, f"{fate} face"), Outline(side, "shade")]
    return found


def _lid(front: tuple[float, float, float, float], size: Size) -> str:
    left, top, right, _ = front
    across, up = size.aside, size.up
    return polygon((left, top), (left + across, top - up), (right + across, top - up), (right, top))


def _edges(front: tuple[float, float, float, float], size: Size) -> str:
    left, top, right, bottom = front
    across, up = size.aside, size.up
    if not across:
        return rectangle(*front)
    outside = polygon(
        (left, top),
        (left + across, top - up),
        (right + across, top - up),
        (right + across, bottom - up),
        (right, bottom),
        (left, bottom),
    )
    return (
        outside
        + line((left, top), (right, top), (right, bottom))
        + line((right, top), (right + across, top - up))
    )


def _grain(
    front: tuple[float, float, float, float],
    size: Size,
    kind: Kind,
    slices: int,
    cells: tuple[int, int],
) -> list[str]:
    """Lines on the faces: several stages are slices, tokens a grid of patches."""
    left, top, right, bottom = front
    found = []
    for i in range(1, slices):
        x = left + i * (right - left) / slices
        found.append(line((x, bottom), (x, top), (x + size.aside, top - size.up)))
    if kind == "tokens" and size.aside:
        deep, high = cells
        for i in range(1, deep):
            x, y = i * size.aside / deep, i * size.up / deep
            found.append(line((right + x, bottom - y), (right + x, top - y)))
        for i in range(1, high):
            z = top + i * (bottom - top) / high
            found.append(line((right, z), (right + size.aside, z - size.up)))
    return found


def _cross(front: tuple[float, float, float, float], size: Size) -> str:
    """One stroke from corner to corner."""
    left, top, right, bottom = front
    return line((left, bottom), (right + size.aside, top - size.up))
