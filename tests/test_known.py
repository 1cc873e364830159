"""What tells images like the training images from others: the scores, and how they are weighed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from regraft.heads.known import (
    LIMIT,
    known_of,
    ranked,
    scores_of,
    some,
    space_of,
)
from regraft.heads.ridge import Head, fit
from regraft.metrics import auroc
from regraft.plan import unknown
from regraft.plan.unknown import (
    Judgement,
    TapFeatures,
    by_probability,
    judge,
    points,
    sample,
    turns_of,
)

WIDTHS = (6, 10)
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.intp]


def drawn(
    images: int, classes: int, seed: int = 0, apart: float = 2.0
) -> tuple[NDArray[np.float16], Labels]:
    """Features ``[n, 16]`` of classes about means of their own, and labels; the means stay."""
    means = np.random.default_rng(100).normal(size=(classes, 16)) * apart
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    spread = np.linspace(0.3, 1.5, 16)
    return (3 + means[labels] + random.normal(size=(images, 16)) * spread).astype(
        np.float16
    ), labels


def images_of(features: NDArray[np.float16], labels: Labels, folds: int = 5) -> TapFeatures:
    turn = np.random.default_rng(1).permutation(len(labels)) % folds
    return TapFeatures(features, WIDTHS, labels, turn)


def head_of(images: TapFeatures) -> Callable[[Labels], Head]:
    classes = int(images.labels.max()) + 1

    def made(rows: Labels) -> Head:
        x, y = images.features[rows], images.labels[rows]
        return fit(x, WIDTHS, y, classes, (0, 1), 0.3).scaled(0.1)

    return made


def judged(features: NDArray[np.float16], labels: Labels, folds: int = 5) -> Judgement:
    images = images_of(features, labels, folds)
    return judge(images, head_of(images), 0)


# ---- the scores


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(0)
    own, others = random.integers(0, 9, 50), random.integers(-3, 7, 30)
    pairs = (own[:, None] > others).mean() + 0.5 * (own[:, None] == others).mean()
    assert_allclose(auroc(own, others), pairs)
    assert auroc([2.0, 3.0], [1.0]) == 1
    assert auroc([], [1.0]) == 0.5


def test_the_scores_are_what_their_formulas_say() -> None:
    features, labels = drawn(60, 3)
    space = space_of(features, WIDTHS, labels)
    x = drawn(4, 3, seed=5)[0]
    logits = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    found = scores_of(space, x, logits)
    exp = np.exp(logits.astype(np.float64))
    assert_allclose(found[:, 0], (exp / exp.sum(1, keepdims=True)).max(1), rtol=1e-5)
    assert_allclose(found[:, 1], np.log(exp.sum(1)), rtol=1e-5)

    def cosines(a: Floats, b: Floats) -> Floats:
        a, b = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))
        product: Floats = a @ b.T
        return product

    own, new = features.astype(float), x.astype(float)
    near = (cosines(new[:, :6], own[:, :6]) + cosines(new[:, 6:], own[:, 6:])) / 2
    assert_allclose(found[:, 2], np.sort(near, axis=1)[:, -5:].mean(1), atol=1e-3)
    z = (own - space.mean) * space.scale
    means = np.stack([z[labels == c].mean(0) for c in range(3)])

    def shrunk(apart: Floats, freedom: int) -> Floats:
        covariance = apart.T @ apart / freedom
        even: Floats = 0.1 * covariance.trace() / 16 * np.eye(16)
        return 0.9 * covariance + even

    within, total = shrunk(z - means[labels], 57), shrunk(z, 59)
    q = (new - space.mean) * space.scale

    def far(covariance: Floats, centre: Floats) -> Floats:
        apart = q - centre
        squared: Floats = np.square(apart @ np.linalg.cholesky(np.linalg.inv(covariance))).sum(1)
        return squared

    nearest = np.min([far(within, mean) for mean in means], axis=0)
    assert_allclose(found[:, 3], far(total, np.zeros(16)) - nearest, rtol=0.02, atol=0.3)


def test_what_lies_across_the_directions_kept_counts_too() -> None:
    features, labels = drawn(80, 8)
    space = space_of(features, WIDTHS, labels, rank=5)
    assert space.basis.shape == (16, 5)
    across = np.linalg.svd(space.basis.T)[2][5:][0] / space.scale
    far = (space.mean + np.outer([0, 1, 10], across)).astype(np.float32)
    scores = space.mahalanobis(far)
    assert scores[0] > scores[1] > scores[2]
    random = np.random.default_rng(0).permutation(labels)  # the spread within is that of all
    scores = space_of(features, WIDTHS, random, rank=5).mahalanobis(far)
    assert scores[0] >= scores[2] - 1e-3


def test_of_a_class_its_share_is_kept_and_one_at_least() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2])
    kept = some(labels, 20)
    assert len(kept) == 20
    assert np.bincount(labels[kept]).tolist() == [17, 2, 1]
    assert_array_equal(some(labels, 100), np.arange(100))


@pytest.mark.parametrize(
    "features",
    [
        pytest.param(np.zeros((12, 16)), id="nothing is active"),
        pytest.param(np.full((12, 16), 7.0), id="constant"),
        pytest.param(np.full((12, 16), 65504.0), id="the largest that float16 holds"),
        pytest.param(np.eye(12, 16) * 60000, id="one channel each"),
    ],
)
def test_features_that_say_nothing_are_no_error(features: Floats) -> None:
    found = judged(features.astype(np.float16), np.arange(12) % 3, folds=3)
    tensors = found.known.tensors()
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    again = known_of(tensors, WIDTHS)
    assert again is not None
    belief = again.belief(features.astype(np.float16), np.zeros((12, 3), np.float32))
    assert ((belief > 0) & (belief <= 1)).all()


# ---- how they are weighed


def test_strangers_are_told_and_own_images_are_kept() -> None:
    features, labels = drawn(400, 6)
    inside = labels < 4
    found = judged(features[inside], labels[inside])
    fresh, kinds = drawn(900, 6, seed=9)
    images = images_of(features[inside], labels[inside])
    head = head_of(images)(np.arange(inside.sum()))
    belief = found.known.belief(fresh, head.logits(fresh))
    own = belief[kinds < 4]
    assert 0.92 < (own > LIMIT).mean() < 0.98
    assert auroc(own, belief[kinds > 3]) > 0.9
    far = (fresh * -1).astype(np.float16)
    assert not (found.known.belief(far, head.logits(far)) > LIMIT).any()
    assert set(found.left_out) == {0, 1, 2, 3}
    assert all(one.n == 67 or one.n == 66 for one in found.left_out.values())
    assert np.mean([one.auroc for one in found.left_out.values()]) > 0.8


def test_a_score_counts_as_much_as_it_tells() -> None:
    features, labels = drawn(400, 4)
    random = np.random.default_rng(0)
    shuffled = judged(features, random.permutation(labels)).known.scaling[2]
    told = judged(features, labels).known.scaling[2]
    assert (shuffled[:2] < 0.1).all()
    assert (told[:2] > 0.2).all()
    assert_array_equal(shuffled[2:], told[2:])


def test_of_two_classes_none_can_be_left_out() -> None:
    features, labels = drawn(80, 2)
    found = judged(features, labels)
    assert not found.left_out
    assert_allclose(found.known.scaling[2], np.array(unknown.WEIGHTS) * [0.3, 0.3, 1, 1])
    far = (features * -1).astype(np.float16)
    assert not (found.known.belief(far, np.zeros((80, 2), np.float32)) > LIMIT).any()


def test_many_classes_of_few_images_and_one_of_two() -> None:
    features, labels = drawn(180, 60)
    found = judged(features, labels)
    assert len(found.left_out) == 60
    rare = np.concatenate([np.flatnonzero(labels < 3)[:60], np.flatnonzero(labels == 3)[:2]])
    assert judged(features[rare], labels[rare]).left_out[3].n == 2


def test_an_image_is_judged_by_what_has_not_seen_it() -> None:
    """Noise of many channels: what has seen an image finds it near, what has not does not."""
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 16)).astype(np.float16)
    found = judged(features, np.arange(60) % 3)
    images = images_of(features, np.arange(60) % 3)
    head = head_of(images)(np.arange(60))
    seen = found.known.belief(features, head.logits(features))
    assert found.beliefs.mean() == pytest.approx(0.5, abs=0.02)
    assert seen.mean() > 0.6


def test_the_belief_is_a_share_of_own_images() -> None:
    own = np.arange(99.0)
    assert_allclose(ranked(np.array([-1.0, 0.0, 3.5, 200.0]), own), [0.01, 0.02, 0.05, 1.0])
    many = points(np.random.default_rng(0).permutation(100_000) / 100_000)
    assert len(many) == unknown.POINTS
    assert_allclose(ranked(np.array([0.05, 0.5]), many), [0.05, 0.5], atol=2e-3)


def test_a_sample_has_its_share_of_every_class() -> None:
    labels = np.array([0] * 5000 + [1] * 1000 + [2] * 3)
    rows = sample(labels, 0)
    assert len(rows) == len(set(rows)) == unknown.MOST
    assert np.bincount(labels[rows], minlength=3)[2] >= 1
    assert_array_equal(np.sort(sample(labels[::100], 0)), np.arange(61))


def test_an_image_alone_and_among_others_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = drawn(90, 3)
    known = judged(features, labels).known
    logits = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    seen: list[int] = []

    def counted(space: Any, x: Any, z: Any) -> Any:
        seen.append(len(x))  # a product of matrices rounds otherwise for another number of rows
        return scores_of(space, x, z)

    monkeypatch.setattr("regraft.heads.known.scores_of", counted)
    together = known.belief(features, logits)
    assert seen == [1] * 90
    assert_allclose(known.belief(features, logits, at_once=True), together, atol=0.02)
    assert seen[90:] == [90]
    alone = [known.belief(features[n : n + 1], logits[n : n + 1])[0] for n in range(90)]
    assert_array_equal(together, alone)


def test_it_is_saved_in_half_precision_and_read_back_the_same() -> None:
    features, labels = drawn(90, 3)
    known = judged(features, labels).known
    again = known_of(known.tensors(), WIDTHS)
    assert again is not None
    logits = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    assert_array_equal(again.belief(features, logits), known.belief(features, logits))
    assert known.tensors()["known.basis"].dtype == np.float16
    assert known_of({}, WIDTHS) is None


def test_the_probability_alone_says_it_where_there_is_no_more() -> None:
    shares = np.random.default_rng(0).dirichlet([0.3, 0.3, 0.3], 200)
    known = known_of(by_probability(shares).tensors(), WIDTHS)
    assert known is not None
    logits = np.log(shares + 1e-12).astype(np.float32)
    belief = known.belief(np.zeros((200, 16)), logits)
    assert (np.diff(belief[np.argsort(shares.max(1))]) >= 0).all()
    assert (belief > LIMIT).mean() == pytest.approx(0.95, abs=0.01)


def test_few_images_are_scored_in_more_turns_and_groups_stay_together() -> None:
    for images, turns in ((300, 20), (301, 10), (12, 6)):
        groups = np.arange(images) // 2
        found = turns_of(np.arange(images) % 3, groups, 0)
        assert len(np.unique(found)) == turns
        assert all(len(np.unique(found[groups == g])) == 1 for g in np.unique(groups))


def test_a_class_that_lies_apart_does_not_pass() -> None:
    features, labels = drawn(300, 4, apart=8.0)
    assert all(one.accepted == 0 for one in judged(features, labels).left_out.values())
    same = drawn(300, 4, apart=0.0)[0]
    assert all(one.accepted > 0.8 for one in judged(same, labels).left_out.values())
