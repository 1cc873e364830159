"""Scenes, blocks and fates in words: labels, tooltips, the legend and the text alternative."""

import re
from collections.abc import Sequence

from regraft.backbones import Stage
from regraft.diagram.scene import Block, Fate, Scene
from regraft.diagram.words import HEDGE, SEES

_FATES = {
    "pretrained": "pretrained",
    "frozen": "pretrained and frozen",
    "trained": "pretrained and trained",
    "either": "trained, from pretrained weights first, then from random ones if need be",
    "scratch": "trained from scratch",
    "removed": "removed",
}

SHORT_FATES = {
    "pretrained": "as is",
    "frozen": "frozen",
    "trained": "trained",
    "either": "trained",
    "scratch": "scratch",
    "removed": "removed",
    "new": "new",
}
"""For a narrow column."""


INTRODUCTION = "One pretrained network, put to new images in four ways."
"""Below the title of a series."""


def legend_of(*scenes: Scene) -> tuple[tuple[Fate, str], ...]:
    """Return the fates that occur in some scenes, each with what the legend says of it."""
    found = {fate for scene in scenes for fate in scene.fates}
    either = "either" in found
    found |= {"trained", "scratch"} if either else set()
    fitted = any(scene.new is not None and scene.new.fitted for scene in scenes)
    said = dict(_LEGEND)
    said["scratch"] = "or from scratch" if either and len(scenes) == 1 else "from scratch"
    said["new"] = "new, fitted" if fitted else "new, random"
    return tuple((fate, text) for fate, text in said.items() if fate in found)


_LEGEND: dict[Fate, str] = {
    "pretrained": "pretrained",
    "frozen": "pretrained, frozen",
    "trained": "pretrained, trained",
    "scratch": "from scratch",
    "new": "new",
    "removed": "removed",
}


def shape_lines(block: Block, detailed: bool, *, spelled: bool = False) -> tuple[str, ...]:
    """Cells and channels of a block, for the lines under its name; ``spelled`` out in full."""
    sides = _range([stage.side for stage in block.stages])
    channels = _range([stage.channels for stage in block.stages])
    if not channels:
        return ()
    if block.kind == "vector":
        return (f"{channels} outputs" if detailed and spelled else channels,)
    if not detailed:
        return (sides,) if sides else ()
    square = f"{sides} cells" if "–" in sides else f"{sides}×{sides}"
    square += f" + {block.beside}{' tokens' if spelled else ''}" if block.beside else ""
    return (square if sides else block.kind, f"{channels} {'channels' if spelled else 'ch.'}")


def shape_text(block: Block) -> str:
    """Cells and channels of a block in a word: 14×14×384, (14×14+1)×384, 1,280."""
    sides = _range([stage.side for stage in block.stages])
    channels = _range([stage.channels for stage in block.stages])
    if block.kind == "vector" or not sides:
        return channels
    if "–" in sides:
        return f"{sides}×{channels}"
    square = f"{sides}×{sides}"
    return f"({square}+{block.beside})×{channels}" if block.beside else f"{square}×{channels}"


def numbers(scene: Scene) -> str:
    """Return what goes into the new layer and what comes out."""
    return f"{scene.new.inputs:,} → {scene.new.outputs:,}" if scene.new else ""


def block_sentence(block: Block) -> str:
    """Return a block in words.

    Its name, what it gives, what becomes of it, what it tends to detect.
    """
    sides = _range([stage.side for stage in block.stages])
    channels = _range([stage.channels for stage in block.stages])
    count = f"{len(block.stages)} stages, " if len(block.stages) > 1 else ""
    given = {
        "map": f"map of {sides} × {sides} cells, {channels} channels",
        "tokens": f"{sides} × {sides} {_tokens(block.beside)}, {channels} channels",
        "vector": f"vector of {channels} outputs",
    }[block.kind]
    if not sides and block.kind != "vector":
        given = f"{channels} channels" if channels else "its stages are not named"
    sees = "" if block.fate in ("removed", "scratch") else f", {HEDGE} {SEES[block.sees]}"
    return f"{block.name}: {count}{given}; {_FATES[block.fate]}{sees}"


def head_sentence(scene: Scene) -> str:
    """Return the last layer in words."""
    if scene.new is None:
        return "its head, from features to the classes it was trained on"
    start = "fitted on the frozen network" if scene.new.fitted else "starts from random weights"
    reads = [block for block in scene.kept if block.read]
    many = f", reads {len(reads)} stages" if len(reads) > 1 else ""
    return f"new fully connected layer, {scene.new.inputs:,} to {scene.new.told}; {start}{many}"


def described(scene: Scene) -> str:
    """Return the whole picture in words, for those who do not see it."""
    sentences = [
        scene.caption,
        f"From left to right: an image of {scene.size} × {scene.wide or scene.size} px",
    ]
    parts = [block_sentence(block) for block in scene.kept]
    if scene.new:
        parts.append(f"the cut, after {scene.cut}")
    if scene.new or scene.head:
        parts.append(head_sentence(scene))
    removed = [block.name for block in scene.removed]
    removed += ["the old head"] if scene.new and scene.head else []
    end = f" Removed: {', '.join(removed)}." if removed else ""
    return f"{sentences[0]} {'; then '.join([sentences[1], *parts])}.{end}"


def stage_range(stages: Sequence[Stage]) -> str:
    """Names of neighbouring stages in short: fc1, blocks.4–7, conv3–fc2."""
    first, last = stages[0].name, stages[-1].name
    if len(stages) == 1:
        return first
    first = re.sub(r"(\d)-\d+$", r"\1", first)  # blocks.3-5 begins with blocks.3
    stem = first.rstrip("0123456789")
    number = last.removeprefix(stem).rpartition("-")[2]
    if last.startswith(stem) and number.isdigit():
        return f"{first}–{number}"
    return f"{first}–{last.rpartition('.')[2]}"


def _tokens(beside: int) -> str:
    """Return what lies beside the patches, in words."""
    if beside < 2:
        return "patches and a class token" if beside else "tokens"
    return f"patches and {beside} tokens for the whole image"


def _range(values: Sequence[int]) -> str:
    """One number, or the first and last of several that differ; '' for those not known."""
    first, last = values[0], values[-1]
    if not first or not last:
        return ""
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"
