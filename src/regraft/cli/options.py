"""The options that several sub-commands share: how they are typed, and what their help says."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from regraft.plan.choices import Choices


class CaseName(enum.StrEnum):
    """A case, or either of the two that train no network."""

    one = "1"
    two = "2"
    three = "3"
    four = "4"
    frozen = "frozen"


class Recipe(enum.StrEnum):
    """How the new layer is made."""

    tuned = "tuned"
    textbook = "textbook"


class ClassWeights(enum.StrEnum):
    """How much each class weighs."""

    auto = "auto"
    none = "none"
    balanced = "balanced"
    sampling = "sampling"


class Init(enum.StrEnum):
    """What training starts from."""

    pretrained = "pretrained"
    random = "random"


class NearCopies(enum.StrEnum):
    """What is done with copies of one capture."""

    group = "group"
    keep = "keep"
    drop = "drop"


class Fit(enum.StrEnum):
    """How a picture that is no square becomes one."""

    auto = "auto"
    crop = "crop"
    pad = "pad"
    squash = "squash"


class Labels(enum.StrEnum):
    """How many labels an image has."""

    one = "one"
    several = "several"


class Estimated(enum.StrEnum):
    """What is estimated, where it is no label."""

    number = "number"


class Log(enum.StrEnum):
    """What else the course of training is logged for; log.csv is always written."""

    tensorboard = "tensorboard"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder of class folders (with or without train, val, test), a CSV or Parquet "
        "table of paths and labels, a zip or tar of such a folder, WebDataset shards "
        "('shards/{000..099}.tar', a folder of .tar), or Parquet files with images; also at an "
        "address (s3://, https://).",
    ),
]
NETWORKS = "A bundled backbone, any timm model, or your own as package.module:factory."
BackboneName = Annotated[
    str,
    typer.Option(
        "--backbone",
        "-b",
        metavar="NAME",
        help=f"{NETWORKS[:-1]}; 'auto' for the one that does best on the images, 'auto:10ms' or "
        "'auto:20MB' within a limit.",
    ),
]
WeightsFile = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Read the backbone's weights from this file."),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        help="Share of images held out where the data has no test split of its own.",
        show_default="0.2; of fewer than 1,000 images each once, in turn",
    ),
]
ComparedFraction = Annotated[
    float | None,
    typer.Option(
        help="Share of images held out where the data has no test split of its own.",
        show_default="0.2",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the split, the folds and the new layer.")]
Case = Annotated[
    CaseName | None,
    typer.Option(
        help="Overrule the case; 'frozen' is 1 or 2, as the evidence says, and nothing is trained.",
        show_default=False,
    ),
]
Cut = Annotated[
    str | None,
    typer.Option(metavar="STAGE", help="Overrule where to cut: a stage's name or number."),
]
RecipeName = Annotated[
    Recipe,
    typer.Option(help="'tuned' may do better than the table of cases; 'textbook' is that table."),
]
ClassWeightsName = Annotated[
    ClassWeights,
    typer.Option(
        help="'auto' evens the classes out from an imbalance of 5 on, by weights; 'sampling' draws "
        "every class equally often in training."
    ),
]
InitName = Annotated[
    Init | None,
    typer.Option(
        "--init",
        help="Case 4: train from the pretrained weights only, or from random ones only.",
        show_default="the first, then the second if that has not helped",
    ),
]
TrainableFrom = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE",
        help="Train this stage and all after it; those before stay frozen. Implies case 3.",
        show_default=False,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(help="Of cases 3 and 4.", show_default="two race"),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Stop in time with the best so far: 90s, 10m, 2h.",
        show_default=False,
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="What runs the frozen network, as openvino-f32 or torch-fp32; results follow it "
        "within rounding.",
        show_default="a fast one that agrees with torch-fp32",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN|folder|PATTERN",
        help="Keep what belongs together (a part, patient, video, day) on one side of every split: "
        "by a column of the table, the folder below the class, or a regular expression for the "
        "file name (for the path, where it has a slash). 'none': no groups.",
        show_default="a column such as group or patient, where there is one",
    ),
]
PathColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="The table's column with the paths.", show_default="a usual name"
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The table's column, or in shards the field of the .json, with the labels.",
        show_default="a usual name",
    ),
]
LabelsName = Annotated[
    Labels | None,
    typer.Option(
        "--labels",
        help="Whether an image has 'one' label or 'several' (a|b|c, lists, a column of 0 and 1 for "
        "each, the same photo in several class folders).",
        show_default="as the data has them",
    ),
]
TargetName = Annotated[
    Estimated | None,
    typer.Option(
        "--target",
        help="Take the labels for numbers to estimate (an age, an angle), not for classes.",
        show_default=False,
    ),
]
NearCopiesName = Annotated[
    NearCopies,
    typer.Option(
        "--near-copies",
        help="Copies of one capture: 'group' keeps them on one side of every split, 'keep' takes "
        "them as they are, 'drop' leaves out all but one.",
    ),
]
FitImage = Annotated[
    Fit,
    typer.Option(
        "--fit-image",
        help="What becomes of long pictures: 'crop' sees the middle, 'pad' all of it within a "
        "border, 'squash' all of it pressed square; 'auto' pads where that is clearly better.",
    ),
]
Augment = Annotated[
    bool,
    typer.Option(
        "--augment",
        help="Try mirror images too, and keep them where cross-validation says they help.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray[:ADDRESS]",
        help="Let a Ray cluster look at the images: the one at ADDRESS, else that of RAY_ADDRESS, "
        "else one of this machine's cores. Training stays on this machine.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop if any image has to be left out, and list them.")
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Read every file, also those that by size and times are what they were before.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Network = Annotated[
    str,
    typer.Argument(
        metavar="BACKBONE",
        help=NETWORKS,
    ),
]
OwnNetwork = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="PACKAGE.MODULE:FACTORY",
        show_default=False,
        help="Of a RUN that was made with a network of your own: where that is made. It is "
        "imported, from the current folder too, and called.",
    ),
]
DEFAULT = "efficientnet-lite0"


def choices_of(
    *,
    case: CaseName | None = None,
    cut: str | None = None,
    recipe: Recipe,
    class_weights: ClassWeights,
    seed: int,
    test_fraction: float | None,
    init: Init | None = None,
    trainable_from: str | None = None,
    learning_rate: float | None,
    budget: str | None,
    engine: str | None,
    group_by: str | None,
    near_copies: NearCopies,
    fit_image: Fit,
    path_column: str | None = None,
    label_column: str | None = None,
    labels: Labels | None = None,
    target: Estimated | None = None,
) -> "Choices":
    """Return what was typed as one record."""
    from regraft.cli.terminal import seconds_of
    from regraft.plan.choices import Choices

    return Choices(
        case=None if case is None else "frozen" if case is CaseName.frozen else int(case),
        cut=cut,
        recipe=recipe.value,
        class_weights=class_weights.value,
        seed=seed,
        test_fraction=test_fraction,
        init=None if init is None else init.value,
        trainable_from=trainable_from,
        learning_rate=learning_rate,
        budget=None if budget is None else seconds_of(budget),
        engine=engine,
        group_by=group_by,
        near_copies=near_copies.value,
        fit_image=fit_image.value,
        path_column=path_column,
        label_column=label_column,
        labels=None if labels is None else labels.value,
        target=None if target is None else target.value,
    )
