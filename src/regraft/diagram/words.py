"""The sentences and labels of the pictures."""

from regraft.backbones import Backbone
from regraft.backbones.record import UNNAMED

SEES = ("edges and colours", "textures and small shapes", "parts of things", "whole features")
"""What the quarters of a network tend to detect, from the image on."""

SEES_SHORT = ("edges, colours", "texture, shapes", "parts", "whole features")
"""The same where there is little room."""

HEDGE = "tends to detect"

ANEW = "learns from the new images alone: nothing is carried over"
ANEW_SHORT = "learns from the new images alone"

_TITLES = (
    "The pretrained network",
    "Case 1: a small, similar data set",
    "Case 2: a small, different data set",
    "Case 3: a large, similar data set",
    "Case 4: a large, different data set",
)

_FROZEN = {
    1: "Where its features fit as they are: cut off the head, put a new layer there and train only "
    "that. What is frozen cannot overfit to a few images.",
    2: "Early stages fit almost any image, late ones mostly the source: where images differ from "
    "that, cut after an early stage, and train only a new layer there.",
}

_TRAINED = {
    "trained": "Replace the last layer, and train everything, starting from the pretrained "
    "weights: the more images there are, the less that overfits.",
    "either": "Replace the last layer and train everything, from the pretrained weights first; "
    "where that gives no good model, from random ones.",
    "scratch": "The same network, with a new last layer, learns everything from random weights: "
    "with many images, where the pretrained ones give no good model.",
}


def case_title(case: int) -> str:
    """Return the case in a few words."""
    return _TITLES[case]


def case_caption(case: int, partly: str, alive: str) -> str:
    """Return what a case does and why, in a sentence.

    Args:
        case: 1 to 4.
        partly: the first stage that is trained, where some before it are frozen.
        alive: the fate of what is trained.
    """
    if case in _FROZEN:
        return _FROZEN[case]
    if partly:
        return (
            f"Replace the last layer, and train it together with the stages from {partly} on; "
            "those before stay frozen."
        )
    return _TRAINED[alive]


def untouched_caption(source: str, head: bool) -> str:
    """Return what a pretrained network is, in a sentence."""
    end = ", and its head turns those into classes" if head else ""
    return (
        f"Trained on {source}: every stage reads the one before it, from pixels to whole "
        f"features{end}."
    )


def source_of(backbone: Backbone) -> str:
    """Return what a network was trained on, in words.

    Drawn at random, it stands for a pretrained one.
    """
    unknown = backbone.weights.origin == "random" or backbone.source in ("", "unknown", UNNAMED)
    return "its source" if unknown else backbone.source
