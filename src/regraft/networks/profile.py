"""Look at a network once, and write down its stages: where, what shape, at what cost."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from regraft.backbones import Stage, View
from regraft.backbones.record import Layout
from regraft.errors import BackboneError, first_line
from regraft.networks.grouping import grouped
from regraft.networks.trunk import Tap, Traced, head_input, needed, pool, state_names

LAST = "last"
"""Name of the deepest stage: what the head reads."""


@dataclass(frozen=True)
class Profile:
    """What was found of a network: its stages, and what is needed up to each of them."""

    stages: tuple[Stage, ...]
    parameters: int
    parameters_to: tuple[int, ...]
    multiply_adds_to: tuple[int, ...]


def locate(traced: Traced, stages: Sequence[Stage], head: str, name: str) -> list[Tap]:
    """Where each stage of a record is to be read in a traced network.

    Raises:
        BackboneError: the network never calls one of the modules.
    """
    taps, missing, outputs = [], [], traced.outputs
    for stage in stages:
        if not stage.module:
            taps.append(head_input(traced, head, name))
        elif stage.module in outputs:
            taps.append(outputs[stage.module])
        else:
            missing.append(f"{stage.name}: {name} gets no single tensor from {stage.module!r}.")
    if missing:
        raise BackboneError(f"{name} lacks {len(missing)} of its stages.", missing)
    return taps


def profile(
    traced: Traced, paths: Sequence[str], head: str, view: View, name: str, *, strict: bool
) -> Profile:
    """Run one image of noise through a traced network and see what its stages give.

    Args:
        traced: the network, traced in evaluation mode.
        paths: module paths of the stages, which are named after them.
        head: path of the classifier, whose input becomes the stage ``last``; or empty.
        view: the image that it takes.
        name: of the network, for errors.
        strict: the paths are a person's wish: each must be of use and is a stage. Else the useless
            are left out, and so are those that read nearly the same as a neighbour, and long rows
            are grouped (`regraft.networks.grouping`). Where the deepest reads the same as
            ``last``, the latter gives way.

    Raises:
        BackboneError: a stage gives no tensor that can be pooled, or the image cannot pass.
    """
    outputs = traced.outputs.keys()
    drafts = [draft for path in paths for draft in _drafts(path, outputs, strict)]
    drafts += [Stage(LAST, "", 0, "NC")] if head else []
    taps = locate(traced, drafts, head, name)
    looks = _looks(traced, drafts, taps, run(traced, taps, view, name))
    problems = [look.problem for look in looks if look.problem]
    if problems and strict:
        raise BackboneError(f"{len(problems)} stages of {name} cannot be pooled.", problems)
    found = _widest([look for look in looks if not look.problem])
    if not strict:
        found = _grouped(_apart(found))
    if head and len(found) > 1 and _same(found[-2], found[-1]):
        del found[-1]
    return Profile(
        stages=tuple(look.stage for look in found),
        parameters=sum(p.numel() for p in traced.module.parameters()),
        parameters_to=tuple(look.parameters for look in found),
        multiply_adds_to=tuple(look.multiply_adds for look in found),
    )


@dataclass(frozen=True)
class _Look:
    """One stage as it was found, with the pooled value of the image ``[1, C]``, or a problem."""

    stage: Stage
    value: Tensor
    parameters: int
    multiply_adds: int
    problem: str = ""


class Meter(fx.Interpreter):
    """Run a graph node by node; count multiply-adds and keep the values at the taps."""

    def __init__(self, traced: Traced, taps: Sequence[Tap]) -> None:
        super().__init__(traced.root, garbage_collect_values=False, graph=traced.graph)
        self.ends = {tap.end: [t.node for t in taps if t.end is tap.end] for tap in taps}
        self.multiply_adds: dict[fx.Node, int] = {}
        self.values: dict[fx.Node, Any] = {}

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Return a value without its gradient: the counter stumbles over views of a parameter."""
        value = super().get_attr(target, args, kwargs)
        return value.detach() if isinstance(value, Tensor) else value

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, count its work and keep what is read after it."""
        with FlopCounterMode(display=False) as counter:
            out = super().run_node(n)
        self.multiply_adds[n] = counter.get_total_flops() // 2  # it counts both as one each
        for node in self.ends.get(n, ()):
            value = out if node is n else self.env[node]
            self.values[node] = value.clone() if isinstance(value, Tensor) else value
        return out


def run(traced: Traced, taps: Sequence[Tap], view: View, name: str) -> Meter:
    """Return the meter after one image of seeded noise, on the network's own device and type."""
    high, wide, channels = view.shape
    like = next(iter(traced.module.parameters()), torch.empty(0))
    noise = torch.randn(1, channels, high, wide, generator=torch.Generator().manual_seed(0))
    meter = Meter(traced, taps)
    try:
        # Attention as plain products: the fused kernel of the processor is not counted.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            meter.run(noise.to(like))
    except Exception as error:  # whatever the network's own code raises
        why = first_line(error, "no reason given")
        raise BackboneError(
            f"{name} cannot take an image of {view.sides}: {why}",
            [
                f"It must take normalised pixels [B, {channels}, {high}, {wide}]; "
                "check the size and the channels of its view."
            ],
        ) from error
    return meter


def _looks(
    traced: Traced, drafts: Sequence[Stage], taps: Sequence[Tap], meter: Meter
) -> list[_Look]:
    """Return the stages as found, those nearest the image first."""
    place = {node: index for index, node in enumerate(traced.graph.nodes)}
    order = sorted(zip(taps, drafts, strict=True), key=lambda pair: place[pair[0].end])
    return [_look(traced, draft, tap, meter) for tap, draft in order]


def _look(traced: Traced, draft: Stage, tap: Tap, meter: Meter) -> _Look:
    """Return a stage with its channels and layout, read off its value for a square image."""
    value = meter.values[tap.node]
    shape = tuple(value.shape) if isinstance(value, Tensor) else ()
    layout = layout_of(shape)
    if layout is None:
        kind = list(shape) if shape else type(value).__name__
        rule = "must give [B, C], [B, L, C] or a map [B, C, H, W]"
        return _Look(draft, torch.empty(0), 0, 0, f"{draft.name}: {rule}, got {kind}.")
    prefix = getattr(traced.module, "num_prefix_tokens", None)
    skip = _skipped(shape[1], prefix) if layout == "NLC" else 0
    stage = replace(
        draft,
        channels=shape[1] if layout == "NCHW" else shape[-1],
        layout=layout,
        skip=skip,
        side=_side(shape, layout, skip),
    )
    nodes = needed(traced, tap)
    cost = sum(meter.multiply_adds[node] for node in nodes)
    return _Look(stage, pool(value, stage), _parameters(traced, nodes), cost)


def layout_of(shape: Sequence[int]) -> Layout | None:
    """Return what the axes of a stage's value mean for a square image; None if nobody knows.

    A map is taken for channels first, unless the two axes in the middle are equal and the last two
    are not.
    """
    match tuple(shape):
        case (_, _):
            return "NC"
        case (_, _, _):
            return "NLC"
        case (_, first, second, third):
            return "NHWC" if first == second != third else "NCHW"
    return None


def _side(shape: Sequence[int], layout: Layout, skip: int) -> int:
    """Cells along one side of a square map; 1 for a vector, 0 for what is no square."""
    if layout == "NC":
        return 1
    if layout == "NLC":
        root = math.isqrt(shape[1] - skip)
        return root if root**2 == shape[1] - skip else 0
    first, second = (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
    return first if first == second else 0


def _skipped(length: int, prefix: int | None) -> int:
    """``prefix``, when the row of tokens is that many and a square of patches.

    Where nobody says how many, one (a class token) is taken for it if that leaves a square.
    """
    if prefix is None:
        prefix = int(math.isqrt(length) ** 2 != length)
    patches = length - prefix
    return prefix if patches > 0 and math.isqrt(patches) ** 2 == patches else 0


def _parameters(traced: Traced, nodes: set[fx.Node]) -> int:
    names = state_names(traced, nodes)
    return sum(p.numel() for name, p in traced.module.named_parameters() if name in names)


def _same(stage: _Look, last: _Look) -> bool:
    """Return whether two stages read the same.

    Nothing learned lies between, and the values agree.
    """
    return stage.parameters == last.parameters and (
        stage.value.shape == last.value.shape and torch.allclose(stage.value, last.value, atol=1e-5)
    )


def _drafts(path: str, outputs: Collection[str], strict: bool) -> list[Stage]:
    """Return a stage for each value that a module gives; none where it gives none."""
    if path in outputs or (strict and f"{path}[0]" not in outputs):
        return [Stage(path, path, 0, "NC")]
    places = [place for place in outputs if place.startswith(f"{path}[")]
    return [Stage(path, place, 0, "NC") for place in places]


def _widest(looks: Sequence[_Look]) -> list[_Look]:
    """Return the looks, of several at the values of one module the one with the most channels."""
    best: dict[str, _Look] = {}
    for look in looks:
        known = best.setdefault(look.stage.name, look)
        if look.stage.channels > known.stage.channels:
            best[look.stage.name] = look
    return [look for look in looks if look is best[look.stage.name]]


def _apart(looks: Sequence[_Look]) -> list[_Look]:
    """Return the looks without those after which nothing is learned before the next.

    Of such a pair of equal width the first stays, unless the other is the input of the head and
    reads otherwise.
    """
    found: list[_Look] = []
    for look in looks:
        pair = bool(found) and _no_wiser(found[-1], look)
        if pair and (look.stage.module or _same(found[-1], look)):
            continue
        if pair:
            found.pop()
        found.append(look)
    return found


def _no_wiser(one: _Look, other: _Look) -> bool:
    return (one.parameters, one.stage.channels) == (other.parameters, other.stage.channels)


def _grouped(looks: Sequence[_Look]) -> list[_Look]:
    """Return the looks at the ends of the groups, with their names."""
    inner = [look for look in looks if look.stage.module]
    groups = grouped([look.stage for look in inner])
    found = [replace(inner[g.end], stage=replace(inner[g.end].stage, name=g.name)) for g in groups]
    return [*found, *looks[len(inner) :]]
