"""The page of a run that tells a number of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from regraft.data.dataset import Dataset
from regraft.heads.tasks.words import words_of
from regraft.plan.definition import Plan
from regraft.report import parts, pictures, template
from regraft.report.answers import Answer
from regraft.report.charts.targets import DOTS, histogram, scatter
from regraft.report.jinja import figure
from regraft.report.pictures import Album, Shot
from regraft.results.result import Result
from regraft.results.tables import Predictions

RANGE: Final = 8
"""Parts of the range that are told of, at most."""

FEW: Final = 5
"""Images that a part has at least."""

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Stretch:
    """A part of the range: its images, how far they are off, and which way."""

    low: float
    high: float
    n: int
    off: float
    """Mean absolute error."""
    bias: float
    """Mean error: told less true."""
    covered: float


@dataclass(frozen=True)
class Far:
    """An image whose number is told wrong, with its picture."""

    shot: Shot
    told: float
    truth: float


def render(result: Result, card: str, dataset: Dataset | None, *, data: str = "") -> str:
    """Return the page as text; see `regraft.report.page`."""
    return parts.drawn_to_fit(lambda part: _drawn(result, card, dataset, data, part))


def _drawn(result: Result, card: str, dataset: Dataset | None, data: str, part: int) -> str:
    plan, metrics, found = result.plan, result.metrics, result.predictions
    assert found is not None, "a run that is written or read for its page has its predictions"
    told, truth = np.asarray(found.probabilities, float), np.asarray(found.truth, float)
    [name] = result.classes
    album = Album(pictures.finder(dataset), plan.backbone.view, pictures.ROOM // part, result.cache)
    far = _far(found, album)
    shared = parts.shared(result, card, data, part)
    stretches = stretches_of(told, truth, metrics["half_width"])
    return template.render(
        "number.html.jinja",
        **shared,
        quantity=name,
        answers=_answers(plan, metrics, name, stretches),
        contents=parts.contents(
            shared,
            ("told", "Told and true"),
            ("range", "Over the range"),
            ("errs", "Where it errs"),
        ),
        scatter=Markup(scatter(told, truth, metrics["half_width"], name)),
        dots=min(len(truth), DOTS),
        histogram=Markup(histogram(told - truth, name)),
        stretches=stretches,
        far=far,
        at_hand=dataset is not None,
        missing=[f"{one.shot.path} ({one.shot.problem})" for one in far if one.shot.problem],
    )


def _answers(plan: Plan, metrics: Metrics, name: str, stretches: Sequence[Stretch]) -> list[Answer]:
    """Return what somebody wants to know first."""
    low, high = metrics["r2_interval"]
    level = Answer(
        "How well does it tell the number?",
        words_of("number").got(metrics["r2"]),
        f"of {metrics['n']:,} {plan.judged}: 1 is always right, 0 as good as always naming their "
        f"mean; of ever so many like them {words_of('number').span((low, high))} (95% interval).",
        "told",
    )
    off = Answer(
        "How far is it off?",
        f"{metrics['mean_absolute_error']:.4g}",
        f"on average, of half the images by less than {metrics['median_absolute_error']:.4g}. "
        f"Always naming the mean of the training images is off by {metrics['guess']:.4g}.",
        "told",
    )
    sure = Answer(
        "How sure is what it tells?",
        f"± {metrics['half_width']:.4g}",
        f"is to hold the true number of 95 in 100 images; it holds that of "
        f"{metrics['covered']:.1%} of these. It is as wide for every image.",
        "told",
    )
    worst = max(stretches, key=lambda one: one.off)
    where = Answer(
        "Where is it worst?",
        f"{figure(worst.low)} to {figure(worst.high)}",
        f"There {name} is off by {worst.off:.4g} on average ({worst.n:,} images)" + _leaning(worst),
        "range",
    )
    return [level, off, sure, *([where] if len(stretches) > 1 else [])]


def _leaning(one: Stretch) -> str:
    if abs(one.bias) < one.off / 2:
        return "."
    return f", and is told {'too large' if one.bias > 0 else 'too small'} by {abs(one.bias):.4g}."


def stretches_of(
    told: NDArray[np.floating], truth: NDArray[np.floating], half: float
) -> list[Stretch]:
    """Return parts of the range of the true numbers ``[n]``, each of about as many images."""
    parts_ = int(np.clip(len(truth) // FEW, 1, RANGE))
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, parts_ + 1)[1:-1], method="lower"))
    where = np.searchsorted(edges, truth, side="left")
    found = []
    for one in np.unique(where).tolist():
        here = where == one
        error = told[here] - truth[here]
        found.append(
            Stretch(
                float(truth[here].min()),
                float(truth[here].max()),
                int(here.sum()),
                float(np.abs(error).mean()),
                float(error.mean()),
                float((np.abs(error) <= half).mean()),
            )
        )
    return found


def _far(found: Predictions, album: Album) -> list[Far]:
    """Return the images whose numbers are told worst, the farthest off first."""
    order = np.argsort(-np.abs(found.probabilities - found.truth), kind="stable")[: pictures.MOST]
    shots = pictures.shown(found, order.tolist(), album)
    return [
        Far(shot, float(found.probabilities[shot.row]), float(found.truth[shot.row]))
        for shot in shots
    ]
