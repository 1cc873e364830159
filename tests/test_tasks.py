"""Several labels and numbers: measures, calibration, and heads on targets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from regraft.heads import average
from regraft.heads.average import Part, fit_average
from regraft.heads.ridge import Head, cross_validate
from regraft.heads.sgd import fit_textbook
from regraft.heads.tasks import task_of
from regraft.heads.tasks.number import half_width, score_number
from regraft.heads.tasks.several import average_precisions, score_several, thresholds_of
from regraft.heads.tasks.task import jackknife
from regraft.plan import serialize
from regraft.plan.evidence import candidates_of
from regraft.plan.evidence_of_targets import gather_targets
from regraft.results.files import write_csv
from regraft.results.tables import Predictions, prediction_rows, read_predictions

WIDTHS = (4, 8, 12)
PARTS = (Part((2,), 1.0, 0.6, 1.0), Part((0, 1, 2), 0.3, 0.4, 1.0))


def features(n: int = 300, seed: int = 0) -> tuple[Any, Any]:
    """Features, and what lies behind them ``[n, 3]``, the last depth telling most of it."""
    random = np.random.default_rng(seed)
    behind = random.normal(size=(n, 3))
    mixed = behind @ random.normal(size=(3, sum(WIDTHS)))
    noise = np.repeat((4.0, 2.0, 0.7), WIDTHS)
    return (mixed + noise * random.normal(size=mixed.shape)).astype(np.float16), behind


# --- the measures --------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True], ids=["all different", "many alike"])
def test_average_precision_is_that_of_scikit_learn(ties: bool) -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(1)
    shares, labels = random.random((80, 5)), random.random((80, 5)) < 0.3
    shares = np.round(shares, 1) if ties else shares
    wanted = [average_precision_score(labels[:, k], shares[:, k]) for k in range(5)]
    assert_allclose(average_precisions(shares, labels), wanted, rtol=1e-12)


def test_a_label_that_no_image_has_is_left_out_of_the_mean() -> None:
    labels = np.array([[1, 0], [0, 0], [1, 0]])
    shares = np.array([[0.9, 0.5], [0.1, 0.6], [0.8, 0.7]])
    assert np.isnan(average_precisions(shares, labels)[1])
    assert task_of("several").merit(shares, labels) == 1.0
    assert task_of("several").merit(shares, 0 * labels) == 0.0


def test_scores_of_several_labels_counted_by_hand() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 0], [0, 0]])
    shares = np.array([[0.9, 0.2], [0.4, 0.1], [0.6, 0.3], [0.2, 0.1]])
    found = score_several(shares, labels, ["a", "b"], np.array([0.5, 0.15]), np.arange(4))
    assert found["per_label"]["a"] | {"average_precision": 0} == {
        "average_precision": 0, "precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2,
        "threshold": 0.5,
    }  # fmt: skip
    assert found["per_label"]["b"]["f1"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["micro_f1"] == pytest.approx(4 / 7)
    assert found["exact"] == 0.5
    assert found["guess"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert (found["n"], found["captures"]) == (4, 4)


def test_a_label_without_images_or_answers_has_no_figures() -> None:
    shares, labels = np.array([[0.9, 0.1], [0.2, 0.1]]), np.array([[1, 0], [0, 0]])
    own = score_several(shares, labels, ["a", "b"], np.array([0.5, 0.5]), np.arange(2))
    assert own["per_label"]["b"] == {
        "average_precision": None, "precision": None, "recall": None, "f1": None, "n": 0,
        "threshold": 0.5,
    }  # fmt: skip


def test_scores_of_a_number_counted_by_hand() -> None:
    truth, told = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.5, 2.0, 2.0, 5.0])
    found = score_number(told, truth, 0.6, np.arange(4), usual=2.0)
    assert found["r2"] == pytest.approx(1 - 2.25 / 14)
    assert found["mean_absolute_error"] == 0.625
    assert found["median_absolute_error"] == 0.75
    assert found["root_mean_squared_error"] == 0.75
    assert found["guess"] == 1.5
    assert found["covered"] == 0.5


def test_naming_the_mean_is_worth_nothing_and_worse_is_below() -> None:
    truth, number = np.array([[1.0], [2.0], [6.0]]), task_of("number")
    assert number.merit(np.full((3, 1), 3.0), truth) == pytest.approx(0.0)
    assert number.merit(np.full((3, 1), 9.0), truth) < 0
    assert number.merit(truth, truth) == 1.0
    assert number.merit(truth, np.ones((3, 1))) == 0.0  # of one and the same nothing can be told


def test_images_of_one_capture_tell_no_more_than_one() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=400)

    def error(groups: Any) -> float:
        return jackknife(lambda rows: float(np.repeat(x[::4], 4)[rows].mean()), groups)

    alone, together = error(np.arange(400)), error(np.repeat(np.arange(100), 4))
    assert together == pytest.approx(float(x[::4].std() / 10), rel=0.35)
    assert together > 1.4 * alone
    assert error(np.zeros(400)) == 0.0


# --- calibration and thresholds ------------------------------------------------------------------


def test_probabilities_of_each_label_are_calibrated_whatever_the_scale_of_its_outputs() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(20_000, 3))
    true = 1 / (1 + np.exp(-(z * (0.5, 2.0, 4.0) + (0.0, -2.0, 1.0))))
    labels = (random.random(z.shape) < true).astype(np.float32)
    outputs = z * (0.01, 1.0, 30.0) + (5.0, 0.0, -7.0)
    task = task_of("several")
    assert_allclose(task.shares(task.calibration(outputs, labels)(outputs)), true, atol=0.03)


@pytest.mark.parametrize(
    ("positives", "what"),
    [(1, "on a single image"), (59, "on all images but one"), (30, "told by nothing")],
)
def test_a_label_of_few_images_keeps_probabilities_that_can_be(positives: int, what: str) -> None:
    random = np.random.default_rng(2)
    outputs = random.normal(size=(60, 2))
    labels = np.zeros((60, 2), np.float32)
    labels[random.permutation(60)[:positives], 0] = 1
    labels[:20, 1] = 1
    outputs[:20, 1] += 3
    if what == "told by nothing":
        outputs[:, 0] = 0.25  # the same for every image
    found = task_of("several").calibration(outputs, labels)
    shares = task_of("several").shares(found(outputs))
    assert np.isfinite(shares).all()
    assert (found.slopes >= 0).all()
    assert shares[:, 0].mean() == pytest.approx(positives / 60, abs=0.1)


def test_outputs_that_run_against_a_label_are_not_turned_round() -> None:
    labels = np.repeat([[1.0], [0.0]], 50, axis=0)
    outputs = -labels + np.random.default_rng(0).normal(0, 0.1, (100, 1))
    found = task_of("several").calibration(outputs, labels)
    assert found.slopes[0] == 0
    assert_allclose(task_of("several").shares(found(outputs)), 0.5, atol=0.01)


def test_the_threshold_is_half_of_the_best_f1() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [0, 0]])
    shares = np.array([[0.9, 0.3], [0.8, 0.3], [0.3, 0.3], [0.2, 0.3], [0.1, 0.3]])
    assert_allclose(thresholds_of(shares, labels), [0.5, 0.5 * 2 * 2 / (5 + 2)])


def test_the_interval_of_a_number_holds_as_many_new_ones_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = [
        np.mean(np.abs(random.normal(size=2_000)) <= half_width(random.normal(size=100)))
        for _ in range(200)
    ]
    assert np.mean(held) == pytest.approx(96 / 101, abs=0.004)
    assert half_width(np.array([3.0, -4.0])) == 4.0
    assert half_width(np.array([])) == 0.0


# --- heads on targets ----------------------------------------------------------------------------


def test_one_hot_targets_give_the_head_of_the_classes_to_the_last_bit() -> None:
    x, behind = features()
    labels = behind.argmax(1)
    hot = np.eye(3, dtype=np.float32)[labels]
    fold = np.arange(len(x)) % 3
    one, other = (fit_average(x, WIDTHS, y, 3, PARTS) for y in (labels, hot))
    assert_array_equal(one.weight, other.weight)
    assert_array_equal(one.bias, other.bias)
    scores = [cross_validate(x, WIDTHS, y, 3, fold, [(2,), (0, 1, 2)]) for y in (labels, hot)]
    assert_array_equal(scores[0], scores[1])


def test_targets_of_more_images_than_memory_holds_give_the_same_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, behind = features()
    targets = np.column_stack([behind[:, 0] > 0, behind[:, 1] > 1, behind[:, 2]]).astype(np.float32)
    rows = np.flatnonzero(np.arange(len(x)) % 4)
    whole = fit_average(x, WIDTHS, targets[rows], 3, PARTS, rows=rows)
    monkeypatch.setattr(average, "IN_MEMORY", 0)
    monkeypatch.setattr(average, "BLOCK", 37)
    streamed = fit_average(x, WIDTHS, targets[rows], 3, PARTS, rows=rows)
    assert_allclose(streamed.weight, whole.weight, atol=1e-5 * np.abs(whole.weight).max())
    assert_allclose(streamed.bias, whole.bias, atol=1e-5)


def test_each_output_is_adjusted_by_its_own_slope_and_offset() -> None:
    head = Head((0,), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([1.0, 1.0]))
    x = np.array([[1.0, -1.0]])
    assert_allclose(head.adjusted([2, 10], [5, -1]).logits(x), head.logits(x) * [2, 10] + [5, -1])


# --- the evidence --------------------------------------------------------------------------------


def evidence(kind: str, n: int = 240) -> Any:
    """What the whole procedure finds in the features, with a test of its own."""
    x, behind = features(2 * n)
    if kind == "several":
        targets = (behind > (0.0, 0.8, -0.5)).astype(np.float32)
    else:
        targets = behind[:, :1].astype(np.float32)
    names, task = ("a", "b", "c")[: targets.shape[1]], task_of(kind)
    found = gather_targets(
        task,
        x[:n],
        WIDTHS,
        targets[:n],
        names,
        (targets[:n, 0] > 0).astype(np.intp),
        np.arange(n),
        candidates=candidates_of(3),
        seed=0,
        units=(10.0, 4.0) if kind == "number" else (0.0, 1.0),
    )
    parts = found.evidence.probes[found.evidence.chosen].made_of
    head = fit_average(x[:n], WIDTHS, targets[:n], len(names), parts)
    answer = found.evidence.answer
    assert answer is not None
    head = head.adjusted(*answer.calibration())
    shares = task.shares(head.logits_of(x, WIDTHS, np.arange(n, 2 * n)))
    return found, task.merit(shares, targets[n:]), shares - targets[n:], targets


@pytest.mark.parametrize("kind", ["several", "number"])
def test_what_is_expected_comes_true_on_new_images(kind: str) -> None:
    found, got, _, targets = evidence(kind)
    told = found.evidence
    assert told.expected == pytest.approx(got, abs=0.05)
    assert told.expected_interval[0] < told.expected < told.expected_interval[1]
    assert [probe.taps for probe in told.depths] == [(0,), (1,), (2,)]
    assert told.depths[0].accuracy < told.depths[2].accuracy < told.expected + 0.05
    assert told.learnt
    share = float(targets[:240].mean())
    assert told.guess == pytest.approx(share if kind == "several" else 0.0, abs=1e-6)


def test_labels_that_say_nothing_of_the_image_are_not_learnt() -> None:
    x, _ = features()
    random = np.random.default_rng(5)
    for kind, targets in (
        ("several", (random.random((300, 2)) < 0.3).astype(np.float32)),
        ("number", random.normal(size=(300, 1)).astype(np.float32)),
    ):
        names = ("a", "b")[: targets.shape[1]]
        strata = np.zeros(300, np.intp)
        found = gather_targets(
            task_of(kind), x, WIDTHS, targets, names, strata, np.arange(300),
            candidates=candidates_of(3), seed=0,
        ).evidence  # fmt: skip
        assert not found.learnt, kind


def test_answers_of_evidence_fit_its_labels_and_the_unit_of_its_number() -> None:
    several, _, _, _ = evidence("several")
    answer = several.evidence.answer
    assert (answer.kind, len(answer.slopes), len(answer.thresholds)) == ("several", 3, 3)
    assert several.evidence.per_class == tuple((several_targets() > 0).sum(0).tolist())
    number, _, errors, _ = evidence("number")
    answer = number.evidence.answer
    assert (answer.kind, answer.mean, answer.spread, answer.slopes) == ("number", 10.0, 4.0, (1.0,))
    assert np.mean(np.abs(errors) * 4.0 <= answer.half_width) == pytest.approx(0.95, abs=0.04)


def test_a_rare_label_is_not_given_to_most_images_by_a_layer_that_is_not_calibrated() -> None:
    """Five of sixty training images have it; half of its best F1 would give it to three in four."""
    x, behind = features(240)
    noisy = behind[:, 1] + np.random.default_rng(1).normal(0, 1.5, 240)
    targets = np.column_stack([behind[:, 0] > 0, noisy > 2.1]).astype(np.float32)
    task, train = task_of("several"), slice(60)
    found = gather_targets(
        task, x[train], WIDTHS, targets[train], ("often", "rare"), targets[train, 1].astype(int),
        np.arange(60), candidates=[(0,), (1,), (2,)], seed=0, average=False,
    ).evidence  # fmt: skip
    taps = found.probes[found.chosen].taps
    head = fit_textbook(x[train], WIDTHS, targets[train], 2, taps, seed=0, kind="several")
    shares = task.shares(head.logits_of(x, WIDTHS, np.arange(60, 240)))
    assert found.answer is not None
    assert found.answer.thresholds == (0.5, 0.5)
    assert (shares >= found.answer.thresholds).mean(0)[1] < 0.3


def several_targets() -> Any:
    _, behind = features(480)
    return behind[:240] > (0.0, 0.8, -0.5)


# --- the tables of a RUN -------------------------------------------------------------------------


def test_predictions_of_each_kind_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    several = Predictions(
        ["a.jpg", "b.jpg"],
        np.array([[True, True], [False, False]]),
        np.array([[0.9, 0.2], [0.1, 0.55]]),
        "several",
        (0.5, 0.5),
    )
    number = Predictions(
        ["a.jpg", "b.jpg"], np.array([0.1, 14.0]), np.array([0.25, 13.5]), "number"
    )
    for written, names, rows in (
        (several, ["x", "y"], [["x|y", "x", "1"], ["", "y", "1"]]),
        (number, ["depth"], [["0.1", "0.25", "0.15"], ["14", "13.5", "-0.5"]]),
    ):
        path = tmp_path / f"{written.kind}.csv"
        write_csv(path, prediction_rows(written, names))
        lines = path.read_text().splitlines()
        assert [line.split(",")[1:4] for line in lines[1:]] == rows
        found = read_predictions(path, names, kind=written.kind, thresholds=written.thresholds)
        assert found.paths == written.paths
        assert_array_equal(found.truth, written.truth)
        assert_allclose(found.probabilities, written.probabilities)
        assert (found.kind, found.thresholds) == (written.kind, written.thresholds)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("kind", "many", "evidence.answer.kind: must be several or number, got 'many'."),
        ("slopes", (1.0,), "evidence.answer.slopes: must be 2, one a class, got 1."),
        ("thresholds", (), "evidence.answer.thresholds: must be 2, one a class, got 0."),
        ("spread", 0.0, "evidence.answer.spread: must be above 0, got 0.0."),
    ],
)
def test_a_plan_that_was_edited_says_what_is_wrong_in_its_answers(
    field: str, value: Any, says: str, several_run: Path
) -> None:
    plan = serialize.read(several_run / "plan.json")
    answer = plan.evidence.answer
    assert answer is not None
    two = replace(plan.evidence, classes=plan.evidence.classes[:2])
    two = replace(two, answer=replace(
        answer, slopes=(1.0, 1.0), offsets=(0.0, 0.0), thresholds=(0.5, 0.5)
    ))  # fmt: skip
    assert list(serialize.contradictions(replace(plan, evidence=two))) == []
    assert two.answer is not None
    wrong = replace(two, answer=replace(two.answer, **{field: value}))
    assert says in serialize.contradictions(replace(plan, evidence=wrong))
    assert serialize.loads(serialize.dumps(plan)) == plan
