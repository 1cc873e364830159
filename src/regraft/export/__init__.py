"""Make a RUN into what other tools load, and refuse where it does not give the same.

Every export is loaded again in its own runtime and compared with the RUN on real images before it
is moved into place: with the RUN's network in float32 torch, whose probabilities and classes must
be the same, and with what the RUN itself says, in the precision of its engine.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RegraftError, RunError, UsageError, first_line
from regraft.export import images, parity, to_onnx, to_openvino, to_timm, to_torch
from regraft.export.about import About
from regraft.export.images import ParityImages
from regraft.export.parity import Parity
from regraft.export.place import check_place, size_of, whole
from regraft.export.target import Run
from regraft.heads.known import Known
from regraft.results.load import load
from regraft.results.result import Result, folder_of
from regraft.run.api import Data
from regraft.verb import calls_package

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TARGETS", "Exported", "export"]

TARGETS: dict[str, ModuleType] = {
    "onnx": to_onnx,
    "torch": to_torch,
    "timm": to_timm,
    "openvino": to_openvino,
}

NO_PIXELS = {
    "timm": "timm's networks take normalised pixels",
    "openvino": "it calculates in bfloat16 wherever the CPU has it, and that changes the picture",
}
"""Targets that do no preprocessing inside, and why."""

TELLING = (to_onnx, to_openvino)
"""Targets whose outputs have names, and tell whether an image is like the training images."""

_OTHERS = "Leave out --pixels, or export --to onnx or torch."
_LOT = 8  # images in a batch that is checked; the first goes alone


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the RUN."""

    target: str
    path: Path
    size: int
    """In bytes."""
    input: str
    """What it takes, in words."""
    parities: tuple[Parity, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the export as what a JSON document holds."""
        return {
            "target": self.target,
            "path": str(self.path),
            "bytes": self.size,
            "input": self.input,
            "seconds": round(self.seconds, 3),
            "parity": [each.to_json() for each in self.parities],
        }


@calls_package
def export(
    run: str | os.PathLike[str] | Result,
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    pixels: bool = False,
    data: Data | None = None,
    overwrite: bool = False,
    images_checked: int = images.MOST,
    network: object | None = None,
) -> Exported:
    """Write a RUN as ``onnx``, ``torch``, ``timm`` or ``openvino``, whole or not at all.

    It is loaded again in its own runtime and compared with the RUN on real images first. Without
    ``pixels`` it takes float32 ``[B, channels, height, width]``, normalised as the RUN's plan says;
    with them uint8 ``[B, height, width, 3]`` of 0..255. It gives ``probabilities``
    ``[B, classes]``; onnx and openvino also ``known`` and ``belief`` ``[B]``, if the RUN has them.
    A RUN goes to the Hugging Face hub by `regraft.export.to_hub.push`.

    Args:
        run: the RUN folder, or a result that was saved in one.
        to: ``onnx``, ``torch``, ``timm`` or ``openvino``.
        out: a file (onnx, torch) or folder (timm, openvino); beside the RUN where None.
        pixels: take decoded pixels of any size and do the preprocessing inside; onnx and torch.
        data: images to check it on; where the plan says that they are where None.
        overwrite: replace an earlier export.
        images_checked: how many images it is checked on.
        network: of a RUN of a network of your own: that network; see `regraft.load`.

    Returns:
        What was written: its path, its size in bytes, and how far its probabilities are from those
        of the RUN.

    Raises:
        RunError: it does not give what the RUN gives, cannot be made, or cannot be written.
        DataError: there is no image to check it on.
        UsageError: a target or combination that there is not.
    """
    start = time.perf_counter()
    if isinstance(run, Result) and network is None and not run.plan.backbone.architecture:
        network = run.network()
    run, target = folder_of(run), _target(to, pixels)
    result = load(run, network=network)
    if pixels and result.plan.backbone.view.channels not in (1, 3):
        taken = f"{result.plan.backbone.name} takes {result.plan.backbone.view.channels} channels"
        raise UsageError(f"--pixels is for RGB pictures, {taken}.", ["Leave out --pixels."])
    if to == "timm":
        to_timm.check_whole(result.plan)
    target.check()
    out = _out(run, None if out is None else Path(out), target)
    check_place(out, target.NAMES, overwrite=overwrite)
    sample = images.draw(run, result.plan, data, images_checked)
    tells = target in TELLING and result.known is not None
    about = About(result.plan, result.classes, pixels, tells)
    with whole(out, target.NAMES, overwrite=overwrite) as draft:
        module = _module(result, about)
        _write(target, module, about, draft, to)
        parities = _compare(target, module, about, draft, sample, result)
        parity.check(
            parities,
            f"The export to {to} does not give what '{run}' gives, and was not kept.",
            "If the weights or images were changed since the RUN was made, make it anew; other "
            "images are named with --data.",
        )
        size = size_of(draft)
    return Exported(to, out, size, about.input, tuple(parities), time.perf_counter() - start)


def _target(to: str, pixels: bool) -> ModuleType:
    if to not in TARGETS:
        raise UsageError(f"There is no target {to!r}.", [f"There are {', '.join(TARGETS)}."])
    if pixels and to in NO_PIXELS:
        raise UsageError(f"--pixels does not go with --to {to}: {NO_PIXELS[to]}.", [_OTHERS])
    return TARGETS[to]


def _out(run: Path, out: Path | None, target: ModuleType) -> Path:
    """Where to write: what was asked for, else beside the RUN under its name."""
    suffix: str = target.SUFFIX
    if out is None:
        home = run.resolve()
        return home.with_name(home.name + suffix)
    if not target.NAMES and out.suffix != suffix:
        raise UsageError(
            f"--out must be a file ending in {suffix}, got '{out}'.",
            [f"Name it like {out.stem or 'model'}{suffix}."],
        )
    return out


def _module(result: Result, about: About) -> "nn.Module":
    """Return the RUN's network in torch, as it is exported."""
    from regraft.export.belief import Belief
    from regraft.export.classifier import Classifier, PixelClassifier
    from regraft.networks.surgery import restore

    backbone = result.plan.backbone
    config = {
        "backbone": backbone.to_json(),
        "taps": result.plan.taps,
        "classes": result.classes,
    }
    whole = None if backbone.architecture else result.network()
    network = restore(config, result.tensors, whole).requires_grad_(False)
    belief = Belief(result.known) if about.known and result.known else None
    if about.pixels:
        return PixelClassifier(network, backbone, belief)
    return Classifier(network, belief)


def _write(target: ModuleType, module: Any, about: About, draft: Path, to: str) -> None:
    """Write the export; whatever a converter stumbles over is told as one error."""
    try:
        target.write(module, about, draft)
    except (RegraftError, OSError):
        raise
    except Exception as error:
        why = first_line(error)
        raise RunError(
            f"{about.plan.backbone.name} cannot be exported to {to}: {why}",
            ["Try another target: each converter knows other operations."],
        ) from error


# ---- comparing


def _compare(
    target: ModuleType, module: Any, about: About, draft: Path, sample: ParityImages, result: Result
) -> list[Parity]:
    """Run what was written, and the RUN, on the same images."""
    reference = _in_torch(module)
    wanted = _shares(reference, about, sample)
    found = _shares(target.open_file(draft, about), about, sample)
    parities = [parity.exact("export against the float32 network", found, wanted)]
    if about.known and result.known:
        parities.append(_beliefs(target.open_belief(draft), module, about, sample, result.known))
    if target is to_openvino:
        usual = to_openvino.open_as_it_comes(draft)
        if usual is not None:
            halved = _shares(usual, about, sample)
            what = "in the precision that OpenVINO chooses here"
            parities.append(parity.told(what, halved, wanted))
    if about.pixels:
        plain = About(about.plan, about.classes, pixels=False)
        wanted = _shares(_in_torch(module.classifier), plain, sample)
        parities.append(parity.told("its preprocessing against regraft's own", found, wanted))
    own = result.predict_proba(sample.files)
    engine = result.engine().name
    parities.append(parity.near(f"RUN ({engine}) against the float32 network", own, wanted))
    if known := len(sample.recorded):
        what = "predictions.csv of the RUN against the float32 network"
        parities.append(parity.near(what, sample.recorded, wanted[:known]))
    return parities


def _beliefs(told: Run, module: Any, about: About, sample: ParityImages, known: Known) -> Parity:
    """Compare what the export says of the beliefs in images with what regraft makes of them.

    Of the float32 network's features; with pixels of what the export's own preprocessing shows it.
    """
    import torch

    found = _shares(told, about, sample)
    if about.pixels:
        wanted = _shares(_in_torch(module, output=2), about, sample)
        return parity.beliefs("its beliefs against the float32 network's", found, wanted)
    network, x = module.network, about.plan.backbone.normalised(sample.squares)
    with torch.no_grad():
        features = network.features(torch.from_numpy(x))
        logits = network.head(features).numpy()
    wanted = known.belief(features.numpy(), logits)
    return parity.beliefs("its beliefs against regraft's own", found, wanted)


def _in_torch(module: Any, output: int = 0) -> Run:
    import torch

    def run(x: Any) -> NDArray[Any]:
        with torch.no_grad():
            made = module(torch.from_numpy(x))
            return np.asarray((made[output] if isinstance(made, tuple) else made).numpy())

    return run


def _shares(run: Run, about: About, sample: ParityImages) -> NDArray[Any]:
    """Probabilities ``[n, classes]`` of the sample, in batches of several lengths."""
    if about.pixels:
        view = about.plan.backbone.view
        rows = [run(images.picture(file, view)[None])[0] for file in sample.files]
        twice = images.picture(sample.files[0], view)[None].repeat(2, axis=0)
        return np.stack([run(twice)[1], *rows[1:]])
    x = about.plan.backbone.normalised(sample.squares)
    lots = [x[:1], *(x[at : at + _LOT] for at in range(1, len(x), _LOT))]
    return np.concatenate([run(lot) for lot in lots])
