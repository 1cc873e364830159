"""Accuracy of what is answered, against the share that is answered."""

from collections.abc import Sequence

from regraft.report.charts.frame import (
    Frame,
    Interval,
    band,
    dot,
    path,
    rules,
    svg,
    text,
    ticks,
    upright,
)

SHOWN = 100
"""Confidences that are tried: 0.00 to 0.99."""

Point = tuple[float, float, Interval]
"""Share that is answered, accuracy of it, and its interval."""


def frame_of(points: Sequence[Point]) -> Frame:
    """Return the frame that holds all points."""
    low = min(min(accuracy, ends[0]) for _, accuracy, ends in points)
    return Frame((0.0, 1.0), (ticks(low, 1.0)[0], 1.0), wide=520, high=330, right=22)


def mark_at(frame: Frame, share: float, accuracy: float | None) -> list[float]:
    """Return where the slider's mark stands, in px of the chart; nowhere without an answer."""
    return [] if accuracy is None else [round(frame.x(share), 1), round(frame.y(accuracy), 1)]


def chart(points: Sequence[Point]) -> str:
    """Return the curve; ``points`` from all that is answered down to little."""
    frame = frame_of(points)
    marks = ticks(frame.ys[0], 1.0)
    parts = [*rules(frame, marks, lambda value: f"{value:.0%}"), upright(frame, "right")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(text(frame.x(share), frame.floor + 19, f"{share:.0%}"))
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, "share of the images that is answered", "axis"))
    parts.append(band(frame, [x for x, _, _ in points], [ends for _, _, ends in points]))
    parts.append(path(frame, [(x, y) for x, y, _ in points], "t0"))
    x, y, _ = points[0]
    parts.append(dot(frame.x(x), frame.y(y), "t0 full here", 6))
    last = points[-1]
    said = (
        f"Of all images {y:.1%} are right; of the {last[0]:.0%} that it is surest of, {last[1]:.1%}"
    )
    return svg(frame, f"{said}.", parts, "small")
