"""scikit-learn estimators over images: a classifier, of one label or several, and a regressor.

They measure, decide and fit like `regraft.fit`, but hold nothing out: every image that they
are given is trained on, and judging the result is left to scikit-learn's own tools.
"""

from regraft.estimator.classifier import TransferClassifier
from regraft.estimator.regressor import TransferRegressor

__all__ = ["TransferClassifier", "TransferRegressor"]
