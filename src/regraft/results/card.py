"""The model card: what a run is, in a page that a person and the Hugging Face hub can read.

It names classes and figures and no file, so that it can be published with the weights.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regraft.backbones import Stage
from regraft.data.images import deep
from regraft.data.images.view import BORDER
from regraft.data.splits import EACH_ONCE
from regraft.plan import wording
from regraft.plan.definition import Plan

Metrics = Mapping[str, Any]


def model_card(plan: Plan, metrics: Metrics) -> str:
    """Write the card of a run from its plan and its ``metrics.json``."""
    parts = (
        _front_matter(plan, metrics),
        _summary(plan, metrics),
        _figures(metrics),
        _data(plan, metrics),
        _surgery(plan),
        _preprocessing(plan),
        _loading(plan),
        _licence(plan),
        _limits(plan, metrics),
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(plan: Plan, metrics: Metrics) -> str:
    """Return the hub's metadata block; a JSON value is also a YAML value."""
    fields: dict[str, object] = {
        "library_name": "regraft",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "transfer-learning", "regraft"],
        "metrics": ["accuracy"],
    }
    fields |= _hub_licence(plan.backbone.licence)
    if plan.backbone.weights.origin == "timm" and plan.start != "random":
        # timm names its repositories by architecture and, where there is one, the weights' tag.
        name, tag = plan.backbone.architecture.partition(".")[0], plan.backbone.weights.location
        fields["base_model"] = f"timm/{name}.{tag}" if tag else f"timm/{name}"
    fields["model-index"] = [_results(plan, metrics)]
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"]
    )


def _results(plan: Plan, metrics: Metrics) -> dict[str, object]:
    """Return the held-out figures as the hub shows them beside a model."""
    named = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    figures = [
        {"type": key, "name": name, "value": round(metrics[key], 4)} for key, name in named.items()
    ]
    task = {"type": "image-classification", "name": "image classification"}
    name = plan.dataset or "images"
    dataset = {"type": "imagefolder", "name": name, "split": plan.proof}
    return {"name": name, "results": [{"task": task, "dataset": dataset, "metrics": figures}]}


def _hub_licence(licence: str) -> dict[str, object]:
    """Return the licence by the hub's identifier (SPDX in lower case), or as another one, named."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+-]+", licence):
        return {"license": licence.lower()}
    return {"license": "other", "license_name": licence or "unknown"}


def _summary(plan: Plan, metrics: Metrics) -> str:
    classes = plan.evidence.classes
    low, high = metrics["accuracy_interval"]
    origin = f"from {plan.backbone.name}, a network trained on {plan.backbone.source}"
    if plan.start == "random":
        origin = f"with the layers of {plan.backbone.name} and none of its pretrained weights"
    surprise = wording.surprise(plan, metrics)
    return (
        f"# {_plain(plan.dataset)}: {len(classes)} classes\n\n"
        f"An image classifier made by regraft {origin}. "
        f"It tells apart {_listed([_plain(name) for name in classes])}.\n\n"
        f"On {metrics['n']:,} {plan.judged} it is right for **{metrics['accuracy']:.1%}** "
        f"(95 % interval {low:.1%} to {high:.1%}); always naming the commonest class would be "
        f"right for {metrics['guess']:.1%}." + (f"\n\n{surprise}" if surprise else "")
    )


def _figures(metrics: Metrics) -> str:
    rows = [(_plain(name), *_fared(one)) for name, one in metrics["per_class"].items()]
    return (
        "## Figures\n\n"
        f"Balanced accuracy {metrics['balanced_accuracy']:.1%}, log loss "
        f"{metrics['log_loss']:.3f}, expected calibration error {metrics['ece']:.1%}.\n\n"
        + _table(("class", "precision", "recall", "95 % interval of recall", "images"), rows)
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
    rows = [(_plain(name), n, held_out[name]["n"]) for name, n in counts]
    if plan.split == EACH_ONCE:
        return _data_of_all(plan, [(name, n) for name, _, n in rows])
    origin = {
        "test": "the data's own test split",
        "val": "the data's own validation split",
    }.get(plan.split, "chosen by regraft, class by class, copies kept together")
    return (
        f"## Data\n\n{plan.train:,} images to train on, {plan.test:,} held out ({origin}), "
        f"{plan.left_out:,} left out.\n\n" + _table(("class", "train", "held out"), rows)
    )


def _data_of_all(plan: Plan, rows: Sequence[tuple[str, int]]) -> str:
    """Return the data of a set that is too small to spare a part of it for judging alone."""
    said = (
        f"## Data\n\nIt is made of {plan.train:,} images ({plan.left_out:,} were left out). For "
        f"the figures {plan.test:,} of them were held out once each, in turn, copies together, "
        "and judged by a network that was chosen and fitted anew without them. "
    )
    table = _table(("class", "held out once"), rows)
    return f"{said}{wording.once(plan)}".rstrip() + f"\n\n{table}"


def _surgery(plan: Plan) -> str:
    stages = plan.backbone.stages
    read = _listed([f"{stages[depth].name} ({stages[depth].channels})" for depth in plan.taps])
    reasons = "\n".join(f"- {reason.rule} {reason.fact}" for reason in plan.reasons)
    more = [said for said in (plan.why, wording.by_loss(plan)) if said]
    reasons = "\n\n".join([*more, reasons])
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
    """Return what of the kept stages was frozen, and what was trained."""
    frozen = plan.frozen
    kept = f"Kept and frozen: {_listed(frozen)}. " if frozen else ""
    if plan.unchanged:
        return kept + wording.unchanged(plan)
    trained = [name for name in plan.kept if name not in frozen]
    how = "from random weights" if plan.start == "random" else "from the pretrained weights"
    return f"{kept}Trained {how}: {_listed(trained)}." if trained else kept.rstrip()


def _preprocessing(plan: Plan) -> str:
    view = plan.backbone.view
    mean, std = (_listed([f"{x:g}" for x in xs]) for xs in (plan.backbone.mean, plan.backbone.std))
    made = {
        "crop": f"take the centre square of {view.crop:.1%} of the shorter side; resize it to",
        "pad": f"put a border of RGB {BORDER} around it that makes it square; resize it to",
        "squash": "whatever its shape, resize it to",
    }[view.fit]
    scales = "".join(f"{scale} become 0 to 255; " for scale in deep.in_words(view))
    return (
        f"## Preprocessing\n\nTurn upright (EXIF), transparent parts on white (where what is "
        f"visible is white: on black), RGB; {scales}{made} {view.size} × "
        f"{view.size} ({view.interpolation}); divide by 255, subtract the mean ({mean}), divide "
        f"by the deviation ({std}). All of it is in `config.json`, and regraft does it."
    )


def _loading(plan: Plan) -> str:
    timm = "timm, " if _is_timms(plan) else ""
    return (
        "## Use\n\n```sh\nregraft predict THIS_FOLDER photo.jpg\n```\n\n"
        "```python\nimport regraft\n\n"
        'model = regraft.load("THIS_FOLDER")\nmodel.predict(["photo.jpg"])\n```\n\n'
        f"Without regraft, with {timm}torch, safetensors and Pillow alone:\n\n"
        f"```python\n{snippet(plan)}\n```\n\n"
        "This calculates in float32 and decodes the whole photo. regraft may run the network in "
        "bfloat16, and decodes a JPEG much larger than needed at a fraction of its size: its "
        "probabilities differ a little, now and then by some hundredths."
    )


def snippet(plan: Plan) -> str:
    """Code that loads a RUN and classifies a photo without regraft."""
    own = not _is_timms(plan)
    imports = [
        "import json",
        *(["from collections import OrderedDict"] if own else []),
        "",
        "import numpy as np",
        *([] if own else ["import timm"]),
        "import torch",
        "from PIL import Image, ImageOps",
        "from safetensors.torch import load_file",
        "",
    ]
    files = [
        'classes = json.load(open("THIS_FOLDER/config.json", encoding="utf-8"))["classes"]',
        'state = load_file("THIS_FOLDER/model.safetensors")',
    ]
    network = _whole_network(plan) if _is_whole(plan) else _tapped_network(plan)
    asked = "network(x)" if _is_whole(plan) else "classify(x)"
    with_names = "print(dict(zip(classes, shares.tolist())))"
    last = ["with torch.no_grad():", f"    shares = {asked}.softmax(1)[0]", with_names]
    return "\n".join([*imports, *files, *network, "", *_square(plan), *last])


def _is_timms(plan: Plan) -> bool:
    return plan.backbone.architecture not in ("", "demonstration")


def _is_whole(plan: Plan) -> bool:
    """Return whether the surgery left a whole network of timm's: only the head is another."""
    return _is_timms(plan) and plan.taps == (len(plan.backbone.stages) - 1,)


def _whole_network(plan: Plan) -> list[str]:
    """Code for timm's own network with the new layer as its head."""
    backbone = plan.backbone
    return [
        f'network = timm.create_model("{backbone.architecture}", num_classes=len(classes)).eval()',
        "for name in list(state):",
        '    part, own = name.split(".", 1)',
        f'    own = own if part == "trunk" else f"{backbone.head}.{{own}}"',
        "    state[own] = state.pop(name)",
        "network.load_state_dict(state)",
    ]


def _tapped_network(plan: Plan) -> list[str]:
    """Code for a network that is read after some of its stages, under a layer of its own."""
    stages = [plan.backbone.stages[depth] for depth in plan.taps]
    pools = [f'    "{stage.path}": lambda v: {_pooled(stage)},' for stage in stages]
    return [
        *_trunk(plan),
        'trunk = {n.removeprefix("trunk."): t for n, t in state.items() if n.startswith("trunk.")}',
        "network.load_state_dict(trunk, strict=False)  # what comes after the cut stays random",
        "taps = {",
        *pools,
        "}",
        "read = {}",
        "for name, pool in taps.items():",
        "    network.get_submodule(name).register_forward_hook(",
        "        lambda module, given, out, name=name, pool=pool: read.update({name: pool(out)})",
        "    )",
        "",
        "",
        "def classify(x):",
        "    network(x)",
        "    features = torch.cat([read[name] for name in taps], dim=1)",
        '    return features @ state["head.weight"].T + state["head.bias"]',
    ]


def _trunk(plan: Plan) -> list[str]:
    """Code for the network whose stages are read; the old head lets its input through."""
    backbone = plan.backbone
    if _is_timms(plan):
        through = f'network.set_submodule("{backbone.head}", torch.nn.Identity())'
        made = f'network = timm.create_model("{backbone.architecture}").eval()'
        return [made, *([through] if backbone.head else [])]
    if not backbone.architecture:
        return ["network = ...  # the network that was given to regraft, in evaluation mode"]
    layers = [f"    {name}={_DEMONSTRATION[name]}," for name in plan.kept]
    return [
        "def convolution(inputs, outputs, kernel):",
        "    conv = torch.nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)",
        "    norm, act = torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()",
        "    pool = torch.nn.MaxPool2d(2)",
        "    return torch.nn.Sequential(OrderedDict(conv=conv, norm=norm, act=act, pool=pool))",
        "",
        "def connected(inputs, outputs):",
        "    flat, full = torch.nn.Flatten(), torch.nn.Linear(inputs, outputs)",
        "    return torch.nn.Sequential(OrderedDict(flat=flat, full=full, act=torch.nn.ReLU()))",
        "",
        "network = torch.nn.Sequential(OrderedDict(",
        *layers,
        ")).eval()",
    ]


_DEMONSTRATION = {
    "conv1": "convolution(3, 48, 5)",
    "conv2": "convolution(48, 96, 3)",
    "conv3": "convolution(96, 192, 3)",
    "fc1": "connected(3072, 128)",
    "fc2": "connected(128, 64)",
}
"""The layers of the demonstration network, which no other library has."""


def _pooled(stage: Stage) -> str:
    """Code for the average of a stage's value ``v`` over places."""
    skipped = f"[:, {stage.skip}:].mean(1)"
    ways = {"NCHW": ".mean((2, 3))", "NHWC": ".mean((1, 2))", "NLC": skipped}
    return f"v{stage.part}{ways.get(stage.layout, '')}"


def _square(plan: Plan) -> list[str]:
    """Code for the square that the network sees of a photo, as regraft cuts it out."""
    view, mean, std = plan.backbone.view, plan.backbone.mean, plan.backbone.std
    filtered, size = f"Image.Resampling.{view.interpolation.upper()}", (view.size, view.size)
    made = {
        "crop": [
            f"side = min(image.size) * {view.crop:g}",
            "left, top = (image.width - side) / 2, (image.height - side) / 2",
            "box = (left, top, left + side, top + side)",
            f"image = image.resize({size}, {filtered}, box)",
        ],
        "pad": [f"image = ImageOps.pad(image, {size}, {filtered}, color={BORDER})"],
        "squash": [f"image = image.resize({size}, {filtered})"],
    }
    scales = "; ".join(deep.in_words(view))
    return [
        *([f"# pictures of more than 8 bits: {scales}, scaled to 0..255"] if scales else []),
        'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")',
        *made[view.fit],
        "x = torch.tensor(np.array(image)).permute(2, 0, 1)[None] / 255",
        f"mean, std = torch.tensor([{list(mean)}, {list(std)}]).view(2, 1, 3, 1, 1)",
        "x = (x - mean) / std",
    ]


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
    lines = [
        f"It names one of its {len(plan.evidence.classes)} classes for every picture, also for one "
        "that shows none of them.",
        "The figures hold for images like those they were taken on. Other cameras, places or times "
        "can do worse.",
        *_weakest(plan, metrics),
    ]
    if plan.frozen:
        lines.append(
            f"The frozen stages see what {plan.backbone.source} taught them, its gaps included."
        )
    return "\n".join(["## Limits\n", *(f"- {line}" for line in lines)])


def _weakest(plan: Plan, metrics: Metrics) -> Iterator[str]:
    """Which class is found least often, if one is missed at all, and of which nothing is known."""
    present = {name: one for name, one in metrics["per_class"].items() if one["n"]}
    worst = min(present, key=lambda name: present[name]["recall"])
    if present[worst]["recall"] == 1:
        yield f"None of the {metrics['n']:,} {plan.judged} was missed; of more, some will be."
    else:
        n, recall = present[worst]["n"], present[worst]["recall"]
        yield f"It is weakest on {_plain(worst)}: of its {n} {plan.judged} it finds {recall:.1%}."
    unknown = [_plain(name) for name in wording.unjudged(metrics)]
    if unknown:
        yield f"How well it finds {_listed(unknown)} is not known: {wording.NO_IMAGE}."


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _plain(name: str) -> str:
    """Return a name as text that Markdown does not read anything into."""
    return re.sub(r"([\\`*_\[\]<>|#&~$]|:(?=[\w+-]+:))", r"\\\1", " ".join(name.split()))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
