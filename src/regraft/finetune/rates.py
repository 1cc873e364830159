"""Learning rates: lower for earlier stages, rising at first, then falling along a cosine."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from regraft.networks.surgery import HEAD, TransferNetwork
from regraft.plan.recipes import Training


def optimizer_of(
    network: TransferNetwork, depths: Mapping[str, int], training: Training, rate: float
) -> torch.optim.Optimizer:
    """Return the optimizer, with a group for each stage and kind of parameter.

    Args:
        network: what is trained.
        depths: of each of its trunk's parameters, by name, the stage.
        training: the recipe.
        rate: of the last stage; each stage before gets ``training.decay`` of the next one's.

    Weights decay, biases and the scales of normalisation layers do not.
    """
    last = max(depths.values(), default=0)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            inner = name.removeprefix("trunk.")
            depth = last if name.startswith(f"{HEAD}.") else depths[inner]
            share = training.decay ** (last - depth)
            groups.setdefault((share, parameter.ndim > 1), []).append(parameter)
    listed = [
        {
            "params": parameters,
            "lr": rate * share,
            "rate": rate * share,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for (share, decays), parameters in groups.items()
    ]
    if training.optimizer == "sgd":
        return torch.optim.SGD(listed, momentum=0.9)
    return torch.optim.AdamW(listed)


def set_rate(optimizer: torch.optim.Optimizer, training: Training, step: int, steps: int) -> None:
    """Set every group's rate for step ``step`` of ``steps``."""
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * factor(training, step, steps)


def factor(training: Training, step: int, steps: int) -> float:
    """Share of the full rate at a step: linear from 0 to 1, then a cosine to 0."""
    warmup = training.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    way = (step - warmup) / max(steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))


def scaled(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Lower every rate, from now on."""
    for group in optimizer.param_groups:
        group["rate"] *= share
