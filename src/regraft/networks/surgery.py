"""Surgery: a backbone and what to do with it -> a new network, and the list of what was changed.

The network that is operated on stays as it was, bit for bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.backbones import Backbone
from regraft.errors import BackboneError, RunError, UsageError
from regraft.networks import build
from regraft.networks.changes import Change, Kind
from regraft.networks.copies import duplicate
from regraft.networks.freezing import (
    Frozen,
    FrozenSet,
    Group,
    eval_modules_of,
    frozen_by,
    groups_of,
)
from regraft.networks.trunk import Traced, Trunk, trace

HEAD = "head"


class TransferNetwork(nn.Module):
    """A trunk under a new head: normalised pixels ``[B, 3, S, S]`` -> logits ``[B, classes]``.

    What is frozen has no gradient, and its batch norm and dropout stay in evaluation mode whatever
    `train` is told.
    """

    def __init__(
        self,
        trunk: Trunk,
        head: nn.Linear,
        *,
        taps: tuple[int, ...],
        classes: tuple[str, ...],
        eval_modules: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.taps = taps
        self.classes = classes
        self.eval_modules = eval_modules
        """Paths of the trunk's modules that stay in evaluation mode; the empty one is the trunk."""
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[B, classes]`` of normalised pixels ``[B, 3, S, S]``."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Pooled taps side by side, ``[B, sum of their channels]``, in the order of the taps."""
        return torch.cat(self.trunk(x), dim=1)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for what is frozen."""
        super().train(mode)
        for path, module in self.trunk.named_modules():
            module.training = mode and path not in self.eval_modules
        return self


def operate(
    module: nn.Module,
    backbone: Backbone,
    *,
    taps: Sequence[int],
    classes: int | Sequence[str],
    frozen: Frozen = True,
    init: Literal["pretrained", "random"] = "pretrained",
    seed: int = 0,
    head_init: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None = None,
) -> tuple[TransferNetwork, list[Change]]:
    """Cut a network after its deepest tap and put a new fully connected layer there.

    Args:
        module: the whole network that ``backbone`` is the record of; it is not touched.
        backbone: its record.
        taps: depths that the head reads.
        classes: their names, or how many there are.
        frozen: True for the whole trunk, False for nothing of it, else glob patterns. One that
            matches the name of a stage freezes all that this stage adds to the one before it; one
            that matches names of parameters freezes those. Batch norm and dropout are frozen with
            the parameters around them.
        init: ``random`` draws the trunk's weights anew from the seed (training from scratch).
        seed: of the new layer's weights, and of the trunk's if they are random.
        head_init: the new layer's weight ``[classes, sum of channels]`` and bias ``[classes]``,
            instead of random ones.

    Returns:
        The network, in evaluation mode, and what became of every group of parameters; the kept,
        frozen, reinitialised and dropped ones add up to those of ``module``.

    Raises:
        BackboneError: no such depth, a pattern that matches nothing, a network that is not the
            recorded one, or one whose weights cannot be drawn anew.
        UsageError: random weights that are to be frozen.
    """
    if init == "random":
        if frozen is not False:
            raise UsageError("Random weights must be trained: init='random' needs frozen=False.")
        module = _redrawn(module, backbone, seed)
    traced = trace(module, backbone.name)
    groups = groups_of(traced, backbone, taps)
    frozen_set = frozen_by(groups, frozen, backbone.name)
    eval_modules = eval_modules_of(traced, groups, frozen_set)
    network = TransferNetwork(
        _trunk(module, traced, backbone, taps, eval_modules),
        _head(sum(backbone.stages[d].channels for d in taps), _named(classes), seed, head_init),
        taps=tuple(taps),
        classes=_named(classes),
        eval_modules=eval_modules,
    )
    network.head.to(next(module.parameters(), torch.empty(0)))
    for name, parameter in network.trunk.named_parameters():
        parameter.requires_grad_(name not in frozen_set.parameters)
    alive: Kind = "kept" if init == "pretrained" else "reinitialised"
    return network, [*_changes(groups, frozen_set, alive), _added(network)]


def config(network: TransferNetwork, backbone: Backbone) -> dict[str, Any]:
    """Return what `restore` needs beside the state dict, as what a JSON document holds."""
    return {
        "backbone": backbone.to_json(),
        "taps": list(network.taps),
        "classes": list(network.classes),
    }


def restore(
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    module: nn.Module | None = None,
    *,
    frozen: Frozen = True,
) -> TransferNetwork:
    """Return a network again, from its `config` and its state dict.

    No pretrained weights are read: all that is needed lies in the state.

    Args:
        config: what `config` gave.
        state: tensors or arrays by name.
        module: the whole network, where the backbone is a module in memory; its weights do not
            matter and it is not touched.
        frozen: what may not be trained; see `operate`.

    Raises:
        BackboneError: the backbone is a module in memory and was not given.
        RunError: the state is not that of this network.
    """
    backbone = Backbone.from_json(config["backbone"])
    whole = build.architecture(backbone) if module is None else module
    taps, classes = config["taps"], config["classes"]
    network, _ = operate(whole, backbone, taps=taps, classes=classes, frozen=frozen)
    own = ("trunk.", "head.")
    tensors = {n: torch.as_tensor(value) for n, value in state.items() if n.startswith(own)}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise RunError(f"The saved weights are not those of {backbone.name}.", problems) from error
    return network


def _trunk(
    module: nn.Module,
    traced: Traced,
    backbone: Backbone,
    taps: Sequence[int],
    eval_modules: frozenset[str],
) -> Trunk:
    """Return the trunk, with weights of its own and, where it is trained, its way in training."""
    trunk = Trunk(traced, build.readings(traced, backbone, taps))
    if "" not in eval_modules:
        training = trace(module, backbone.name, lambda path: path not in eval_modules)
        trunk.learn(training, build.readings(training, backbone, taps), training=True)
    return duplicate(trunk)


def _head(
    width: int,
    classes: Sequence[str],
    seed: int,
    given: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None,
) -> nn.Linear:
    """Return a fully connected layer ``[B, width] -> [B, classes]``.

    Torch's usual start, or the given.
    """
    head: nn.Linear = nn.utils.skip_init(nn.Linear, width, len(classes))
    if given is None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in head.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5, generator=generator)
        return head
    weight, bias = (torch.from_numpy(np.array(array, np.float32)) for array in given)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head


def _redrawn(module: nn.Module, backbone: Backbone, seed: int) -> nn.Module:
    """Return the same network with random weights; the state of torch's own generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if backbone.architecture:
            return build.architecture(backbone)
        fresh = duplicate(module)
        drawn = [path for path, m in fresh.named_modules() if _redraw(m)]
    names = [name for name, _ in fresh.named_parameters()]
    left = [name for name in names if name.rpartition(".")[0] not in drawn]
    if left:
        raise BackboneError(
            f"The weights of {backbone.name} cannot be drawn anew.",
            [f"These belong to no module with reset_parameters(): {', '.join(left[:5])}."],
        )
    return fresh


def _redraw(module: nn.Module) -> bool:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
    return callable(reset)


def _changes(groups: Sequence[Group], frozen_set: FrozenSet, alive: Kind) -> Iterable[Change]:
    """One change a group; two where a stage is frozen in part."""
    for group in groups:
        frozen = sum(n for name, n in group.parameters.items() if name in frozen_set.parameters)
        if frozen:
            yield Change("frozen", group.name, frozen)
        if group.count > frozen:
            yield Change(alive if group.kept else "dropped", group.name, group.count - frozen)


def _added(network: TransferNetwork) -> Change:
    return Change("added", HEAD, sum(p.numel() for p in network.head.parameters()))


def _named(classes: int | Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
