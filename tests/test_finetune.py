"""Training a network: what changes and what may not, memory, divergence, time, sampling."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft import finetune
from regraft.distributed import open_fabric
from regraft.errors import DataError
from regraft.finetune import Images, Trained, _class_weights, checkpoint, loop, modes, predict
from regraft.finetune.activation_cache import ActivationCache
from regraft.finetune.data import ImageBuffer, batches, room_for_crops
from regraft.metrics import softmax
from regraft.networks import build
from regraft.networks.split import At
from regraft.networks.surgery import TransferNetwork, restore
from regraft.plan.recipes import steps_of
from scenes import KINDS
from smallnet import record, small
from smallrace import LAST, head, images, pictures, race, recipe, same, untimed

ONE = {"rates": (1e-2,), "epochs": 1, "refit": False}
START = {f"trunk.{name}": tensor.numpy() for name, tensor in small().state_dict().items()}
NORMS = ("one.1", "two.1")


def network_of(done: Trained) -> TransferNetwork:
    config = {"backbone": record().to_json(), "taps": (LAST,), "classes": KINDS}
    return restore(config, done.state, small())


def changed(done: Trained) -> set[str]:
    """Names of the tensors of the trunk that training has changed."""
    own = {name: done.state[name] for name in START.keys() & done.state}
    return {name for name, now in own.items() if not np.array_equal(now, START[name])}


def test_it_learns_and_keeps_its_best_epoch(tmp_path: Path) -> None:
    done = race(tmp_path, recipe(epochs=12, rates=(1e-3, 3e-2), averaged=False, refit=False))
    losses = {(row.what, row.epoch): row.validation_loss or 0.0 for row in done.rows}
    assert losses[f"rate-{done.rate:g}", done.epochs] == min(losses.values())
    assert (done.shares.argmax(1) == images().labels[images().val]).mean() > 0.6
    assert done.problem == ""
    assert done.shown == len(done.rows) * len(images().train)


def test_the_shares_are_those_of_the_state_that_is_handed_over(tmp_path: Path) -> None:
    done = race(tmp_path, recipe(refit=False))
    logits = predict(network_of(done), pictures().__getitem__, images().val.tolist(), record())
    assert_allclose(softmax(logits), done.shares, atol=1e-5)


def test_only_the_best_rate_goes_on_and_a_small_set_is_trained_again(tmp_path: Path) -> None:
    rows = [(row.what, row.epoch) for row in race(tmp_path).rows]
    first, second = "rate-0.001", "rate-0.01"
    winner = rows[-1][0]
    assert winner in (f"{first}-all", f"{second}-all")
    best = str(winner).removesuffix("-all")
    dropped = first if best == second else second
    assert [row for row in rows if row[0] == dropped] == [(dropped, n) for n in (1, 2)]
    assert [row for row in rows if row[0] == best] == [(best, n) for n in (1, 2, 3, 4)]


def test_the_validation_images_are_not_trained_on(tmp_path: Path) -> None:
    """Before the second training, what they show cannot matter to the weights."""
    held = set(images().val)
    others = replace(images(), read=lambda i: pictures()[0 if i in held else i])
    weights = []
    for name, some in (("one", images()), ("other", others)):
        race(tmp_path / name, recipe(**ONE), some=some)
        point = checkpoint.newest(tmp_path / name, "rate-0.01")
        assert point is not None
        weights.append({k: t for k, t in point.tensors.items() if k.startswith("network/")})
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_the_same_seed_gives_the_same_bits_and_leaves_torch_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = race(tmp_path / "one")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(race(tmp_path / "again"), one)
    assert untimed(race(tmp_path / "again").rows) == untimed(one.rows)
    assert not same(race(tmp_path / "other", seed=1), one)


def test_a_start_that_no_epoch_improves_has_a_head_fitted_to_all_images(tmp_path: Path) -> None:
    done = race(tmp_path, recipe(rates=(1e-30,), averaged=False))
    whole = images()
    assert done.epochs == 0
    weight = done.state["head.weight"]
    scale = weight / head(np.arange(len(whole.items))).weight
    assert_allclose(scale, scale.mean(), rtol=1e-5)  # one temperature
    pretrained = build.trunk(small(), record(), [LAST]).state_dict()
    for name, tensor in pretrained.items():
        assert_array_equal(done.state[f"trunk.{name}"], tensor.numpy())


def test_early_stopping(tmp_path: Path) -> None:
    done = race(tmp_path, recipe(rates=(1e-9,), epochs=9, patience=2))
    assert len([row for row in done.rows if row.what == "rate-1e-09"]) == done.epochs + 2


@pytest.mark.parametrize("rate", [1e-30, 1.0])
def test_a_rate_that_is_far_off_breaks_nothing(rate: float, tmp_path: Path) -> None:
    done = race(tmp_path, recipe(rates=(rate,)))
    assert np.isfinite(done.shares).all()
    assert all(np.isfinite(tensor).all() for tensor in done.state.values())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("averaged", [True, False])
def test_frozen_batch_norm_keeps_its_statistics(
    averaged: bool, optimizer: str, tmp_path: Path
) -> None:
    done = race(tmp_path, recipe(epochs=2, averaged=averaged, optimizer=optimizer, rates=(0.3,)))
    assert done.epochs
    moved = changed(done)
    assert not [name for name in moved if "running" in name or "num_batches" in name]
    assert {"trunk.one.0.weight", "trunk.two.0.weight", "trunk.three.0.weight"} <= moved


def test_trained_batch_norm_changes(tmp_path: Path) -> None:
    training = recipe(epochs=2, batch_norm="trained", rates=(1e-2,))
    moved = changed(race(tmp_path, training))
    for layer in NORMS:
        names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        assert {f"trunk.{layer}.{name}" for name in names} <= moved


@pytest.mark.parametrize("policy", ["frozen", "trained"])
def test_all_before_the_first_trained_stage_stays_bit_for_bit(policy: str, tmp_path: Path) -> None:
    training = recipe(trainable_from="two", batch_norm=policy, rates=(1e-2,), epochs=2)
    done = race(tmp_path, training)
    moved = changed(done)
    assert done.epochs
    assert moved
    assert not [name for name in moved if name.startswith("trunk.one.")]
    assert ("trunk.two.1.running_mean" in moved) == (policy == "trained")
    frozen = {change.name: change.parameters for change in done.changes if change.kind == "frozen"}
    assert frozen == {"one": 3 * 8 * 9 + 8 + 16}


def test_the_trunk_is_the_same_in_training_where_it_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ``train()`` says, and while it is trained."""
    seen = []
    step = loop._step

    def watched(job: Any, candidate: Any, *rest: Any) -> Tensor:
        loss = step(job, candidate, *rest)
        network, x = candidate.network, torch.rand(4, 3, 32, 32)
        assert network.training
        with torch.no_grad():
            trained = network.features(x)
            network.eval()
            judged = network.features(x)
            network.train()
        seen.append(torch.equal(trained, judged))
        return loss

    monkeypatch.setattr(loop, "_step", watched)
    race(tmp_path / "frozen", recipe(**ONE))
    assert seen
    assert all(seen)
    seen.clear()
    race(tmp_path / "trained", recipe(**ONE, batch_norm="trained"))
    assert not any(seen)


def test_averages_of_trained_batch_norm_follow(tmp_path: Path) -> None:
    """Where nothing else changes the averaged statistics come close to those of the images."""
    training = recipe(rates=(1e-12,), epochs=6, batch_norm="trained", patience=9, refit=False)
    race(tmp_path, training)
    point = checkpoint.newest(tmp_path, "rate-1e-12")
    assert point is not None
    for layer in NORMS:
        for name in ("running_mean", "running_var"):
            key = f"trunk.{layer}.{name}"
            own = point.tensors[f"network/{key}"].numpy()
            averaged = point.tensors[f"average/module.{key}"].numpy()
            assert np.abs(averaged - own).mean() < 0.3 * np.abs(START[key] - own).mean()


# ---- out of memory


class Narrow:
    """The small network, where no more than some images go through at once in training."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int, error: BaseException) -> None:
        forward = TransferNetwork.forward
        self.largest = 0

        def narrow(network: TransferNetwork, x: Tensor) -> Tensor:
            if network.training and len(x) > most:
                raise error
            if network.training:
                self.largest = max(self.largest, len(x))
            return forward(network, x)

        patch.setattr(TransferNetwork, "forward", narrow)


ERRORS = [
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 1"),
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_parts_the_step(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = recipe(rates=(1e-3,), epochs=2, smoothing=0.1, weighting="balanced")
    whole = race(tmp_path / "whole", training, some=images((12, 12, 6)))
    told: list[Any] = []
    narrow = Narrow(monkeypatch, 3, error)
    done = race(tmp_path / "parts", training, some=images((12, 12, 6)), on_event=told.append)
    assert narrow.largest == 2  # 8, 4, 2
    for name, tensor in whole.state.items():
        assert_allclose(done.state[name], tensor, atol=2e-5, err_msg=name)
    said = [row.what for row in told if "out of memory" in row.what]
    assert said
    assert "2 images at once" in said[1]


def test_what_memory_cannot_hold_at_all_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Narrow(monkeypatch, 0, ERRORS[0])
    with pytest.raises(RuntimeError, match="allocate memory"):
        race(tmp_path, recipe(**ONE))


def test_another_error_is_not_taken_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Narrow(monkeypatch, 3, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        race(tmp_path, recipe(**ONE))


def test_speed_is_measured_with_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Narrow(monkeypatch, 3, ERRORS[1])
    network = TransferNetwork(
        build.trunk(small(), record(), (LAST,)), nn.Linear(16, 3), taps=(LAST,), classes=KINDS
    )
    before = torch.random.get_rng_state()
    assert modes.find(network, 8, (32, 32, 3), 1e6).images_per_second > 0
    assert narrow.largest == 2
    assert torch.equal(torch.random.get_rng_state(), before)


# ---- time


@pytest.mark.parametrize("steps", [0, 1, 6, 13])
def test_out_of_time_gives_the_best_so_far(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch; after 13 steps in that of the winner."""
    clock, step = [0.0], loop._step

    def ticking(*arguments: Any) -> Tensor:
        clock[0] += 1
        return step(*arguments)

    monkeypatch.setattr(loop, "_step", ticking)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    done = race(tmp_path, deadline=steps - 0.5)
    assert clock[0] == steps
    assert done.problem == "out of time"
    per_epoch = steps_of(len(images().train), recipe())
    assert len(done.rows) == steps // per_epoch
    assert done.epochs <= len(done.rows)
    assert np.isfinite(done.shares).all()
    if not steps:
        assert not changed(done)


# ---- which images, how often


def test_every_image_is_shown_once_an_epoch() -> None:
    labels = images().labels
    for epoch in range(3):
        steps = list(batches(labels, recipe(), 0, epoch))
        assert sorted(np.concatenate(steps)) == list(range(len(labels)))
        assert max(map(len, steps)) - min(map(len, steps)) <= 1
    first, second = (next(batches(labels, recipe(), 0, epoch)) for epoch in (0, 1))
    assert not np.array_equal(first, second)


def test_sampling_shows_every_class_equally_often() -> None:
    labels = np.repeat([0, 1, 2], [300, 30, 1])
    shown = np.concatenate(
        [np.concatenate([*batches(labels, recipe(weighting="sampling"), 0, e)]) for e in range(9)]
    )
    assert len(shown) == 9 * len(labels)
    assert_allclose(np.bincount(labels[shown]) / len(shown), 1 / 3, atol=0.03)


@pytest.mark.parametrize("weighting", ["none", "balanced", "sampling"])
def test_a_class_with_one_training_image(weighting: str, tmp_path: Path) -> None:
    some = images((12, 12, 1))
    assert 2 not in some.labels[some.val]
    done = race(tmp_path, recipe(weighting=weighting, epochs=2), some=some)
    assert done.shares.shape == (len(some.val), 3)
    assert np.isfinite(done.shares).all()


def test_balanced_classes_weigh_the_same_in_the_loss() -> None:
    labels = np.repeat([0, 1, 2], [30, 10, 2])
    weights = _class_weights(labels, 4, recipe(weighting="balanced")).numpy()
    assert_allclose(weights[:3] * np.bincount(labels), len(labels) / 3, rtol=1e-5)
    assert_allclose(_class_weights(labels, 4, recipe()).numpy(), 1)


def test_a_set_that_cannot_validate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few images"):
        race(tmp_path, some=images((2, 2, 2)))


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    def gone(index: int) -> bytes:
        if index == 5:
            raise FileNotFoundError(2, "No such file or directory")
        return pictures()[index]

    with pytest.raises(DataError, match="number 6 can no longer be read: No such file"):
        race(tmp_path, some=replace(images(), read=gone))
    with pytest.raises(DataError, match="number 6 can no longer be read"):
        race(
            tmp_path, some=replace(images(), read=lambda i: pictures()[i][: 9 if i == 5 else None])
        )


def test_images_beyond_what_memory_holds_are_decoded_anew() -> None:
    some: Images = images()
    view = room_for_crops(record().view, recipe())
    whole = ImageBuffer(some.read, some.items, view)
    rows = np.array([3, 30, 3, 35])
    for held in (0, 20 * 3 * view.size**2):
        assert torch.equal(
            ImageBuffer(some.read, some.items, view, held).batch(rows), whole.batch(rows)
        )
    fabric = open_fabric("32-true")
    x = build.normalised(whole.batch(rows).to(fabric.device), record(), True)
    assert x.is_contiguous(memory_format=torch.channels_last)


# ---- the border of what is frozen


@pytest.mark.parametrize("mirror", [True, False])
def test_holding_the_border_changes_nothing_but_the_time(
    mirror: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partly = recipe(trainable_from="three", crop=1.0, mirror=mirror, rates=(1e-2,))
    looked: list[int] = []
    batch = ActivationCache.batch

    def counted(
        border: ActivationCache, rows: NDArray[np.intp], flipped: NDArray[np.bool_] | None
    ) -> At:
        looked.append(len(rows))
        return batch(border, rows, flipped)

    monkeypatch.setattr(ActivationCache, "batch", counted)
    held = race(tmp_path / "held", partly)
    assert looked
    assert same(race(tmp_path / "again", partly), held)
    monkeypatch.setattr(finetune, "split", lambda *given: None)
    anew = race(tmp_path / "anew", partly)
    for name, tensor in held.state.items():
        assert_allclose(anew.state[name], tensor, atol=1e-4, err_msg=name)


def test_where_crops_are_random_no_border_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ActivationCache, "batch", lambda *given: pytest.fail("every look is a new one")
    )
    race(tmp_path, recipe(trainable_from="three", crop=0.8))
