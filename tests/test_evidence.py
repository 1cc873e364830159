"""Evidence: the choice is the right one, is judged honestly, and sees no more than it may."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.heads.average import Part, stage_weights, union
from regraft.metrics import signal_of
from regraft.plan.averaging import (
    CUT,
    Judged,
    averaged,
    choose,
    judged,
    logits_of,
    made_of,
    shortened,
)
from regraft.plan.evidence import (
    candidates_of,
    gather,
    sample,
)
from regraft.plan.neighbours import neighbours
from regraft.plan.size import size_of

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
    ).evidence
    chosen = evidence.probes[evidence.chosen]
    assert max(chosen.weights, key=lambda d: chosen.weights[d]) == depth
    assert chosen.weights[depth] > 0.5
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
    ).evidence
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
    ).evidence
    assert max(probe.accuracy for probe in evidence.single) > 0.62
    assert evidence.expected < 0.6


def heads_saying(*second: Sequence[float], labels: Sequence[int]) -> Judged:
    """Heads that give the second of two classes these scores, the same at every penalty."""
    each = np.array(second, np.float16)
    scores = np.repeat(np.stack([1 - each, each], 2)[:, None], 4, axis=1)
    return judged([(d,) for d in range(len(each))], scores, np.array(labels))


def test_a_head_counts_the_less_the_more_it_errs() -> None:
    labels = [0, 1] * 20
    sure, unsure = [0.0, 1.0] * 20, [0.1, 0.9, 0.6, 0.4] * 10
    weights = stage_weights(averaged(heads_saying(sure, unsure, labels=labels), [0, 1]))
    assert weights[0] > 0.99, "half as sure errs by half a nat more"
    nearly = [0.0, 1.0] * 19 + [0.4, 0.6]
    weights = stage_weights(averaged(heads_saying(sure, nearly, labels=labels), [0, 1]))
    assert weights[0] > weights[1] > 0.2
    assert sum(weights.values()) == pytest.approx(1)


def test_heads_speak_equally_loud() -> None:
    """A head whose scores differ ten times as much has no more to say for that."""
    labels = [0, 1] * 8
    found = heads_saying([0.0, 1.0] * 8, [0.45, 0.55] * 8, labels=labels)
    parts = averaged(found, [0, 1])
    loud, low = ([part for part in parts if part.taps == (d,)] for d in (0, 1))
    share = sum(part.weight for part in loud)
    assert share == pytest.approx(0.5, abs=0.01)
    sizes = [logits_of(found, some).std(1) for some in (loud, low)]
    np.testing.assert_allclose(sizes[0], sizes[1], rtol=0.02)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(0, 5))
def test_what_is_cut_off_hardly_counted(shares: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 4, len(shares))
    whole = sum(shares)
    parts = tuple(
        Part(tuple(range(end + 1)), 1.0, share / whole, 1.0)
        for end, share in zip(ends.tolist(), shares, strict=True)
    )
    short = shortened(parts)
    gone = [part for part in parts if part.taps[-1] > union(short)[-1]]
    assert sum(part.weight for part in gone) <= CUT + 1e-9
    assert sum(part.weight for part in short) == pytest.approx(1)
    less = [part for part in parts if part.taps[-1] < union(short)[-1]]
    assert sum(part.weight for part in less) < 1 - CUT, "one stage less would be too much"


def test_what_is_worse_by_the_same_on_every_image_does_not_count() -> None:
    labels = [0, 1] * 20
    found = heads_saying([0.0, 1.0] * 20, [0.2, 0.8] * 20, labels=labels)
    same = np.broadcast_to(np.array([0.25, 0.75], np.float32)[:, None, None], found.surprise.shape)
    worse = replace(found, surprise=same)
    assert stage_weights(averaged(worse, [0, 1])) == {0: pytest.approx(1)}


def test_the_tail_is_what_the_last_stages_count() -> None:
    """Also where none of the heads that read them has kept a share."""
    rng = np.random.default_rng(0)
    labels = [0, 1] * 20
    good = np.clip([0.1, 0.9] * 20 + rng.normal(0, 0.02, 40), 0, 1).tolist()
    noise = rng.uniform(0, 1, 40).tolist()
    made = made_of(heads_saying(good, noise, labels=labels), [0, 1], 1)
    assert made.chosen == made.cut
    assert made.tail == 0
    assert made.whole is not None
    assert union(made.whole) == (1,)
    alike = made_of(heads_saying(good, good, labels=labels), [0, 1], 1)
    assert alike.chosen == alike.whole
    assert alike.tail == pytest.approx(0.5)


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


def test_signal_is_that_of_guesses_where_nothing_is_told() -> None:
    rng = np.random.default_rng(0)
    found = [
        signal_of(rng.integers(0, 4, 400), rng.permutation(np.arange(400) % 4), 4)
        for _ in range(400)
    ]
    assert abs(np.mean(found)) < 0.15
    assert np.std(found) == pytest.approx(1, abs=0.12)
    labels = np.arange(400) % 4
    assert signal_of(labels, labels, 4) > 20
    assert signal_of(np.zeros(400, np.intp), labels, 4) == 0
    rare = np.r_[np.zeros(3000, np.intp), np.ones(3, np.intp)]
    one_of_three = np.r_[np.zeros(3002, np.intp), np.ones(1, np.intp)]
    assert signal_of(one_of_three, rare, 2) > 5, "accuracy would say that naming one class is best"


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
