"""The page of a run."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from regraft.data.dataset import Dataset
from regraft.data.readers.patterns import is_address
from regraft.plan import wording
from regraft.plan.how_many import ClassGain, LearningCurve
from regraft.report import answered, answers, mixed, parts, pictures, template, words
from regraft.report.charts import answered as answered_chart
from regraft.report.charts import confusion, curves
from regraft.report.charts.learning import learning
from regraft.report.heat import Heat, exact, maps
from regraft.report.landscape import landscape
from regraft.report.pictures import Album, Find, Shot
from regraft.report.thumbnails import Sprite, sprite
from regraft.results.result import Result
from regraft.results.tables import Predictions

CLASSES = 1000
"""Classes that are listed; metrics.json has all."""

Metrics = Mapping[str, Any]


BESIDE, FLAT = 14, 8
"""Up to so many classes the photos stand beside the table; above it names stand upright in it."""


@dataclass(frozen=True)
class _Sure:
    """What is right of what it is sure of, in the page."""

    advice: str
    start: float
    """The confidence that is asked for to begin with."""
    chart: Markup
    rows: Sequence[answered.Answered]
    data: str


def render(
    result: Result, card: str, dataset: Dataset | None, *, heat_maps: bool | None, data: str = ""
) -> str:
    """Return the page as text; see `regraft.report.page`.

    Where the network looked is found beside the rest, which hardly ever needs the same core.
    """
    with ThreadPoolExecutor(1) as beside:
        return parts.drawn_to_fit(
            lambda part: _drawn(result, card, dataset, heat_maps, data, part, beside)
        )


def _drawn(
    result: Result,
    card: str,
    dataset: Dataset | None,
    heat_maps: bool | None,
    data: str,
    part: int,
    beside: ThreadPoolExecutor,
) -> str:
    plan, metrics, found = result.plan, result.metrics, result.predictions
    assert found is not None, "a run that is written or read for its page has its predictions"
    find = pictures.finder(dataset)
    album = pictures.Album(find, plan.backbone.view, pictures.ROOM // part, result.cache)
    wrong, unsure = _shots(result, album)
    shots = [*wrong, *unsure]
    looked = None
    if dataset is not None:
        looked = beside.submit(_heat, result, shots, find, heat_maps)
    suspects, least = _suspects(result, album), _least(metrics, album)
    small = _small(result)
    cells = mixed.cells(
        found, result.classes, album, mistakes=None if small else confusion.PAIRS, part=part
    )
    pairs = confusion.pairs(metrics["confusion"], result.classes)
    rows = parts.rows(plan, metrics["per_class"], "recall", CLASSES // part)
    gone = {shot.path: shot.problem for shot in shots if shot.problem}
    sure = _sure(found, metrics)
    shared = parts.shared(result, card, data, part, least=sure.start)
    where = landscape(result, album.anchors, part, _dots(album, dataset, data or plan.data))
    heat = looked.result() if looked else Heat()
    return template.render(
        "run.html.jinja",
        **shared,
        classes=result.classes,
        word=words.letters(result.classes),
        answers=answers.answers(plan, metrics),
        no_image=wording.NO_IMAGE,
        contents=parts.contents(
            shared,
            ("mixed", "What is taken for what"),
            ("classes", "Class by class"),
            ("calibration", "Confidence"),
            ("threshold", "Only where it is sure"),
            *([("more", "How many more")] if plan.learning_curve is not None else []),
            ("map", "A map of the images"),
            ("errs", "Where it errs"),
            *([("unknown", "None of these")] if "unknown" in metrics else []),
            *([("labels", "Labels")] if "suspects" in metrics else []),
            *([("heat", "Where it looked")] if heat != Heat() else []),
        ),
        beside=len(result.classes) <= BESIDE,
        turned=len(result.classes) > FLAT,
        matrix=confusion.cells(metrics["confusion"]) if small else None,
        map=Markup(_map(result)),
        cells=cells,
        opened={cell.anchor for cell in cells},
        pairs=pairs[: confusion.PAIRS],
        more_pairs=max(len(pairs) - confusion.PAIRS, 0),
        rows=rows,
        more_rows=max(len(result.classes) - len(rows), 0),
        more=wording.how_many(plan, metrics),
        learning=Markup(learning(plan.learning_curve)),
        wanting=_wanting(plan.learning_curve)[: CLASSES // part],
        reliability=Markup(curves.reliability(curves.bins(found.probabilities, found.truth))),
        answered=sure,
        landscape=where,
        at_hand=dataset is not None,
        missing=[f"{path} ({why})" for path, why in gone.items()],
        wrong=wrong,
        mistakes=sum(n for _, _, n, _ in pairs),
        unsure=unsure,
        doubted=wording.suspects(metrics),
        suspects=suspects,
        strange=wording.unknown(plan, metrics),
        least=least,
        strangers=_strangers(metrics)[: CLASSES // part],
        heat=heat,
    )


def _dots(album: Album, dataset: Dataset | None, where: str) -> Callable[[Sequence[str]], Sprite]:
    """Return what draws dots of the map; nothing where images are absent, or are fetched."""
    if dataset is None or is_address(where):
        return lambda paths: Sprite()
    return lambda paths: sprite(paths, album.find, album.view, album.room, album.cache)


def _heat(result: Result, shots: Sequence[Shot], find: Find, asked: bool | None) -> Heat:
    """Return where the network looked: exactly, or by Grad-CAM where asked or torch is there."""
    exactly = Heat() if asked is False or result.plan.start else exact(result, shots, find)
    if exactly.shown:
        return exactly
    wants = bool(result.plan.trainings) if asked is None else asked
    return maps(result, shots, find) if wants else Heat()


def _sure(found: Predictions, metrics: Metrics) -> _Sure:
    captures = metrics.get("captures", metrics["n"]) / metrics["n"]
    said, least = answered.advice(found)
    curve = answered.curve(found, captures)
    return _Sure(
        said,
        least or answered.USUAL,
        Markup(answered_chart.chart(curve)),
        answered.rows(found, captures),
        answered.for_slider(found, curve),
    )


def _wanting(curve: LearningCurve | None) -> Sequence[ClassGain]:
    """Return the classes that want images, where it can be said which do most."""
    return curve.classes if curve is not None and curve.wants else ()


def _small(result: Result) -> bool:
    return len(result.classes) <= confusion.TABLE


def _map(result: Result) -> str:
    if _small(result) or len(result.classes) > confusion.MAP:
        return ""
    return confusion.chart(result.metrics["confusion"], result.classes)


def _shots(result: Result, album: Album) -> tuple[list[Shot], list[Shot]]:
    """Return the most confident mistakes and the least sure images, with their pictures."""
    assert result.predictions is not None
    wrong = pictures.mistakes(result.predictions, result.classes)
    unsure = pictures.unsure(result.predictions, result.classes)
    shown = album.show([*wrong, *unsure])
    return shown[: len(wrong)], shown[len(wrong) :]


def _suspects(result: Result, album: Album) -> list[Shot]:
    """Return the images whose labels look wrong, the least believed first."""
    return album.show(
        [
            Shot(one.path, one.label, one.suggestion, 1 - one.belief, one.belief, one.rank)
            for one in result.suspects[: pictures.SUSPECTS]
        ]
    )


def _least(metrics: Metrics, album: Album) -> list[Shot]:
    """Return the held-out images that are least like the others, the strangest first."""
    rows = metrics.get("unknown", {}).get("least", ())
    return album.show(
        [
            Shot(one["path"], one["label"], one["label"], one["belief"], one["belief"], row)
            for row, one in enumerate(rows)
        ]
    )


def _strangers(metrics: Metrics) -> list[dict[str, Any]]:
    """Return the classes that were left out, those first that pass most often."""
    found = metrics.get("unknown", {}).get("left_out", {})
    rows = [{"name": name} | one for name, one in found.items()]
    return sorted(rows, key=lambda one: -one["accepted"])[:CLASSES]
