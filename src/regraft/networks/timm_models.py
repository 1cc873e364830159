"""Networks by name, of timm or the demonstration network: make, fetch, read what they say."""

import inspect
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from regraft import backbones
from regraft.backbones import View, Weights
from regraft.backbones.record import UNNAMED
from regraft.errors import BackboneError, first_line
from regraft.networks import demonstration, weights
from regraft.networks.weights import hub

Triple = tuple[float, float, float]

MISNAMED = {"block": ("blocks", "stages"), "stage1": ("layer1",), "stem": ("act2",)}
"""First parts of paths in timm's ``feature_info`` that some of its networks (Twins, MViT, HRNet)
call otherwise."""

_FETCHING = threading.Lock()
"""Held while timm loads weights, or while that function of it is another."""


def parted(name: str) -> tuple[str, int | None]:
    """Return timm's name of a network, and the side of its image where the name has one.

    ``vit_small_patch14_dinov2@224`` is a network for images of 224 px.

    Raises:
        BackboneError: the side is no whole number of px.
    """
    known, at, size = name.partition("@")
    if at and not (size.isascii() and size.isdecimal() and int(size)):
        raise BackboneError(
            f"After the @ of {name!r} must stand the side of its image in px, got {size!r}.",
            [f"Write it like {known}@224."],
        )
    return known, int(size) if at else None


def sized(name: str) -> str:
    """Return the name by which a network is made: with its size where timm has to be told it.

    A network whose weights belong to places in the image (a ViT's) is made for one size; any other
    takes images of all sizes as it is.
    """
    known, size = parted(name)
    return name if size and config_of(known).get("fixed_input_size") else known


def _arguments(name: str) -> dict[str, Any]:
    """Return what timm makes a network with, beside its name."""
    size = parted(sized(name))[1]
    return {"img_size": size} if size else {}


def config_of(name: str) -> dict[str, Any]:
    """Return what timm says of the weights that go by a name."""
    import timm

    found = timm.get_pretrained_cfg(name)
    return {} if found is None else found.to_dict()


def check_name(name: str) -> None:
    """Know the name, or say which are near."""
    import timm

    if name == demonstration.NAME:
        return
    architecture, _, tag = parted(name)[0].partition(".")
    if timm.is_model(architecture):
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
        if tag and tag not in tags:
            raise BackboneError(
                f"timm has no weights {tag!r} for {architecture}.",
                [f"There are: {', '.join(tags) or 'none'}."],
            )
        return
    if backbones.is_auto(name):
        raise BackboneError(
            f"{name!r} is no network: it stands for the one that does best on labelled images.",
            ["Name a network here; `regraft rank DATA` says which."],
        )
    known = [*backbones.names(), *timm.list_models()]
    near = get_close_matches(name, known, n=5, cutoff=0.5)
    raise BackboneError(
        f"There is no network named {name!r}.",
        [f"Near it: {', '.join(near)}."] if near else ["`regraft models` lists what is on hand."],
    )


def create(name: str) -> nn.Module:
    """Return a network with random weights; the state of torch's own generator stays."""
    with torch.random.fork_rng(devices=[]):
        return _made(name).eval()


def _made(name: str) -> nn.Module:
    if name == demonstration.NAME:
        return demonstration.Demonstration()
    import timm

    known, size = parted(name)
    try:
        module: nn.Module = timm.create_model(known, pretrained=False, **_arguments(name))
    except Exception as error:  # what a network's own code says of a size that does not suit it
        if size is None:
            raise
        raise _unsuited(known, size, error) from error
    return module


def _unsuited(known: str, size: int, error: Exception) -> BackboneError:
    return BackboneError(
        f"{known} cannot be made for images of {size} x {size} px: {first_line(error)}",
        ["Take a size that its patches and windows divide."],
    )


def seeded(name: str, seed: int) -> nn.Module:
    """Return a network with weights drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create(name)


def fetch(name: str) -> nn.Module:
    """Return a network with the weights that timm has for it, out of the hub or its cache."""
    import timm
    from timm.models import _builder

    known, _ = parted(name)
    said = config_of(known)
    same = [b.name for b in backbones.bundled() if b.architecture == known.partition(".")[0]]
    also = [f"The bundled {one} is the same network with its weights." for one in same[:1]]
    overlay = {}
    if said.get("hf_hub_id"):
        path = hub.weights_of(
            name,
            said["hf_hub_id"],
            said.get("hf_hub_filename") or "",
            said.get("license") or "",
            also,
        )
        if path.suffix != ".safetensors":
            weights.read(path)  # says in words why it is refused, where it is
        overlay = {"file": str(path)}
    try:
        with (
            _FETCHING,
            torch.random.fork_rng(devices=[]),
            _swapped(_builder, "_CHECK_HASH", True),
        ):
            module: nn.Module = timm.create_model(
                known, pretrained=True, pretrained_cfg_overlay=overlay, **_arguments(name)
            )
    except Exception as error:  # each of the network's many errors, and of the file's
        raise BackboneError(
            f"The weights of {name} could not be {'read' if overlay else 'fetched'}: "
            f"{first_line(error)}",
            ["Download them elsewhere and name the file with --weights FILE.", *also],
        ) from error
    return module.eval()


def converted(
    name: str, module: nn.Module, state: Mapping[str, Tensor]
) -> Mapping[str, Tensor] | None:
    """Return a state of the original code's names as timm reads it here; None if it cannot.

    Each of timm's networks may bring a conversion of checkpoints of the code it was published
    with. timm hands it on to its loader and keeps it nowhere, so it is caught there.
    """
    if name == demonstration.NAME:
        return None
    for convert in _conversions(name):
        try:
            found = convert(dict(state), module)
        except Exception:  # it stumbles over names that it was not written for
            continue
        if all(isinstance(tensor, Tensor) for tensor in found.values()):
            return dict(found)
    return None


def _conversions(name: str) -> list[Any]:
    """Return what timm would convert a checkpoint of this network with; at most one."""
    import timm
    from timm.models import _builder

    caught: list[Any] = []

    def catch(*_: Any, filter_fn: Any = None, **__: Any) -> None:
        caught.append(filter_fn)

    if not hasattr(_builder, "load_pretrained"):  # a later timm: it would fetch weights
        return []
    with _FETCHING, torch.random.fork_rng(devices=[]), _swapped(_builder, "load_pretrained", catch):
        timm.create_model(parted(name)[0], pretrained=True)
    return [_of_two(convert) for convert in caught if convert is not None]


def _of_two(convert: Any) -> Any:
    """Return the conversion as a function of a state and the network.

    A few take the state alone.
    """
    return convert if "model" in inspect.signature(convert).parameters else lambda s, _: convert(s)


@contextmanager
def _swapped(module: Any, name: str, other: Any) -> Iterator[None]:
    """Another function in the place of a module's, for a while."""
    usual = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, usual)


def stage_paths(module: nn.Module) -> list[str]:
    """Return the stages of a timm model: its feature modules, and their brothers between them.

    timm names an EfficientNet's stages only where the resolution changes; the others are as good
    to cut after. Single layers in a row (VGG) are not stages.
    """
    info = getattr(module, "feature_info", [])
    named = dict(module.named_modules())
    paths = [str(entry.get("module")) for entry in getattr(info, "info", info)]
    paths = [_known(path, named) for path in paths]
    paths = [path for path in paths if path]
    for parent in dict.fromkeys(_parent_of(path) for path in paths):
        inside = parent not in ("", "stem")
        brothers = dict(module.get_submodule(parent).named_children()) if inside else {}
        if all(any(inner.children()) for inner in brothers.values()):
            paths += [f"{parent}.{key}" for key in brothers if key.isdecimal()]
    return [p for p in dict.fromkeys(paths) if not any(p.startswith(f"{q}.") for q in paths)]


def _known(path: str, named: Mapping[str, nn.Module]) -> str:
    """Return a path that timm names as it is in the network, or empty.

    A list of blocks, which is never called itself, ends with the last of them.
    """
    first, _, rest = path.partition(".")
    spelled = [path, *(f"{other}.{rest}".rstrip(".") for other in MISNAMED.get(first, ()))]
    found = next((one for one in spelled if one in named), "")
    while found and isinstance(inner := named[found], nn.ModuleList) and len(inner):
        found = f"{found}.{len(inner) - 1}"
    return found


def _parent_of(path: str) -> str:
    """Return the container of a numbered module, or empty."""
    parent, _, last = path.rpartition(".")
    return parent if last.isdecimal() else ""


def head_of(module: nn.Module) -> str:
    """Path of the classifier of one of timm's models; the first where there are two."""
    head = config(module).get("classifier") or ""
    return str(head if isinstance(head, str) else head[0])


def config(module: nn.Module) -> dict[str, Any]:
    """Return what timm says of a model's weights."""
    return dict(getattr(module, "pretrained_cfg", {}) or {})


def view_of(module: nn.Module, size: int | None = None) -> tuple[View, Triple, Triple]:
    """Return the square that a model takes, and the mean and deviation of its normalised pixels.

    ``size``: another side than that of its weights, in px.
    """
    from timm.data.config import resolve_data_config

    data = resolve_data_config({}, model=module)
    view = View(
        size or int(data["input_size"][-1]),
        float(data["crop_pct"]),
        _interpolation(data["interpolation"]),
    )
    return view, tuple(data["mean"]), tuple(data["std"])


def source(origin: Weights, tag: str) -> str:
    """Return what the weights were trained on, as far as timm's tag says it."""
    if origin.origin == "random":
        return "nothing (random weights)"
    if origin.origin == "file":
        return UNNAMED
    sets = {
        "1k": "ImageNet-1k",
        "12k": "ImageNet-12k",
        "21k": "ImageNet-21k",
        "22k": "ImageNet-22k",
    }
    named = [sets[found] for found in re.findall(r"in(1k|12k|21k|22k)", tag)]
    return ", then ".join(named) or tag or "unknown"


def _interpolation(name: str) -> str:
    return name if name in ("nearest", "bilinear", "bicubic", "lanczos") else "bicubic"
