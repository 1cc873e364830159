"""The model card: what a run is, in a page that a person and the Hugging Face hub can read.

It names classes and figures and no file, so that it can be published with the weights.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from regraft import diagram
from regraft.data.images import View, deep
from regraft.data.images.view import BORDER
from regraft.data.splits import EACH_ONCE
from regraft.plan import wording
from regraft.plan.definition import Plan
from regraft.results import card_of_targets as of_targets
from regraft.results.markdown import listed, plain, table
from regraft.results.snippet import is_timms, snippet

Metrics = Mapping[str, Any]

_TAGS: Final = {"one": (), "several": ("multi-label-image-classification",), "number": ()}

_FIGURES: Final[Mapping[str, Mapping[str, str]]] = {
    "one": {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"},
    **of_targets.NAMES,
}
"""Figures that the hub shows beside a model, by what is asked of an image."""


def model_card(plan: Plan, metrics: Metrics) -> str:
    """Write the card of a run from its plan and its ``metrics.json``."""
    one = plan.kind == "one"
    parts = (
        _front_matter(plan, metrics),
        _summary(plan, metrics) if one else of_targets.summary(plan, metrics, _origin(plan)),
        _surgery(plan),
        _figures(metrics) if one else of_targets.figures(plan, metrics),
        _data(plan, metrics) if one else of_targets.data(plan),
        _preprocessing(plan),
        _loading(plan),
        _licence(plan),
        _limits(plan, metrics),
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(plan: Plan, metrics: Metrics) -> str:
    """Return the hub's metadata block; a JSON value is also a YAML value."""
    task = "image-regression" if plan.kind == "number" else "image-classification"
    fields: dict[str, object] = {"library_name": "regraft"}
    if plan.kind != "number":  # the hub has no pipeline of numbers
        fields["pipeline_tag"] = task
    fields["tags"] = [task, *_TAGS[plan.kind], "transfer-learning", "regraft"]
    fields["metrics"] = [next(iter(_FIGURES[plan.kind]))]
    fields |= _hub_licence(plan.backbone.licence)
    if plan.backbone.weights.origin == "timm" and plan.start != "random":
        # timm names its repositories by architecture and, where there is one, the weights' tag.
        name, tag = plan.backbone.timm[0].partition(".")[0], plan.backbone.weights.location
        fields["base_model"] = f"timm/{name}.{tag}" if tag else f"timm/{name}"
    fields["model-index"] = [_results(plan, metrics)]
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"]
    )


def _results(plan: Plan, metrics: Metrics) -> dict[str, object]:
    """Return the held-out figures as the hub shows them beside a model."""
    figures = [
        {"type": key, "name": name, "value": round(metrics[key], 4)}
        for key, name in _FIGURES[plan.kind].items()
    ]
    task = {
        "one": {"type": "image-classification", "name": "image classification"},
        "several": {"type": "image-classification", "name": "multi-label image classification"},
        "number": {"type": "image-regression", "name": "image regression"},
    }[plan.kind]
    name = plan.dataset or "images"
    dataset = {"type": "imagefolder", "name": name, "split": plan.proof}
    return {"name": name, "results": [{"task": task, "dataset": dataset, "metrics": figures}]}


def _hub_licence(licence: str) -> dict[str, object]:
    """Return the licence by the hub's identifier (SPDX in lower case), or as another one, named."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+-]+", licence):
        return {"license": licence.lower()}
    return {"license": "other", "license_name": licence or "unknown"}


def _summary(plan: Plan, metrics: Metrics) -> str:
    classes, origin = plan.evidence.classes, _origin(plan)
    low, high = metrics["accuracy_interval"]
    found = [wording.surprise(plan, metrics), *_weakest(plan, metrics)]
    found += [wording.suspects(metrics), wording.unknown(plan, metrics)]
    return (
        f"# {plain(plan.dataset)}: {len(classes)} classes\n\n"
        f"An image classifier made by regraft {origin}. "
        f"It tells apart {listed([plain(name) for name in classes])}.\n\n"
        f"On {metrics['n']:,} {plan.judged} it is right for **{metrics['accuracy']:.1%}** "
        f"(95% interval {low:.1%} to {high:.1%}); always naming the commonest class would be "
        f"right for {metrics['guess']:.1%}.\n\n" + "\n".join(f"- {one}" for one in found if one)
    )


def _origin(plan: Plan) -> str:
    """Return what its weights come from."""
    if plan.start == "random":
        return f"with the layers of {plan.backbone.name} and none of its pretrained weights"
    return f"from {plan.backbone.name}, a network trained on {plan.backbone.source}"


def _figures(metrics: Metrics) -> str:
    rows = [(plain(name), *_fared(one)) for name, one in metrics["per_class"].items()]
    return (
        "## Figures\n\n"
        f"Balanced accuracy {metrics['balanced_accuracy']:.1%}, log loss "
        f"{metrics['log_loss']:.3f}, expected calibration error {metrics['ece']:.1%}.\n\n"
        + table(("class", "precision", "recall", "95% interval of recall", "images"), rows)
    )


def _fared(one: Mapping[str, Any]) -> tuple[object, ...]:
    """Precision, recall, its interval and the images of a class."""
    if not one["n"]:
        return "–", wording.NO_IMAGE, "–", 0
    low, high = one["recall_interval"]
    precision = "–" if one["precision"] is None else f"{one['precision']:.1%}"
    return precision, f"{one['recall']:.1%}", f"{low:.1%} to {high:.1%}", one["n"]


def _data(plan: Plan, metrics: Metrics) -> str:
    held_out = metrics["per_class"]
    counts = zip(plan.evidence.classes, plan.evidence.per_class, strict=True)
    rows = [(plain(name), n, held_out[name]["n"]) for name, n in counts]
    if plan.split == EACH_ONCE:
        return _data_of_all(plan, [(name, n) for name, _, n in rows])
    origin = {
        "test": "the data's own test split",
        "val": "the data's own validation split",
    }.get(plan.split, "chosen by regraft, class by class, copies kept together")
    return (
        f"## Data\n\n{plan.train:,} images to train on, {plan.test:,} held out ({origin}), "
        f"{plan.left_out:,} left out.\n\n" + table(("class", "train", "held out"), rows)
    )


def _data_of_all(plan: Plan, rows: Sequence[tuple[str, int]]) -> str:
    """Return the data of a set that is too small to spare a part of it for judging alone."""
    said = (
        f"## Data\n\nIt is made of {plan.train:,} images ({plan.left_out:,} were left out). For "
        f"the figures {plan.test:,} of them were held out once each, in turn, copies together, "
        "and judged by a network that was chosen and fitted anew without them. "
    )
    shown = table(("class", "held out once"), rows)
    return f"{said}{wording.once(plan)}".rstrip() + f"\n\n{shown}"


def _surgery(plan: Plan) -> str:
    stages = plan.backbone.stages
    read = listed([f"{stages[depth].name} ({stages[depth].channels})" for depth in plan.taps])
    reasons = "\n".join(f"- {reason.rule} {reason.fact}" for reason in plan.reasons)
    more = [said for said in (plan.why, wording.by_loss(plan)) if said]
    reasons = "\n\n".join([*more, reasons])
    return (
        f"## Surgery\n\nCase {plan.case} of transfer learning. {_frozen(plan)} Dropped: "
        f"{listed([*plan.dropped, 'the old head'])}. New: one fully connected layer.\n\n"
        f"```text\n{_drawn(plan)}\n```\n\n"
        f"{reasons}\n\n"
        f"`model.safetensors` holds the kept stages as `trunk.*` and the new layer as "
        f"`head.weight` [{len(plan.evidence.classes)}, {plan.inputs}] and `head.bias`. Its input "
        f"is the output of {read}, each pooled to one number a channel, side by side in this "
        f"order. {_OUTPUTS if plan.kind == 'one' else of_targets.outputs(plan)}"
    )


_OUTPUTS: Final = (
    "Standardisation is folded into the layer: the probabilities are the softmax of its outputs, "
    "one for each of the `classes` of `config.json`, in their order."
)


def _drawn(plan: Plan) -> str:
    """Return the picture in characters: a card goes where no other file may follow."""
    lines = diagram.text(diagram.of_plan(plan)).plain.splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _frozen(plan: Plan) -> str:
    """Return what of the kept stages was frozen, and what was trained."""
    frozen = plan.frozen
    kept = f"Kept and frozen: {listed(frozen)}. " if frozen else ""
    if plan.unchanged:
        return kept + wording.unchanged(plan)
    trained = [name for name in plan.kept if name not in frozen]
    how = "from random weights" if plan.start == "random" else "from the pretrained weights"
    return f"{kept}Trained {how}: {listed(trained)}." if trained else kept.rstrip()


def _preprocessing(plan: Plan) -> str:
    view = plan.backbone.view
    mean, std = (listed([f"{x:g}" for x in xs]) for xs in (plan.backbone.mean, plan.backbone.std))
    made = {
        "crop": f"take {_middle(view)}; resize it to",
        "pad": f"put a border of RGB {BORDER} around it that {_made(view)}; resize it to",
        "squash": "whatever its shape, resize it to",
    }[view.fit]
    scales = "".join(f"{scale} become 0 to 255; " for scale in deep.in_words(view))
    grey = "make it grey (Rec. 601 luma); " if view.channels == 1 else ""
    read = (
        "Turn upright (EXIF), transparent parts on white (where what is visible is white: on "
        "black), RGB; "
        if view.channels in (1, 3)
        else f"Read uint8 [height, width, {view.channels}] of a .npy file; each channel by itself: "
    )
    return (
        f"## Preprocessing\n\n{read}{scales}{made} {view.shape[0]} × "
        f"{view.shape[1]} ({view.interpolation}); {grey}divide by 255, subtract the mean ({mean}), "
        f"divide by the deviation ({std}). All of it is in `config.json`, and regraft does it."
    )


def _middle(view: View) -> str:
    if not view.width:
        return f"the centre square of {view.crop:.1%} of the shorter side"
    return f"{view.crop:.1%} of the largest {view.shape[1]} : {view.shape[0]} box about the centre"


def _made(view: View) -> str:
    return f"makes it {view.shape[1]} : {view.shape[0]}" if view.width else "makes it square"


def _loading(plan: Plan) -> str:
    timm = "timm, " if is_timms(plan) else ""
    typed, given, said = "", "", ""
    if not plan.backbone.architecture:
        typed, given = " --network package.module:factory", ", network=network"
        said = (
            f"It was made with a network of somebody's own, {plain(plan.backbone.name)}, whose "
            "code is not in here: hand that over, as `network` or as the place where it is made. "
            "Its weights are in here.\n\n"
        )
    return (
        f"## Use\n\n{said}```sh\nregraft predict THIS_FOLDER photo.jpg{typed}\n```\n\n"
        "```python\nimport regraft\n\n"
        f'model = regraft.load("THIS_FOLDER"{given})\nmodel.predict(["photo.jpg"])\n```\n\n'
        f"Without regraft, with {timm}torch, safetensors and Pillow alone:\n\n"
        f"```python\n{snippet(plan)}\n```\n\n"
        "This calculates in float32 and decodes the whole photo. regraft may run the network in "
        "bfloat16, and decodes a JPEG much larger than needed at a fraction of its size: its "
        "probabilities differ a little, now and then by some hundredths."
    )


def _licence(plan: Plan) -> str:
    paper = f" ({plan.backbone.paper})" if plan.backbone.paper else ""
    licence = plan.backbone.licence or "unknown"
    whose = f"The kept stages are {plan.backbone.name}{paper}, licence {licence}."
    if plan.start == "random":
        whose = (
            f"The layers are those of {plan.backbone.name}{paper}; its pretrained weights, licence "
            f"{licence}, are not in here."
        )
    return (
        f"## Licence\n\n{whose} What the training images allow is not known here: "
        "whoever publishes this has to add it."
    )


def _limits(plan: Plan, metrics: Metrics) -> str:
    told = bool(wording.unknown(plan, metrics))
    known = " `known` says whether it is like the training images at all." if told else ""
    named = (
        f"It names one of its {len(plan.evidence.classes)} classes for every picture, also for one "
        f"that shows none of them.{known}"
    )
    lines = [
        *([named] if plan.kind == "one" else of_targets.limits(plan, metrics)),
        "The figures hold for images like those they were taken on. Other cameras, places or times "
        "can do worse.",
        *wording.how_many(plan)[:1],
    ]
    if plan.frozen:
        lines.append(
            f"The frozen stages see what {plan.backbone.source} taught them, its gaps included."
        )
    return "\n".join(["## Limits\n", *(f"- {line}" for line in lines)])


def _weakest(plan: Plan, metrics: Metrics) -> Iterator[str]:
    """Which classes are found least often, and of which nothing is known."""
    weak, more = wording.weakest(metrics)
    if metrics["accuracy"] == 1:
        yield f"None of the {metrics['n']:,} {plan.judged} was missed; of more, some will be."
    elif weak:
        named = ", ".join(f"{plain(name)} (it finds {share})" for name, share in weak)
        yield f"It is weakest on {named}{more}."
    unknown = [plain(name) for name in wording.unjudged(metrics)]
    if unknown:
        yield f"How well it finds {listed(unknown)} is not known: {wording.NO_IMAGE}."
