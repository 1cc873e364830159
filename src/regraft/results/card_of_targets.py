"""What a model card says where an image has several labels, or a number."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from regraft.data.splits import EACH_ONCE
from regraft.plan import kind_wording, wording
from regraft.plan.definition import Plan
from regraft.plan.naming import given_from
from regraft.results.markdown import listed, plain, table

Metrics = Mapping[str, Any]

NAMED: Final = 100
"""Labels that a card names in its sentence, at most."""

ROWS: Final = 1000
"""Labels in its table, at most: of more those that are told worst."""

NAMES: Final = {
    "several": {
        "mean_average_precision": "mean average precision",
        "f1": "F1, mean over the labels",
        "exact": "share of images with every label right",
    },
    "number": {"r2": "R2", "mean_absolute_error": "mean absolute error"},
}
"""Figures that the hub shows beside a model."""


def summary(plan: Plan, metrics: Metrics, origin: str) -> str:
    """Return what it is and how well it does; ``origin``: of its weights, in words."""
    said = {"several": _of_labels, "number": _of_number}[plan.kind](plan, metrics, origin)
    found = [wording.surprise(plan, metrics)]
    found += _weakest(metrics) if plan.kind == "several" else []
    return "\n\n".join([*said, "\n".join(f"- {one}" for one in found if one)]).rstrip()


def _of_labels(plan: Plan, metrics: Metrics, origin: str) -> Iterator[str]:
    names = [plain(name) for name in plan.evidence.classes]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    told = f"{', '.join(names[:NAMED])}{more}" if more else listed(names)
    low, high = metrics["mean_average_precision_interval"]
    yield f"# {plain(plan.dataset)}: {len(names):,} labels"
    yield (
        f"An image classifier made by regraft {origin}. An image may have any number of labels; it "
        f"gives the probability of each: {told}."
    )
    yield (
        f"On {metrics['n']:,} {plan.judged} its mean average precision is "
        f"**{metrics['mean_average_precision']:.1%}** (95% interval {low:.1%} to {high:.1%}); "
        f"giving all images the same probabilities would reach {metrics['guess']:.1%}. Of the "
        "images "
        f"{metrics['exact']:.1%} get every label right."
    )


def _of_number(plan: Plan, metrics: Metrics, origin: str) -> Iterator[str]:
    [name] = plan.evidence.classes
    low, high = metrics["r2_interval"]
    yield f"# {plain(plan.dataset)}: {plain(name)}"
    yield f"An image network made by regraft {origin}. It tells a number, {plain(name)}."
    yield (
        f"On {metrics['n']:,} {plan.judged} its R2 is **{metrics['r2']:.3f}** (95% interval "
        f"{low:.3f} to {high:.3f}): 1 is always right, 0 as good as always naming the mean. It is "
        f"off by {metrics['mean_absolute_error']:.4g} on average, always naming the mean of the "
        f"training images by {metrics['guess']:.4g}."
    )


def _weakest(metrics: Metrics) -> Iterator[str]:
    weak = kind_wording.weakest_labels(metrics)
    if weak:
        yield f"It is weakest on {', '.join(f'{plain(name)} ({said})' for name, said in weak)}."
    unknown = [plain(name) for name, one in metrics["per_label"].items() if not one["n"]]
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        named = f"{', '.join(unknown[:NAMED])}{more}"
        yield f"How well it tells {named} is not known: {wording.NO_IMAGE} has it."


def figures(plan: Plan, metrics: Metrics) -> str:
    """Return the figures, of several labels those of each."""
    if plan.kind == "number":
        return "## Figures\n\n" + table(("", plain(plan.evidence.classes[0])), _measures(metrics))
    trained = dict(zip(plan.evidence.classes, plan.evidence.per_class, strict=True))
    worst = sorted(metrics["per_label"].items(), key=_worst_first)
    order = list(metrics["per_label"].items()) if len(worst) <= ROWS else worst[:ROWS]
    rows = [(plain(name), *_fared(one), trained[name], one["n"]) for name, one in order]
    head = ("label", "average precision", "precision", "recall", "F1", "given from", "trained on")
    more = f"\n\nand {len(worst) - ROWS:,} more, in metrics.json." if len(worst) > ROWS else ""
    return (
        f"## Figures\n\nF1 {metrics['f1']:.3f} (mean over the labels), {metrics['micro_f1']:.3f} "
        f"of all answers together; log loss {metrics['log_loss']:.3f}, expected calibration error "
        f"{metrics['ece']:.1%}. A label is given from {given_from(plan.evidence)}.\n\n"
        + table((*head, "held out"), rows)
        + more
    )


def _worst_first(row: tuple[str, Mapping[str, Any]]) -> tuple[bool, float]:
    return not row[1]["n"], row[1]["average_precision"] or 0.0


def _fared(one: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("average_precision", "precision", "recall")
    shares = ["–" if one[name] is None else f"{one[name]:.1%}" for name in names]
    f1 = "–" if one["f1"] is None else f"{one['f1']:.3f}"
    return *shares, f1, f"{one['threshold']:.1%}"


def _measures(metrics: Metrics) -> Sequence[tuple[str, str]]:
    return [
        ("R2", f"{metrics['r2']:.3f}"),
        ("mean absolute error", f"{metrics['mean_absolute_error']:.4g}"),
        ("median absolute error", f"{metrics['median_absolute_error']:.4g}"),
        ("root mean squared error", f"{metrics['root_mean_squared_error']:.4g}"),
        ("mean absolute error of always naming the mean", f"{metrics['guess']:.4g}"),
        ("half of the 95% interval that is told", f"{metrics['half_width']:.4g}"),
        ("images whose number lies in it", f"{metrics['covered']:.1%}"),
    ]


def data(plan: Plan) -> str:
    """Return how many images it was made of, and judged by."""
    if plan.split == EACH_ONCE:
        return (
            f"## Data\n\nIt is made of {plan.train:,} images ({plan.left_out:,} were left out). "
            f"For the figures {plan.test:,} of them were held out once each, in turn, copies "
            "together, and judged by a network that was chosen and fitted anew without them. "
            f"{wording.once(plan)}"
        ).rstrip()
    even = {"several": "rare labels on both sides", "number": "small and large numbers alike"}
    origin = {
        "test": "the data's own test split",
        "val": "the data's own validation split",
    }.get(plan.split, f"chosen by regraft, {even[plan.kind]}, copies kept together")
    return (
        f"## Data\n\n{plan.train:,} images to train on, {plan.test:,} held out ({origin}), "
        f"{plan.left_out:,} left out."
    )


def outputs(plan: Plan) -> str:
    """Return what the new layer's outputs mean."""
    if plan.kind == "number":
        return (
            "Standardisation is folded into the layer: its output is the number itself; "
            "`half_width` of `config.json` is half of its 95% interval."
        )
    return (
        "Standardisation and calibration are folded into the layer: the probabilities are the "
        "sigmoids of its outputs, one for each of the `classes` of `config.json`, in their order; "
        "`thresholds` has from which one on each label is given."
    )


def limits(plan: Plan, metrics: Metrics) -> list[str]:
    """Return what not to expect of it."""
    if plan.kind == "several":
        count = len(plan.evidence.classes)
        return [
            f"It knows its {count:,} labels and nothing else; an image may get none of them.",
        ]
    return [
        "It tells a number of every picture, also of one that shows nothing of the kind.",
        f"The interval that it tells, the number ± {metrics['half_width']:.4g}, is as wide for "
        "every image; it is to hold 95 in 100.",
    ]
