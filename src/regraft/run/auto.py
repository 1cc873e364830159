"""``auto`` for a name: the networks on this machine are ranked, and the best is taken."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from regraft.backbones import is_auto
from regraft.data.dataset import Dataset
from regraft.errors import BackboneError, UsageError
from regraft.plan.choices import Choices
from regraft.run.measure import Progress
from regraft.run.pretrained import Pretrained, open_network

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

SHARE = 1 / 3
"""Of a budget that the ranking may take."""


def network_for(
    data: Dataset,
    backbone: "str | nn.Module | Pretrained",
    weights: str | os.PathLike[str] | None,
    choices: Choices,
    *,
    stages: Sequence[str] | None = None,
    view: "Fed | None" = None,
    strict: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Pretrained:
    """Return a network by name or as given, or for ``auto`` the one that ranking chooses.

    ``auto:10ms``, ``auto:20MB`` and ``auto:10ms,20MB`` bound what it takes.

    Raises:
        BackboneError: there is none of that name, its weights cannot be had, or none is within the
            limits.
        UsageError: limits that cannot be read, or choices that only a named network can follow.
    """
    if not isinstance(backbone, str) or not is_auto(backbone):
        return open_network(backbone, weights, stages=stages, view=view)
    from regraft.rank import ranked
    from regraft.rank.ranking import Allowance

    limits = Allowance.read(backbone.partition(":")[2], f"--backbone {backbone}")
    named = Choices(cut=choices.cut, trainable_from=choices.trainable_from).named()
    problems = [f"{name} names a stage, and each network has its own." for name in named]
    asked = {"stages=": stages, "view=": view}
    problems += [f"{word} is for a module." for word, value in asked.items() if value is not None]
    problems += ["--weights is a file for one network."] if weights is not None else []
    if problems:
        raise UsageError(f"--backbone {backbone} goes without what is for one network.", problems)
    frozen = replace(
        choices,
        case=None,
        init=None,
        learning_rate=None,
        budget=None if choices.budget is None else SHARE * choices.budget,
    )
    found = ranked(data, None, limits, frozen, strict=strict, cache=cache, progress=progress)
    if found.chosen is None:
        raise BackboneError(found.why, ["Allow more, or name a smaller network."])
    return replace(open_network(found.chosen), ranking=found)
