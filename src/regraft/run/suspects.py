"""Which labels of a run's images look wrong: its held-out images, and its training ones."""

import time
from dataclasses import asdict

import numpy as np

from regraft.data.splits import EACH_ONCE
from regraft.distributed import on_rank_zero
from regraft.plan.evidence import Gathered
from regraft.plan.label_errors import Suspect, label_errors
from regraft.results.result import Result
from regraft.results.tables import written
from regraft.run.added import added
from regraft.run.measure import Measured
from regraft.run.proof import gathered_from


def with_suspects(result: Result, measured: Measured, gathered: Gathered | None = None) -> Result:
    """Return the result with ``metrics["suspects"]``: the images whose labels look wrong.

    A held-out image is judged by what the run says of it, a training image by cross-validation of
    the frozen network (``gathered``, or anew where that is not at hand), of very many a sample. An
    image whose label a person corrected or confirmed is none.
    """
    start = time.perf_counter()
    found = on_rank_zero(lambda: _found(result, measured, gathered))
    return added(result, start, suspects=found)


def _found(result: Result, measured: Measured, gathered: Gathered | None) -> dict[str, object]:
    plan, predictions = result.plan, result.predictions
    assert predictions is not None, "a result that was just made has its predictions"
    sides = measured.parted(plan.split).split
    rows, shares = sides.test, np.asarray(predictions.probabilities)
    if plan.split != EACH_ONCE:
        gathered = gathered or gathered_from(plan, measured, sides.train)
        rows = np.concatenate([rows, sides.train[gathered.images]])
        shares = np.concatenate([shares, gathered.shares])
    paths, kept, pinned = (
        measured.dataset.columns.paths,
        measured.audit.kept,
        measured.dataset.pinned,
    )
    if pinned:
        open_ = np.array([paths[kept[row]] not in pinned for row in rows], bool)
        rows, shares = rows[open_], shares[open_]
    labels = measured.labels[rows]
    judged = label_errors(shares, labels)
    suggestions = shares.argmax(1)
    images = [
        Suspect(
            path=written(paths[kept[rows[n]]]),
            label=measured.classes[labels[n]],
            suggestion=measured.classes[suggestions[n]],
            belief=float(judged.belief[n]),
            rank=rank,
        )
        for rank, n in enumerate(judged.wrong.tolist(), start=1)
    ]
    return {
        "count": len(images),
        "expected": judged.expected,
        "judged": len(rows),
        "of": len(np.union1d(sides.train, sides.test)),
        "images": [asdict(image) for image in images],
    }
