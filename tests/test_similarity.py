"""Similarity: of the pictures, not of their number, their labels or how hard they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pictures import lay_out
from regraft.data.dataset import Dataset
from regraft.features import engines, norm_shift
from regraft.features.engines.store import home
from regraft.networks.trunk import trace
from regraft.plan.choices import Choices
from regraft.plan.evidence import candidates_of, gather
from regraft.plan.similarity import LINE, later_half, similarity_of
from regraft.run.beside import Beside, Watched
from regraft.run.measure import SHIFT_SAMPLE, measure, shift_sample
from regraft.run.pretrained import open_network
from scenes import each, scenes

if TYPE_CHECKING:
    from torch import nn

WIDTHS = (8, 8, 8, 8)
NEAR, FAR = (0.9, 0.4, 0.2, 0.2), (0.2, 0.3, 1.4, 1.8)


def pictures(n: int, seed: int, grey: bool = False) -> NDArray[np.uint8]:
    """Blots of many sizes and colours under noise, 32 px."""
    rng = np.random.default_rng(seed)
    found = np.zeros((n, 32, 32, 3))
    for cells in (2, 4, 8, 16):
        coarse = rng.normal(0, 30, (n, cells, cells, 1 if grey else 3))
        found += coarse.repeat(32 // cells, 1).repeat(32 // cells, 2)
    return np.clip(found + 118, 0, 255).astype(np.uint8)


def test_it_does_not_move_with_the_number_of_images(tmp_path: Path) -> None:
    network = open_network("demonstration")
    engine, layers, unit = norm_shift.opened(network.backbone, tmp_path, network.build)
    assert len(layers) == 3

    def similarity(n: int, seed: int) -> float:
        shift = norm_shift.distances(engine(pictures(n, seed)), layers, unit)
        return similarity_of((), 0.0, shift, n)

    many = similarity(400, 99)
    assert 0.2 < many < 0.95
    assert all(abs(similarity(10, seed) - many) < 0.08 for seed in range(10))
    assert np.mean([similarity(10, seed) for seed in range(10)]) == pytest.approx(many, abs=0.03)


def test_every_batch_norm_of_a_stage_is_looked_at() -> None:
    network = open_network("efficientnet-lite0")
    layers = norm_shift.norms(trace(network.build(), "lite0"), network.backbone)
    assert len(layers) == 49
    assert [stage for stage, *_ in layers] == sorted(stage for stage, *_ in layers)
    assert {stage for stage, *_ in layers} == set(range(8))


def test_a_source_seen_again_lies_at_no_distance_and_channels_that_differ_far_off() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(0, 0.5, (200, 64)).astype(np.float32)
    squares = (np.square(means) + 0.75).astype(np.float32)
    known = (means.mean(0), squares.mean(0) - np.square(means.mean(0)))

    def distance(variance: NDArray[np.float32]) -> float:
        (found,) = norm_shift.distances([means, squares], [(0, known[0], variance)])
        return found

    assert distance(known[1]) == pytest.approx(0, abs=0.03)
    weaker, unlike = known[1] * 2, known[1] * np.resize([0.5, 2.0], 64).astype(np.float32)
    assert distance(weaker) == pytest.approx(np.log(2) / 2, abs=0.05)
    assert distance(unlike) == pytest.approx(np.log(4), abs=0.1)


def test_few_images_lie_no_farther_than_many() -> None:
    """Their channels differ by chance; extrapolated to many images less of that is left."""
    layers = [(0, np.zeros(256, np.float32), np.ones(256, np.float32))]
    taken, as_they_are = list[float](), list[float]()
    for seed in range(20):
        means = np.random.default_rng(seed).normal(0, 0.7, (6, 256)).astype(np.float32)
        moments = [means, np.square(means) + np.float32(0.51)]  # as many as of the source
        taken += norm_shift.distances(moments, layers)
        as_they_are += norm_shift._stages(moments, layers).tolist()
    assert np.mean(taken) < 0.75 * np.mean(as_they_are)


def test_pictures_of_nothing_are_the_unit_and_are_kept(tmp_path: Path) -> None:
    network = open_network("demonstration")
    drawn = norm_shift.discs(64, 32)
    assert np.array_equal(drawn, norm_shift.discs(64, 32))
    assert norm_shift.ready(network.backbone, tmp_path) is None
    first = norm_shift.look(drawn, network.backbone, tmp_path, network.build)
    assert first is not None
    assert later_half(first) == pytest.approx(1)

    def never() -> "nn.Module":
        raise AssertionError("it was built again")

    assert norm_shift.opened(network.backbone, tmp_path, never)[2] == pytest.approx(
        norm_shift.opened(network.backbone, tmp_path, network.build)[2]
    )


def test_what_measures_the_shift_is_made_ready_once_the_engine_runs(tmp_path: Path) -> None:
    network = open_network("demonstration")
    backbone, trunks = network.backbone, home(tmp_path, network.backbone)
    trunks.mkdir(parents=True)
    usual = norm_shift.look(pictures(8, 1), backbone, trunks, network.build)
    beside = Beside(backbone, tmp_path)
    assert beside.shift(trunks) is None
    engine = Watched(engines.reference(backbone, [0], build=network.build), beside.begin)
    assert np.array_equal(engine(pictures(1, 0))[0], engine(pictures(1, 0))[0])
    known = beside.shift(trunks)
    assert known is not None
    assert known[0]._requests
    assert norm_shift.look(pictures(8, 1), backbone, trunks, network.build, known) == usual
    assert beside.shift(tmp_path) is None  # another network's


def test_a_pass_that_computes_has_it_made_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, known = open_network("demonstration"), []
    whole = norm_shift.look

    def noted(*given: Any) -> Any:
        known.append(given[4])
        return whole(*given)

    monkeypatch.setattr(norm_shift, "look", noted)
    for first in (40, 60, 60):  # the engine is chosen, is known, and has nothing to do
        data = Dataset.open(lay_out(tmp_path / f"{first}", scenes(each(4), first=first)))
        shift = measure(data, network, Choices(), cache=tmp_path / "cache").shift
        assert shift is not None
    assert [one is not None for one in known] == [False, True]


def test_dead_channels_and_pictures_of_one_grey_are_told() -> None:
    flat, alive = np.zeros((20, 8), np.float32), np.ones(8, np.float32)
    dead = np.where(np.arange(8) < 1, 0, alive).astype(np.float32) + np.float32(1e-5)
    moments = [flat, np.resize(alive, (20, 8))]
    one_dead = norm_shift.distances(moments, [(0, flat[0], dead)])
    assert one_dead[0] == pytest.approx(0, abs=0.01)
    grey = norm_shift.distances([flat, flat], [(0, flat[0], alive)])
    assert np.isfinite(grey[0])
    assert similarity_of((), 0.0, grey, 20) < 0.01
    assert norm_shift.distances([flat[:1], flat[:1]], [(0, flat[0], alive)])[0] > 1


@pytest.mark.parametrize("shift", [NEAR, FAR, None])
def test_wrong_and_merged_labels_leave_it_as_it_is(shift: tuple[float, ...] | None) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    features = rng.normal(0, 1, (120, 32))
    features[:, 24:] += rng.normal(0, 2.5, (4, 8))[labels]

    def similarity(given: NDArray[np.intp]) -> float:
        return gather(
            features.astype(np.float16),
            WIDTHS,
            given,
            "abcd"[: given.max() + 1],
            np.arange(120),
            candidates=candidates_of(4),
            seed=0,
            shift=shift,
        ).evidence.similarity

    wrong = np.where(rng.random(120) < 0.4, rng.integers(0, 4, 120), labels)
    noise = rng.integers(0, 4, 120)
    found = [similarity(given) for given in (labels, labels // 2, wrong, noise)]
    assert np.ptp(found) < 0.05
    assert (found[0] < 0.5) == (shift is FAR)


def test_the_later_stages_tell() -> None:
    assert similarity_of((), 0.0, NEAR, 100) > 0.9
    assert similarity_of((), 0.0, FAR, 100) < 0.2
    assert similarity_of((), 0.0, (5.0, LINE), 100) == pytest.approx(0.5)
    assert similarity_of((), 0.0, (LINE,), 100) == pytest.approx(0.5)


def test_without_batch_norm_it_falls_where_an_earlier_stage_does_better_beyond_noise() -> None:
    rising, peaked = [0.5, 0.7, 0.9], [0.5, 0.9, 0.7]
    assert similarity_of(rising, 0.5, None, 100) == 1
    assert similarity_of(peaked, 0.5, None, 1000) < 0.4
    assert similarity_of(peaked, 0.5, None, 10) > similarity_of(peaked, 0.5, None, 1000)
    assert similarity_of([0.4, 0.5], 0.5, None, 100) == 1


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=9),
    st.floats(0, 0.99),
    st.lists(st.floats(0, 3), max_size=9),
    st.integers(1, 1000),
)
def test_it_lies_in_0_to_1(
    curve: list[float], guess: float, shift: list[float], images: int
) -> None:
    found = similarity_of(curve, guess, shift, images)
    assert 0 <= found <= 1
    assert similarity_of(curve, guess, [s + 0.1 for s in shift], images) <= found


def test_the_sample_reaches_from_the_first_image_to_the_last() -> None:
    """Of 127 images the first half was taken: of two classes, hardly more than one."""
    picked = shift_sample(range(127))
    assert (len(picked), picked[0], picked[-1]) == (SHIFT_SAMPLE, 0, 126)
    assert np.ptp(np.diff(picked)) <= 1
    assert shift_sample(range(3)) == [0, 1, 2]
