"""What the held-out images say, by what is asked of an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.heads.ridge import Head
from regraft.heads.tasks.number import score_number
from regraft.heads.tasks.several import score_several
from regraft.metrics import score
from regraft.plan.definition import Plan
from regraft.results.tables import Predictions
from regraft.run.measure import Measured


def in_units(measured: Measured, values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers ``[n, 1]`` in their own unit, ``[n]``; all else as it is."""
    if measured.task.kind != "number":
        return values
    mean, spread = measured.units
    return values[:, 0].astype(np.float64) * spread + mean


def truth_of(measured: Measured, rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return the labels of some kept images; numbers ``[n]`` as they were read, to the last bit."""
    if measured.task.kind != "number":
        return measured.labels[rows]
    texts, kept = measured.dataset.columns.labels, np.asarray(measured.audit.kept)
    return np.array([float(text) for text in texts[kept[rows]]])


def unit_head(measured: Measured, head: Head) -> Head:
    """Return the head that gives a number in its own unit; any other as it is."""
    if measured.task.kind != "number":
        return head
    mean, spread = measured.units
    return head.adjusted([spread], [mean])


def scored(
    plan: Plan,
    classes: Sequence[str],
    told: NDArray[Any],
    truth: NDArray[Any],
    groups: NDArray[np.int64],
) -> dict[str, Any]:
    """Score answers to the held-out images against the truth, for ``metrics.json``."""
    answer = plan.evidence.answer
    if answer is None:
        return score(told, truth, classes, groups).to_json()
    if answer.kind == "number":
        return score_number(told, truth, answer.half_width, groups, answer.mean)
    return score_several(told, truth, classes, np.array(answer.thresholds), groups)


def predictions_of(
    plan: Plan, paths: Sequence[str], truth: NDArray[Any], told: NDArray[Any]
) -> Predictions:
    """Return the held-out images as they are shown to people."""
    answer = plan.evidence.answer
    if answer is None:
        return Predictions(paths, truth, told)
    if answer.kind == "several":
        return Predictions(paths, truth > 0, told, "several", answer.thresholds)
    return Predictions(paths, truth, told, "number")
