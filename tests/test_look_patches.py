"""Receptive fields are the true ones, and patches the places where a channel is highest."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pictures import classes, in_memory
from regraft.backbones import Backbone, View
from regraft.look import fields, maps, patches, sample
from regraft.look.fields import Box, Field
from regraft.look.maps import Cells
from regraft.look.patches import PATCHES, Record
from regraft.look.sample import Sample
from regraft.networks import build
from regraft.networks.demonstration import LAYERS, Demonstration

HALF = (0.5, 0.5, 0.5)
Layers = list[tuple[int, int, int]]
"""Kernel, stride and padding of each layer."""


def described(module: nn.Module, stages: list[str], size: int) -> Backbone:
    return build.describe_module(
        module.eval(), stages, view=View(size, 1.0), mean=HALF, std=HALF, name="stack"
    )


def seeded(make: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def measured(module: nn.Module, backbone: Backbone) -> list[Field]:
    depths = range(len(backbone.stages))
    trunk = maps.unpooled(module, backbone, depths)
    return fields.measure(trunk, backbone.stages, backbone.view.shape)


def analytic(layers: Layers, unit: int, size: int) -> tuple[int, int]:
    """The field of a unit, from the last layer back to the image."""
    start, end = unit, unit + 1
    for kernel, stride, padding in reversed(layers):
        start, end = start * stride - padding, (end - 1) * stride - padding + kernel
    return max(start, 0), min(end, size)


STACKS: dict[str, Layers] = {
    "one": [(3, 1, 1)],
    "strided": [(5, 2, 2), (3, 2, 1), (3, 1, 1)],
    "unpadded": [(4, 2, 0), (3, 1, 0)],
    "wide": [(7, 2, 3), (3, 2, 1), (5, 2, 2), (5, 1, 2), (5, 1, 2)],
}


@pytest.mark.parametrize("name", STACKS)
def test_fields_of_convolutions_are_the_analytic_ones(name: str) -> None:
    size, layers = 48, STACKS[name]
    inputs, modules = 3, []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for kernel, stride, padding in layers:
            modules.append(nn.Sequential(nn.Conv2d(inputs, 6, kernel, stride, padding), nn.ReLU()))
            inputs = 6
    stack = nn.Sequential(*modules)
    backbone = described(stack, [str(n) for n in range(len(layers))], size)
    for depth, field in enumerate(measured(stack, backbone)):
        assert field.regular
        for row in range(field.cells.rows):
            for column in range(field.cells.columns):
                left, right = analytic(layers[: depth + 1], column, size)
                top, bottom = analytic(layers[: depth + 1], row, size)
                box = field.box(row * field.cells.columns + column)
                assert box == (left, top, right, bottom)


def test_fields_of_the_demonstration_network() -> None:
    """Each layer: a convolution that keeps the size, then the largest of 2 x 2."""
    module = seeded(Demonstration)
    backbone = build.describe_module(
        module, LAYERS, view=View(32, 1.0), mean=HALF, std=HALF, head="fc3"
    )
    found = measured(module, backbone)
    layers: Layers = []
    for depth, kernel in enumerate((5, 3, 3)):
        layers += [(kernel, 1, kernel // 2), (2, 2, 0)]
        for unit in range(found[depth].cells.columns):
            assert found[depth].columns.span(unit) == analytic(layers, unit, 32)
            assert found[depth].rows.span(unit) == analytic(layers, unit, 32)
    assert [field.columns.extent for field in found] == [6, 12, 24, None, None]
    assert [field.whole for field in found] == [False, False, False, True, True]


def test_something_that_spreads_over_the_image_makes_it_the_field() -> None:
    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.one(x)
            return y * torch.sigmoid(self.two(y).mean((2, 3), keepdim=True))

    both = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), seeded(Excited))
    before, after = measured(both, described(both, ["0", "1"], 24))
    assert not before.whole
    assert after.whole
    assert after.box(100) == (0, 0, 24, 24)


class Windows(nn.Module):
    """Each place sees the mean of its window of 8 x 8 px, which is no even walk over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(self.mix(x), 8)
        wide: Tensor = nn.functional.interpolate(means, scale_factor=8.0)
        both: Tensor = wide + 0.1 * self.mix(x)
        return both


def test_uneven_fields_are_looked_at_one_by_one() -> None:
    module = seeded(Windows)
    both = nn.Sequential(module, nn.Identity())
    backbone = described(both, ["0"], 32)
    [field] = measured(both, backbone)
    assert not field.regular
    with pytest.raises(KeyError):
        field.box(0)
    places = [0, 9 * 32 + 31, 20 * 32 + 3, 7, 8]
    trunk = maps.unpooled(both, backbone, [0])
    closer = fields.look_closer(trunk, backbone.stages[0], field, places)

    def window(place: int) -> Box:
        row, column = (n // 8 * 8 for n in divmod(place, 32))
        return column, row, column + 8, row + 8

    assert {place: closer.box(place) for place in places} == {p: window(p) for p in places}


def test_a_unit_has_its_own_cell() -> None:
    axis = fields.Axis(32, 4, 0, 32, 0)
    field = Field(axis, axis, Cells(4, 4), True, {})
    assert field.cell(0) == (0, 0, 8, 8)
    assert field.cell(6) == (16, 8, 24, 16)


# --- patches -------------------------------------------------------------------------------------


class Mixed(nn.Module):
    """A map, then one whose channels come last, then a row of tokens with one that is skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 7, 3, 2, 1)
        self.act = nn.ReLU(inplace=True)  # writes into what the first stage gives
        self.narrow = nn.Conv2d(7, 9, 3, 2, 1)
        self.vector = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.act(self.map(x)))
        return self.vector(y.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def images() -> Sample:
    dataset = in_memory(classes({"ant": 14, "bee": 14}, 40, 40))
    return sample.draw(dataset, View(32, 1.0), 400, 0)


def test_patches_are_where_brute_force_finds_them(images: Sample) -> None:
    module = seeded(Mixed)
    backbone = described(module, ["map", "narrow", "vector"], 32)
    found, rows = patches.find(module, backbone, [0, 1, 2], images)
    squares = np.stack([images.square(n) for n in range(len(images))])
    x = (torch.from_numpy(squares).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        first = module.map(x)  # type: ignore[operator]
        second = module.narrow(first.relu())  # type: ignore[operator]
        third = module.vector(second.mean((2, 3)))  # type: ignore[operator]
    values = [first.flatten(2), second.flatten(2), third[..., None]]
    averages = torch.cat([value.mean(2) for value in values], dim=1)
    np.testing.assert_allclose(rows, averages, atol=1e-4)
    for channels, value in zip(found, values, strict=True):
        assert len(channels) == min(patches.CHANNELS, value.shape[1])
        peaks, places = (part.numpy() for part in value.max(2))
        shared = np.sqrt(peaks.var(0).mean())
        top = np.sort(peaks, axis=0)[::-1][:PATCHES]
        standing = (top.mean(0) - peaks.mean(0)) / shared
        wanted = np.argsort(-standing)[: len(channels)]
        assert [channel.number for channel in channels] == wanted.tolist()
        for channel in channels:
            c = channel.number
            order = np.argsort(-peaks[:, c])[:PATCHES]
            assert [patch.image for patch in channel.patches] == order.tolist()
            assert [patch.place for patch in channel.patches] == places[order, c].tolist()
            assert channel.standing == pytest.approx(standing[c], rel=1e-3)


def test_one_patch_a_group_of_near_copies() -> None:
    record = Record.empty(1)
    groups = np.array([0, 0, 1, 2, 2, 3])
    values = np.array([[9], [8], [7], [5], [6], [1]], np.float32)
    for some in (np.array([0, 3]), np.array([1, 4, 5]), np.array([2])):
        record.add(some, values[some], 10 * values[some], groups)
    assert record.image[:4, 0].tolist() == [0, 2, 4, 5]
    assert record.place[:4, 0].tolist() == [90, 70, 60, 10]
    assert record.image[4:].max() == -1
    assert record.count == 6


def test_silent_channels_are_not_shown() -> None:
    record = Record.empty(3)
    values = np.zeros((20, 3), np.float32)
    values[:, 1] = np.arange(20)
    values[0, 2] = 50.0  # answers to a single image
    record.add(np.arange(20), values, values, np.arange(20))
    assert [channel.number for channel in record.strongest()] == [1]


def test_order_of_the_batches_does_not_matter() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 2048)).astype(np.float32)
    groups = np.arange(50) // 2
    one, other = Record.empty(2048), Record.empty(2048)
    one.add(np.arange(50), values, values, groups)
    for some in np.split(random.permutation(50), 10):
        other.add(some, values[some], values[some], groups)
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.value, other.value)
    assert [c.number for c in one.strongest()] == [c.number for c in other.strongest()]


def test_stages_are_thinned_evenly() -> None:
    hundred = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(100)))
    backbone = described(hundred, [str(n) for n in range(100)], 16)
    depths = maps.chosen(backbone)
    assert (len(depths), depths[0], depths[-1]) == (13, 0, 99)
    assert set(np.diff(depths)) == {8, 9}
    assert maps.chosen(described(hundred, ["3"], 16)) == (0,)


def test_tokens_and_channels_last_have_places_too() -> None:
    backbone = build.find("vit_tiny_patch16_224", seed=0)
    stage = backbone.stages[0]
    value = torch.zeros(1, 197, 192)
    value[0, 1 + 33, 5] = 1.0
    mean, high, place = maps.sums(value, stage)
    assert (float(high[0, 5]), float(place[0, 5])) == (1.0, 33.0)
    assert float(mean[0, 5]) == pytest.approx(1 / 196)
    assert maps.cells(value, stage) == Cells(14, 14)
    assert maps.cells(torch.zeros(1, 5, 5, 2), replace(stage, layout="NHWC")) == Cells(5, 5)
    assert maps.cells(torch.zeros(1, 12, 2), replace(stage, side=0)) == Cells(1, 11)
