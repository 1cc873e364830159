"""The estimators where an image has several labels, or a number."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import average_precision_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags

import regraft
from pictures import photo
from regraft.errors import DataError, UsageError
from regraft.estimator import TransferClassifier, TransferRegressor
from test_estimator import SIZE, as_array, small

COLOURS = {"red": 0, "green": 1, "blue": 2}
EACH = 24


def lit(seed: int, levels: list[float]) -> Image.Image:
    """A photo in whose channels some light was added."""
    pixels = np.asarray(photo(seed, SIZE * 2, SIZE * 2), np.float64) * 0.3
    return Image.fromarray((pixels + 170 * np.array(levels)).clip(0, 255).astype(np.uint8))


def coloured(count: int = EACH, first: int = 0) -> tuple[list[Image.Image], np.ndarray[Any, Any]]:
    """Photos with lights of some colours, or of none, and which: 0 and 1 ``[n, 3]``."""
    there = np.random.default_rng([first, 3]).random((count, 3)) < 0.5
    images = [lit(first + n, row.tolist()) for n, row in enumerate(there)]
    return images, there.astype(int)


def as_lists(there: Any, kind: Callable[[list[str]], Any] = list) -> list[Any]:
    return [kind([name for name, k in COLOURS.items() if row[k]]) for row in there]


def several() -> TransferClassifier:
    return TransferClassifier(small())


def number() -> TransferRegressor:
    return TransferRegressor(small())


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_labels_come_back_as_lists(kind: Callable[[list[str]], Any]) -> None:
    X, there = coloured()
    y = as_lists(there, kind)
    fitted = several().fit(X, y)
    assert fitted.classes_.tolist() == sorted(COLOURS)
    assert fitted.plan_.kind == "several"
    shares = fitted.predict_proba(X)
    assert shares.shape == (EACH, 3)
    assert shares.dtype == np.float32
    told = fitted.predict(X)
    assert told == [
        [name for name, is_given in zip(fitted.classes_, row, strict=True) if is_given]
        for row in shares >= fitted.thresholds_
    ]
    right = np.mean([set(own) == set(wanted) for own, wanted in zip(told, y, strict=True)])
    assert right > 0.8
    truth = there[:, [COLOURS[name] for name in fitted.classes_]]
    wanted = average_precision_score(truth, shares, average="macro")
    assert fitted.score(X, y) == pytest.approx(wanted, abs=1e-6)
    assert fitted.score(X, truth) == fitted.score(X, y) > 0.9


def test_a_matrix_comes_back_as_one_and_is_cross_validated() -> None:
    X, there = coloured()
    fitted = several().fit(X, there)
    assert fitted.classes_.tolist() == [0, 1, 2]
    told = fitted.predict(X)
    assert (told.shape, told.dtype.kind) == (there.shape, "i")
    assert (told == there).mean() > 0.9
    lists = several().fit(X, as_lists(there))
    columns = [lists.classes_.tolist().index(name) for name in COLOURS]
    np.testing.assert_allclose(
        lists.predict_proba(X)[:, columns], fitted.predict_proba(X), atol=0.1
    )
    assert get_tags(several()).classifier_tags.multi_label
    scores = cross_val_score(several(), as_array(X), there, cv=3, error_score="raise")
    assert scores.min() > 0.7
    twin = pickle.loads(pickle.dumps(fitted))
    assert (twin.predict(X) == told).all()
    assert (clone(fitted).fit(X, there).predict_proba(X) == fitted.predict_proba(X)).all()


def test_names_of_any_kind_and_labels_that_cannot_be_learnt() -> None:
    X, there = coloured()
    names = ["a|b", "", "a\u00a6b"]
    y = [[name for name, is_there in zip(names, row, strict=True) if is_there] for row in there]
    y = [[*own, "always", *(["once"] if n == 0 else [])] for n, own in enumerate(y)]
    fitted = several().fit(X, y)
    assert fitted.classes_.tolist() == sorted([*names, "always", "once"])
    shares = dict(zip(fitted.classes_, fitted.predict_proba(X).T, strict=True))
    assert shares["always"].tolist() == [1.0] * EACH
    assert shares["once"] == pytest.approx([1 / EACH] * EACH)
    assert all("always" in own and "once" not in own for own in fitted.predict(X))
    plain = several().fit(X, there).predict_proba(X)
    for k, name in enumerate(names):
        np.testing.assert_allclose(shares[name], plain[:, k], atol=0.1)  # other folds


def test_a_number_is_told_with_an_interval() -> None:
    levels = np.random.default_rng(0).uniform(0, 1, 2 * EACH)
    X, y = [lit(n, [one] * 3) for n, one in enumerate(levels)], 1950 + 40 * levels
    fitted = number().fit(X[:EACH], y[:EACH])
    assert fitted.plan_.kind == "number"
    told = fitted.predict(X[EACH:])
    assert told.shape == (EACH,)
    assert fitted.score(X[EACH:], y[EACH:]) == r2_score(y[EACH:], told) > 0.7
    assert 0 < fitted.half_width_ < 20
    assert (np.abs(told - y[EACH:]) <= fitted.half_width_).mean() > 0.7
    twin = pickle.loads(pickle.dumps(fitted))
    assert (twin.predict(X) == fitted.predict(X)).all()
    whole = number().fit(X[:EACH], [round(one) for one in y[:EACH].tolist()])  # none is a class
    assert whole.predict(X[:1])[0] == pytest.approx(told[0], abs=20)
    assert regraft.TransferRegressor is TransferRegressor


@pytest.mark.parametrize(
    ("y", "what"),
    [
        pytest.param([[]] * EACH, "No label can be learnt", id="none"),
        pytest.param([["a"]] * EACH, "No label can be learnt", id="all"),
        pytest.param([["a"], []] * 3, "inconsistent numbers of samples", id="few"),
        pytest.param(np.linspace(0, 1, EACH), "Unknown label type", id="numbers"),
    ],
)
def test_labels_that_cannot_be_used_are_told(y: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        several().fit(coloured()[0], y)


@pytest.mark.parametrize(
    ("y", "what"),
    [
        pytest.param(None, "requires y to be passed", id="none"),
        pytest.param([1.0, np.nan] * (EACH // 2), "got nan .* at 1", id="nan"),
        pytest.param(["one", "two"] * (EACH // 2), "could not convert", id="text"),
        pytest.param(np.ones((EACH, 2)), "1d array", id="two"),
    ],
)
def test_numbers_that_cannot_be_used_are_told(y: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        number().fit(coloured()[0], y)


def test_what_goes_wrong_later_is_told() -> None:
    X, there = coloured()
    fitted = several().fit(X, as_lists(there))
    with pytest.raises(ValueError, match="was not there in fit: 'pink'"):
        fitted.score(X, [["pink"], *as_lists(there)[1:]])
    with pytest.raises(ValueError, match="a column for each of 3 labels"):
        fitted.score(X, there[:, :2])
    with pytest.raises(ValueError, match="no sample_weight"):
        fitted.score(X, there, sample_weight=np.ones(EACH))
    with pytest.raises(UsageError, match="cannot be used") as caught:
        TransferRegressor(small(), recipe="guess", fit_image="box").fit(X, range(EACH))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2
    with pytest.raises(DataError, match="at least 5 different pictures"):
        number().fit([X[0]] * 6, range(6))
