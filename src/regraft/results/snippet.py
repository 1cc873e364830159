"""Code for a model card: a RUN is loaded and says what a photo is without regraft."""

from regraft.backbones import Backbone, Stage, View
from regraft.data.images import deep
from regraft.data.images.view import BORDER
from regraft.plan.definition import Plan


def snippet(plan: Plan) -> str:
    """Code that loads a RUN and says what a photo is without regraft."""
    own = not is_timms(plan)
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
        *named(plan.kind, 'json.load(open("THIS_FOLDER/config.json", encoding="utf-8"))'),
        'state = load_file("THIS_FOLDER/model.safetensors")',
    ]
    network = _whole_network(plan) if _is_whole(plan) else _tapped_network(plan)
    asked = "network(x)" if _is_whole(plan) else "classify(x)"
    last = answered(plan.kind, asked)
    return "\n".join([*imports, *files, *network, "", *_square(plan), *last])


def named(kind: str, config: str, names: str = "classes", part: str = "") -> list[str]:
    """Code that takes from a configuration what `answered` needs.

    ``names``: its key of the names; ``part``: where the rest is in it, in brackets.
    """
    rule = {"several": "thresholds", "number": "half_width"}.get(kind)
    if rule is None:
        return [f'classes = {config}["{names}"]']
    return [
        f"config = {config}",
        f'classes, {rule} = config["{names}"], config{part}["{rule}"]',
    ]


def answered(kind: str, asked: str) -> list[str]:
    """Code that prints what an image is; ``asked`` gives its logits.

    ``classes`` are at hand, and of several labels ``thresholds``, of a number ``half_width``.
    """
    first = "with torch.no_grad():"
    if kind == "one":
        shares = f"    shares = {asked}.softmax(1)[0]"
        return [first, shares, "print(dict(zip(classes, shares.tolist())))"]
    if kind == "number":
        value = f"    value = {asked}[0].item()"
        return [first, value, 'print(f"{classes[0]}: {value:g} ± {half_width:g}")']
    return [
        first,
        f"    shares = {asked}.sigmoid()[0].tolist()  # of each label by itself",
        "told = zip(classes, shares, thresholds)",
        "print({name: share for name, share, least in told if share >= least})",
    ]


def is_timms(plan: Plan) -> bool:
    """Return whether a plan's network is one of timm's."""
    return plan.backbone.architecture not in ("", "demonstration")


def _is_whole(plan: Plan) -> bool:
    """Return whether the surgery left a whole network of timm's: only the head is another."""
    return is_timms(plan) and plan.taps == (len(plan.backbone.stages) - 1,)


def _whole_network(plan: Plan) -> list[str]:
    """Code for timm's own network with the new layer as its head."""
    backbone = plan.backbone
    return [
        f"network = {_made(backbone, 'num_classes=len(classes)')}.eval()",
        'state = {n: t for n, t in state.items() if not n.startswith("known.")}',
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


def _made(backbone: Backbone, *more: str) -> str:
    """Code for one of timm's networks."""
    name, sized = backbone.timm
    words = [f'"{name}"', *more, *(f"{key}={value}" for key, value in sized.items())]
    return f"timm.create_model({', '.join(words)})"


def _trunk(plan: Plan) -> list[str]:
    """Code for the network whose stages are read; the old head lets its input through."""
    backbone = plan.backbone
    if is_timms(plan):
        through = f'network.set_submodule("{backbone.head}", torch.nn.Identity())'
        made = f"network = {_made(backbone)}.eval()"
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
    filtered, size = f"Image.Resampling.{view.interpolation.upper()}", (view.shape[1], view.size)
    made = {
        "crop": [
            *_box(view),
            f"image = image.resize({size}, {filtered}, box)",
        ],
        "pad": [f"image = ImageOps.pad(image, {size}, {filtered}, color={BORDER})"],
        "squash": [f"image = image.resize({size}, {filtered})"],
    }
    scales = "; ".join(deep.in_words(view))
    last = {
        1: ['x = torch.tensor(np.array(image.convert("L")))[None, None] / 255'],
        3: ["x = torch.tensor(np.array(image)).permute(2, 0, 1)[None] / 255"],
    }
    pixels = [
        'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")',
        *made[view.fit],
        *last.get(view.channels, ()),
    ]
    if view.channels not in last:
        pixels = [
            "x = []",
            f'for channel in np.load("photo.npy").transpose(2, 0, 1):  # {view.channels} in uint8',
            '    image = Image.fromarray(channel).convert("RGB")',
            *(f"    {line}" for line in made[view.fit]),
            '    x.append(np.array(image.convert("L")))',
            "x = torch.tensor(np.stack(x))[None] / 255",
        ]
    return [
        *([f"# pictures of more than 8 bits: {scales}, scaled to 0..255"] if scales else []),
        *pixels,
        f"mean, std = torch.tensor([{list(mean)}, {list(std)}]).view(2, 1, {view.channels}, 1, 1)",
        "x = (x - mean) / std",
    ]


def _box(view: View) -> list[str]:
    """Code for the box in the middle that is seen."""
    if not view.width:
        return [
            f"side = min(image.size) * {view.crop:g}",
            "left, top = (image.width - side) / 2, (image.height - side) / 2",
            "box = (left, top, left + side, top + side)",
        ]
    high, wide, _ = view.shape
    return [
        f"wide = min(image.width, image.height * {wide} / {high}) * {view.crop:g}",
        f"high = min(image.height, image.width * {high} / {wide}) * {view.crop:g}",
        "left, top = (image.width - wide) / 2, (image.height - high) / 2",
        "box = (left, top, left + wide, top + high)",
    ]
