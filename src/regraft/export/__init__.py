"""Make a RUN into what other tools load, and refuse where it does not give the same.

Every export is loaded again in its own runtime and compared with the RUN on real images before it
is moved into place: with the RUN's network in float32 torch, whose answers must be the same, and
with what the RUN itself says, in the precision of its engine.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from regraft.errors import RegraftError, RunError, UsageError, first_line
from regraft.export import images, parity, to_onnx, to_openvino, to_serve, to_timm, to_torch
from regraft.export.about import About
from regraft.export.comparing import compared
from regraft.export.parity import Parity
from regraft.export.place import check_place, size_of, whole
from regraft.features.engines import carried
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
    "serve": to_serve,
}

NO_PIXELS = {
    "timm": "timm's networks take normalised pixels",
    "openvino": "it calculates in bfloat16 wherever the CPU has it, and that changes the picture",
    "serve": "it stays a RUN, which takes image files",
}
"""Targets that do no preprocessing inside, and why."""

TELLING = (to_onnx, to_openvino)
"""Targets whose outputs have names, and tell whether an image is like the training images."""

_OTHERS = "Leave out --pixels, or export --to onnx or torch."


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
    output: str = ""
    """What it gives, in words."""

    def to_json(self) -> dict[str, Any]:
        """Return the export as what a JSON document holds."""
        return {
            "target": self.target,
            "path": str(self.path),
            "bytes": self.size,
            "input": self.input,
            "output": self.output,
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

    Or make it ready to ``serve`` without torch: that is written into the RUN, which then answers
    and predicts wherever OpenVINO is, from a copy of the folder.

    It is loaded again in its own runtime and compared with the RUN on real images first. Without
    ``pixels`` it takes float32 ``[B, channels, height, width]``, normalised as the RUN's plan says;
    with them uint8 ``[B, height, width, 3]`` of 0..255. It gives ``probabilities``
    ``[B, classes]`` (of several labels one of each by itself), or of a number its ``value``
    ``[B, 1]``; timm's networks give logits. onnx and openvino also give ``known`` and ``belief``
    ``[B]``, if the RUN has them. What is written beside it says which, with the names, the
    thresholds of several labels and the half width of a number's interval.
    A RUN goes to the Hugging Face hub by `regraft.export.to_hub.push`.

    Args:
        run: the RUN folder, or a result that was saved in one.
        to: ``onnx``, ``torch``, ``timm``, ``openvino`` or ``serve``.
        out: a file (onnx, torch) or folder (timm, openvino); beside the RUN where None.
        pixels: take decoded pixels of any size and do the preprocessing inside; onnx and torch.
        data: images to check it on; where the plan says that they are where None.
        overwrite: replace an earlier export; that for ``serve`` always is.
        images_checked: how many images it is checked on.
        network: of a RUN of a network of your own: that network; see `regraft.load`.

    Returns:
        What was written: its path, its size in bytes, and how far its answers are from those of
        the RUN.

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
    overwrite = overwrite or target is to_serve
    check_place(out, target.NAMES, overwrite=overwrite)
    sample = images.draw(run, result.plan, data, images_checked)
    tells = target in TELLING and result.known is not None
    about = About(result.plan, result.classes, pixels, tells)
    with whole(out, target.NAMES, overwrite=overwrite) as draft:
        module = _module(result, about)
        _write(target, result if target is to_serve else module, about, draft, to)
        compare = to_serve.compared if target is to_serve else compared
        parities = compare(target, module, about, draft, sample, result)
        parity.check(
            parities,
            f"The export to {to} does not give what '{run}' gives, and was not kept.",
            "If the weights or images were changed since the RUN was made, make it anew; other "
            "images are named with --data.",
        )
        size = size_of(draft)
    taken = to_serve.INPUT if target is to_serve else about.input
    given = to_timm.MEANING[about.plan.kind] if target is to_timm else about.gives
    seconds = time.perf_counter() - start
    return Exported(to, out, size, taken, tuple(parities), seconds, given)


def _target(to: str, pixels: bool) -> ModuleType:
    if to not in TARGETS:
        raise UsageError(f"There is no target {to!r}.", [f"There are {', '.join(TARGETS)}."])
    if pixels and to in NO_PIXELS:
        raise UsageError(f"--pixels does not go with --to {to}: {NO_PIXELS[to]}.", [_OTHERS])
    return TARGETS[to]


def _out(run: Path, out: Path | None, target: ModuleType) -> Path:
    """Where to write: what was asked for, else beside the RUN under its name, or within it."""
    suffix: str = target.SUFFIX
    if target is to_serve:
        if out is not None:
            raise UsageError(
                f"--to serve writes into the RUN, so it takes no --out, got '{out}'.",
                ["Leave it out; what is copied to another machine is the RUN."],
            )
        return run / carried.FOLDER
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
    classifier = Classifier(network, belief, result.kind)
    return PixelClassifier(classifier, backbone) if about.pixels else classifier


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
