"""What is written into an export beside the network, so that nobody has to guess."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from regraft.errors import RunError
from regraft.plan.definition import Plan

INPUT, OUTPUT = "pixels", "probabilities"
"""Names of what goes in and what comes out."""

KNOWN = ("known", "belief")
"""Names of what comes out beside, where it is told whether an image is like the training images."""


@dataclass(frozen=True)
class About:
    """The classes in the order of the outputs, and what the input must be."""

    plan: Plan
    classes: tuple[str, ...]
    pixels: bool
    known: bool = False
    """Whether that is told."""

    @property
    def outputs(self) -> list[str]:
        """The names of what comes out, in their order."""
        return [OUTPUT, *(KNOWN if self.known else ())]

    @property
    def input(self) -> str:
        """The input in words."""
        high, wide, channels = self.plan.backbone.view.shape
        if self.pixels:
            return "decoded RGB pixels, uint8 [batch, height, width, 3]"
        kind = self.plan.backbone.view.colours
        return f"normalised {kind} pixels, float32 [batch, {channels}, {high}, {wide}]"

    def fields(self) -> dict[str, str]:
        """Everything by name, as text; all but plain words are JSON of ASCII characters alone.

        Whatever a class is called, no reader of metadata stumbles over it.
        """
        backbone = self.plan.backbone
        told = "; known, bool [batch]; belief, float32 [batch]" if self.known else ""
        given: dict[str, Any] = {
            "classes": list(self.classes),
            "input": self.input,
            "output": f"{OUTPUT}, float32 [batch, {len(self.classes)}]" + told,
            "size": backbone.view.size,
            "crop": backbone.view.crop,
            "interpolation": backbone.view.interpolation,
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "backbone": backbone.name,
            "case": self.plan.case,
            "licence": backbone.licence or "unknown",
            "regraft": version("regraft"),
        } | backbone.view.unusual
        return {
            name: value if isinstance(value, str) and value.isascii() else json.dumps(value)
            for name, value in given.items()
        }


def require(extra: str, what: str, *modules: str) -> None:
    """Check that optional packages are installed.

    Raises:
        RunError: they are not; it says how to install them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise RunError(
            f"{what} needs {', '.join(missing)}, which is not installed.",
            [f"`pip install 'regraft[{extra}]'` brings it."],
        )
