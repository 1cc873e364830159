"""Which network: several side by side on the same images, measured.

The networks look at the same training images and are compared image by image; those that cannot
catch up are dropped early (`regraft.rank.race`). The held-out images are not read for it, and
what was looked at stays in the cache, so that a plan with the chosen network starts from it.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from regraft import backbones as bundled
from regraft.data.dataset import Dataset
from regraft.data.kinds import HAS, ONE
from regraft.data.readers.known import with_groups
from regraft.data.splits import check_fraction
from regraft.distributed import world_size
from regraft.errors import BackboneError, UsageError, sentences
from regraft.features import engines
from regraft.plan.choices import Choices, ChoiceWords, check_choices, chosen, spelled_out
from regraft.plan.events import OnEvent
from regraft.plan.ranked import RankedNetwork, Ranking
from regraft.rank.choice import choose
from regraft.rank.race import Race, run, training
from regraft.rank.ranking import Allowance, Entry, row_of
from regraft.rank.strength import Prior, Strengths, hopeless
from regraft.run.api import Data
from regraft.run.measure import Progress
from regraft.run.pretrained import Pretrained, open_network
from regraft.verb import calls_package

if TYPE_CHECKING:
    from torch import nn

    Network: TypeAlias = str | nn.Module | Pretrained

__all__ = ["RankedNetwork", "Ranking", "rank", "ranked"]


@calls_package
@spelled_out
def rank(
    data: Data,
    backbones: "Sequence[Network] | Network | None" = None,
    *,
    latency: float | None = None,
    megabytes: float | None = None,
    choices: Choices | None = None,
    strict: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on_event: OnEvent = lambda row: None,
    **words: Unpack[ChoiceWords],
) -> Ranking:
    """Rank networks on the same images by what to expect of each, and choose one.

    Args:
        data: a folder, table or archive, or a `regraft.Dataset`.
        backbones: names of bundled backbones or timm models, modules of your own, or
            `regraft.Pretrained`, or one of these; those that are on this machine without
            fetching where None.
        latency: seconds that the chosen network may take for an image alone, decoding not counted.
        megabytes: what it may take in float32, in millions of bytes.
        choices: a record of what is overruled; the keywords overrule it.
        strict: let any image that has to be left out be an error.
        cache: the cache folder; the user's where None.
        on_event: called with a note whenever a network starts to look at images.
        **words: ``seed``, ``test_fraction``, ``budget`` (in seconds) and all that
            `regraft.Choices` explains, but what one network alone can follow: ``case``,
            ``cut``, ``init``, ``trainable_from`` and ``learning_rate``.

    Returns:
        The networks, the best first, with the accuracy to expect (a share, with its 95 % interval),
        the difference to the best on the same images, milliseconds and megabytes; which one to
        take, and why. A network that fails has its ``problem`` instead of figures.

    Raises:
        UsageError: choices or limits that cannot be followed, or a budget that is too short for the
            cheapest network.
        DataError: the images cannot be used.
        BackboneError: none of the networks could be ranked.
    """
    limits = Allowance(latency, megabytes)
    return ranked(
        data, backbones, limits, chosen(choices, words), strict=strict, cache=cache,
        on_event=on_event,
    )  # fmt: skip


def ranked(
    data: Data,
    backbones: "Sequence[Network] | Network | None",
    limits: Allowance,
    choices: Choices,
    *,
    strict: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on_event: OnEvent = lambda row: None,
    progress: Progress = lambda done, total: None,
    priors: Mapping[str, Prior] | None = None,
) -> Ranking:
    """Do what `rank` says; ``progress``: of each pass; ``priors``: instead of the table."""
    check(choices, limits)
    started = time.perf_counter()
    if backbones is None:
        backbones = [one.name for one in bundled.bundled() if bundled.on_hand(one)]
    entries = opened(backbones)
    check_choices(next(one.opened.backbone for one in entries if one.network), choices)
    if choices.engine is not None:
        engines.check_name(choices.engine)
    dataset = Dataset.open(data, **choices.columns)
    check_kind(dataset)
    check_fraction(with_groups(dataset, choices.group_by), choices.test_fraction)
    race = Race(
        dataset=dataset,
        choices=replace(choices, budget=None),
        budget=choices.budget,
        limits=limits,
        strict=strict,
        cache=cache,
        on_event=on_event,
        progress=progress,
        started=started,
        priors=priors,
    )
    first, compared = run(race, entries)
    train = len(training(first))
    found = [one for one in entries if one.looked is not None]
    taken, best, why, held = choose(found, limits, priors)
    if compared < train and taken is not None:
        why += f" The budget ran out: compared on {compared:,} of {train:,} training images."
    order = sorted(entries, key=lambda one: (one is not best, *_place(one, held, best)))
    rows = [row_of(one, best, limits, held.of(one) if one in held else None) for one in order]
    return Ranking(
        rows=tuple(rows),
        chosen=taken.name if taken else None,
        why=why,
        dataset=dataset.name,
        seed=choices.seed,
        train=train,
        compared=compared,
        latency=limits.latency,
        megabytes=limits.megabytes,
        remarks=first.audit.warnings,
        left_out=tuple(f"{one.path}: {one.detail or one.reason}" for one in first.audit.left_out),
    )


def _place(entry: Entry, held: Strengths, best: Entry) -> tuple[int, float, str]:
    """Sort key: who is about as good as the best, then who is behind, then who has no figures."""
    if entry.looked is None:
        return 2, 0.0, entry.name
    if entry in held and not hopeless(held, entry, best):
        return 0, -held.of(entry), entry.name
    return 1, -entry.share, entry.name


def opened(backbones: "Sequence[Network] | Network") -> list[Entry]:
    """Open the networks; one that cannot be opened has its problem.

    Raises:
        UsageError: there is none to rank, or two have one name.
        BackboneError: none can be opened.
    """
    entries = []
    given: Any = backbones
    if isinstance(given, str | Pretrained) or callable(given):
        given = [given]  # neither its letters nor the layers of a Sequential
    for one in dict.fromkeys(given):
        name = one if isinstance(one, str) else type(one).__name__
        try:
            network = open_network(one)
            entries.append(Entry(network.backbone.name if name != one else name, network))
        except (BackboneError, UsageError) as error:  # as channels that no picture has
            entries.append(Entry(name, None, sentences(error)))
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(
            "Networks that are ranked need names of their own.",
            [f"More than one is named {name!r}." for name in twice]
            + ["Name a module: regraft.open_network(module, name='mine')."],
        )
    if not any(entry.network for entry in entries):
        problems = [f"{entry.name}: {entry.problem}" for entry in entries]
        raise BackboneError("There is no network to rank.", problems or ["Name one."])
    return entries


def check_kind(dataset: Dataset) -> None:
    """Refuse what is no one label an image: networks are held against each other by accuracy.

    Raises:
        UsageError: an image has several labels, or a number.
    """
    if dataset.kind != ONE:
        raise UsageError(
            f"Networks are ranked by accuracy, and in '{dataset.name}' an image has "
            f"{HAS[dataset.kind]}.",
            ["Name each in turn: regraft plan DATA --backbone NAME says what to expect of it."],
        )


def check(choices: Choices, limits: Allowance) -> None:
    """Refuse before the work what cannot be followed; all of it is named.

    Raises:
        UsageError: choices for one network alone, limits that are none, or several processes.
    """
    one = Choices(
        case=choices.case,
        cut=choices.cut,
        init=choices.init,
        trainable_from=choices.trainable_from,
        learning_rate=choices.learning_rate,
    )
    problems = [f"It ranks frozen networks, so it goes without {name}." for name in one.named()]
    for name, value, unit in (  # of a command, a name such as auto:10ms, or keywords
        ("latency", limits.latency, "seconds"),
        ("megabytes", limits.megabytes, "a million bytes each"),
        ("budget", choices.budget, "seconds"),
    ):
        if value is not None and not isinstance(value, int | float):
            problems.append(f"The {name} must be a number ({unit}), got {value!r}.")
        elif value is not None and not value > 0:
            problems.append(f"The {name} must be above 0, got {value:g}.")
    if world_size() > 1:
        problems.append(f"It runs in one process, got {world_size()}; start it without torchrun.")
    if problems:
        raise UsageError("This cannot be ranked.", problems)
