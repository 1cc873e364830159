"""Training throughput: regraft's loop against a plain PyTorch loop and timm's settings.

    python bench/bench_training.py --data FOLDER --out bench_training.json

The same photos of `clothing`, the same network and batch of 32, every weight trained by AdamW,
random crops and flips, two epochs of 256 images, decoding included; images a second over both.

plain: eager float32, `DataLoader` with two workers, torchvision's transforms, as tutorials do.
timm: its transforms, two workers, channels-last and bfloat16 autocast, the settings that its
training script is run with for speed. regraft: `regraft.finetune.train` with one rate; the
photos are decoded once, and the type and memory format are measured (that time is given apart).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform  # type: ignore[attr-defined]
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchSet
from torchvision.transforms import v2

import machine
from regraft import finetune
from regraft.backbones import Backbone
from regraft.data.dataset import Dataset
from regraft.finetune import Images
from regraft.networks import build
from regraft.plan.recipes import tuned

NETWORKS = (("efficientnet-lite0", 128), ("efficientnet-lite0", 224), ("resnet18", 224))
IMAGES, EPOCHS, BATCH = 256, 2, 32


class Photos(TorchSet[tuple[torch.Tensor, int]]):
    """Photos, decoded anew each time."""

    def __init__(self, items: list[tuple[str, int]], transform: Callable[[Any], Any]) -> None:
        self.items, self.transform = items, transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        path, label = self.items[place]
        with Image.open(path) as image:
            return self.transform(image.convert("RGB")), label


def main() -> None:
    """Time all three on every network; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_training.json"))
    given = parser.parse_args()
    rows = [row(given.data / "clothing", name, size) for name, size in NETWORKS]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| network | px | plain | timm | regraft | mode | over plain | over timm |")
    print("|---|--:|--:|--:|--:|---|--:|--:|")
    for r in rows:
        ratios = " | ".join(f"{r['regraft'] / r[peer]:.2f}" for peer in ("plain", "timm"))
        speeds = " | ".join(f"{r[tool]:.0f}" for tool in ("plain", "timm", "regraft"))
        print(f"| {r['network']} | {r['size']} | {speeds} | {r['mode']} | {ratios} |")


def row(folder: Path, name: str, size: int) -> dict[str, Any]:
    """Images a second of the three loops."""
    data = Dataset.open(folder)
    classes = sorted({item.label for item in data.items})
    picked = np.random.default_rng(0).permutation(len(data.items))[:IMAGES]
    paths = [folder / data.items[i].path for i in picked]
    labels = np.array([classes.index(data.items[i].label) for i in picked])
    record = build.find(name, seed=None if name.startswith("efficientnet-lite") else 0)
    record = replace(record, view=replace(record.view, size=size))
    items = [(str(path), int(label)) for path, label in zip(paths, labels, strict=True)]
    plain = peer(record, items, len(classes), _tutorial(record), fast=False)
    timm = peer(record, items, len(classes), _timms(record), fast=True)
    ours, mode = regrafts(record, data, picked.tolist(), labels, classes)
    found = {"network": name, "size": size, "plain": plain, "timm": timm, "regraft": ours}
    print(found, flush=True)
    return {**found, "mode": mode}


def _tutorial(record: Backbone) -> Callable[[Any], Any]:
    made: Callable[[Any], Any] = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(record.view.size, scale=(0.6, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(record.mean, record.std),
        ]
    )
    return made


def _timms(record: Backbone) -> Callable[[Any], Any]:
    made: Callable[[Any], Any] = create_transform(
        record.view.size, is_training=True, scale=(0.6, 1.0), mean=record.mean, std=record.std
    )
    return made


def peer(
    record: Backbone,
    items: list[tuple[str, int]],
    classes: int,
    transform: Callable[[Any], Any],
    *,
    fast: bool,
) -> float:
    """Images a second of a loop as people write it."""
    module = build.build(record)
    head = module.get_submodule(record.head)
    assert isinstance(head, nn.Linear)
    parent = module.get_submodule(record.head.rpartition(".")[0])
    setattr(parent, record.head.rpartition(".")[2], nn.Linear(head.in_features, classes))
    module.train()
    if fast:
        module = module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    loader: Iterable[Any] = DataLoader(
        Photos(items, transform), BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    start, shown = time.perf_counter(), 0
    for _ in range(EPOCHS):
        for x, y in loader:
            if fast:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                loss = nn.functional.cross_entropy(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shown += len(x)
    return shown / (time.perf_counter() - start)


def regrafts(
    record: Backbone, data: Dataset, picked: list[int], labels: Any, classes: list[str]
) -> tuple[float, str]:
    """Images a second of regraft's loop, its decoding included, and the mode it runs in."""
    recipe = tuned(
        record,
        init="pretrained",
        taps=(len(record.stages) - 1,),
        images=IMAGES,
        mirror=True,
        weighting="none",
        rate=1e-3,
    )
    recipe = replace(recipe, epochs=EPOCHS, batch=BATCH, refit=False, fitted=False)
    recipe = replace(recipe, batch_norm="trained")
    every = np.arange(IMAGES)
    module = build.build(record)
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        finetune.speed_of(lambda: module, record, classes, recipe, cache)
        start = time.perf_counter()
        done = finetune.train(
            Images(data.read, picked, labels, every, every[:1]),
            record,
            lambda: module,
            classes,
            recipe,
            head=lambda some: (_ for _ in ()).throw(AssertionError("random")),
            seed=0,
            folder=Path(place) / "points",
            cache=cache,
        )
        seconds = time.perf_counter() - start
    return EPOCHS * IMAGES / seconds, done.precision


if __name__ == "__main__":
    main()
