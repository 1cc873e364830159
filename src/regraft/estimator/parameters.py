"""What both estimators are told, checked when they fit, as scikit-learn wants it."""

from typing import Any

from regraft.data.images import FITS
from regraft.errors import UsageError
from regraft.plan.choices import Choices

_OPTIONS: dict[str, tuple[object, ...]] = {
    "case": (None, 1, 2, 3, 4, "frozen"),
    "recipe": ("tuned", "textbook"),
    "class_weights": ("auto", "none", "balanced"),
    "fit_image": ("auto", *FITS),
}
_CHOICES = ("case", "recipe", "class_weights", "seed", "engine", "fit_image")


def choices_of(estimator: Any) -> Choices:
    """Return an estimator's parameters.

    Raises:
        UsageError: some cannot be; all are named.
    """
    given = estimator.get_params(deep=False)
    wrong = [
        f"{name} must be one of {', '.join(map(repr, allowed))}, got {given[name]!r}"
        for name, allowed in _OPTIONS.items()
        if name in given and given[name] not in allowed
    ]
    if wrong:
        raise UsageError("These parameters cannot be used.", wrong)
    cut = None if given["cut"] is None else str(given["cut"])
    return Choices(cut=cut, **{name: given[name] for name in _CHOICES if name in given})


def takes_images(tags: Any) -> Any:
    """Return scikit-learn's tags of what takes pictures, and no tables."""
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    tags.input_tags.string = True
    return tags
