"""Whether an image is like the training images, in torch: `regraft.heads.known.Known`."""

import torch
from torch import Tensor, nn

from regraft.heads.known import ARRAYS, LIMIT, NEAREST, Known, Space


class Belief(nn.Module):
    """Features of the taps ``[B, P]`` and logits ``[B, C]`` -> ``known`` and ``belief``, ``[B]``.

    The first is true where the second is above :data:`regraft.heads.known.LIMIT`.
    """

    scaling: Tensor
    own: Tensor

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.space = None if known.space is None else SpaceScores(known.space)
        self.register_buffer("scaling", torch.tensor(known.scaling, dtype=torch.float32))
        self.register_buffer("own", torch.tensor(known.own, dtype=torch.float32))

    def forward(self, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Rank the weighted sum of the scores among those of own images."""
        scores = [torch.softmax(logits, 1).amax(1), torch.logsumexp(logits, 1)]
        if self.space is not None:
            scores += self.space(features)
        mean, spread, weight = self.scaling[:, : len(scores)]
        sums = ((torch.stack(scores, 1) - mean) / spread) @ weight
        below = (self.own[None] <= sums[:, None]).float().sum(1)
        belief = (1 + below) / (1 + len(self.own))
        return belief > LIMIT, belief


class SpaceScores(nn.Module):
    """The two scores of a space: nearest, mahalanobis; each ``[B]``."""

    mean: Tensor
    scale: Tensor
    basis: Tensor
    within: Tensor
    centres: Tensor
    total: Tensor
    rest: Tensor
    exemplars: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.widths = list(space.widths)
        for name in ARRAYS:
            self.register_buffer(name, torch.tensor(getattr(space, name)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return both for features ``[B, P]``."""
        parts = torch.split(x, self.widths, 1)
        lengths = [part.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12) for part in parts]
        root = len(parts) ** 0.5
        made = [part / (n * root) for part, n in zip(parts, lengths, strict=True)]
        near = torch.cat(made, 1) @ self.exemplars.T
        nearest = torch.topk(near, min(NEAREST, near.shape[1]), 1).values.mean(1)
        z = (x - self.mean) * self.scale
        along = z @ self.basis
        across = (z.square().sum(1) - along.square().sum(1)).clamp(min=0)
        apart = (along @ self.within)[:, None] - self.centres[None]
        overall = (along * self.total).square().sum(1)
        return [nearest, overall - apart.square().sum(2).amin(1) - across * self.rest]
