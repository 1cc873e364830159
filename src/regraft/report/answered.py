"""How often it is right where it answers only if it is sure: the threshold chooser's figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regraft.metrics import wilson
from regraft.report.charts.answered import SHOWN, Point, frame_of, mark_at
from regraft.results.tables import Predictions

LISTED = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Confidences in the table."""

AIMS = (0.8, 0.9, 0.95, 0.98, 0.99)
"""Accuracies that somebody may want; the first that is above what it gets of all is named."""

USUAL = 0.9
"""Confidence that the chooser begins with where none is advised."""

FEWEST = 20
"""Answers below which no accuracy of them is named in a sentence."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Answered:
    """Of ``of`` images those with at least so much confidence, and how many of them are right."""

    least: float
    n: int
    right: int
    of: int
    interval: Interval

    @property
    def accuracy(self) -> float | None:
        """Of what is answered; None where nothing is."""
        return self.right / self.n if self.n else None


def answered(found: Predictions, least: float, captures: float = 1.0) -> Answered:
    """Return what is left at a threshold; ``captures``: independent ones an image, in 0..1."""
    sure = found.confidence >= least
    n, right = int(sure.sum()), int((sure & (found.best == found.truth)).sum())
    return Answered(least, n, right, len(sure), wilson(captures * right, captures * n))


def rows(found: Predictions, captures: float = 1.0) -> list[Answered]:
    """Return the table: thresholds that leave something, and each something else."""
    table: list[Answered] = []
    for least in LISTED:
        one = answered(found, least, captures)
        if one.n and (not table or one.n < table[-1].n):
            table.append(one)
    return table


def advice(found: Predictions) -> tuple[str, float]:
    """Return a sentence on a threshold that is worth something, and the threshold.

    0 where there is none.
    """
    every = answered(found, 0.0)
    accuracy = every.right / every.of
    if accuracy == 1:
        return "It is right for all of them, so no threshold is needed on images like these.", 0.0
    for aim in AIMS:
        least = _reaching(found, aim)
        if aim > accuracy and least is not None:
            one = answered(found, least)
            said = (
                f"Asked to answer only from a confidence of {least:.2f} on, it answers "
                f"{one.n / one.of:.0%} of the images and is right for {one.right / one.n:.1%} of "
                f"those, instead of {accuracy:.1%} of all."
            )
            return said, least
    return "No threshold leaves enough images of which more are right.", 0.0


def _reaching(found: Predictions, aim: float) -> float | None:
    """Return the least confidence, in hundredths, at which what is answered is as often right."""
    for least in np.arange(1, 100) / 100:
        one = answered(found, float(least))
        if one.n < FEWEST:
            return None
        if one.right >= aim * one.n:
            return float(least)
    return None


def curve(found: Predictions, captures: float) -> list[Point]:
    """Return the share answered and its accuracy at each hundredth that leaves something else."""
    kept: dict[int, Point] = {}
    for least in range(SHOWN):
        one = answered(found, least / 100, captures)
        if one.accuracy is not None:
            kept.setdefault(one.n, (one.n / one.of, one.accuracy, one.interval))
    return list(kept.values())


def for_slider(found: Predictions, points: Sequence[Point]) -> str:
    """Return what the slider shows, as JSON: for each hundredth images, right ones and a place."""
    frame = frame_of(points)
    every = [answered(found, least / 100) for least in range(SHOWN)]
    places = [mark_at(frame, one.n / one.of, one.accuracy) for one in every]
    figures = {"n": [one.n for one in every], "right": [one.right for one in every]}
    return json.dumps({**figures, "of": every[0].of, "at": places}, separators=(",", ":"))
