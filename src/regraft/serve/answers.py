"""What the server answers, as its OpenAPI document tells it."""

from pydantic import BaseModel, Field


class Share(BaseModel):
    """A class and its calibrated share of probability."""

    label: str
    confidence: float = Field(ge=0, le=1)


class Image(BaseModel):
    """What one image is; or, under problem, status and detail, why nobody can tell.

    A warning names values that lie outside the scale of the training images, and were cut. known
    tells whether the image is like the training images at all: whether belief, the share of them
    that is no better known, is above 0.05. Both are null where the run, an older one, cannot tell.
    """

    name: str
    label: str | None = None
    confidence: float | None = None
    top: list[Share] | None = None
    problem: str | None = None
    status: int | None = None
    detail: str | None = None
    warning: str | None = None
    known: bool | None = None
    belief: float | None = Field(default=None, ge=0, le=1)


class Images(BaseModel):
    """One entry for each image, in the order in which they came."""

    images: list[Image]


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


class Model(BaseModel):
    """What the network is, what it was worth on held-out images, and what the server takes."""

    name: str
    classes: list[str]
    case: int
    title: str
    network: str
    source: str
    stages: list[Stage]
    preprocessing: Preprocessing
    accuracy: float
    accuracy_interval: list[float]
    held_out: int
    proof: str
    engine: str
    card: str
    limits: dict[str, float]


class Health(BaseModel):
    """ok while images can be classified."""

    status: str
