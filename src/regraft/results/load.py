"""A RUN folder -> a Result, ready to classify."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.features.cache import cache_folder
from regraft.networks.changes import Change
from regraft.plan import serialize
from regraft.results.folder import read_run
from regraft.results.result import Result

if TYPE_CHECKING:
    from torch import nn


def load(folder: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Result:
    """Return the result of a RUN folder, which classifies new images.

    Args:
        folder: the RUN folder that :func:`regraft.fit` or ``regraft fit`` made.
        cache: the cache folder; the user's where None.

    Returns:
        The result without its tables: ``result.predict(images)`` names the classes of a list of
        paths, files' bytes, PIL images or arrays ``[height, width(, 3)]`` of 0..255, or of floats
        in 0..1; ``result.predict_proba(images)`` gives probabilities ``[n, classes]``.

    Raises:
        RunError: there is none, or it is damaged; every problem is named.
        PlanError: its plan is damaged.
    """
    files = read_run(Path(folder))
    plan = serialize.loads(files.plan, f"{folder}/plan.json")

    def network() -> "nn.Module":
        from regraft.networks.build import refilled

        return refilled(plan.backbone, files.tensors, plan.taps)

    return Result(
        plan=plan,
        classes=tuple(files.config["classes"]),
        metrics=files.metrics,
        tensors=files.tensors,
        changes=tuple(Change(**change) for change in files.config["surgery"]),
        predictions=None,
        log=(),
        audit=(),
        cache=cache_folder(cache),
        network=network,
        folder=Path(folder),
    )
