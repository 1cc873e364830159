"""A step of training with the border held, against one that runs the frozen part again.

    python bench/bench_border.py --out bench_border.json

EfficientNet-Lite0 on noise, 128 px, 32 images a step, AdamW, without augmentation but mirroring. A
step takes decoded pixels to new weights; ``held`` is one whose images were all asked for before.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import machine
from regraft.finetune.activation_cache import ActivationCache
from regraft.networks import build
from regraft.networks.split import split
from regraft.networks.surgery import TransferNetwork, operate

NAME, SIZE, BATCH, IMAGES, CLASSES = "efficientnet-lite0", 128, 32, 256, 10


def main() -> None:
    """Time both kinds of step for several borders; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("bench_border.json"))
    given = parser.parse_args()
    rows = [row(trained, given.rounds) for trained in (2, 3, 4, 5, 6)]
    document = {"machine": machine.describe(), "network": NAME, "size": SIZE, "batch": BATCH}
    given.out.write_text(json.dumps(document | {"rows": rows}, indent=1))
    print("| trained from | recomputed, images/s | held, images/s | times | filling, images/s |")
    print("|---|--:|--:|--:|--:|")
    for r in rows:
        cells = [f"{r[key]:.0f}" for key in ("recomputed", "held")]
        cells += [f"{r['held'] / r['recomputed']:.1f}", f"{r['filling']:.0f}"]
        print(f"| {r['from']} | {' | '.join(cells)} |")


def row(trained: int, rounds: int) -> dict[str, Any]:
    """Images/s by the median step, with the last ``trained`` stages trained; steps take turns."""
    backbone, module = build.load(NAME)
    first = len(backbone.stages) - trained
    frozen = [stage.name for stage in backbone.stages[:first]]
    last = len(backbone.stages) - 1
    network, _ = operate(module, backbone, taps=[last], classes=CLASSES, frozen=frozen)
    network.to(memory_format=torch.channels_last)
    both = split(network, first, backbone)
    assert both is not None, "EfficientNet is a chain of blocks"
    front, back = both
    generator = np.random.default_rng(0)
    photos = generator.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)

    def look(rows: NDArray[np.intp], flipped: NDArray[np.bool_]) -> Tensor:
        pixels = torch.from_numpy(photos[rows]).permute(0, 3, 1, 2)
        swapped = torch.from_numpy(flipped)[:, None, None, None]
        pixels = torch.where(swapped, pixels.flip(-1), pixels)
        x = pixels.to(torch.float32, memory_format=torch.channels_last)
        return x.sub_(127.5).div_(127.5)

    border = ActivationCache(front, look, IMAGES, mirror=True)
    everyone, straight = np.arange(IMAGES), np.zeros(IMAGES, bool)
    start = time.perf_counter()
    border.batch(everyone, straight)
    border.batch(everyone, ~straight)
    filling = 2 * IMAGES / (time.perf_counter() - start)
    step = stepper(network)
    ways: dict[str, Callable[[NDArray[np.intp], NDArray[np.bool_]], Tensor]] = {
        "recomputed": lambda rows, flipped: network(look(rows, flipped)),
        "held": lambda rows, flipped: back(*border.batch(rows, flipped)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for rows in np.array_split(generator.permutation(IMAGES), IMAGES // BATCH):
            flipped = generator.random(len(rows)) < 0.5
            for name, way in ways.items():
                start = time.perf_counter()
                step(way(rows, flipped))
                if turn:  # the first round is not timed
                    seconds[name].append(time.perf_counter() - start)
    speeds = {name: BATCH / median(taken) for name, taken in seconds.items()}
    best = {f"{name}_at_best": BATCH / min(taken) for name, taken in seconds.items()}
    return {"from": backbone.stages[first].name, **speeds, **best, "filling": filling}


def stepper(network: TransferNetwork) -> Callable[[Tensor], None]:
    """The rest of a step after its logits."""
    network.train()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-5)

    def step(logits: Tensor) -> None:
        nn.functional.cross_entropy(logits, torch.arange(len(logits)) % CLASSES).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
