"""Evidence: the choice is the right one, is judged honestly, and sees no more than it may."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.plan.evidence import (
    candidates_of,
    choose,
    gather,
    neighbours,
    sample,
    size_of,
)

WIDTHS = (8, 8, 8, 8)


def features_telling(depth: int, n: int = 120, classes: int = 3, seed: int = 0):  # type: ignore[no-untyped-def]
    """Features of which one depth tells the classes apart and the others are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = rng.normal(0, 1, (n, sum(WIDTHS)))
    centres = rng.normal(0, 2.5, (classes, WIDTHS[depth]))
    features[:, 8 * depth : 8 * depth + 8] += centres[labels]
    return features.astype(np.float16), labels


@pytest.mark.parametrize("depth", [0, 2, 3])
def test_the_depth_that_tells_is_chosen(depth: int) -> None:
    features, labels = features_telling(depth)
    evidence = gather(
        features, WIDTHS, labels, "abc", np.arange(120), candidates=candidates_of(4), seed=0
    )
    assert evidence.probes[evidence.chosen].taps == (depth,)
    assert evidence.expected > 0.9
    assert evidence.guess == pytest.approx(1 / 3)
    last_tells = depth == 3
    assert (evidence.similarity > 0.9) == last_tells


def test_noise_is_expected_to_be_guessed() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (300, 32)).astype(np.float16)
    labels = rng.integers(0, 2, 300)
    evidence = gather(
        features, WIDTHS, labels, "ab", np.arange(300), candidates=candidates_of(4), seed=0
    )
    assert 0.4 < evidence.expected < 0.6
    low, high = evidence.expected_interval
    assert low < 0.5 < high


def test_the_simplest_within_one_standard_error_wins() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(1, 1, 400)
    tried = [(0,), (1,), (0, 1)]
    tie = np.stack([base + 0.5, base + rng.normal(0.001, 0.2, 400), base])[:, None, :]
    assert choose(tie.astype(np.float32), tried, [1, 0, 2])[0] == 1
    clear = tie.copy()
    clear[1] += 0.1
    assert choose(clear.astype(np.float32), tried, [1, 0, 2])[0] == 2


def test_a_choice_is_not_judged_by_the_images_it_was_made_on() -> None:
    """Among many candidates of pure noise the best looks good; the honest figure does not."""
    rng = np.random.default_rng(1)
    widths = (2,) * 40
    features = rng.normal(0, 1, (60, 80)).astype(np.float16)
    labels = rng.permutation(np.arange(60) % 2)
    evidence = gather(
        features, widths, labels, "ab", np.arange(60), candidates=candidates_of(40), seed=0
    )
    assert max(probe.accuracy for probe in evidence.probes) > 0.62
    assert evidence.expected < 0.6


def test_candidates_run_from_simple_to_complex() -> None:
    assert candidates_of(8)[:8] == [(d,) for d in range(7, -1, -1)]
    assert candidates_of(8)[8:] == [
        (4, 5, 6, 7),
        (3, 4, 5, 6),
        tuple(range(8)),
        tuple(range(7)),
    ]
    assert candidates_of(8, several=False) == [(d,) for d in range(7, -1, -1)]
    assert candidates_of(8, cut=5) == [(5,), (3, 4, 5), (0, 1, 2, 3, 4, 5)]
    assert candidates_of(1) == [(0,)]


@given(st.integers(1, 30), st.data())
def test_every_candidate_under_a_cut_ends_at_it(depths: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, depths - 1))
    for taps in candidates_of(depths, cut=cut):
        assert taps[-1] == cut
        assert list(taps) == sorted(set(taps))


def test_size_counts_images_a_class_too() -> None:
    small, large = size_of(np.array([50, 50])), size_of(np.array([25_000] * 4))
    assert small == 0
    assert large == 1
    assert size_of(np.array([2_236] * 2)) == pytest.approx(0.5, abs=0.01)
    many_kinds = size_of(np.array([10] * 1000))
    assert many_kinds == pytest.approx(size_of(np.array([500, 500])), abs=0.01)


def test_a_near_copy_is_no_neighbour() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(0, 1, (40, 16))
    features = np.concatenate([half, half + 1e-3]).astype(np.float16)
    labels = np.tile(rng.integers(0, 2, 40), 2)
    apart = neighbours(features, labels, np.tile(np.arange(40), 2), k=1)
    together = neighbours(features, labels, np.arange(80), k=1)
    assert together == 1
    assert apart < 0.75


def test_a_large_set_is_sampled_by_seed() -> None:
    labels = np.zeros(30_000, np.intp)
    one, two = sample(labels, 10, 0), sample(labels, 10, 0)
    np.testing.assert_array_equal(one, two)
    assert len(one) == 10_000
    assert len(sample(labels, 1000, 0)) == 2_000
    assert len(sample(labels[:50], 10, 0)) == 50
