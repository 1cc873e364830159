"""What a person overrules, checked before the work."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, TypeVar

from regraft.backbones import Backbone, View
from regraft.data.audit import NearCopies
from regraft.data.images import FITS
from regraft.data.kinds import kind_problems
from regraft.errors import UsageError
from regraft.heads.ridge import Taps
from regraft.plan.evidence import candidates_of
from regraft.plan.recipes import Init

Recipe = Literal["tuned", "textbook"]
Case = int | Literal["frozen"]
Verb = TypeVar("Verb", bound=Callable[..., Any])


class ColumnWords(TypedDict):
    """The columns of a table that have other than usual names, and what the labels are."""

    path_column: str | None
    label_column: str | None
    labels: str | None
    target: str | None


class ChoiceWords(TypedDict, total=False):
    """The choices as keywords; `Choices` says what each means."""

    case: Case | None
    cut: str | None
    recipe: Recipe
    class_weights: str
    seed: int
    test_fraction: float | None
    init: Init | None
    trainable_from: str | None
    learning_rate: float | None
    budget: float | None
    engine: str | None
    fit_image: str
    group_by: str | None
    near_copies: NearCopies
    path_column: str | None
    label_column: str | None
    labels: str | None
    target: str | None


@dataclass(frozen=True)
class Choices:
    """What a person overrules; everything else is decided from the evidence.

    `regraft.propose`, `regraft.fit` and `regraft.compare` take these as keywords,
    or one such record as ``choices``, whose fields the keywords overrule.

    Attributes:
        case: overrule the case, 1 to 4; ``"frozen"`` is 1 or 2, as the evidence says.
        cut: overrule where to cut: a stage's name or number.
        recipe: ``tuned``, or ``textbook`` for just what the table of the four cases says.
        class_weights: ``auto``, ``none``, ``balanced`` or (in training) ``sampling``.
        seed: of the split, the folds and the new layer.
        test_fraction: share held out where the data has no test split of its own, in 0..1. Without
            it a fifth is, and where that would be fewer than 200 images each is held out once, in
            turn.
        init: case 4 from the ``pretrained`` weights only, or from ``random`` ones only.
        trainable_from: train this stage and those after it (case 3).
        learning_rate: of cases 3 and 4, instead of those that race.
        budget: seconds that the whole run may take.
        engine: what runs the frozen network, instead of a choice among all that there are.
        fit_image: what becomes of long pictures: ``crop``, ``pad``, ``squash``, or ``auto`` (crop
            or pad).
        view: in a plan that is followed: how it sees the images; no keyword.
        group_by: what stays together: a table's column, ``folder``, a pattern of names or ``none``.
        near_copies: ``group``, ``keep`` or ``drop`` (all but one) the copies of one capture.
        path_column: the table's column with the paths (of Parquet with images: the images), where
            it has no usual name.
        label_column: the column, or in shards the field of the .json, with the labels.
        labels: ``one`` an image, or ``several``, instead of what the data tells.
        target: ``number``: the labels are numbers, to be estimated.
    """

    case: Case | None = None
    cut: str | None = None
    recipe: Recipe = "tuned"
    class_weights: str = "auto"
    seed: int = 0
    test_fraction: float | None = None
    init: Init | None = None
    trainable_from: str | None = None
    learning_rate: float | None = None
    budget: float | None = None
    engine: str | None = None
    fit_image: str = "auto"
    view: View | None = None
    group_by: str | None = None
    near_copies: NearCopies = "group"
    path_column: str | None = None
    label_column: str | None = None
    labels: str | None = None
    target: str | None = None

    @property
    def columns(self) -> ColumnWords:
        """What is said of the columns and labels, as `regraft.Dataset.open` takes it."""
        return {
            "path_column": self.path_column,
            "label_column": self.label_column,
            "labels": self.labels,
            "target": self.target,
        }

    def named(self) -> tuple[str, ...]:
        """Return the choices that differ from the defaults, as they would be typed."""
        spelled = {
            "--case": self.case,
            "--cut": self.cut,
            "--recipe": None if self.recipe == "tuned" else self.recipe,
            "--class-weights": None if self.class_weights == "auto" else self.class_weights,
            "--init": self.init,
            "--trainable-from": self.trainable_from,
            "--learning-rate": None if self.learning_rate is None else f"{self.learning_rate:g}",
            "--budget": None if self.budget is None else f"{self.budget:g}s",
            "--engine": self.engine,
            "--group-by": self.group_by,
            "--near-copies": None if self.near_copies == "group" else self.near_copies,
            "--fit-image": None if self.fit_image == "auto" else self.fit_image,
            "--path-column": self.path_column,
            "--label-column": self.label_column,
            "--labels": self.labels,
            "--target": self.target,
        }
        return tuple(f"{flag} {value}" for flag, value in spelled.items() if value is not None)


def chosen(choices: Choices | None, words: ChoiceWords) -> Choices:
    """Return one record of what was chosen; the keywords overrule the record."""
    return replace(choices or Choices(), **words)


def spelled_out(verb: Verb) -> Verb:
    """Name every choice in the signature of a verb that takes them as ``**words``.

    So ``help``, notebooks and editors show them with their defaults, which a TypedDict cannot.
    """
    signature = inspect.signature(verb)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    more = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in fields(Choices)
        if field.name in ChoiceWords.__annotations__
    ]
    vars(verb)["__signature__"] = signature.replace(parameters=[*own, *more])
    return verb


def candidates(backbone: Backbone, choices: Choices) -> list[Taps]:
    """Return the taps the evidence may choose among under a person's choices.

    Raises:
        UsageError: a case or cut that does not exist, or that exclude each other.
    """
    last = len(backbone.stages) - 1
    check_choices(backbone, choices)
    end = end_of(backbone, choices)
    if choices.recipe == "textbook" and end is not None:
        return [(end,)]
    every = candidates_of(last + 1, several=choices.recipe == "tuned")
    if end is not None:
        every += [taps for taps in candidates_of(last + 1, cut=end) if taps not in every]
    deepest = end if end is not None else last - 1 if choices.case == 2 else last
    return [taps for taps in every if taps[-1] <= deepest]


def end_of(backbone: Backbone, choices: Choices) -> int | None:
    """Return the depth that a person asks the kept network to end at; None where it is free.

    Raises:
        UsageError: a cut that does not exist, or that the case excludes.
    """
    last = len(backbone.stages) - 1
    cut = None if choices.cut is None else depth_of(backbone, choices.cut)
    if choices.case in (1, 3, 4) or choices.trainable_from is not None:
        if cut not in (None, last):
            raise UsageError(
                f"{'--trainable-from' if choices.case is None else f'--case {choices.case}'} keeps "
                f"the whole network, --cut {choices.cut} does not.",
                ["Leave out one of the two: a cut before the last stage is case 2."],
            )
        return last
    if choices.case == 2 and not last:
        raise UsageError(
            f"--case 2 cuts before the last stage, and {backbone.name} has one stage only.",
            ["--case 1 keeps it, or leave out --case."],
        )
    if choices.case == 2 and cut == last:
        raise UsageError(
            f"--case 2 cuts before the last stage, --cut {choices.cut} is the last stage.",
            ["Leave out one of the two, or name an earlier stage."],
        )
    return cut


def check_choices(backbone: Backbone, choices: Choices) -> None:
    """Raise UsageError for choices that cannot be, or that exclude each other; all are named."""
    problems = kind_problems(choices.labels, choices.target)
    if choices.case not in (None, 1, 2, 3, 4, "frozen"):
        problems.append(f"--case must be 1, 2, 3, 4 or frozen, got {choices.case}.")
    if choices.learning_rate is not None and not 0 < choices.learning_rate <= 1:
        problems.append(
            f"--learning-rate must be above 0 and at most 1, got {choices.learning_rate:g}; "
            "1e-4 to 1e-2 are usual, and without it two rates race."
        )
    if choices.budget is not None and not choices.budget > 0:
        problems.append(f"--budget must be above 0 seconds, got {choices.budget:g}.")
    if choices.fit_image not in ("auto", *FITS):
        problems.append(f"--fit-image must be auto, {', '.join(FITS)}, got {choices.fit_image!r}.")
    trained = [
        flag
        for flag, value in (
            ("--init", choices.init),
            ("--trainable-from", choices.trainable_from),
            ("--learning-rate", choices.learning_rate),
        )
        if value is not None
    ]
    if trained and choices.case in (1, 2, "frozen"):
        problems.append(f"--case {choices.case} trains no stage, so it goes without {trained[0]}.")
    if choices.init == "random" and choices.case != 4:
        problems.append("--init random starts without the pretrained weights: add --case 4.")
    if choices.init == "random" and choices.trainable_from is not None:
        problems.append("--init random trains every stage, so it goes without --trainable-from.")
    if choices.recipe == "textbook" and choices.trainable_from is not None:
        problems.append("--recipe textbook trains every stage; leave out --trainable-from.")
    if problems:
        raise UsageError("These choices cannot be followed.", problems)
    if choices.trainable_from is not None:
        depth_of(backbone, choices.trainable_from, "--trainable-from")


def depth_of(backbone: Backbone, name: str, flag: str = "--cut") -> int:
    """Return the depth of a stage given by its name, its number, or the path where it ends.

    Raises:
        UsageError: no such stage; lists those there are.
    """
    names = [stage.name for stage in backbone.stages]
    for known in (names, [stage.module for stage in backbone.stages]):
        if name and name in known:
            return known.index(name)
    if name.isdigit() and int(name) < len(names):
        return int(name)
    raise UsageError(
        f"{flag} must name a stage of {backbone.name}, got {name!r}.",
        [f"Its stages are {', '.join(names)} (or 0 to {len(names) - 1})."],
    )
