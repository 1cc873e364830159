"""How the network is to see a set: the scale of its deep pictures, and what becomes of long ones.

The training images alone decide, by the facts that one decode of each gave. What was decided is
part of the `View`, and with it of the plan and of the RUN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone
from regraft.data.images import Facts, FactsTable, View, deep
from regraft.distributed import on_rank_zero
from regraft.features.extract import Extraction
from regraft.metrics import paired
from regraft.plan.choices import Choices, candidates, end_of
from regraft.plan.definition import Reason
from regraft.plan.evidence import rightness

LONG: Final = 1.6
"""Times as long as wide, from which on a picture counts as long: of 16:9 a crop loses 44 %."""

FEW: Final = 0.1
"""Share of pictures more than twice as long as wide that makes a set one of long pictures."""

CLEAR: Final = 2.0
"""Standard errors by which a border has to do better than a crop to be taken."""


Right = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training images: which of all they are, their labels (places), and their groups."""

    indices: Sequence[int] | NDArray[np.intp]
    labels: NDArray[np.intp]
    groups: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ViewDecision:
    """The view that was decided on, what the pass with it found, and the reasons."""

    view: View
    looked: Extraction
    reasons: tuple[Reason, ...]


def settle(
    look: Callable[[View], Extraction],
    looked: Extraction,
    backbone: Backbone,
    training: TrainingSet,
    choices: Choices,
) -> ViewDecision:
    """Decide the view, after a first pass with that of the backbone.

    ``look`` makes another pass, with another view; the facts stay those of the first. A view that
    was decided before, that of a plan, is kept.
    """
    view, facts = backbone.view, FactsTable.of(looked.facts)
    rows = np.asarray(training.indices, np.intp)
    if choices.view is None and scaled(view, facts, rows) != view:
        view = scaled(view, facts, rows)
        looked = replace(look(view), facts=looked.facts)
    long = lengths(facts, rows)
    if choices.view is not None or choices.fit_image != "auto" or not are_long(long):
        return ViewDecision(view, looked, reasons(view, long))
    wide = replace(view, fit="pad")
    other = replace(look(wide), facts=looked.facts)
    cropped, padded = on_rank_zero(
        lambda: [_rightness(one, backbone, training, choices) for one in (looked, other)]
    )
    if is_better(padded, cropped):
        view, looked = wide, other
    return ViewDecision(view, looked, reasons(view, long, padded, cropped))


def _rightness(
    looked: Extraction, backbone: Backbone, training: TrainingSet, choices: Choices
) -> Right:
    """Which of the training images come out right, cross-validated with every choice in it."""
    return rightness(
        looked.features[0],
        backbone.widths,
        training.labels,
        training.groups,
        candidates=candidates(backbone, choices),
        seed=choices.seed,
        average=choices.recipe == "tuned",
        end=end_of(backbone, choices),
        rows=np.asarray(training.indices, np.intp),
    )


def scaled(view: View, facts: Sequence[Facts], rows: NDArray[np.intp] | None = None) -> View:
    """Return the view with the scales of the deep pictures among these images, or some of them."""
    facts = FactsTable.of(facts)
    rows = np.arange(len(facts)) if rows is None else rows
    deeps = rows[~np.isnan(facts.levels[rows, 0])]
    floats = facts.mode_is("F")[deeps]
    integers, real = (facts.levels[deeps[its]].tolist() for its in (~floats, floats))
    return replace(
        view,
        integers=deep.scale_of([(low, high) for low, high in integers], floats=False),
        floats=deep.scale_of([(low, high) for low, high in real], floats=True),
    )


def lengths(facts: FactsTable, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how many times as long as wide each of these images is."""
    sides = facts.sides[rows].astype(np.float64)
    longer, shorter = sides.max(axis=1), sides.min(axis=1)
    times: NDArray[np.float64] = longer / shorter
    return times


def are_long(long: NDArray[np.float64]) -> bool:
    """Return whether so much of these images lies outside their middle squares that it matters."""
    return float(np.median(long)) > LONG or float((long > 2).mean()) > FEW


def is_better(padded: Right, cropped: Right) -> bool:
    """Return whether more images come out right when they are padded, by more than noise."""
    gain, error = paired(padded.astype(float), cropped)
    return gain > CLEAR * error


def reasons(
    view: View,
    long: NDArray[np.float64],
    padded: Right | None = None,
    cropped: Right | None = None,
) -> tuple[Reason, ...]:
    """Why the view is as it is; what was compared, image by image, where anything was."""
    found = []
    if scales := "; ".join(deep.in_words(view)):
        rule = "Pictures of more than 8 bits a pixel have one scale for the whole set."
        fact = f"Measured on {len(long):,} images: {scales}."
        found.append(Reason(rule, fact, "docs/reading.md", len(long)))
    if are_long(long):
        found.append(_of_long(view, long, padded, cropped))
    return tuple(found)


def _of_long(
    view: View,
    long: NDArray[np.float64],
    padded: Right | None,
    cropped: Right | None,
) -> Reason:
    typical = float(np.median(long[long > LONG]))
    rule = "Of long pictures a square shows the middle, or all of it within a border."
    fact = f"The long ones are typically {typical:.1f} times as long as wide"
    if padded is not None and cropped is not None:
        fact += (
            f"; of {len(padded):,} images, cross-validated, {padded.mean():.1%} are right with a "
            f"border and {cropped.mean():.1%} without"
        )
    ends = {
        "crop": f"they are cropped: {1 - 1 / typical:.0%} of such a picture is never looked at "
        "(--fit-image pad shows all of it)",
        "pad": "a border is put around them (pad)",
        "squash": "they are pressed into the square (squash)",
    }
    once = 0 if padded is None else len(padded)
    return Reason(rule, f"{fact}; {ends[view.fit]}.", "docs/reading.md", once)
