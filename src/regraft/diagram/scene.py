"""What a picture of a network shows, as plain data: its stages, their fates, the cut, the head.

A `Scene` knows nothing of coordinates, colours or files. `untouched` and
`of_case` make one from a backbone, `regraft.diagram.of_plan` one from a plan.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from regraft.backbones import Backbone, Stage
from regraft.diagram import words
from regraft.errors import BackboneError
from regraft.heads.ridge import Taps
from regraft.plan.recipes import Init

Kind = Literal["map", "tokens", "vector"]
Fate = Literal["pretrained", "frozen", "trained", "either", "scratch", "removed", "new"]
"""What becomes of weights. ``either``: trained from the pretrained ones, then from random ones."""

CASES = (0, 1, 2, 3, 4)
"""The untouched network and the four cases."""

_KINDS: dict[str, Kind] = {"NCHW": "map", "NHWC": "map", "NLC": "tokens", "NC": "vector"}


@dataclass(frozen=True)
class Block:
    """A stage, or neighbours that are drawn as one."""

    stages: tuple[Stage, ...]
    fate: Fate
    read: bool
    """Whether the new layer reads it."""
    sees: int
    """Which of :data:`regraft.diagram.words.SEES` it tends to detect."""

    @property
    def kind(self) -> Kind:
        """What it gives."""
        return _KINDS[self.stages[-1].layout]

    @property
    def name(self) -> str:
        """Name of the stage; of several, the first and the last one."""
        first, last = self.stages[0].name, self.stages[-1].name
        return first if len(self.stages) == 1 else f"{first} to {last}"

    @property
    def beside(self) -> int:
        """Tokens beside the square of patches: of the class, registers."""
        return self.stages[-1].skip

    @property
    def modules(self) -> int:
        """How many modules it is made of: three for ``blocks.3-5``."""
        ranges = [re.search(r"(\d+)-(\d+)$", stage.name) for stage in self.stages]
        return sum(int(found[2]) - int(found[1]) + 1 if found else 1 for found in ranges)

    @property
    def removed(self) -> bool:
        """Whether it is cut off."""
        return self.fate == "removed"


@dataclass(frozen=True)
class NewLayer:
    """The new fully connected layer."""

    inputs: int
    classes: tuple[str, ...]
    """Their names, or none where only the number is known."""
    outputs: int
    fitted: bool
    """Whether it starts as the head fitted on the frozen network; else from random weights."""
    kind: str = field(default="one", repr=False)
    """What is asked of an image: ``one`` label, ``several``, or a ``number``."""

    @property
    def told(self) -> str:
        """What it tells, in words: 3 classes, 12 labels, a number."""
        if self.kind == "number":
            return "a number"
        if self.kind == "several":
            return f"{self.outputs:,} label{'s' * (self.outputs > 1)}"
        return f"{self.outputs:,} classes"


@dataclass(frozen=True)
class Scene:
    """A picture of a network, from the image to the classes."""

    network: str
    source: str
    """What it was trained on, in words."""
    case: int
    """0 for the untouched network."""
    title: str
    caption: str
    size: int
    """Side of the image in px; its height where it is no square."""
    blocks: tuple[Block, ...]
    """From the image on; the removed ones come last."""
    head: bool
    """Whether the network has a head of its own, which every case removes."""
    new: NewLayer | None
    wide: int = field(default=0, repr=False)
    """Width of an image that is no square, in px."""

    @property
    def sides(self) -> str:
        """Height and width of the image, such as 224×224."""
        return f"{self.size}×{self.wide or self.size}"

    @property
    def kept(self) -> tuple[Block, ...]:
        """The blocks before the cut."""
        return tuple(block for block in self.blocks if not block.removed)

    @property
    def removed(self) -> tuple[Block, ...]:
        """The blocks after the cut."""
        return tuple(block for block in self.blocks if block.removed)

    @property
    def cut(self) -> str:
        """Name of the last stage kept, or '' for the untouched network."""
        return self.kept[-1].stages[-1].name if self.new else ""

    @property
    def patches(self) -> int:
        """Patches along a side of the image, where its first stage gives tokens; else 0."""
        first = self.blocks[0]
        return first.stages[0].side if first.kind == "tokens" else 0

    @property
    def fates(self) -> tuple[Fate, ...]:
        """The fates that occur, in the order of the network."""
        found: list[Fate] = [block.fate for block in self.kept]
        found += ["new"] if self.new else []
        found += ["removed"] if self.removed or (self.new and self.head) else []
        return tuple(dict.fromkeys(found))


def untouched(backbone: Backbone) -> Scene:
    """Return the network as it is. One without named stages is one block."""
    stages = backbone.stages or (Stage("the whole network", "", 0, "NCHW"),)
    fates: list[Fate] = ["pretrained"] * len(stages)
    return _scene(backbone, 0, words.case_title(0), fates, (), None, stages)


def of_case(
    backbone: Backbone,
    case: int,
    *,
    taps: Taps | None = None,
    classes: int | Sequence[str] = 10,
    trainable_from: str | None = None,
    init: Init | None = None,
    fitted: bool = False,
) -> Scene:
    """Return the network and what a case does to it.

    Args:
        backbone: the record of the network.
        case: 0 for the untouched network, or 1 to 4.
        taps: depths that the new layer reads; the last one is the cut. Without them the last stage
            is read, in case 2 one of the first.
        classes: their names, or how many there are.
        trainable_from: cases 3 and 4: the first stage that is trained.
        init: case 4: what training starts from; None for the pretrained weights first and random
            ones if those do not help.
        fitted: whether the new layer starts as a fitted one.

    Raises:
        BackboneError: the network has no named stages, or none to cut off.
    """
    if case == 0:
        return untouched(backbone)
    _check(backbone, case)
    taps = taps or ((early(backbone) if case == 2 else len(backbone.stages) - 1),)
    names = [stage.name for stage in backbone.stages]
    alive = _alive(case, init)
    first = 0 if trainable_from is None or alive == "scratch" else names.index(trainable_from)
    fates: list[Fate] = [
        "removed" if d > taps[-1] else "frozen" if case in (1, 2) or d < first else alive
        for d in range(len(names))
    ]
    partly = names[first] if first and case in (3, 4) else ""
    caption = words.case_caption(case, partly, alive)
    new = _new(backbone, taps, classes, fitted)
    return _scene(backbone, case, caption, fates, taps, new, backbone.stages)


def lesson(backbone: Backbone, *, classes: int | Sequence[str] = 10) -> tuple[Scene, ...]:
    """Return the untouched network and the four cases, without case 2 where nothing can be cut.

    Raises:
        BackboneError: the network has no named stages.
    """
    few = len(backbone.stages) == 1
    cases = [case for case in CASES if case != 2 or not few]
    return tuple(of_case(backbone, case, classes=classes) for case in cases)


def early(backbone: Backbone) -> int:
    """Return the depth where case 2 cuts if nobody says where, and nothing was measured.

    The first third of the stages is kept: of five conv1 and conv2.
    """
    return (len(backbone.stages) - 1) // 3


def relative(depth: int, depths: int) -> int:
    """Which of :data:`regraft.diagram.words.SEES` goes with a depth: by quarters of the network."""
    last = len(words.SEES) - 1
    return last if depths < 2 else min(depth * len(words.SEES) // (depths - 1), last)


def _alive(case: int, init: Init | None) -> Fate:
    """Return what becomes of the stages that are trained."""
    if case != 4 or init == "pretrained":
        return "trained"
    return "scratch" if init == "random" else "either"


def _new(backbone: Backbone, taps: Taps, classes: int | Sequence[str], fitted: bool) -> NewLayer:
    inputs = sum(backbone.stages[depth].channels for depth in taps)
    if isinstance(classes, int):
        return NewLayer(inputs, (), classes, fitted)
    return NewLayer(inputs, tuple(classes), len(classes), fitted)


def _scene(
    backbone: Backbone,
    case: int,
    caption: str,
    fates: Sequence[Fate],
    taps: Taps,
    new: NewLayer | None,
    stages: tuple[Stage, ...],
) -> Scene:
    blocks = tuple(
        Block((stage,), fate, depth in taps, relative(depth, len(stages)))
        for depth, (stage, fate) in enumerate(zip(stages, fates, strict=True))
    )
    source = words.source_of(backbone)
    return Scene(
        network=backbone.name,
        source=source,
        case=case,
        title=words.case_title(case),
        caption=caption if case else words.untouched_caption(source, bool(backbone.head)),
        size=backbone.view.size,
        wide=backbone.view.width,
        blocks=blocks,
        head=bool(backbone.head),
        new=new,
    )


def _check(backbone: Backbone, case: int) -> None:
    """There are stages to operate on."""
    if not backbone.stages:
        raise BackboneError(
            f"{backbone.name} has no named stages, so no case can be drawn of it.",
            ["Name its stages: describe_module(module, stages=[...])."],
        )
    if case == 2 and len(backbone.stages) == 1:
        raise BackboneError(
            f"{backbone.name} has one stage only, so there is none to cut off in case 2.",
            ["Draw another case, or name more of its stages."],
        )
