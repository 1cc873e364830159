"""A pretrained network by name: its record, and how it is built once something needs it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regraft import backbones
from regraft.backbones import Backbone
from regraft.plan.ranked import Ranking

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Pretrained:
    """A backbone's record, and a way to build it, which the cached path never takes.

    ``ranking``: what it was chosen by, where it was (:func:`regraft.run.auto.network_for`).
    """

    backbone: Backbone
    build: Callable[[], "nn.Module"]
    ranking: Ranking | None = None


def open_network(
    backbone: str | Pretrained, weights: str | os.PathLike[str] | None = None
) -> Pretrained:
    """Return a backbone by name. A bundled one is not built before something needs it.

    Raises:
        BackboneError: there is none of that name, or its weights cannot be had.
    """
    if isinstance(backbone, Pretrained):
        return backbone
    if backbone in backbones.names() and weights is None:
        record = backbones.get(backbone)
        backbones.weights_file(record)
        return Pretrained(record, lambda: _built(record))
    from regraft.networks.build import load

    record, module = load(backbone, None if weights is None else Path(weights))
    return Pretrained(record, lambda: module)


def _built(record: Backbone) -> "nn.Module":
    from regraft.networks.build import build

    return build(record)
