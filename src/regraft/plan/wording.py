"""Sentences about a plan or a run that several pages say: terminal, card, report, drawing.

Each is '' where there is nothing to say, so that a page says what the figures bear out, and all
pages say the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.data.splits import EACH_ONCE
from regraft.heads.tasks.words import words_of
from regraft.plan.curve import FARTHEST
from regraft.plan.definition import Plan
from regraft.plan.evidence import Probe
from regraft.plan.how_many import LearningCurve, Point
from regraft.plan.naming import frozen_case, stages_named

Metrics = Mapping[str, Any]

TOLD = 0.6
"""Area under the curve below which known images are hardly told from others; 0.5 is chance."""

NO_IMAGE = "no held-out image"
"""What stands in place of the figures of a class of which none was held out."""


HARDLY = 0.02
"""Accuracy below which what four times the images would win is hardly a help. A judgement."""


def unchanged(plan: Plan) -> str:
    """Say that a network was trained, and its weights are still those it began with."""
    said = {
        "pretrained": "Fine-tuning was tried; no epoch was better than the start, so the weights "
        "are the pretrained ones under a new layer.",
        "random": "Training from random weights was tried; no epoch was better than the start, so "
        "the weights are the random ones that were drawn.",
    }
    return said[plan.unchanged] if plan.unchanged else ""


def unjudged(metrics: Metrics) -> list[str]:
    """Return the classes (labels) without a held-out image, of which no figure is known."""
    known = metrics.get("per_class") or metrics["per_label"]
    return [name for name, one in known.items() if not one["n"]]


def weakest(metrics: Metrics, most: int = 3) -> tuple[list[tuple[str, str]], str]:
    """Return the classes that are missed most, each with how many of its images are found.

    They are found less often than all images are, by whole percents as they are told. Those that
    are missed as often as one another are named together or not at all; where the worst ones alone
    are more than ``most``, what is returned beside says how many more there are.
    """
    shares: dict[int, list[tuple[str, str]]] = {}
    for name, one in metrics["per_class"].items():
        if one["n"] and (share := round(100 * one["recall"])) < round(100 * metrics["accuracy"]):
            shares.setdefault(share, []).append((name, f"{share}% of {one['n']:,}"))
    named: list[tuple[str, str]] = []
    for share in sorted(shares):
        if named and len(named) + len(shares[share]) > most:
            break
        named += shares[share]
    more = f" and {len(named) - most:,} more" if len(named) > most else ""
    return named[:most], more


def once(plan: Plan) -> str:
    """Return what was chosen once, not anew without each image that judges the network."""
    by = max((reason.once for reason in plan.reasons), default=0)
    found = []
    if by:
        found.append(f"how pictures are seen (scale, crop or border), on {by:,} of them")
    if plan.ran:
        found.append(f"that it is no trained network, on {plan.validation:,} of them")
    if plan.split != EACH_ONCE or not found:
        return ""
    return f"Chosen once, not anew: {'; and '.join(found)}."


def remarks(plan: Plan, metrics: Metrics) -> list[str]:
    """Return what a page that shows a run says beside its figures."""
    found = (unchanged(plan), surprise(plan, metrics), overrun(metrics))
    return [said for said in found if said]


def looking(
    *, images: int, recalled: int, seconds: float, choosing: float, engine: str, speed: float
) -> str:
    """Return what looking at the images took: of the cache, of the engine, and of its choice.

    Args:
        images: how many there are.
        recalled: how many of them the cache knew.
        seconds: of the pass, the choice apart.
        choosing: seconds of the choice of an engine; 0 where it was remembered.
        engine: its name; '' where none was needed.
        speed: its images/s.
    """
    known = {0: "none of them", images: "all of them"}.get(recalled, f"{recalled:,} of them")
    parts = [
        f"looking at the images took {seconds:.1f} s: {images:,} images, {known} from the cache"
    ]
    if engine:
        parts.append(f"{engine} runs {speed:,.0f} images/s here")
    if choosing >= 0.05:
        parts.append(f"choosing that engine took {choosing:.1f} s before")
    return "; ".join(parts)


def spent(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return what the time of a run went into: names, and seconds that add up to its ``total``."""
    named = {
        "audit": "audit",
        "engine": "choosing an engine",
        "probe": "looking",
        "fit": "fit",
        "evaluate": "judging",
    }
    parts = [(said, seconds.get(part, 0.0)) for part, said in named.items()]
    rest = seconds["total"] - sum(value for _, value in parts)
    return [(name, value) for name, value in (*parts, ("all else", rest)) if value >= 0.005]


def overrun(metrics: Metrics) -> str:
    """Say that the run took longer than it was to."""
    over, total = metrics.get("over_budget", 0.0), metrics["seconds"]["total"]
    if not over > 0:
        return ""
    return f"The budget of {metrics['budget']:g} s was overrun: the run took {total:.1f} s."


def surprise(plan: Plan, metrics: Metrics) -> str:
    """Say that the held-out images are not what cross-validation led to expect.

    That is an expectation of the frozen network: a trained one may well do better.
    """
    if plan.split == EACH_ONCE:
        return ""  # no image is another than those of cross-validation
    words = words_of(plan.kind)
    low, high = metrics[f"{words.key}_interval"]
    least, most = plan.evidence.expected_interval
    named = "" if plan.kind == "one" else f"{words.measure} "
    told = f"{named}{words.told(plan.evidence.expected)}"
    expected = f"cross-validation on the training images led to expect {told}"
    if plan.start:
        expected += " of the frozen network"
    if high < least:
        return (
            f"That is less than expected: {expected}. The held-out images may be harder (another "
            "camera, place or time), or the training images come in series of near-same pictures."
        )
    if low > most and not plan.start:
        return f"That is more than expected: {expected}. The held-out images may be easier."
    return ""


def suspects(metrics: Metrics) -> str:
    """Say how many labels look wrong; runs of before did not look."""
    if "suspects" not in metrics:
        return ""
    found = metrics["suspects"]
    count, judged, expected = found["count"], found["judged"], found["expected"]
    whole = judged == found["of"]
    labels = (
        f"{judged:,} labels" if whole else f"the {judged:,} labels judged ({found['of']:,} in all)"
    )
    if expected is None:
        return f"Which of {labels} are wrong cannot be told: the network hardly predicts them."
    left = round(expected)
    if not count and left:
        return f"None of {labels} stands out; of so many about {left:,} may still be wrong."
    more = f"; about {left:,} are expected to be" if left > count else ""
    looks = "looks" if count < 2 else "look"
    return f"{f'{count:,}' if count else 'None'} of {labels} {looks} wrong{more}."


def how_many(plan: Plan, metrics: Metrics | None = None) -> list[str]:
    """Say what more images would bring; the first line names no class, older plans did not ask.

    ``metrics``: of a run, whose held-out images may be other than those that this was measured on.
    """
    curve = plan.learning_curve
    if curve is None:
        return []
    if curve.untold:
        return [f"What more images would bring cannot be told: {curve.untold}."]
    whose = " of the frozen network" if plan.trainings or plan.start else ""
    twice, four = curve.times(2), curve.times(4)
    lines = [
        f"Expected{whose} of today's images: {curve.today.accuracy:.1%}; of twice as many "
        f"({twice.images:,} to train on) {_foretold(twice)}, of four times as many "
        f"{_foretold(four)}.",
        _half(curve),
    ]
    if curve.wants:
        named = ", ".join(f"{one.name} ({one.most:.0%})" for one in curve.wants)
        lines.append(f"Photos of these help most, each with so much probability: {named}.")
    if metrics is not None and surprise(plan, metrics):
        lines.append("All of this is of images like the training ones; the held-out ones are not.")
    return lines


def _foretold(point: Point) -> str:
    low, high = point.interval
    return f"{point.accuracy:.1%} ({low:.1%} to {high:.1%}, 90%)"


def _half(curve: LearningCurve) -> str:
    """Say how many images halve today's errors, or that more of them hardly help."""
    if curve.measured[-1].accuracy == 1:
        return "There was no mistake that more images could mend."
    least, most = curve.half_interval
    beyond = f"more than {_about(FARTHEST * curve.today.images)}"
    if curve.half is None:
        said = f"Half of today's errors would take {beyond} images"
        if curve.times(4).accuracy - curve.today.accuracy >= HARDLY:
            return f"{said}."
        return f"{said}: more of this kind will hardly help; a trained network or another one may."
    from_, to = (beyond if end is None else _about(end) for end in (least, most))
    return f"Half of today's errors takes about {_about(curve.half)} images ({from_} to {to}, 90%)."


def _about(images: float) -> str:
    """Return a number of images to two digits: no more of it is known."""
    return f"{float(f'{images:.1e}'):,.0f}"


def unknown(plan: Plan, metrics: Metrics) -> str:
    """Say how well images of none of the classes are told; runs of before did not look."""
    if "unknown" not in metrics:
        return ""
    found = metrics["unknown"]
    if (1 + found["own"]) * found["limit"] < 1:
        return (
            f"{found['own']:,} images are too few to tell an image of none of the classes: all are "
            "taken for known."
        )
    kept = f"{found['kept']:.1%} of the {found['images']:,} {plan.judged} are known."
    if found["auroc"] is None:
        why = (
            "with two classes none can be left out"
            if "nearest" in found["weights"]
            else "a trained network has seen all classes, so its probability alone tells it"
        )
        return f"{kept} How often an image of none of the classes is too was not measured: {why}."
    passes = (
        f"Of images of a class that was left out {found['accepted']:.0%} pass for known ones (area "
        f"under the ROC curve {found['auroc']:.2f})"
    )
    if found["auroc"] < TOLD:
        return f"{kept} {passes}: such a class is hardly told, so do not rely on it."
    return f"{kept} {passes}."


def by_loss(plan: Plan) -> str:
    """Say that another depth does better by the measure than the one that is read, and why."""
    evidence, backbone, words = plan.evidence, plan.backbone, words_of(plan.kind)
    chosen = evidence.probes[evidence.chosen]
    best = max(_choice(plan), key=lambda probe: probe.accuracy)
    if evidence.averages or best.accuracy <= chosen.accuracy:
        return ""
    why = (
        f"there it errs by {chosen.loss:.3f}, the other by {best.loss:.3f}"
        if chosen.loss <= best.loss
        else f"there the other errs by {best.loss:.3f}, and what is read, by {chosen.loss:.3f}, "
        "is the simplest within one standard error of the best"
    )
    other, own = stages_named(backbone, best.taps), stages_named(backbone, chosen.taps)
    got, its = words.told(best.accuracy), words.told(chosen.accuracy)
    more = (
        f"{other} tells more of the images ({got})"
        if plan.kind == "one"
        else f"{other} reaches more ({words.measure} {got})"
    )
    return (
        f"{more} than {own}, which is read ({its}): the squared error of the scores decides; {why}."
    )


def _choice(plan: Plan) -> Sequence[Probe]:
    """Return the probes that were to be had.

    All of them, or those that what was asked for leaves.
    """
    evidence, backbone = plan.evidence, plan.backbone
    chosen = evidence.probes[evidence.chosen].taps
    found = list(evidence.single)
    if any(choice.startswith(("--case", "--trainable-from")) for choice in plan.overrides):
        case = frozen_case(backbone, chosen)
        found = [probe for probe in found if frozen_case(backbone, probe.taps) == case]
    if any(choice.startswith("--cut") for choice in plan.overrides):
        found = [probe for probe in found if probe.taps[-1] == chosen[-1]]
    if plan.recipe == "textbook":
        found = [probe for probe in found if len(probe.taps) == 1]
    return found
