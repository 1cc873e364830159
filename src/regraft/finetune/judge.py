"""What a network gives for images that it is not trained on."""

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from regraft.backbones import Backbone
from regraft.finetune.data import ImageBuffer
from regraft.networks.build import normalised
from regraft.networks.surgery import TransferNetwork

JUDGED = 32
"""Images a batch where none is trained on."""


def logits_of(
    fabric: Fabric, network: TransferNetwork, squares: ImageBuffer, backbone: Backbone
) -> NDArray[np.float32]:
    """Logits ``[n, C]`` in float32; the processes share the images, and all get all of them."""
    own = np.arange(len(squares))[fabric.global_rank :: fabric.world_size]
    network.eval()
    mine = np.zeros((len(own), len(network.classes)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(own), JUDGED):
            part = slice(start, start + JUDGED)
            pixels = squares.batch(own[part]).to(fabric.device)
            mine[part] = network(normalised(pixels, backbone)).float().cpu().numpy()
    logits = np.zeros((len(squares), mine.shape[1]), np.float32)
    for rank, rows in enumerate(_gathered(fabric, mine)):
        logits[rank :: fabric.world_size] = rows
    return logits


def _gathered(fabric: Fabric, mine: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    if fabric.world_size == 1:
        return [mine]
    every: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(every, mine)
    return every
