"""A module of a person's own as a backbone: copied, looked at, written down as a record.

The module that is given is only read. Everything runs on a copy of it: on the CPU, in float32, in
evaluation mode, with weights of its own, so that what its owner does with it afterwards changes
nothing here, and nothing that is done here changes it.
"""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from itertools import product
from typing import Any, Protocol, runtime_checkable

from torch import nn

from regraft.backbones import Backbone, View, Weights
from regraft.backbones.record import UNNAMED
from regraft.errors import BackboneError, UsageError, first_line
from regraft.networks import build, stages, timm_models
from regraft.networks.copies import duplicate
from regraft.networks.trunk import trace
from regraft.networks.weights import fingerprint

log = logging.getLogger("regraft")

Fed = View | int | tuple[int, int] | Mapping[str, Any]
"""How images go in: a view, a side in px, height and width, or any of the fields by name."""

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation that most published networks of three channels were trained with."""

SIZES = (224, 32, 28, 64, 96, 128, 256, 299, 384, 512, 48, 160, 192, 240, 288, 320, 448, 16, 8)
"""Sides, px, that are tried where nothing says which one a network takes; common ones first."""


@runtime_checkable
class Opened(Protocol):
    """A network that was opened before: `regraft.Pretrained`."""

    @property
    def backbone(self) -> Backbone:
        """Its record."""

    def build(self) -> nn.Module:
        """Return the network."""


@dataclass(frozen=True)
class Feed:
    """How images go in, and whether anything said so."""

    view: View
    mean: tuple[float, ...]
    std: tuple[float, ...]
    guessed: bool = False


def opened(
    module: object,
    *,
    paths: Sequence[str] | None = None,
    head: str | None = None,
    view: Fed | None = None,
    name: str = "",
    source: str = "",
    licence: str = "",
) -> tuple[Backbone, nn.Module]:
    """Return the record of a module in memory, and a copy of it that stands still.

    Args:
        module: any network whose forward takes images alone; it is only read.
        paths: its submodules after which features may be read; found by looking where None.
        head: path of its classifier; found where None, and the empty path means none.
        view: how images go in; what the module says of itself, else the usual, where None.
        name: what to call it; the name of its class if empty.
        source: what it was trained on, in words.
        licence: of its weights.

    Raises:
        BackboneError: it is no module, cannot be copied, fed or traced, or has no such stages.
        UsageError: a view that cannot be.
    """
    if isinstance(module, Opened) and not isinstance(module, nn.Module):
        return module.backbone, module.build()
    whole = copied(unwrapped(checked(module)))
    name = name or type(whole).__name__
    if paths is not None:
        build.check_paths(whole, list(paths), head, name)
    traced = trace(whole, name)
    feed = fed(whole, view, name, traced)
    if feed.guessed:
        log.warning(
            "%s does not say how images go in, so they do as into most networks of its kind: %s. "
            "If it was trained otherwise, say so: view=%s",
            name,
            in_words(feed),
            _typed(feed),
        )
    found = stages.find(traced, feed.view, name)
    asked = found.paths if paths is None else list(paths)
    record = build.describe_module(
        whole,
        asked,
        view=feed.view,
        mean=feed.mean,
        std=feed.std,
        head=(found.head if head is None else head) or None,
        name=name,
        strict=paths is not None,
        source=source or UNNAMED,
        licence=licence,
    )
    return record, whole


def as_recorded(record: Backbone, module: object) -> tuple[Backbone, nn.Module]:
    """Return a module as the network of a record that was made of it before.

    Raises:
        BackboneError: it is no module, or has not the stages of the record.
    """
    whole = copied(unwrapped(checked(module)))
    build.readings(trace(whole, record.name), record, range(len(record.stages)))
    return replace(record, weights=Weights("memory", fingerprint(whole), "")), whole


def checked(module: object) -> nn.Module:
    """Return what is a network whose forward takes images alone.

    Raises:
        BackboneError: it is none, and why.
    """
    if isinstance(module, Opened) and not isinstance(module, nn.Module):
        return module.build()
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise BackboneError(
            f"{module.__name__} is a class, not a network.", [f"Pass one: {module.__name__}()."]
        )
    if not isinstance(module, nn.Module):
        raise BackboneError(
            "A network must be a name, a torch.nn.Module or what regraft.open_network gives, got "
            f"{type(module).__name__}."
        )
    name = type(module).__name__
    lazy = [path for path, p in module.named_parameters() if _has_no_shape(p)]
    if lazy:
        raise BackboneError(
            f"{name} has weights without a shape yet: {', '.join(lazy[:5])}.",
            ["Call it once on a batch of images before it is passed."],
        )
    _check_forward(module, name)
    return module


def _has_no_shape(parameter: object) -> bool:
    return isinstance(parameter, nn.parameter.UninitializedParameter)


def _check_forward(module: nn.Module, name: str) -> None:
    try:
        words = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):  # built in C: the trace will tell
        return
    placed = [w for w in words if w.kind in (w.POSITIONAL_ONLY, w.POSITIONAL_OR_KEYWORD)]
    varied = any(w.kind is w.VAR_POSITIONAL for w in words)
    more = [w.name for w in placed[1:] if w.default is w.empty]
    more += [w.name for w in words if w.kind is w.KEYWORD_ONLY and w.default is w.empty]
    if more or not (placed or varied):
        found = f"also needs {', '.join(more)}" if more else "takes nothing"
        raise BackboneError(
            f"The forward of {name} must take images alone; it {found}.",
            [
                "Wrap it in a module that gives it the rest: "
                "class Wrapped(nn.Module): ... def forward(self, x): return self.net(x, ...)."
            ],
        )


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network inside torch.compile's or a parallel wrapper."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return unwrapped(module.module)
    inner = getattr(module, "_orig_mod", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else module


def copied(module: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in float32 and in evaluation mode, with weights of its own.

    Raises:
        BackboneError: its weights cannot be calculated with there.
    """
    made = duplicate(module)
    try:
        made = made.to("cpu").float().eval()
    except Exception as error:  # quantised weights, weights that are nowhere ("meta")
        raise BackboneError(
            f"{type(module).__name__} cannot be copied: {first_line(error)}"
        ) from error
    return made.requires_grad_(False)


# --- how images go in -----------------------------------------------------------------------------


def fed(module: nn.Module, view: Fed | None, name: str, traced: Any) -> Feed:
    """Return how images go into a module: as is said, as it says itself, else as is usual.

    Raises:
        UsageError: a view that cannot be.
        BackboneError: none of the usual sizes can pass, and no other is named.
    """
    told = told_by(module)
    given = _named(view)
    wanted = {"size", "channels"} - given.keys() - told.keys()
    guessed = not ({"mean", "std", "size"} & given.keys()) and not told
    words = {**told, **given}
    if wanted:
        words = {**_passing(traced, words, name), **words}
    return _feed(words, guessed=guessed)


def told_by(module: nn.Module) -> dict[str, Any]:
    """Return what a module says of the images that it takes, as timm's networks do."""
    if timm_models.config(module).get("input_size"):
        view, mean, std = timm_models.view_of(module)
        channels = int(timm_models.config(module)["input_size"][0])
        words: dict[str, Any] = {"size": view.size, "crop": view.crop}
        words |= {"interpolation": view.interpolation}
        first = _first_channels(module)
        if first in (None, channels):
            words |= {"mean": mean, "std": std, "channels": channels}
        return words
    size = getattr(module, "image_size", None) or getattr(
        getattr(module, "config", None), "image_size", None
    )
    return {"size": size} if isinstance(size, int) else {}


def _first_channels(module: nn.Module) -> int | None:
    """Return the channels of the first convolution, which most networks begin with."""
    for inner in module.modules():
        if isinstance(inner, nn.Conv2d):
            return int(inner.in_channels)
    return None


def _passing(traced: Any, words: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the first of the usual sizes, and the channels, with which an image passes.

    Raises:
        BackboneError: none does.
    """
    first = _first_channels(traced.module)
    channels = [words["channels"]] if "channels" in words else [first] if first else [3, 1]
    sizes = [words["size"]] if "size" in words else list(SIZES)
    why = ""
    for depth, size in product(channels, sizes):
        view = _feed({"size": size, "channels": depth}, guessed=True).view
        why = stages.objection(traced, view)
        if not why:
            return {"size": size, "channels": depth}
    tried = f"{sizes[0]} px" if len(sizes) == 1 else "any usual size"
    raise BackboneError(
        f"{name} takes no image of {tried}: {why}",
        ["Say what it takes: view={'size': (height, width), 'channels': 3}."],
    )


_WORDS = (*(f.name for f in fields(View) if f.name != "mirror"), "mean", "std")


def _named(view: Fed | None) -> dict[str, Any]:
    """Return the fields that are given by name.

    Raises:
        UsageError: there are others among them.
    """
    if view is None:
        return {}
    if isinstance(view, View):
        return {f.name: getattr(view, f.name) for f in fields(View)}
    if isinstance(view, Mapping):
        odd = [key for key in view if key not in _WORDS]
        if odd:
            near = [name for key in odd for name in get_close_matches(str(key), _WORDS, n=1)]
            meant = f"Near it: {', '.join(near)}. " if near else ""
            raise UsageError(
                f"A view has no {', '.join(map(repr, odd))}.",
                [f"{meant}It has {', '.join(_WORDS)}."],
            )
        return dict(view)
    return {"size": view}


def _feed(words: Mapping[str, Any], *, guessed: bool) -> Feed:
    """Return one record of the fields.

    Raises:
        UsageError: a value that cannot be.
    """
    rest = dict(words)
    mean, std = rest.pop("mean", None), rest.pop("std", None)
    size = rest.pop("size")
    try:
        high, wide = (size, 0) if isinstance(size, int) else size
        view = View(high, **{**({"width": wide} if wide not in (0, high) else {}), **rest})
        usual = IMAGENET if view.channels == 3 else ((0.5,) * view.channels,) * 2
        given = [
            _per_channel(what, usual[n] if values is None else values, view.channels)
            for n, (what, values) in enumerate((("mean", mean), ("std", std)))
        ]
        if min(given[1]) <= 0:
            raise ValueError(f"std must be above 0, got {std!r}")
    except (TypeError, ValueError) as error:
        raise UsageError("Images cannot go in like this.", [f"view: {error}."]) from error
    return Feed(view, given[0], given[1], guessed)


def _per_channel(what: str, values: Any, channels: int) -> tuple[float, ...]:
    """Return a number for each channel; one number stands for all."""
    listed = [values] * channels if isinstance(values, int | float) else list(values)
    if len(listed) != channels:
        raise ValueError(f"{what} must be one number or {channels}, got {len(listed)}")
    return tuple(float(value) for value in listed)


def in_words(feed: Feed) -> str:
    """Return how images go in, in words."""
    mean, std = (", ".join(f"{x:g}" for x in values) for values in (feed.mean, feed.std))
    return f"{feed.view.sides}, {feed.view.colours}, pixels of 0 to 1 less {mean}, divided by {std}"


def _typed(feed: Feed) -> str:
    view = feed.view
    size = view.size if not view.width else view.shape[:2]
    return str({"size": size, "channels": view.channels, "mean": feed.mean, "std": feed.std})
