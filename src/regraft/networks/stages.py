"""Find the stages of a network that nobody described, and its head.

A stage is a place that everything passes: the output of a module from which alone the rest of the
network is calculated. The outermost modules count (``layer1``, not what is in it), until there are
enough, or none holds most of the work; what learns nothing (an activation, a pooling) belongs to
the stage before it, and so does a normalisation. Where there are very many, those that end a
resolution count (and what is a long row still, `regraft.networks.grouping` groups).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from regraft.backbones import View
from regraft.errors import BackboneError
from regraft.networks.profile import layout_of, run
from regraft.networks.trunk import Tap, Traced, called, needed, state_names

FEW, MANY = 4, 12
"""Stages that a network should have at least, if it can, and that are not too many."""

TOKENS, EMBEDDING = 3, 0.05
"""Dimensions of rows of tokens; share of the work that making them of patches stays below."""

ANSWERS = ("logits", "out", "output", "pred", "prediction", "predictions", "scores")
"""Of what a network gives by name, what counts as its answer; else the first."""


@dataclass(frozen=True)
class FoundStages:
    """Paths of the stages' modules, nearest the image first, and of the head; '' without one."""

    paths: tuple[str, ...]
    head: str


@dataclass(frozen=True)
class _Place:
    """A module whose output everything passes: what it gives, and what is learned up to there."""

    path: str
    tap: Tap
    shape: tuple[int, ...]
    learned: frozenset[str]
    work: int

    @property
    def is_map(self) -> bool:
        """Whether it has several places."""
        return len(self.shape) > 2 and self.shape[2:] != (1, 1)


def objection(traced: Traced, view: View) -> str:
    """Why an image of this kind cannot pass; '' if it can."""
    try:
        run(traced, [], view, "it")
    except BackboneError as error:
        return error.headline.partition(": ")[2]
    return ""


def find(traced: Traced, view: View, name: str) -> FoundStages:
    """Return the stages and the head of a traced network.

    Raises:
        BackboneError: an image cannot pass, or no module's output is passed by everything.
    """
    answer = _answer(traced.graph, name)
    head = _head(traced, answer)
    end = traced.calls[head].inp if head else answer
    assert end is not None, "a head is called on a value"
    places = _places(traced, _spine(traced.graph, end), view, name)
    chosen = _chosen(places)
    if not chosen and not head:
        raise BackboneError(
            f"The stages of {name} cannot be found: there is no module in it whose output alone "
            "the rest is calculated from.",
            [f"Name modules after which features may be read: stages=[...]. {_modules(traced)}"],
        )
    return FoundStages(tuple(place.path for place in chosen), head)


def _modules(traced: Traced) -> str:
    paths = [path for path, call in traced.calls.items() if path and call.out is not None][:40]
    return f"It calls {', '.join(paths)}." if paths else "It calls no module that gives a tensor."


# --- what everything passes -----------------------------------------------------------------------


def _answer(graph: fx.Graph, name: str) -> fx.Node:
    """Return the value that a network is asked for: what it returns, or a part of that."""
    [output] = [node for node in graph.nodes if node.op == "output"]
    value = _of_answer(output.args[0])
    if value is None:
        raise BackboneError(
            f"{name} returns nothing that is calculated from the image.",
            ["Its forward must return a tensor, or a dict or tuple of such."],
        )
    return value


def _of_answer(value: Any) -> fx.Node | None:
    if isinstance(value, fx.Node):
        return value
    if isinstance(value, Mapping):
        named = [value[key] for key in ANSWERS if key in value]
        return next(filter(None, map(_of_answer, [*named, *value.values()])), None)
    if isinstance(value, list | tuple):
        return next(filter(None, map(_of_answer, value)), None)
    return None


def _spine(graph: fx.Graph, end: fx.Node) -> list[fx.Node]:
    """Return the values that everything passes on the way from the image to ``end``, in order."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    wanted, moving = _ancestors(end), set[fx.Node]()
    for node in graph.nodes:
        if node.op == "placeholder" or not moving.isdisjoint(node.all_input_nodes):
            moving.add(node)
    last: dict[fx.Node, int] = {}
    on_way = [node for node in graph.nodes if node in wanted and node in moving]
    for node in on_way:
        for given in node.all_input_nodes:
            last[given] = order[node]
    spine, reach = [], -1
    for node in on_way:
        if reach <= order[node]:
            spine.append(node)
        reach = max(reach, last.get(node, order[node]))
    return spine


def _ancestors(end: fx.Node) -> set[fx.Node]:
    found, waiting = {end}, [end]
    while waiting:
        for given in waiting.pop().all_input_nodes:
            if given not in found:
                found.add(given)
                waiting.append(given)
    return found


def _head(traced: Traced, answer: fx.Node) -> str:
    """Path of the last layer, where it makes the answer of one value; else ''."""
    spine = set(_spine(traced.graph, answer))
    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    ends = [
        (order[call.out], path)
        for path, call in traced.calls.items()
        if call.out in spine
        and call.inp in spine
        and _is_leaf(traced, path)
        and _learns(traced, path)
    ]
    path = max(ends, default=(0, ""))[1]
    layer = traced.module.get_submodule(path) if path else None
    if isinstance(layer, nn.Linear):
        return path
    pointwise = isinstance(layer, nn.Conv2d) and set(layer.kernel_size) == {1}
    return path if pointwise else ""


def _is_leaf(traced: Traced, path: str) -> bool:
    """Return whether a module is called as one piece."""
    node = traced.calls[path].out
    return node is not None and node.op == "call_module" and bool({path} & called([node]))


def _learns(traced: Traced, path: str) -> bool:
    return any(True for _ in traced.module.get_submodule(path).parameters())


def _places(traced: Traced, spine: Sequence[fx.Node], view: View, name: str) -> dict[str, _Place]:
    """Return the modules whose output is on the spine and can be read, in order."""
    on_spine = set(spine)
    taps = {
        path: Tap(call.out, call.end)
        for path, call in traced.calls.items()
        if path
        and call.out is not None
        and call.out in on_spine
        # It would read the same as what it averages.
        and not isinstance(traced.module.get_submodule(path), nn.AdaptiveAvgPool2d)
    }
    meter = run(traced, list(taps.values()), view, name)
    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    found = {}
    for path, tap in sorted(taps.items(), key=lambda one: (order[one[1].end], -one[0].count("."))):
        value = meter.values[tap.node]
        if isinstance(value, Tensor) and value.is_floating_point() and layout_of(value.shape):
            nodes = needed(traced, tap)
            work = sum(meter.multiply_adds[node] for node in nodes)
            learned = frozenset(state_names(traced, nodes) & _weights(traced))
            found[path] = _Place(path, tap, tuple(value.shape), learned, work)
    return found


def _weights(traced: Traced) -> set[str]:
    """Names of the parameters that make features, not those of a normalisation or activation."""
    modules = dict(traced.module.named_modules())
    kinds = {path: type(module).__name__ for path, module in modules.items()}
    return {
        name
        for name, _ in traced.module.named_parameters()
        if not any(word in kinds[name.rpartition(".")[0]] for word in ("Norm", "PReLU"))
    }


# --- which of them --------------------------------------------------------------------------------


def _chosen(places: Mapping[str, _Place]) -> list[_Place]:
    """Return one place a stage."""
    paths, closed = _inside("", places), set(places)
    whole = max((place.work for place in places.values()), default=0)
    while True:
        units = _units([places[path] for path in paths])
        heavy, work = _heaviest([places[path] for path in paths], closed, places)
        if not heavy or (len(units) >= FEW and work <= whole / 2):
            break
        closed.remove(heavy)
        at = paths.index(heavy)
        paths[at:at] = _inside(heavy, places)
    units = _without_embedding(units, whole)
    return [_read(unit) for unit in (_thinned(units) if len(units) > MANY else units)]


def _inside(parent: str, places: Mapping[str, _Place]) -> list[str]:
    """Return the outermost places inside a module that do not end with it."""
    found: list[str] = []
    for path in sorted(places, key=lambda one: one.count(".")):
        within = path.startswith(f"{parent}.") if parent else True
        again = bool(parent) and places[path].tap.node is places[parent].tap.node
        if within and not again and not any(path.startswith(f"{outer}.") for outer in found):
            found.append(path)
    order = {path: number for number, path in enumerate(places)}
    return sorted(found, key=order.__getitem__)


def _heaviest(
    chosen: Sequence[_Place], closed: Collection[str], places: Mapping[str, _Place]
) -> tuple[str, int]:
    """Path and work of the closed place that does the most of those with others inside; or ''."""
    before = [0, *(place.work for place in chosen)]
    able = [
        (place.work - done, place.path)
        for done, place in zip(before, chosen, strict=False)
        if place.path in closed and _inside(place.path, places)
    ]
    work, path = max(able, default=(0, ""))
    return path, work


Unit = list[_Place]


def _units(chosen: Sequence[_Place]) -> list[Unit]:
    """Put each place that learns nothing new to the one before it; none where nothing was."""
    units: list[Unit] = []
    for place in chosen:
        if units and place.learned <= units[-1][-1].learned:
            units[-1].append(place)
        elif place.learned:
            units.append([place])
    return units


def _without_embedding(units: list[Unit], whole: int) -> list[Unit]:
    """Leave out what only cuts the image into patches and adds their places, in a transformer."""
    while len(units) > FEW and len(units[1][0].shape) == TOKENS:
        if units[0][-1].work >= whole * EMBEDDING:
            break
        units = units[1:]
    return units


def _thinned(units: Sequence[Unit]) -> list[Unit]:
    """Return the units that end a resolution, unless those are few."""
    kept = [
        unit
        for unit, after in zip(units, [*units[1:], None], strict=True)
        if after is None or after[0].shape[-2:] != unit[0].shape[-2:]
    ]
    return kept if len(kept) >= FEW else list(units)


def _read(unit: Unit) -> _Place:
    """Return where a unit is read: at its end, but before its map is flattened."""
    maps = [place for place in unit if place.is_map]
    return (maps or unit)[-1]
