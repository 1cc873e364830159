"""Charts of several labels, and of numbers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.report.charts.curves import percent
from regraft.report.charts.frame import (
    Frame,
    dot,
    line,
    path,
    rules,
    svg,
    text,
    ticks,
    upright,
)

Floats = NDArray[np.floating]

DOTS: Final = 2000
"""Images in a scatter, at most."""

STEPS: Final = 120
"""Points of a curve, at most."""


def number(value: float) -> str:
    """Return a tick's number."""
    return f"{value:g}".replace("-", "−")


def precision_recall(shares: Floats, truth: NDArray[np.bool_], threshold: float, name: str) -> str:
    """Return precision against recall of one label, with a mark at its threshold.

    ``shares`` and ``truth`` ``[n]`` are of the held-out images; one of them has the label.
    """
    order = np.argsort(-shares, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.diff(shares[order], append=np.inf))
    recall, precision = hits[last] / hits[-1], hits[last] / (last + 1)
    some = np.unique(np.linspace(0, len(last) - 1, STEPS).astype(int))
    frame = Frame((0.0, 1.0), (0.0, 1.0), wide=300, high=230, left=56, right=24, foot=42)
    marks = (0.0, 0.5, 1.0)
    parts = [*rules(frame, marks, percent), upright(frame, "precision")]
    parts += [text(frame.x(mark), frame.floor + 17, percent(mark)) for mark in marks]
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, "recall", "axis"))
    share = frame.y(float(truth.mean()))
    parts.append(line(frame.left, share, frame.wide - frame.right, share, "chance"))
    points = list(zip(recall[some].tolist(), precision[some].tolist(), strict=True))
    parts.append(path(frame, points, "t0"))
    given = shares >= threshold
    right = int((given & truth).sum())
    here = right / int(truth.sum()), right / max(int(given.sum()), 1)
    if given.any():
        said = f"given from {threshold:.1%}: precision {here[1]:.1%}, recall {here[0]:.1%}"
        parts.append(dot(frame.x(here[0]), frame.y(here[1]), "t1 full", 5, said))
    title = f"{name}: precision against recall; at its threshold {here[1]:.0%} and {here[0]:.0%}."
    return svg(frame, title, parts, "small")


def scatter(told: Floats, truth: Floats, half: float, name: str) -> str:
    """Return numbers ``[n]`` as they are told over the true ones, within the interval's band."""
    some = np.arange(len(truth))
    if len(some) > DOTS:
        some = np.sort(np.random.default_rng(0).permutation(len(some))[:DOTS])
    ends = [float(pick(np.concatenate([told, truth]))) for pick in (np.min, np.max)]
    marks = ticks(ends[0], ends[1])
    low, high = marks[0], marks[-1]
    frame = Frame((low, high), (low, high), wide=480, high=430, left=66, foot=48)
    parts = [*rules(frame, marks, number), upright(frame, f"{name}, told")]
    parts += [text(frame.x(mark), frame.floor + 18, number(mark)) for mark in marks]
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, f"{name}, true", "axis"))
    corners = [(low, low - half), (low, low + half), (high, high + half), (high, high - half)]
    places = "L".join(
        f"{frame.x(x):.1f} {frame.y(min(max(y, low), high)):.1f}" for x, y in _clipped(corners, low)
    )
    parts.append(f'<path class="band t0" d="M{places}Z"/>')
    parts.append(line(frame.x(low), frame.y(low), frame.x(high), frame.y(high), "chance"))
    size = 3 if len(some) <= 500 else 2
    parts += [
        f'<circle class="spot" cx="{frame.x(float(truth[n])):.1f}" '
        f'cy="{frame.y(float(told[n])):.1f}" r="{size}"/>'
        for n in some.tolist()
    ]
    held = float((np.abs(told - truth) <= half).mean())
    title = f"{name} as it is told over the true one; {held:.0%} lie within ± {half:.4g}."
    return svg(frame, title, parts)


def _clipped(corners: list[tuple[float, float]], low: float) -> list[tuple[float, float]]:
    """Return the band's corners where its edges meet the frame, so that it stays as wide."""
    (_, below), (_, above), (high, _), _ = corners
    half = above - low
    assert below <= low
    return [
        (low, low),
        (low, min(low + half, high)),
        (max(high - half, low), high),
        (high, high),
        (high, max(high - half, low)),
        (min(low + half, high), low),
    ]


def histogram(errors: Floats, name: str) -> str:
    """Return how many images are off by how much, ``errors`` ``[n]`` as told less true."""
    reach = float(np.abs(errors).max()) or 1.0
    marks = ticks(-reach, reach)
    ends = max(abs(marks[0]), marks[-1])
    count = 2 * int(np.clip(np.sqrt(len(errors)), 5, 20)) + 1
    counts, edges = np.histogram(errors, count, (-ends, ends))
    up = [mark for mark in ticks(0, float(counts.max())) if mark == int(mark)]
    frame = Frame((-ends, ends), (0.0, up[-1]), wide=480, high=300, left=56, foot=48)
    parts = [*rules(frame, up, number), upright(frame, "images")]
    for n, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        left, right, top = frame.x(low), frame.x(high), frame.y(n)
        parts.append(
            f'<rect class="bar" x="{left + 0.5:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" '
            f'height="{frame.floor - top:.1f}"><title>{n:,} images: {low:.4g} to {high:.4g}'
            "</title></rect>"
        )
    parts.append(line(frame.x(0), frame.top, frame.x(0), frame.floor, "chance"))
    parts += [text(frame.x(mark), frame.floor + 18, number(mark)) for mark in marks]
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, f"error of {name}: told less true", "axis"))
    return svg(frame, f"Errors of {name}: half are within {np.median(np.abs(errors)):.4g}.", parts)
