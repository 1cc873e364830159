"""What a network of a person's own answers to a fixed image, so that it is known again.

A record cannot build such a network, and its weights alone do not say what is calculated with them:
another activation or another order takes the same ones.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.plan.definition import Plan

if TYPE_CHECKING:
    from torch import nn

ECHO = "echo"
"""Key of ``config.json``: the logits of the image, in a RUN of a network of somebody's own."""

SAME = 1e-3
"""Of the largest logit: what rounding may make between processors and versions of torch."""


def echo(
    module: "nn.Module", plan: Plan, tensors: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """Logits ``[classes]`` of an image of seeded noise, in float32.

    Args:
        module: the whole network, with the RUN's weights in it.
        plan: says what is read.
        tensors: the new layer, ``head.weight`` and ``head.bias``.
    """
    import torch

    from regraft.networks.build import normalised, trunk

    pixels = np.random.default_rng(0).integers(0, 256, (1, *plan.backbone.view.shape), np.uint8)
    x = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2), plan.backbone)
    with torch.no_grad():
        read = torch.cat(trunk(module, plan.backbone, plan.taps)(x), dim=1).double().numpy()[0]
    weight, bias = (tensors[name].astype(np.float64) for name in ("head.weight", "head.bias"))
    found: NDArray[np.float64] = weight @ read + bias
    return found


def difference(found: NDArray[np.float64], told: Sequence[float]) -> float:
    """How far an answer is from what a RUN has of it, as a share of the largest; inf if unlike."""
    wanted = np.asarray(told, np.float64)
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1e-6))
