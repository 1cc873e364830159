"""A pretrained network, named or handed over: its record, and how it is built when it is needed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft import backbones
from regraft.backbones import Backbone
from regraft.errors import BackboneError, UsageError
from regraft.networks import factories
from regraft.plan.ranked import Ranking

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed


@dataclass(frozen=True)
class Pretrained:
    """A backbone's record, and a way to build it, which the cached path never takes.

    ``ranking``: what it was chosen by, where it was (`regraft.run.auto.network_for`).
    """

    backbone: Backbone
    build: Callable[[], "nn.Module"]
    ranking: Ranking | None = None


@dataclass(frozen=True)
class Kept:
    """Gives a network that is there already."""

    module: "nn.Module"

    def __call__(self) -> "nn.Module":
        """Return it."""
        return self.module


def open_network(
    backbone: "str | nn.Module | Pretrained",
    weights: str | os.PathLike[str] | None = None,
    *,
    stages: Sequence[str] | None = None,
    head: str | None = None,
    view: "Fed | None" = None,
    name: str = "",
    source: str = "",
    licence: str = "",
) -> Pretrained:
    """Return a backbone by its name, or any network of your own as one.

    A bundled one is not built before something needs it. A module is copied, and only read.

    Args:
        backbone: a bundled backbone or any timm model by its name; a ``torch.nn.Module`` whose
            forward takes images alone; ``package.module:factory``, which is imported and, where it
            is no module itself, called without arguments; or what this function gave.
        weights: a file to read the weights of a named network from.
        stages: of a module: paths of its submodules after which features may be read; found by
            looking where None.
        head: of a module: path of its classifier, or '' where it has none; found where None.
        view: of a module: how images go in. A side in px, ``(height, width)``, a
            `regraft.View`, or any of its fields by name with ``mean`` and ``std`` beside
            them: ``{"size": 32, "channels": 1, "mean": 0.5, "std": 0.25}``. What the module says
            of itself, else what is usual, where None.
        name: of a module: what to call it; the name of its class if empty.
        source: of a module: what it was trained on, such as ``ImageNet-1k``.
        licence: of a module: that of its weights.

    Raises:
        BackboneError: there is none of that name, its weights cannot be had, or a module that
            cannot be fed, traced or cut.
        UsageError: words that do not go together, or a view that cannot be.
    """
    texts = {"name": name, "source": source, "licence": licence}
    words: dict[str, Any] = {"stages": stages, "head": head, "view": view}
    words |= {word: text for word, text in texts.items() if text}
    said = [f"{word}=" for word, value in words.items() if value is not None]
    if isinstance(backbone, str) and factories.is_factory(backbone):
        made: Any = factories.make(backbone)
        if not isinstance(made, Pretrained):
            words.setdefault("name", backbone)
        return open_network(made, weights, **words)
    if isinstance(backbone, Pretrained | str):
        if said:
            what = backbone if isinstance(backbone, str) else backbone.backbone.name
            raise UsageError(
                f"{what} is described already, so it goes without {' and '.join(said)}.",
                ["They describe a torch.nn.Module."],
            )
        return backbone if isinstance(backbone, Pretrained) else _named(backbone, weights)
    if weights is not None:
        raise UsageError(
            "A module has weights of its own, so it goes without weights=.",
            ["Load them into it first: module.load_state_dict(...)."],
        )
    from regraft.networks import own

    words["paths"] = words.pop("stages")
    record, module = own.opened(backbone, **words)
    return Pretrained(record, Kept(module))


def reopened(
    record: Backbone,
    backbone: "str | nn.Module | Pretrained | None" = None,
    weights: str | os.PathLike[str] | None = None,
) -> Pretrained:
    """Return the network of a plan: by its name, or the one handed over, as the plan describes it.

    Raises:
        BackboneError: it was a module in memory and is not handed over, or has not those stages.
    """
    if backbone is None and not record.architecture:
        raise BackboneError(
            f"The plan was made with a network of your own, {record.name}, which is not in it.",
            [
                "In Python: regraft.apply(plan, data, module); on the command line: "
                "--backbone package.module:factory."
            ],
        )
    if record.architecture or isinstance(backbone, Pretrained):
        return open_network(record.name if backbone is None else backbone, weights)
    made = factories.make(backbone) if isinstance(backbone, str) else backbone
    if isinstance(made, Pretrained):
        return made
    from regraft.networks import own

    found, module = own.as_recorded(record, made)
    return Pretrained(found, Kept(module))


def _named(name: str, weights: str | os.PathLike[str] | None) -> Pretrained:
    if name in backbones.names() and weights is None:
        record = backbones.get(name)
        backbones.weights_file(record)
        return Pretrained(record, lambda: _built(record))
    from regraft.networks.build import load

    found, module = load(name, None if weights is None else Path(weights))
    return Pretrained(found, Kept(module))


def _built(record: Backbone) -> "nn.Module":
    from regraft.networks.build import build

    return build(record)
