"""The plan: the right case, overrules, sentences, and JSON that comes back or is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.backbones import Backbone, Stage, View, Weights
from regraft.errors import PlanError, UsageError
from regraft.plan import serialize
from regraft.plan.choices import Choices, candidates, end_of
from regraft.plan.decide import SCRATCH, decide
from regraft.plan.definition import Plan
from regraft.plan.evidence import Evidence, candidates_of, gather
from regraft.plan.gain import expected_gain
from regraft.plan.recipes import NEVER, hopeless_of, images_shown, weighting_of, within

BACKBONE = Backbone(
    name="four-stages",
    architecture="",
    stages=(
        Stage("stage0", "body.0", 8, "NCHW"),
        Stage("stage1", "body.1", 8, "NCHW"),
        Stage("stage2", "body.2", 8, "NCHW"),
        Stage("last", "", 8, "NC"),
    ),
    head="head",
    view=View(32, 1.0, "bilinear"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    licence="MIT",
    paper="",
    source="some photos",
    weights=Weights("random", "ab" * 32, "0"),
    parameters=5000,
    parameters_to=(100, 500, 2000, 4000),
    multiply_adds_to=(10, 20, 30, 40),
)


FROZEN = Choices(case="frozen")


def evidence_telling(
    depth: int, n: int = 120, noise: float = 1.0, *, average: bool = True
) -> Evidence:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    features = rng.normal(0, noise, (n, 32))
    features[:, 8 * depth : 8 * depth + 8] += rng.normal(0, 2.5, (3, 8))[labels]
    return gather(
        features.astype(np.float16),
        BACKBONE.widths,
        labels,
        ("ant", "bee", "wasp"),
        np.arange(n),
        candidates=candidates(BACKBONE, Choices()),
        seed=0,
        shift=(0.1, 0.2, 0.1, 0.0) if depth == 3 else (0.1, 0.4, 1.3, 1.7),
        average=average,
    ).evidence


def plan_of(evidence: Evidence, choices: Choices | None = None, **changes: object) -> Plan:
    given = {"train": 120, "mirror": False, "weighting": "none", "split": "held out", "left_out": 2}
    return decide(
        dataset="insects",
        fingerprint="cd" * 32,
        backbone=BACKBONE,
        evidence=evidence,
        choices=choices or Choices(),
        test=30,
        **(given | changes),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("depth", "case"), [(3, 1), (1, 2)])
def test_where_the_curve_peaks_decides_between_case_1_and_2(depth: int, case: int) -> None:
    plan = plan_of(evidence_telling(depth, 240, noise=3), FROZEN)
    assert (plan.case, plan.indicated) == (case, case)
    assert (
        max(plan.evidence.probes[plan.evidence.chosen].weights.items(), key=lambda w: w[1])[0]
        == depth
    )
    assert plan.kept + plan.dropped == tuple(stage.name for stage in BACKBONE.stages)
    assert (plan.dropped == ()) == (case == 1)


@pytest.mark.parametrize(
    ("images", "similarity", "headroom", "indicated"),
    [
        (5_000, 0.9, 0.2, 1),
        (5_000, 0.6, 0.2, 3),
        (5_000, 0.2, 0.2, 4),
        (5_000, 0.2, 0.01, 1),
        (100, 0.2, 0.2, 4),
        (100, 0.6, 0.2, 1),
    ],
)
def test_size_and_distance_speak_for_training(
    images: int, similarity: float, headroom: float, indicated: int
) -> None:
    known = {"images": images, "similarity": similarity, "expected": 1 - headroom}
    facts = known | {"shift": (0.4,) * 4}
    plan = plan_of(dataclasses.replace(evidence_telling(3), **facts))  # type: ignore[arg-type]
    assert (plan.case, plan.indicated) == (indicated, indicated)
    assert bool(plan.trainings) == (indicated in (3, 4))
    assert not plan.insists
    assert plan.gain is not None
    assert any(f"expected to {plan.gain.said}" in reason.fact for reason in plan.reasons)


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_no_more_can_be_won_than_is_lost(images: int, similarity: float, headroom: float) -> None:
    gain = expected_gain(images, similarity, None, headroom)
    assert gain.low <= gain.points <= gain.high <= headroom
    farther = expected_gain(images, similarity / 2, None, headroom)
    assert farther.points >= gain.points
    assert expected_gain(2 * images, similarity, None, headroom).points >= gain.points


@pytest.mark.parametrize(
    ("facts", "choices", "why"),
    [
        ({}, Choices(), "unasked it has to be more than 2 with its lower end above 0"),
        ({"similarity": 0.2, "expected": 0.985}, Choices(), "expected to win 1.5 points"),
        ({"similarity": 0.2, "signal": 1.0}, Choices(), "tells nothing of the classes when frozen"),
        ({"similarity": 0.2}, Choices(budget=1.0), "The budget does not last for one epoch"),
        ({"similarity": 0.2, "images": 9_000}, Choices(), "Ten minutes, the most for it unasked"),
        ({}, Choices(case=1), ""),
        ({}, Choices(case="frozen"), ""),
        ({}, Choices(cut="stage1"), ""),
        ({"similarity": 0.2}, Choices(), ""),
        ({"similarity": 0.6, "images": 500}, Choices(budget=600.0), ""),
    ],
)
def test_it_says_why_the_network_is_not_trained(
    facts: dict[str, Any], choices: Choices, why: str
) -> None:
    usual = {"images": 120, "size": 0.1, "similarity": 0.9, "expected": 0.9}
    evidence = dataclasses.replace(evidence_telling(3), **(usual | facts))
    plan = plan_of(evidence, choices, speed=60.0, train=evidence.images)
    told = [reason.fact for reason in plan.reasons if "so it stays frozen" in reason.fact]
    assert len(told) == bool(why)
    assert all(why in fact and "--case 3 trains it" in fact for fact in told)
    assert bool(why) <= (not plan.trainings)


@pytest.mark.parametrize(
    ("facts", "choices", "must", "must_not"),
    [
        ({"similarity": 0.75}, Choices(budget=600.0), "within a budget it has to be", "unasked"),
        ({"similarity": 0.2, "signal": 1.0}, Choices(), "tells nothing", "near the line"),
        ({"similarity": 1.0}, Choices(), "expected to win nothing (-", "expected to win -"),
        ({"similarity": 0.2}, Choices(recipe="textbook"), "a small one leaves it", "win"),
    ],
)
def test_each_reason_is_true_of_what_was_asked(
    facts: dict[str, Any], choices: Choices, must: str, must_not: str
) -> None:
    usual: dict[str, Any] = {"images": 120, "expected": 0.9, "shift": (0.4,) * 4}
    evidence = dataclasses.replace(evidence_telling(3), **(usual | facts))
    said = plan_of(evidence, choices, speed=60.0).reasons[-2 if choices.named() else -1]
    assert must in f"{said.rule} {said.fact}"
    assert must_not not in f"{said.rule} {said.fact}"


def test_the_textbook_trains_large_sets_and_those_alone() -> None:
    """What training wins was measured with the other recipe."""
    far = dataclasses.replace(evidence_telling(3), images=300, similarity=0.1, expected=0.7)
    assert plan_of(far, speed=1e4).trainings
    book = Choices(recipe="textbook")
    assert not plan_of(far, book, speed=1e4).trainings
    large = plan_of(dataclasses.replace(far, size=0.6), book, speed=1e4)
    assert large.trainings
    assert (large.gain, large.limit) == (None, 600)


def test_ten_minutes_are_the_most_that_training_takes_unasked() -> None:
    facts = {"images": 1_500, "similarity": 0.2, "expected": 0.9}
    evidence = dataclasses.replace(evidence_telling(3), **facts)  # type: ignore[arg-type]
    slow = plan_of(evidence, speed=40.0, train=1_500)
    [training] = slow.trainings
    assert images_shown(training, 1_500) / 40 <= 0.8 * 600
    [full] = plan_of(evidence, speed=4_000.0, train=1_500).trainings
    assert images_shown(full, 1_500) > images_shown(training, 1_500)
    assert "Ten minutes are the most for it unasked" in slow.explain()
    asked = plan_of(evidence, Choices(case=3), speed=40.0, train=1_500)
    assert asked.trainings == (dataclasses.replace(full, hopeless=NEVER),), "whatever it wins"
    assert (slow.limit, asked.limit) == (600, None)
    few = within(full, 1_500, 20.0, 500.0)
    assert few is not None
    assert few.hopeless == hopeless_of(few.epochs) < full.hopeless
    race = dataclasses.replace(full, rates=(3e-4, 1e-3, 3e-3), refit=False)
    alone = images_shown(dataclasses.replace(race, rates=(1e-3,)), 1_500)
    for one, rate in ((race, 3e-4), (dataclasses.replace(race, init="random"), 3e-3)):
        cut = within(one, 1_500, alone / 500.0, 500.0)
        assert cut is not None
        assert (cut.rates, cut.epochs) == ((rate,), race.epochs), "the race goes before epochs"


def test_random_weights_are_tried_where_size_makes_it_plausible_or_when_asked_for() -> None:
    far = dataclasses.replace(evidence_telling(3), size=0.8, similarity=0.2, expected=0.9)

    def inits(evidence: Evidence, **asked: Any) -> list[str]:
        return [one.init for one in plan_of(evidence, Choices(**asked)).trainings]

    assert inits(far) == ["pretrained"]
    assert inits(dataclasses.replace(far, images=SCRATCH)) == ["pretrained", "random"]
    assert inits(far, case=4) == ["pretrained", "random"]
    assert inits(far, case=4, init="random") == ["random"]
    assert inits(far, case=4, init="pretrained") == ["pretrained"]
    assert inits(far, case=3) == ["pretrained"]
    assert inits(far, case=1) == inits(far, cut="stage1") == []


def test_steps_say_what_is_trained_and_how() -> None:
    asked = Choices(case=4, seed=3)
    plan = plan_of(evidence_telling(3), asked)
    kinds = [step.kind for step in plan.steps()]
    assert kinds[4:] == ["fit", "tune", "scratch", "choose", "calibrate", "evaluate"]
    said = " ".join(step.sentence for step in plan.steps())
    assert "Train every stage from the pretrained weights under the fitted layer" in said
    assert "If the trained network has not beaten the frozen one, train" in said
    assert plan.insists
    assert "as was asked" in said
    partly = plan_of(evidence_telling(3), Choices(trainable_from="stage2"))
    assert (partly.case, partly.frozen) == (3, ("stage0", "stage1"))
    assert "Train stage2, last from" in " ".join(step.sentence for step in partly.steps())
    book = plan_of(evidence_telling(3), Choices(case=3, recipe="textbook"))
    assert "under a new layer of random weights: learning rate 0.01" in book.explain()


def test_a_budget_trims_the_training_or_says_what_it_would_take() -> None:
    evidence = evidence_telling(3)
    whole = plan_of(evidence, Choices(case=3)).trainings[0]
    assert plan_of(evidence, Choices(case=3, budget=1e6), speed=100.0).trainings == (whole,)
    less = plan_of(evidence, Choices(case=3, budget=10.0), speed=60.0).trainings[0]
    assert (len(less.rates), less.refit, less.epochs) == (1, False, 4)
    with pytest.raises(UsageError, match=r"too short to train .*\n.* 60 images/s .* at least"):
        plan_of(evidence, Choices(case=3, budget=1.0), speed=60.0)
    large = dataclasses.replace(evidence, size=0.8, similarity=0.9, expected=0.9)
    assert plan_of(large, Choices(budget=1.0), speed=60.0).case == 1


def test_a_person_overrules_and_it_is_recorded() -> None:
    choices = Choices(cut="stage1", recipe="textbook", class_weights="balanced")
    assert candidates(BACKBONE, choices) == [(1,)]
    short = [taps for taps in candidates_of(4) if taps[-1] < 3]
    assert candidates(BACKBONE, Choices(case=2)) == short
    assert candidates(BACKBONE, Choices(case="frozen")) == candidates_of(4)
    assert [end_of(BACKBONE, Choices(case=case)) for case in (1, 2, 3)] == [3, None, 3]
    assert max(candidates(BACKBONE, Choices(cut="stage1")))[-1] == 1
    assert candidates(BACKBONE, Choices(cut="2", recipe="textbook")) == [(2,)]
    plan = plan_of(evidence_telling(1), choices)
    assert plan.overrides == ("--cut stage1", "--recipe textbook", "--class-weights balanced")
    assert "Asked for: --cut stage1, --recipe textbook" in plan.explain()
    named = Choices(path_column="file of it", label_column="kind")
    again = plan_of(evidence_telling(1), named).looked_at
    assert again.columns == named.columns | {"labels": "one"}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(cut="stage9"), ["'stage9'", "stage0, stage1, stage2, last", "0 to 3"]),
        (Choices(case=1, cut="stage0"), ["--case 1", "--cut stage0", "case 2"]),
        (Choices(case=2, cut="last"), ["--case 2", "earlier stage"]),
        (Choices(learning_rate=0.0), ["--learning-rate", "above 0", "got 0"]),
        (Choices(learning_rate=10.0), ["--learning-rate", "at most 1", "got 10"]),
        (Choices(budget=0.0), ["--budget", "above 0"]),
        (
            Choices(case=1, init="random", learning_rate=2),
            ["trains no stage", "--case 4", "at most 1"],
        ),
        (Choices(case=4, init="random", trainable_from="last"), ["--trainable-from"]),
        (Choices(trainable_from="stage9"), ["--trainable-from", "stage0, stage1"]),
        (Choices(trainable_from="stage2", cut="stage1"), ["--trainable-from", "--cut stage1"]),
    ],
)
def test_choices_that_cannot_be_are_refused(choices: Choices, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        candidates(BACKBONE, choices)
    for word in words:
        assert word in str(caught.value)


def test_uneven_classes_are_evened_out() -> None:
    assert weighting_of([10, 49], "auto") == "none"
    assert weighting_of([10, 50], "auto") == "balanced"
    assert weighting_of([10, 50], "none") == "none"


@pytest.mark.parametrize("case", [1, 2])
def test_the_explanation_reads_as_it_did(case: int, golden: Callable[[str, str], None]) -> None:
    """Changed on purpose? Write it anew with --golden, and read it."""
    text = plan_of(evidence_telling({1: 3, 2: 1}[case], 240, noise=3), FROZEN).explain() + "\n"
    golden(f"explain-{case}.txt", text)


def test_steps_name_what_the_plan_holds() -> None:
    plan = plan_of(evidence_telling(1, 240, noise=3), FROZEN, mirror=True, weighting="balanced")
    sentences = " ".join(step.sentence for step in plan.steps())
    for words in ("after stage1", "drop stage2, last", "mirror images", "weighing the same"):
        assert words in sentences
    kinds = [step.kind for step in plan.steps()]
    assert kinds == ["load", "cut", "freeze", "head", "fit", "calibrate", "evaluate"]
    book = plan_of(evidence_telling(1), Choices(recipe="textbook"))
    assert "calibrate" not in [step.kind for step in book.steps()]


@settings(max_examples=30, deadline=None)
@given(
    depth=st.integers(0, 3),
    seed=st.integers(0, 2**31),
    fraction=st.none() | st.floats(0.01, 0.99),
    name=st.text(max_size=20),
    data=st.text(max_size=20),
)
def test_a_plan_comes_back_from_json_as_it_was(
    depth: int, seed: int, fraction: float | None, name: str, data: str
) -> None:
    plan = plan_of(_evidence[depth], Choices(seed=seed, test_fraction=fraction))
    plan = dataclasses.replace(plan, dataset=name, data=data)
    text = serialize.dumps(plan)
    assert serialize.loads(text) == plan
    assert serialize.dumps(serialize.loads(text)) == text


_evidence = [evidence_telling(depth, n=30) for depth in range(4)]


def edited(**changes: object) -> str:
    raw = json.loads(serialize.dumps(plan_of(_evidence[3])))
    return json.dumps(raw | changes)


def test_every_mistake_of_an_edited_plan_is_named_at_once() -> None:
    with pytest.raises(PlanError) as caught:
        serialize.loads(edited(case="one", strenght=3, seed=None), "plan.json")
    assert "plan.json has 3 mistakes" in str(caught.value)
    for word in ("case: ", "'one'", "strenght: no such field", "seed: ", "None"):
        assert word in str(caught.value)


def test_contradictions_are_named_at_once() -> None:
    with pytest.raises(PlanError) as caught:
        serialize.loads(edited(taps=[1, 9], strength=-1, split="never"))
    assert "3 mistakes" in str(caught.value)
    for word in ("taps: must lie in 0..3", "[1, 9]", "strength", "-1", "split", "'never'"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["not JSON", "line 1"]),
        ("[]", ["one JSON object", "list"]),
        ('{"version": 99}', ["version 99", "reads 2"]),
        ('{"version": 2}', ["fingerprint: is missing", "evidence: is missing"]),
    ],
)
def test_what_is_no_plan_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        serialize.loads(text)
    for word in words:
        assert word in str(caught.value)


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        serialize.read(tmp_path / "no.json")


def test_the_network_was_kept_whole_for_the_training_that_was_asked_for() -> None:
    """Of a RUN of ``--case 3`` that handed over the frozen network."""
    plan = plan_of(dataclasses.replace(evidence_telling(3), similarity=0.2), Choices(case=1))
    assert "kept whole as was asked" in plan.title
    title = dataclasses.replace(plan, overrides=("--case 3",)).title
    assert "kept whole for the training that was asked for" in title
    assert "as was asked" not in title
