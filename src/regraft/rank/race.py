"""Successive halving: networks on growing samples of the same training images.

The cheapest network looks at every image. From its audit and split follow the training images that
all others are asked about: fifty first, then twice as many each time. Whoever is held to be behind
the best (`regraft.rank.strength`) is dropped (not, as in Jamieson and Talwalkar 2016,
arXiv:1502.07943, the worse half); what was looked at stays in the cache.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import View
from regraft.data.dataset import Dataset
from regraft.errors import BackboneError, DataError, RegraftError, UsageError, first_line, sentences
from regraft.features import engines
from regraft.features.cache import Store
from regraft.features.engine_choice import Asked
from regraft.features.engines import Engine
from regraft.heads.ridge import Taps
from regraft.mapped import taken
from regraft.plan.choices import Choices
from regraft.plan.decide import case_of
from regraft.plan.events import Note, OnEvent
from regraft.plan.evidence import Evidence
from regraft.plan.size import size_of
from regraft.rank.ranking import Allowance, Entry, Findings, difference_of
from regraft.rank.strength import Prior, hopeless, strengths
from regraft.run.budget import check
from regraft.run.draft import draft, gathered_on
from regraft.run.measure import (
    Measured,
    Progress,
    as_chosen,
    check_channels,
    look_at,
    measure,
    part,
    seeing,
)

RUNGS = (50, 100, 200, 400, 800, 1600)
"""Training images after which networks are dropped; all of them come last."""

EACH = 4
"""Images a class that a rung has to have: cross-validation on fewer tells little."""

TIMED, LEAST, MOST = 0.3, 3, 50
"""Seconds that the speed of a batch is measured for, and runs of it at least and at most."""


class BudgetGone(UsageError):
    """The budget is used up."""


@dataclass(eq=False)
class Race:
    """What all networks are asked under, and the clock."""

    dataset: Dataset
    choices: Choices
    budget: float | None
    limits: Allowance
    strict: bool
    cache: str | os.PathLike[str] | None
    on_event: OnEvent
    progress: Progress
    started: float
    priors: Mapping[str, Prior] | None = None

    def told(self, done: int, total: int) -> None:
        """Pass progress on; BudgetGone where the budget is used up."""
        self.progress(done, total)
        try:
            check(self.budget, time.perf_counter() - self.started, done, total)
        except UsageError as error:
            raise BudgetGone(error.headline, error.problems) from None

    def attempt(self, entry: Entry, work: Callable[[], Findings], images: int) -> Findings | None:
        """Return what was found; None where the network fails, and then the entry says why."""
        self.on_event(Note(what=f"{entry.name}: {images:,} images"))
        try:
            return work()
        except (DataError, BudgetGone):
            raise
        except RegraftError as error:
            entry.problem = sentences(error)
        except MemoryError:
            entry.problem = "There is not enough memory for it."
        except Exception as error:  # whatever a network of somebody's own raises
            entry.problem = f"It cannot be run on these images: {first_line(error)}"
        return None


def run(race: Race, entries: Sequence[Entry]) -> tuple[Measured, int]:
    """Let the networks look at more and more images; the entries take what was found.

    Returns:
        The images as the cheapest network was measured on them, and on how many of `training`
        those that were not dropped are compared: not all where the budget ran out, or where no
        network is within the limits.
    """
    base, first = _first(race, [entry for entry in entries if entry.network is not None])
    rows, whole = training(first), base.looked
    order = rows[nested(first.labels[rows], race.choices.seed)]
    others = [e for e in entries if e is not base and not e.problem]
    compared = 0
    for count in [*rungs(len(rows), len(first.classes)), len(rows)]:
        some, found = np.sort(order[:count]), dict[Entry, Findings]()
        in_time = _climb(race, others, first, some, found)
        if compared and not in_time:
            break  # the rung before stands
        for entry in others:
            entry.looked = found.get(entry)
            if entry.looked is None:
                entry.problem = entry.problem or "The budget ran out before it was looked at."
        others, compared = [e for e in others if e in found], count
        base.looked = whole
        if others and count < len(rows):
            base.looked = _found(race, base, first, some, first.features[some])
        able = [e for e in (base, *others) if e.within(race.limits)]
        if others and not (in_time and able):
            break
        if others and count < len(rows):
            others = _kept(race, [base, *others], able, count)
        if not others:
            base.looked, compared = whole, len(rows)
            break
    return first, compared


def _first(race: Race, entries: Sequence[Entry]) -> tuple[Entry, Measured]:
    """Have the cheapest network that runs look at every image."""
    for entry in sorted(entries, key=lambda one: (one.work, one.name)):
        measured: list[Measured] = []
        look = partial(_whole, race, entry, measured.append)
        entry.looked = race.attempt(entry, look, len(race.dataset))
        if entry.looked is not None:
            return entry, measured[0]
    raise BackboneError(
        "None of the networks could be ranked.",
        [f"{entry.name}: {entry.problem}" for entry in entries],
    )


def _climb(
    race: Race,
    entries: Sequence[Entry],
    first: Measured,
    some: NDArray[np.intp],
    found: dict[Entry, Findings],
) -> bool:
    """Have each look at some of the kept images, into ``found``; whether the time sufficed."""
    everything = len(some) == len(training(first))
    try:
        for entry in entries:
            race.told(0, len(some))
            look = (
                partial(_whole, race, entry, lambda measured: None)
                if everything
                else partial(_sampled, race, entry, first, some)
            )
            if (looked := race.attempt(entry, look, len(some))) is not None:
                found[entry] = looked
    except BudgetGone:
        return False
    return True


def _kept(race: Race, entries: Sequence[Entry], able: Sequence[Entry], count: int) -> list[Entry]:
    """Return who goes on beside the first, which has seen everything; the others are dropped."""
    held = strengths(entries, race.priors)
    best = max(able, key=held.of)
    left = []
    for entry in entries[1:]:
        behind = entry is not best and hopeless(held, entry, best)
        if behind or (entry is not best and not entry.within(race.limits)):
            entry.dropped_at, entry.behind = count, difference_of(entry, best)
        else:
            left.append(entry)
    return left


def rungs(images: int, classes: int) -> list[int]:
    """Return the samples before all: none that is more than half, or has few of a class."""
    return [count for count in RUNGS if EACH * classes <= count <= images // 2]


def nested(labels: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Order images so that every start of it has each class's share, and one of each the first.

    Args:
        labels: classes as numbers, ``[n]``.
        seed: of the order within a class.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = np.arange(len(members)) / len(members)
    return np.lexsort((np.argsort(shuffled), place)).astype(np.intp)


# --- looking --------------------------------------------------------------------------------------


def training(measured: Measured) -> NDArray[np.intp]:
    """Return the kept images that say what to expect: those a plan without training goes by."""
    return (measured.small or measured.split).train


def _whole(race: Race, entry: Entry, out: Callable[[Measured], None]) -> Findings:
    """Look at every image, as ``plan`` does."""
    measured = measure(
        race.dataset,
        entry.opened,
        race.choices,
        strict=race.strict,
        cache=race.cache,
        progress=race.told,
    )
    _check_finite(measured.features)
    rows = training(measured)
    out(measured)
    return _found(race, entry, measured, rows, taken(measured.features, rows, measured.cache))


def _sampled(race: Race, entry: Entry, first: Measured, some: NDArray[np.intp]) -> Findings:
    """Look at some of the images that another network was measured on, in the same way."""
    network, seen = as_chosen(entry.opened, race.choices), first.network.backbone.view
    view = replace(network.backbone.view, fit=seen.fit, integers=seen.integers, floats=seen.floats)
    network, asked = seeing(network, view), Asked(race.choices.engine)
    with Store.open(first.cache) as store:
        found, engine = look_at(part(first, some), network, [view], store, race.told, asked)
    check_channels(network.backbone, found.facts)
    _check_finite(found.features[0])
    measured = replace(first, network=network, engine=engine, shift=None)
    return _found(race, entry, measured, some, found.features[0])


def _check_finite(features: NDArray[np.float16]) -> None:
    if wrong := int((~np.isfinite(features)).any(1).sum()):
        raise BackboneError(f"It gives nan for {wrong:,} of {len(features):,} images.")


def _found(
    race: Race,
    entry: Entry,
    measured: Measured,
    rows: NDArray[np.intp],
    features: NDArray[np.float16],
) -> Findings:
    """Judge the features of some kept images, and time the network up to what is read."""
    evidence, some, shares = gathered_on(measured, race.choices, rows, features)
    everything = training(measured)
    if len(rows) < len(everything):  # the case is that of all images
        counts = np.bincount(measured.labels[everything], minlength=len(measured.classes))
        evidence = replace(evidence, images=len(everything), size=size_of(counts))
    truth = measured.labels[rows[some]]
    return Findings(
        evidence=evidence,
        case=_case(measured, race.choices, evidence),
        count=len(rows),
        images=np.asarray(measured.audit.kept)[rows[some]],
        right=shares.argmax(1) == truth,
        belief=shares[np.arange(len(truth)), truth],
        milliseconds=_times(entry, measured, evidence.probes[evidence.chosen].taps),
    )


def _case(measured: Measured, choices: Choices, evidence: Evidence) -> int:
    """Return the case that ``plan`` would aim at."""
    case = case_of(measured.network.backbone, evidence, choices)
    if case in (3, 4) and measured.small is not None:  # then fewer images speak for training
        return draft(measured, choices, trains=False).indicated
    return case


def _times(entry: Entry, measured: Measured, taps: Taps) -> tuple[float, float]:
    """Milliseconds of an image alone and of one among 32; measured once for what is kept."""
    record, depth = measured.network.backbone, taps[-1]
    if depth not in entry.times:
        build, wish = measured.network.build, measured.engine
        engine = engines.open_engine(record, taps, measured.cache, build=build, wish=wish)
        entry.times[depth] = timed(engine, record.view, 1), timed(engine, record.view, 32)
    return entry.times[depth]


def timed(engine: Engine, view: View, batch: int) -> float:
    """Milliseconds an image in batches of some size: the least that a warm engine takes.

    The least, for what takes longer waited for other programs. Images are not decoded for it; what
    is in them does not matter.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (batch, *view.shape), np.uint8)
    engine(pixels)
    took, until = list[float](), time.perf_counter() + TIMED
    while len(took) < LEAST or (time.perf_counter() < until and len(took) < MOST):
        start = time.perf_counter()
        engine(pixels)
        took.append(time.perf_counter() - start)
    return 1000 * min(took) / batch
