"""A partly frozen network split at the border: what is frozen, and what is trained on top of it.

What the frozen front gives for an image never changes, so a step of training need only run what
lies behind it (`regraft.finetune.activation_cache`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import getitem
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from regraft.backbones import Backbone
from regraft.errors import BackboneError
from regraft.networks.surgery import TransferNetwork
from regraft.networks.trunk import Tap, Trunk, ending, function, needed_in

At = tuple[Tensor, list[Tensor]]
"""The value at the border ``[B, ...]``, not pooled, and the pooled taps ``[B, C]`` before it."""


class FrozenPart(nn.Module):
    """The frozen part: normalised pixels ``[B, 3, S, S]`` -> the value at the border and the taps.

    It runs the network's own modules, in evaluation mode and without gradients. Its
    `train` does nothing: the network says what its modules do.
    """

    def __init__(self, trunk: Trunk, way: Callable[..., At]) -> None:
        super().__init__()
        self.trunk = trunk
        self._way = way
        self.training = False

    def forward(self, x: Tensor) -> At:
        """Value at the border, and the pooled taps before it."""
        with torch.no_grad():
            value, taps = self._way(self.trunk, x)
            return value, list(taps)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return self


class TrainedPart(nn.Module):
    """The trained part: the value at the border and the taps before it -> logits ``[B, classes]``.

    It is another way through the same network: its parameters and their names under ``network``,
    its training mode and what is held out of it are the network's.
    """

    def __init__(
        self, network: TransferNetwork, ways: Mapping[bool, Callable[..., list[Tensor]]]
    ) -> None:
        super().__init__()
        self.network = network
        self._ways = dict(ways)
        self.training = network.training

    def forward(self, value: Tensor, taps: Sequence[Tensor]) -> Tensor:
        """Logits ``[B, classes]``; what is given stays as it is."""
        trunk = self.network.trunk
        way = self._ways.get(trunk.training, self._ways[False])
        # A clone, since the first layer may be one that writes into what it is given.
        logits: Tensor = self.network.head(torch.cat(way(trunk, value.clone(), taps), dim=1))
        return logits


def split(
    network: TransferNetwork, first: str | int, backbone: Backbone
) -> tuple[FrozenPart, TrainedPart] | None:
    """Split a partly frozen network before the first stage that is trained.

    Args:
        network: as surgery made it; both parts run its own modules, so it is trained through them.
        first: that stage, by name or depth; everything before it must be frozen.
        backbone: the network's record.

    Returns:
        None where it cannot be split there: nothing comes before or after, something before is
        not frozen, or something after reads more than the one value at the border.

    Raises:
        BackboneError: there is no such stage.
    """
    depth = _depth(first, backbone)
    if depth == 0:
        return None
    graphs = network.trunk.graphs
    inner = [place for place, tap in enumerate(network.taps) if tap < depth]
    parts = {
        mode: _parts(graphs[mode], backbone.stages[depth - 1].module, inner) for mode in graphs
    }
    fronts = [part.front for part in parts.values() if part is not None]
    if len(fronts) < len(parts) or any(_spelled(one) != _spelled(fronts[0]) for one in fronts):
        return None
    if not _constant(network, fronts[0]):
        return None
    backs = {m: function(network.trunk, part.back) for m, part in parts.items() if part is not None}
    return FrozenPart(network.trunk, function(network.trunk, fronts[0])), TrainedPart(
        network, backs
    )


def _depth(first: str | int, backbone: Backbone) -> int:
    names = [stage.name for stage in backbone.stages]
    if first in names:
        return names.index(str(first))
    if isinstance(first, int) and 0 <= first < len(names):
        return first
    raise BackboneError(
        f"{backbone.name} has no stage {first!r} to train from.",
        [f"Its stages: {', '.join(names)}."],
    )


# --- the graphs ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """``front``: pixels -> (value, [taps before it]); ``back``: those two -> [all taps]."""

    front: fx.Graph
    back: fx.Graph


def _parts(graph: fx.Graph, module: str, inner: Sequence[int]) -> _Parts | None:
    """Split a trunk's graph after a module; ``inner`` are the places of the taps before that."""
    *nodes, output = graph.nodes
    read: list[fx.Node] = list(output.args[0])
    border = ending(graph, module)
    if border is None:
        return None
    ends = [border, *(Tap(read[place], read[place]) for place in inner)]
    before = set().union(*(needed_in(graph, end) for end in ends))
    moving = _moving(nodes)
    early = [node for node in nodes if node in before and node in moving]
    late = [node for node in nodes if node not in before and node in moving]
    crossing = {node for one in late for node in one.all_input_nodes} & {*early}
    order = {node: place for place, node in enumerate(nodes)}
    if crossing != {border.node} or order[late[0]] < order[early[-1]]:
        return None
    outside = [read[place] for place in range(len(read)) if place not in inner]
    if not moving.issuperset(read) or before.intersection(outside):
        return None
    front, copies = _copied(nodes, early, {})
    front.output((copies[border.node], [copies[read[place]] for place in inner]))
    start = fx.Graph()
    value, taps = start.placeholder("value"), start.placeholder("taps")
    given = {
        read[place]: start.call_function(getitem, (taps, number))
        for number, place in enumerate(inner)
    }
    given[border.node] = value
    back, copies = _copied(nodes, late, given, start)
    back.output([copies[node] for node in read])
    return _Parts(front, back)


def _moving(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Return the nodes that depend on the pixels; the others are the same for all images."""
    moving: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" or not moving.isdisjoint(node.all_input_nodes):
            moving.add(node)
    return moving


def _copied(
    nodes: Sequence[fx.Node],
    some: Iterable[fx.Node],
    given: Mapping[fx.Node, fx.Node],
    graph: fx.Graph | None = None,
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """Copy some nodes, in order, with what they need that is not given; and where they went."""
    wanted = set(some)
    for node in reversed(nodes):
        if node in wanted:
            wanted.update(inp for inp in node.all_input_nodes if inp not in given)
    graph = graph or fx.Graph()
    copies = dict(given)
    for node in nodes:
        if node in wanted:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    return graph, copies


def _spelled(graph: fx.Graph) -> list[tuple[Any, ...]]:
    """Return what a graph does, without the names of its nodes."""
    places = {node: f"%{place}" for place, node in enumerate(graph.nodes)}

    def spelled(argument: Any) -> Any:
        return map_arg(argument, lambda node: places[node])

    return [(n.op, n.target, spelled(n.args), spelled(n.kwargs)) for n in graph.nodes]


def _constant(network: TransferNetwork, graph: fx.Graph) -> bool:
    """Return whether nothing in a graph is trained, and nothing does otherwise in training mode."""
    for node in graph.nodes:
        target = str(node.target)
        if node.op == "get_attr":
            owner: Any = network.trunk.get_submodule(target.rpartition(".")[0])
            if getattr(owner, target.rpartition(".")[2]).requires_grad:
                return False
        elif node.op == "call_module":
            module = network.trunk.get_submodule(target)
            if any(parameter.requires_grad for parameter in module.parameters()):
                return False
            if target not in network.eval_modules and not _same_always(module):
                return False
    return True


def _same_always(module: nn.Module) -> bool:
    """Return whether a module is a plain function that has no training mode, such as a ReLU."""
    keeps = any(True for _ in (*module.parameters(), *module.buffers()))
    random = isinstance(module, nn.modules.dropout._DropoutNd | nn.RReLU | nn.FractionalMaxPool2d)
    return not keeps and not random and type(module).__module__.startswith("torch.nn.")
