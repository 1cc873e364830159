"""Drawn pictures tell one thing alone; kernels and chosen images are what they should be."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from pictures import classes, encode, in_memory, lay_out, photo
from regraft.backbones import Backbone, View
from regraft.data.dataset import Dataset
from regraft.errors import DataError
from regraft.look import kernels, probes, sample
from regraft.look.stimuli import ANGLES, ORIENTATION, SHAPE, SHAPES, DrawnTask, edges, figure, shape
from regraft.networks import build

TASKS = (ORIENTATION, SHAPE)
VIEW = View(32, 1.0)


def drawn(task: DrawnTask, count: int, size: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.stack([task.draw(number, size, seed) for number in range(count)])


def accuracy(rows: NDArray[np.float32], task: DrawnTask) -> probes.Curve:
    labels = np.array([task.label(n) for n in range(len(rows))])
    return probes.probe(rows, [rows.shape[1]], labels, np.arange(len(rows)), 0)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_picture_depends_on_its_number_and_the_seed_alone(task: DrawnTask) -> None:
    pictures = drawn(task, 16)
    assert pictures.dtype == np.uint8
    assert pictures.shape == (16, 32, 32, 3)
    assert np.array_equal(pictures[11], task.draw(11, 32, 0))
    assert len({picture.tobytes() for picture in pictures}) == 16
    assert not np.array_equal(pictures[3], task.draw(3, 32, 1))
    assert np.bincount([task.label(n) for n in range(400)]).tolist() == [50] * len(task.classes)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_nothing_but_the_wanted_thing_goes_with_the_class(task: DrawnTask) -> None:
    """Mean, spread, extremes and quarters of the colours leave a head at chance."""
    pictures = drawn(task, 800).astype(np.float32)
    flat = pictures.reshape(800, -1, 3)
    rows = np.concatenate(
        [
            *(flat.mean(1), flat.std(1), flat.min(1), flat.max(1)),
            *(pictures[:, r : r + 16, c : c + 16].mean((1, 2)) for r in (0, 16) for c in (0, 16)),
            np.square(flat).mean(1),
        ],
        axis=1,
    )
    curve = accuracy(rows, task)
    assert curve.intervals[0][0] < curve.chance + 0.02
    assert curve.accuracies[0] < curve.chance + 0.05


def test_the_wanted_thing_is_there() -> None:
    """What measures orientation tells it; areas are even, and outlines of the same area differ."""
    pictures = drawn(ORIENTATION, 160, 64).astype(np.float32).mean(3)
    y, x = np.gradient(pictures, axis=(1, 2))
    angle, strength = np.arctan2(y, x), x**2 + y**2
    rows = np.stack(
        [(strength * np.cos(n * angle)).mean((1, 2)) / strength.mean((1, 2)) for n in (2, 4)]
        + [(strength * np.sin(n * angle)).mean((1, 2)) / strength.mean((1, 2)) for n in (2, 4)],
        axis=1,
    )
    assert accuracy(rows, ORIENTATION).accuracies[0] > 0.8
    turned = np.arctan2(rows[:, 2], rows[:, 0]) / 2
    wanted = np.radians([ANGLES[n % 8] for n in range(160)])
    off = np.abs(np.angle(np.exp(2j * (turned - wanted)))) / 2
    assert np.degrees(np.median(off)) < 5


def test_every_shape_covers_the_same_areas_and_lies_in_the_picture() -> None:
    masks = np.stack([figure(number, 64, 0) for number in range(240)])
    area = masks.mean((1, 2)).reshape(-1, len(SHAPES))
    assert area.min() > 0.055
    assert area.max() < 0.165
    assert np.ptp(area.mean(0)) < 3 * area.std() / np.sqrt(len(area)) * 1.5
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    assert border.max() == 0
    centres = np.stack([(masks * a).sum((1, 2)) for a in np.mgrid[:64, :64]]) / masks.sum((1, 2))
    by_class = centres.reshape(2, -1, len(SHAPES))
    assert np.ptp(by_class.mean(1), axis=1).max() < 8


def test_a_figure_is_where_its_picture_says() -> None:
    picture, mask = shape(5, 64, 3).astype(np.float32).mean(2), figure(5, 64, 3)
    assert abs(picture[mask > 0.9].mean() - picture[mask < 0.1].mean()) > 30


def test_edges_run_in_the_direction_of_their_class() -> None:
    upright = edges(0, 64, 0).astype(np.float32).mean(2)
    across, down = np.abs(np.diff(upright, axis=1)).sum(), np.abs(np.diff(upright, axis=0)).sum()
    assert across > 1.5 * down


# --- kernels -------------------------------------------------------------------------------------


def described(module: nn.Module, *stages: str) -> Backbone:
    half = (0.5, 0.5, 0.5)
    return build.describe_module(module.eval(), stages, view=VIEW, mean=half, std=half)


def test_the_first_convolution_called_is_shown() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.first = nn.Conv2d(4, 5, 1), nn.Conv2d(3, 4, 3)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.second(self.first(x))

    late = Late()
    found = kernels.first(late, described(late, "first", "second"))
    assert found is not None
    assert (found.path, found.count, found.numbers, found.colour) == (
        "first",
        4,
        (0, 1, 2, 3),
        True,
    )
    weight = late.first.weight.detach().numpy()[2]
    expected = (127.5 + 127.5 * weight / np.abs(weight).max()).round().transpose(1, 2, 0)
    assert np.array_equal(found.pictures[2], expected)


def test_kernels_of_other_inputs_are_grey_and_many_are_thinned() -> None:
    wide = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 300, 3))
    found = kernels.first(wide, described(wide, "1"))
    assert found is not None
    assert not found.colour
    assert len(found.numbers) == kernels.MOST
    assert (found.numbers[0], found.numbers[-1]) == (0, 299)
    assert np.ptp(found.pictures[0], axis=2).max() == 0


def test_a_network_without_a_convolution_has_no_kernels() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))
    assert kernels.first(plain, described(plain, "1")) is None


# --- images --------------------------------------------------------------------------------------


def test_images_are_drawn_evenly_over_the_classes() -> None:
    dataset = in_memory(classes({"ant": 30, "bee": 12, "cat": 4}))
    found = sample.draw(dataset, VIEW, 16, 0)
    assert np.bincount(found.labels).tolist() == [6, 6, 4]
    assert found.classes == ("ant", "bee", "cat")
    again = sample.draw(dataset, VIEW, 16, 0)
    assert found.items == again.items
    assert found.items != sample.draw(dataset, VIEW, 16, 1).items
    assert found.square(3).shape == (32, 32, 3)


def test_what_cannot_be_used_is_named_and_gives_way(tmp_path: Path) -> None:
    files = classes({"ant": 5, "bee": 5})
    files["ant/broken.jpg"] = files["ant/000.jpg"][:200]
    files["bee/copy.jpg"] = files["bee/001.jpg"]
    dataset = Dataset.open(lay_out(tmp_path / "data", files))
    found = sample.draw(dataset, VIEW, 400, 0)
    assert len(found) == 10
    assert found.asked == 400
    reasons = {left.path: left.detail for left in found.left_out}
    assert "ant/broken.jpg" in reasons
    assert [why for why in reasons.values() if "same file" in why]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 6 images"):
        sample.draw(in_memory(classes({"ant": 2, "bee": 3})), VIEW, 400, 0)


def test_grey_images_become_squares_like_all_others() -> None:
    files = {
        f"{kind}/{i}.png": encode(photo(i + 9 * (kind == "b")).convert("L"), "PNG")
        for kind in "ab"
        for i in range(4)
    }
    found = sample.draw(in_memory(files), VIEW, 8, 0)
    assert found.square(0).shape == (32, 32, 3)
