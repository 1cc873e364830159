import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pictures import TWO, check_reading, facts_of, lay_out, photo
from regraft.data.dataset import Dataset, Item, few, label_name, listed, quoted
from regraft.errors import DataError


def decoded(dataset: Dataset, index: int) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(dataset.read(index))))


def random_pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(3, 10, 12), (3, 10, 12, 3), (3, 10, 12, 4)])
def test_arrays_are_kept_to_the_bit(shape: tuple[int, ...]) -> None:
    pixels = random_pixels(*shape)
    dataset = Dataset.from_arrays(pixels, ["b", "a", "b"])
    assert dataset.items == (
        Item("000000.png", "b"),
        Item("000001.png", "a"),
        Item("000002.png", "b"),
    )
    for i in range(3):
        assert np.array_equal(decoded(dataset, i), pixels[i])
    assert dataset.read(1) == dataset.read(1)


def test_other_arrays() -> None:
    pixels = random_pixels(2, 9, 9)
    for same in (pixels[..., None], pixels.astype(np.int64), pixels / 255, list(pixels)):
        assert np.array_equal(decoded(Dataset.from_arrays(same, [0, 1]), 0), pixels[0])
    assert np.array_equal(decoded(Dataset.from_arrays(pixels > 99, [0, 1]), 0) > 0, pixels[0] > 99)


def test_pictures_of_different_sizes() -> None:
    pictures = [
        photo(1, 30, 20),
        random_pixels(8, 9),
        photo(2).quantize(),
        photo(3).convert("CMYK"),
    ]
    dataset = Dataset.from_arrays(pictures, [1, 2, 1, 2])
    assert np.array_equal(decoded(dataset, 0), np.asarray(photo(1, 30, 20)))
    assert [fact.problem for fact in facts_of(dataset)] == [""] * 4


@pytest.mark.parametrize(
    ("label", "name"),
    [("cat", "cat"), (3, "3"), (3.0, "3"), (np.int64(7), "7"), (np.float32(2), "2"), (True, "True")]
    + [(2.5, "2.5"), (np.str_("x"), "x"), (" y ", "y")]
    + [(label, "") for label in (None, float("nan"), "", [1, 2], np.array([1, 2]), b"x")],
)
def test_labels_become_names(label: object, name: str) -> None:
    assert label_name(label) == name


def test_every_mistake_of_arrays_is_named() -> None:
    def problems(images: Any, labels: Any) -> str:
        with pytest.raises(DataError) as caught:
            Dataset.from_arrays(images, labels)
        return "\n".join(caught.value.problems)

    assert "as many labels as images: 2 and 3" in problems(random_pixels(3, 9, 9), [0, 1])
    assert "at least one image" in problems([], [])
    assert "got 0..16" in problems(np.full((2, 8, 8), 16.0) * [[[0], [1]] * 4], [0, 1])
    assert "got 0..300" in problems(np.array([[[0, 300, 0]]])[None], [0])
    assert "got nan..nan" in problems(np.full((1, 8, 8), np.nan), [0])
    assert "got shape [9]" in problems(random_pixels(1, 9), [0])
    assert "got <U1" in problems([np.array([["a"]])], [0])
    assert "label 1 is empty" in problems(random_pixels(2, 9, 9), ["a", None])
    both = problems([random_pixels(9, 9), random_pixels(9), random_pixels(9, 9, 2, 2)], [0, 1])
    assert len(both.splitlines()) == 3
    assert len(problems(random_pixels(40, 9, 9, 2, 2), [0] * 40).splitlines()) == 11
    with pytest.raises(DataError, match="must be an array or a list"):
        Dataset.from_arrays(iter([]), [])  # type: ignore[arg-type]


class Tensor:
    """As much of a tensor as is asked for."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def numpy(self) -> NDArray[Any]:
        return self.values


class Pairs:
    """As much of a torch data set as is asked for."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs
        self.reads = 0

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.reads += 1
        return self.pairs[index]


def test_a_torch_data_set() -> None:
    pixels = random_pixels(9, 9, 3)
    chw = np.moveaxis(pixels, -1, 0)
    pictures = [Image.fromarray(pixels), pixels, Tensor(chw), Tensor(chw / np.float32(255))]
    source = Pairs(list(zip(pictures, [1, np.int64(0), 1, 0], strict=True)))
    dataset = Dataset.from_torch(source, classes=["cat", "dog"])
    assert [item.label for item in dataset.items] == ["dog", "cat", "dog", "cat"]
    assert all(np.array_equal(decoded(dataset, i), pixels) for i in range(4))
    assert dataset.name == "Pairs"


def test_a_torch_data_set_with_names_and_targets() -> None:
    class Known(Pairs):
        __module__ = "torchvision.datasets.folder"

    source = Known([(random_pixels(9, 9), 1), (random_pixels(9, 9), 0)] * 50)
    source.classes, source.targets = ["ant", "bee"], [1, 0] * 50  # type: ignore[attr-defined]
    dataset = Dataset.from_torch(source)
    assert dataset.classes == ("ant", "bee")
    assert dataset.items[0].label == "bee"
    assert source.reads < 50  # only to see that some are the same each time, and their labels


def test_a_torch_data_set_of_numbers_or_names() -> None:
    pixels = random_pixels(9, 9)
    assert Dataset.from_torch(Pairs([(pixels, 4), (pixels, 10)])).classes == ("10", "4")
    assert Dataset.from_torch(Pairs([(pixels, "x"), (pixels, "y")])).classes == ("x", "y")


def test_torch_data_sets_that_cannot_be_used() -> None:
    def problem(pairs: list[tuple[Any, Any]], names: list[str] | None = None) -> str:
        with pytest.raises(DataError) as caught:
            Dataset.from_torch(Pairs(pairs), names)
        return str(caught.value)

    pixels = random_pixels(9, 9)
    assert "at least one image" in problem([])
    assert "label 1 must be 0 to 1, or one of the 2 names, got '2'" in problem(
        [(pixels, 0), (pixels, 2)], ["a", "b"]
    )
    assert "'a' is there twice" in problem([(pixels, 0)], ["a", "a"])
    assert "undo Normalize" in problem([(Tensor(pixels / 255 - 0.5), 0)])


def test_a_torch_data_set_with_random_transforms_is_refused() -> None:
    class Jittered(Pairs):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            self.reads += 1
            return self.pairs[index][0] ^ self.reads, 0

    with pytest.raises(DataError, match="change from reading to reading"):
        Dataset.from_torch(Jittered([(random_pixels(9, 9), 0)]))


def test_a_picture_that_goes_bad_later_is_missing() -> None:
    dataset = Dataset.from_torch(Pairs([(random_pixels(9, 9), 0), (np.full((9, 9), -1.0), 1)]))
    assert [fact.problem for fact in facts_of(dataset)] == ["", "missing"]


# --- the rest ------------------------------------------------------------------------------------


def test_a_data_set_opens_as_itself() -> None:
    dataset = Dataset.from_arrays(random_pixels(2, 9, 9), [0, 1])
    assert Dataset.open(dataset) is dataset


def test_which_split_is_held_out() -> None:
    def held(*splits: str) -> str:
        return Dataset("", tuple(Item("", "", split) for split in splits), (), bytes).held_out

    assert held("train", "val", "test") == "test"
    assert held("train", "val") == "val"
    assert held("train") == held("") == held() == ""


def test_of_many_names_the_first_few_are_listed() -> None:
    assert few(["a", "b"], 2) == ["a", "b"]
    assert few(["a"] * 1002, 2) == ["a", "a", "... and 1,000 more"]
    assert (listed(["a", "b"], 2), listed(["a", "b", "c"], 2)) == ("a, b", "a, b and 1 more")
    assert quoted(["a"] * 1010).endswith("'a' and 1,000 more")


def test_an_item_reads_its_own_file_whatever_the_order_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{label}/{i}.png": f"{label}{i}".encode() for label in "zab" for i in (9, 10, 1)}
    lay_out(tmp_path, files)
    forward = Dataset.open(tmp_path)
    scandir = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = scandir(path)

        def __enter__(self) -> Any:
            return reversed(sorted(self.entries, key=lambda entry: entry.name))

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Backwards)
    backward = Dataset.open(tmp_path)
    assert backward.items == forward.items
    check_reading(backward, files)


def test_files_larger_than_any_photo_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(lay_out(tmp_path, TWO))
    monkeypatch.setattr("regraft.data.dataset.MAX_BYTES", 100)
    with pytest.raises(OSError, match="no photo is that large"):
        dataset.read(0)
