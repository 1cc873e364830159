"""Draws of a folder of data sets and the sides of a draw: what the benches of decisions share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.dataset import Dataset
from regraft.plan.choices import Choices
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained, open_network

MOST = 400  # images a class that are looked at
TEST = 2000  # images that are judged, at most


def look(folder: Path, backbone: str, px: int) -> Measured:
    """Features of at most so many images a class, seen at ``px``."""
    network = open_network(backbone)
    record = network.backbone
    if px and takes(network.build(), px):
        record = replace(record, view=replace(record.view, size=px))
    return measure(some_of(folder), Pretrained(record, network.build), Choices())


def takes(module: Any, px: int) -> bool:
    """Whether a network takes pictures of another size: one with layers after its map does not."""
    with torch.no_grad():
        try:
            module.eval()(torch.zeros(1, 3, px, px))
        except RuntimeError:
            return False
    return True


def some_of(folder: Path, most: int = MOST) -> Dataset:
    """At most so many images a class and split, drawn by seed."""
    whole = Dataset.open(folder)
    order = np.random.default_rng(0).permutation(len(whole.items))
    seen: dict[tuple[str, str | None], int] = {}
    picked = []
    for i in order:
        kind = whole.items[i].label, whole.items[i].split
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= most:
            picked.append(int(i))
    picked.sort()
    items = tuple(whole.items[i] for i in picked)
    return replace(whole, items=items, read=lambda i: whole.read(picked[i]))


def sides(measured: Measured, size: int, draw: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``size`` training images a class (at most 70 % of it), and those that judge."""
    y, groups = measured.labels, measured.audit.groups
    order = np.random.default_rng(draw).permutation(len(y))
    own = measured.split.origin in ("test", "val")
    pool = order[~np.isin(order, measured.split.test)] if own else order
    picked: list[int] = []
    for c in range(len(measured.classes)):
        mine = pool[y[pool] == c]
        most = len(mine) if own else max(int(0.7 * len(mine)), 1)
        picked += mine[: min(size or most, most)].tolist()
    train = np.array(sorted(picked), np.intp)
    rest = order[np.isin(order, measured.split.test)] if own else order[~np.isin(order, train)]
    return train, rest[~np.isin(groups[rest], groups[train])][:TEST]
