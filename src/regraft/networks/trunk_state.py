"""A network taken apart, so that a frozen one can be cut without torch.

What each depth needs, and the weights by name, lie beside the converted trunk in the cache. A cut
is then a choice of names. ``surgery.operate`` gives the same network (a test holds the two
together); it is for whoever has torch in hand.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone
from regraft.networks.changes import Change, Kind
from regraft.whole_file import replace_file

if TYPE_CHECKING:
    from torch import nn

Tensors = Mapping[str, NDArray[Any]]

PARTS, WEIGHTS = "parts.json", "parts.safetensors"


@dataclass(frozen=True)
class TrunkState:
    """The trunk's weights, and which of them each depth needs.

    ``needs[d]`` names the parameters and buffers; ``parameters[d]`` counts the parameters that no
    earlier depth needs; ``head`` those of the old head.
    """

    needs: tuple[tuple[str, ...], ...]
    parameters: tuple[int, ...]
    head: int
    tensors: Tensors

    def cut(self, taps: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return the weights that a network of these taps keeps, as its state dict names them."""
        names = dict.fromkeys(name for depth in taps for name in self.needs[depth])
        return {f"trunk.{name}": self.tensors[name] for name in names}

    def changes(self, backbone: Backbone, taps: Sequence[int]) -> list[Change]:
        """Return what becomes of every stage when all that is kept is frozen."""
        changes = []
        for depth, (stage, count) in enumerate(zip(backbone.stages, self.parameters, strict=True)):
            kind: Kind = "frozen" if depth <= max(taps) else "dropped"
            changes += [Change(kind, stage.name, count)] if count else []
        return changes + ([Change("dropped", backbone.head, self.head)] if self.head else [])


def of_module(module: "nn.Module", backbone: Backbone) -> TrunkState:
    """Look at a whole network: what each depth needs, and its weights."""
    from regraft.networks import build, trunk

    traced = trunk.trace(module, backbone.name)
    taps = [tap for tap, _ in build.readings(traced, backbone, range(len(backbone.stages)))]
    state = module.state_dict()
    counts = {name: parameter.numel() for name, parameter in module.named_parameters()}
    needs, fresh, seen = [], [], set[str]()
    for tap in taps:
        used = trunk.state_names(traced, trunk.needed(traced, tap))
        names = [name for name in state if name in used]
        needs.append(tuple(names))
        fresh.append(sum(counts.get(name, 0) for name in names if name not in seen))
        seen.update(names)
    inside = f"{backbone.head}."
    head = sum(n for name, n in counts.items() if backbone.head and name.startswith(inside))
    tensors = {name: state[name].detach().cpu().numpy() for name in state if name in seen}
    return TrunkState(tuple(needs), tuple(fresh), head, tensors)


def save(folder: Path, state: TrunkState) -> None:
    """Write a state into a trunk's folder; where that cannot be done, nothing is kept."""
    from safetensors.numpy import save

    with suppress(OSError):
        whole = {name: np.require(tensor, None, "C") for name, tensor in state.tensors.items()}
        replace_file(folder / WEIGHTS, save(whole))
        listed = {name: getattr(state, name) for name in ("needs", "parameters", "head")}
        replace_file(folder / PARTS, json.dumps(listed))


def load(folder: Path) -> TrunkState | None:
    """Return the state kept in a trunk's folder; None where it is absent or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        listed = json.loads((folder / PARTS).read_bytes())
        tensors = load((folder / WEIGHTS).read_bytes())
        needs = tuple(tuple(names) for names in listed["needs"])
        if not all(name in tensors for names in needs for name in names):
            return None
        return TrunkState(needs, tuple(listed["parameters"]), listed["head"], tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
