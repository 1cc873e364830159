"""Networks side by side: accuracy over the time of an image."""

import math
from collections.abc import Sequence

from regraft.plan.ranked import RankedNetwork, Ranking
from regraft.report.charts.frame import (
    Frame,
    dot,
    line,
    names,
    path,
    rules,
    short,
    svg,
    text,
    ticks,
    upright,
)


def front(found: Ranking) -> str:
    """Draw each network that was not dropped, with its 95 % interval.

    A line joins those that no other beats both in accuracy and in time.
    """
    spots = found.compared_rows
    lows, highs = zip(*(one.interval or (0.0, 1.0) for one in spots), strict=True)
    marks = ticks(min(lows), max(highs))
    times = [_at(one) for one in spots]
    room = 0.12 * (max(times) - min(times)) + 0.05
    frame = Frame((min(times) - room, max(times) + room), (marks[0], marks[-1]), wide=620, high=330)
    parts = [
        *rules(frame, marks, lambda share: f"{share:.0%}"),
        upright(frame, "expected accuracy"),
    ]
    for time in _times(frame.xs):
        x = frame.x(math.log10(time))
        parts += [line(x, frame.floor, x, frame.floor + 4, "grid")]
        parts += [text(x, frame.floor + 19, f"{time:g} ms")]
    middle = (frame.left + frame.wide - frame.right) / 2
    below = "time of an image alone, decoding not counted"
    parts.append(text(middle, frame.high - 8, below, "axis"))
    best = sorted((one for one in spots if one.backbone in found.front), key=_at)
    parts.append(path(frame, [(_at(one), one.expected or 0.0) for one in best], "t1"))
    for one in spots:
        parts += _spot(frame, one, one.backbone == found.chosen)
    parts += _names(frame, spots, found.chosen)
    listed = ", ".join(
        f"{one.backbone} {one.expected:.1%} in {one.milliseconds:.1f} ms" for one in spots
    )
    return svg(frame, f"Networks by accuracy and time: {listed}.", parts)


def _at(one: RankedNetwork) -> float:
    return math.log10(one.on_axis)


def _spot(frame: Frame, one: RankedNetwork, chosen: bool) -> list[str]:
    x, y = frame.x(_at(one)), frame.y(one.expected or 0.0)
    low, high = one.interval or (0.0, 1.0)
    title = f"{one.backbone}: {one.expected:.1%}"
    return [
        line(x, frame.y(low), x, frame.y(high), "whisker t0"),
        dot(x, y, "t0 full" if chosen else "t0", 7 if chosen else 4.5, title),
    ]


def _names(frame: Frame, spots: Sequence[RankedNetwork], chosen: str | None) -> list[str]:
    """Names beside the marks, that of the chosen network first, and on no interval."""
    ordered = sorted(spots, key=lambda one: one.backbone != chosen)
    at = [(frame.x(_at(one)), frame.y(one.expected or 0.0)) for one in ordered]
    ends = [one.interval or (0.0, 1.0) for one in ordered]
    bars = [
        (x - 2, frame.y(high), x + 2, frame.y(low))
        for (x, _), (low, high) in zip(at, ends, strict=True)
    ]
    places = [(place, short(one.backbone, 26)) for place, one in zip(at, ordered, strict=True)]
    return names(frame, places, bars)


def _times(ends: tuple[float, float]) -> list[float]:
    """Round milliseconds between the ends, given as powers of ten."""
    tens = range(math.floor(ends[0]), math.ceil(ends[1]) + 1)
    found = [step * 10.0**power for power in tens for step in (1, 2, 5)]
    return [time for time in found if ends[0] <= math.log10(time) <= ends[1]]
