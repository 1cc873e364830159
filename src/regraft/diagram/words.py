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
    "either": "Replace the last layer and train everything, from the pretrained weights as in case "
    "3, or, when that gives no successful model, from random weights.",
    "scratch": "The same network, with a new last layer, learns everything from random weights: "
    "with many images, when the pretrained ones give no successful model.",
}

QUARTERS = {1: (0, 0), 2: (0, 1), 3: (1, 0), 4: (1, 1)}
"""Where a case lies: how many quarters from the left (small) and from the top (similar)."""

QUARTERS_TITLE = "{} and the four cases"
QUARTERS_ABOUT = "Size across, similarity to what the network knows upwards."

SMALL_OR_LARGE = (("small", "such as two thousand images"), ("large", "such as a million images"))
"""The halves of the axis of size, with an example each."""

SIMILAR_OR_NOT = (
    ("similar", "as wolves are to a network that knows dogs"),
    ("different", "as flowers are to a network that knows dogs"),
)
"""The halves of the axis of similarity, the upper one first."""

SURGERY = {
    1: "A new last layer on the frozen network; only the new layer is trained.",
    2: "Cut after an early stage, the new layer put there; what is kept stays frozen.",
    3: "A new last layer, and everything is trained, from the pretrained weights.",
    4: "As in case 3, or, when that gives no successful model, from random weights.",
}
"""What each case does, where there is little room."""


def case_title(case: int) -> str:
    """Return the case in a few words."""
    return _TITLES[case]


def quarter_title(case: int) -> str:
    """Return the case in fewer words: Case 1: small, similar."""
    return _TITLES[case].replace(": a ", ": ").removesuffix(" data set")


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
