"""The decision where the images give it little to go by: an answer or an error, and the truth."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import regraft
from pictures import in_memory
from regraft.backbones import Backbone, View
from regraft.cli import tables
from regraft.errors import DataError, PlanError, UsageError
from regraft.networks import build
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.plan.evidence import candidates_of, gather
from regraft.plan.gain import expected_gain
from regraft.run.draft import draft
from regraft.run.measure import measure
from regraft.run.pretrained import Pretrained
from scenes import KINDS, scene
from smallnet import SIZE, record, small
from test_plan import FROZEN, evidence_telling, plan_of

Files = Mapping[str, bytes]
NOTHING = "nothing is learnt"


class NoNorm(nn.Module):
    """Two stages without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(x)).mean((2, 3)))  # type: ignore[no-any-return]


def without_norm() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return NoNorm().eval()


def described(stages: list[str]) -> Backbone:
    return build.describe_module(
        without_norm(),
        stages,
        view=View(SIZE),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        head="head",
        name="plain",
    )


def some(counts: Mapping[str, int]) -> dict[str, bytes]:
    return {
        f"{kind}/{i:03}.png": scene(kind, i, SIZE) for kind, n in counts.items() for i in range(n)
    }


def shuffled() -> Files:
    """Pictures of three kinds, each under a label that was drawn."""
    pictures = [scene(kind, i, SIZE) for kind in KINDS for i in range(25)]
    order = np.random.default_rng(5).permutation(len(pictures))
    return {f"{KINDS[n % 3]}/{n:03}.png": pictures[i] for n, i in enumerate(order)}


def uneven() -> Files:
    return some({"rings": 3, "stripes": 150})


def every() -> Files:
    return some(dict.fromkeys(KINDS, 20))


SAID: dict[str, tuple[Callable[[], Files], Pretrained, list[str]]] = {
    "labels that were shuffled": (shuffled, Pretrained(record(), small), [NOTHING, "guess"]),
    "three of one class, 150 of another": (
        uneven,
        Pretrained(record(), small),
        ["3 to 150 a class"],
    ),
    "no batch norm": (every, Pretrained(described(["one", "two"]), without_norm), ["none before"]),
    "a single stage": (
        every,
        Pretrained(described(["two"]), without_norm),
        ["one alone counts, that on two"],
    ),
}


@pytest.mark.parametrize("situation", SAID)
def test_there_is_a_plan_and_it_says_how_it_is(situation: str) -> None:
    files, network, words = SAID[situation]
    plan = regraft.propose(in_memory(files()), network, case="frozen")
    said = plan.explain()
    for word in words:
        assert word in said, said
    assert (NOTHING in said) == (NOTHING in words)
    assert 0 <= plan.evidence.expected <= 1


def test_what_tells_nothing_is_not_trained_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is expected of training elsewhere."""
    sure = {"slopes": [0.0] * 3, "usual": [0.0] * 3, "intercept": 0.3, "spread": 0.01}
    sure["spread_by_images"] = 0.01
    monkeypatch.setattr("regraft.plan.gain.model", lambda: sure)
    plan = regraft.propose(in_memory(shuffled()), Pretrained(record(), small))
    assert plan.trainings == ()
    assert "tells nothing of the classes when frozen is not trained unasked" in plan.explain()


def test_mirror_images_are_asked_about_only_where_something_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looking at them is another pass."""
    sure = {"slopes": [0.0] * 3, "usual": [0.0] * 3, "intercept": 0.3, "spread": 0.01}
    sure["spread_by_images"] = 0.01
    monkeypatch.setattr("regraft.plan.gain.model", lambda: sure)
    asked: list[object] = []

    def keeps(*given: object) -> bool:
        asked.append(given)
        return True

    monkeypatch.setattr("regraft.run.mirror.keeps", keeps)
    images, network = in_memory(every()), Pretrained(record(), small)
    plan = regraft.propose(images, network, case=3)
    assert asked
    assert all(training.mirror for training in plan.trainings)
    monkeypatch.setattr("regraft.run.draft.case_of", lambda *rest: 3)
    monkeypatch.setattr("regraft.plan.decide.UNASKED", 1e-9)
    asked.clear()
    assert regraft.propose(images, network).trainings == ()
    assert not asked


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(
            lambda: some({"rings": 2, "stripes": 2}), ["too few", "three different"], id="two each"
        ),
        pytest.param(
            lambda: {
                f"{kind}/{i}.png": scene("rings", 0, SIZE) for kind in KINDS for i in range(4)
            },
            ["too few classes", "under another label"],
            id="one picture under every label",
        ),
    ],
)
def test_where_there_is_nothing_to_go_by_it_says_so(
    files: Callable[[], Files], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        regraft.propose(in_memory(files()), Pretrained(record(), small))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("choices", [{"case": 2}, {"case": 2, "recipe": "textbook"}])
def test_a_single_stage_cannot_be_cut_off(choices: dict[str, Any]) -> None:
    network = Pretrained(described(["two"]), without_norm)
    with pytest.raises(UsageError, match="one stage only"):
        regraft.propose(in_memory(every()), network, **choices)


def test_two_hundred_classes_of_five() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(200), 5)
    features = rng.normal(0, 1, (1000, 24)) + rng.normal(0, 3, (200, 24))[labels]
    names = [f"kind {i}" for i in range(200)]
    found = gather(
        features.astype(np.float16),
        (8, 8, 8),
        labels,
        names,
        np.arange(1000),
        candidates=candidates_of(3),
        seed=0,
    ).evidence
    assert found.expected > 0.7
    assert found.learnt
    assert sum(found.probes[found.chosen].weights.values()) == pytest.approx(1)


def test_features_that_never_vary_are_guessed() -> None:
    labels = np.arange(60) % 3
    found = gather(
        np.ones((60, 12), np.float16),
        (4, 8),
        labels,
        "abc",
        np.arange(60),
        candidates=candidates_of(2),
        seed=0,
    ).evidence
    assert not found.learnt
    assert found.expected <= 0.5
    assert np.isfinite(found.temperature)


def test_the_case_is_that_of_other_seeds_or_two_are_as_good() -> None:
    plans = [
        regraft.propose(in_memory(every()), Pretrained(record(), small), case="frozen", seed=seed)
        for seed in range(6)
    ]
    cases = [plan.case for plan in plans]
    usual = max(cases, key=cases.count)
    assert all(plan.case == usual or near(plan) for plan in plans)


def test_only_averages_say_what_each_stage_counts(capsys: pytest.CaptureFixture[str]) -> None:
    found = measure(in_memory(every()), Pretrained(record(), small), Choices())
    for recipe, says in (("tuned", True), ("textbook", False)):
        plan = draft(found, Choices(case=1, recipe=recipe))  # type: ignore[arg-type]
        tables.show_plan(Console(), plan, found.audit, "")
        assert ("counts" in capsys.readouterr().out) == says


def test_an_edited_penalty_is_every_heads() -> None:
    plan = plan_of(evidence_telling(3), FROZEN)
    assert len(plan.parts) > 1
    edited = dataclasses.replace(plan, strength=2.5).parts
    assert {part.strength for part in edited} == {2.5}
    assert [part.weight for part in edited] == [part.weight for part in plan.parts]


def test_averages_that_cannot_be_are_named() -> None:
    plan = plan_of(evidence_telling(1, 240, noise=3), FROZEN)
    place = next(n for n, probe in enumerate(plan.evidence.probes) if probe.parts)
    probe = plan.evidence.probes[place]
    first, *rest = probe.parts
    wrong = dataclasses.replace(probe, parts=(dataclasses.replace(first, scale=0.0), *rest))
    lacks = dataclasses.replace(probe, taps=(0, 3))
    for broken, words in ((wrong, "scale must be above 0"), (lacks, "must read [0, 3]")):
        probes = list(plan.evidence.probes)
        probes[place] = broken
        evidence = dataclasses.replace(plan.evidence, probes=tuple(probes), cut=99, end=4)
        with pytest.raises(PlanError) as caught:
            serialize.loads(serialize.dumps(dataclasses.replace(plan, evidence=evidence)))
        for word in (words, "evidence.cut: must lie in 0..", "evidence.end: must lie in 0..3"):
            assert word in str(caught.value)


def near(plan: Plan) -> bool:
    return any("as good here" in reason.fact for reason in plan.reasons)


def test_the_plan_holds_what_training_was_expected_to_win() -> None:
    plan = regraft.propose(in_memory(every()), Pretrained(record(), small), case=1)
    assert plan.gain == expected_gain(
        60, plan.evidence.similarity, plan.evidence.shift, plan.evidence.headroom
    )
    assert Choices(case="frozen").named() == ("--case frozen",)
