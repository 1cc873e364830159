"""Trace a network with torch.fx, see what each stage needs, and build a trunk of just that.

The given network is never touched: it is traced through a *skeleton*, a copy of its modules that
shares its weights.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from regraft.backbones import Stage
from regraft.data.dataset import listed
from regraft.errors import BackboneError, first_line
from regraft.networks.copies import duplicate

GIVES, ENDS = "regraft.gives", "regraft.ends"
"""Keys of the meta data of a trunk's nodes: paths of the modules that give this value, and of those
that are done when this node is. Unlike nodes they can be copied with the graph."""

_ROOT = "net"  # where the traced network hangs, so that only its first argument is traced


@dataclass(frozen=True)
class Call:
    """One module's (last) call in a graph.

    ``inp`` and ``out`` are the nodes of its first input and its output, or None where that is no
    single value; ``before`` and ``end`` the nodes after which it starts and ends; ``parts`` the
    nodes of an output of several values, None in the place of what is not computed.
    """

    inp: fx.Node | None
    out: fx.Node | None
    before: fx.Node
    end: fx.Node
    parts: tuple[fx.Node | None, ...] = ()


@dataclass(frozen=True)
class Tap:
    """A value to read: its node, and the node after which it is to be read.

    The two differ where a module changes its output in place, or the next one would.
    """

    node: fx.Node
    end: fx.Node


@dataclass(frozen=True)
class Traced:
    """A traced network: the skeleton under ``root``, the graph, and its calls by module path."""

    root: nn.Module
    graph: fx.Graph
    calls: Mapping[str, Call]

    @property
    def module(self) -> nn.Module:
        """The skeleton."""
        return self.root.get_submodule(_ROOT)

    @property
    def outputs(self) -> dict[str, Tap]:
        """Where a value is given: by the path of a module, or of several values ``path[i]``."""
        found = {}
        for path, call in self.calls.items():
            if call.out is not None:
                found[path] = Tap(call.out, call.end)
            for i, part in enumerate(call.parts):
                if part is not None:
                    found[f"{path}[{i}]"] = Tap(part, call.end)
        return found


class _Wrapper(nn.Module):
    """Call a network with one argument, so that all others keep their defaults."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.add_module(_ROOT, module)

    def forward(self, x: Tensor) -> Any:
        return self.get_submodule(_ROOT)(x)


class _Tracer(fx.Tracer):
    """torch.fx's tracer that notes every module's call, and knows what timm must not trace."""

    def __init__(self, module: nn.Module, opaque: Collection[str] = ()) -> None:
        leaves, functions = _timm_leaves(module)
        super().__init__(autowrap_functions=functions)
        self.leaves = leaves
        self.opaque = opaque
        self.calls: dict[str, Call] = {}
        self.failed = ""
        """Path of the innermost module that could not be traced."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = type(m) in self.leaves or _inner(module_qualified_name) in self.opaque
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        before = next(iter(reversed(self.graph.nodes)))
        try:
            out = super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or _inner(self.path_of_module(m))
            raise
        first = next(iter([*args, *kwargs.values()]), None)
        end = next(iter(reversed(self.graph.nodes)))
        parts = tuple(map(_node, out)) if isinstance(out, tuple | list) else ()
        call = Call(_node(first), _node(out), before, end, parts)
        self.calls[_inner(self.path_of_module(m))] = call
        return out


def skeleton(module: nn.Module) -> nn.Module:
    """Copy the modules of a network; weights and buffers are shared, flags are not."""
    return duplicate(module, {id(t): t for t in [*module.parameters(), *module.buffers()]})


def trace(
    module: nn.Module, name: str, train: Callable[[str], bool] = lambda path: False
) -> Traced:
    """Trace a network as it runs when the modules with ``train(path)`` are in training mode.

    A module inside it that cannot be traced is taken as one piece.

    Raises:
        BackboneError: torch.fx cannot trace what holds the pieces together.
    """
    opaque: list[str] = []
    while True:
        copied = skeleton(module)
        for path, inner in copied.named_modules():
            inner.training = train(path)
        root, tracer = _Wrapper(copied), _Tracer(module, opaque)
        try:
            return Traced(root, tracer.trace(root), tracer.calls)
        except Exception as error:  # whatever the network's own code raises when it meets a proxy
            if tracer.failed and tracer.failed not in opaque:
                opaque.append(tracer.failed)
                continue
            raise BackboneError(
                f"{name} cannot be traced, so it cannot be cut: {first_line(error)}",
                [
                    "Its own forward must not branch on the values or the shape of its input (a "
                    "module inside it may).",
                    "Move what branches into a module of its own, mark the function that does with "
                    "torch.fx.wrap, or choose another network (`regraft models`).",
                ],
            ) from error


def needed(traced: Traced, tap: Tap) -> set[fx.Node]:
    """Return the nodes that a tap's value depends on, with itself and what writes into it."""
    return needed_in(traced.graph, tap)


def needed_in(graph: fx.Graph, tap: Tap) -> set[fx.Node]:
    """Return the same in a graph of any kind."""
    wanted, reached = {tap.node}, False
    for node in reversed(graph.nodes):
        reached = reached or node is tap.end
        if reached and (node in wanted or (_writes(node) and node.args[0] in wanted)):
            wanted.add(node)
            wanted.update(node.all_input_nodes)
    return wanted


def state_names(traced: Traced, nodes: Iterable[fx.Node]) -> set[str]:
    """Names of the parameters and buffers that nodes use."""
    names: set[str] = set()
    for node in nodes:
        if node.op == "get_attr":
            names.add(_inner(str(node.target)))
        elif node.op == "call_module":
            path = _inner(str(node.target))
            names.update(f"{path}.{key}" for key in _state_keys(traced.module.get_submodule(path)))
    return names


def called(nodes: Iterable[fx.Node]) -> frozenset[str]:
    """Paths of the modules that nodes call."""
    return frozenset(_inner(str(node.target)) for node in nodes if node.op == "call_module")


def head_input(traced: Traced, head: str, name: str) -> Tap:
    """Where the input of the head is ready; dropout before it is passed over.

    Raises:
        BackboneError: the network does not call its head on a value.
    """
    call = traced.calls.get(head)
    if call is None or call.inp is None:
        called = listed([*filter(None, traced.calls)], 20)
        raise BackboneError(
            f"{name} never calls its head {head!r}.",
            [f"The head must be one of the modules that it calls: {called}."],
        )
    node = call.inp
    while node.op == "call_module" and _passes(traced.root.get_submodule(str(node.target))):
        node = node.all_input_nodes[0]
    return Tap(node, call.before)


class Trunk(nn.Module):
    """A network that ends at its deepest tap; what comes after it is not there.

    ``forward``: normalised pixels ``[B, 3, S, S]`` -> the pooled value of every tap ``[B, C]``, in
    the order in which they were asked for. Parameters and buffers keep the names they had.
    """

    def __init__(self, traced: Traced, readings: Sequence[tuple[Tap, Stage]]) -> None:
        super().__init__()
        self._ways: dict[bool, Callable[..., list[Tensor]]] = {}
        self.graphs: dict[bool, fx.Graph] = {}
        """What each way does, in training mode and outside it; its targets are paths in here."""
        self.learn(traced, readings, training=False)
        self.eval()

    def learn(
        self, traced: Traced, readings: Sequence[tuple[Tap, Stage]], *, training: bool
    ) -> None:
        """Take the way through the network that is gone in training mode, or outside it."""
        graph = _cut(traced, readings)
        for node in graph.nodes:
            if node.op in ("call_module", "get_attr"):
                _hang(self, traced, str(node.target))
                node.target = _inner(str(node.target))
        self.graphs[training] = graph
        self._ways[training] = function(self, graph)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pooled taps of normalised pixels ``[B, 3, S, S]``."""
        way = self._ways.get(self.training, self._ways[False])
        return way(self, x)


def function(trunk: Trunk, graph: fx.Graph) -> Callable[..., Any]:
    """Return a graph as a function of the trunk and of what it takes."""
    return type(fx.GraphModule(trunk, copy.deepcopy(graph))).forward


def pool(value: Any, stage: Stage) -> Any:
    """Average a stage's value (or its proxy) over places: ``[B, ...]`` -> ``[B, C]``."""
    match stage.layout:
        case "NCHW":
            return value.mean((2, 3))
        case "NHWC":
            return value.mean((1, 2))
        case "NLC":
            return value[:, stage.skip :].mean(1) if stage.skip else value.mean(1)
    return value


def _cut(traced: Traced, readings: Sequence[tuple[Tap, Stage]]) -> fx.Graph:
    """Return a new graph of what the taps need.

    Each is pooled before anything may write into it.
    """
    kept = set().union(*(needed(traced, tap) for tap, _ in readings))
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    pooled: dict[int, fx.Node] = {}
    for node in traced.graph.nodes:
        if node in kept:
            copies[node] = graph.node_copy(node, copies.__getitem__)
        for place, (tap, stage) in enumerate(readings):
            if tap.end is node:
                pooled[place] = pool(fx.Proxy(copies[tap.node]), stage).node
    graph.output([pooled[place] for place in range(len(readings))])
    _note(traced, copies)
    return graph


def _note(traced: Traced, copies: Mapping[fx.Node, fx.Node]) -> None:
    """Write at the nodes of a new graph which modules' calls are over there."""
    last: fx.Node | None = None
    over: dict[fx.Node, fx.Node | None] = {}
    for node in traced.graph.nodes:
        last = copies.get(node, last)
        over[node] = last
    for path, tap in traced.outputs.items():
        out, end = copies.get(tap.node), over[tap.end]
        if out is not None and end is not None:
            out.meta[GIVES] = (*out.meta.get(GIVES, ()), path)
            end.meta[ENDS] = (*end.meta.get(ENDS, ()), path)


def ending(graph: fx.Graph, path: str) -> Tap | None:
    """Where a trunk's graph has the value of a module that was called; None where it has not."""
    out = [node for node in graph.nodes if path in node.meta.get(GIVES, ())]
    end = [node for node in graph.nodes if path in node.meta.get(ENDS, ())]
    return Tap(out[0], end[0]) if out and end else None


def _hang(trunk: nn.Module, traced: Traced, target: str) -> None:
    """Hang a module, parameter or buffer of the skeleton into the trunk, under its own name."""
    *way, last = _inner(target).split(".")
    place: Any = trunk
    for step in way:
        if not hasattr(place, step):
            place.add_module(step, nn.Module())
        place = getattr(place, step)
    if hasattr(place, last):
        return
    owner = traced.root.get_submodule(target.rpartition(".")[0])
    value = getattr(owner, last)
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        lasting = last in owner._buffers and last not in owner._non_persistent_buffers_set
        place.register_buffer(last, value, persistent=lasting)
    else:
        setattr(place, last, value)


def _writes(node: fx.Node) -> bool:
    """Return whether a node changes its first input in place."""
    return node.op == "call_method" and str(node.target).endswith("_")


def _passes(module: nn.Module) -> bool:
    """Return whether a module changes nothing outside training."""
    return isinstance(module, nn.Identity | nn.Dropout)


def _state_keys(module: nn.Module) -> set[str]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name for name, _ in named}


def _timm_leaves(module: nn.Module) -> tuple[set[type], tuple[Callable[..., Any], ...]]:
    """Modules and functions of timm's that must not be traced; none where it is not used."""
    if not any(type(inner).__module__.startswith("timm.") for inner in module.modules()):
        return set(), ()
    from timm.layers._fx import get_notrace_functions, get_notrace_modules

    return set(get_notrace_modules()), tuple(get_notrace_functions())


def _node(value: Any) -> fx.Node | None:
    return value.node if isinstance(value, fx.Proxy) else None


def _inner(target: str) -> str:
    """Return the path inside the network, of a target inside the wrapper."""
    return target.removeprefix(_ROOT).removeprefix(".")
