"""Surgery over all backbones: what is dropped is gone, what is frozen stays, bit for bit."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from known import HALVES, KNOWN, Case, case, described, plain
from regraft.backbones import View
from regraft.errors import BackboneError, RunError, UsageError
from regraft.networks import build, weights
from regraft.networks.changes import Change
from regraft.networks.surgery import TransferNetwork, config, operate, restore

CLASSES = ["ant", "bee", "wolf"]


@pytest.fixture(scope="module", params=KNOWN)
def known(request: pytest.FixtureRequest) -> Case:
    return case(request.param)


@pytest.fixture(scope="module")
def small() -> Case:
    return case("plain")


def depths(it: Case) -> list[int]:
    """A cut near the image, one in the middle, and none."""
    last = len(it.backbone.stages) - 1
    return sorted({0, last // 2, last})


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers, the ones that are not saved included."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def step(network: nn.Module, images: Tensor) -> None:
    """One real step of training on all that may be trained."""
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    loss = nn.functional.cross_entropy(network(images), torch.arange(len(images)))
    loss.backward()
    optimizer.step()


def total(changes: list[Change], *kinds: str) -> int:
    return sum(change.parameters for change in changes if change.kind in kinds)


def size_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_what_is_cut_off_is_gone_and_said_so(known: Case) -> None:
    for depth in depths(known):
        network, changes = operate(known.module, known.backbone, taps=[depth], classes=CLASSES)
        kept = known.backbone.parameters_to[depth]
        assert size_of(network.trunk) == kept == total(changes, "frozen")
        assert total(changes, "frozen", "dropped") == known.backbone.parameters
        assert total(changes, "added") == size_of(network.head)
        assert total(changes, "kept", "reinitialised") == 0
        stages = [stage.name for stage in known.backbone.stages]
        dropped = [change.name for change in changes if change.kind == "dropped"]
        assert dropped[-1] == known.backbone.head
        assert set(dropped) & set(stages[: depth + 1]) == set()


def test_a_cut_network_is_smaller_and_holds_the_weights_it_kept(known: Case) -> None:
    whole, sizes = dict(known.module.state_dict()), []
    for depth in depths(known):
        network, _ = operate(known.module, known.backbone, taps=[depth], classes=CLASSES)
        mine = network.trunk.state_dict()
        assert all(torch.equal(tensor, whole[name]) for name, tensor in mine.items())
        sizes.append(len(mine))
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < len(whole)


def test_a_cut_network_reads_what_the_whole_one_reads(known: Case) -> None:
    every = range(len(known.backbone.stages))
    with torch.no_grad():
        read = build.trunk(known.module, known.backbone, every)(known.images)
        for depth in depths(known):
            network, _ = operate(known.module, known.backbone, taps=[0, depth], classes=CLASSES)
            features = network.features(known.images)
            assert torch.equal(features, torch.cat([read[0], read[depth]], 1))
            expected = features @ network.head.weight.T + network.head.bias
            torch.testing.assert_close(network(known.images), expected)


def test_the_source_is_untouched(known: Case) -> None:
    before, hashed = state_of(known.module), weights.fingerprint(known.module)
    known.module.train()
    network, _ = operate(known.module, known.backbone, taps=[0], classes=3, frozen=False)
    step(network, known.images)
    assert all(inner.training for inner in known.module.modules())
    assert all(p.requires_grad and p.grad is None for p in known.module.parameters())
    after = state_of(known.module)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert weights.fingerprint(known.module) == hashed
    known.module.eval()


def test_frozen_is_frozen_bit_for_bit(known: Case) -> None:
    last = len(known.backbone.stages) - 1
    network, _ = operate(known.module, known.backbone, taps=[last], classes=CLASSES)
    with torch.no_grad():
        asleep = network.features(known.images)
    before, head = state_of(network.trunk), network.head.weight.detach().clone()
    step(network, known.images)
    after = state_of(network.trunk)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(head, network.head.weight)
    assert network.training
    with torch.no_grad():
        assert torch.equal(network.features(known.images), asleep)
    gradients = {name for name, p in network.named_parameters() if p.grad is not None}
    assert gradients == {"head.weight", "head.bias"}


def test_every_parameter_that_is_kept_is_needed(known: Case) -> None:
    for depth in depths(known):
        network, changes = operate(
            known.module, known.backbone, taps=[depth], classes=CLASSES, frozen=False
        )
        step(network, known.images)
        assert [name for name, p in network.named_parameters() if p.grad is None] == []
        assert total(changes, "kept") == size_of(network.trunk)


def test_a_network_frozen_up_to_a_stage_learns_after_it_only(known: Case) -> None:
    names = [stage.name for stage in known.backbone.stages]
    half, last = (len(names) - 1) // 2, len(names) - 1
    network, changes = operate(
        known.module, known.backbone, taps=[last], classes=CLASSES, frozen=names[: half + 1]
    )
    assert total(changes, "frozen") == known.backbone.parameters_to[half]
    still = build.trunk(known.module, known.backbone, [half])
    before = state_of(network.trunk)
    step(network, known.images)
    after = state_of(network.trunk)
    frozen = state_of(still).keys()
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    learned = {name for name, _ in network.trunk.named_parameters()} - frozen
    gradients = {n for n, p in network.trunk.named_parameters() if p.grad is not None}
    assert gradients == learned
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved & learned  # the rest: gradients that are, or round to, nothing
    running = {n for n in before if n.endswith(("running_mean", "running_var"))} - frozen
    assert running <= moved


def test_a_network_survives_saving(known: Case, tmp_path: Path) -> None:
    depth = len(known.backbone.stages) // 2
    network, _ = operate(known.module, known.backbone, taps=[0, depth], classes=CLASSES, seed=4)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    text = json.dumps(config(network, known.backbone))
    module = None if known.backbone.architecture else known.module
    again = restore(json.loads(text), load_file(tmp_path / "model.safetensors"), module)
    with torch.no_grad():
        assert torch.equal(again(known.images), network(known.images))
    assert again.classes == tuple(CLASSES)
    assert again.taps == (0, depth)
    assert not any(p.requires_grad for p in again.trunk.parameters())


# ---- what is frozen, on a small network


def whole(it: Case, **how: Any) -> tuple[TransferNetwork, list[Change]]:
    return operate(it.module, it.backbone, taps=[3], classes=CLASSES, **how)


def held(network: TransferNetwork) -> set[str]:
    network.train()
    return {path for path, m in network.trunk.named_modules() if path and not m.training}


def test_patterns_name_stages_or_parameters(small: Case) -> None:
    for frozen, kinds in {
        "4": [("kept", "0"), ("frozen", "4"), ("kept", "8")],
        "*.bias": [("frozen", "0"), ("kept", "0"), ("frozen", "4"), ("kept", "4")],
        ("0.*", "8"): [("frozen", "0"), ("kept", "4"), ("frozen", "8")],
        "*": [("frozen", "0"), ("frozen", "4"), ("frozen", "8")],
        False: [("kept", "0"), ("kept", "4"), ("kept", "8")],
    }.items():
        network, changes = whole(small, frozen=frozen)
        assert [(c.kind, c.name) for c in changes][: len(kinds)] == kinds
        still = sum(p.numel() for p in network.trunk.parameters() if not p.requires_grad)
        assert total(changes, "frozen") == still


def test_batch_norm_and_dropout_are_held_with_what_is_around_them(small: Case) -> None:
    modules = {str(i) for i in range(11)}
    assert held(whole(small, frozen=False)[0]) == set()
    assert held(whole(small, frozen=True)[0]) == modules - {"10"}
    # The deepest stage ends after the dropout before the head, which takes its input before it.
    assert held(whole(small, frozen=["0", "4"])[0]) == {"0", "1", "2", "3", "4"}
    assert held(whole(small, frozen="4.*")[0]) == {"4"}
    assert held(whole(small, frozen="4.bias")[0]) == set()


def test_a_pattern_that_matches_nothing_names_what_there_is(small: Case) -> None:
    with pytest.raises(BackboneError) as caught:
        operate(small.module, small.backbone, taps=[1], classes=2, frozen=["0", "8", "layer*"])
    text = str(caught.value)
    assert "'8' matches no stage" in text
    assert "'layer*' matches no stage" in text
    assert "'0' matches" not in text
    assert "Its stages: 0, 4." in text
    assert "0.weight" in text


def test_dropout_and_depth_are_random_only_where_training_is() -> None:
    it = case("swin")  # its stochastic depth is a function, which tracing fixes
    with torch.no_grad():
        for frozen, moves in ((["layers.0", "layers.1"], False), (["layers.0"], True)):
            network, _ = operate(
                it.module, it.backbone, taps=[0, 1], classes=2, frozen=frozen, seed=1
            )
            one, two = (network.train().features(it.images) for _ in range(2))
            first = it.backbone.stages[0].channels
            assert torch.equal(one[:, :first], two[:, :first])
            drawn = [network.features(it.images) for _ in range(16)]
            assert any(not torch.equal(drawn[0], other) for other in drawn) is moves
            network.eval()
            assert torch.equal(network.features(it.images), network.features(it.images))


def test_an_attribute_tensor_moves_with_the_network() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)
            self.shift = torch.ones(1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x) * self.scale + self.shift
            return y

    module = nn.Sequential(Scaled()).eval()
    network, _ = operate(module, described(module, ["0"]), taps=[0], classes=2)
    assert sorted(network.trunk.state_dict()) == ["0.conv.bias", "0.conv.weight"]
    moved = network.to(torch.float64).features(torch.ones(1, 3, 16, 16, dtype=torch.float64))
    assert moved.dtype == torch.float64


def test_a_trunk_without_batch_norm_or_parameters_is_no_special_case() -> None:
    module = nn.Sequential(nn.AvgPool2d(4), nn.Identity())
    network, changes = operate(module, described(module, ["0"]), taps=[0], classes=2)
    assert [(c.kind, c.parameters) for c in changes] == [("added", 8)]
    assert network.train().features(torch.ones(2, 3, 16, 16)).tolist() == [[1, 1, 1]] * 2


def test_weights_that_are_shared_stay_shared() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)).eval()
    module[2].weight = module[0].weight
    record = described(module, ["0", "2"])
    network, changes = operate(module, record, taps=[1], classes=2, frozen=False)
    assert network.trunk.get_parameter("0.weight") is network.trunk.get_parameter("2.weight")
    assert total(changes, "kept") == size_of(module) == record.parameters == 15


# ---- the head, and weights drawn anew


def test_a_head_is_drawn_from_its_seed_or_given(small: Case) -> None:
    one, two, other = (whole(small, seed=seed)[0].head.weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    weight, bias = np.arange(30, dtype=np.float64).reshape(3, 10), np.ones(3)
    network, _ = whole(small, head_init=(weight, bias))
    assert network.head.weight.tolist() == weight.tolist()
    assert network.head.bias.tolist() == [1, 1, 1]
    assert network.head.weight.requires_grad
    assert operate(small.module, small.backbone, taps=[0], classes=2)[0].classes == ("0", "1")


@pytest.mark.parametrize("name", ["plain", "mobilenetv3_small_050"])
def test_from_scratch_everything_is_drawn_anew(name: str) -> None:
    it = case(name)
    last = len(it.backbone.stages) - 1
    before = torch.random.get_rng_state()
    hashed = weights.fingerprint(it.module)

    def drawn(seed: int) -> tuple[TransferNetwork, list[Change]]:
        return operate(
            it.module,
            it.backbone,
            taps=[last],
            classes=2,
            frozen=False,
            init="random",
            seed=seed,
        )

    (one, changes), (same, _), (other, _) = (drawn(seed) for seed in (7, 7, 8))
    assert torch.equal(before, torch.random.get_rng_state())
    assert weights.fingerprint(it.module) == hashed
    assert total(changes, "reinitialised") == size_of(one.trunk)
    assert total(changes, "kept", "frozen") == 0
    assert weights.fingerprint(one) == weights.fingerprint(same) != weights.fingerprint(other)
    pretrained = it.module.state_dict()
    matrices = {n: p for n, p in one.trunk.named_parameters() if p.ndim > 1}
    assert all(not torch.equal(p, pretrained[name]) for name, p in matrices.items())


def test_random_weights_are_not_frozen_and_not_half_drawn(small: Case) -> None:
    with pytest.raises(UsageError, match="frozen=False"):
        whole(small, init="random")

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.gain = nn.Parameter(torch.ones(4, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x) * self.gain
            return y

    odd = Odd().eval()
    with pytest.raises(BackboneError, match=r"reset_parameters.*: gain"):
        operate(odd, described(odd, ["conv"]), taps=[0], classes=2, frozen=False, init="random")


# ---- back from a folder


def test_a_state_of_another_network_is_refused(small: Case) -> None:
    network, _ = operate(small.module, small.backbone, taps=[1], classes=2)
    state = dict(network.state_dict())
    del state["trunk.0.weight"]
    state["head.bias"] = torch.zeros(5)
    with pytest.raises(RunError) as caught:
        restore(config(network, small.backbone), state, small.module)
    assert "trunk.0.weight" in str(caught.value)
    assert "head.bias" in str(caught.value)
    with pytest.raises(BackboneError, match="pass the same module again"):
        restore(config(network, small.backbone), network.state_dict())


def test_a_network_comes_back_from_arrays_and_may_be_trained_on(small: Case) -> None:
    network, _ = whole(small, frozen=["0"])
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    again = restore(config(network, small.backbone), arrays, small.module, frozen=["0"])
    assert torch.equal(again(small.images), network(small.images))
    trained = {name for name, p in again.trunk.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in again.trunk.named_parameters() if name[:2] != "0."}


def test_a_network_is_exported_and_copied_with_its_ways() -> None:
    module = plain().eval()
    record = build.describe_module(
        module, ["0", "4"], view=View(16), mean=HALVES, std=HALVES, head="11"
    )
    network, _ = operate(module, record, taps=[0, 1], classes=2)
    x = torch.randn(2, 3, 16, 16)
    twin = copy.deepcopy(network)
    program = torch.export.export(network, (x,))
    assert torch.equal(twin(x), network(x))
    torch.testing.assert_close(program.module()(x), network(x))
