"""The page of a run whose images have several labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from regraft.data.dataset import Dataset
from regraft.plan import wording
from regraft.plan.definition import Plan
from regraft.plan.naming import given_from
from regraft.report import parts, pictures, template, words
from regraft.report.answers import Answer
from regraft.report.charts.curves import binned, reliability
from regraft.report.charts.frame import short
from regraft.report.charts.targets import precision_recall
from regraft.report.pictures import Album, Shot
from regraft.report.words import NAME
from regraft.results.result import Result
from regraft.results.tables import Predictions

LABELS: Final = 200
"""Labels that are listed; metrics.json has all."""

CURVES: Final = 6
"""Labels whose precision and recall are drawn."""

PAIRS: Final = 12
"""Pairs of labels that are listed, of a kind."""

AMONG: Final = 200
"""Labels among which pairs are looked for: those with the most mistakes."""

NAMED: Final = 8
"""Labels that are named under a photo, of a kind."""

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Odd:
    """An image whose labels are told wrong, with its picture."""

    shot: Shot
    missing: Sequence[tuple[str, float]]
    """Labels that it has and are not given, each with its probability."""
    extra: Sequence[tuple[str, float]]
    """Labels that are given and it has not."""
    right: Sequence[str]
    more: int
    """Wrong labels that are not named."""


@dataclass(frozen=True)
class Pair:
    """Two labels that are told wrong together: on how many images, of how many."""

    first: str
    second: str
    n: int
    of: int


def render(result: Result, card: str, dataset: Dataset | None, *, data: str = "") -> str:
    """Return the page as text; see `regraft.report.page`."""
    return parts.drawn_to_fit(lambda part: _drawn(result, card, dataset, data, part))


def _drawn(result: Result, card: str, dataset: Dataset | None, data: str, part: int) -> str:
    plan, metrics, found = result.plan, result.metrics, result.predictions
    assert found is not None, "a run that is written or read for its page has its predictions"
    given = found.probabilities >= np.asarray(found.thresholds)
    truth = found.truth
    album = Album(pictures.finder(dataset), plan.backbone.view, pictures.ROOM // part, result.cache)
    odd = _odd(found, given, result.classes, album)
    rows = parts.rows(plan, metrics["per_label"], "average_precision", LABELS // part)
    wrong = given != truth
    shared = parts.shared(result, card, data, part)
    return template.render(
        "several.html.jinja",
        **shared,
        word=words.letters(result.classes),
        labels=f"{len(result.classes):,} label{'s' * (len(result.classes) > 1)}",
        answers=_answers(plan, metrics, given, truth),
        contents=parts.contents(
            shared,
            ("labels", "Label by label"),
            ("curves", "The weakest"),
            ("together", "Wrong together"),
            *([("errs", "Where it errs")] if odd else []),
            ("calibration", "Probabilities"),
        ),
        no_image=wording.NO_IMAGE,
        given_from=given_from(plan.evidence),
        rows=rows,
        more_rows=len(result.classes) - len(rows),
        drawn=_curves(found, metrics, result.classes),
        taken=_pairs(truth & ~given, given & ~truth, result.classes),
        beside=_pairs(truth & given, given & ~truth, result.classes),
        hidden=_pairs(truth & given, truth & ~given, result.classes),
        reliability=Markup(_reliability(found)),
        odd=odd,
        faulty=int(wrong.any(1).sum()),
        at_hand=dataset is not None,
        missing=[f"{one.shot.path} ({one.shot.problem})" for one in odd if one.shot.problem],
    )


def _answers(
    plan: Plan, metrics: Metrics, given: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> list[Answer]:
    """Return what somebody wants to know first."""
    low, high = metrics["mean_average_precision_interval"]
    level = Answer(
        "How well are the labels told?",
        f"{metrics['mean_average_precision']:.1%}",
        f"mean average precision of {metrics['n']:,} {plan.judged}; of ever so many like them "
        f"{low:.1%} to {high:.1%} (95% interval). Giving all images the same probabilities reaches "
        f"{metrics['guess']:.1%}.",
        "labels",
    )
    extra, missing = int((given & ~truth).sum()), int((truth & ~given).sum())
    exact = Answer(
        "How often is every label right?",
        f"{metrics['exact']:.1%}",
        f"of the images. Of all their {int(truth.sum()):,} labels {missing:,} are missing, and "
        f"{extra:,} are given that are not there.",
        "errs",
    )
    sure = Answer(
        "Do its probabilities mean what they say?",
        f"{metrics['ece']:.1%} off",
        "That far is a probability from the share of images that have the label, on average over "
        "all answers.",
        "calibration",
    )
    return [level, _hardest(metrics), exact, sure]


def _hardest(metrics: Metrics) -> Answer:
    known = {name: one for name, one in metrics["per_label"].items() if one["n"]}
    ask, untold = "Which label is hardest?", len(metrics["per_label"]) - len(known)
    rest = f" Of {untold:,} labels no image was held out." if untold else ""
    if not known:
        return Answer(ask, "not known", f"No held-out image has one.{rest}")
    worst = min(known, key=lambda name: (known[name]["average_precision"], -known[name]["n"]))
    one = known[worst]
    if one["average_precision"] == 1:
        said = f"Every label comes before all others on the images that have it.{rest}"
        return Answer(ask, "none", said, "labels")
    found = round(one["recall"] * one["n"])
    said = f"Its average precision is {one['average_precision']:.1%}; {found:,} of {one['n']:,} "
    said += "are found"
    if one["precision"] is not None:
        said += f", and it is right in {one['precision']:.0%} of the images it is given to"
    return Answer(ask, short(worst, NAME), f"{said}.{rest}", "curves", name=True)


def _curves(
    found: Predictions, metrics: Metrics, names: Sequence[str]
) -> list[tuple[str, str, Markup]]:
    """Return the weakest labels: name, figures, precision against recall."""
    known = [(one["average_precision"], k) for k, one in enumerate(metrics["per_label"].values())]
    order = sorted((value, k) for value, k in known if value is not None)[:CURVES]
    return [
        (
            names[k],
            f"average precision {value:.1%}, {int(found.truth[:, k].sum()):,} images",
            Markup(
                precision_recall(
                    np.asarray(found.probabilities[:, k], np.float64),
                    np.asarray(found.truth[:, k], bool),
                    found.thresholds[k],
                    short(names[k]),
                )
            ),
        )
        for value, k in order
    ]


def _pairs(first: NDArray[np.bool_], second: NDArray[np.bool_], names: Sequence[str]) -> list[Pair]:
    """Return which labels meet most often: one of ``first`` and one of ``second``, ``[n, K]``.

    ``of`` is how often the second one occurs at all; a pair of one image is none.
    """
    some = np.argsort(-second.sum(0), kind="stable")[:AMONG]
    every = np.argsort(-first.sum(0), kind="stable")[:AMONG]
    meet = first[:, every].astype(np.float32).T @ second[:, some].astype(np.float32)
    order = np.argsort(-meet, axis=None, kind="stable")[:PAIRS]
    count = second.sum(0)
    found = []
    for a, b in zip(*np.unravel_index(order, meet.shape), strict=True):
        if meet[a, b] > 1:
            one, other = int(every[a]), int(some[b])
            found.append(Pair(names[one], names[other], int(meet[a, b]), int(count[other])))
    return found


def _reliability(found: Predictions) -> str:
    """Return the chart of all answers: their probabilities, and how many are there."""
    shares = np.asarray(found.probabilities, np.float64).ravel()
    bins = binned(shares, found.truth.ravel())
    return reliability(bins, "probability", "have the label", "answers")


def _odd(
    found: Predictions, given: NDArray[np.bool_], names: Sequence[str], album: Album
) -> list[Odd]:
    """Return the images that are told worst: those of the largest squared error first."""
    p = np.asarray(found.probabilities, np.float64)
    loss = np.where((given != found.truth).any(1), np.square(p - found.truth).sum(1), -1.0)
    rows = [int(row) for row in np.argsort(-loss, kind="stable")[: pictures.MOST] if loss[row] >= 0]
    return [
        _odd_one(shot, p[shot.row], found.truth[shot.row], given[shot.row], names)
        for shot in pictures.shown(found, rows, album)
    ]


def _odd_one(
    shot: Shot,
    shares: NDArray[np.float64],
    truth: NDArray[np.bool_],
    given: NDArray[np.bool_],
    names: Sequence[str],
) -> Odd:
    def named(which: Iterable[int]) -> list[tuple[str, float]]:
        return [(names[k], float(shares[k])) for k in which]

    missing = sorted(np.flatnonzero(truth & ~given).tolist(), key=lambda k: shares[k])
    extra = sorted(np.flatnonzero(given & ~truth).tolist(), key=lambda k: -shares[k])
    right = np.flatnonzero(given & truth).tolist()
    more = max(len(missing) - NAMED, 0) + max(len(extra) - NAMED, 0)
    return Odd(
        shot, named(missing[:NAMED]), named(extra[:NAMED]), [names[k] for k in right[:NAMED]], more
    )
