"""What regraft knows of a pretrained network, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from regraft.data.images import View
from regraft.errors import BackboneError

Layout = Literal["NCHW", "NHWC", "NLC", "NC"]
"""What a stage gives: a map, channels first or last; a row of tokens; or one vector an image."""

Origin = Literal["package", "file", "timm", "random", "memory"]
"""Where weights come from: an installed package, a user's file, timm's hub, a seed, the caller."""


UNNAMED = "images that are not named"
"""What a module in memory was trained on, where nobody says it."""


@dataclass(frozen=True)
class Stage:
    """A place where features are read; its *depth* is its index in ``Backbone.stages``.

    ``module`` is the path of the submodule whose output is read, or empty for the input of the
    head; where that output is several values it ends in which of them, ``stages.1[0]``. ``skip``
    tokens at the start of an ``NLC`` row (class, registers) stand for no place in the image and are
    left out when the rest is averaged. ``side`` is the number of cells along one side of the map,
    or of the square of patches, for an image of ``Backbone.view.size``: 1 for a vector, 0 where it
    is not known or no square.
    """

    name: str
    module: str
    channels: int
    layout: Layout
    skip: int = 0
    side: int = 0

    @property
    def path(self) -> str:
        """The path of the submodule alone."""
        return self.module.partition("[")[0]

    @property
    def part(self) -> str:
        """Which of several values is read, as ``[0]``; empty where there is one."""
        return self.module.removeprefix(self.path)


@dataclass(frozen=True)
class Weights:
    """Which weights a network has.

    ``sha256`` is that of the file for the origins ``package`` and ``file``, else that of the state
    dict (`regraft.networks.weights.fingerprint`). ``location`` never holds a folder of this
    machine: it is the path inside a package, a file's name, a hub tag, or a seed. ``ordered``: the
    keys of the file go by their order, not by their names.
    """

    origin: Origin
    sha256: str
    location: str
    ordered: bool = False


@dataclass(frozen=True)
class Backbone:
    """A pretrained network: where to read it, how to feed it, what it costs, whose it is.

    ``architecture`` is timm's name, with ``@224`` where the network is made for images of that
    side instead of its weights' own, or empty for a module of the caller's; ``head`` the path of
    the classifier that is replaced, or empty. ``parameters`` counts the whole network with its
    head; ``parameters_to[d]`` and ``multiply_adds_to[d]`` what is needed up to depth ``d``, the
    latter for one image of ``view.size``.
    """

    name: str
    architecture: str
    stages: tuple[Stage, ...]
    head: str
    view: View
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    paper: str
    source: str
    weights: Weights
    parameters: int
    parameters_to: tuple[int, ...]
    multiply_adds_to: tuple[int, ...]

    @property
    def timm(self) -> tuple[str, dict[str, Any]]:
        """What ``timm.create_model`` makes the architecture of: its name and further arguments."""
        name, _, size = self.architecture.partition("@")
        return name, {"img_size": int(size)} if size else {}

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at every depth."""
        return tuple(stage.channels for stage in self.stages)

    def normalised(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels ``[n, H, W, C]`` as the network takes them, ``[n, C, H, W]``.

        In torch, where it has to be fast: `regraft.networks.build.normalised`.
        """
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        x = (squares.astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def _repr_html_(self) -> str:
        """Return the picture of the untouched network, for a notebook."""
        from regraft import diagram

        return diagram.html(diagram.untouched(self))

    def to_json(self) -> dict[str, Any]:
        """Return the record as what a JSON document holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Return the record that `to_json` gave.

        Raises:
            BackboneError: fields are missing or unknown, or hold what they must not.
        """
        known = {field.name for field in fields(cls)}
        problems = [f"{name}: is missing." for name in sorted(known - raw.keys())]
        problems += [f"{name}: no such field." for name in sorted(raw.keys() - known)]
        if problems:
            raise BackboneError("This is not the record of a backbone.", problems)
        try:
            return cls(**{name: _read(name, value) for name, value in raw.items()})
        except (TypeError, ValueError) as error:
            raise BackboneError("This is not the record of a backbone.", [str(error)]) from error


def _read(name: str, value: Any) -> Any:
    """One field of a record, out of JSON."""
    match name:
        case "stages":
            return tuple(Stage(**stage) for stage in value)
        case "view":
            return View(**value)
        case "weights":
            return Weights(**value)
        case "mean" | "std" | "parameters_to" | "multiply_adds_to":
            return tuple(value)
        case _:
            return value
