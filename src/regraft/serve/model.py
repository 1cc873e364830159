"""A Result made ready to answer: its engine opened, its head at hand."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import View
from regraft.features import engines
from regraft.features.engines import Engine, Pixels
from regraft.heads.known import is_known
from regraft.heads.ridge import Head
from regraft.metrics import softmax
from regraft.results.card import model_card
from regraft.results.result import Result

Shares = NDArray[np.floating[Any]]


class ImageAnswer(NamedTuple):
    """What the network makes of one image.

    ``shares`` of probability ``[C]``; ``belief`` that it is like the training images at all, None
    where the RUN, an older one, cannot tell.
    """

    shares: Shares
    belief: float | None

    @property
    def known(self) -> bool | None:
        """Whether it is."""
        return is_known(self.belief)


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
        return [ImageAnswer(*each) for each in zip(softmax(logits), beliefs, strict=True)]

    def top(self, shares: Shares, count: int) -> list[tuple[str, float]]:
        """Return the likeliest classes, most likely first."""
        best = np.argsort(-shares, kind="stable")[:count]
        return [(self.classes[k], float(shares[k])) for k in best]


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
        "classes": list(model.classes),
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
        "accuracy": metrics["accuracy"],
        "accuracy_interval": list(metrics["accuracy_interval"]),
        "held_out": metrics["n"],
        "proof": plan.proof,
        "engine": model.engine.name,
        "card": _card(model.result),
    }


def _card(result: Result) -> str:
    """Return the run's README.md, as it lies there."""
    path = result.folder / "README.md" if result.folder else None
    if path is not None and path.is_file():
        return path.read_text("utf-8", errors="replace")
    return model_card(result.plan, result.metrics)
