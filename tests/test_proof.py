"""How a result is proved: on the data's own test, on images held out, or on each held out once."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import regraft
from pictures import in_memory, lay_out
from regraft.data import splits
from regraft.data.dataset import Dataset
from regraft.data.splits import EACH_ONCE
from regraft.errors import PlanError
from regraft.heads.average import Part, fit_average
from regraft.metrics import score, share_interval, wilson
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.run import api, measure, proof
from regraft.run.draft import draft
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained
from scenes import each, scenes
from smallnet import record, small

FROZEN = Choices(case=1)
FILES = scenes(each(14))


def look(files: dict[str, bytes], choices: Choices = FROZEN) -> Measured:
    return measure.measure(in_memory(files), Pretrained(record(), small), choices)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return look(FILES)


@pytest.fixture(scope="module")
def plan(measured: Measured) -> Plan:
    return draft(measured, FROZEN)


@pytest.mark.parametrize("case", [1, 3])
def test_the_textbooks_layer_is_not_calibrated_by_what_ridges_said(
    measured: Measured, case: Literal[1, 3]
) -> None:
    """Also where a training was tried beside it, which has a temperature of its own."""
    plan = draft(measured, Choices(case=case, recipe="textbook"))
    assert bool(plan.trainings) == (case == 3)
    said = [step.sentence for step in plan.steps() if step.kind == "calibrate"]
    assert [text.startswith("Where the trained network is taken: set") for text in said] == (
        [True] if case == 3 else []
    )
    warm = replace(plan.evidence, temperature=3.0)
    head = proof.head_on(plan, measured, measured.split.train, plan.parts)
    assert proof.calibrated(plan, head, warm) is head
    tuned = replace(plan, recipe="tuned")
    assert_array_equal(proof.calibrated(tuned, head, warm).weight, head.scaled(3.0).weight)


@pytest.mark.parametrize(
    ("files", "choices", "few", "expected"),
    [
        pytest.param(FILES, FROZEN, 200, "cross-validated", id="few images, no test of their own"),
        pytest.param(FILES, FROZEN, 9, "held out", id="images enough to hold a fifth out"),
        pytest.param(FILES, Choices(case=1, test_fraction=0.2), 200, "held out", id="a fraction"),
        pytest.param(FILES, Choices(case=3), 200, "held out", id="training that was asked for"),
        *(
            pytest.param(
                scenes(each(9, "train/")) | scenes(each(4, f"{own}/"), first=50),
                *(FROZEN, 200, "own test"),
                id=f"its own {own} images",
            )
            for own in ("test", "val")
        ),
    ],
)
def test_which_proof_it_is(
    files: dict[str, bytes],
    choices: Choices,
    few: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(splits, "FEW", few)
    data = Dataset.open(lay_out(tmp_path / "data", files))
    found = measure.measure(data, Pretrained(record(), small), choices)
    assert draft(found, choices).proof == expected


def test_every_image_is_judged_once_and_all_make_the_network(
    measured: Measured, plan: Plan, tmp_path: Path
) -> None:
    done = api.carry_out(plan, measured, out=tmp_path / "run")
    assert done.predictions is not None
    assert sorted(done.predictions.paths) == sorted(FILES)
    metrics = regraft.load(tmp_path / "run").metrics
    assert (metrics["proof"], metrics["n"], plan.train) == ("cross-validated", 42, 42)
    head = fit_average(measured.features, record().widths, measured.labels, 3, plan.parts)
    assert len(plan.parts) > 1
    assert_array_equal(done.head.weight, head.scaled(plan.evidence.temperature).weight)
    assert_array_equal(
        proof.each_held_out(plan, small_of(measured)), done.predictions.probabilities
    )


def small_of(measured: Measured) -> Measured:
    return measured.parted(EACH_ONCE)


def spoilt(measured: Measured, places: list[int]) -> Measured:
    """The same with other features of some images."""
    features = measured.features.copy()
    features[places] = np.random.default_rng(0).normal(size=features[places].shape)
    return replace(measured, features=features)


def same_as(a: NDArray[np.float64], b: NDArray[np.float64]) -> set[int]:
    return set(np.flatnonzero((a == b).all(1)).tolist())


@pytest.mark.parametrize("recipe", ["tuned", "textbook"])
def test_no_image_has_a_part_in_its_own_judgement(recipe: str, measured: Measured) -> None:
    """Other features of one image change the verdicts of all but those that were out with it."""
    choices = Choices(recipe=recipe)  # type: ignore[arg-type]
    plan = replace(draft(measured, choices).without_training(), split=EACH_ONCE)
    plain = proof.each_held_out(plan, small_of(measured))
    turn = splits.folds(measured.labels, measured.audit.groups, proof.TURNS, plan.seed)
    for place in (0, 17, 41):
        found = proof.each_held_out(plan, small_of(spoilt(measured, [place])))
        together = set(np.flatnonzero(turn == turn[place]).tolist())
        assert same_as(plain, found) == together - {place}


def test_captures_of_one_group_are_out_together(measured: Measured, plan: Plan) -> None:
    groups = np.arange(42) // 2
    paired = replace(measured, audit=replace(measured.audit, groups=groups))
    plain = proof.each_held_out(plan, small_of(paired))
    found = proof.each_held_out(plan, small_of(spoilt(paired, [6])))
    assert_array_equal(plain[7], found[7])


def test_labels_without_meaning_are_told_by_chance(measured: Measured, plan: Plan) -> None:
    """Were anything chosen or fitted with the image that is judged, this would be above a third."""
    right = []
    for seed in range(12):
        labels = np.random.default_rng(seed).permutation(measured.labels)
        one = small_of(replace(measured, labels=labels))
        right += (proof.each_held_out(plan, one).argmax(1) == labels).tolist()
    low, high = wilson(sum(right), len(right))
    assert low < 1 / 3 < high + 0.05  # below a third: what a fold lacks is likelier outside of it


def test_a_plan_edited_by_hand_is_judged_as_it_is(measured: Measured, plan: Plan) -> None:
    """Taps that a person wrote into the plan are not chosen anew."""
    edited = replace(plan, taps=(0,), case=2, strength=3.0)
    assert edited.taps != plan.evidence.probes[plan.evidence.chosen].taps
    every = small_of(measured)
    turn = splits.folds(measured.labels, measured.audit.groups, proof.TURNS, plan.seed)
    rows = np.flatnonzero(turn != 0)
    head = proof.head_on(edited, every, rows, [Part((0,), 3.0, 1.0, 1.0)])
    logits = head.logits(measured.features[turn == 0][:, : record().widths[0]])
    found = proof.each_held_out(edited, every)[turn == 0]
    assert_array_equal(found.argmax(1), logits.argmax(1))


def test_a_plan_for_a_small_set_is_not_for_one_with_a_test(measured: Measured, plan: Plan) -> None:
    large = replace(measured, small=None)
    with pytest.raises(PlanError) as error:
        api.check_plan(plan, large)
    assert any("holds every image out once" in problem for problem in error.value.problems)


@pytest.mark.parametrize(
    ("planned", "edit", "words"),
    [
        pytest.param(
            None, {"split": "held out"}, "made by 42 images, to be judged on 42", id="out"
        ),
        pytest.param(None, {"split": "test"}, "split: the plan's is test", id="no test there"),
        pytest.param(0.2, {"test_fraction": 0.5}, "there are 21 and 21", id="another share"),
        pytest.param(None, {"train": 40}, "made by 40 images", id="a count"),
    ],
)
def test_the_sides_of_a_plan_are_not_changed_by_hand(
    planned: float | None, edit: dict[str, Any], words: str
) -> None:
    """Counts would be stale, and what was chosen had seen the images that then judge it."""
    choices = Choices(case=1, test_fraction=planned)
    seen = look(FILES, choices)
    drafted = draft(seen, choices)
    api.check_plan(drafted, seen)
    edited = replace(drafted, **edit)
    with pytest.raises(PlanError) as error:
        api.check_plan(edited, look(FILES, edited.looked_at))
    assert any(words in problem for problem in error.value.problems)


@pytest.mark.parametrize("note", ["16-bit", "white-on-clear"])
def test_a_plan_of_before_is_not_for_what_is_read_otherwise_now(
    note: str, measured: Measured, plan: Plan
) -> None:
    noted = replace(measured, audit=replace(measured.audit, notes={note: 3}))
    api.check_plan(plan, noted)
    with pytest.raises(PlanError) as error:
        api.check_plan(replace(plan, among=()), noted)
    assert any(note in problem for problem in error.value.problems)


@pytest.mark.parametrize("insists", [True, False])
def test_a_trained_network_is_judged_on_what_it_never_saw(
    insists: bool, measured: Measured
) -> None:
    """The frozen one, where that is handed over, on every image."""
    drafted = draft(measured, Choices(case=3))
    [training] = drafted.trainings
    budget = None if insists else 1e-9  # not one step: the frozen network is what there is
    brief = replace(training, epochs=1, rates=(1e-2,))
    aimed = replace(drafted, trainings=(brief,), insists=insists, budget=budget)
    done = api.perform(aimed, measured)
    proofs = {True: ("held out", aimed.test), False: ("cross-validated", 42)}
    assert (done.metrics["proof"], done.metrics["n"]) == proofs[insists]
    assert done.plan.split == done.metrics["proof"]
    assert done.plan.train == {True: aimed.train, False: 42}[insists]


def test_what_was_corrected_is_trained_on_in_every_turn(measured: Measured) -> None:
    data = replace(measured.dataset, pinned=frozenset({"rings/003.png"}))
    found = measure.measure(data, Pretrained(record(), small), FROZEN)
    judged = [data.items[i].path for i in small_of(found).split.test]
    assert sorted({*FILES} - {*judged}) == ["rings/003.png"]
    assert len(small_of(found).split.train) == len(FILES)


def test_the_only_group_of_a_class_is_trained_on_in_every_turn(measured: Measured) -> None:
    """Held out, it would leave nothing of its class to learn from: 0 % of it, by construction."""
    groups = np.where(measured.labels == 0, 0, np.arange(42) + 1)
    alone = replace(measured.audit, groups=groups)
    held = splits.split(measured.dataset, alone, test_fraction=None, seed=0)
    found = splits.each_once(measured.dataset, alone, held, None)
    assert found is not None
    assert set(measured.labels[found.test].tolist()) == {1, 2}
    assert len(found.train) == 42
    [said] = splits.untested(measured.dataset, alone, found)
    assert "'rings'" in said


def test_one_free_group_is_held_out_in_one_turn(measured: Measured, plan: Plan) -> None:
    """As where all other images were corrected."""
    every = small_of(measured)
    one = replace(every, split=replace(every.split, test=np.array([5])))
    assert proof.each_held_out(plan, one).shape == (1, 3)


# ---- intervals


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_images_of_their_own_are_counted_one_by_one(right: list[bool]) -> None:
    assert share_interval(right, range(len(right))) == wilson(sum(right), len(right))


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.integers(2, 30))
def test_copies_tell_nothing_more(right: list[bool], times: int) -> None:
    """Thirty photos of each part are worth no more than one: at most by what one part is."""
    low, high = share_interval(np.repeat(right, times), np.repeat(range(len(right)), times))
    least, most = wilson(sum(right), len(right))
    assert low <= least + 1e-12
    assert high >= most - 1e-12
    fewer = wilson(sum(right) * (1 - 1 / len(right)), len(right) - 1)
    assert low >= fewer[0] - 1e-12
    assert high <= fewer[1] + 1e-12


def test_one_large_group_makes_the_interval_wide() -> None:
    """Two hundred photos of their own, ninety in a hundred right, and fifty of one thing."""
    right = np.r_[np.arange(200) % 10 != 0, np.zeros(50, bool)]
    groups = np.r_[np.arange(200), np.full(50, 200)]
    low, high = share_interval(right, groups)
    alone = wilson(int(right.sum()), len(right))
    assert high - low > 2 * (alone[1] - alone[0])


def test_scores_count_captures() -> None:
    p = np.eye(2)[[0, 0, 1, 1, 0, 0]] * 0.8 + 0.1
    found = score(p, [0, 0, 1, 1, 1, 1], ("a", "b"), groups=[0, 0, 1, 1, 2, 2])
    assert (found.n, found.captures) == (6, 3)
    assert found.per_class["a"].recall_interval == wilson(1, 1)
    assert found.accuracy_interval == share_interval([1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 2, 2])
