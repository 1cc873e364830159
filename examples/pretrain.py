"""Pretrain the demonstration network on CIFAR-10, and write its weights and its card.

    make pretrain DATA=FOLDER

FOLDER holds CIFAR-10's images in ``train/CLASS/`` and ``test/CLASS/``. The last weights of the
schedule are taken as they are; the test images are read once, at the end. The same seed on the same
machine gives the same weights.
"""

import argparse
import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from regraft.data import images
from regraft.data.dataset import Dataset
from regraft.data.images import View
from regraft.networks.demonstration import MEAN, NAME, SIDE, STD, Demonstration

HOME = Path(__file__).resolve().parent.parent / "src" / "regraft" / "backbones"
BATCH, RATE, DECAY, SMOOTHING, AVERAGE = 256, 0.2, 1e-3, 0.1, 0.998
MARGIN = 4
"""Pixels by which an image is moved at most, up or down and to the sides."""

CARD = """\
# Model card: the demonstration network

Three convolutional layers (48 filters of 5 x 5, then 96 and 192 of 3 x 3, each with batch norm,
ReLU and halving by the maximum) and three fully connected ones (128, 64, 10):
{parameters:,} parameters.

- **Data**: CIFAR-10 (Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
  2009): {train:,} training images of {side} px in {classes} classes, {names}.
- **Recipe**: `make pretrain`. SGD with Nesterov's momentum 0.9, batch {batch}, one cycle of the
  rate up to {rate}, weight decay {decay}, {epochs} epochs, label smoothing {smoothing}; images
  mirrored at random and moved by up to {margin} px; a moving average of the weights
  ({average} a step); bfloat16 where torch holds it to be safe.
- **Seed**: {seed}. The same seed on the same machine gives the same file.
- **Accuracy**: {accuracy:.2%} of CIFAR-10's {test:,} test images, which were read once, at the end.
- **Input**: {side} x {side} px, mean {mean} and deviation {std} by channel.
- **Weights**: `demonstration.safetensors`, {size:.1f} MB, SHA-256
  `{sha256}`.
- **Licence**: Apache-2.0, like regraft. CIFAR-10 itself states no licence; no image of it is part
  of this package.
- **For** seeing how transfer learning works, not for use: a network of this size knows little.
"""


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=HOME)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.perf_counter()
    x, y, classes = load(given.data, "train")
    test_x, test_y, _ = load(given.data, "test")
    print(f"{len(y) + len(test_y):,} images read, {time.perf_counter() - start:.0f} s", flush=True)
    network = train(x, y, len(classes), epochs=given.epochs, seed=given.seed)
    raw = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    right = accuracy(network, test_x, test_y)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{NAME}.safetensors").write_bytes(raw)
    made = card(raw, right, classes, len(y), len(test_y), epochs=given.epochs, seed=given.seed)
    (given.out / f"{NAME}.md").write_text(made, encoding="utf-8")
    print(f"{right:.2%} of {len(test_y):,} test images; {time.perf_counter() - start:.0f} s")
    digest = hashlib.sha256(raw).hexdigest()
    print(f"SHA-256 {digest}: it stands in the card and must stand in backbones/{NAME}.py")


def card(
    raw: bytes, right: float, classes: list[str], trained: int, tested: int, **recipe: int
) -> str:
    """The model card."""
    return CARD.format(
        parameters=sum(p.numel() for p in Demonstration(len(classes)).parameters()),
        train=trained,
        test=tested,
        classes=len(classes),
        names=", ".join(classes),
        side=SIDE,
        batch=BATCH,
        rate=RATE,
        decay=DECAY,
        smoothing=SMOOTHING,
        margin=MARGIN,
        average=AVERAGE,
        accuracy=right,
        mean=MEAN,
        std=STD,
        size=len(raw) / 1e6,
        sha256=hashlib.sha256(raw).hexdigest(),
        **recipe,
    )


def load(folder: Path, split: str) -> tuple[Tensor, Tensor, list[str]]:
    """Pixels ``uint8 [N, 3, 32, 32]`` and classes ``[N]`` of a split, and the classes' names."""
    data = Dataset.open(folder)
    if {item.split for item in data.items} != {"train", "test"}:
        raise SystemExit(f"{folder} must hold train/ and test/, each with a folder for each class.")
    own = [i for i, item in enumerate(data.items) if item.split == split]
    view = View(SIDE, 1.0, "bilinear")
    pixels = np.empty((len(own), SIDE, SIDE, 3), np.uint8)
    for place, i in enumerate(own):
        made = images.inspect(data.read(i), [view])[1]
        if made is None:
            raise SystemExit(f"{data.items[i].path} cannot be read as an image.")
        pixels[place] = made[0]
    classes = list(data.classes)
    y = torch.tensor([classes.index(data.items[i].label) for i in own])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), y, classes


def train(
    x: Tensor, y: Tensor, classes: int, *, epochs: int, seed: int, batch: int = BATCH
) -> Demonstration:
    """The network after so many epochs: the moving average of its weights."""
    torch.manual_seed(seed)
    network = Demonstration(classes).to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE), use_buffers=True)
    optimizer = torch.optim.SGD(groups(network), lr=RATE, momentum=0.9, nesterov=True)
    steps = len(y) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=epochs * steps, pct_start=0.2
    )
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        for some in torch.randperm(len(y))[: steps * batch].view(steps, batch):
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(augmented(normalised(x[some])))
                loss = cross_entropy(logits, y[some], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            total += loss.item()
        took = time.perf_counter() - start
        print(f"epoch {epoch + 1:2}: loss {total / steps:.4f}, {took:.1f} s", flush=True)
    trained = average.module
    assert isinstance(trained, Demonstration)
    return trained.eval()


def groups(network: nn.Module) -> list[dict[str, object]]:
    """Weights, which decay, and the scales and shifts, which do not."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    return [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]


def normalised(x: Tensor) -> Tensor:
    """Pixels 0 to 255 as what the network takes."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    out: Tensor = (x.float() / 255 - mean) / std
    return out


def augmented(x: Tensor) -> Tensor:
    """Each image moved by up to ``MARGIN`` px, and mirrored or not, at random."""
    count, _, side, _ = x.shape
    wide = pad(x, (MARGIN,) * 4, mode="reflect")
    down, right = torch.randint(0, 2 * MARGIN + 1, (2, count, 1))
    columns = right + torch.arange(side)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    rows = down + torch.arange(side)
    moved = wide.permute(0, 2, 3, 1)[
        torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2)  # channels last, as the network is


def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the images that are named rightly, in float32."""
    with torch.inference_mode():
        logits = torch.cat([network(normalised(part)) for part in x.split(1000)])
    return float((logits.argmax(1) == y).float().mean())


if __name__ == "__main__":
    main()
