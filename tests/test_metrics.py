"""Scores against scikit-learn and scipy, temperature against a grid."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from regraft.metrics import (
    ClassScores,
    _zeros_of_rising,
    calibration_error,
    fit_temperature,
    fit_temperatures,
    log_loss,
    score,
    softmax,
    squared_error,
    wilson,
)


def example(seed: int = 0, n: int = 300, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [n, count] that know something of the truth [n]; class sizes differ."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(count, n, p=np.arange(1, count + 1) / np.arange(1, count + 1).sum())
    logits = rng.normal(size=(n, count)) * 2
    logits[np.arange(n), truth] += 2
    return logits, truth


def names(count: int) -> list[str]:
    return [f"class {c}" for c in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    logits, truth = example(seed)
    p = softmax(logits)
    predicted, labels = p.argmax(1), list(range(4))
    got = score(p, truth, names(4))
    assert got.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert got.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert got.log_loss == pytest.approx(metrics.log_loss(truth, p, labels=labels))
    assert got.confusion == metrics.confusion_matrix(truth, predicted, labels=labels).tolist()
    assert got.n == 300
    rows = metrics.precision_recall_fscore_support(truth, predicted, labels=labels)
    for c, (precision, recall, f1, n) in enumerate(zip(*rows, strict=True)):
        one = got.per_class[f"class {c}"]
        assert (one.precision, one.recall, one.f1, one.n) == pytest.approx(
            (precision, recall, f1, n)
        )


def test_guess_is_the_share_of_the_commonest_class() -> None:
    p = np.full((5, 2), 0.5)
    assert score(p, np.array([1, 1, 0, 1, 0]), names(2)).guess == 0.6


def test_what_is_not_known_is_none_and_an_absent_class_does_not_count() -> None:
    p = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0]])
    got = score(p, np.array([0, 0, 1]), names(3))
    never_named = got.per_class["class 1"]
    assert (never_named.precision, never_named.recall, never_named.f1) == (None, 0.0, 0.0)
    assert got.per_class["class 2"] == ClassScores(None, None, None, 0, None)
    assert json.loads(json.dumps(got.to_json()))["per_class"]["class 2"]["recall_interval"] is None
    assert got.balanced_accuracy == 0.5


def test_scores_go_through_json_unchanged() -> None:
    logits, truth = example(n=40)
    data = score(softmax(logits).astype(np.float32), truth, names(4)).to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


@given(st.integers(1, 500), st.data())
def test_wilson_is_that_of_scipy(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n) == pytest.approx((low, high), abs=1e-12)
    assert 0 <= wilson(right, n)[0] <= right / n <= wilson(right, n)[1] <= 1


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_calibration_error_by_hand() -> None:
    # Two bins: confidence 0.6 with half right (gap 0.1), confidence 1.0 with all right (gap 0).
    p = np.array([[0.6, 0.4], [0.6, 0.4], [1.0, 0.0], [0.0, 1.0]])
    assert calibration_error(p, np.array([0, 1, 0, 1])) == pytest.approx(0.1 * 2 / 4)


def test_calibration_error_by_a_plain_loop() -> None:
    logits, truth = example(1)
    p = softmax(logits)
    confidence, right, total = p.max(1), p.argmax(1) == truth, 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(p, truth) == pytest.approx(total)


def test_log_loss_of_certain_error_is_finite() -> None:
    assert log_loss([[1.0, 0.0]], [1]) == pytest.approx(-math.log(np.finfo(float).eps))


def test_softmax_is_stable_and_divides_by_the_temperature() -> None:
    assert softmax([[1e5, 0.0]]).tolist() == [[1.0, 0.0]]
    assert softmax([[2.0, 0.0]], 2.0) == pytest.approx(softmax([[1.0, 0.0]]))


def softened_loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    """Loss that `fit_temperature` documents, written out in full."""
    n, count = logits.shape
    target = np.full((n, count), 1 / (n + 2) / (count - 1))
    target[np.arange(n), truth] = 1 - 1 / (n + 2)
    z = logits / temperature
    logs = z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) - z.max(1)[:, None]
    return float(-(target * logs).sum(1).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 60), st.integers(2, 6), st.floats(1e-3, 1e3))
def test_temperature_is_the_best_of_a_grid(seed: int, n: int, count: int, scale: float) -> None:
    logits, truth = example(seed, n, count)
    logits = logits * scale
    found = fit_temperature(logits, truth)
    size = (logits - logits.mean(1, keepdims=True)).std()
    assert size / 1000.1 <= found <= size * 1000.1
    best = min(softened_loss(logits, truth, t) for t in size * np.geomspace(0.001, 1000, 400))
    assert softened_loss(logits, truth, found) <= best + 1e-9


@pytest.mark.parametrize("together", [1, 60, 10_000])
def test_temperatures_side_by_side_are_those_of_each_alone(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.metrics.TOGETHER", together)
    logits, truth = example(0, 12, 3)
    several = np.stack([logits, 50 * logits, np.ones_like(logits), -logits, logits[::-1]])
    alone = [fit_temperature(one, truth) for one in several]
    assert fit_temperatures(several, truth) == pytest.approx(np.array(alone), rel=1e-12)
    assert len(set(alone)) == 5


def test_a_zero_that_is_found_is_not_sought_on() -> None:
    asked = []

    def rising(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(x)
        return x - 0.25, np.ones_like(x)  # Newton's first step is on it, and its second stays there

    assert _zeros_of_rising(rising, 0.001, 1000.0, 2).tolist() == [0.25, 0.25]
    assert len(asked) == 4  # both ends, the middle, and the zero


@pytest.mark.parametrize("scale", [0.001, 1.0, 50.0])
def test_temperature_undoes_a_scale_and_minimises_plain_log_loss(scale: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2
    truth = (softmax(logits).cumsum(1) > rng.random((20_000, 1))).argmax(1)
    found = fit_temperature(logits * scale, truth)
    assert found == pytest.approx(scale, rel=0.05)
    losses = [log_loss(softmax(logits * scale, found * f), truth) for f in (0.98, 1.0, 1.02)]
    assert losses[1] == min(losses)


def test_temperature_stays_sane_where_all_are_right() -> None:
    logits = np.array([[1.0, -1.0], [-1.0, 1.0]] * 10)
    p = softmax(logits, fit_temperature(logits, np.array([0, 1] * 10)))
    assert p.max(1) == pytest.approx(np.full(20, 21 / 22))


def test_temperature_of_flat_or_misleading_logits() -> None:
    assert fit_temperature(np.full((4, 3), 7.0), np.array([0, 1, 2, 0])) == 1.0
    misleading = np.array([[5.0, 0.0]] * 4)
    p = softmax(misleading, fit_temperature(misleading, np.array([1, 1, 1, 0])))
    assert p == pytest.approx(np.full((4, 2), 0.5), abs=0.001)


@pytest.mark.parametrize(
    ("p", "truth", "said"),
    [
        (np.ones((2, 3)) / 3, np.array([0, 1]), "column for each of 2 classes"),
        (np.ones((2, 2)), np.array([0, 1]), "sum to 1"),
        (np.array([[1.5, -0.5]]), np.array([0]), "positive"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "finite"),
        (np.ones((2, 2)) / 2, np.array([0, 2]), "from 0 to 1, got 0 to 2"),
        (np.ones((2, 2)) / 2, np.array([0, -1]), "got -1 to 0"),
        (np.ones((2, 2)) / 2, np.array([0]), "must be 2 integers"),
        (np.ones((2, 2)) / 2, np.array([0.0, 1.0]), "must be 2 integers"),
        (np.ones((0, 2)), np.array([], dtype=int), "n >= 1"),
    ],
)
def test_what_is_no_prediction_is_refused(p: np.ndarray, truth: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        score(p, truth, names(2))


def test_neither_torch_nor_scikit_learn_is_loaded() -> None:
    code = "import sys, regraft.metrics; print({'torch', 'sklearn', 'scipy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_squared_error_is_the_distance_from_the_truth() -> None:
    shares = np.array([[1.0, 0.0], [0.75, 0.25]])
    assert squared_error(shares, [0, 1]) == pytest.approx((0.0 + 2 * 0.75**2) / 2)
