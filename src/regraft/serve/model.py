"""A Result made ready to answer: its engine opened, its head at hand."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import View
from regraft.features import engines
from regraft.features.engines import Engine, Pixels
from regraft.heads.ridge import Head
from regraft.heads.tasks import task_of
from regraft.heads.tasks.words import words_of
from regraft.results.card import model_card
from regraft.results.prediction import Prediction, prediction_of
from regraft.results.result import Result

Shares = NDArray[np.floating[Any]]


class ImageAnswer(NamedTuple):
    """What the network makes of one image.

    ``shares`` of probability ``[C]``, or the number; ``belief`` that it is like the training images
    at all, None where the RUN cannot tell.
    """

    shares: Shares
    belief: float | None


@dataclass(frozen=True, eq=False)
class Model:
    """A network that answers: an engine for the trunk, and the new layer."""

    result: Result
    engine: Engine
    head: Head

    @property
    def classes(self) -> tuple[str, ...]:
        """The names, in the order of the shares."""
        return self.result.classes

    @property
    def kind(self) -> str:
        """What is asked of an image: ``one`` label, ``several``, or a ``number``."""
        return self.result.kind

    @property
    def view(self) -> View:
        """How the network sees an image."""
        return self.result.plan.backbone.view

    def __call__(self, pixels: Pixels) -> list[ImageAnswer]:
        """Judge each image of ``[B, S, S, 3]``.

        The new layer is applied to one image after the other: a product of matrices rounds
        differently for another number of rows, and no answer shall depend on its neighbours.
        """
        rows = engines.features(self.engine, pixels)
        logits = np.concatenate([self.head.logits(rows[n : n + 1]) for n in range(len(rows))])
        known = self.result.known
        beliefs = known.belief(rows, logits).tolist() if known else [None] * len(rows)
        shares = task_of(self.kind).shares(logits)
        return [ImageAnswer(*each) for each in zip(shares, beliefs, strict=True)]

    def prediction(self, name: str, judged: ImageAnswer, top: int) -> Prediction:
        """Return what is told of an image, with the ``top`` likeliest classes."""
        answer = self.result.plan.evidence.answer
        return prediction_of(
            name, judged.shares, self.classes, answer, top=top, belief=judged.belief
        )


def ready(result: Result) -> Model:
    """Open the engine and run it once, so that the first request waits no longer than others."""
    model = Model(result, result.exact_engine(), result.head)
    model(np.zeros((1, *model.view.shape), np.uint8))
    return model


def description(model: Model) -> dict[str, Any]:
    """Return what ``GET /model`` answers, but for the server's own limits."""
    plan, metrics = model.result.plan, model.result.metrics
    kept, frozen = set(plan.kept), set(plan.frozen) if plan.case in (3, 4) else set(plan.kept)
    return {
        "name": plan.dataset,
        "kind": model.kind,
        **_answers(model),
        "case": plan.case,
        "title": plan.title,
        "network": plan.backbone.name,
        "source": plan.backbone.source,
        "stages": [
            {
                "name": stage.name,
                "depth": depth,
                "kept": stage.name in kept,
                "frozen": stage.name in frozen,
                "read": depth in plan.taps,
            }
            for depth, stage in enumerate(plan.backbone.stages)
        ],
        "preprocessing": {
            "size": model.view.size,
            "crop": model.view.crop,
            "interpolation": model.view.interpolation,
            "mean": list(plan.backbone.mean),
            "std": list(plan.backbone.std),
            **model.view.unusual,
        },
        "measure": words_of(model.kind).measure,
        **{name: metrics[name] for name in _MEASURES[model.kind]},
        "held_out": metrics["n"],
        "proof": plan.proof,
        "engine": model.engine.name,
        "card": _card(model.result),
    }


_MEASURES = {
    "one": ("accuracy", "accuracy_interval"),
    "several": ("mean_average_precision", "mean_average_precision_interval", "f1"),
    "number": ("r2", "r2_interval", "mean_absolute_error"),
}
"""What of ``metrics.json`` is told, by what is asked of an image: the measure first."""


def _answers(model: Model) -> dict[str, Any]:
    """Return what can be answered, and by which rule."""
    rule = model.result.plan.evidence.answer
    if rule is None:
        return {"classes": list(model.classes)}
    if rule.kind == "several":
        return {"classes": list(model.classes), "thresholds": list(rule.thresholds)}
    told = {"mean": rule.mean, "spread": rule.spread, "half_width": rule.half_width}
    return {"quantity": model.classes[0], **told}


def _card(result: Result) -> str:
    """Return the run's README.md, as it lies there."""
    path = result.folder / "README.md" if result.folder else None
    if path is not None and path.is_file():
        return path.read_text("utf-8", errors="replace")
    return model_card(result.plan, result.metrics)
