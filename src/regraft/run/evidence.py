"""The evidence of some of the images, by what is asked of an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.images import digest
from regraft.features.cache.products import recalled
from regraft.heads.ridge import Taps
from regraft.plan import serialize
from regraft.plan.evidence import Gathered, gather, sample
from regraft.plan.evidence_of_targets import LEAST, gather_targets
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
    """Gather the evidence of ``rows`` of the kept images, from the cache where it is known.

    ``features``: theirs alone where ``picked``, else of all kept images; the rest is as
    `regraft.plan.evidence.gather` takes it.
    """
    widths, labels = measured.network.backbone.widths, measured.labels[rows]
    groups, strata, classes = measured.audit.groups[rows], measured.even[rows], measured.classes
    own = None if picked else rows
    one = measured.dataset.kind == "one"

    def make() -> Mapping[str, NDArray[Any]]:
        if one:
            found = gather(
                features,
                widths,
                labels,
                classes,
                groups,
                candidates=candidates,
                seed=seed,
                shift=shift,
                weighting=weighting,
                average=average,
                end=end,
                rows=own,
            )
        else:
            found = gather_targets(
                measured.task,
                features,
                widths,
                labels,
                classes,
                strata,
                groups,
                candidates=candidates,
                seed=seed,
                units=measured.units,
                shift=shift,
                average=average,
                end=end,
                rows=own,
            )
        text = np.frombuffer(serialize.evidence_dumps(found.evidence), np.uint8)
        return {"evidence": text, "images": found.images, "shares": found.shares}

    read = sample(labels, len(classes), seed) if one else sample(labels, len(classes), seed, LEAST)
    asked = (candidates, seed, shift, weighting, average, end)
    seen = digest(features[read if own is None else own[read]].data)  # no copy is held meanwhile
    images = (seen, len(read), labels, groups, strata)
    inputs = (measured.dataset.kind, classes, measured.units, widths, images, asked)
    known = recalled(measured.cache, "evidence", inputs, make)
    evidence = serialize.evidence_loads(known["evidence"].tobytes())
    return Gathered(evidence, known["images"], known["shares"])
