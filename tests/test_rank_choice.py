"""Which of the ranked networks is taken: by what was measured, other sets, and their work."""

from dataclasses import replace

import numpy as np
import pytest

import regraft
from pictures import lay_out
from regraft import backbones
from regraft.cli.rank import _options
from regraft.plan.choices import Choices
from regraft.plan.evidence import Evidence
from regraft.rank import _place, race
from regraft.rank.choice import choose
from regraft.rank.ranking import Allowance, Entry, Findings, difference_of
from regraft.rank.strength import FLOOR, Prior, known, strengths, weighed
from scenes import each, scenes
from spoilt import good

EVIDENCE: list[Evidence] = []


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> None:
    """That of any images: who is taken does not go by it."""
    data = lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(20)))
    EVIDENCE[:] = [regraft.propose(data, good(), seed=3).evidence]


def entry(name: str, right: list[int], images: int = 0, belief: list[float] | None = None) -> Entry:
    """An entry that gets these right of images numbered from ``images`` on."""
    network_of = replace(good(), backbone=replace(good().backbone, name=name))
    hits = np.array(right, bool)
    items = np.arange(images, images + len(hits))
    told = np.array([0.1 + 0.8 * hit for hit in hits] if belief is None else belief, np.float32)
    looked = Findings(EVIDENCE[0], 1, len(hits), items, hits, told, (1.0, 1.0))
    return Entry(name, network_of, looked=looked)


@pytest.mark.usefixtures("evidence")
def test_differences_are_paired_image_by_image() -> None:
    random = np.random.default_rng(5)
    a, b = random.random((2, 50)) < 0.7
    own, other = entry("a", a.tolist()), entry("b", b.tolist(), images=10)
    gaps = a[10:].astype(float) - b[:40]
    mean, error = difference_of(own, other)
    assert mean == pytest.approx(gaps.mean())
    assert error == pytest.approx(gaps.std(ddof=1) / np.sqrt(40))


def with_work(one: Entry, work: int) -> Entry:
    network_of = one.opened
    record = replace(network_of.backbone, multiply_adds_to=(work,) * 9)
    record = replace(record, weights=replace(record.weights, sha256=one.name))
    one.network = replace(network_of, backbone=record)
    return one


@pytest.mark.usefixtures("evidence")
def test_who_is_surer_of_the_right_classes_is_held_to_be_better() -> None:
    """Though the other had an image more right."""
    sure = entry("sure", [1] * 30 + [0] * 10, belief=[0.9] * 30 + [0.4] * 10)
    lucky = entry("lucky", [1] * 31 + [0] * 9, belief=[0.6] * 31 + [0.1] * 9)
    gap, error = strengths([sure, lucky], {}).gap(sure, lucky)
    assert gap > 0.1
    assert error > FLOOR
    taken, best, why, _ = choose([lucky, sure], Allowance(), {})
    assert (taken, best) == (sure, sure)
    assert why.startswith("sure is expected to get 75.0% of new images right; lucky had +2.5 ±")
    assert "less sure of the right classes" in why


@pytest.mark.usefixtures("evidence")
def test_other_sets_weigh_where_the_images_say_little() -> None:
    a, b = (with_work(entry(name, [1] * 30 + [0] * 10), 9) for name in "ab")
    priors = {"a": Prior(0.0, 0.01), "b": Prior(0.02, 0.01)}
    held = strengths([a, b], priors)
    assert held.gap(b, a)[0] == pytest.approx(0.01, abs=0.002)  # both errors are a point
    assert choose([a, b], Allowance(), priors)[0] is b
    c = with_work(entry("c", [1] * 16 + [0] * 24), 9)  # but not where they say much
    assert choose([a, c], Allowance(), {"a": Prior(0.0, 0.1), "c": Prior(0.02, 0.1)})[0] is a
    unknown = with_work(entry("unknown", [1] * 30 + [0] * 10), 9)
    apart = strengths([a, b, unknown], priors)
    assert apart.of(a) < apart.of(unknown) < apart.of(b)
    assert apart.gap(unknown, a)[1] > apart.gap(b, a)[1]


@pytest.mark.usefixtures("evidence")
def test_the_level_of_all_is_read_where_it_is_told_best() -> None:
    told, ahead = np.array([0.9, 0.5, 0.5]), np.zeros(3)
    noise, spread = np.diag([1.0, 1e-6, 1e-6]), np.full(3, 1e-4)
    means, _ = weighed(told, noise, ahead, spread)
    assert means == pytest.approx([0.5, 0.5, 0.5], abs=0.001)
    turned, _ = weighed(told + ahead + 0.1, noise, ahead, spread)
    assert turned == pytest.approx(means + 0.1)


def test_of_two_that_are_as_good_the_one_with_less_work_is_taken() -> None:
    best = with_work(entry("best", [1] * 30 + [0] * 10, belief=[0.8015] * 40), 300)
    like = with_work(entry("like", [1] * 30 + [0] * 10, belief=[0.8] * 40), 200)
    less = with_work(entry("less", [1] * 30 + [0] * 10, belief=[0.7] * 40), 100)
    taken, _, why, _ = choose([best, like, less], Allowance(), {})
    assert taken is like
    assert why.endswith("; best (0.0 ± 0.0 points) is as good, for 1.5 times the work.")
    worse = replace(like.found, belief=np.full(40, 0.79, np.float32))
    like.looked = worse
    taken, _, why, _ = choose([best, like, less], Allowance(), {})
    assert taken is best
    assert why.endswith("; like (0.0 ± 0.0 points) is the next.")
    best.dropped_at = 100
    assert choose([best, like, less], Allowance(), {})[0] is like


@pytest.mark.usefixtures("evidence")
def test_who_came_next_is_named_though_dropped() -> None:
    """Not the cheapest, which saw everything and is far behind."""
    best = with_work(entry("best", [1] * 36 + [0] * 4), 300)
    cheap = with_work(entry("cheap", [1] * 10 + [0] * 30), 1)
    near, far = (with_work(entry(name, [1] * 35 + [0] * 5), 200) for name in ("near", "far"))
    near.dropped_at, near.behind = 100, (-0.02, 0.03)
    far.dropped_at, far.behind = 50, (-0.01, 0.05)
    found = choose([best, cheap, near, far], Allowance(), {})
    assert found.taken is best
    failed = Entry("failed", None, "why")
    order = sorted([failed, cheap, far, near, best], key=lambda one: _place(one, found.held, best))
    assert [one.name for one in order[:1] + order[-2:]] == ["best", "cheap", "failed"]
    said = "right; all others are behind, near (-2.0 ± 3.0 points after 100 images) the least."
    assert found.why.endswith(said)


@pytest.mark.usefixtures("evidence")
@pytest.mark.parametrize(
    ("unsure", "because"), [(True, "was less sure of the right classes"), (False, "does worse on")]
)
def test_who_had_as_many_right_when_it_was_dropped_is_not_called_behind(
    unsure: bool, because: str
) -> None:
    best = with_work(entry("best", [1] * 36 + [0] * 4, belief=[0.8] * 40), 300)
    like = with_work(entry("like", [1] * 18 + [0] * 2, belief=[0.5 if unsure else 0.9] * 20), 200)
    like.dropped_at, like.behind = 20, (0.0, 0.0)
    why = choose([best, like], Allowance(), {}).why
    said = "right; of the others like comes nearest (0.0 ± 0.0 points after 20 images), but "
    assert said + because in why


@pytest.mark.usefixtures("evidence")
def test_who_is_within_the_limits_and_behind_is_not_said_to_be_over_them() -> None:
    best, far = (entry(*one) for one in (("best", [1] * 36), ("far", [1] * 9 + [0] * 27)))
    slow = entry("slow", [1] * 36)
    slow.looked = replace(slow.found, milliseconds=(1000.0, 1000.0))
    slow.dropped_at, slow.behind = 36, (0.0, 0.0)
    limits = Allowance(latency=0.5)
    assert choose([best, far, slow], limits, {}).why.endswith(
        "; all others within 500 ms are behind."
    )
    assert choose([best, far], limits, {}).why.endswith("; all others are behind.")
    assert choose([best, slow], limits, {}).why.endswith("; no other is within 500 ms.")


def test_the_table_of_other_sets_is_of_networks_that_come_with_it() -> None:
    table = {one.weights.sha256 for one in backbones.bundled()}
    assert set(known()) == table
    assert all(0 < one.spread < 1 and abs(one.ahead) < 1 for one in known().values())


# ---- the samples


def test_the_samples_are_nested_stratified_and_seeded() -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    order = race.nested(labels, 3)
    assert sorted(order.tolist()) == list(range(100))
    for count in (10, 20, 50):
        shares = np.bincount(labels[order[:count]], minlength=3) / count
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.11)
        assert shares.min() > 0
    for count in range(1, 101):  # within an image of its share, however far one goes
        seen = np.bincount(labels[order[:count]], minlength=3)
        assert np.abs(seen - count * np.array([0.6, 0.3, 0.1])).max() <= 1.5
    assert (race.nested(labels, 3) == order).all()
    assert (race.nested(labels, 4) != order).any()


@pytest.mark.parametrize(
    ("images", "classes", "expected"),
    [(90, 2, []), (199, 2, [50]), (700, 2, [50, 100, 200]), (3100, 40, [200, 400, 800])],
)
def test_rungs_are_skipped_where_they_tell_little(
    images: int, classes: int, expected: list[int]
) -> None:
    assert race.rungs(images, classes) == expected


def test_what_goes_on_is_asked_for_what_the_ranking_was() -> None:
    asked = Choices(class_weights="none", seed=4, test_fraction=0.25, budget=9)
    same = "--backbone b-other --class-weights none --test-fraction 0.25 --seed 4"
    assert _options("b-other", asked) == same
