"""What the classifier and the regressor have in common: what they are told, and how they fit."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from sklearn.base import BaseEstimator

from regraft.data.images import FITS
from regraft.data.kinds import Kind
from regraft.errors import UsageError
from regraft.estimator.fitting import FittedHead, fit_head
from regraft.plan.choices import Choices, Recipe
from regraft.plan.definition import Plan
from regraft.run.api import DEFAULT
from regraft.run.pretrained import Pretrained

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

_OPTIONS: dict[str, tuple[object, ...]] = {
    "case": (None, 1, 2, 3, 4, "frozen"),
    "recipe": ("tuned", "textbook"),
    "class_weights": ("auto", "none", "balanced"),
    "fit_image": ("auto", *FITS),
}
_CHOICES = ("case", "recipe", "class_weights", "seed", "engine", "fit_image")


class ImageEstimator(BaseEstimator):
    """An estimator over images; what its parameters mean stands at those that are used."""

    plan_: Plan
    _fitted: FittedHead

    def __init__(
        self,
        backbone: "str | nn.Module | Pretrained" = DEFAULT,
        *,
        case: Literal[1, 2, 3, 4, "frozen"] | None = None,
        cut: str | int | None = None,
        recipe: Recipe = "tuned",
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        fit_image: str = "auto",
        engine: str | None = None,
        stages: Sequence[str] | None = None,
        view: "Fed | None" = None,
    ) -> None:
        self.backbone = backbone
        self.case = case
        self.cut = cut
        self.recipe = recipe
        self.seed = seed
        self.cache = cache
        self.fit_image = fit_image
        self.engine = engine
        self.stages = stages
        self.view = view

    def _choices(self) -> Choices:
        """Return the parameters, checked when it fits, as scikit-learn wants it.

        Raises:
            UsageError: some cannot be; all are named.
        """
        given = self.get_params(deep=False)
        wrong = [
            f"{name} must be one of {', '.join(map(repr, allowed))}, got {given[name]!r}"
            for name, allowed in _OPTIONS.items()
            if name in given and given[name] not in allowed
        ]
        if wrong:
            raise UsageError("These parameters cannot be used.", wrong)
        cut = None if given["cut"] is None else str(given["cut"])
        return Choices(cut=cut, **{name: given[name] for name in _CHOICES if name in given})

    def _fit(
        self, pictures: Sequence[Any], labels: Sequence[str], kind: Kind, choices: Choices
    ) -> None:
        """Measure the images, decide the cut, and fit the new layer on all of them.

        ``labels``: of each picture, as an item of a data set of this kind has it.
        """
        self._fitted = fit_head(
            pictures,
            labels,
            kind,
            choices,
            backbone=self.backbone,
            stages=self.stages,
            view=self.view,
            cache=self.cache,
        )
        self.plan_ = self._fitted.plan

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags of what takes pictures, and no tables."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags
