"""A fitted network that can be looked into: Grad-CAM on its last map. Imports torch and captum."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from regraft.backbones import Stage
from regraft.networks.trunk import Trunk, ending, function
from regraft.results.result import Result

WINDOW = "regraft_window"
"""Where in a trunk the module is that shows a value as a map."""

TRIED = 3
"""Stages that are tried, the deepest first, where no later value is known to be a map."""


class Window(nn.Module):
    """Lets a value through unchanged, and shows it as a map ``[B, C, h, w]`` at ``map``."""

    def __init__(self, layout: str, skip: int) -> None:
        super().__init__()
        self.map = nn.Identity()
        self.layout, self.skip = layout, skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the same value; copies of it, since the next layer may write into its input."""
        if self.layout == "NCHW":
            plain: Tensor = self.map(x.clone())
            return plain.clone()
        if self.layout == "NHWC":
            held: Tensor = self.map(x.permute(0, 3, 1, 2).clone())
            return held.permute(0, 2, 3, 1).clone()
        tokens = x[:, self.skip :]
        side = round(tokens.shape[1] ** 0.5)
        square = tokens.transpose(1, 2).unflatten(2, (side, side)).clone()
        back = self.map(square).flatten(2).transpose(1, 2)
        return torch.cat([x[:, : self.skip], back], 1)


class Seen(nn.Module):
    """Trunk and head, with a window at ``place``: normalised pixels -> logits ``[B, classes]``."""

    def __init__(self, result: Result, trunk: Trunk, graph: fx.Graph, window: Window) -> None:
        super().__init__()
        self.trunk, self.window, self.place = trunk, window, ""
        setattr(trunk, WINDOW, window)
        self.way: Callable[..., list[Tensor]] = function(trunk, graph)
        self.head = nn.Linear(result.plan.inputs, len(result.classes))
        names = ("weight", "bias")
        arrays = [np.array(result.tensors[f"head.{name}"], np.float32) for name in names]
        self.head.load_state_dict(
            {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[B, classes]`` of normalised pixels ``[B, 3, S, S]``."""
        logits: Tensor = self.head(torch.cat(self.way(self.trunk, x), 1))
        return logits


def opened(result: Result, x: Tensor) -> Seen | None:
    """Return the network with a window at its last value whose places speak for a class, or None.

    ``x``: an image ``[1, 3, S, S]`` that tells whether they do. A class token reads nothing of the
    other tokens after the last layer, for example.
    """
    trunk = result.trunk()
    assert isinstance(trunk, Trunk), "what a result builds is a trunk"
    trunk.eval()
    graph = trunk.graphs[False]
    shapes = _shapes(trunk, graph, x)
    for name, stage in _candidates(result, graph, shapes):
        seen = _with_window(result, trunk, graph, name, stage)
        heats = [spoke(seen, x, target, signed=True) for target in range(2)]
        if any(float(heat.std()) > 0 for heat in heats):
            rows, columns = heats[0].shape
            seen.place = f"the last map that its new layer reads from, of {rows} × {columns} places"
            return seen
    return None


def spoke(seen: Seen, x: Tensor, target: int, *, signed: bool = False) -> NDArray[np.float32]:
    """Return how much each place of the map spoke for a class, ``[h, w]``, 0 where it did not."""
    cam = LayerGradCam(seen, seen.window.map)
    found: Any = cam.attribute(
        x.clone().requires_grad_(), target=target, relu_attributions=not signed
    )
    heat: NDArray[np.float32] = found.detach()[0, 0].numpy()
    return heat


def _shapes(trunk: Trunk, graph: fx.Graph, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Shapes of all values that are one tensor, by the names of their nodes."""
    module = fx.GraphModule(trunk, copy.deepcopy(graph))
    with torch.no_grad():
        ShapeProp(module).propagate(x)
    metas = {node.name: node.meta.get("tensor_meta") for node in module.graph.nodes}
    return {name: tuple(m.shape) for name, m in metas.items() if hasattr(m, "shape")}


def _candidates(
    result: Result, graph: fx.Graph, shapes: dict[str, tuple[int, ...]]
) -> Iterator[tuple[str, Stage]]:
    """Names of nodes that may be a map, with the stage that says how it lies; the best first."""
    kept = result.plan.backbone.stages[: result.plan.cut + 1]
    maps = [stage for stage in reversed(kept) if stage.layout != "NC"]
    if maps and maps[0].layout == "NCHW":  # then whatever has two sides is a map, up to the pooling
        flat = [n for n, s in shapes.items() if len(s) == 4 and s[2] * s[3] > 1 and n != "x"]
        yield from ((name, maps[0]) for name in flat[:-2:-1])
    for stage in maps[:TRIED]:
        tap = ending(graph, stage.module) if stage.module else None
        if tap is not None and _is_map(shapes.get(tap.node.name, ()), stage):
            yield tap.node.name, stage


def _is_map(shape: tuple[int, ...], stage: Stage) -> bool:
    """Return whether a value has several places, in a square where they are tokens."""
    if stage.layout != "NLC":
        return len(shape) == 4
    return len(shape) == 3 and round((shape[1] - stage.skip) ** 0.5) ** 2 == shape[1] - stage.skip


def _with_window(result: Result, trunk: Trunk, graph: fx.Graph, name: str, stage: Stage) -> Seen:
    """Return the network with a window after the node of that name."""
    window = Window(stage.layout, stage.skip)
    setattr(trunk, WINDOW, window)
    copied = copy.deepcopy(graph)
    [node] = [node for node in copied.nodes if node.name == name]
    with copied.inserting_after(node):
        shown = copied.call_module(WINDOW, (node,))
    node.replace_all_uses_with(shown, delete_user_cb=lambda user: user is not shown)
    return Seen(result, trunk, copied, window)
