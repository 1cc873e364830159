"""What the server answers, as its OpenAPI document tells it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from regraft.results.prediction import Prediction


class Share(BaseModel):
    """A class and its calibrated share of probability."""

    label: str
    confidence: float = Field(ge=0, le=1)


class LabelShare(BaseModel):
    """A label, its calibrated probability, and from which probability on it is given."""

    label: str
    probability: float = Field(ge=0, le=1)
    threshold: float = Field(ge=0, le=1)


class Told(BaseModel):
    """Which image it is; why nobody can tell, where that is so; a warning.

    A warning names values that lie outside the scale of the training images, and were cut.
    """

    name: str
    problem: str | None = None
    status: int | None = None
    detail: str | None = None
    warning: str | None = None


class Image(Told):
    """What one image is; or, under problem, status and detail, why nobody can tell.

    A warning names values that lie outside the scale of the training images, and were cut. known
    tells whether the image is like the training images at all: whether belief, the share of them
    that is no better known, is above 0.05. Both are null where the run, an older one, cannot tell.
    """

    label: str | None = None
    confidence: float | None = None
    top: list[Share] | None = None
    known: bool | None = None
    belief: float | None = Field(default=None, ge=0, le=1)


class LabelsImage(Told):
    """The labels of one image; or, under problem, status and detail, why nobody can tell.

    labels are those whose probability reaches their threshold, most likely first; there may be
    none. probabilities has the likeliest labels and all that are given. A warning names values
    that lie outside the scale of the training images, and were cut.
    """

    labels: list[str] | None = None
    probabilities: list[LabelShare] | None = None


class NumberImage(Told):
    """The number of one image; or, under problem, status and detail, why nobody can tell.

    The true number lies in interval, of 95 images in 100. A warning names values that lie outside
    the scale of the training images, and were cut.
    """

    value: float | None = None
    interval: list[float] | None = None


class Images(BaseModel):
    """One entry for each image, in the order in which they came."""

    images: list[Image]


class LabelsImages(BaseModel):
    """One entry for each image, in the order in which they came."""

    images: list[LabelsImage]


class NumberImages(BaseModel):
    """One entry for each image, in the order in which they came."""

    images: list[NumberImage]


class Trouble(BaseModel):
    """Why a request got no answer: a code, and what to do in words."""

    problem: str
    detail: str


class Stage(BaseModel):
    """A stage of the network: whether it is kept, frozen, and read by the new layer."""

    name: str
    depth: int
    kept: bool
    frozen: bool
    read: bool


class Preprocessing(BaseModel):
    """How an image becomes what the network sees: fitted into a square, resized, normalised."""

    size: int
    crop: float
    interpolation: str
    mean: list[float]
    std: list[float]
    fit: str = "crop"
    integers: list[float] | None = None
    floats: list[float] | None = None


class Described(BaseModel):
    """What the network is, and what the server takes."""

    name: str
    kind: str
    case: int
    title: str
    network: str
    source: str
    stages: list[Stage]
    preprocessing: Preprocessing
    measure: str
    held_out: int
    proof: str
    engine: str
    card: str
    limits: dict[str, float]


class Model(Described):
    """What the network is, what it was worth on held-out images, and what the server takes."""

    classes: list[str]
    accuracy: float
    accuracy_interval: list[float]


class LabelsModel(Described):
    """The same of several labels an image; thresholds has from which probability each is given."""

    classes: list[str]
    thresholds: list[float]
    mean_average_precision: float
    mean_average_precision_interval: list[float]
    f1: float


class NumberModel(Described):
    """The same of a number: its mean and spread over the training images, half its interval."""

    quantity: str
    mean: float
    spread: float
    half_width: float
    r2: float
    r2_interval: list[float]
    mean_absolute_error: float


class Health(BaseModel):
    """ok while images can be classified."""

    status: str


class ApiWords(NamedTuple):
    """How an API of one kind is described."""

    does: str
    asks: str
    told: str
    names: str = ""


WORDS = {
    "one": ApiWords("Classifies images", "Classify one or many images", "its classes", "classes"),
    "several": ApiWords(
        "Gives images their labels", "Give one or many images their labels", "its labels", "labels"
    ),
    "number": ApiWords(
        "Tells a number of images", "Tell a number of one or many images", "its number"
    ),
}

ANSWERS: dict[str, type[BaseModel]] = {
    "one": Images,
    "several": LabelsImages,
    "number": NumberImages,
}
"""What is answered of images, by what is asked of them."""

MODELS: dict[str, type[BaseModel]] = {
    "one": Model,
    "several": LabelsModel,
    "number": NumberModel,
}
"""What is told of the network."""


def told_of(
    kind: str, found: Prediction, top: int, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Return what is answered of one image, beside its name.

    ``found`` names at least the ``top`` likeliest classes, of several labels all of them with their
    ``thresholds``.
    """
    if kind == "number":
        return {"value": found.value, "interval": found.interval}
    if kind == "several":
        labels = found.labels or ()
        likeliest = [
            {"label": label, "probability": share, "threshold": thresholds[label]}
            for rank, (label, share) in enumerate(found.top)
            if rank < top or label in labels
        ]
        return {"labels": labels, "probabilities": likeliest}
    shares = [{"label": label, "confidence": share} for label, share in found.top]
    return {**shares[0], "top": shares, "known": found.known, "belief": found.belief}
