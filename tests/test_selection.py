"""The frozen network against the trained ones, and what becomes of a training that fails."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from torch.nn.functional import cross_entropy

from pictures import in_memory
from regraft import Result, finetune
from regraft.finetune import Trained, loop
from regraft.networks.surgery import TransferNetwork as Cut
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.plan.events import Epoch, EpochProgress, Event, Note
from regraft.plan.gain import Gain
from regraft.run import api, execute, measure
from regraft.run.draft import draft
from regraft.run.execute import RunState
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained
from regraft.run.selection import (
    Candidate,
    ValidationSet,
    beats,
    frozen,
    gain_by_both,
    record,
    select,
    trained,
)
from scenes import KINDS, scene
from smallnet import SIZE, small
from smallnet import record as small_record

CHOICES = Choices(case=3, seed=3)


# ---- who wins


def entry(name: str, right: Sequence[bool], trained: Trained | None = None) -> Candidate:
    """An entry that gets these images of class 0 right."""
    shares = np.array([[0.8, 0.2] if hit else [0.3, 0.7] for hit in right])
    return Candidate(name, 1 if trained is None else 3, (0,), shares, 1.0, None, trained)


def made(problem: str = "", epochs: int = 3) -> Trained:
    return Trained(0.1, epochs, 0.1, np.zeros((0, 2)), {}, (), (), 9, 1.0, "", 1.0, problem)


def hits(right: int, of: int = 100) -> list[bool]:
    return [i < right for i in range(of)]


TRUTH = np.zeros(100, np.intp)


def test_the_dearer_one_wins_by_more_than_noise_only() -> None:
    cheap, dear, best = entry("frozen", hits(80)), entry("b", hits(81)), entry("c", hits(90))
    assert not beats(dear, cheap, TRUTH)
    assert beats(best, cheap, TRUTH)
    assert select([cheap, dear], TRUTH, insists=False)[0] is cheap
    assert select([cheap, dear, best], TRUTH, insists=False)[0] is best
    assert select([cheap], TRUTH, insists=False) == (cheap, "There was no other candidate.")


@pytest.mark.parametrize(
    ("points", "spread", "wins"),
    [
        (0.03, 0.02, True),  # two of a hundred images less do not speak against three points
        (0.03, 0.2, False),  # but against what was hardly known
        (-0.03, 0.02, False),
    ],
)
def test_what_was_expected_and_what_was_seen_are_weighed(
    points: float, spread: float, wins: bool
) -> None:
    frozen_one, dear = entry("frozen", hits(80)), entry("fine-tuned", hits(78), made())
    gain = Gain(points, points - spread, points + spread, spread)
    expected = replace(dear, prior=gain)
    assert beats(expected, frozen_one, TRUTH) == wins
    best, why = select([frozen_one, expected], TRUTH, insists=False)
    assert (best is expected) == wins
    assert f"with the {gain} that were expected of training" in why
    assert not beats(dear, frozen_one, TRUTH), "without it they have to be more"
    failed = replace(expected, trained=made("no memory", epochs=0))
    assert not beats(failed, frozen_one, TRUTH)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(-0.2, 0.2), st.integers(0, 9))
def test_the_weighed_gain_lies_between_both(row: list[bool], points: float, seed: int) -> None:
    own = np.array(row)
    its = np.random.default_rng(seed).permutation(own)
    its[0] = ~its[0]
    found = float(own.mean() - its.mean())
    both = gain_by_both(Gain(points, points - 0.02, points + 0.02, 0.02), own, its)
    assert min(found, points) - 1e-9 <= both <= max(found, points) + 1e-9


def test_what_was_asked_for_is_handed_over_with_what_it_costs() -> None:
    cheap, dear = entry("frozen", hits(90)), entry("fine-tuned", hits(70), made())
    best, why = select([cheap, dear], TRUTH, insists=True)
    assert best is dear
    assert "90.0%" in why
    assert "70.0%" in why


def test_a_training_that_came_to_nothing_is_never_handed_over() -> None:
    """Not where it was asked for, and not where its numbers happen to look good."""
    cheap = entry("frozen", hits(50))
    failed = entry("fine-tuned", hits(99), made("the loss is no longer a number", epochs=0))
    for insists in (False, True):
        best, why = select([cheap, failed], TRUTH, insists=insists)
        assert best is cheap
        assert why
    assert "no longer a number" in select([cheap, failed], TRUTH, insists=True)[1]
    late = entry("fine-tuned", hits(99), made("out of time", epochs=2))
    assert select([cheap, late], TRUTH, insists=False)[0] is late
    assert select([cheap, failed, late], TRUTH, insists=True)[0] is late


@given(
    st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=4),
    st.booleans(),
)
def test_the_winner_is_one_of_them_and_is_marked(rows: list[list[bool]], insists: bool) -> None:
    truth = np.zeros(9, np.intp)
    entries = [entry(str(i), row, made() if i else None) for i, row in enumerate(rows)]
    best, why = select(entries, truth, insists=insists and len(entries) > 1)
    assert why
    ran = record(entries, best, truth, np.arange(len(truth)))
    assert [one.handed_over for one in ran] == [one is best for one in entries]
    for one, row in zip(ran, rows, strict=True):
        assert one.accuracy == np.mean(row)
        assert one.interval[0] <= one.accuracy <= one.interval[1]
    if not insists:
        assert not beats(entries[0], best, truth)


# ---- the whole run


@pytest.fixture(scope="module")
def measured() -> Measured:
    files = {f"{kind}/{i:03}.png": scene(kind, i, SIZE) for kind in KINDS for i in range(15)}
    found = measure.measure(in_memory(files), Pretrained(small_record(), small), CHOICES)
    return replace(found, small=None)  # all are judged on the held-out images


@pytest.fixture(scope="module")
def plan(measured: Measured) -> Plan:
    """One that was asked to train, briefly."""
    drafted = draft(measured, CHOICES)
    brief = tuple(
        replace(one, epochs=2, rates=(1e-3, 1e-2), hopeless=9) for one in drafted.trainings
    )
    assert drafted.insists
    return replace(drafted, trainings=brief)


@pytest.fixture(scope="module")
def plain(measured: Measured, plan: Plan) -> Result:
    """What the frozen network gives."""
    return api.perform(replace(plan, trainings=(), insists=False, case=1), measured)


def without_numbers(patch: pytest.MonkeyPatch, when: Any = lambda: True) -> None:
    """Let the loss be no number, whenever this says so."""

    def broken(*arguments: Any, **options: Any) -> torch.Tensor:
        loss = cross_entropy(*arguments, **options)
        return loss * float("nan") if when() else loss

    patch.setattr("torch.nn.functional.cross_entropy", broken)


def test_validation_images_are_none_of_those_trained_on(measured: Measured, plan: Plan) -> None:
    setting = ValidationSet(plan, measured, Path(), float("inf"), lambda row: None)
    assert len(setting.val) == plan.validation > 0
    assert sorted([*setting.train, *setting.val]) == list(range(len(setting.rows)))
    assert not set(setting.rows) & set(measured.split.test)
    assert_array_equal(setting.truth, measured.labels[setting.rows[setting.val]])
    groups = measured.audit.groups[setting.rows]
    assert not set(groups[setting.train]) & set(groups[setting.val])
    assert frozen(setting).shares.shape == (len(setting.val), len(KINDS))


@pytest.mark.parametrize("insists", [True, False])
def test_all_candidates_diverge(
    insists: bool, measured: Measured, plan: Plan, plain: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen network is handed over, and the plan says why."""
    without_numbers(monkeypatch)
    told: list[Event] = []
    given = replace(plan, insists=insists)
    done = api.perform(given, measured, on_event=told.append)
    assert done.plan.case in (1, 2)
    assert [ran.handed_over for ran in done.plan.ran] == [True, False]
    assert "no longer a number" in done.plan.ran[1].note
    for name, tensor in plain.tensors.items():
        assert_array_equal(done.tensors[name], tensor)
    assert done.metrics["accuracy"] == plain.metrics["accuracy"]
    said = [row.what for row in told]
    assert len([words for words in said if "back to epoch 0 with the rate" in words]) == 2 * 3
    assert len([words for words in said if "at any rate tried" in words]) == 2
    if insists:
        assert "asked for" in done.plan.why
        assert "no longer a number" in done.plan.why


@pytest.mark.parametrize("insists", [True, False])
def test_a_network_that_gives_no_numbers_from_the_start(
    insists: bool, measured: Measured, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Cut.forward
    monkeypatch.setattr(Cut, "forward", lambda network, x: forward(network, x) * float("inf"))
    done = api.perform(replace(plan, insists=insists), measured)
    assert done.plan.case in (1, 2)
    assert "gives no numbers" in done.plan.ran[1].note
    assert np.isfinite(done.metrics["log_loss"])


def test_one_bad_step_costs_a_retreat_and_no_more(
    measured: Measured, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back to the last good epoch with a third of the rate; and it is said."""
    one = replace(plan.trainings[0], rates=(1e-3,), epochs=4, refit=False, patience=9)
    calls = iter(range(10**6))
    per_epoch = round((plan.train - plan.validation) / one.batch)
    without_numbers(monkeypatch, lambda: next(calls) == 2 * per_epoch)
    told: list[Event] = []
    done = api.perform(replace(plan, trainings=(one,)), measured, on_event=told.append)
    said = [row.what for row in told if isinstance(row, Note) and "loss" in row.what]
    assert len(said) == 1
    assert "back to epoch 2 with the rate 0.00033" in said[0]
    epochs = [(row.epoch, row.rate) for row in told if isinstance(row, Epoch)]
    assert [epoch for epoch, _ in epochs] == [1, 2, 3, 4]
    assert [rate for _, rate in epochs] == pytest.approx([1e-3, 1e-3, 1e-3 / 3, 1e-3 / 3])
    assert done.plan.case == 3
    assert "no longer" not in done.plan.ran[1].note


def test_weights_that_break_after_the_last_look_are_never_kept(
    measured: Measured, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of an epoch can spoil the weights without its loss being spoilt."""
    one = replace(plan.trainings[0], rates=(1e-3,), epochs=3, refit=True, patience=9)
    per_epoch = round((plan.train - plan.validation) / one.batch)
    step, calls = loop._step, iter(range(10**6))

    def spoils(job: Any, candidate: Any, *rest: Any) -> torch.Tensor:
        loss = step(job, candidate, *rest)
        if next(calls) + 1 == 2 * per_epoch:
            with torch.no_grad():
                candidate.network.head.weight[0, 0] = float("nan")
        return loss

    monkeypatch.setattr(loop, "_step", spoils)
    told: list[Event] = []
    done = api.perform(replace(plan, trainings=(one,)), measured, on_event=told.append)
    said = [row.what for row in told if isinstance(row, Note) and "loss" in row.what]
    assert len(said) == 1
    assert "back to epoch 1 " in said[0]
    assert all(np.isfinite(tensor).all() for tensor in done.tensors.values())


@pytest.mark.parametrize("insists", [True, False])
def test_no_time_at_all(insists: bool, measured: Measured, plan: Plan, plain: Result) -> None:
    """The time is up before the first step: the frozen network is what there is."""
    done = api.perform(replace(plan, budget=1e-9, insists=insists), measured)
    assert done.plan.case in (1, 2)
    assert "out of time" in done.plan.ran[1].note
    assert done.metrics["accuracy"] == plain.metrics["accuracy"]


def test_the_record_names_what_ran_and_what_it_cost(measured: Measured, plan: Plan) -> None:
    done = api.perform(plan, measured)
    names = [ran.name for ran in done.plan.ran]
    assert names == ["frozen", "fine-tuned"]
    assert [ran.shown > 0 for ran in done.plan.ran] == [False, True]
    rows = [row for row in done.log if isinstance(row, Epoch)]
    shown = sum(1 for _ in rows) * (plan.train - plan.validation)
    assert done.plan.ran[1].shown >= shown
    assert dataclasses.asdict(done.plan.ran[1])["note"].startswith("rate ")
    assert done.metrics["candidates"][0]["seconds"] >= 0


def test_what_training_was_expected_to_win_counts_for_what_it_was_fitted_on(
    measured: Measured, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages from pretrained weights under the fitted layer, and nothing else."""
    monkeypatch.setattr(finetune, "train", lambda *images, **options: made())
    gain, one = Gain(0.05, 0.03, 0.07, 0.01), replace(plan.trainings[0], rates=(1e-3,))
    last = plan.backbone.stages[-1].name
    for training, expected in (
        (one, gain),
        (replace(one, init="random"), None),
        (replace(one, fitted=False), None),
        (replace(one, trainable_from=last), None),
    ):
        given = replace(plan, trainings=(training,), gain=gain)
        setting = ValidationSet(given, measured, Path(), float("inf"), lambda row: None)
        assert trained(setting, training).prior == expected


@pytest.mark.parametrize(("hopeless", "epochs"), [(2, 2), (9, 4)])
def test_one_that_is_never_better_than_its_start_ends_early(
    hopeless: int,
    epochs: int,
    measured: Measured,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = loop._judge
    losses = iter([0.1, *[0.5] * 9])  # the start, then what gets no better

    def judged(job: Any, candidate: Any) -> tuple[float, float]:
        judge(job, candidate)
        loss = next(losses)
        if loss == 0.5:
            candidate.best_epoch, candidate.loss = 0, 0.1
        return loss, 0.5

    monkeypatch.setattr(loop, "_judge", judged)
    one = replace(plan.trainings[0], rates=(1e-3,), epochs=4, refit=False, hopeless=hopeless)
    told: list[Event] = []
    api.perform(replace(plan, trainings=(one,)), measured, on_event=told.append)
    assert [row.epoch for row in told if isinstance(row, Epoch)] == list(range(1, epochs + 1))


def test_how_far_an_epoch_is_goes_to_the_watcher_and_not_into_the_log(
    measured: Measured, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PULSE", -1.0)
    one = replace(plan.trainings[0], rates=(1e-3,), epochs=2, refit=False, patience=9)
    told: list[Event] = []
    done = api.perform(replace(plan, trainings=(one,)), measured, on_event=told.append)
    steps = round((plan.train - plan.validation) / one.batch)
    pulses = [row for row in told if isinstance(row, EpochProgress)]
    assert [(row.epoch, row.done, row.steps) for row in pulses] == [
        (epoch, step, steps) for epoch in (1, 2) for step in range(1, steps)
    ]
    assert all(np.isfinite(row.loss) and row.left > 0 for row in pulses)
    assert not [row for row in done.log if isinstance(row, EpochProgress)]


@pytest.mark.parametrize("seconds", [120.0, 9000.0])
def test_a_budget_leaves_time_to_judge_the_held_out_images(
    seconds: float, measured: Measured, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as training on as many would take, but at most a fifth; and a fiftieth to write."""
    assert RunState(plan, measured, tmp_path).setting.deadline == float("inf")
    unasked = RunState(replace(plan, limit=600.0), measured, tmp_path).setting
    assert unasked.deadline - time.monotonic() == pytest.approx(600, abs=19)
    monkeypatch.setattr(execute, "training_speed", lambda *given: plan.test / seconds)
    work = RunState(replace(plan, budget=1000.0), measured, tmp_path)
    gone = time.perf_counter() - measured.started
    left = work.setting.deadline - time.monotonic()
    assert left == pytest.approx(1000 - 20 - min(seconds, 200) - gone, abs=19)
