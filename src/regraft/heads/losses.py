"""What gradient descent lowers, by what is asked of an image."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor", "Tensor", float], "Tensor"]
"""Takes logits ``[B, K]``, the truth, a weight of each output ``[K]`` and the smoothing; gives the
loss of each image ``[B]``."""


def _of_one(logits: "Tensor", truth: "Tensor", weights: "Tensor", smoothing: float) -> "Tensor":
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, truth, weight=weights, label_smoothing=smoothing, reduction="none")


def _of_several(logits: "Tensor", truth: "Tensor", weights: "Tensor", smoothing: float) -> "Tensor":
    """Of all labels together; smoothed towards a half, as one of two classes is."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    target = truth * (1 - smoothing) + smoothing / 2
    return binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)


def _of_number(logits: "Tensor", truth: "Tensor", weights: "Tensor", smoothing: float) -> "Tensor":
    return (logits - truth).square().sum(1) / 2


LOSSES: Mapping[str, Loss] = {"one": _of_one, "several": _of_several, "number": _of_number}
