"""One contract over all backbones: what a record says is what its network does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from known import HALVES, KNOWN, Case, case
from regraft import backbones
from regraft.backbones import Backbone, View
from regraft.backbones.record import UNNAMED
from regraft.errors import BackboneError
from regraft.networks import build, weights


@pytest.fixture(scope="module", params=KNOWN)
def known(request: pytest.FixtureRequest) -> Case:
    return case(request.param)


def averaged(value: Tensor, layout: str, skip: int) -> Tensor:
    """Average over places, in other words than the trunk's: ``[B, ...]`` -> ``[B, C]``."""
    if layout == "NC":
        return value
    channels_first = value if layout == "NCHW" else value.movedim(-1, 1)
    return channels_first.flatten(2)[..., skip:].double().mean(2).float()


def hooked(case: Case) -> list[Tensor]:
    """What every stage of the whole network gives, seen by hooks while it runs."""
    seen: dict[int, Tensor] = {}
    hooks = []
    for depth, stage in enumerate(case.backbone.stages):

        def keep(value: Tensor, depth: int = depth) -> None:
            stage = case.backbone.stages[depth]
            seen[depth] = averaged(value, stage.layout, stage.skip).clone()

        if stage.module:
            place = case.module.get_submodule(stage.module)
            hooks.append(place.register_forward_hook(lambda m, i, o, keep=keep: keep(o)))
        else:
            place = case.module.get_submodule(case.backbone.head)
            hooks.append(place.register_forward_pre_hook(lambda m, i, keep=keep: keep(i[0])))
    with torch.no_grad():
        case.module(case.images.clone())
    for hook in hooks:
        hook.remove()
    return [seen[depth] for depth in range(len(case.backbone.stages))]


def test_the_stages_are_the_known_ones(known: Case) -> None:
    expected = KNOWN[known.backbone.name][0]
    assert {s.name: s.channels for s in known.backbone.stages} == expected
    assert known.backbone.widths == tuple(expected.values())


def test_costs_grow_with_depth(known: Case) -> None:
    record = known.backbone
    assert record.parameters == sum(p.numel() for p in known.module.parameters())
    assert list(record.parameters_to) == sorted(record.parameters_to)
    assert record.parameters_to[-1] < record.parameters
    assert list(record.multiply_adds_to) == sorted(record.multiply_adds_to)
    assert record.multiply_adds_to[0] > 0


def test_a_record_survives_json(known: Case) -> None:
    text = json.dumps(known.backbone.to_json())
    assert Backbone.from_json(json.loads(text)) == known.backbone
    assert str(Path.home()) not in text


def test_a_trunk_reads_what_the_network_gives_at_every_depth(known: Case) -> None:
    trunk = build.trunk(known.module, known.backbone, range(len(known.backbone.stages)))
    with torch.no_grad():
        read = trunk(known.images)
    for depth, (mine, theirs) in enumerate(zip(read, hooked(known), strict=True)):
        assert mine.shape == (2, known.backbone.stages[depth].channels)
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        assert mine.abs().max() > 0


def test_a_trunk_gives_its_taps_in_the_order_asked_for_and_no_more(known: Case) -> None:
    last = len(known.backbone.stages) - 2
    trunk = build.trunk(known.module, known.backbone, [last, 0])
    with torch.no_grad():
        deep, shallow = trunk(known.images)
    assert deep.shape[1] == known.backbone.stages[last].channels
    assert shallow.shape[1] == known.backbone.stages[0].channels
    assert sum(p.numel() for p in trunk.parameters()) == known.backbone.parameters_to[last]


LITE = [record for record in backbones.bundled() if record.name.startswith("efficientnet-lite")]


@pytest.mark.parametrize("record", LITE, ids=lambda record: record.name)
def test_a_bundled_record_is_what_is_measured(record: Backbone) -> None:
    if not backbones.on_hand(record):
        pytest.skip("its weights are an extra")
    made = build.describe_timm(record.architecture, backbones.weights_file(record))
    own = replace(
        record,
        name=made.name,
        licence="",
        paper="",
        source=UNNAMED,
        weights=replace(record.weights, origin="file", location=made.weights.location),
    )
    assert made == own


def test_multiply_adds_are_those_of_a_convolution_counted_by_hand() -> None:
    record = case("plain").backbone
    first = 24 * 24 * 6 * 3 * 9
    assert record.multiply_adds_to[0] == first
    assert record.multiply_adds_to[1] == first + 10 * 10 * 8 * 6 * 9


def test_multiply_adds_of_attention_are_counted() -> None:
    record, tokens, width = build.find("vit_tiny_patch16_224", seed=0), 197, 192
    block = 12 * tokens * width**2 + 2 * tokens**2 * width  # layers, then scores and their sums
    assert record.multiply_adds_to[1] - record.multiply_adds_to[0] == 3 * block


def test_the_default_is_trained_and_not_ours_to_relicense() -> None:
    before = torch.random.get_rng_state()
    record, module = build.load("efficientnet-lite0")
    assert torch.equal(before, torch.random.get_rng_state())
    assert (record.licence, record.source) == ("Apache-2.0", "ImageNet-1k")
    assert "1905.11946" in record.paper
    assert backbones.bundled()[0] == record == build.find("efficientnet-lite0")
    assert (record.view, record.mean) == (View(224, 0.875, "bicubic"), HALVES)
    stored = weights.read(backbones.weights_file(record))
    for mine, theirs in zip(module.state_dict().values(), stored.values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_damaged_record_names_all_that_is_wrong() -> None:
    raw = backbones.get("efficientnet-lite0").to_json()
    with pytest.raises(BackboneError, match=r"head: is missing[\s\S]*tail: no such field"):
        Backbone.from_json({k: v for k, v in raw.items() if k != "head"} | {"tail": 1})
    with pytest.raises(BackboneError, match="size must be at least 1 px"):
        Backbone.from_json(raw | {"view": {"size": 0}})
