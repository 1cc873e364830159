"""timm: a folder that ``timm.create_model("local-dir:FOLDER")`` loads as one of its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from regraft.errors import RunError
from regraft.export.about import About
from regraft.export.target import Input, Run
from regraft.heads.tasks import task_of
from regraft.plan.definition import Plan
from regraft.results.snippet import answered, named

SUFFIX, NAMES = "-timm", ("config.json", "model.safetensors", "README.md")


def check() -> None:
    """Nothing else is needed."""


def check_whole(plan: Plan) -> None:
    """Raise RunError where the surgery left no whole network of timm's; it says why."""
    from regraft.networks.demonstration import NAME

    stages = plan.backbone.stages
    last = stages[-1].name
    read = ", ".join(stages[depth].name for depth in plan.taps)
    reasons = []
    if plan.backbone.architecture in ("", NAME):
        reasons.append(f"{plan.backbone.name} is no network of timm's.")
    if plan.cut < len(stages) - 1:
        reasons.append(f"It was cut after {stages[plan.cut].name}; timm's has all up to {last}.")
    elif len(plan.taps) > 1:
        reasons.append(f"Its new layer reads {read}; timm's reads {last} alone.")
    if reasons:
        remedy = "Export --to onnx, torch or openvino; they take any network."
        raise RunError("This RUN is no whole network of timm's.", [*reasons, remedy])


def write(module: Any, about: About, place: Path) -> None:
    """Write timm's own network with these weights under timm's own names."""
    from safetensors.torch import save_file

    whole = _filled(module.network, about)
    state = {name: tensor.contiguous() for name, tensor in whole.state_dict().items()}
    save_file(state, place / NAMES[1], metadata={"format": "pt"})
    text = json.dumps(_config(whole, about), indent=2)
    (place / NAMES[0]).write_text(text + "\n", "ascii")
    (place / NAMES[2]).write_text(_readme(about), "utf-8")


def open_file(place: Path, about: About) -> Run:
    """Return the folder as timm loads it; of its logits the answer is made."""
    import timm
    import torch

    module = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
    shares = task_of(about.plan.kind).shares

    def run(x: Input) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return np.asarray(shares(module(torch.from_numpy(x)).numpy()))

    return run


def _filled(network: Any, about: About) -> Any:
    """Return a network of timm's with the weights of ours.

    Raises:
        RunError: they do not fit it.
    """
    import timm

    backbone = about.plan.backbone
    name, sized = backbone.timm
    whole = timm.create_model(name, num_classes=len(about.classes), **sized).eval()
    state = network.trunk.state_dict()
    state |= {f"{backbone.head}.{name}": t for name, t in network.head.state_dict().items()}
    try:
        whole.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(
            f"The new layer does not fit into {backbone.architecture}, so timm cannot load it.",
            [*(line.strip() for line in str(error).splitlines()[1:5])],
        ) from error
    return whole


def _config(whole: Any, about: About) -> dict[str, Any]:
    """``config.json`` as timm's hub has it."""
    backbone, classes = about.plan.backbone, list(about.classes)
    size, (name, sized) = backbone.view.size, backbone.timm
    feeding = {
        "input_size": [3, size, size],
        "interpolation": backbone.view.interpolation,
        "crop_pct": backbone.view.crop if backbone.view.fit == "crop" else 1.0,
        "crop_mode": {"crop": "center", "pad": "border"}.get(backbone.view.fit, "squash"),
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "num_classes": len(classes),
        "classifier": backbone.head,
        "custom_load": False,
    }
    feeding |= {"license": backbone.licence} if backbone.licence else {}
    kept = ("pool_size", "first_conv", "fixed_input_size")
    given = {name: whole.pretrained_cfg[name] for name in kept if name in whole.pretrained_cfg}
    return {
        "architecture": name.partition(".")[0],
        **({"model_args": sized} if sized else {}),
        "num_classes": len(classes),
        "num_features": int(whole.num_features),
        "label_names": classes,
        "pretrained_cfg": given | feeding,
        "regraft": about.rule | {"output": MEANING[about.plan.kind]},
    }


MEANING = {
    "one": "logits: their softmax is the probabilities of the classes",
    "several": "logits: their sigmoid is the probability of each label by itself, "
    "which is given from its threshold on",
    "number": "the number itself: the true one lies within half_width of it, of 95 images in 100",
}
"""What timm's network gives, by what is asked of an image."""


def _readme(about: About) -> str:
    """Return what the folder's network gives, and code that asks it."""
    plan = about.plan
    code = [
        "import json",
        "",
        "import timm",
        "import torch",
        "from PIL import Image",
        "",
        *named(
            plan.kind,
            'json.load(open("THIS_FOLDER/config.json", encoding="utf-8"))',
            "label_names",
            '["regraft"]',
        ),
        'network = timm.create_model("local-dir:THIS_FOLDER", pretrained=True).eval()',
        "view = timm.data.create_transform(**timm.data.resolve_model_data_config(network))",
        'x = view(Image.open("photo.jpg").convert("RGB"))[None]',
        *answered(plan.kind, "network(x)"),
    ]
    return "\n".join(
        [
            "---\nlibrary_name: timm\ntags: [timm, regraft]\n---\n",
            f"`{plan.backbone.name}`, adapted by regraft, as timm loads it. The network gives "
            f"{MEANING[plan.kind]}.\n",
            "```python",
            *code,
            "```\n",
        ]
    )
