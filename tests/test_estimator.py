"""The scikit-learn estimator: scikit-learn's own checks, and what they cannot know of images."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

import regraft
from pictures import encode, photo
from regraft.backbones import View
from regraft.errors import DataError, UsageError
from regraft.estimator import TransferClassifier, TransferRegressor
from regraft.features.engines import REFERENCE, openvino_engine
from regraft.networks import build as networks
from regraft.plan import serialize
from regraft.run.pretrained import Pretrained
from rounding import BFLOAT16, same_within_rounding
from test_reads_sets import ends

SIZE = 8
COLOURS = {"red": (200, 60, 60), "green": (60, 180, 70), "blue": (60, 70, 200)}


def build() -> nn.Module:
    """A network of a few hundred weights."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 24, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 4)).eval()


@dataclass(frozen=True, repr=False)
class Small(Pretrained):
    def __repr__(self) -> str:
        return "small()"


@cache
def small() -> Pretrained:
    halves = (0.5, 0.5, 0.5)
    record = networks.describe_module(
        build(), ["1", "3"], head="6", view=View(SIZE), mean=halves, std=halves, name="small"
    )
    return Small(record, build)


def pictures(each: int, first: int = 0) -> tuple[list[Image.Image], list[str]]:
    """Photos with a tinge, and the names of the colours."""
    made: list[Image.Image] = []
    labels: list[str] = []
    for name, colour in COLOURS.items():
        for _ in range(each):
            plain = photo(first + len(made), 24, 24)
            made.append(Image.blend(plain, Image.new("RGB", plain.size, colour), 0.6))
            labels.append(name)
    return made, labels


def classifier(**parameters: Any) -> TransferClassifier:
    return TransferClassifier(small(), **parameters)


def as_array(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(image) for image in images])


# --- scikit-learn's own checks -------------------------------------------------------------------


class Rows(TransferClassifier):
    """Takes rows of numbers, as the checks give them, and draws a picture of each."""

    def fit(self, X: Any, y: Any) -> "Rows":
        X, y = validate_data(self, X, y, **MATRICES)
        super().fit(drawn(X), y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        return super().predict_proba(drawn(validate_data(self, X, dtype=np.float64, reset=False)))

    def __sklearn_tags__(self) -> Any:
        return takes_rows(super().__sklearn_tags__())


class NumberRows(TransferRegressor):
    """The same of a number."""

    def fit(self, X: Any, y: Any) -> "NumberRows":
        X, y = validate_data(self, X, y, **MATRICES)
        super().fit(drawn(X), y)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return super().predict(drawn(validate_data(self, X, dtype=np.float64, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = takes_rows(super().__sklearn_tags__())
        tags.regressor_tags.poor_score = True  # a few hundred random weights see greys of noise
        return tags


MATRICES: dict[str, Any] = {"dtype": np.float64, "ensure_min_samples": 2, "multi_output": True}


def takes_rows(tags: Any) -> Any:
    tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
    tags.input_tags.string = False
    return tags


def drawn(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows ``[n, k]`` as pictures ``[n, 8, 8]`` of 0..1: each number is the grey of some pixels."""
    shades = 1 / (1 + np.exp(-np.clip(rows, -30, 30)))
    return np.stack([np.resize(row, (SIZE, SIZE)) for row in shades])


@parametrize_with_checks([Rows(small()), NumberRows(small())])  # type: ignore[untyped-decorator]
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_the_checks_that_need_no_data(name: str) -> None:
    getattr(estimator_checks, name)("TransferClassifier", TransferClassifier())
    getattr(estimator_checks, name)("TransferRegressor", TransferRegressor())


def test_scikit_learn_knows_that_it_takes_no_tables() -> None:
    with pytest.warns(SkipTestWarning, match="three_d_array=True"):
        check_estimator(classifier())


# --- what it does --------------------------------------------------------------------------------


def test_every_image_is_trained_on_and_none_held_out() -> None:
    images, y = pictures(4)
    fitted = classifier().fit(images, y)
    assert (fitted.plan_.train, fitted.plan_.test, fitted.plan_.left_out) == (12, 0, 0)
    assert fitted.plan_.evidence.images == 12
    assert serialize.loads(serialize.dumps(fitted.plan_), "plan.json") == fitted.plan_


def test_copies_count_as_they_do_everywhere_in_scikit_learn() -> None:
    images, y = pictures(3)
    fitted = classifier().fit([*images, images[0], images[0]], [*y, y[0], y[-1]])
    assert fitted.plan_.evidence.per_class == (4, 3, 4)  # blue, green, red


@pytest.mark.parametrize(
    "relabel",
    [
        lambda names: names,
        lambda names: np.array(names, dtype=object),
        lambda names: [len(name) + 6 for name in names],  # 9, 10, 11: sorted as numbers
        lambda names: np.array([len(name) / 1 for name in names]),
        lambda names: [name == "red" for name in names],
        lambda names: [{"red": "red ", "green": ""}.get(name, "red") for name in names],
    ],
    ids=["str", "object", "int", "float", "bool", "blank"],
)
def test_labels_come_back_as_they_were_given(relabel: Callable[[list[str]], Any]) -> None:
    images, names = pictures(5)
    y = np.asarray(relabel(names))
    fitted = classifier().fit(images, y)
    assert fitted.classes_.tolist() == sorted(set(y.tolist()))
    guessed = fitted.predict(images)
    assert guessed.dtype == fitted.classes_.dtype == y.dtype
    assert fitted.score(images, y) == (guessed == y).mean() > 0.8
    shares = fitted.predict_proba(images)
    assert shares.shape == (15, len(fitted.classes_))
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (fitted.classes_[shares.argmax(axis=1)] == guessed).all()


def test_a_picture_is_the_same_in_every_form(tmp_path: Path) -> None:
    images, y = pictures(4)
    files = [tmp_path / f"{i}.png" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        image.save(file)
    array = as_array(images)
    forms: list[Any] = [
        *(images, array, list(array), files, [str(file) for file in files]),
        *(np.array([str(file) for file in files]), [encode(image, "PNG") for image in images]),
        *(array / 255, array.astype(np.int64)),
    ]
    shares = classifier().fit(images, y).predict_proba(images)
    for form in forms:
        assert same_within_rounding(classifier().fit(form, y).predict_proba(form), shares)


def test_grey_pictures_of_three_and_of_four_axes_are_the_same() -> None:
    images, y = pictures(4)
    grey = np.stack([np.asarray(image.convert("L")) for image in images])
    fitted = classifier().fit(grey, y)
    assert (fitted.predict_proba(grey[..., None]) == fitted.predict_proba(grey)).all()


def test_the_same_seed_gives_the_same_classifier() -> None:
    images, y = pictures(4)
    one = classifier(recipe="textbook", seed=3)
    shares = one.fit(images, y).predict_proba(images)
    assert (clone(one).fit(images, y).predict_proba(images) == shares).all()
    other = clone(one).set_params(seed=4).fit(images, y)
    assert not (other.predict_proba(images) == shares).all()


def test_a_fitted_one_survives_pickling() -> None:
    images, y = pictures(4)
    fitted = classifier().fit(images, y)
    twin = pickle.loads(pickle.dumps(fitted))
    assert (twin.predict_proba(images) == fitted.predict_proba(images)).all()


def test_predicting_works_when_the_cache_is_gone(tmp_path: Path) -> None:
    images, y = pictures(4)
    fitted = classifier(cache=tmp_path / "cache").fit(images, y)
    shares = fitted.predict_proba(images)
    (tmp_path / "cache").rename(tmp_path / "gone")
    assert same_within_rounding(fitted.predict_proba(images), shares, BFLOAT16)


@pytest.mark.parametrize(
    ("asked", "fit", "said"),
    [
        pytest.param({}, "pad", "a border is put around them (pad)", id="auto"),
        pytest.param({"fit_image": "crop"}, "crop", "is never looked at", id="crop"),
        pytest.param({"fit_image": "squash"}, "squash", "pressed into the square", id="squash"),
    ],
)
def test_long_pictures_are_seen_as_the_verbs_see_them(
    asked: dict[str, Any], fit: str, said: str
) -> None:
    data = ends()
    X, y = [data.read(i) for i in range(len(data))], [item.label for item in data.items]
    fitted = TransferClassifier("demonstration", case=1, **asked).fit(X, y)
    assert fitted.plan_.backbone.view.fit == fit
    assert said in fitted.plan_.explain()
    result = regraft.propose(data, "demonstration", case=1, **asked)
    assert result.backbone.view == fitted.plan_.backbone.view


@pytest.mark.parametrize("name", [REFERENCE, openvino_engine.FULL])
def test_an_engine_that_is_asked_for_runs_it(name: str, tmp_path: Path) -> None:
    images, y = pictures(4)
    fitted = classifier(engine=name, cache=tmp_path).fit(images, y)
    assert (fitted.plan_.engine, fitted.plan_.pinned) == (name, name)
    assert fitted.predict_proba(images).shape == (12, 3)


# --- inside scikit-learn's own tools -------------------------------------------------------------


def test_a_pipeline_is_cross_validated() -> None:
    images, y = pictures(6)
    steps = [("lighten", FunctionTransformer(lambda X: X // 2 + 100)), ("classify", classifier())]
    scores = cross_val_score(Pipeline(steps), as_array(images), y, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.8


def test_a_grid_search_tries_the_cuts() -> None:
    images, y = pictures(6)
    search = GridSearchCV(classifier(), {"cut": ["1", "3", 0]}, cv=2, error_score="raise")
    search.fit(images, y)
    by_name, _, by_number = search.cv_results_["mean_test_score"]
    assert by_name == by_number
    assert search.best_score_ > 0.8
    best = search.best_estimator_
    assert best.plan_.backbone.stages[best.plan_.cut].name == {0: "1"}.get(best.cut, best.cut)


def test_it_is_one_of_the_public_names() -> None:
    assert regraft.TransferClassifier is TransferClassifier


# --- what cannot be used -------------------------------------------------------------------------


def test_images_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    images, y = pictures(4)
    (tmp_path / "torn.png").write_bytes(encode(images[0], "PNG")[:300])
    wrong = [str(tmp_path / "none.png"), tmp_path / "torn.png", np.full((9, 9), 1.5), 7]
    fitted = classifier().fit(images, y)
    uses: list[Callable[[], object]] = [
        lambda: clone(fitted).fit([*images, *wrong], [*y, *y[:4]]),
        lambda: fitted.predict([*images, *wrong]),
        lambda: fitted.predict_proba([*images, *wrong]),
    ]
    for use in uses:
        with pytest.raises(DataError, match="4 of 16 images cannot be used") as caught:
            use()
        assert [problem.split(": ")[0] for problem in caught.value.problems] == [
            *(str(tmp_path / "none.png"), str(tmp_path / "torn.png"), "image 14", "image 15")
        ]
        assert "must lie in 0..1, got 1.5..1.5" in caught.value.problems[2]


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (np.zeros((20, 64)), r"got shape \[20, 64\]; reshape each row"),
        ("photos", "a single str; put it in a list"),
        (Image.new("L", (9, 9)), "a single Image; put it in a list"),
        ([], "at least one, got none"),
        (3, "got int"),
    ],
    ids=["rows", "path", "image", "none", "number"],
)
def test_what_is_no_list_of_images_is_told(images: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        classifier().fit(images, [0, 1] * 10)


def test_too_few_different_pictures_are_told() -> None:
    images, _ = pictures(1)
    with pytest.raises(DataError, match=r"at least 5 different pictures, got 3 \(6 with copies\)"):
        classifier().fit([*images, *images], list("ababab"))


@pytest.mark.parametrize(
    ("y", "what"),
    [
        (None, "requires y to be passed"),
        ([0, 1], "inconsistent numbers of samples"),
        ([0] * 12, "at least two classes, got 1 class"),
        (np.linspace(0, 1, 12), "Unknown label type"),
        (np.eye(12), "No label can be learnt: one must be on at least 2 images and not on all"),
        (np.eye(12) * 3, "must be a matrix of 0 and 1"),
        (np.arange(36).reshape(12, 3), "y should be a 1d array"),
    ],
    ids=["none", "short", "one", "continuous", "alone", "threes", "matrix"],
)
def test_labels_that_cannot_be_used_are_told(y: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        classifier().fit(pictures(4)[0], y)


def test_parameters_that_cannot_be_are_told_together_and_only_in_fit() -> None:
    wrong = classifier(case=5, recipe="guess", class_weights="even", fit_image="box")
    with pytest.raises(UsageError) as caught:
        wrong.fit(*pictures(4))
    assert "case must be one of None, 1, 2, 3, 4, 'frozen', got 5" in caught.value.problems
    assert len(caught.value.problems) == 4
    with pytest.raises(UsageError, match="'abacus'"):
        classifier(engine="abacus").fit(*pictures(4))
    with pytest.raises(UsageError, match="--cut must name a stage of small, got 'nowhere'"):
        classifier(cut="nowhere").fit(*pictures(4))


def test_nothing_is_predicted_before_it_is_fitted() -> None:
    for use in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(classifier(), use)(pictures(1)[0])


@pytest.mark.parametrize("case", [3, 4])
def test_its_plan_holds_only_what_it_does(case: Literal[3, 4]) -> None:
    X, y = pictures(4)
    model = classifier(case=case).fit(X, y)
    assert (model.plan_.trainings, model.plan_.case) == ((), 1)
    assert "rain every stage" not in model.plan_.explain()
