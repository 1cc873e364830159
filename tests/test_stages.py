"""Stages stand where people know them: none twice, none missing, long rows in groups."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from known import HALVES, case, described
from regraft.backbones import Stage, View
from regraft.errors import UsageError
from regraft.networks import build
from regraft.networks.grouping import grouped
from regraft.networks.profile import profile
from regraft.networks.surgery import config, operate, restore
from regraft.networks.timm_models import head_of, stage_paths, view_of
from regraft.networks.trunk import trace
from regraft.plan.choices import depth_of


def row(*sides: int, name: str = "blocks.{}") -> list[Stage]:
    return [Stage(name.format(i), name.format(i), 8, "NCHW", side=s) for i, s in enumerate(sides)]


@pytest.mark.parametrize(
    ("sides", "names"),
    [
        pytest.param([14] * 7, [f"blocks.{i}" for i in range(7)], id="seven stay"),
        pytest.param([7] * 8, ["blocks.0-1", "blocks.2-3", "blocks.4-5", "blocks.6-7"], id="eight"),
        pytest.param(
            [14] * 14, ["blocks.0-2", "blocks.3-6", "blocks.7-9", "blocks.10-13"], id="uneven"
        ),
        pytest.param(
            [56, 28, 28, *[14] * 7, 7, 7],
            ["blocks.0", "blocks.1-2", "blocks.3-9", "blocks.10-11"],
            id="by resolution",
        ),
    ],
)
def test_a_long_row_is_grouped(sides: list[int], names: list[str]) -> None:
    groups = grouped(row(*sides))
    assert [group.name for group in groups] == names
    ends = [int(name.rpartition(".")[2].rpartition("-")[2]) for name in names]
    assert [group.end for group in groups] == ends


def test_a_group_of_unlike_names_is_called_as_its_last() -> None:
    groups = grouped([*row(56, name="stem"), *row(56, *[28] * 7)])
    assert [group.name for group in groups] == ["blocks.0", "blocks.1-7"]


STAGES = {
    "repvgg_a0": "stem stages.0 stages.1 stages.2 stages.3",  # its last convolution is none
    "densenet121": "features.norm0 features.denseblock1 features.denseblock2 features.denseblock3 "
    "features.norm5",
    "ghostnet_050": "blocks.0 blocks.1-2 blocks.3-4 blocks.5-6 blocks.7-9 last",
    "mixer_s32_224": "blocks.0-1 blocks.2-3 blocks.4-5 blocks.6-7 last",
    "pit_ti_224": "transformers.0 transformers.1 transformers.2 last",
    "hrnet_w18_small": "act2 layer1 stage2 stage3 stage4 last",
    "ese_vovnet19b_dw": "stem.1 stages.0 stages.1 stages.2 stages.3",  # not each layer of the stem
    "twins_svt_small": "blocks.0.0-1 blocks.1.0-1 blocks.2.0-9 blocks.3.0-3 last",
    "xception41": "blocks.0 blocks.1 blocks.2-10 blocks.11-12",  # not what lies in a block
    "nfnet_f0": "stem.conv3 stages.0 stages.1 stages.2 stages.3 last",  # not final_conv too
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_those_people_know(name: str) -> None:
    import timm

    with torch.random.fork_rng():
        module: nn.Module = timm.create_model(name).eval()
    view, head = view_of(module)[0], head_of(module)
    found = profile(trace(module, name), stage_paths(module), head, view, name, strict=False)
    assert [stage.name for stage in found.stages] == STAGES[name].split()
    costs = [found.parameters_to, found.multiply_adds_to]
    assert all(list(cost) == sorted(cost) for cost in costs)


def test_a_parameter_that_is_looked_at_is_no_obstacle() -> None:
    class Query(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mix = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
            self.query = nn.Parameter(torch.zeros(1, 4))

        def forward(self, x: Tensor) -> Tensor:
            product: Tensor = self.body(x).mean((2, 3)) * self.mix(self.query.expand(1, 4))
            return product

    assert described(Query(), ["body", "mix"]).widths == (4, 4)


# ---- a stage that gives several values


class Fork(nn.Module):
    """Two maps, the second with more channels."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(inp, 4, 3), nn.Conv2d(inp, out, 3, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.fine(x), self.coarse(x)


class Forks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Fork(3, 6), Fork(6, 8)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            fine, x = block(x)
        logits: Tensor = self.head(x.mean((2, 3)) + fine.mean())
        return logits


@pytest.fixture
def forks() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Forks().eval()
    record = build.describe_module(
        module, ["blocks.0", "blocks.1"], head="head", view=View(16), mean=HALVES, std=HALVES
    )
    return record, module, torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_of_several_values_that_of_the_most_channels_is_read(forks: Any) -> None:
    record, module, x = forks
    places = [(stage.name, stage.module, stage.path, stage.part) for stage in record.stages]
    assert places[0] == ("blocks.0", "blocks.0[1]", "blocks.0", "[1]")
    assert places[2] == ("last", "", "", "")
    assert record.widths == (6, 8, 8)
    with torch.no_grad():
        first, second = build.trunk(module, record, [0, 1])(x)
        known = module.blocks[0](x)[1]
        torch.testing.assert_close(first, known.mean((2, 3)))
        torch.testing.assert_close(second, module.blocks[1](known)[1].mean((2, 3)))


def test_what_is_read_of_several_values_is_cut_frozen_trained_and_saved(forks: Any) -> None:
    record, module, x = forks
    network, _ = operate(module, record, taps=[1], classes=3, frozen=["blocks.0"])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(x).logsumexp(1).sum().backward()
    optimizer.step()
    moved = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert {n.rpartition(".")[0] for n in moved} == {"trunk.blocks.1.coarse", "head"}
    assert {n for n, p in network.named_parameters() if p.grad is not None} == moved
    saved = json.loads(json.dumps(config(network, record)))
    again = restore(saved, network.state_dict(), module)
    with torch.no_grad():
        assert torch.equal(again(x), network.eval()(x))


# ---- names, and records of before


def test_a_group_goes_by_its_name_its_number_or_where_it_ends() -> None:
    record = case("vit_tiny_patch16_224").backbone
    assert [depth_of(record, name) for name in ("blocks.3-5", "1", "blocks.5")] == [1, 1, 1]
    with pytest.raises(UsageError, match=r"got 'blocks\.4'[\s\S]*blocks\.0-2, blocks\.3-5"):
        depth_of(record, "blocks.4")
    with pytest.raises(UsageError, match="got ''"):
        depth_of(record, "")


def test_a_run_whose_stages_were_found_otherwise_still_opens() -> None:
    it = case("resnet18")
    last = replace(it.backbone.stages[-1], name="last", module="", layout="NC", side=1)
    old = replace(it.backbone, stages=(*it.backbone.stages[:-1], last))
    network, _ = operate(it.module, old, taps=[2, 4], classes=["ant", "bee"])
    again = restore(json.loads(json.dumps(config(network, old))), network.state_dict())
    new, _ = operate(it.module, it.backbone, taps=[2, 4], classes=["ant", "bee"])
    with torch.no_grad():
        assert torch.equal(again(it.images), network(it.images))
        torch.testing.assert_close(new.features(it.images), again.features(it.images))
