"""What scikit-learn's callers label images with -> labels of a data set, and back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, column_or_1d

from regraft.data.kinds import SEPARATOR, Kind
from regraft.estimator.fitting import FittedHead
from regraft.heads.tasks import AnswerRule

_LEAST = 2  # images that a label is learnt from


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """The labels of images.

    ``classes`` [k] as they were given, sorted; ``names`` [k]: theirs in the data set; ``texts``
    [n]: what the data set has for each image, not kept once it was fitted. Of several labels
    ``shares`` [k]: how many of the images have each; ``matrix``: whether a matrix was given.
    """

    kind: Kind
    classes: NDArray[Any]
    names: tuple[str, ...]
    texts: tuple[str, ...]
    shares: NDArray[np.float64]
    matrix: bool = False

    def told(self) -> "GivenLabels":
        """Return the same without a text for each image."""
        return replace(self, texts=())

    def in_order(self, shares: NDArray[np.float32], outputs: Sequence[str]) -> NDArray[np.float32]:
        """Return probabilities ``[n, k]`` in the order of the classes, of those of the outputs.

        A label that could not be learnt has its share of the images for every one.
        """
        place = {name: n for n, name in enumerate(outputs)}  # matched by name
        if self.kind == "one":
            return shares[:, [place[name] for name in self.names]]
        found = np.tile(self.shares.astype(np.float32), (len(shares), 1))
        learnt = [k for k, name in enumerate(self.names) if name in place]
        found[:, learnt] = shares[:, [place[self.names[k]] for k in learnt]]
        return found

    def thresholds(self, fitted: FittedHead) -> NDArray[np.float64]:
        """Return from which probability on each label is given, ``[k]``; half if not learnt."""
        rule: AnswerRule | None = fitted.plan.evidence.answer
        assert rule is not None, "several labels have a rule for their answers"
        known = dict(zip(fitted.classes, rule.thresholds, strict=True))
        return np.array([known.get(name, 0.5) for name in self.names])

    def given(self, there: NDArray[np.bool_], classes: NDArray[Any]) -> Any:
        """Return labels that are there, ``[n, k]``, in the form in which labels were given."""
        if self.matrix:
            return there.astype(np.int64)
        return [classes[row].tolist() for row in there]


def labels_of(estimator: object, pictures: Sequence[Any], y: ArrayLike) -> GivenLabels:
    """Return the labels that a classifier was given.

    Raises:
        ValueError: they are missing, are no classes, or do not fit the images.
    """
    _check_there(estimator, y)
    if _are_lists(y):
        check_consistent_length(pictures, y)
        classes = _sorted({label for own in y for label in own})  # type: ignore[union-attr]
        return _several(classes, _matrix(y, classes), matrix=False)
    if type_of_target(y) == "multilabel-indicator":
        check_consistent_length(pictures, y)
        named = getattr(y, "columns", None)
        there = _dense(y)
        classes = np.arange(there.shape[1]) if named is None else np.asarray(named)
        return _several(classes, there, matrix=True)
    labels = column_or_1d(y, warn=True)
    check_consistent_length(pictures, labels)
    check_classification_targets(labels)
    classes, places = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"There must be at least two classes, got 1 class: {classes[0]!r}")
    names = _names(classes)
    texts = tuple(names[place] for place in places.tolist())
    return GivenLabels("one", classes, tuple(names), texts, np.array([]))


def matrix_of(y: Any, labels: GivenLabels, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return several labels an image as a matrix ``[n, k]``, whichever form they come in.

    Raises:
        ValueError: they are of other classes than ``fit`` was given.
    """
    found = _matrix(y, classes) if _are_lists(y) else _dense(y)
    if found.shape[1:] != (len(classes),):
        raise ValueError(f"y must have a column for each of {len(classes)} labels.")
    return found.astype(np.float64)


def numbers_of(estimator: object, pictures: Sequence[Any], y: ArrayLike) -> list[str]:
    """Return the numbers that a regressor was given, as a data set has them.

    Raises:
        ValueError: they are missing, not finite, or do not fit the images.
    """
    _check_there(estimator, y)
    numbers = column_or_1d(y, dtype=np.float64, warn=True)
    check_consistent_length(pictures, numbers)
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(f"y must be finite, got {numbers[place]} (NaN or infinity) at {place}")
    return [repr(float(number)) for number in numbers]


def _check_there(estimator: object, y: object) -> None:
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, "
            "but the target y is None"
        )


def _are_lists(y: Any) -> bool:
    """Return whether each image has a collection of labels of its own: no row of a matrix."""
    if not isinstance(y, list | tuple | np.ndarray) or len(y) == 0:
        return False
    if not all(isinstance(own, list | tuple | set | frozenset) for own in y):
        return False
    lengths = {len(own) for own in y}
    return (
        len(lengths) > 1
        or lengths == {0}
        or any(isinstance(own, set | frozenset) for own in y)
        or any(isinstance(label, str) for own in y for label in own)
    )


def _dense(y: Any) -> NDArray[np.bool_]:
    """Return a matrix of 0 and 1, which may be sparse, or a table. ValueError for others."""
    values = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"Several labels an image must be a matrix of 0 and 1, or lists of labels; "
            f"got {np.unique(values)[:5]}"
        )
    return values > 0


def _sorted(labels: Collection[Any]) -> NDArray[Any]:
    return np.unique(np.array(list(labels))) if labels else np.array([])


def _matrix(y: Any, classes: NDArray[Any]) -> NDArray[np.bool_]:
    place = {label: k for k, label in enumerate(classes.tolist())}
    there = np.zeros((len(y), len(classes)), bool)
    for row, own in enumerate(y):
        if strange := [label for label in own if label not in place]:
            raise ValueError(f"y contains a label that was not there in fit: {strange[0]!r}")
        there[row, [place[label] for label in own]] = True
    return there


def _several(classes: NDArray[Any], there: NDArray[np.bool_], *, matrix: bool) -> GivenLabels:
    """Return the labels of a matrix. ValueError where none of them can be learnt."""
    count = there.sum(0)
    if not ((count >= _LEAST) & (count < len(there))).any():
        raise ValueError(
            f"No label can be learnt: one must be on at least {_LEAST} images and not on all of "
            f"{len(there)}."
        )
    names = [name.replace(SEPARATOR, "\u00a6") or "(empty)" for name in _names(classes)]
    if len(set(names)) < len(names):
        names = [f"{name} ({k})" for k, name in enumerate(names)]
    texts = tuple(
        SEPARATOR.join(sorted(names[k] for k in np.flatnonzero(row).tolist())) for row in there
    )
    return GivenLabels("several", classes, tuple(names), texts, count / len(there), matrix)


def _names(classes: NDArray[Any]) -> list[str]:
    """Return a different text for each class: itself where that tells them apart."""
    names = [str(label) for label in classes]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({type(label).__name__})" for name, label in zip(names, classes, strict=True)]
