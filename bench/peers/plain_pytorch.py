"""A plain PyTorch loop, as the tutorials have it: frozen trunk, new layer, five epochs.

    python bench/peers/plain_pytorch.py split.csv

Eager float32; the trunk takes no gradient and stays in evaluation mode; Adam at 1e-3, batches of
32, random crops and flips for training. It is tested once, after training.
"""

import time

import torch
from PIL import Image
from task import BATCH, EPOCHS, MEAN, SEED, STD, WORKERS, Rows, pretrained, read_split, report
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2 as transforms

Batches = DataLoader[tuple[torch.Tensor, int]]

AUGMENTED = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
PLAIN = [transforms.Resize(256), transforms.CenterCrop(224)]


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """Rows as tensors [3, 224, 224] and class numbers."""

    def __init__(self, rows: Rows, classes: list[str], views: list[nn.Module]) -> None:
        self.rows, self.classes = rows, classes
        to_tensor = [transforms.ToImage(), transforms.ToDtype(torch.float32, scale=True)]
        self.transform = transforms.Compose([*views, *to_tensor, transforms.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.rows[index]
        with Image.open(path) as image:
            return self.transform(image.convert("RGB")), self.classes.index(label)


def main() -> None:
    torch.manual_seed(SEED)
    train, test = read_split()
    start = time.perf_counter()
    classes = sorted({label for _, label in train})
    network, layer = new_layer_on_frozen_trunk(len(classes))
    fit(network, layer, batches(Photos(train, classes, AUGMENTED), shuffle=True))
    right = evaluate(network, batches(Photos(test, classes, PLAIN), shuffle=False))
    work = time.perf_counter() - start
    packages = "torch torchvision timm"
    report("plain PyTorch", right=right, train=train, test=test, work=work, packages=packages)


def batches(photos: Photos, *, shuffle: bool) -> Batches:
    return DataLoader(photos, BATCH, shuffle=shuffle, num_workers=WORKERS)


def new_layer_on_frozen_trunk(count: int) -> tuple[nn.Module, nn.Linear]:
    network = pretrained()
    for parameter in network.parameters():
        parameter.requires_grad = False
    layer = nn.Linear(1280, count)
    network.classifier = layer
    return network, layer


def fit(network: nn.Module, layer: nn.Linear, batches: Batches) -> None:
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    network.eval()  # the trunk's batch norm keeps its statistics; a linear layer has no modes
    for _ in range(EPOCHS):
        for images, labels in batches:
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def evaluate(network: nn.Module, batches: Batches) -> int:
    network.eval()
    return sum(int((network(images).argmax(1) == labels).sum()) for images, labels in batches)


if __name__ == "__main__":
    main()
