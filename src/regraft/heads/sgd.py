"""The new layer as the table of the four cases has it: random weights, then gradient descent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.heads.ridge import Head, Taps, class_weights, columns, standardise

if TYPE_CHECKING:
    import torch

EPOCHS = 100
BATCH = 64
RATE = 1e-2


def fit_textbook(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[Any],
    classes: int,
    taps: Taps,
    *,
    seed: int,
    weighting: str = "none",
    kind: str = "one",
) -> Head:
    """Train a randomly started layer on cached features ``[n, sum(widths)]``.

    Adam (Kingma and Ba, 2015) on the cross-entropy (of several labels that of each, of a number the
    squared error: ``kind``; ``labels`` are then targets ``[n, C]``), 100 epochs in batches of 64,
    one learning rate of 0.01 with a cosine to zero. The inputs are standardised, and the
    standardisation is folded into the layer at the end. The same seed gives the same layer, bit for
    bit, on CPU.
    """
    import torch

    from regraft.heads.losses import LOSSES

    weights = class_weights(labels, classes, weighting)
    own = features[:, columns(widths, taps)].astype(np.float32)
    z, mean, scale = standardise(own, [widths[d] for d in taps], weights)
    unit = np.sqrt(np.float32(np.mean(np.square(z)) + 1e-12))  # channels to variance about 1
    x, y, w = torch.from_numpy(z / unit), torch.from_numpy(labels), torch.from_numpy(weights)
    generator = torch.Generator().manual_seed(seed)
    layer = _random_layer(x.shape[1], classes, generator)
    optimizer = torch.optim.Adam(layer.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = LOSSES[kind](layer(x[batch]), y[batch], torch.ones(classes), 0.0)
            optimizer.zero_grad()
            (loss * w[batch]).mean().backward()
            optimizer.step()
        schedule.step()
    weight = layer.weight.detach().numpy() * (scale / unit)
    return Head(taps, weight, layer.bias.detach().numpy() - weight @ mean)


def _random_layer(inputs: int, outputs: int, generator: "torch.Generator") -> "torch.nn.Linear":
    """Return a layer with torch's usual start, drawn from our own generator."""
    import torch

    layer: torch.nn.Linear = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs)
    bound = inputs**-0.5
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer
