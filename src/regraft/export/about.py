"""What is written into an export beside the network, so that nobody has to guess."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from regraft.errors import RunError
from regraft.plan.definition import Plan

INPUT = "pixels"
"""Name of what goes in."""

OUTPUT = {"one": "probabilities", "several": "probabilities", "number": "value"}
"""Name of what comes out, by what is asked of an image."""

ANSWER, BELIEF = 0, 2
"""Which of what comes out is the answer, and which the belief in it, where that is told."""

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
    def output(self) -> str:
        """The name of the answer."""
        return OUTPUT[self.plan.kind]

    @property
    def outputs(self) -> list[str]:
        """The names of what comes out, in their order."""
        return [self.output, *(KNOWN if self.known else ())]

    @property
    def input(self) -> str:
        """The input in words."""
        high, wide, channels = self.plan.backbone.view.shape
        if self.pixels:
            return "decoded RGB pixels, uint8 [batch, height, width, 3]"
        kind = self.plan.backbone.view.colours
        return f"normalised {kind} pixels, float32 [batch, {channels}, {high}, {wide}]"

    @property
    def rule(self) -> dict[str, Any]:
        """What makes labels, or an interval, of the answer; ``kind`` alone of one label."""
        answer = self.plan.evidence.answer
        return {"kind": "one"} if answer is None else answer.told()

    @property
    def gives(self) -> str:
        """The answer in words."""
        return {
            "one": "the probability of each class",
            "several": "the probability of each label by itself",
            "number": "the number itself",
        }[self.plan.kind]

    @property
    def meaning(self) -> str:
        """What is to be known of the answer beside its name, in words."""
        return {
            "one": "",
            "several": "; of each label by itself, which is given from its threshold on",
            "number": "; the true number lies within half_width of it, of 95 images in 100",
        }[self.plan.kind]

    def fields(self) -> dict[str, str]:
        """Everything by name, as text; all but plain words are JSON of ASCII characters alone.

        Whatever a class is called, no reader of metadata stumbles over it.
        """
        backbone = self.plan.backbone
        told = "; known, bool [batch]; belief, float32 [batch]" if self.known else ""
        made = f"{self.output}, float32 [batch, {len(self.classes)}]"
        given: dict[str, Any] = {
            "classes": list(self.classes),
            "input": self.input,
            "output": made + told + self.meaning,
            **self.rule,
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
