"""What the corrections of a data set changed: the same run without them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.corrections import Corrected
from regraft.data.splits import EACH_ONCE
from regraft.errors import DataError
from regraft.heads.tasks import task_of
from regraft.plan.choices import Choices
from regraft.results.tables import Predictions
from regraft.run.api import perform
from regraft.run.draft import draft
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained


def before_corrections(
    corrected: Corrected, measured: Measured, choices: Choices, network: Pretrained, proof: str
) -> float | None:
    """Accuracy of the frozen network without the corrections, on the images now held out.

    Of several labels and numbers it is the measure of their kind.

    ``measured`` is what was measured of the corrected data, ``proof`` its plan's ``split``. The
    same images are held out, or each of them once, and the same choices made. None where nothing
    can be fitted without the corrections, as where they bring the second class.
    """
    items = measured.dataset.items
    split = measured.parted(proof).split
    held = {items[measured.audit.kept[i]].path for i in split.test}
    sides = corrected.before.items
    if proof != EACH_ONCE:
        sides = tuple(replace(one, split="test" if one.path in held else "train") for one in sides)
    frozen = replace(
        choices,
        case=choices.case if choices.case in (1, 2) else "frozen",
        init=None,
        trainable_from=None,
        learning_rate=None,
        budget=None,
        test_fraction=None,
        view=network.backbone.view,
    )
    try:
        before = measure(
            replace(corrected.before, items=sides), network, frozen, cache=measured.cache
        )
    except DataError:
        return None
    before = replace(before.parted(proof), small=None)
    found = perform(draft(before, frozen).without_training(), before).predictions
    assert found is not None, "a result that was just made has its predictions"
    same = np.isin(np.array(found.paths), sorted(held))
    if not same.any():
        return None
    return task_of(found.kind).merit(*_rows(found, same))


def _rows(found: Predictions, some: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return answers ``[n, K]`` and labels of some held-out images, as a task takes them."""
    told, truth = found.probabilities[some], found.truth[some]
    return (told[:, None], truth[:, None]) if found.kind == "number" else (told, truth)
