"""Which parameters and modules of a cut network are frozen.

Parameters have no gradient when they are frozen. Modules are *held* in evaluation mode, so that
batch norm and dropout among frozen weights do what they do when the network is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import fx

from regraft.backbones import Backbone
from regraft.errors import BackboneError
from regraft.networks import build, trunk
from regraft.networks.trunk import Traced

Frozen = bool | str | Sequence[str]
"""All of the trunk, nothing, or what glob patterns match: names of stages or of parameters."""


@dataclass(frozen=True)
class Group:
    """Parameters of one stage (those that the stages before it do without), or of the rest.

    ``parameters``: number by name. ``modules``: paths of what is called for this stage.
    """

    name: str
    kept: bool
    parameters: dict[str, int]
    modules: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """How many parameters there are."""
        return sum(self.parameters.values())


@dataclass(frozen=True)
class FrozenSet:
    """What is frozen: names of parameters, and of the stages that were meant as a whole."""

    parameters: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()

    def whole(self, group: Group) -> bool:
        """Return whether a kept group is frozen with all that is called for it."""
        return group.name in self.stages or (
            bool(group.parameters) and self.parameters >= group.parameters.keys()
        )


def groups_of(traced: Traced, backbone: Backbone, taps: Sequence[int]) -> list[Group]:
    """Every parameter of a network in exactly one group, from the image to the head."""
    every = build.readings(traced, backbone, range(len(backbone.stages)))
    read = [tap for tap, _ in build.readings(traced, backbone, taps)]
    wanted = set().union(*(trunk.needed(traced, tap) for tap in read))
    left = {name: p.numel() for name, p in traced.module.named_parameters()}
    groups = []
    seen: set[fx.Node] = set()
    for tap, stage in every:
        nodes = trunk.needed(traced, tap) - seen
        seen |= nodes
        for kept, some in ((True, nodes & wanted), (False, nodes - wanted)):
            used = trunk.state_names(traced, some)
            mine = {name: left.pop(name) for name in [*left] if name in used}
            if some:
                groups.append(Group(stage.name, kept, mine, trunk.called(some)))
    inside = f"{backbone.head}."
    head = {n: left.pop(n) for n in [*left] if backbone.head and n.startswith(inside)}
    return [*groups, Group("beside the stages", False, left), Group(backbone.head, False, head)]


def frozen_by(groups: Sequence[Group], frozen: Frozen, name: str) -> FrozenSet:
    """Return what of the kept groups is frozen."""
    kept = [group for group in groups if group.kept]
    everything = frozenset(parameter for group in kept for parameter in group.parameters)
    stages = frozenset(group.name for group in kept)
    if isinstance(frozen, bool):
        return FrozenSet(everything, stages) if frozen else FrozenSet()
    patterns = [frozen] if isinstance(frozen, str) else list(frozen)
    _check_patterns(patterns, stages | everything, kept, name)
    meant = frozenset(stage for stage in stages if _any(patterns, stage))
    theirs = {p for group in kept if group.name in meant for p in group.parameters}
    named = frozenset(theirs.union(p for p in everything if _any(patterns, p)))
    return FrozenSet(named, stages if named == everything else meant)


def _any(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_patterns(
    patterns: Sequence[str], names: frozenset[str], kept: Sequence[Group], name: str
) -> None:
    """Every pattern matches something that is kept."""
    idle = [p for p in patterns if not any(fnmatchcase(there, p) for there in names)]
    if not idle:
        return
    some = [parameter for group in kept for parameter in group.parameters][:3]
    raise BackboneError(
        f"Not all of what is to be frozen is in the network that is kept of {name}.",
        [
            *(f"{pattern!r} matches no stage and no parameter." for pattern in idle),
            f"Its stages: {', '.join(dict.fromkeys(group.name for group in kept))}.",
            f"Its parameters are named like {', '.join(some)}.",
        ],
    )


def eval_modules_of(
    traced: Traced, groups: Sequence[Group], frozen_set: FrozenSet
) -> frozenset[str]:
    """Paths of the modules that stay in evaluation mode; with the empty one, all do.

    Those that are called for wholly frozen stages only, and those whose every kept parameter is
    frozen, with all that is in them.
    """
    kept = [group for group in groups if group.kept]
    frozen = [group.modules for group in kept if frozen_set.whole(group)]
    if len(frozen) == len(kept):
        return frozenset(path for path, _ in traced.module.named_modules())
    held = set().union(*frozen).difference(*(g.modules for g in kept if not frozen_set.whole(g)))
    there = {parameter for group in kept for parameter in group.parameters}
    for path, module in traced.module.named_modules():
        own = there.intersection(f"{path}.{name}" for name, _ in module.named_parameters())
        if (own and own <= frozen_set.parameters) or path.rpartition(".")[0] in held:
            held.add(path)
    return frozenset(held)
