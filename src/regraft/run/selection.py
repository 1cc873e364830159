"""The frozen network against the trained ones, on the same validation images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import validation
from regraft.distributed import on_rank_zero
from regraft.heads.average import fit_average
from regraft.heads.ridge import Head, Taps
from regraft.heads.tasks import Task, task_of
from regraft.metrics import paired
from regraft.plan.definition import Plan, Ran
from regraft.plan.events import OnEvent
from regraft.plan.gain import Gain
from regraft.plan.naming import frozen_case
from regraft.plan.recipes import Training, images_shown
from regraft.run.measure import Measured
from regraft.run.proof import calibrated_by

if TYPE_CHECKING:
    from regraft.finetune import Trained

ONE = task_of("one")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A candidate: what it is, and its probabilities ``[n, C]`` for the validation images."""

    name: str
    case: int
    taps: Taps
    shares: NDArray[np.floating[Any]]
    seconds: float
    training: Training | None = None
    trained: "Trained | None" = None
    prior: Gain | None = None
    """What it was expected to win over the frozen network before any of it was judged."""
    task: Task = ONE
    """What is asked of an image."""

    @property
    def shown(self) -> int:
        """Images that went forward and back through the network: what it cost."""
        return 0 if self.trained is None else self.trained.shown


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """What all candidates are held to.

    ``rows`` are the training images' places in ``measured``; ``train`` and ``val`` part them.
    """

    plan: Plan
    measured: Measured
    folder: Path
    deadline: float
    on_event: OnEvent
    train: NDArray[np.intp] = field(init=False)
    val: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.rows
        even, groups = self.measured.even[rows], self.measured.audit.groups[rows]
        train, val = validation(even, groups, self.plan.seed)
        object.__setattr__(self, "train", train)
        object.__setattr__(self, "val", val)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The training images."""
        return self.measured.split.train

    @property
    def truth(self) -> NDArray[Any]:
        """Labels of the validation images."""
        return self.measured.labels[self.rows[self.val]]

    @property
    def groups(self) -> NDArray[np.int64]:
        """Groups of the validation images: the same number for the same capture."""
        return self.measured.audit.groups[self.rows[self.val]]

    def head(self, some: NDArray[np.intp], taps: Taps) -> Head:
        """Return a head on some of the training images, calibrated as cross-validation says.

        It is the same whatever the frozen network reads, so that a training begins from the same
        weights whether it was asked for, follows from the evidence, or is one of a comparison.
        """
        plan, measured, rows = self.plan, self.measured, self.rows[some]
        head = fit_average(
            measured.features,
            plan.backbone.widths,
            measured.labels[rows],
            len(measured.classes),
            plan.evidence.parts_of(taps, plan.strength),
            plan.weighting,
            rows,
        )
        return calibrated_by(head, plan.evidence, whole=plan.evidence.is_whole(taps))


def frozen(setting: ValidationSet) -> Candidate:
    """Return the frozen network, its head fitted without the validation images."""
    start, plan, measured = time.perf_counter(), setting.plan, setting.measured
    rows, widths = setting.rows[setting.val], plan.backbone.widths

    def judged() -> NDArray[np.floating[Any]]:
        head = setting.head(setting.train, plan.taps)
        return measured.task.shares(head.logits_of(measured.features, widths, rows))

    shares = on_rank_zero(judged)
    case = frozen_case(plan.backbone, plan.taps)
    seconds = time.perf_counter() - start
    return Candidate("frozen", case, plan.taps, shares, seconds, task=measured.task)


def trained(setting: ValidationSet, training: Training) -> Candidate:
    """Return the network trained by a recipe."""
    from regraft import finetune

    plan, measured = setting.plan, setting.measured
    kept = measured.audit.kept
    name = "fine-tuned" if training.init == "pretrained" else "from scratch"
    done = finetune.train(
        finetune.Images(
            measured.dataset.read,
            [kept[i] for i in setting.rows],
            measured.labels[setting.rows],
            setting.train,
            setting.val,
            measured.task,
        ),
        plan.backbone,
        measured.network.build,
        measured.classes,
        training,
        head=lambda some: on_rank_zero(lambda: setting.head(some, training.taps)),
        seed=plan.seed,
        folder=setting.folder / name.replace(" ", "-"),
        cache=measured.cache,
        deadline=setting.deadline,
        later=_later(setting, training),
        on_event=setting.on_event,
    )
    case = 4 if training.init == "random" or plan.indicated == 4 else 3
    every = training.trainable_from == plan.backbone.stages[0].name
    prior = plan.gain if training.init == "pretrained" and training.fitted and every else None
    return Candidate(
        name, case, training.taps, done.shares, done.seconds, training, done, prior, measured.task
    )


def _later(setting: ValidationSet, training: Training) -> int:
    """Images that the plan's trainings after this one show at most."""
    after = setting.plan.trainings[setting.plan.trainings.index(training) + 1 :]
    return sum(images_shown(one, len(setting.train), len(setting.val)) for one in after)


def beats(entry: Candidate, other: Candidate, truth: NDArray[Any]) -> bool:
    """Return whether an entry is better than another on the validation images by more than noise.

    Where it is known what training was to win over the frozen network, it is better if it is by
    that and by the validation images together. A training that came to nothing beats none.
    """
    if _failed(entry):
        return False
    if entry.task.kind != "one":
        gain, error = paired(*(one.task.losses(one.shares, truth) for one in (other, entry)))
        return gain > error
    own, its = (one.shares.argmax(1) == truth for one in (entry, other))
    if entry.prior is None or other.trained is not None:
        return out_of_noise(own, its)
    return gain_by_both(entry.prior, own, its) > 0


def gain_by_both(prior: Gain, own: NDArray[np.bool_], its: NDArray[np.bool_]) -> float:
    """Accuracy that ``own`` adds to ``its``, by what was expected and by the images ``[n]``.

    The mean of the two, each weighted by the inverse of its squared error (the posterior mean of a
    normal). Forty validation images say less than a hundred rows of other sets do: to demand that
    they alone prove a gain lost a third of what was won, and was no safer (``docs/benchmarks.md``).
    """
    differ, seen = int((own != its).sum()), len(own)
    found = (int(own.sum()) - int(its.sum())) / max(seen, 1)
    precision = max(seen, 1) ** 2 / (differ + 1)
    before = prior.spread**-2
    return (prior.points * before + found * precision) / (before + precision)


def out_of_noise(own: NDArray[np.bool_], its: NDArray[np.bool_]) -> bool:
    """Return whether ``own`` is right more often than ``its`` by more than noise, bools ``[n]``.

    The noise is one standard error of the difference: of ``d`` images on which one of the two is
    right and the other wrong, the better one must have more than the root of ``d`` to spare (the
    statistic of McNemar's test, 1947, above 1). Not `metrics.paired`: that takes the error about
    the mean, this of two that are alike, in whole numbers, which are the same on every machine.
    """
    gain, differ = int(own.sum()) - int(its.sum()), int((own != its).sum())
    return gain > 0 and gain**2 > differ


def select(
    entries: Sequence[Candidate], truth: NDArray[Any], *, insists: bool
) -> tuple[Candidate, str]:
    """Return the entry to hand over, and why. ``entries`` run from cheap to dear."""
    best = entries[0]
    for entry in entries[1:]:
        if beats(entry, best, truth):
            best = entry
    able = [entry for entry in entries[1:] if not _failed(entry)]
    if insists and not able:
        why = "; ".join(f"{e.name}: {e.trained.problem}" for e in entries[1:] if e.trained)
        return best, f"The frozen network: training was asked for and came to nothing ({why})."
    if insists and best.trained is None:
        asked = max(able, key=lambda e: _accuracy(e, truth))
        return asked, (
            f"It was asked for; the frozen network gets {_got(entries[0], truth)}, {asked.name} "
            f"{_figure(asked, truth)}."
        )
    others = [entry for entry in entries if entry is not best]
    if not others:
        return best, "There was no other candidate."
    rival = max(others, key=lambda e: _accuracy(e, truth))
    verdict = _verdict(entries, best, rival, truth)
    return best, (
        f"{best.name}: {_got(best, truth, len(truth))}, {rival.name} {_figure(rival, truth)}; "
        f"{verdict}."
    )


def _got(entry: Candidate, truth: NDArray[Any], images: int | None = None) -> str:
    """Return what an entry gets of the validation images, in words."""
    of = "the" if images is None else f"{images:,}"
    if entry.task.kind == "one":
        return f"{_figure(entry, truth)} of {of} validation images right"
    return f"{entry.task.words.got(_accuracy(entry, truth))} on {of} validation images"


def _figure(entry: Candidate, truth: NDArray[Any]) -> str:
    return entry.task.words.told(_accuracy(entry, truth))


def _verdict(
    entries: Sequence[Candidate], best: Candidate, rival: Candidate, truth: NDArray[Any]
) -> str:
    """Return by what the best candidate was preferred to its rival, in words."""
    dear, cheap = (best, rival) if entries.index(best) > entries.index(rival) else (rival, best)
    if dear.prior is not None and cheap.trained is None and not _failed(dear):
        own, its = (one.shares.argmax(1) == truth for one in (dear, cheap))
        both = 100 * gain_by_both(dear.prior, own, its)
        return f"with the {dear.prior} that were expected of training, {both:+.1f} points"
    if best is cheap:
        return "no dearer candidate is better by more than one standard error"
    return "that is better by more than one standard error"


def record(
    entries: Sequence[Candidate],
    best: Candidate,
    truth: NDArray[Any],
    groups: NDArray[np.int64],
) -> tuple[Ran, ...]:
    """Return what ran, for the plan.

    ``truth`` and ``groups`` are those of the validation images.
    """
    return tuple(
        Ran(
            name=entry.name,
            case=entry.case,
            accuracy=_accuracy(entry, truth),
            interval=entry.task.interval(entry.shares, truth, groups),
            loss=float(entry.task.losses(entry.shares, truth).mean()),
            shown=entry.shown,
            note=_note(entry),
            handed_over=entry is best,
            epochs=None if entry.trained is None else entry.trained.epochs,
        )
        for entry in entries
    )


def _note(entry: Candidate) -> str:
    if entry.trained is None or entry.training is None:
        return ""
    done = entry.trained
    words = f"rate {done.rate:g}, epoch {done.epochs} of {entry.training.epochs}"
    if not done.epochs:
        words += "; no epoch that was run was better than the start"
    return f"{words}; {done.problem}" if done.problem else words


def _failed(entry: Candidate) -> bool:
    return entry.trained is not None and entry.trained.failed


def _accuracy(entry: Candidate, truth: NDArray[Any]) -> float:
    return entry.task.merit(entry.shares, truth)
