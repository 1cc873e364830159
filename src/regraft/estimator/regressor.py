"""A scikit-learn regressor over images."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from regraft.estimator.base import ImageEstimator
from regraft.estimator.fitting import Images, listed
from regraft.estimator.labels import numbers_of


# scikit-learn wants the mixin before the base.
class TransferRegressor(RegressorMixin, ImageEstimator):
    """Tell a number of images with a pretrained network that is cut where they need it.

    ``score`` is R2, as scikit-learn's regressors have it.

    Args:
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
        case: overrule the case, 1 to 4; of 3 and 4 the frozen part is done, no network is trained.
        cut: overrule where to cut: a stage's name or number.
        recipe: ``tuned``, or ``textbook`` for just what the table of the four cases says.
        seed: of the folds that choose the cut, and of a new layer that starts from random weights.
            The same images, numbers and seed give the same regressor.
        cache: the cache folder; the user's where None. Of each image, ``fit`` computes features
            once, whatever the folds and parameters of a search.
        fit_image: what becomes of long pictures: ``crop``, ``pad``, ``squash``, or ``auto``, which
            pads where that is clearly better for the images that ``fit`` is given.
        engine: what runs the network, instead of a choice among all that there are.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.

    Attributes:
        half_width_: how far from what is told the true number lies at most, of 95 images in 100,
            by cross-validation of the images that were fitted on.
        plan_: the `regraft.Plan` that was carried out; ``plan_.explain()`` says why.

    Images have no fixed number of features, so there is no ``n_features_in_``.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from regraft import TransferRegressor
        >>> X, y = load_digits(return_X_y=True)
        >>> X, darkness = X.reshape(-1, 8, 8) / 16, X.mean(axis=1)
        >>> model = TransferRegressor().fit(X[:300], darkness[:300])  # doctest: +SKIP
        >>> model.predict(X[300:302])  # doctest: +SKIP
        >>> model.score(X[300:600], darkness[300:600])  # doctest: +SKIP
    """

    half_width_: float

    def fit(self, X: Images, y: ArrayLike) -> "TransferRegressor":
        """Measure the images, decide the cut, and fit the new layer on all of them.

        Args:
            X: images ``[n, height, width(, channels)]``, or a list of paths, PIL images or arrays.
            y: their numbers ``[n]``.

        Raises:
            DataError: images that cannot be used, each named, or too few different ones.
            UsageError: parameters that cannot be, or that contradict each other.
            ValueError: numbers that are missing or not finite, or do not fit the images.
        """
        choices = self._choices()
        pictures = listed(X)
        self._fit(pictures, numbers_of(self, pictures, y), "number", choices)
        answer = self.plan_.evidence.answer
        assert answer is not None, "a number has a rule for its answers"
        self.half_width_ = answer.half_width
        return self

    def predict(self, X: Images) -> NDArray[np.float64]:
        """Return the number of each image ``[n]``.

        Raises:
            DataError: images that cannot be read; each is named.
            NotFittedError: before ``fit``.
        """
        check_is_fitted(self, "plan_")
        return self._fitted.answers(X)[:, 0].astype(np.float64)
