"""How a small set proves its network: every image is held out once, and never seen before that.

A held-out fifth of some hundred images says little: its accuracy moves by ten points with the seed.
Cross-validation of the *whole procedure* judges each image by a network that was chosen, fitted
and calibrated without it (nested cross-validation: Varma and Simon, *Bias in error estimation when
using cross-validation for model selection*, BMC Bioinformatics 7, 2006). What is handed over is
then made of all images, so the figures are, if anything, those of slightly less data.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads import ridge
from regraft.heads.average import Part, fit_average, union
from regraft.heads.ridge import Head
from regraft.heads.sgd import fit_textbook
from regraft.mapped import beneath
from regraft.plan.definition import Plan
from regraft.plan.evidence import Evidence, Gathered
from regraft.run.evidence import evidence_of
from regraft.run.measure import Measured

TURNS = 10
"""Parts that are held out in turn. Nine tenths of some hundred images make nearly the network that
all of them make; with five parts the figures were two points too low (``docs/benchmarks.md``)."""


def each_held_out(plan: Plan, measured: Measured) -> NDArray[np.float64]:
    """Probabilities ``[n, C]`` of the n images of ``measured.split.test``, each held out once.

    Images of one group go together. What stays from turn to turn is what a person chose, and what
    is measured of all: whether the classes are weighed by their numbers, the shift of the channel
    statistics, which no label enters, whether mirror images (``--augment``) are used, and how
    pictures are seen (their scale, and crop or border), which four fifths of them decided.
    """
    test, groups = measured.split.test, measured.audit.groups
    count = min(TURNS, len(np.unique(groups[test])))
    turn = np.zeros(len(test), np.intp)  # one group is out in one turn
    if count > 1:
        turn = folds(measured.even[test], groups[test], count, plan.seed)
    shares = np.empty((len(test), len(measured.classes)))
    for number in range(count):
        out = test[turn == number]
        rows = np.setdiff1d(measured.split.train, out)
        head = _made_without(plan, measured, rows)
        own = ridge.columns(plan.backbone.widths, head.taps)
        shares[turn == number] = measured.task.shares(head.logits(measured.features[out][:, own]))
    return shares


def _made_without(plan: Plan, measured: Measured, rows: NDArray[np.intp]) -> Head:
    """Choose, fit and calibrate on ``rows`` alone, as the plan did on all."""
    chosen = plan.evidence.probes[plan.evidence.chosen]
    evidence = gathered_from(plan, measured, rows).evidence
    parts = evidence.probes[evidence.chosen].made_of
    if plan.strength != chosen.strength:
        parts = tuple(replace(part, strength=plan.strength) for part in parts)
    head = head_on(plan, measured, rows, parts)
    return calibrated(plan, head, evidence)


def calibrated(plan: Plan, head: Head, evidence: Evidence) -> Head:
    """Return a head of what was chosen, calibrated as evidence says.

    The textbook's as it is: evidence is of ridge regressions, and its layer is none.
    """
    return head if plan.recipe == "textbook" else calibrated_by(head, evidence)


def calibrated_by(head: Head, evidence: Evidence, *, whole: bool = False) -> Head:
    """Return a head of what was chosen, or of what reads the ``whole`` network, calibrated."""
    if evidence.answer is not None:
        return head.adjusted(*evidence.answer.calibration(whole=whole))
    return head.scaled(evidence.whole_temperature if whole else evidence.temperature)


def gathered_from(plan: Plan, measured: Measured, rows: NDArray[np.intp]) -> Gathered:
    """Gather the evidence of ``rows`` as that of the plan was, or of what was edited into it."""
    chosen = plan.evidence.probes[plan.evidence.chosen]
    edited = plan.taps != chosen.taps or not plan.among
    return evidence_of(
        measured,
        rows,
        measured.features[rows],
        candidates=[plan.taps] if edited else list(plan.among),
        seed=plan.seed,
        shift=plan.evidence.shift,
        weighting=plan.weighting,
        average=plan.evidence.averages,
        end=plan.cut if edited else plan.evidence.end,
        picked=True,
    )


def head_on(
    plan: Plan,
    measured: Measured,
    rows: NDArray[np.intp],
    parts: Sequence[Part],
    pool: ThreadPoolExecutor | None = None,
) -> Head:
    """Return the new layer, fitted on some images' cached features as the recipe says.

    ``pool``: threads for an average of heads, see `regraft.heads.average.fit_average`.
    """
    x, y = measured.features, measured.labels[rows]
    if plan.mirror and measured.mirrored is not None:
        x = beneath([x, measured.mirrored], rows, measured.cache)
        y = np.concatenate([y, y])
        rows = np.arange(len(y))
    widths, classes, weighting = plan.backbone.widths, len(measured.classes), plan.weighting
    if plan.recipe == "textbook":
        return fit_textbook(
            x[rows],
            widths,
            y,
            classes,
            union(parts),
            seed=plan.seed,
            weighting=weighting,
            kind=plan.kind,
        )
    return fit_average(x, widths, y, classes, parts, weighting, rows, pool)
