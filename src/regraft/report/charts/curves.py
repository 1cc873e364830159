"""The depth curve, the training curves, the calibration curve, and accuracies side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.heads.tasks.words import words_of
from regraft.metrics import BINS, bin_of, wilson
from regraft.plan.definition import Plan
from regraft.plan.events import Epoch, LogRow
from regraft.plan.evidence import Probe
from regraft.report.charts.frame import (
    LETTER,
    Frame,
    band,
    dot,
    line,
    path,
    rules,
    short,
    svg,
    text,
    ticks,
    turned,
    upright,
)

STYLES = ("t0", "t1", "t2", "t3")


def percent(share: float) -> str:
    """Return a tick's share."""
    return f"{share:.0%}"


def depth_curve(plan: Plan) -> str:
    """Cross-validated measure of a probe on each depth, what is read, and guessing."""
    words = words_of(plan.kind)
    depths, stages = plan.evidence.depths, plan.backbone.stages
    chosen = plan.evidence.probes[plan.evidence.chosen]
    lows = [probe.interval[0] for probe in depths]
    marks = ticks(min([*lows, plan.evidence.guess]), 1.0)
    names = [short(stage.name) for stage in stages]
    frame = _staged(names, (marks[0], marks[-1]))
    places = list(range(len(depths)))
    parts = [*rules(frame, marks, words.tick), upright(frame, words.measure)]
    parts += _names(frame, names)
    parts.append(band(frame, places, [probe.interval for probe in depths]))
    guess = frame.y(plan.evidence.guess)
    parts.append(line(frame.left, guess, frame.wide - frame.right, guess, "chance"))
    parts.append(path(frame, [(d, p.accuracy) for d, p in enumerate(depths)], "t0"))
    for d, probe in enumerate(depths):
        full = " full" if probe.taps == chosen.taps else ""
        title = f"{stages[d].name}: {words.told(probe.accuracy)}"
        parts.append(dot(frame.x(d), frame.y(probe.accuracy), f"t0{full}", 6 if full else 4, title))
    if len(chosen.taps) > 1:
        parts += _together(frame, chosen)
    listed = ", ".join(
        f"{s.name} {words.told(p.accuracy)}" for s, p in zip(stages, depths, strict=True)
    )
    return svg(frame, f"{words.title} of a probe on each depth: {listed}.", parts)


def _staged(names: Sequence[str], ys: tuple[float, float]) -> Frame:
    """Return a frame with stages along x; long names are turned and need more room below."""
    wide = max(460, 62 + 34 * len(names))
    longest = max(len(name) for name in names)
    slanted = longest * LETTER * len(names) > wide - 82
    foot = 30 + (longest * LETTER * 0.62 if slanted else 0)
    return Frame((-0.5, len(names) - 0.5), ys, wide=wide, high=264 + foot, foot=foot)


def _names(frame: Frame, names: Sequence[str]) -> list[str]:
    slanted = frame.foot > 30
    at = frame.floor + (16 if slanted else 20)
    if slanted:
        return [turned(frame.x(d) + 5, at, name) for d, name in enumerate(names)]
    return [text(frame.x(d), at, name) for d, name in enumerate(names)]


def _together(frame: Frame, chosen: Probe) -> list[str]:
    """Several depths read at once: a bar over them, with a mark at each, of what it counts."""
    y, taps, counts = frame.y(chosen.accuracy), chosen.taps, chosen.weights
    bar = line(frame.x(taps[0]), y, frame.x(taps[-1]), y, "line t1")
    sizes = [5.0 if not chosen.parts else max(2.0, 11 * counts[d] ** 0.5) for d in taps]
    titles = ["" if not chosen.parts else f"counts {counts[d]:.0%}" for d in taps]
    marks = zip(taps, sizes, titles, strict=True)
    return [bar, *(dot(frame.x(d), y, "t1 full", size, title) for d, size, title in marks)]


# ---- training


@dataclass(frozen=True)
class TrainingCurve:
    """One candidate's epochs as the log has them."""

    name: str
    epochs: tuple[int, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    """On the validation images; empty where none were looked at."""
    validation: tuple[float, ...] = ()
    """Loss on them: mean squared error of the probabilities."""


Chosen = tuple[str, int]
"""A candidate, and the epoch after which it was handed over."""


def handed_over(candidates: Sequence[TrainingCurve], plan: Plan) -> Chosen | None:
    """Return which epoch of which candidate is in the network that was handed over, if one is.

    The one with the least validation loss of all; None where the start was better than any.
    """
    ends = [ran.epochs for ran in plan.ran if ran.handed_over]
    if not ends:
        return None
    least = [
        (one.validation[place], one.name, epoch)
        for one in candidates
        for place, epoch in enumerate(one.epochs)
        if one.validation and epoch == ends[0]
    ]
    return min(least)[1:] if least else None


def trained(log: Sequence[LogRow]) -> list[TrainingCurve]:
    """Return the candidates that a log tells of, in the order in which they began."""
    rows: dict[str, dict[int, Epoch]] = {}
    for row in log:
        if isinstance(row, Epoch):
            rows.setdefault(row.what, {})[row.epoch] = row
    return [_candidate(name, epochs) for name, epochs in rows.items()]


def _candidate(name: str, rows: Mapping[int, Epoch]) -> TrainingCurve:
    epochs = sorted(rows)
    return TrainingCurve(
        name,
        tuple(epochs),
        tuple(rows[epoch].loss for epoch in epochs),
        _all([rows[epoch].validation_accuracy for epoch in epochs]),
        _all([rows[epoch].validation_loss for epoch in epochs]),
    )


def _all(values: Sequence[float | None]) -> tuple[float, ...]:
    """Return the values, none of them where one is not known."""
    return tuple(value for value in values if value is not None) if None not in values else ()


def loss_curve(candidates: Sequence[TrainingCurve], at: Chosen | None = None) -> str:
    """Loss on the training images, epoch by epoch."""
    return _losses([(one, one.loss) for one in candidates], "training loss", at)


def validation_curve(candidates: Sequence[TrainingCurve], at: Chosen | None = None) -> str:
    """Loss on the validation images, epoch by epoch; '' where none were looked at."""
    rows = [(one, one.validation) for one in candidates]
    return _losses(rows, "validation loss", at) if any(ys for _, ys in rows) else ""


def _losses(
    rows: Sequence[tuple[TrainingCurve, tuple[float, ...]]], name: str, at: Chosen | None
) -> str:
    marks = ticks(0.0, max(max(ys) for _, ys in rows if ys) or 1.0)
    frame = _epochs([one for one, _ in rows], (0.0, marks[-1]))
    parts = [*rules(frame, marks, lambda value: f"{value:g}"), upright(frame, name)]
    ends = "; ".join(f"{one.name} ends at {ys[-1]:.3f}" for one, ys in rows if ys)
    said = f"{name.capitalize()} by epoch: {ends}."
    return _curves(frame, parts, [(one, ys) for one, ys in rows], said, at)


def accuracy_curve(
    candidates: Sequence[TrainingCurve], at: Chosen | None = None, kind: str = "one"
) -> str:
    """Accuracy on the validation images, epoch by epoch; '' where none were looked at.

    ``kind``: of which question: of several labels and numbers it is their own measure.
    """
    seen = [one for one in candidates if one.accuracy]
    if not seen:
        return ""
    low, high = (pick(pick(one.accuracy) for one in seen) for pick in (min, max))
    words = words_of(kind)
    marks = ticks(low - 0.02 if low < 0 else max(low - 0.02, 0.0), min(high + 0.02, 1.0))
    frame = _epochs(candidates, (marks[0], marks[-1]))
    parts = [*rules(frame, marks, words.tick), upright(frame, f"validation {words.measure}")]
    best = "; ".join(f"{one.name} reaches {words.told(max(one.accuracy))}" for one in seen)
    drawn = [(one, one.accuracy) for one in candidates]
    return _curves(frame, parts, drawn, f"Validation {words.measure} by epoch: {best}.", at)


def _epochs(candidates: Sequence[TrainingCurve], ys: tuple[float, float]) -> Frame:
    last = max(one.epochs[-1] for one in candidates)
    return Frame((1.0, max(last, 2.0)), ys, foot=44)


def _curves(
    frame: Frame,
    parts: Sequence[str],
    drawn: Sequence[tuple[TrainingCurve, Sequence[float]]],
    title: str,
    at: Chosen | None,
) -> str:
    """Return a line for each candidate, and a large mark at the epoch that was handed over."""
    found, last = list(parts), int(frame.xs[1])
    for epoch in sorted({1, *range(0, last + 1, max(1, -(-last // 8)))} - {0}):
        found.append(text(frame.x(epoch), frame.floor + 19, f"{epoch}"))
    middle = (frame.left + frame.wide - frame.right) / 2
    found.append(text(middle, frame.high - 6, "epoch", "axis"))
    for n, (one, ys) in enumerate(drawn):
        style = f"{STYLES[n % len(STYLES)]} dash{n // len(STYLES) % 3}"
        points = list(zip(one.epochs, ys, strict=False))
        found.append(path(frame, points, style))
        for x, y in points:
            said = f"{one.name}, epoch {x}: {y:.4g}"
            chosen = at == (one.name, x)
            how = f"{style} full chosen" if chosen else style
            said += ", handed over" if chosen else ""
            found.append(dot(frame.x(x), frame.y(y), how, 7 if chosen else 2.5, said))
    return svg(frame, title, found)


def swatch(number: int) -> str:
    """Return a candidate's line for the legend."""
    style = f"{STYLES[number % len(STYLES)]} dash{number // len(STYLES) % 3}"
    return (
        '<svg class="swatch" viewBox="0 0 30 16" aria-hidden="true">'
        f'<path class="line {style}" d="M1 8H29"/></svg>'
    )


# ---- calibration


@dataclass(frozen=True)
class Bin:
    """Images of like confidence: how many, how confident, how many of them are right."""

    low: float
    n: int
    confidence: float
    right: int


def bins(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> list[Bin]:
    """Return the bins of the calibration error, those without an image left out."""
    confidence = np.asarray(probabilities, np.float64).max(1)
    return binned(confidence, probabilities.argmax(1) == truth)


def binned(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Return the bins of probabilities ``[n]``, of which some are ``right``, ``[n]``."""
    where = bin_of(confidence)
    return [
        Bin(
            b / BINS,
            int((where == b).sum()),
            float(confidence[where == b].mean()),
            int(right[where == b].sum()),
        )
        for b in np.unique(where).tolist()
    ]


def reliability(
    found: Sequence[Bin], across: str = "confidence", up: str = "accuracy", what: str = "images"
) -> str:
    """Confidence against accuracy, with intervals, over the share of images in each bin.

    ``across``, ``up``, ``what``: their names where they are others.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0), wide=480, high=430, foot=120, right=26)
    low = frame.floor + 78
    parts = [*rules(frame, (0.0, 0.25, 0.5, 0.75, 1.0), percent), upright(frame, up)]
    parts.append(line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "chance"))
    most = max(one.n for one in found)
    for one in found:
        left, right = frame.x(one.low), frame.x(one.low + 1 / BINS)
        tall = 46 * one.n / most
        parts.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{low - tall:.1f}" '
            f'width="{right - left - 2:.1f}" height="{max(tall, 1):.1f}">'
            f"<title>{one.n:,} {what}</title></rect>"
        )
        at, ends = frame.x(one.confidence), wilson(one.right, one.n)
        parts.append(line(at, frame.y(ends[0]), at, frame.y(ends[1]), "whisker t0"))
    points = [(one.confidence, one.right / one.n) for one in found]
    for (x, y), one in zip(points, found, strict=True):
        title = f"{across} {x:.1%}, right {one.right:,} of {one.n:,}"
        parts.append(dot(frame.x(x), frame.y(y), "t0 full", 2.5 + 5 * (one.n / most) ** 0.5, title))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(text(frame.x(share), low + 16, percent(share)))
    parts.append(text(frame.left + 3, low - 48, f"{what}, at most {most:,}", "axis", "start"))
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 4, across, "axis"))
    listed = ", ".join(f"{one.confidence:.0%}: {one.right / one.n:.0%} right" for one in found)
    return svg(frame, f"{up.capitalize()} against {across}: {listed}.", parts, "small")


# ---- side by side


def intervals(
    rows: Sequence[tuple[str, float, tuple[float, float], bool]], kind: str = "one"
) -> str:
    """Accuracies with their intervals, under each other: label, value, interval, whether chosen.

    ``kind``: of which question: of several labels and numbers it is their own measure.
    """
    words = words_of(kind)
    low = min(ends[0] for _, _, ends, _ in rows)
    marks = ticks(low, 1.0)
    wide = 24 + LETTER * max(len(label) for label, *_ in rows)
    frame = Frame(
        (marks[0], marks[-1]),
        (len(rows) - 0.5, -0.5),
        high=52 + 38 * len(rows),
        left=wide,
        right=24,
        foot=44,
    )
    parts = []
    for mark in marks:
        parts.append(line(frame.x(mark), frame.top, frame.x(mark), frame.floor, "grid"))
        parts.append(text(frame.x(mark), frame.floor + 18, words.tick(mark)))
    for n, (label, value, ends, chosen) in enumerate(rows):
        y, how = frame.y(n), "t1" if chosen else "t0"
        parts.append(text(wide - 10, y + 4.5, label, "own" if chosen else "", "end"))
        parts.append(line(frame.x(ends[0]), y, frame.x(ends[1]), y, f"whisker {how}"))
        parts.append(dot(frame.x(value), y, f"{how} full", 6, words.told(value)))
    middle = (frame.left + frame.wide - frame.right) / 2
    parts.append(text(middle, frame.high - 6, f"{words.measure}, 95% interval", "axis"))
    listed = ", ".join(f"{label} {words.told(value)}" for label, value, *_ in rows)
    return svg(frame, f"{words.title}: {listed}.", parts)
