"""The new layer of a frozen network, fitted once for the same images and the same plan."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.features.cache.products import recalled
from regraft.heads.average import IN_MEMORY, union
from regraft.heads.ridge import Head
from regraft.plan.definition import Plan
from regraft.run.measure import Measured
from regraft.run.proof import head_on


def fitted(plan: Plan, measured: Measured) -> Head:
    """Return the head of a plan on the training images, from the cache where it is known.

    Of more than :data:`regraft.heads.average.IN_MEMORY` images it is fitted anew: to tell that
    they are the same, all of their features would have to be read.
    """
    rows = measured.split.train

    def make() -> Mapping[str, NDArray[Any]]:
        head = head_on(plan, measured, rows, plan.parts)
        return {"weight": head.weight, "bias": head.bias}

    if len(rows) > IN_MEMORY:
        return head_on(plan, measured, rows, plan.parts)
    mirrored = measured.mirrored[rows] if plan.mirror and measured.mirrored is not None else None
    images = measured.features[rows], mirrored, measured.labels[rows]
    how = plan.recipe, plan.kind, plan.parts, plan.weighting, plan.seed
    inputs = (plan.backbone.widths, len(measured.classes), images, how)
    found = recalled(measured.cache, "head", inputs, make)
    return Head(union(plan.parts), np.array(found["weight"]), np.array(found["bias"]))
