"""What is learnt of images with several labels, or numbers, and what splits keep even."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regraft.data.audit import Audit, audit, counts, fingerprint
from regraft.data.dataset import Dataset, Item
from regraft.data.images import Facts
from regraft.data.kinds import NUMBER, SEVERAL, Kind, asked_for
from regraft.data.splits import each_once, split, untested
from regraft.data.targets import Memberships, learnable, strata, strata_of, targets_of
from regraft.errors import DataError, UsageError


def labelled(labels: Sequence[str], kind: Kind = SEVERAL, **more: Any) -> Dataset:
    items = tuple(Item(f"{i:06}.png", label) for i, label in enumerate(labels))
    return Dataset("drawn", items, (), lambda i: b"", kind=kind, **more)


def test_several_labels_are_a_column_each() -> None:
    dataset = labelled(["a|b", "b", "", "a|b|c", "c"])
    found = targets_of(dataset, range(5))
    assert (found.kind, found.names) == (SEVERAL, ("a", "b", "c"))
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert targets_of(dataset, [3, 0]).names == ("a", "b")[:0]  # both are on both, c on one


def test_numbers_are_one_column_of_their_name() -> None:
    for quantity, name in (("age", "age"), ("", "value")):
        dataset = labelled(["3", "2.5", "-1e-3"], NUMBER, quantity=quantity)
        found = targets_of(dataset, [2, 0])
        assert (found.names, dataset.classes) == ((name,), (name,))
        assert found.values == pytest.approx(np.array([[-1e-3], [3]]))


def test_one_label_an_image_is_no_target() -> None:
    with pytest.raises(ValueError, match="class"):
        targets_of(labelled(["a", "b"], "one"), range(2))


def test_what_cannot_be_learnt_is_said_and_has_no_column() -> None:
    dataset = labelled(["all|x", "all|x", "all|rare", "all"])
    use, said = learnable(dataset, np.arange(4))
    assert dict(zip(dataset.classes, use.tolist(), strict=True)) == {
        "all": False, "rare": False, "x": True
    }  # fmt: skip
    assert said == [
        "'rare' is on fewer than 2 images to train on: not learnt; the images stay.",
        "'all' is on every image to train on, so there is nothing to tell apart: not learnt; the "
        "images stay.",
    ]
    assert targets_of(dataset, range(4)).names == ("x",)


def test_only_images_to_train_on_count() -> None:
    items = [Item(f"{i}.png", label, split) for i, (label, split) in enumerate(
        [("a", "train"), ("a", "train"), ("b", "train"), ("b", "test"), ("b", "test")]
    )]  # fmt: skip
    dataset = Dataset("drawn", items, (), lambda i: b"", kind=SEVERAL)
    assert targets_of(dataset, range(5)).names == ("a",)


def test_an_image_stands_for_its_rarest_label() -> None:
    dataset = labelled([*["a"] * 6, *["a|b"] * 4, *["a|b|c"] * 3, *["b|d"] * 2, "", "", ""])
    found = strata_of(targets_of(dataset, range(len(dataset)))).tolist()
    parts = dict(zip(dataset.columns.labels, found, strict=True))
    assert parts == {"": 0, "b|d": 2, "a|b": 2, "a": 1, "a|b|c": 3}
    assert strata(dataset, range(len(dataset))).tolist() == found


def test_a_part_of_few_images_is_among_what_is_rare() -> None:
    """Three of the four images of b stand for c."""
    dataset = labelled([*["a"] * 9, "b", "b|c", "b|c", "b|c"])
    assert strata_of(targets_of(dataset, range(13))).tolist() == [1] * 9 + [0] + [2] * 3


def test_what_is_too_rare_is_one_part() -> None:
    dataset = labelled([*["a"] * 4, "b", "b", "c", "c"])
    assert strata_of(targets_of(dataset, range(8))).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("numbers", "sizes"),
    [
        (range(100), [10] * 10),
        (range(20), [5] * 4),
        ([*[0] * 60, *range(1, 41)], [60, 10, 10, 10, 10]),
        ([1, 2, 3], [3]),
    ],
)
def test_numbers_lie_in_deciles(numbers: Sequence[int], sizes: Sequence[int]) -> None:
    dataset = labelled([str(number) for number in numbers], NUMBER)
    found = strata(dataset, range(len(dataset)))
    assert np.bincount(found).tolist() == list(sizes)
    assert (found == strata_of(targets_of(dataset, range(len(dataset))))).all()


def test_memberships_of_many_labels_are_few_cells() -> None:
    labels = [f"{i % 5000:04}|{(i * 7 + 1) % 5000:04}" for i in range(20_000)]
    dataset = labelled(["|".join(sorted(set(label.split("|")))) for label in labels])
    has = Memberships.of(dataset)
    assert (len(has.names), len(has.flat)) == (5000, 9992)  # 8 have one
    which, label = has.pairs(np.array([0, 19_999]))
    assert which.tolist() == [0, 0, 1, 1]
    assert [has.names[n] for n in label.tolist()] == ["0000", "0001", "4994", "4999"]


@pytest.mark.parametrize(
    ("labels", "target", "problem"),
    [
        ("several", "number", "--target number takes the label for a number, so it goes without "
         "--labels several."),
        ("many", None, "--labels must be one or several, got 'many'."),
        (None, "class", "--target must be number, got 'class'."),
    ],
)  # fmt: skip
def test_what_is_asked_for_must_go_together(
    labels: str | None, target: str | None, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        asked_for(labels, target)
    assert caught.value.problems == (problem,)
    with pytest.raises(UsageError):
        Dataset.open(labelled(["a"]), labels=labels, target=target)


def test_what_is_asked_for_is_a_kind() -> None:
    pairs = (("one", None), ("several", None), (None, "number"), (None, None))
    assert [asked_for(*pair) for pair in pairs] == ["one", "several", "number", None]


# --- splits --------------------------------------------------------------------------------------


def everything(dataset: Dataset, groups: Sequence[int] | None = None) -> Audit:
    rows = range(len(dataset))
    return Audit(tuple(rows), (), {}, (), np.array(rows if groups is None else groups))


def left(dataset: Dataset, train: NDArray[np.int64]) -> dict[str, int]:
    has = Memberships.of(dataset)
    return dict(zip(has.names, has.counts(train).tolist(), strict=True))


COMBINED = ["|".join(sorted({f"l{i % 7}", f"l{i * i % 11}"})) for i in range(120)]


def test_combinations_of_labels_are_no_classes() -> None:
    """Each of these is there once: as classes none could be held out."""
    names = [f"{n:02}" for n in range(9)]
    labels = ["|".join(names[i] for i in range(9) if n >> i & 1) for n in range(60)]
    dataset = labelled(labels)
    sides = split(dataset, everything(dataset), test_fraction=None, seed=0)
    assert len(sides.test) in range(9, 16)
    assert min(n for n in left(dataset, sides.train).values() if n) >= 2


@pytest.mark.parametrize("seed", range(5))
def test_each_label_keeps_two_images_to_train_on(seed: int) -> None:
    """Three labels of three images share all of them with a fourth, which is as rare."""
    labels = ["a|d", "a", "a", "b|d", "b", "b", "c|d", "c", "c", *["e"] * 20]
    dataset = labelled(labels)
    sides = split(dataset, everything(dataset), test_fraction=0.33, seed=seed)
    assert min(left(dataset, sides.train).values()) >= 2
    assert len(sides.test) >= 6


@pytest.mark.parametrize("kind", [SEVERAL, NUMBER])
def test_shares_of_all_parts_are_held_out(kind: Kind) -> None:
    numbers = [str(i * i) for i in range(120)]
    dataset = labelled(COMBINED if kind == SEVERAL else numbers, kind)
    found = everything(dataset)
    sides = split(dataset, found, test_fraction=0.25, seed=1)
    parts = strata(dataset, found.kept)
    sizes = np.bincount(parts)
    shares = (np.bincount(parts[sides.test], minlength=len(sizes)) / sizes)[sizes > 2]
    assert 0.15 < shares.min() <= shares.max() < 0.35
    every = each_once(dataset, found, sides, None)
    assert every is not None
    assert len(every.test) == 120


def test_the_only_group_of_a_label_is_always_trained_on() -> None:
    dataset = labelled([*["a|x"] * 3, *["a"] * 30, *["b"] * 30])
    found = everything(dataset, [0] * 3 + list(range(1, 61)))
    sides = split(dataset, found, test_fraction=None, seed=0)
    every = each_once(dataset, found, sides, None)
    assert every is not None
    assert every.test.tolist() == list(range(3, 63))
    assert untested(dataset, found, every) == [
        "No image of 'x' is held out: that takes three images in groups of which one can be "
        "spared. How well such a label is recognised is not measured."
    ]


def test_a_number_that_is_held_out_alone_is_no_class_without_test() -> None:
    dataset = labelled([str(i) for i in range(60)], NUMBER)
    found = everything(dataset)
    sides = split(dataset, found, test_fraction=None, seed=0)
    assert len(sides.test) == 10
    assert untested(dataset, found, sides) == []


@pytest.mark.parametrize(("kind", "none"), [(SEVERAL, "label"), (NUMBER, "range of the numbers")])
def test_too_few_images_are_said_by_what_they_are(kind: Kind, none: str) -> None:
    dataset = labelled(["1", "2"], kind)
    with pytest.raises(DataError) as caught:
        split(dataset, everything(dataset), test_fraction=None, seed=0)
    assert f"no {none} has three different pictures" in caught.value.problems[0]


# --- the audit -----------------------------------------------------------------------------------


def audited(dataset: Dataset, digests: Sequence[int] | None = None) -> Audit:
    numbers = range(len(dataset)) if digests is None else digests
    return audit(dataset, [Facts(f"{n:032x}", width=9, height=9) for n in numbers])


@pytest.mark.parametrize(
    ("kind", "labels", "headline", "problem"),
    [
        (SEVERAL, [""] * 12, "'drawn' has no label that can be learnt.",
         "there must be at least one label, and all 12 images have none"),
        (SEVERAL, ["a"] * 12, "'drawn' has no label that can be learnt.",
         "'a' is on every image to train on, so there is nothing to tell apart: not learnt; the "
         "images stay."),
        (SEVERAL, ["a|b", "c|d", ""], "'drawn' has no label that can be learnt.",
         "'a', 'b', 'c', 'd' are each on fewer than 2 images to train on: not learnt; the images "
         "stay."),
        (NUMBER, ["3"] * 12, "The number of 'drawn' is always the same.",
         "there must be at least 2 different ones, and all 12 images have 3"),
        (NUMBER, ["3"], "The number of 'drawn' is always the same.",
         "there must be at least 2 different ones, and the only image has 3"),
    ],
)  # fmt: skip
def test_what_leaves_nothing_to_learn_is_an_error(
    kind: Kind, labels: Sequence[str], headline: str, problem: str
) -> None:
    with pytest.raises(DataError) as caught:
        audited(labelled(labels, kind))
    assert (caught.value.headline, caught.value.problems) == (headline, (problem,))


def test_labels_that_are_not_learnt_are_said_and_no_image_goes() -> None:
    found = audited(labelled(["all|x", "all|x", "all|once", "all"]))
    assert len(found.kept) == 4
    assert found.warnings == (
        "'once' is on fewer than 2 images to train on: not learnt; the images stay.",
        "'all' is on every image to train on, so there is nothing to tell apart: not learnt; the "
        "images stay.",
        "Images have 1.8 of 3 labels each.",
    )


def test_of_uneven_labels_and_numbers_little_is_said() -> None:
    assert audited(labelled([*["a"] * 40, "b", "b", *[""] * 9])).warnings == (
        "No image has more than one of the 2 labels; each is learnt by itself.",
    )
    assert audited(labelled(["a|b", "a|b", "b", ""])).warnings == (
        "Images have 1.2 of 2 labels each; 1 has none.",
    )
    assert audited(labelled([*["1"] * 40, "2"], NUMBER)).warnings == ()


def test_counts_are_of_each_label_or_of_the_number() -> None:
    dataset = labelled(["a|b", "b", "", "a"])
    assert counts(dataset, everything(dataset)) == {"a": {"": 2}, "b": {"": 2}}
    dataset = labelled(["1", "2", "3"], NUMBER, quantity="age")
    assert counts(dataset, everything(dataset)) == {"age": {"": 3}}


@pytest.mark.parametrize(
    ("kind", "labels", "detail"),
    [
        (SEVERAL, ["a|b", "a|c", "a", "a", "", "c", "c"], "under another label"),
        (NUMBER, ["1", "2", "3", "4", "5", "6", "7"], "with another number"),
    ],
)
def test_a_picture_that_says_two_things_is_left_out(
    kind: Kind, labels: Sequence[str], detail: str
) -> None:
    found = audited(labelled(labels, kind), [0, 0, 2, 3, 4, 5, 5 if kind == SEVERAL else 6])
    left_out = {entry.path: (entry.reason, entry.detail) for entry in found.left_out}
    assert left_out.pop("000000.png") == (
        "copy-two-labels",
        f"the same file as 000001.png, {detail}",
    )
    assert left_out.pop("000001.png")[0] == "copy-two-labels"
    assert [reason for reason, _ in left_out.values()] == ["exact-copy"] * (kind == SEVERAL)


def test_a_fingerprint_knows_the_kind() -> None:
    labels = ["1|2", "1", "2", "1"]
    facts = [Facts(f"{n:032x}") for n in range(4)]
    found = {
        kind: fingerprint(data, everything(data), facts)
        for kind in ("one", SEVERAL, NUMBER)
        for data in [labelled(labels, kind)]
    }
    assert len(set(found.values())) == 3
    rows = (f"{n:06}.png\0{label}\0\0{n:032x}" for n, label in enumerate(labels))
    assert found["one"] == hashlib.sha256("\n".join(rows).encode()).hexdigest()


def test_copies_of_held_out_images_stay_where_a_label_would_be_emptied() -> None:
    """Of the two images of x to train on, both are copies of one that is held out."""
    thumb = np.random.default_rng(0).integers(0, 255, 256, dtype=np.uint8)
    items = [Item(f"{i}.png", label, side) for i, (label, side) in enumerate(
        [("x|y", "train"), ("x", "train"), ("x", "test"), *[("y", "train")] * 4]
    )]  # fmt: skip
    dataset = Dataset("drawn", items, (), lambda i: b"", kind=SEVERAL)
    facts = [
        Facts(f"{n:032x}", phash=7 if n < 3 else 7 ^ (0xFFFF << 11 * (n - 3)), thumb=(
            thumb if n < 3 else np.random.default_rng(n).integers(0, 255, 256, dtype=np.uint8)
        ).tobytes())
        for n in range(7)
    ]  # fmt: skip
    found = audit(dataset, facts)
    assert found.left_out == ()
    assert any(said.startswith("2 images of 'x' nearly copy others") for said in found.warnings)


@pytest.mark.parametrize("kind", [SEVERAL, NUMBER])
def test_a_fixed_camera_is_said_of_the_whole_set(kind: Kind) -> None:
    """Thirty pictures of one scene: none is a copy, whatever their labels are."""
    random = np.random.default_rng(0)
    base = random.integers(40, 200, 256)
    dataset = labelled([f"{n}" if kind == NUMBER else "ab"[n % 2] for n in range(30)], kind)
    thumbs = [(base + random.integers(-4, 5, 256)).astype(np.uint8).tobytes() for _ in range(30)]
    found = audit(dataset, [Facts(f"{n:032x}", phash=5, thumb=thumbs[n]) for n in range(30)])
    assert len(np.unique(found.groups)) == 30
    assert "30 of the 30 images of 'drawn' look like another one" in found.warnings[-1]


def test_series_of_numbers_are_proposed() -> None:
    random = np.random.default_rng(1)
    scenes = random.integers(60, 190, (5, 256))
    items = [Item(f"film/v{v}_{n:02}.png", str(v + n / 9)) for v in range(5) for n in range(8)]
    facts = [
        Facts(f"{i:032x}", phash=int(random.integers(1 << 62)),
              thumb=(scenes[i // 8] + random.integers(-50, 51, 256)).astype(np.uint8).tobytes())
        for i in range(40)
    ]  # fmt: skip
    found = audit(Dataset("drawn", items, (), lambda i: b"", kind=NUMBER), facts)
    assert found.warnings[-1].startswith("The names form 5 series of about 8 alike images")


def test_numbers_of_near_copies_may_differ() -> None:
    random = np.random.default_rng(2)
    thumbs = [random.integers(0, 255, 256, np.uint8).tobytes() for _ in range(9)]
    thumbs[1] = thumbs[0]
    hashes = [0, *(int(random.integers(1 << 62)) for _ in range(8))]
    hashes[1] = 0
    facts = [Facts(f"{n:032x}", phash=hashes[n], thumb=thumbs[n]) for n in range(9)]
    found = audit(labelled([f"{n}.5" for n in range(9)], NUMBER), facts)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("2 images nearly copy each other, in 1 group")
