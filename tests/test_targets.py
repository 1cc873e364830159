"""What is learnt of images with several labels, or numbers, and what splits keep even."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from regraft.data.dataset import Dataset, Item
from regraft.data.kinds import NUMBER, SEVERAL, Kind, asked_for
from regraft.data.targets import Memberships, learnable, strata, strata_of, targets_of
from regraft.errors import UsageError


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
