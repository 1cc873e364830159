"""The same network with random weights, to compare with: it too can tell a few things."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from regraft.backbones import Backbone
from regraft.distributed import one_core
from regraft.features.engines.base import Pixels
from regraft.networks.build import normalised
from regraft.networks.surgery import operate
from regraft.networks.trunk import Trunk

_BATCH = 16


def twin(
    module: nn.Module, backbone: Backbone, depths: Sequence[int], pictures: Pixels, seed: int
) -> Trunk:
    """Return a trunk with weights drawn from a seed, which reads the given depths.

    Its batch norm gets the statistics of these pictures ``[n, S, S, 3]``: those of no pictures at
    all would let values grow or vanish from layer to layer, which is not what random means.

    Raises:
        BackboneError: the weights cannot be drawn anew.
    """
    network, _ = operate(
        module, backbone, taps=depths, classes=2, frozen=False, init="random", seed=seed
    )
    trunk = network.trunk.eval().requires_grad_(False)
    norms = [m for m in trunk.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    with torch.inference_mode(), one_core():
        for n in range(0, len(pictures) if norms else 0, _BATCH):
            x = torch.from_numpy(pictures[n : n + _BATCH]).permute(0, 3, 1, 2)
            trunk(normalised(x, backbone))
    for norm in norms:
        norm.eval()
    return trunk
