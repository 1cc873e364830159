"""What is read of torch's data sets and their like, item by item: stand-ins, and torch's own."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pictures import jpeg, lay_out
from regraft.data.dataset import Dataset
from regraft.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
KINDS = ("ant", "bee", "cat")


class Items:
    """A sized, indexable set of these items, with attributes."""

    def __init__(self, items: list[Any], **more: Any) -> None:
        self.items = items
        self.__dict__.update(more)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Hub(Items):
    """As much of the library datasets as is asked for: columns by their names, and features."""

    column_names = ("image", "label")

    def __getitem__(self, index: Any) -> Any:
        return [item[index] for item in self.items] if isinstance(index, str) else self.items[index]


class Names:
    names = KINDS


def folder(place: Path, **options: Any) -> ImageFolder:
    files = {f"{kind}/{n}.jpg": jpeg(3 * n + k) for k, kind in enumerate(KINDS) for n in range(4)}
    return ImageFolder(str(lay_out(place, files)), **options)


def items(*labels: Any, picture: str = "", label: str = "") -> list[Any]:
    if picture:
        return [{picture: PIXELS, label: one} for one in labels]
    return [(PIXELS, one) for one in labels]


TWELVE = ["ant"] * 4 + ["bee"] * 4 + ["cat"] * 4
LABELLED: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "torchvision's own": (folder, TWELVE),
    "a target transform": (
        lambda place: folder(place, target_transform=lambda y: int(y > 0)),
        ["0"] * 4 + ["1"] * 8,
    ),
    "a target transform to names": (
        lambda place: folder(place, target_transform=lambda y: KINDS[2 - y]),
        TWELVE[::-1],
    ),
    "a target transform of no effect": (
        lambda place: folder(place, target_transform=lambda y: y),
        TWELVE,
    ),
    "a Subset": (lambda place: Subset(folder(place), [0, 5, 11]), ["ant", "bee", "cat"]),
    "a Subset of a Subset": (
        lambda place: Subset(Subset(folder(place), [0, 5, 11]), [2, 0]),
        ["cat", "ant"],
    ),
    "targets that are not the labels": (
        lambda _: Items(items(1, 0, 1, 0), targets=[0, 1, 0, 1], classes=["a", "b"]),
        ["1", "0", "1", "0"],
    ),
    "one target that is not the label": (
        lambda _: Items(items(*[0] * 30, 1, *[0] * 30), targets=[0] * 61, classes=["a", "b"]),
        ["0"] * 30 + ["1"] + ["0"] * 30,
    ),
    "targets that are the labels": (
        lambda _: Items(items(1, 0, 1), targets=[1, 0, 1], classes=["a", "b"]),
        ["b", "a", "b"],
    ),
    "three fields": (lambda _: Items([(PIXELS, "x", 7), (PIXELS, "y", 8)]), ["x", "y"]),
    "lists": (lambda _: [[PIXELS, "x"], [PIXELS, "y"]], ["x", "y"]),
    "dicts": (lambda _: items("x", "y", picture="image", label="label"), ["x", "y"]),
    "dicts, other keys": (lambda _: items("x", "y", picture="img", label="target"), ["x", "y"]),
    "the library datasets": (
        lambda _: Hub(items(2, 0, picture="image", label="label"), features={"label": Names}),
        ["cat", "ant"],
    ),
    "tensors": (
        lambda _: TensorDataset(torch.zeros(2, 3, 9, 9), torch.tensor([4, 5])),
        ["4", "5"],
    ),
    "twins": (lambda _: Items(items("x", "x\u200b")), ["x", "x"]),
}


@pytest.mark.parametrize("case", LABELLED)
def test_labels_are_those_of_the_items(case: str, tmp_path: Path) -> None:
    make, labels = LABELLED[case]
    dataset = Dataset.from_torch(make(tmp_path))
    assert [item.label for item in dataset.items] == labels
    assert dataset.read(0) == dataset.read(0)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("a target transform", ".classes does not name them; pass classes="),
        ("targets that are not the labels", ".classes does not name them; pass classes="),
        ("three fields", "Items have 3 fields: the first is the picture, the second the label"),
        ("twins", r"'x' and 'x\u200b'"),
    ],
)
def test_what_was_made_of_them_is_said(case: str, words: str, tmp_path: Path) -> None:
    [note] = Dataset.from_torch(LABELLED[case][0](tmp_path)).notes
    assert words in note


def test_names_that_are_given_are_those_of_the_items(tmp_path: Path) -> None:
    source = folder(tmp_path, target_transform=lambda y: int(y > 0))
    dataset = Dataset.from_torch(source, ["ant", "other"])
    assert [item.label for item in dataset.items] == ["ant"] * 4 + ["other"] * 8


class Stream(IterableDataset[Any]):
    """Batches without a length."""

    def __iter__(self) -> Any:
        yield PIXELS[None], [0]


class Sized(Stream):
    def __len__(self) -> int:
        return 3


REFUSED: dict[str, tuple[Any, str]] = {
    "no length": (Stream(), "got Stream, which does not: pass a list"),
    "no items by number": (Sized(), "got Sized, which does not: pass a list"),
    "a generator": ((pair for pair in items(0)), "got generator"),
    "a loader": (DataLoader(Items(items(0, 1))), "pass its .dataset"),  # type: ignore[arg-type]
    "dicts without a picture": ([{"text": "a", "label": 0}], "the keys 'text', 'label'"),
    "two kinds of labels": (
        [{"img": PIXELS, "fine_label": 0, "coarse_label": 1}],
        "the keys 'img', 'fine_label', 'coarse_label'",
    ),
    "pictures alone": ([PIXELS, PIXELS], "must be (picture, label), or a dict with them"),
    "one field": ([(PIXELS,)], "got tuple of 1"),
    "a label that cannot be seen": ([(PIXELS, "\u200b")], "label 0 is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_items_that_cannot_be_read(case: str) -> None:
    source, words = REFUSED[case]
    with pytest.raises(DataError) as caught:
        Dataset.from_torch(source)
    assert words in str(caught.value)


# --- random pictures -----------------------------------------------------------------------------

OWN = np.random.default_rng(1)


def flipped(image: Image.Image) -> Image.Image:
    """Flipped half of the time, by random numbers that nobody else has."""
    turned = Image.Transpose.FLIP_LEFT_RIGHT
    return image.transpose(turned) if OWN.random() < 0.5 else image


def rarely(image: Image.Image) -> Image.Image:
    """Flipped once in a thousand times, by Python's random numbers."""
    turned = Image.Transpose.FLIP_LEFT_RIGHT
    return image.transpose(turned) if random.random() < 0.001 else image


RANDOM: dict[str, Callable[[Any], Any]] = {
    "RandomHorizontalFlip": transforms.RandomHorizontalFlip(),
    "RandomGrayscale": transforms.RandomGrayscale(0.01),
    "RandomResizedCrop": transforms.RandomResizedCrop(32),
    "ColorJitter": transforms.ColorJitter(0.1),
    "in a Compose": transforms.Compose(
        [transforms.Resize(40), transforms.RandomVerticalFlip(0.05), transforms.ToTensor()]
    ),
    "numbers of its own": flipped,
    "Python's numbers, rarely": rarely,
}


@pytest.mark.parametrize("images", [1, 12])
@pytest.mark.parametrize("case", RANDOM)
def test_random_transforms_are_found_each_time(case: str, images: int, tmp_path: Path) -> None:
    source = folder(tmp_path, transform=RANDOM[case])
    for _ in range(20):  # half of them were accepted
        with pytest.raises(DataError, match="change from reading to reading"):
            Dataset.from_torch(Subset(source, range(images)))


def test_transforms_that_are_not_random_are_taken(tmp_path: Path) -> None:
    steps = [transforms.Resize(40), transforms.CenterCrop(32), transforms.ToTensor()]
    dataset = Dataset.from_torch(folder(tmp_path, transform=transforms.Compose(steps)))
    assert [item.label for item in dataset.items] == TWELVE
