from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regraft.data.audit import Audit
from regraft.data.dataset import Dataset, Item
from regraft.data.splits import Split, folds, split, validation
from regraft.errors import DataError, UsageError


def data(
    labels: list[str], groups: list[int] | None = None, splits: list[str] | None = None
) -> tuple[Dataset, Audit]:
    """A data set of these labels and an audit that keeps all of it."""
    items = tuple(
        Item(f"{label}/{i:05}.jpg", label, "" if splits is None else splits[i])
        for i, label in enumerate(labels)
    )
    numbers = np.array(range(len(labels)) if groups is None else groups)
    found = Audit(tuple(range(len(labels))), (), {}, (), numbers)
    return Dataset("data", items, (), lambda _: b""), found


def hold_out(
    labels: list[str], groups: list[int] | None = None, fraction: float | None = None, seed: int = 0
) -> Split:
    return split(*data(labels, groups), test_fraction=fraction, seed=seed)


def check_sides(found: Split, count: int) -> None:
    assert sorted([*found.train, *found.test]) == list(range(count))
    assert (np.diff(found.train) > 0).all()
    assert (np.diff(found.test) > 0).all()


# --- the data's own ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("splits", "test", "origin"),
    [
        (["train", "val", "test", "train", ""], [2], "test"),
        (["train", "val", "train", "val", ""], [1, 3], "val"),
        (["test", "train", "test", "", "train"], [0, 2], "test"),
    ],
)
def test_a_split_of_the_data_itself_is_used(
    splits: list[str], test: list[int], origin: str
) -> None:
    found = split(*data(list("aabba"), splits=splits), test_fraction=None, seed=0)
    assert found.test.tolist() == test
    assert found.origin == origin
    check_sides(found, 5)


def test_positions_are_those_of_what_is_kept() -> None:
    dataset, _ = data(list("aabbab"), splits=["train", "test"] * 3)
    some = Audit((0, 2, 3, 5), (), {}, (), np.arange(4))
    result = split(dataset, some, test_fraction=None, seed=0)
    assert result.train.tolist() == [0, 1]
    assert result.test.tolist() == [2, 3]


def test_a_fraction_beside_a_split_of_the_data_is_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        split(*data(list("aabb"), splits=["train", "val"] * 2), test_fraction=0.3, seed=0)
    assert caught.value.exit_code == 2
    assert "0.3 was given, and the data's val images" in caught.value.problems[0]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 20.0, float("nan")])
def test_a_fraction_that_cannot_be_is_an_error(fraction: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        hold_out(list("aaabbb"), fraction=fraction)


# --- held out by seed ----------------------------------------------------------------------------


def test_a_fifth_of_each_class_is_held_out() -> None:
    labels = ["a"] * 100 + ["b"] * 50 + ["c"] * 5
    found = hold_out(labels)
    assert found.origin == "held out"
    assert Counter(labels[i] for i in found.test) == {"a": 20, "b": 10, "c": 1}
    check_sides(found, 155)


@pytest.mark.parametrize(
    ("count", "fraction", "test"),
    [(2, 0.5, 0), (3, 0.1, 1), (3, 0.9, 1), (4, 0.9, 2), (10, 0.01, 1), (10, 0.99, 8), (7, 0.2, 1)],
)
def test_small_classes_keep_one_to_test_and_two_to_train(
    count: int, fraction: float, test: int
) -> None:
    labels = ["a"] * count + ["b"] * 40
    found = hold_out(labels, fraction=fraction)
    assert sum(labels[i] == "a" for i in found.test) == test


@pytest.mark.parametrize(
    ("labels", "pinned", "known", "why"),
    [
        pytest.param("aabbcc", "", False, "no class has three different pictures", id="few"),
        pytest.param("aabbcc", "ab", False, "three different pictures", id="few, corrected too"),
        pytest.param("aaaaabbbbb", "ab", False, "what was corrected is trained on", id="corrected"),
        pytest.param("aaaabb", "a", False, "what was corrected", id="all corrected but too few"),
        pytest.param("aaaaabbbbb", "", True, "groups of which one can be spared", id="two groups"),
    ],
)
def test_too_few_images_to_hold_any_out(labels: str, pinned: str, known: bool, why: str) -> None:
    whole, found = data(list(labels), [ord(label) for label in labels] if known else None)
    items = tuple(replace(item, group=item.label if known else "") for item in whole.items)
    paths = frozenset(item.path for item in items if item.label in pinned)
    with pytest.raises(DataError, match="too few images to hold any out") as error:
        split(replace(whole, items=items, pinned=paths), found, test_fraction=None, seed=0)
    assert why in error.value.problems[0]


def test_copies_of_one_picture_are_not_three() -> None:
    with pytest.raises(DataError, match="three different pictures"):
        hold_out(list("aaabbb"), groups=[0, 0, 0, 1, 1, 1])


def test_whole_groups_are_held_out() -> None:
    labels = ["a"] * 30 + ["b"] * 30
    groups = [i // 3 for i in range(60)]
    found = hold_out(labels, groups)
    assert Counter(labels[i] for i in found.test) == {"a": 6, "b": 6}
    assert {groups[i] for i in found.test}.isdisjoint(groups[i] for i in found.train)


def test_a_group_of_several_classes_is_not_held_out() -> None:
    labels = ["a"] * 10 + ["b"] * 10
    groups = [*range(9), 99, 99, *range(10, 19)]
    for seed in range(20):
        found = hold_out(labels, groups, 0.5, seed)
        assert {9, 10} <= set(found.train.tolist())


def test_where_every_group_is_large_the_smallest_goes() -> None:
    labels = ["a"] * 10 + ["b"] * 10
    groups = [0] * 6 + [1] * 4 + list(range(10, 20))
    assert [i for i in hold_out(labels, groups).test if i < 10] == [6, 7, 8, 9]


def test_the_seed_decides_and_decides_alike() -> None:
    labels = list("ab") * 50
    first, again, other = (hold_out(labels, seed=seed).test for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_order_of_the_items_plays_no_part() -> None:
    dataset, found = data(list("aabbb") * 20)
    turned = Dataset("data", dataset.items[::-1], (), dataset.read)
    here = split(dataset, found, test_fraction=None, seed=3)
    there = split(turned, found, test_fraction=None, seed=3)
    assert {dataset.items[i].path for i in here.test} == {turned.items[i].path for i in there.test}


def test_images_that_are_added_move_few_of_the_others() -> None:
    dataset, found = data(list("ab") * 100)
    more = Dataset("data", (*dataset.items, *(Item(f"new/{i}", "a") for i in range(10))), (), len)  # type: ignore[arg-type]
    all_kept = Audit(tuple(range(210)), (), {}, (), np.arange(210))
    before = set(split(dataset, found, test_fraction=None, seed=0).test.tolist())
    after = set(split(more, all_kept, test_fraction=None, seed=0).test.tolist())
    assert len(before - after) <= 5
    assert len(before & after) >= 35


grouped = st.integers(1, 120).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from("abcd"), min_size=n, max_size=n),
        st.lists(st.integers(0, 60), min_size=n, max_size=n),
    )
)


@given(grouped, st.floats(0.05, 0.9), st.integers(0, 5))
def test_no_group_is_on_two_sides_and_every_class_can_be_trained(
    drawn: tuple[list[str], list[int]], fraction: float, seed: int
) -> None:
    labels, groups = drawn
    try:
        found = hold_out(labels, groups, fraction, seed)
    except DataError:
        return
    check_sides(found, len(labels))
    assert {groups[i] for i in found.train}.isdisjoint(groups[i] for i in found.test)
    trained = Counter(labels[i] for i in found.train)
    for label, count in Counter(labels).items():
        assert trained[label] >= min(2, count)


@given(st.lists(st.integers(3, 80), min_size=2, max_size=5), st.floats(0.05, 0.9))
def test_single_images_are_shared_out_as_asked(sizes: list[int], fraction: float) -> None:
    labels = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    tested = Counter(labels[i] for i in hold_out(labels, fraction=fraction).test)
    for label, size in enumerate(sizes):
        wanted = min(max(1, fraction * size), size - 2)
        assert abs(tested[str(label)] - wanted) <= 0.5 + 1e-9


# --- folds ---------------------------------------------------------------------------------------


def label_spread(labels: np.ndarray, fold: np.ndarray, k: int) -> dict[object, int]:
    """By class: how many more images its fullest fold has than its emptiest."""
    return {
        label: int(np.ptp(np.bincount(fold[labels == label], minlength=k)))
        for label in np.unique(labels)
    }


@given(st.lists(st.integers(0, 5), min_size=8, max_size=150), st.integers(2, 8), st.integers(0, 9))
def test_single_images_make_even_folds(drawn: list[int], k: int, seed: int) -> None:
    labels = np.array(drawn)
    fold = folds(labels, np.arange(len(labels)), k, seed)
    assert fold.shape == labels.shape
    assert set(fold.tolist()) <= set(range(k))
    assert max(label_spread(labels, fold, k).values()) <= 1
    assert np.ptp(np.bincount(fold, minlength=k)) <= 1


@given(grouped, st.integers(2, 6), st.integers(0, 9))
def test_no_group_is_in_two_folds(drawn: tuple[list[str], list[int]], k: int, seed: int) -> None:
    labels, groups = map(np.array, drawn)
    assume(len(np.unique(groups)) >= k)
    fold = folds(labels, groups, k, seed)
    seen = defaultdict(set)
    for group, number in zip(groups.tolist(), fold.tolist(), strict=True):
        seen[group].add(number)
    assert all(len(numbers) == 1 for numbers in seen.values())
    assert fold.min() >= 0
    assert fold.max() < k


@given(st.lists(st.integers(1, 6), min_size=10, max_size=60), st.integers(2, 5))
def test_groups_make_folds_as_even_as_the_largest_group(sizes: list[int], k: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = groups % 3
    fold = folds(labels, groups, k, 0)
    assert max(label_spread(labels, fold, k).values()) <= max(sizes)


def test_single_images_level_what_groups_leave_uneven() -> None:
    labels = np.array([0] * 40 + [1] * 40)
    groups = np.array([0] * 6 + [1] * 3 + list(range(2, 33)) + list(range(100, 140)))
    fold = folds(labels, groups, 5, 0)
    assert np.bincount(fold[:40]).tolist() == [8] * 5
    assert np.bincount(fold[40:]).tolist() == [8] * 5


def test_folds_follow_the_seed() -> None:
    labels = np.array(["a", "b"] * 40)
    groups = np.arange(80)
    first = folds(labels, groups, 5, 0)
    assert np.array_equal(first, folds(labels, groups, 5, 0))
    assert not np.array_equal(first, folds(labels, groups, 5, 1))
    assert np.array_equal(first, folds(np.array([0, 1] * 40), groups * 7 + 3, 5, 0))


def test_a_fold_is_a_random_share() -> None:
    fold = folds(np.zeros(1000, int), np.arange(1000), 5, 0)
    assert abs(np.corrcoef(fold, np.arange(1000))[0, 1]) < 0.1


@pytest.mark.parametrize("k", [0, 1, 4, 100])
def test_k_must_fit(k: int) -> None:
    with pytest.raises(ValueError, match=r"k must be 2 to 3 .*got"):
        folds(np.zeros(5, int), np.array([0, 0, 1, 1, 2]), k, 0)


def test_sixty_thousand_images_are_spread_evenly() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 100, 60_000)
    groups = np.where(random.random(60_000) < 0.1, random.integers(0, 2000, 60_000), 0)
    groups = np.where(groups > 0, groups, np.arange(2000, 62_000))
    fold = folds(labels, groups, 5, 0)
    assert max(label_spread(labels, fold, 5).values()) <= 1


# --- how groups are drawn ------------------------------------------------------------------------

# Of each of three classes: the sizes of its groups.
WORLDS = {
    "a third in groups of two to eight": [2, 8, 4, 3, 6, 5, 7] * 5 + [1] * 350,
    "a third in pairs": [2] * 40 + [1] * 160,
    "few images": [2, 3] + [1] * 15,
    "nothing but groups": [5] * 10 + [3] * 10 + [12] * 4,
}


@pytest.mark.parametrize("sizes", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("how", ["test", "validation"])
def test_over_a_hundred_seeds_groups_are_held_out_as_often_as_single_images(
    sizes: list[int], how: str
) -> None:
    labels = [label for label in "abc" for size in sizes for _ in range(size)]
    groups = [
        n + 1000 * place for place in range(3) for n, size in enumerate(sizes) for _ in range(size)
    ]
    size = np.array([sizes[group % 1000] for group in groups])
    shares, means, held = [], [], []
    for seed in range(100):
        if how == "test":
            test = hold_out(labels, groups, seed=seed).test
        else:
            test = validation(np.array(labels), np.array(groups), seed)[1]
        shares.append((size[test] > 1).mean())
        means.append(size[test].mean())
        held.append([sum(labels[i] == label for i in test) for label in "abc"])
    for drawn, whole in ((shares, (size > 1).mean()), (means, size.mean())):
        noise = np.std(drawn) / 10
        assert abs(np.mean(drawn) - whole) <= 3 * noise + 0.02 * whole
    assert np.abs(np.mean(held, axis=0) / (0.2 * sum(sizes)) - 1).max() < 0.06


def test_a_group_keeps_its_place_whatever_joins_it() -> None:
    rows = [("a", f"a/{i // 4:02}") for i in range(80)] + [
        ("b", f"b/{i // 4:02}") for i in range(80)
    ]
    items = [Item(f"{i:03}.jpg", label, "", group) for i, (label, group) in enumerate(rows)]
    more = [*items, *(Item(f"0-{i}.jpg", "a", "", f"a/{i:02}") for i in range(20))]

    def held(items: list[Item]) -> set[str]:
        names = sorted({item.group for item in items})
        found = Audit(
            tuple(range(len(items))), (), {}, (), np.array([names.index(i.group) for i in items])
        )
        whole = Dataset("data", tuple(items), (), lambda _: b"")
        return {items[i].group for i in split(whole, found, test_fraction=None, seed=0).test}

    assert held(items) == held(more)


@pytest.mark.parametrize("people", [5, 8, 60])
def test_people_who_have_all_classes_are_held_out_whole(people: int) -> None:
    labels = list("abcd") * (6 * people)
    groups = [i // 24 for i in range(len(labels))]
    for seed in range(10):
        found = hold_out(labels, groups, seed=seed)
        assert {groups[i] for i in found.train}.isdisjoint(groups[i] for i in found.test)
        assert len({groups[i] for i in found.test}) == round(0.2 * people)


def test_every_class_of_three_groups_is_on_both_sides() -> None:
    labels = ["a"] * 60 + ["b"] * 3 + ["c"] * 9 + list("aaad") * 3
    groups = [*range(60), *range(60, 63), *np.repeat([63, 64, 65], 3), *np.repeat([66, 67, 68], 4)]
    for seed in range(20):
        found = hold_out(labels, groups, seed=seed)
        assert {labels[i] for i in found.test} == {labels[i] for i in found.train} == set("abcd")
