"""A network of three convolutions and three fully connected layers, all four cases on five sets.

    python bench/bench_small_network.py --data FOLDER --out bench_small_network.json

The network (32, 64 and 128 channels with batch norm and max pooling, then 256, 128 and the classes)
is trained on CIFAR-10 for 12 epochs at 32 px by a plain loop, seed 0, and then moved to other sets
at 32 px: a frozen head on each layer, all of them fine-tuned, and from scratch, by regraft's own
recipes. Each set is drawn anew for each seed; so many training images a class, the rest (at most
2,000) is the test.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, max_pool2d, relu

import machine
from bench_cases import trained
from bench_depths import draw, some_of
from regraft.backbones import View
from regraft.data import images
from regraft.data.dataset import Dataset
from regraft.data.splits import validation
from regraft.heads import ridge
from regraft.networks import build
from regraft.plan.choices import Choices
from regraft.plan.evidence import candidates_of, gather
from regraft.plan.recipes import tuned
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained

ROWS = (
    *(("sign_digits", 20), ("mnist", 20), ("rsscn7_satellite", 20)),
    *(("sign_digits", 140), ("rsscn7_satellite", 200)),
)
STAGES = ("conv1", "conv2", "conv3", "fc1", "fc2")
MIRRORED = {"rsscn7_satellite"}
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)  # of CIFAR-10
VIEW = View(32, 1.0, "bilinear")


class Layer(nn.Module):
    """A convolution, batch norm, and halving by the maximum."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return max_pool2d(relu(self.norm(self.conv(x))), 2)


class Full(nn.Module):
    """A fully connected layer and what is not linear."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.full = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.full(x.flatten(1)))


class Small(nn.Module):
    """Three convolutions, three fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Layer(3, 32), Layer(32, 64), Layer(64, 128)
        self.fc1, self.fc2, self.fc3 = Full(2048, 256), Full(256, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.conv1, self.conv2, self.conv3, self.fc1, self.fc2, self.fc3):
            x = layer(x)
        return x


def main() -> None:
    """Pretrain, move, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_small_network.json"))
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    network, accuracy = pretrained(given.data / "cifar10")
    print(f"CIFAR-10, held out: {accuracy:.1%}", flush=True)
    rows = [
        {"set": name, "n": n, "seed": seed, **run(given.data / name, network, n, seed)}
        for name, n in ROWS
        for seed in range(given.seeds)
    ]
    document = {"machine": machine.describe(), "pretrained": accuracy, "rows": rows}
    given.out.write_text(json.dumps(document, indent=1))
    names = [*STAGES, "fine-tuned", "from scratch"]
    print(f"| set | n | {' | '.join(names)} |\n|---|--:|{'--:|' * len(names)}")
    for name, n in ROWS:
        some = [row for row in rows if (row["set"], row["n"]) == (name, n)]
        means = [100 * float(np.mean([row[arm] for row in some])) for arm in names]
        cells = [f"**{x:.0f}**" if x == max(means) else f"{x:.0f}" for x in means]
        print(f"| {name} | {n} | {' | '.join(cells)} |")


def pretrained(folder: Path) -> tuple[Pretrained, float]:
    """The network after CIFAR-10, with its record, and its accuracy on 5,000 other images."""
    data = Dataset.open(folder)
    classes = sorted({item.label for item in data.items})
    x = np.empty((len(data.items), 32, 32, 3), np.uint8)
    for i in range(len(x)):
        made = images.inspect(data.read(i), [VIEW])[1]
        assert made is not None
        x[i] = made[0]
    y = torch.tensor([classes.index(item.label) for item in data.items])
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    test, train = order[:5000], order[5000:]
    torch.manual_seed(0)
    small = Small().to(memory_format=torch.channels_last)
    normal = _normalised(torch.from_numpy(x))
    optimizer = torch.optim.AdamW(small.parameters(), lr=2e-3, weight_decay=0.05)
    steps = 12 * (len(train) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(12):
        for some in train[torch.randperm(len(train))][: len(train) // 128 * 128].view(-1, 128):
            batch = normal[some]
            batch = torch.where(torch.rand(128)[:, None, None, None] < 0.5, batch.flip(-1), batch)
            loss = cross_entropy(small(batch), y[some], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    small.eval()
    with torch.inference_mode():
        accuracy = float((small(normal[test]).argmax(1) == y[test]).float().mean())
    record = build.describe_module(
        small, STAGES, view=VIEW, mean=MEAN, std=STD, head="fc3", name="small", source="CIFAR-10"
    )
    return Pretrained(record, lambda: small), accuracy


def _normalised(x: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    scaled: torch.Tensor = (x.permute(0, 3, 1, 2).float() / 255 - mean) / std
    return scaled.contiguous(memory_format=torch.channels_last)


def run(folder: Path, network: Pretrained, n: int, seed: int) -> dict[str, Any]:
    """Accuracy of every arm on one draw."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        measured = measure(some_of(folder), network, Choices(), cache=place)
        found = arms(measured, n, seed)
    print({"set": folder.name, "n": n, "seed": seed, **found}, flush=True)
    return {**found, "seconds": time.perf_counter() - start}


def arms(measured: Measured, n: int, seed: int) -> dict[str, float]:
    """A frozen head on each layer, fine-tuned, from scratch."""
    train, test = draw(measured.labels, measured.audit.groups, n, seed)
    widths, labels, classes = (
        measured.network.backbone.widths,
        measured.labels,
        len(measured.classes),
    )
    evidence = gather(
        measured.features[train],
        widths,
        labels[train],
        measured.classes,
        measured.audit.groups[train],
        candidates=candidates_of(len(widths)),
        seed=seed,
    ).evidence
    found = {}
    for probe in evidence.depths:
        head = ridge.fit(
            measured.features[train], widths, labels[train], classes, probe.taps, probe.strength
        )
        own = measured.features[test][:, ridge.columns(widths, probe.taps)]
        stage = measured.network.backbone.stages[probe.taps[0]].name
        found[stage] = float((head.logits(own).argmax(1) == labels[test]).mean())
    part, val = validation(labels[train], measured.audit.groups[train], seed)
    last = len(widths) - 1
    best = min((p for p in evidence.probes if p.taps[-1] == last), key=lambda p: p.loss)
    for name, init in (("fine-tuned", "pretrained"), ("from scratch", "random")):
        recipe = tuned(
            measured.network.backbone,
            init=init,  # type: ignore[arg-type]
            taps=best.taps,
            images=len(train),
            mirror=measured.dataset.name in MIRRORED,
            weighting="none",
        )
        done = trained(measured, train, test, part, val, recipe, evidence, seed)
        found[name] = done["test"]
    return found


if __name__ == "__main__":
    main()
