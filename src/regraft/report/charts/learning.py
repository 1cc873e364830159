"""The learning curve: accuracy against the images learnt from, and what is expected of more."""

from math import log2

from regraft.plan.how_many import LearningCurve
from regraft.report.charts.curves import percent
from regraft.report.charts.frame import (
    Frame,
    band,
    dot,
    line,
    path,
    rules,
    svg,
    text,
    ticks,
    upright,
)


def learning(curve: LearningCurve | None) -> str:
    """Return the curve with its band, the images on a logarithmic axis; '' where none is told."""
    if curve is None or curve.untold:
        return ""
    every = (*curve.measured, *curve.ahead)
    lows = [point.interval[0] for point in every] + [point.accuracy for point in every]
    marks = ticks(max(min(lows), 0.0), max(point.interval[1] for point in every))
    places = [log2(point.images) for point in every]
    frame = Frame((places[0], places[-1]), (marks[0], marks[-1]), right=26, foot=48)
    today = frame.x(log2(curve.today.images))
    parts = [*rules(frame, marks, percent), upright(frame, "accuracy")]
    parts.append(band(frame, places, [point.interval for point in every]))
    parts.append(line(today, frame.top, today, frame.floor, "chance"))
    first = len(curve.measured)
    seen = [(x, point.accuracy) for x, point in zip(places, curve.measured, strict=False)]
    ahead = [(x, p.accuracy) for x, p in zip(places[first:], curve.ahead, strict=True)]
    parts.append(path(frame, seen, "t0"))
    parts.append(path(frame, ahead, "t0 dash1"))
    for x, point in zip(places, curve.measured, strict=False):
        title = f"{point.images:,} images: {point.accuracy:.1%}"
        parts.append(dot(frame.x(x), frame.y(point.accuracy), "t0 full", 4.5, title))
    shown = [*curve.measured[:-1], curve.today, curve.times(2), curve.times(4)]
    for point in shown:
        at = frame.x(log2(point.images))
        parts.append(text(at, frame.floor + 19, f"{point.images:,}"))
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, "images learnt from", "axis"))
    said = ", ".join(f"{point.images:,} images {point.accuracy:.1%}" for point in shown)
    return svg(frame, f"Accuracy against the images learnt from: {said}.", parts)
