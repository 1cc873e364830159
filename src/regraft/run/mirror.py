"""Whether mirror images help: by how much they lower the cross-validated loss."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads import ridge
from regraft.heads.average import Part
from regraft.metrics import paired
from regraft.plan.evidence import Evidence, Probe
from regraft.run.measure import Measured, mirrored

MIRRORED = 1_000
"""Training images that tell whether a mirrored image stays of its class."""


def helps(measured: Measured, evidence: Evidence, weighting: str, seed: int) -> bool:
    """Return whether mirrored images lower the cross-validated loss by more than its error."""
    if measured.mirrored is None:
        return False
    train = measured.split.train
    mirror = measured.mirrored[train]
    read = _heaviest(evidence.probes[evidence.chosen])
    return _gain(measured, train, mirror, evidence, read, weighting, seed) > 1


def keeps(measured: Measured, evidence: Evidence, weighting: str, seed: int) -> bool:
    """Return whether a mirrored image stays of its class: a head of both loses nothing.

    Asked of what training reads, whatever the frozen network does.
    """
    some = measured.split.train[:: max(1, len(measured.split.train) // MIRRORED)]
    whole = measured.mirrored
    mirror = mirrored(measured, some) if whole is None else whole[some]
    place = evidence.chosen if evidence.whole is None else evidence.whole
    read = _heaviest(evidence.probes[place])
    return _gain(measured, some, mirror, evidence, read, weighting, seed) > -1


def _heaviest(probe: Probe) -> Part:
    """Return the head that counts most, which is asked for all."""
    return max(probe.made_of, key=lambda part: part.weight)


def _gain(
    measured: Measured,
    rows: NDArray[np.intp],
    mirror: NDArray[np.float16],
    evidence: Evidence,
    read: Part,
    weighting: str,
    seed: int,
) -> float:
    """By how many standard errors the mirror images of ``rows`` lower the cross-validated loss."""
    x, y = measured.features[rows], measured.labels[rows]
    fold = folds(measured.even[rows], measured.audit.groups[rows], evidence.folds, seed)
    widths, classes = measured.network.backbone.widths, len(measured.classes)
    targets = ridge.targets_of(y, classes).astype(np.float64)

    def losses(views: int) -> NDArray[np.floating[Any]]:
        scores = ridge.cross_validate(
            np.concatenate([x, mirror][:views]),
            widths,
            np.concatenate([y] * views),
            classes,
            np.tile(fold, views),
            [read.taps],
            [read.strength],
            weighting,
        )[0, 0, : len(y)]
        loss: NDArray[np.float64] = np.square(scores - targets).sum(1)
        return loss

    gain, error = paired(losses(1), losses(2))
    return gain / error if error else 0.0
