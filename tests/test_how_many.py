"""How many more images: the law of the curve, its points, and what is said."""

import itertools
import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import regraft
from command import Regraft, cli, own_log
from pictures import classes, in_memory, lay_out
from regraft.data.dataset import Dataset
from regraft.errors import PlanError
from regraft.plan import serialize, wording
from regraft.plan.curve import FARTHEST, KnownCurves, known, law
from regraft.plan.definition import Plan
from regraft.plan.evidence import Evidence, Gathered, gather
from regraft.plan.how_many import CLASSES, LIKELY, LearningCurve, learning_curve
from regraft.plan.subsets import DRAWS, Subsets, ranks, subsets_of, within
from regraft.report.charts.learning import learning
from regraft.report.run import render
from regraft.results.card import model_card
from regraft.run import draft as drafting

__all__ = ["cli", "own_log"]

STEEP = KnownCurves(slope=0.3, spread=1.0, keeps=1.0, drift=0.0, draw=0.1)
IMAGES, ONCE = np.array([100.0, 200.0, 400.0, 800.0]), np.array([1, 1, 1, 1])


def wrongs(*errors: float, n: int = 10_000) -> NDArray[np.float64]:
    """Images of which those with the least numbers are got wrong, ``[n, S]``."""
    return (np.arange(n)[:, None] < np.array(errors) * n).astype(float)


# ---- the law


def test_a_power_law_goes_on() -> None:
    """Errors that fall by a fifth with each doubling go on doing so."""
    own = law(IMAGES, wrongs(0.4, 0.32, 0.256, 0.2048), ONCE, 1000, STEEP)
    assert own.accuracy(1600)[0] == pytest.approx(1 - 0.16384, abs=0.003)
    assert own.reaches(log(1 / 0.8)) == pytest.approx(2000, rel=0.02)


def test_few_images_say_what_other_sets_say() -> None:
    """A curve of ten images that falls steeply is not believed; one of ten thousand is."""
    errors = (0.8, 0.4, 0.2, 0.1)
    few, many = (law(IMAGES, wrongs(*errors, n=n), ONCE, 800) for n in (10, 10_000))
    usual = known().slope
    assert abs(few.mean[1] - usual) < abs(many.mean[1] - usual)
    assert few.at(1600)[1] > many.at(1600)[1]


def test_a_curve_flattens_and_is_surer_near_than_far() -> None:
    own = law(IMAGES, wrongs(0.4, 0.32, 0.256, 0.2048), ONCE, 800)
    falls = np.diff([own.at(800 * 2**t)[0] for t in range(5)])
    assert (np.diff(falls) > 0).all()
    assert (falls < 0).all()
    errors = [own.at(800 * 2**t)[1] for t in range(5)]
    assert errors == sorted(errors)
    low, high = own.accuracy(1600)[1:]
    assert 0 < low < own.accuracy(1600)[0] < high < 1


def test_how_far_it_reaches_has_an_end() -> None:
    """Where sixteen times the images are not enough, no number is made up."""
    flat = law(IMAGES, wrongs(0.2, 0.2, 0.2, 0.2), ONCE, 800, replace(STEEP, spread=0.01, slope=0))
    assert flat.reaches(log(2)) == float("inf")
    steep = law(IMAGES, wrongs(0.4, 0.32, 0.256, 0.2048), ONCE, 800, STEEP)
    assert 800 < steep.reaches(log(2), 1.0) < steep.reaches(log(2)) < 800 * FARTHEST


def test_what_lies_ahead_drifts() -> None:
    """Curves of other sets went astray, however well what was measured is known."""
    wrong = wrongs(0.4, 0.32, 0.256, 0.2048)
    still, drifts = (law(IMAGES, wrong, ONCE, 800, replace(STEEP, drift=d)) for d in (0.0, 0.2))
    assert drifts.at(800)[1] == still.at(800)[1]
    assert drifts.at(3200)[1] > still.at(3200)[1] + 0.2


def test_on_the_images_that_judge_their_luck_is_left_out() -> None:
    wrong = wrongs(0.4, 0.32, 0.256, 0.2048, n=40)
    own, others = (law(IMAGES, wrong, ONCE, 800, sampled=s) for s in (False, True))
    assert own.at(800)[1] < others.at(800)[1]


def test_what_ships_says_of_which_sets_it_is() -> None:
    assert 0 < known().keeps < 1 < len(known().sets)


# ---- its points


def test_subsets_lie_within_each_other_with_whole_groups_of_every_class() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 40, 3])
    groups = np.arange(143) // 3
    rank = ranks(labels, groups, random)
    some = [within(rank, labels, share) for share in (1 / 8, 1 / 4, 1 / 2)]
    for one, other in itertools.pairwise(some):
        assert set(one) < set(other)
    for one in some:
        assert set(labels[one]) == {0, 1, 2}
        left = np.setdiff1d(np.arange(143), one)
        assert not set(groups[one]) & set(groups[left])
    assert len(some[2]) == pytest.approx(143 / 2, abs=4)


def found_of(
    counts: tuple[int, ...], apart: float = 3.0, in_group: int = 1, seed: int = 0
) -> tuple[Evidence, Subsets, Gathered]:
    """Images as clouds of points around the corners of a cube, and what was found of them."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    corners = random.normal(size=(len(counts), 12)) * apart / 3
    x = (corners[labels] + random.normal(size=(len(labels), 12))).astype(np.float16)
    names = [f"class{c}" for c in range(len(counts))]
    groups = np.arange(len(labels)) // in_group
    gathered = gather(x, [12], labels, names, groups, candidates=[(0,)], seed=0, shift=None)
    evidence = gathered.evidence
    parts = evidence.probes[evidence.chosen].made_of
    return (
        evidence,
        subsets_of(gathered, x, [12], labels, groups, parts=parts, seed=0),
        gathered,
    )


def test_the_last_point_is_the_evidence() -> None:
    evidence, found, gathered = found_of((60, 60, 60))
    assert found.wrong[:, -1].mean() == pytest.approx(1 - evidence.expected)
    assert found.images.tolist() == pytest.approx([18, 36, 72, 144], abs=1)
    assert found.draws.tolist() == [*DRAWS.values(), 1]
    assert set(found.wrong[:, 0]) > {0.0, 1.0}  # of four draws that differ
    assert_array_equal(found.wrong[:, -1], gathered.shares.argmax(1) != found.labels)


def test_of_very_many_classes_more_images_are_asked_than_the_evidence_did() -> None:
    """Their evidence is of a sample, which leaves too few of each class for a curve."""
    random = np.random.default_rng(0)
    labels, groups = np.repeat([0, 1, 2], 60), np.arange(180)
    x = (random.normal(size=(3, 12))[labels] + random.normal(size=(180, 12))).astype(np.float16)
    names = ["a", "b", "c"]
    gathered = gather(x, [12], labels, names, groups, candidates=[(0,)], seed=0)
    parts = gathered.evidence.probes[gathered.evidence.chosen].made_of
    few = gathered._replace(images=gathered.images[:40], shares=gathered.shares[:40])
    found, usual = (
        subsets_of(one, x, [12], labels, groups, parts=parts, seed=0) for one in (few, gathered)
    )
    assert_array_equal(found.images, usual.images)
    assert_array_equal(found.draws, usual.draws)
    assert_array_equal(found.wrong[:, :-1], usual.wrong[:, :-1])
    assert (found.wrong[:, -1] == usual.wrong[:, -1]).mean() > 0.95


def test_more_images_make_fewer_mistakes_and_so_they_go_on() -> None:
    curve = learning_curve(*found_of((150, 150, 150, 150))[:2])
    seen = [point.accuracy for point in curve.measured]
    ahead = [point.accuracy for point in curve.ahead]
    assert seen[0] < seen[-1] <= ahead[0] + 0.02
    assert ahead == sorted(ahead)
    assert curve.today.images == 600
    assert curve.times(4).images == 2400
    assert all(low < p.accuracy < high for p in curve.ahead for low, high in [p.interval])


# ---- where nothing can be told


@pytest.mark.parametrize(
    ("counts", "apart", "in_group", "why"),
    [
        ((3,) * 4, 9.0, 1, "are fewer than 8, 2 for each of 4 classes"),
        ((40, 40), 0.0, 1, "no better than guessing"),
        ((30, 30), 6.0, 15, "in 4 groups that belong together"),
        ((30,) * 5, 6.0, 15, "groups too large"),
    ],
    ids=["three a class", "guesses", "few groups", "large groups"],
)
def test_nothing_is_told(counts: tuple[int, ...], apart: float, in_group: int, why: str) -> None:
    curve = learning_curve(*found_of(counts, apart, in_group)[:2])
    assert why in curve.untold
    assert curve == LearningCurve(untold=curve.untold)


def test_no_mistake_cannot_be_halved(plan: Plan) -> None:
    curve = learning_curve(*found_of((8, 8), 40.0)[:2])
    assert curve.measured[-1].accuracy == 1
    assert curve.half is None
    assert curve.half_interval == (None, None)
    said = wording.how_many(replace(plan, learning_curve=curve))
    assert "no mistake" in said[1]
    assert "None" not in "".join(said)


# ---- class by class


def test_the_class_with_few_images_and_many_mistakes_wants_most() -> None:
    evidence, found, _ = found_of((300, 300, 30), 3.0, seed=1)
    curve = learning_curve(evidence, found)
    assert curve.wants[0].name == "class2"
    assert sum(one.most for one in curve.classes) == pytest.approx(1)


def made_up(*errors: tuple[int, tuple[float, ...]], counts: tuple[int, ...]) -> LearningCurve:
    """The curve of classes of so many judged images with these errors, and ``counts`` images."""
    wrong = np.concatenate([wrongs(*own, n=n) for n, own in errors])
    labels = np.repeat(np.arange(len(errors)), [n for n, _ in errors])
    evidence = replace(found_of((40,) * len(errors))[0], per_class=counts, images=sum(counts))
    return learning_curve(evidence, Subsets(IMAGES, wrong, ONCE, labels, np.arange(len(labels))))


def test_a_gain_is_that_of_an_image() -> None:
    """Of two classes alike the one with a tenth of the images gains more with each."""
    falling = (0.4, 0.35, 0.3, 0.26)
    curve = made_up((2000, falling), (2000, falling), counts=(1000, 100))
    assert curve.classes[0].name == "class1"
    assert curve.classes[0].most > 0.6


def test_a_class_of_few_is_taken_to_learn_as_all_do() -> None:
    level = (0.2, 0.2, 0.2, 0.2)
    curve = made_up((10_000, level), (20, level), counts=(990, 10))
    few = next(one for one in curve.classes if one.name == "class1")
    assert few.twice - few.recall < 0.01


def test_which_class_gains_most_is_never_quite_sure() -> None:
    """What lies ahead drifts, so however many images there are a small lead is no certainty."""
    steep, flat = (0.4, 0.33, 0.275, 0.23), (0.4, 0.35, 0.31, 0.29)
    curve = made_up((20_000, steep), (20_000, flat), counts=(500, 500))
    assert 0.5 < curve.classes[0].most < 0.75


def test_of_classes_alike_none_stands_out() -> None:
    curve = learning_curve(*found_of((100,) * 14, 2.0)[:2])
    assert len(curve.classes) == CLASSES
    assert all(one.most >= LIKELY for one in curve.wants)


def test_a_class_of_three_among_large_ones_is_not_compared() -> None:
    curve = learning_curve(*found_of((100, 100, 3))[:2])
    assert curve.untold == ""
    assert "class2" not in [one.name for one in curve.classes]


# ---- in a plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return regraft.propose(data(), "demonstration", case=1)


def data() -> Dataset:
    """Three classes of pictures, of 14 images each."""
    return in_memory(classes({"a": 14, "b": 14, "c": 14}, 64, 64))


CURVE = learning_curve(*found_of((60, 60, 60))[:2])


def test_a_plan_keeps_it_and_an_older_one_opens(plan: Plan) -> None:
    whole = replace(plan, learning_curve=CURVE)
    text = serialize.dumps(whole)
    assert serialize.loads(text) == whole
    older = json.loads(text)
    del older["learning_curve"]
    opened = serialize.loads(json.dumps(older))
    assert opened.learning_curve is None
    assert wording.how_many(opened) == []


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("measured", 0, "images"), 10_000, "measured: images must be at least 1 and ascend"),
        (("ahead", 0, "accuracy"), 95.0, "ahead: accuracies must lie in 0..1"),
        (("ahead", -1, "images"), 721, "ahead: must have 1, 2 and 4 times the first images"),
        (("ahead",), [], "ahead: images must be at least 1 and ascend, got []"),
    ],
    ids=["order", "percent", "multiples", "nothing"],
)
def test_one_that_was_edited_into_nonsense_is_refused(
    plan: Plan, place: tuple[str | int, ...], value: object, said: str
) -> None:
    raw = json.loads(serialize.dumps(replace(plan, learning_curve=CURVE)))
    *way, last = ("learning_curve", *place)
    inner = raw
    for step in way:
        inner = inner[step]
    inner[last] = value
    with pytest.raises(PlanError) as caught:
        serialize.loads(json.dumps(raw))
    assert any(said in problem for problem in caught.value.problems)


def test_it_is_asked_of_the_images_and_the_weighting_of_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, str]] = []

    def noted(*given: Any, weighting: str, **words: Any) -> Subsets:
        asked.append((len(given[1]), weighting))
        return subsets_of(*given, weighting=weighting, **words)

    monkeypatch.setattr(drafting, "subsets_of", noted)
    plan = regraft.propose(data(), "demonstration", case=1, class_weights="balanced")
    assert plan.learning_curve is not None
    assert asked == [(plan.train, "balanced")] == [(42, "balanced")]


def test_the_terminal_says_it_of_a_plan_and_of_a_run(cli: Regraft, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "photos", classes({"a": 14, "b": 14}, 64, 64))
    asked = (folder, "--backbone", "demonstration", "--case", "frozen")
    planned, fitted = cli("plan", *asked), cli("fit", *asked, "--out", tmp_path / "run")
    for said in (planned, fitted):
        assert said.code == 0
        assert "How many more" in said.out
    curve = cli("plan", *asked, "--json").json["learning_curve"]
    made = json.loads((tmp_path / "run" / "plan.json").read_text("utf-8"))
    assert made["learning_curve"] == curve


def test_a_plan_that_is_done_is_not_asked_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the plan has, the RUN has."""
    monkeypatch.setattr(drafting, "subsets_of", None)
    mine = replace(plan, learning_curve=CURVE)
    assert regraft.apply(mine, data()).plan.learning_curve == CURVE


def test_networks_side_by_side_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "subsets_of", None)
    assert regraft.rank(data(), ["demonstration"]).rows


def test_what_is_said_has_the_numbers(plan: Plan) -> None:
    said = wording.how_many(replace(plan, learning_curve=CURVE))
    twice, low = CURVE.times(2), CURVE.times(2).interval[0]
    assert f"(360 to train on) {twice.accuracy:.1%} ({low:.1%}" in said[0]
    assert len(said) == 3
    assert all(f"{one.name} ({one.most:.0%})" in said[2] for one in CURVE.wants)
    two = replace(CURVE, classes=CURVE.classes[:2])
    assert len(wording.how_many(replace(plan, learning_curve=two))) == 2


def test_numbers_of_images_are_said_to_two_digits(plan: Plan) -> None:
    rough = replace(CURVE, half=1234, half_interval=(567, None))
    said = wording.how_many(replace(plan, learning_curve=rough))[1]
    assert "about 1,200 images (570 to more than 2,900, 90%)" in said
    *ahead, last = CURVE.ahead
    for won, helps in ((0.03, True), (0.01, False)):
        far = replace(last, accuracy=ahead[0].accuracy + won)
        never = replace(rough, half=None, ahead=(*ahead, far))
        said = wording.how_many(replace(plan, learning_curve=never))[1]
        assert said.startswith("Half of today's errors would take more than 2,900 images")
        assert ("hardly help" in said) != helps


def test_the_chart_has_its_band_and_its_points() -> None:
    drawn = learning(CURVE)
    assert drawn.count("<circle") == len(CURVE.measured)
    assert 'class="band t0"' in drawn
    assert 'class="line t0 dash1"' in drawn
    for many in (1, 2, 4):
        assert f">{180 * many}<" in drawn
    assert learning(LearningCurve(untold="too few")) == learning(None) == ""


def test_every_page_says_it(plan: Plan) -> None:
    """The notebook beside the plan; the card and the page of a RUN."""
    twice = f"{CURVE.times(2).accuracy:.1%}"
    mine = replace(plan, learning_curve=CURVE)
    assert "with twice the images" in mine._repr_html_()
    result = regraft.apply(mine, data())
    assert twice in model_card(result.plan, result.metrics)
    page = render(result, "", data(), heat_maps=False)
    assert "gains most an image" in page
    assert twice in page[page.index('id="more"') : page.index('id="errs"')]
    assert 'id="more"' not in render(
        replace(result, plan=replace(mine, learning_curve=None)), "", data(), heat_maps=False
    )


def test_a_plan_of_few_images_says_why_not() -> None:
    few = regraft.propose(in_memory(classes({"a": 3, "b": 3}, 64, 64)), "demonstration", case=1)
    assert few.learning_curve is not None
    assert few.learning_curve.untold
    assert wording.how_many(few)[0].startswith("What more images would bring cannot be told: ")
