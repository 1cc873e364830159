"""The evidence of some of the images, by what is asked of an image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.features.cache.products import remembering
from regraft.heads.ridge import Taps, cross_validate
from regraft.plan.evidence import Gathered, gather
from regraft.plan.evidence_of_targets import gather_targets
from regraft.run.measure import Measured


def evidence_of(
    measured: Measured,
    rows: NDArray[np.intp],
    features: NDArray[np.float16],
    *,
    candidates: Sequence[Taps],
    seed: int,
    shift: Sequence[float] | None,
    weighting: str,
    average: bool,
    end: int | None,
    picked: bool,
) -> Gathered:
    """Gather the evidence of ``rows`` of the kept images.

    ``features``: theirs alone where ``picked``, else of all kept images; the rest is as
    `regraft.plan.evidence.gather` takes it.
    """
    widths, labels = measured.network.backbone.widths, measured.labels[rows]
    groups = measured.audit.groups[rows]
    own = None if picked else rows
    scores_of = remembering(measured.cache, cross_validate)
    if measured.dataset.kind == "one":
        return gather(
            features,
            widths,
            labels,
            measured.classes,
            groups,
            candidates=candidates,
            seed=seed,
            shift=shift,
            weighting=weighting,
            average=average,
            end=end,
            rows=own,
            scores_of=scores_of,
        )
    return gather_targets(
        measured.task,
        features,
        widths,
        labels,
        measured.classes,
        measured.even[rows],
        groups,
        candidates=candidates,
        seed=seed,
        units=measured.units,
        shift=shift,
        average=average,
        end=end,
        rows=own,
        scores_of=scores_of,
    )
