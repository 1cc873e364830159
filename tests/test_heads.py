"""Linear heads: the closed form is the right one, and folds stay apart."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge

from regraft.heads.average import Part, fit_average, stage_weights
from regraft.heads.ridge import (
    FLOOR,
    Head,
    InTurn,
    as_float32,
    class_weights,
    columns,
    cross_validate,
    fit,
    side_by_side,
)
from regraft.heads.sgd import fit_textbook

WIDTHS = (3, 6, 12)


def blobs(n: int = 90, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features whose second and third depth tell the classes apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(0, 2, (classes, sum(WIDTHS)))
    centres[:, : WIDTHS[0]] = 0
    features = centres[labels] + rng.normal(0, 1, (n, sum(WIDTHS)))
    return features.astype(np.float16), labels


@pytest.mark.parametrize("n", [12, 90])
@pytest.mark.parametrize("weighting", ["none", "balanced"])
def test_ridge_is_scikit_learns(n: int, weighting: str) -> None:
    features, labels = blobs(n)
    labels = np.where(labels == 2, 1, labels)  # uneven classes
    taps, strength = (1, 2), 0.7
    head = fit(features, WIDTHS, labels, 2, taps, strength, weighting)
    x = features[:, columns(WIDTHS, taps)].astype(np.float64)
    weights = class_weights(labels, 2, weighting).astype(np.float64)
    mean = np.average(x, axis=0, weights=weights)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    of_depth = np.concatenate(
        [
            np.full(w, np.sqrt(np.mean(part**2)))
            for w, part in zip(WIDTHS[1:], np.split(deviation, [WIDTHS[1]]), strict=True)
        ]
    )
    quiet = (x - mean) / (deviation + FLOOR * of_depth)
    spread = np.average(quiet**2, axis=0, weights=weights)
    total = [part.sum() for part in np.split(spread, [WIDTHS[1]])]
    z = quiet / np.sqrt(np.repeat(total, WIDTHS[1:]) * len(taps))
    reference = Ridge(alpha=strength).fit(z, np.eye(2)[labels], sample_weight=weights)
    np.testing.assert_allclose(head.logits(x), reference.predict(z), atol=2e-4)


def test_small_and_large_sets_take_either_product_to_the_same_layer() -> None:
    features, labels = blobs(18)
    doubled = np.concatenate([features, features])  # 36 > 18 columns: the other product
    one = fit(features, WIDTHS, labels, 3, (1, 2), 1.0)
    two = fit(doubled, WIDTHS, np.concatenate([labels, labels]), 3, (1, 2), 2.0)
    np.testing.assert_allclose(one.weight, two.weight, atol=1e-4)


def test_held_out_images_do_not_touch_the_heads_that_judge_them() -> None:
    features, labels = blobs()
    folds = np.arange(len(labels)) // 30
    before = cross_validate(features, WIDTHS, labels, 3, folds, [(0,), (1, 2)])
    changed, relabelled = features.copy(), labels.copy()
    changed[0], relabelled[0] = 50, (labels[0] + 1) % 3
    after = cross_validate(changed, WIDTHS, relabelled, 3, folds, [(0,), (1, 2)])
    same_fold = np.flatnonzero(folds == folds[0])[1:]
    np.testing.assert_array_equal(before[:, :, same_fold], after[:, :, same_fold])
    assert not np.array_equal(before[:, :, folds == 1], after[:, :, folds == 1])


def test_a_fitted_head_is_what_cross_validation_judged() -> None:
    features, labels = blobs()
    folds = np.arange(len(labels)) // 30
    scores = cross_validate(features, WIDTHS, labels, 3, folds, [(2,)], [0.3])[0, 0]
    rest = folds != 1
    head = fit(features[rest], WIDTHS, labels[rest], 3, (2,), 0.3)
    own = features[folds == 1][:, columns(WIDTHS, (2,))]
    np.testing.assert_allclose(head.logits(own), scores[folds == 1], atol=2e-3)


def test_balanced_weights_let_every_class_weigh_the_same() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = class_weights(labels, 2, "balanced")
    assert weights.mean() == pytest.approx(1)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())


def test_a_temperature_changes_no_decision() -> None:
    features, labels = blobs()
    head = fit(features, WIDTHS, labels, 3, (1,), 1.0)
    own = features[:, columns(WIDTHS, (1,))]
    cold = head.scaled(0.05)
    np.testing.assert_array_equal(head.logits(own).argmax(1), cold.logits(own).argmax(1))
    np.testing.assert_allclose(cold.logits(own), head.logits(own) * 20, rtol=1e-3, atol=1e-4)


def test_a_channel_that_never_changes_is_harmless() -> None:
    features, labels = blobs()
    features[:, 4] = 1.5
    head = fit(features, WIDTHS, labels, 3, (1,), 0.1)
    assert np.isfinite(head.weight).all()
    right = head.logits(features[:, columns(WIDTHS, (1,))]).argmax(1) == labels
    assert right.mean() > 0.9


def test_textbook_layer_learns_and_repeats_bit_for_bit() -> None:
    features, labels = blobs()
    one = fit_textbook(features, WIDTHS, labels, 3, (2,), seed=3)
    two = fit_textbook(features, WIDTHS, labels, 3, (2,), seed=3)
    other = fit_textbook(features, WIDTHS, labels, 3, (2,), seed=4)
    own = features[:, columns(WIDTHS, (2,))]
    assert (one.logits(own).argmax(1) == labels).mean() > 0.95
    np.testing.assert_array_equal(one.weight, two.weight)
    assert not np.array_equal(one.weight, other.weight)
    assert isinstance(one, Head)


def test_an_average_is_the_sum_of_its_heads() -> None:
    features, labels = blobs(40)
    parts = [Part((0,), 1.0, 0.2, 0.5), Part((1, 2), 0.3, 0.5, 2.0), Part((1, 2), 3.0, 0.3, 1.0)]
    rows = np.arange(5, 40)
    head = fit_average(features, WIDTHS, labels[rows], 3, parts, "balanced", rows)
    by_hand = np.zeros((40, 3), np.float32)
    for part in parts:
        one = fit(features, WIDTHS, labels[rows], 3, part.taps, part.strength, "balanced", rows)
        logits = one.logits(features[:, columns(WIDTHS, part.taps)])
        by_hand += np.float32(part.weight / part.scale) * logits
    assert head.taps == (0, 1, 2)
    np.testing.assert_allclose(head.logits(features), by_hand, atol=1e-4)
    assert stage_weights(parts) == pytest.approx({0: 0.2, 1: 0.4, 2: 0.4})


def test_scores_of_some_rows_are_those_rows_of_all_scores() -> None:
    features, labels = blobs(40)
    head = fit(features, WIDTHS, labels, 3, (0, 2), 1.0)
    rows = np.array([31, 4, 17])
    scores = head.logits(features[:, columns(WIDTHS, head.taps)])
    np.testing.assert_allclose(head.logits_of(features, WIDTHS, rows), scores[rows], atol=1e-5)


def test_a_channel_that_never_varies_says_nothing() -> None:
    features, labels = blobs(40)
    features[:, 3] = 7
    features[:, : WIDTHS[0]] = 1.0  # a whole depth that is the same for all
    head = fit_average(features, WIDTHS, labels, 3, [Part((0, 1, 2), 1.0, 1.0, 1.0)])
    assert np.isfinite(head.weight).all()


@pytest.mark.parametrize("kind", ["several", "number"])
def test_the_textbooks_layer_learns_several_labels_and_numbers(kind: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, sum(WIDTHS))).astype(np.float16)
    told = x[:, -2:].astype(np.float32)
    targets = (told > 0).astype(np.float32) if kind == "several" else told
    found = fit_textbook(x, WIDTHS, targets, 2, (len(WIDTHS) - 1,), seed=0, kind=kind)
    said = found.logits(x[:, -WIDTHS[-1] :])
    if kind == "several":
        assert ((said > 0) == (targets > 0)).mean() > 0.9
    else:
        np.testing.assert_allclose(said, targets, atol=0.3)


def test_taps_apart_cost_no_copy_of_the_images_that_are_not_asked_for() -> None:
    """Of a million images a copy of their columns, to take a few rows of it, was gigabytes."""
    features = (np.arange(200_000 * 6) % 2048).reshape(-1, 6).astype(np.float16)
    rows = np.array([5, 199_999, 7])
    tracemalloc.start()
    found = as_float32(features, [1, 2, 2, 1], (0, 2), rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_array_equal(found, features[rows][:, [0, 3, 4]].astype(np.float32))
    assert_array_equal(as_float32(features, [1, 2, 2, 1], (1, 2)), features[:, 1:5])
    assert peak < features.nbytes / 10


@pytest.mark.parametrize(
    ("images", "width", "cores", "abreast"),
    [
        pytest.param(3_000, 2_064, 2, True, id="3,000 images on two cores"),
        pytest.param(8_000, 2_064, 2, False, id="8,000"),
        pytest.param(3_000, 2_064, 12, False, id="twelve cores have no more memory"),
        pytest.param(500, 2_064, 12, True, id="few images"),
        pytest.param(3_000, 9_216, 2, False, id="a wide network"),
    ],
)
def test_fits_go_side_by_side_where_all_of_them_fit_into_memory(
    images: int, width: int, cores: int, abreast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    with side_by_side(images * width) as (each, inner):
        assert (each is not map) == abreast
        assert isinstance(inner, InTurn) == abreast
