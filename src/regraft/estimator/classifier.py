"""A scikit-learn classifier over images."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from regraft.estimator.base import ImageEstimator
from regraft.estimator.fitting import Images, listed
from regraft.estimator.labels import GivenLabels, labels_of, matrix_of
from regraft.heads.tasks import task_of
from regraft.plan.choices import Recipe
from regraft.run.api import DEFAULT
from regraft.run.pretrained import Pretrained

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed


# scikit-learn wants the mixin before the base.
class TransferClassifier(ClassifierMixin, ImageEstimator):
    """Classify images with a pretrained network that is cut where they need it.

    Where an image may have several labels, ``y`` is a matrix of 0 and 1 ``[n, k]``, or a list of
    lists (sets, tuples) of labels; a probability is then one of a label by itself.

    Args:
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
        case: overrule the case, 1 to 4; of 3 and 4 the frozen part is done, no network is trained.
        cut: overrule where to cut: a stage's name or number.
        recipe: ``tuned``, or ``textbook`` for just what the table of the four cases says.
        class_weights: ``auto``, ``none`` or ``balanced``; of one label an image.
        seed: of the folds that choose the cut, and of a new layer that starts from random weights.
            The same images, labels and seed give the same classifier.
        cache: the cache folder; the user's where None. Of each image, ``fit`` computes features
            once, whatever the folds and parameters of a search.
        fit_image: what becomes of long pictures: ``crop``, ``pad``, ``squash``, or ``auto``, which
            pads where that is clearly better for the images that ``fit`` is given.
        engine: what runs the network, instead of a choice among all that there are.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.

    Attributes:
        classes_: the labels as they were given, sorted ``[k]``; of a matrix the numbers of its
            columns, or their names where it is a pandas table.
        thresholds_: of several labels: from which probability on each is given ``[k]``.
        plan_: the `regraft.Plan` that was carried out; ``plan_.explain()`` says why.

    Images have no fixed number of features, so there is no ``n_features_in_``.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import cross_val_score
        >>> from regraft import TransferClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> X = X.reshape(-1, 8, 8) / 16
        >>> cross_val_score(TransferClassifier(), X[:300], y[:300]).mean()  # doctest: +SKIP
        0.9767
        >>> model = TransferClassifier().fit(X[:300], y[:300])  # doctest: +SKIP
        >>> model.predict(X[300:303])  # doctest: +SKIP
        array([7, 3, 5])
        >>> print(model.plan_.explain())  # doctest: +SKIP
    """

    classes_: NDArray[Any]
    thresholds_: NDArray[np.float64]
    _labels: GivenLabels

    def __init__(
        self,
        backbone: "str | nn.Module | Pretrained" = DEFAULT,
        *,
        case: Literal[1, 2, 3, 4, "frozen"] | None = None,
        cut: str | int | None = None,
        recipe: Recipe = "tuned",
        class_weights: str = "auto",
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        fit_image: str = "auto",
        engine: str | None = None,
        stages: Sequence[str] | None = None,
        view: "Fed | None" = None,
    ) -> None:
        super().__init__(
            backbone,
            case=case,
            cut=cut,
            recipe=recipe,
            seed=seed,
            cache=cache,
            fit_image=fit_image,
            engine=engine,
            stages=stages,
            view=view,
        )
        self.class_weights = class_weights

    def fit(self, X: Images, y: ArrayLike) -> "TransferClassifier":
        """Measure the images, decide the cut, and fit the new layer on all of them.

        Args:
            X: images ``[n, height, width(, channels)]``, or a list of paths, PIL images or arrays.
            y: their labels ``[n]``, of any kind that can be sorted; or of several an image a matrix
                of 0 and 1 ``[n, k]``, or ``n`` lists of labels.

        Raises:
            DataError: images that cannot be used, each named, or too few different ones.
            UsageError: parameters that cannot be, or that contradict each other.
            ValueError: labels that are missing, are no classes, or do not fit the images.
        """
        choices = self._choices()
        pictures = listed(X)
        labels = labels_of(self, pictures, y)
        self._fit(pictures, labels.texts, labels.kind, choices)
        self.classes_, self._labels = labels.classes, labels.told()
        if labels.kind == "several":
            self.thresholds_ = self._labels.thresholds(self._fitted)
        return self

    def predict(self, X: Images) -> Any:
        """Return the likeliest label of each image ``[n]``.

        Of several labels those that are given: a matrix of 0 and 1 ``[n, k]`` where ``fit`` was
        given one, else a list of labels for each image.

        Raises:
            DataError: images that cannot be read; each is named.
            NotFittedError: before ``fit``.
        """
        shares = self.predict_proba(X)
        if self._labels.kind == "one":
            return self.classes_[shares.argmax(axis=1)]
        return self._labels.given(shares >= self.thresholds_, self.classes_)

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
        """Calibrated probabilities ``[n, k]``, in the order of ``classes_``.

        In float32, which is the precision that the network has. Of several labels each is one by
        itself.

        Raises:
            DataError: images that cannot be read; each is named.
            NotFittedError: before ``fit``.
        """
        check_is_fitted(self, "plan_")
        shares = self._fitted.answers(X).astype(np.float32)
        return self._labels.in_order(shares, self._fitted.classes)

    def score(self, X: Images, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy; of several labels the mean average precision.

        Args:
            X: images, as for ``fit``.
            y: their labels, as for ``fit``.
            sample_weight: of each image; of one label an image alone.

        Raises:
            ValueError: labels that were not there in ``fit``, or weights of several labels.
        """
        check_is_fitted(self, "plan_")
        if self._labels.kind == "one":
            return float(super().score(X, y, sample_weight))
        if sample_weight is not None:
            raise ValueError("The mean average precision of several labels takes no sample_weight.")
        truth = matrix_of(y, self._labels, self.classes_)
        return task_of("several").merit(self.predict_proba(X).astype(np.float64), truth)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
