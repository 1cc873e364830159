"""The plane of size and similarity, with the four cases as its quarters."""

import math
from collections.abc import Sequence

from regraft.plan.evidence import Evidence
from regraft.plan.similarity import SIMILAR
from regraft.plan.size import LARGE
from regraft.report.charts.frame import (
    Box,
    Frame,
    around,
    dot,
    line,
    meet,
    names,
    rules,
    short,
    svg,
    text,
    upright,
)
from regraft.report.references import NETWORK, REFERENCES

SIZES = (200, 1000, 4500, 20_000, 100_000)
"""Images that are named on the axis."""

QUARTERS = (
    (1, 0.0, 1.0, "small, similar"),
    (2, 0.0, 0.0, "small, different"),
    (3, 1.0, 1.0, "large, similar"),
    (4, 1.0, 0.0, "large, different"),
)


def plane(evidence: Evidence, name: str, backbone: str) -> str:
    """Where a set lies, among those that were measured under the same network."""
    frame = Frame((-0.03, 1.03), (0.0, 1.0), wide=500, high=380, foot=50)
    known = REFERENCES if backbone == NETWORK else ()
    here = frame.x(evidence.size), frame.y(evidence.similarity)
    corners = _corners(frame, here)
    parts = [*_ground(frame, corners), *_axis(frame)]
    places = [(here, short(name, 24))]
    places += [((frame.x(_scale(r.images)), frame.y(r.similarity)), r.name) for r in known]
    parts += [dot(x, y, "ref", 4, label) for (x, y), label in places[1:]]
    parts.append(dot(*here, "t0 full", 8))
    x, y, right = frame.x(LARGE), frame.y(SIMILAR), frame.wide - frame.right
    lines = [(x - 1, frame.top, x + 1, frame.floor), (frame.left, y - 1, right, y + 1)]
    parts += names(frame, places, corners, lines)
    likeness = "similar to" if evidence.similar else "different from"
    large = "large" if evidence.large else "small"
    return svg(
        frame,
        f"{name}: {evidence.images:,} training images (size {evidence.size:.2f}), similarity "
        f"{evidence.similarity:.2f}: a {large} set, {likeness} the source.",
        parts,
    )


def _scale(images: float) -> float:
    """`regraft.plan.evidence.size_of` of evenly filled classes."""
    return min(max(math.log(images / 200) / math.log(500), 0.0), 1.0)


def _ground(frame: Frame, corners: Sequence[Box]) -> list[str]:
    """Return the quarters, shaded where cases 1 and 4 lie, with their names in these corners."""
    x, y = frame.x(LARGE), frame.y(SIMILAR)
    right = frame.wide - frame.right
    found = [
        f'<rect class="quarter" x="{frame.left:.1f}" y="{frame.top:.1f}" '
        f'width="{x - frame.left:.1f}" height="{y - frame.top:.1f}"/>',
        f'<rect class="quarter" x="{x:.1f}" y="{y:.1f}" '
        f'width="{right - x:.1f}" height="{frame.floor - y:.1f}"/>',
        line(x, frame.top, x, frame.floor, "divide"),
        line(frame.left, y, right, y, "divide"),
    ]
    for (case, across, _, words), corner in zip(QUARTERS, corners, strict=True):
        at = frame.left + 8 if across == 0 else right - 8
        anchor = "start" if across == 0 else "end"
        found.append(text(at, corner[3] - 8, f"Case {case}: {words}", "case", anchor))
    return found


def _axis(frame: Frame) -> list[str]:
    found = rules(frame, (0.0, 0.25, 0.5, 0.75, 1.0), lambda value: f"{value:g}")
    for images in SIZES:
        x = frame.x(_scale(images))
        found += [line(x, frame.floor, x, frame.floor + 4, "grid")]
        y, words = frame.floor + 19, f"{images:,}"
        if images == SIZES[-1]:
            found += [text(frame.wide, y, f"≥ {words}", anchor="end")]
        else:
            found += [text(x, y, f"≤ {words}" if images == SIZES[0] else words)]
    middle = (frame.left + frame.wide - frame.right) / 2
    found.append(text(middle, frame.high - 8, "training images (size)", "axis"))
    return [*found, upright(frame, "similarity to the source")]


def _corners(frame: Frame, here: tuple[float, float]) -> list[Box]:
    """Return what the quarters' names take.

    Outer corners, or inner ones where the set lies there.
    """
    found, right, middle = [], frame.wide - frame.right, frame.y(SIMILAR)
    for case, across, up, words in QUARTERS:
        wide = 7.2 * len(f"Case {case}: {words}") + 12
        left = frame.left if across == 0 else right - wide
        tops = (frame.top, middle - 26) if up else (frame.floor - 26, middle)
        boxes = [(left, top, left + wide, top + 26) for top in tops]
        found.append(boxes[meet(boxes[0], around(*here))])
    return found
