"""Several labels an image, and numbers, of arrays and of the sets of other libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from regraft.data.dataset import Dataset
from regraft.data.kinds import NUMBER, ONE, SEVERAL
from regraft.errors import DataError
from several import SQUARES, labels_of


@pytest.mark.parametrize(
    ("labels", "words", "kind", "taken"),
    [
        ([["b", "a"], (), ["a"]], {}, SEVERAL, ["a|b", "", "a"]),
        (["a|b", "b", "b"], {"several": False}, ONE, ["a|b", "b", "b"]),
        (np.array([[1, 1], [0, 0], [0, 1]]), {"names": ["x", "y"]}, SEVERAL, ["x|y", "", "y"]),
        (np.array([[True, True], [False, False], [False, True]]), {}, SEVERAL, ["0|1", "", "1"]),
        (np.eye(3), {"names": list("abc")}, ONE, ["a", "b", "c"]),
        (np.eye(3), {"names": list("abc"), "several": True}, SEVERAL, ["a", "b", "c"]),
        ([[0, 2], [1], []], {"names": list("abc")}, SEVERAL, ["a|c", "b", ""]),
        ([[0, 1, 1], [0, 0, 0], [1, 0, 0]], {}, SEVERAL, ["1|2", "", "0"]),
        ([np.array([1]), np.array([0]), np.array([1])], {}, ONE, ["1", "0", "1"]),
        (np.array([0.5, 2, 1e3], np.float32), {"target": "number"}, NUMBER, ["0.5", "2", "1000"]),
        (np.array([[1], [2], [1]]), {"target": "number"}, NUMBER, ["1", "2", "1"]),
        ([0.5, 2, 2], {"several": False}, ONE, ["0.5", "2", "2"]),
    ],
)
def test_arrays(labels: Any, words: dict[str, Any], kind: str, taken: list[str]) -> None:
    dataset = Dataset.from_arrays(SQUARES, labels, **words)
    assert (dataset.kind, labels_of(dataset)) == (kind, taken)


class Torchlike:
    """What a set of torch's is asked for."""

    def __init__(self, labels: Sequence[Any], classes: Sequence[str] | None = None) -> None:
        self.labels = labels
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return SQUARES[index], self.labels[index]


@pytest.mark.parametrize(
    ("labels", "classes", "words", "kind", "taken"),
    [
        (np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]]), list("xyz"), {}, SEVERAL, ["x|y", "", "y"]),
        ([[2], [0, 1], []], list("xyz"), {}, SEVERAL, ["z", "x|y", ""]),
        ([0, 1, 0], ["x", "y"], {}, ONE, ["x", "y", "x"]),
        ([0.5, 1.0, 2.5], None, {"target": "number"}, NUMBER, ["0.5", "1", "2.5"]),
        ([0, 1, 1], ["x", "y"], {"several": True}, SEVERAL, ["x", "y", "y"]),
    ],
)
def test_sets_like_those_of_torch(
    labels: Any, classes: list[str] | None, words: dict[str, Any], kind: str, taken: list[str]
) -> None:
    dataset = Dataset.from_torch(Torchlike(labels, classes), **words)
    assert (dataset.kind, labels_of(dataset)) == (kind, taken)


def test_numbers_of_a_set_like_those_of_torch_are_asked_about() -> None:
    with pytest.raises(DataError, match="target='number' estimates the number"):
        Dataset.from_torch(Torchlike([0.5, 1.5, 2]))


class ClassNames:
    """As the library datasets has it."""

    dtype = "int64"

    def __init__(self, names: Sequence[str] | None) -> None:
        self.names = names


class Sequenced:
    def __init__(self, feature: ClassNames) -> None:
        self.feature = feature


class Image:
    decode = False


class HubSet:
    """What a set of the library datasets is asked for."""

    def __init__(self, columns: Mapping[str, list[Any]], features: Mapping[str, Any]) -> None:
        self.columns, self.features = columns, features

    def __len__(self) -> int:
        return len(self.columns["image"])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        return {name: values[key] for name, values in self.columns.items()}

    def cast_column(self, *_: object) -> "HubSet":
        return self


@pytest.mark.parametrize(
    ("labels", "feature", "words", "kind", "taken"),
    [
        ([[0, 1], [], None], Sequenced(ClassNames(["a", "b"])), {}, SEVERAL, ["a|b", ""]),
        ([2, 4, None], ClassNames(None), {"target": "number"}, NUMBER, ["2", "4"]),
        ([1, 0, -1], ClassNames(["a", "b"]), {}, ONE, ["b", "a"]),
    ],
)
def test_sets_of_the_library(
    labels: list[Any], feature: object, words: dict[str, Any], kind: str, taken: list[str]
) -> None:
    columns = {"image": [{"bytes": bytes([n]), "path": None} for n in range(3)], "label": labels}
    dataset = Dataset.open(HubSet(columns, {"image": Image(), "label": feature}), **words)
    assert (dataset.kind, labels_of(dataset)) == (kind, taken)
    assert dataset.skipped == (("000002", "no label in its row"),)
