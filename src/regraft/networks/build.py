"""Records of networks <-> networks: describe one, build one, cut its trunk.

A name goes a simple way: a bundled record, else timm's name of an architecture. Weights are read
from a file (a bundled package's, or the user's), fetched by timm when the user names one of its
models and gives no file, or drawn at random where a seed is asked for.
"""

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regraft import backbones
from regraft.backbones import Backbone, Stage, View, Weights
from regraft.backbones.files import sha256_of, weights_file
from regraft.errors import BackboneError, RunError
from regraft.networks import timm_models, weights
from regraft.networks.copies import duplicate
from regraft.networks.profile import Profile, locate, profile
from regraft.networks.trunk import Tap, Traced, Trunk, trace

log = logging.getLogger("regraft")

LARGE = 320
"""Above this side in px, what an image costs is told when a network is read."""

__all__ = [
    "build",
    "describe_module",
    "describe_timm",
    "find",
    "load",
    "normalised",
    "readings",
    "refilled",
    "trunk",
    "weights_file",
]


def find(name: str, weights: Path | None = None, *, seed: int | None = None) -> Backbone:
    """Return the record of a network by name: a bundled one, else any of timm's.

    Args:
        name: such as ``efficientnet-lite0`` or ``resnet18``.
        weights: a file to read the weights from.
        seed: draw the weights at random instead (there is nothing pretrained in them).

    Raises:
        BackboneError: no such network, weights that do not fit, or that cannot be had.
    """
    return load(name, weights, seed=seed)[0]


def load(
    name: str, weights: Path | None = None, *, seed: int | None = None
) -> tuple[Backbone, nn.Module]:
    """Like `find`, with the network itself, in evaluation mode."""
    if name in backbones.names():
        record = backbones.get(name)
        if weights is None and seed is None:
            return record, build(record)
        described, module = _load_timm(record.architecture, weights, seed)
        new = replace(record, weights=described.weights, source=described.source, licence="")
        return new, module
    return _load_timm(name, weights, seed)


def build(backbone: Backbone, weights_path: Path | None = None) -> nn.Module:
    """Return the network of a record, with its weights, in evaluation mode.

    Args:
        backbone: the record.
        weights_path: where the file is, for weights of the origin ``file``.

    Raises:
        BackboneError: weights that are missing or not the recorded ones, or a record of a module
            in memory, which only its owner can build.
    """
    origin, name = backbone.weights.origin, backbone.architecture
    _check_buildable(backbone)
    if origin in ("package", "file"):
        module = timm_models.create(name)
        state = weights.read(weights_file(backbone, weights_path))
        _fill(module, name, state, f"The weights of {backbone.name}", backbone.head)
        return module.eval()
    module = (
        timm_models.seeded(name, int(backbone.weights.location))
        if origin == "random"
        else timm_models.fetch(name)
    )
    _check_fingerprint(backbone, module)
    return module


def architecture(backbone: Backbone) -> nn.Module:
    """Return the network of a record with weights of no meaning, for a state to be loaded into.

    Raises:
        BackboneError: the record is one of a module in memory.
    """
    _check_buildable(backbone)
    return timm_models.create(backbone.architecture)


def refilled(
    backbone: Backbone,
    state: Mapping[str, Any],
    taps: Sequence[int],
    module: nn.Module | None = None,
) -> nn.Module:
    """Return the network of a record with a RUN's weights, in evaluation mode.

    Its head means nothing, nor do stages after the deepest tap, which a RUN does not keep.

    Args:
        backbone: the record.
        state: tensors or arrays by name, ``trunk.*`` those of the trunk.
        taps: the depths that the RUN reads.
        module: the network, where it is one in memory; it is not touched.

    Raises:
        BackboneError: the backbone is a module in memory and was not given.
        RunError: the state is not that of this network.
    """
    whole = (architecture(backbone) if module is None else duplicate(module)).eval()
    names = {name.removeprefix("trunk.") for name in state if name.startswith("trunk.")}
    kept = trunk(whole, backbone, taps)
    own, shapes = kept.state_dict(), {name: tuple(state[f"trunk.{name}"].shape) for name in names}
    problems = [f"missing: {name}." for name in own if name not in names]
    problems += [f"not of it: {name}." for name in sorted(names - own.keys())]
    problems += [
        f"{name} must be of shape {tuple(tensor.shape)}, got {shapes[name]}."
        for name, tensor in own.items()
        if name in names and shapes[name] != tuple(tensor.shape)
    ]
    if problems:
        raise RunError(f"The saved weights are not those of {backbone.name}.", problems)
    kept.load_state_dict({name: torch.as_tensor(state[f"trunk.{name}"]) for name in own})
    return whole


def describe_timm(name: str, weights: Path | None = None, *, seed: int | None = None) -> Backbone:
    """Return the record of any of timm's models; see `find`."""
    return _load_timm(name, weights, seed)[0]


def describe_module(
    module: nn.Module,
    stages: Sequence[str],
    *,
    view: View,
    mean: Sequence[float],
    std: Sequence[float],
    head: str | None = None,
    name: str = "",
    licence: str = "",
    paper: str = "",
    source: str = "unknown",
    strict: bool = True,
) -> Backbone:
    """Return the record of a module in memory.

    Args:
        module: any network that torch.fx can trace; it is not touched.
        stages: paths of its submodules after which features may be read.
        view: the image that it takes.
        mean: of its normalised input, by channel, on the scale 0 to 1.
        std: likewise.
        head: path of its classifier, whose input becomes the stage ``last`` unless a named stage
            reads the same. None: it has no head.
        name: what to call it; the name of its class if empty.
        licence: of its weights.
        paper: where it was published.
        source: what it was trained on.
        strict: a stage that cannot be read is an error; else it is left out.

    Raises:
        BackboneError: no stages, stages or a head that it does not have, or it cannot be traced.
    """
    name = name or type(module).__name__
    check_paths(module, stages, head, name)
    found = profile(trace(module, name), stages, head or "", view, name, strict=strict)
    return _record(
        found,
        name=name,
        architecture="",
        head=head or "",
        view=view,
        mean=tuple(mean),
        std=tuple(std),
        licence=licence,
        paper=paper,
        source=source,
        weights=Weights("memory", weights.fingerprint(module), ""),
    )


def trunk(module: nn.Module, backbone: Backbone, taps: Sequence[int]) -> Trunk:
    """Return a network in evaluation mode that ends at the deepest tap, on the module's weights.

    Args:
        module: the whole network; it is not touched.
        backbone: its record.
        taps: depths to read, in the order in which they are to be given.

    Returns:
        ``forward(x [B, 3, S, S], normalised) -> list of [B, C_d]``, pooled, one for each tap.
    """
    traced = trace(module, backbone.name)
    return Trunk(traced, readings(traced, backbone, taps))


def normalised(pixels: Tensor, backbone: Backbone, channels_last: bool = True) -> Tensor:
    """Pixels of 0..255 ``[B, C, H, W]`` as the network takes them, float32, a new tensor."""

    def scaled(values: Sequence[float]) -> Tensor:
        return 255.0 * torch.tensor(values, device=pixels.device)[:, None, None]

    memory = torch.channels_last if channels_last else torch.contiguous_format
    x = pixels.to(torch.float32, memory_format=memory, copy=True)
    return x.sub_(scaled(backbone.mean)).div_(scaled(backbone.std))


def readings(traced: Traced, backbone: Backbone, taps: Sequence[int]) -> list[tuple[Tap, Stage]]:
    """Where the depths of a record are to be read in a traced network.

    Raises:
        BackboneError: there is no such depth, or the network is not the recorded one.
    """
    deepest = len(backbone.stages) - 1
    wrong = [
        f"must lie in 0..{deepest}, got {depth}." for depth in taps if not 0 <= depth <= deepest
    ]
    if wrong or not taps:
        raise BackboneError(f"No such depths in {backbone.name}.", wrong or ["name at least one."])
    stages = [backbone.stages[depth] for depth in taps]
    located = locate(traced, stages, backbone.head, backbone.name)
    return list(zip(located, stages, strict=True))


def _load_timm(name: str, path: Path | None, seed: int | None) -> tuple[Backbone, nn.Module]:
    """Record and network of one of timm's models."""
    timm_models.check_name(name)
    if seed is not None:
        module = timm_models.seeded(name, seed)
        origin = Weights("random", weights.fingerprint(module), str(seed))
    elif path is not None:
        module = timm_models.create(name)
        state, head = weights.read(path), timm_models.head_of(module)
        ordered = _fill(module, name, state, f"The weights {path}", head)
        origin = Weights("file", sha256_of(path), path.name, ordered)
    else:
        module = timm_models.fetch(name)
        tag = str(timm_models.config(module).get("tag") or "")
        origin = Weights("timm", weights.fingerprint(module), tag)
    record = _described(module.eval(), name, origin)
    if seed is None and record.view.size > LARGE and "@" not in name:
        side, million = record.view.size, record.multiply_adds_to[-1] / 1e6
        log.warning(
            f"{name} takes images of {side} × {side} px, {million:,.0f} million multiply-adds "
            f"each; {name}@224 takes smaller ones."
        )
    return record, module


def _fill(module: nn.Module, name: str, state: Mapping[str, Tensor], what: str, head: str) -> bool:
    """Load a file's state into one of timm's networks; returns whether it went by order."""
    convert = functools.partial(timm_models.converted, name, module)
    return weights.fit(module, state, head=head, what=what, convert=convert)


def _described(module: nn.Module, name: str, origin: Weights) -> Backbone:
    """Return the record of a network of timm's, from what timm says of it and one look."""
    config, head = timm_models.config(module), timm_models.head_of(module)
    view, mean, std = timm_models.view_of(module, timm_models.parted(name)[1])
    found = profile(
        trace(module, name),
        timm_models.stage_paths(module),
        head,
        view,
        name,
        strict=False,
    )
    known = origin.origin == "timm"
    return _record(
        found,
        name=name,
        architecture=timm_models.sized(name),
        head=head,
        view=view,
        mean=mean,
        std=std,
        licence=str(config.get("license") or "") if known else "",
        paper=str(config.get("paper_ids") or "") if known else "",
        source=timm_models.source(origin, str(config.get("tag") or "")),
        weights=origin,
    )


def _record(found: Profile, **rest: Any) -> Backbone:
    return Backbone(
        stages=found.stages,
        parameters=found.parameters,
        parameters_to=found.parameters_to,
        multiply_adds_to=found.multiply_adds_to,
        **rest,
    )


def _check_buildable(backbone: Backbone) -> None:
    if not backbone.architecture:
        raise BackboneError(
            f"{backbone.name} was given as a module in memory and cannot be built from its record.",
            [
                "In Python, pass the same module again: regraft.load(RUN, network=module). On the "
                "command line, say where it is made: --network package.module:factory."
            ],
        )


def _check_fingerprint(backbone: Backbone, module: nn.Module) -> None:
    found = weights.fingerprint(module)
    if found != backbone.weights.sha256:
        raise BackboneError(
            f"The weights of {backbone.name} are not those of its record.",
            [
                f"SHA-256 of the state dict must be {backbone.weights.sha256}, got {found}.",
                "They were changed where they come from; describe the network again.",
            ],
        )


def check_paths(module: nn.Module, stages: Sequence[str], head: str | None, name: str) -> None:
    """Every stage and the head are modules of the network, and there is at least one stage."""
    paths = [path for path, _ in module.named_modules() if path]
    problems = [
        f"stage {s!r} is no module of it{_near(s, paths)}." for s in stages if s not in paths
    ]
    problems += [f"stage {s!r} is named twice." for s in dict.fromkeys(stages) if _twice(s, stages)]
    problems += (
        [f"head {head!r} is no module of it{_near(head, paths)}."]
        if head and head not in paths
        else []
    )
    problems += [] if stages else ["name at least one module as a stage."]
    if problems:
        there = ", ".join(_upper(paths)) or "none; give them names by nn.Sequential or attributes"
        raise BackboneError(
            f"The stages of {name} cannot be found.", [*problems, f"Its modules: {there}."]
        )


def _near(path: str, paths: Sequence[str]) -> str:
    near = get_close_matches(path, paths, n=3)
    return f"; near it: {', '.join(near)}" if near else ""


def _twice(stage: str, stages: Sequence[str]) -> bool:
    return list(stages).count(stage) > 1


def _upper(paths: Iterable[str]) -> list[str]:
    """Return the paths near the root, at most 40."""
    return [path for path in paths if path.count(".") <= 1][:40]
