"""What is asked of an image and what was got, in sentences: of one label, several, a number."""

from collections.abc import Mapping
from typing import Any

from regraft.data.dataset import listed
from regraft.heads.tasks.words import words_of
from regraft.plan import wording
from regraft.plan.definition import Plan
from regraft.plan.naming import spread_of

Metrics = Mapping[str, Any]


def asked(plan: Plan) -> str:
    """Return what is asked of an image, and of how many images an answer is known."""
    return f"{outputs(plan)}{spread_of(plan.evidence)}"


def outputs(plan: Plan) -> str:
    """Return what the new layer tells: 3 classes, 12 labels, a number (angle)."""
    if plan.kind == "number":
        return f"a number ({plan.evidence.classes[0]})"
    return counted(plan)


def counted(plan: Plan) -> str:
    """Return how many names there are: 3 classes, 12 labels, a number."""
    count = len(plan.evidence.classes)
    one, more = {"one": ("class", "es"), "several": ("label", "s")}.get(plan.kind, ("", ""))
    return f"{count:,} {one}{more if count > 1 else ''}" if one else "a number"


def figures(kind: str, metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return what a run got: name, figure, and what is to be known beside it."""
    words = words_of(kind)
    span = f"{words.span(metrics[f'{words.key}_interval'])} (95% interval)"
    first = (words.measure, words.told(metrics[words.key]), span)
    guess, ece = f"{metrics['guess']:.1%}", metrics.get("ece", 0.0)
    if kind == "several":
        return [
            first,
            ("guessing", guess, words.guess),
            ("F1", f"{metrics['f1']:.3f}", "mean over the labels"),
            ("every label right", f"{metrics['exact']:.1%}", "of the images"),
            ("calibration error", f"{ece:.1%}", "probabilities from shares"),
        ]
    if kind == "number":
        off = f"always naming the mean: {metrics['guess']:.4g}"
        held = f"the interval that is told, ± {metrics['half_width']:.4g}, holds so many"
        return [
            first,
            ("mean absolute error", f"{metrics['mean_absolute_error']:.4g}", off),
            ("median absolute error", f"{metrics['median_absolute_error']:.4g}", "half are nearer"),
            ("covered", f"{metrics['covered']:.1%}", held),
        ]
    balanced = f"{metrics['balanced_accuracy']:.1%}"
    return [
        first,
        ("guessing", guess, words.guess),
        ("balanced accuracy", balanced, "every class counts the same"),
        ("calibration error", f"{ece:.1%}", "confidence from accuracy"),
    ]


def hardest(metrics: Metrics) -> tuple[list[tuple[str, str]], str]:
    """Return the classes, or labels, that are told worst, and how many more there are."""
    if "per_label" in metrics:
        return [(name, f"({said})") for name, said in weakest_labels(metrics)], ""
    return wording.weakest(metrics) if "per_class" in metrics else ([], "")


def weakest_labels(metrics: Metrics, most: int = 3) -> list[tuple[str, str]]:
    """Return the labels whose average precision is the least, each with it; none of perfect ones.

    One that stands out by chance of a few images is as well told as any other: what is said beside
    it is of how many.
    """
    known = [(name, one) for name, one in metrics["per_label"].items() if one["n"]]
    worst = sorted(known, key=lambda row: row[1]["average_precision"])[: min(most, len(known) - 1)]
    return [
        (name, f"average precision {one['average_precision']:.0%}, {one['n']:,} of them")
        for name, one in worst
        if one["average_precision"] < metrics["mean_average_precision"]
    ]


def scores(plan: Plan, metrics: Metrics) -> list[str]:
    """Return what a run of several labels, or of a number, got."""
    words = words_of(plan.kind)
    got = words.got(metrics[words.key])
    got += f" ({words.span(metrics[f'{words.key}_interval'])}, 95%)"
    number = plan.kind == "number"
    found = _of_number(plan, metrics, got) if number else _of_labels(metrics, got)
    return [said for said in (*found, wording.surprise(plan, metrics)) if said]


def _of_labels(metrics: Metrics, got: str) -> list[str]:
    weak = ", ".join(f"{name} ({said})" for name, said in weakest_labels(metrics))
    none = wording.unjudged(metrics)
    unknown = listed(none, 10, " and {:,} more")
    return [
        f"{got}, against {metrics['guess']:.1%} by giving all images the same probabilities",
        f"weakest: {weak}" if weak else "",
        f"{wording.NO_IMAGE}, so nothing known, of: {unknown}" if none else "",
        f"{metrics['exact']:.1%} of the images have every label right; F1 {metrics['f1']:.3f} "
        f"(mean over the labels), {metrics['micro_f1']:.3f} of all answers together; log loss "
        f"{metrics['log_loss']:.3f} and calibration error {metrics['ece']:.1%} (how far "
        "probabilities are from shares)",
    ]


def _of_number(plan: Plan, metrics: Metrics, got: str) -> list[str]:
    name = plan.evidence.classes[0]
    return [
        f"{got}: 1 is always right, 0 as good as always naming the mean",
        f"{name} is off by {metrics['mean_absolute_error']:.4g} on average, of half the images by "
        f"less than {metrics['median_absolute_error']:.4g}; always naming the mean of the training "
        f"images is off by {metrics['guess']:.4g}",
        f"the interval that is told, ± {metrics['half_width']:.4g}, is to hold the true number of "
        f"95 in 100 images; it holds that of {metrics['covered']:.1%} of these",
    ]
