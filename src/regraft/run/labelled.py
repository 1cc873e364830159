"""What a run keeps of its labelled images."""

import numpy as np
from numpy.typing import NDArray

from regraft.heads import ridge
from regraft.plan.definition import Plan
from regraft.results.labelled import MOST, Labelled, packed
from regraft.results.tables import written
from regraft.run.measure import Measured


def kept_of(
    plan: Plan, measured: Measured, held_out: NDArray[np.float16] | None = None
) -> Labelled:
    """Keep features of at most :data:`MOST` images, drawn by the plan's seed.

    ``held_out``: those of the held-out images by a trained network ``[n, P]``. Only these are kept
    then: it has learnt the others by heart, and no other image looks to it as they do.
    """
    if held_out is None:
        rows = _some(np.union1d(measured.split.train, measured.split.test), plan.seed)
        own = ridge.columns(plan.backbone.widths, plan.taps)
        features = measured.features[rows][:, own]
    else:
        places = _some(np.arange(len(held_out)), plan.seed)
        rows, features = measured.split.test[places], held_out[places]
    items, kept = measured.dataset.items, measured.audit.kept
    return Labelled(
        features=features,
        labels=measured.labels[rows].astype(np.int64),
        groups=measured.audit.groups[rows].astype(np.int64),
        seen=measured.audit.marks,
        paths=packed([written(items[kept[row]].path) for row in rows]),
    )


def _some(rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
