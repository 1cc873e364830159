"""The model card: what a run is, in a page that a person and the Hugging Face hub can read.

It names classes and figures and no file, so that it can be published with the weights.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from regraft.plan import Plan

Metrics = Mapping[str, Any]


def model_card(plan: Plan, metrics: Metrics) -> str:
    """Write the card of a run from its plan and its ``metrics.json``."""
    parts = (
        _front_matter(plan),
        _summary(plan, metrics),
        _figures(metrics),
        _data(plan, metrics),
        _surgery(plan),
        _preprocessing(plan),
        _loading(),
        _licence(plan),
        _limits(plan, metrics),
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(plan: Plan) -> str:
    """Return the hub's metadata block; a JSON value is also a YAML value."""
    fields: dict[str, object] = {
        "library_name": "regraft",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "transfer-learning", "regraft"],
        "metrics": ["accuracy"],
    }
    fields |= _hub_licence(plan.backbone.licence)
    if plan.backbone.weights.origin == "timm":
        # timm names its repositories by architecture and, where there is one, the weights' tag.
        name, tag = plan.backbone.architecture.partition(".")[0], plan.backbone.weights.location
        fields["base_model"] = f"timm/{name}.{tag}" if tag else f"timm/{name}"
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"]
    )


def _hub_licence(licence: str) -> dict[str, object]:
    """Return the licence by the hub's identifier (SPDX in lower case), or as another one, named."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+-]+", licence):
        return {"license": licence.lower()}
    return {"license": "other", "license_name": licence or "unknown"}


def _summary(plan: Plan, metrics: Metrics) -> str:
    classes = plan.evidence.classes
    low, high = metrics["accuracy_interval"]
    return (
        f"# {_plain(plan.dataset)}: {len(classes)} classes\n\n"
        f"An image classifier made by regraft from {plan.backbone.name}, a network trained on "
        f"{plan.backbone.source}. It tells apart {_listed([_plain(name) for name in classes])}.\n\n"
        f"On {metrics['n']:,} held-out images it is right for **{metrics['accuracy']:.1%}** "
        f"(95 % interval {low:.1%} to {high:.1%}); always naming the commonest class would be "
        f"right for {metrics['guess']:.1%}."
    )


def _figures(metrics: Metrics) -> str:
    rows = [
        (_plain(name), f"{one['precision']:.1%}", f"{one['recall']:.1%}", _range(one), one["n"])
        for name, one in metrics["per_class"].items()
    ]
    return (
        "## Held-out figures\n\n"
        f"Balanced accuracy {metrics['balanced_accuracy']:.1%}, log loss "
        f"{metrics['log_loss']:.3f}, expected calibration error {metrics['ece']:.1%}.\n\n"
        + _table(("class", "precision", "recall", "95 % interval of recall", "images"), rows)
    )


def _range(one: Mapping[str, Any]) -> str:
    low, high = one["recall_interval"]
    return f"{low:.1%} to {high:.1%}"


def _data(plan: Plan, metrics: Metrics) -> str:
    held_out = metrics["per_class"]
    counts = zip(plan.evidence.classes, plan.evidence.per_class, strict=True)
    rows = [(_plain(name), n, held_out[name]["n"]) for name, n in counts]
    origin = {
        "test": "the data's own test split",
        "val": "the data's own validation split",
    }.get(plan.split, "chosen by regraft, class by class, copies kept together")
    return (
        f"## Data\n\n{plan.train:,} images to train on, {plan.test:,} held out ({origin}), "
        f"{plan.left_out:,} left out.\n\n" + _table(("class", "train", "held out"), rows)
    )


def _surgery(plan: Plan) -> str:
    stages = plan.backbone.stages
    read = _listed([f"{stages[depth].name} ({stages[depth].channels})" for depth in plan.taps])
    reasons = "\n".join(f"- {reason.rule} {reason.fact}" for reason in plan.reasons)
    return (
        f"## Surgery\n\nCase {plan.case} of transfer learning. {_frozen(plan)} Dropped: "
        f"{_listed([*plan.dropped, 'the old head'])}. New: one fully connected layer.\n\n"
        f"{reasons}\n\n"
        f"`model.safetensors` holds the kept stages as `trunk.*` and the new layer as "
        f"`head.weight` [{len(plan.evidence.classes)}, {plan.inputs}] and `head.bias`. Its input "
        f"is the output of {read}, each pooled to one number a channel, side by side in this "
        "order. Standardisation is folded into the layer: the probabilities are the softmax of its "
        "outputs, one for each of the `classes` of `config.json`, in their order."
    )


def _frozen(plan: Plan) -> str:
    """What of the kept stages was frozen, and what was trained."""
    frozen = plan.frozen
    trained = [name for name in plan.kept if name not in frozen]
    if not trained:
        return f"Kept and frozen: {_listed(frozen)}."
    start = {ran.name for ran in plan.ran if ran.handed_over}
    how = "from random weights" if "from scratch" in start else "from the pretrained weights"
    kept = f"Kept and frozen: {_listed(frozen)}. " if frozen else ""
    return f"{kept}Trained {how}: {_listed(trained)}."


def _preprocessing(plan: Plan) -> str:
    view = plan.backbone.view
    mean, std = (_listed([f"{x:g}" for x in xs]) for xs in (plan.backbone.mean, plan.backbone.std))
    return (
        f"## Preprocessing\n\nTurn upright (EXIF), transparent parts on white, RGB; take the "
        f"centre square of {view.crop:.1%} of the shorter side; resize it to {view.size} × "
        f"{view.size} ({view.interpolation}); divide by 255, subtract the mean ({mean}), divide "
        f"by the deviation ({std}). All of it is in `config.json`, and regraft does it."
    )


def _loading() -> str:
    return (
        "## Use\n\n```sh\nregraft predict THIS_FOLDER photo.jpg\n```\n\n"
        "```python\nimport regraft\n\n"
        'model = regraft.load("THIS_FOLDER")\nmodel.predict(["photo.jpg"])\n```'
    )


def _licence(plan: Plan) -> str:
    paper = f" ({plan.backbone.paper})" if plan.backbone.paper else ""
    return (
        f"## Licence\n\nThe kept stages are {plan.backbone.name}{paper}, licence "
        f"{plan.backbone.licence or 'unknown'}. What the training images allow is not known here: "
        "whoever publishes this has to add it."
    )


def _limits(plan: Plan, metrics: Metrics) -> str:
    present = {name: one for name, one in metrics["per_class"].items() if one["n"]}
    worst = min(present, key=lambda name: present[name]["recall"])
    lines = (
        f"It names one of its {len(plan.evidence.classes)} classes for every picture, also for one "
        "that shows none of them.",
        "The figures hold for images like the held-out ones. Other cameras, places or times can do "
        "worse.",
        f"It is weakest on {_plain(worst)}: {present[worst]['recall']:.1%} of "
        f"{present[worst]['n']} held-out images found.",
        f"The frozen stages see what {plan.backbone.source} taught them, its gaps included.",
    )
    return "\n".join(["## Limits\n", *(f"- {line}" for line in lines)])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _plain(name: str) -> str:
    """Return a name as text that Markdown does not read anything into."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(name.split()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
