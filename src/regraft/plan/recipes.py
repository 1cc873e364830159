"""How a network is trained in cases 3 and 4, as data; and the recipes.

A `Training` is part of the plan. ``textbook`` is what the table of the four cases says: a
random new layer, one learning rate for all. ``tuned`` starts from the head fitted on the frozen
network (LP-FT, Kumar et al., *Fine-tuning can distort pretrained features*, 2022), gives earlier
stages lower rates, lets two rates race, averages the weights, and keeps the best epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from regraft.backbones import Backbone
from regraft.distributed import world_size
from regraft.errors import UsageError
from regraft.heads.ridge import Taps

Init = Literal["pretrained", "random"]
Weighting = Literal["none", "balanced", "sampling"]

CHANNELS_LAST = "-channels-last"

MODES = ("bf16-mixed" + CHANNELS_LAST, "32-true" + CHANNELS_LAST, "32-true")
"""How a step is calculated: precision as Lightning Fabric names it, and the format in memory."""

RATES = (1e-3, 3e-3)
"""Learning rates that race, for AdamW on pretrained weights, of the new layer and last stage.

Over 111 rows of twelve sets, two sizes and three networks the pick of three (to 1e-2 where images
are different) won no more than these two at two thirds of the cost (``docs/benchmarks.md``)."""

RACE = 200
"""Training images from which they race. Below, the validation images are too few to tell them
apart: there the pick of several lost 2 points against the first alone, here it won 0.5."""

SCRATCH_RATES = (1e-3, 3e-3)
"""The same for random weights."""

TEXTBOOK_RATE = 1e-2
"""Of SGD with momentum 0.9, as in torchvision's and PyTorch's fine-tuning examples."""

SMALL_BATCH = 16
"""Below so many images a step the statistics of trained batch norm are too noisy: frozen."""

NEVER = 1_000
"""More epochs than any training has."""

HOPELESS = 0.35
"""Share of the epochs after which a training ends that was never better than the frozen network it
began as. Of 109 trainings 29 would have ended so, and had won nothing on average."""

REFIT = 2_000
"""Sets below this are trained once more with the validation images, which they cannot spare."""


@dataclass(frozen=True)
class Training:
    """How the network is trained."""

    init: Init
    trainable_from: str
    """The first stage that is trained; all before it are frozen."""
    taps: Taps
    """Depths that the new layer reads; the last one is the network's last."""
    fitted: bool
    """Whether the new layer starts as the head fitted on the frozen network; else random."""
    optimizer: Literal["adamw", "sgd"]
    rates: tuple[float, ...]
    """Learning rates that start; the best after half of the epochs goes on."""
    decay: float
    """Rate of each stage as a share of the next one's."""
    weight_decay: float
    warmup: float
    """Share of the steps over which the rate rises from 0; then a cosine back to 0."""
    epochs: int
    batch: int
    """Images a step, over all processes."""
    crop: float
    """Least share of the area that a random crop shows; 1 for none."""
    mirror: bool
    smoothing: float
    """Of the labels (Szegedy et al. 2016)."""
    averaged: bool
    """Whether the weights are averaged over about an epoch (exponentially)."""
    batch_norm: Literal["frozen", "trained"]
    """Of the trained stages; that of frozen stages is always frozen."""
    patience: int
    """Epochs without a better validation loss after which training stops."""
    refit: bool
    """Whether the winner is trained once more on all training images, validation included."""
    weighting: Weighting
    mode: str = ""
    """One of :data:`MODES`; empty in a plan, where it is found when training begins. A RUN says
    which one it was, so that it can be repeated."""
    hopeless: int = NEVER
    """Epochs after which a candidate ends that was never better than its start, the frozen
    network."""


def textbook(backbone: Backbone, *, init: Init, images: int, weighting: Weighting) -> Training:
    """Return what the table says: a random new layer on the last stage, everything at one rate."""
    last = len(backbone.stages) - 1
    return Training(
        init=init,
        trainable_from=backbone.stages[0].name,
        taps=(last,),
        fitted=False,
        optimizer="sgd",
        rates=(TEXTBOOK_RATE,),
        decay=1.0,
        weight_decay=1e-4,
        warmup=0.0,
        epochs=epochs_for(images, init),
        batch=32,
        crop=0.35,
        mirror=True,
        smoothing=0.0,
        averaged=False,
        batch_norm="trained",
        patience=NEVER,
        refit=False,
        weighting=weighting,
    )


def tuned(
    backbone: Backbone,
    *,
    init: Init,
    taps: Taps,
    images: int,
    mirror: bool,
    weighting: Weighting,
    trainable_from: str | None = None,
    rate: float | None = None,
) -> Training:
    """Return the recipe that is meant to win."""
    fresh = init == "random"
    last = len(backbone.stages) - 1
    usual = SCRATCH_RATES if fresh else RATES if images >= RACE else RATES[:1]
    partly = trainable_from not in (None, backbone.stages[0].name)
    return Training(
        init=init,
        trainable_from=trainable_from or backbone.stages[0].name,
        taps=(last,) if fresh else taps,
        fitted=not fresh,
        optimizer="adamw",
        rates=usual if rate is None else (rate,),
        decay=1.0 if fresh else 0.8,
        weight_decay=0.05,
        warmup=0.1,
        epochs=epochs_for(images, init),
        batch=batch_for(images),
        crop=1.0 if partly else 0.6,
        mirror=mirror,
        smoothing=0.1,
        averaged=True,
        batch_norm="trained" if fresh else "frozen",
        patience=max(5, epochs_for(images, init) // 2),
        refit=images < REFIT,
        weighting=weighting,
        hopeless=NEVER if fresh else hopeless_of(epochs_for(images, init)),
    )


def epochs_for(images: int, init: Init) -> int:
    """Epochs by the size of the set: 25 for 100 images, 14 for 1,000, 8 for 10,000, 4 for 160,000.

    Between a fixed number of steps (BiT-HyperRule, Kolesnikov et al. 2020: 500 below 20,000 images)
    and a fixed number of epochs. Random weights get twice that: on two cores the four times of He
    et al. 2019 would take days.
    """
    usual: int = round(80 / float(max(images, 1)) ** 0.25)
    return min(max(usual, 4), 25) * (2 if init == "random" else 1)


def batch_for(images: int) -> int:
    """Images a step: an eighth of the set, from 8 to 32."""
    power = max(images // 8, 1).bit_length() - 1
    return max(8, min(32, int(2**power)))


def weighting_of(counts: Sequence[int], choice: str) -> str:
    """``auto`` weighs the classes evenly when the largest has five times the smallest.

    A head fitted in closed form is not sampled for: there ``sampling`` means ``balanced``.
    """
    if choice != "auto":
        return "balanced" if choice == "sampling" else choice
    return "balanced" if max(counts) >= 5 * max(min(counts), 1) else "none"


def steps_of(images: int, training: Training) -> int:
    """Return the steps an epoch; the batches differ in size by one image at most."""
    return max(1, round(images / training.batch))


def least_batch(training: Training, images: int) -> int:
    """Images of the smallest step of an epoch."""
    return images // steps_of(images, training)


def images_shown(training: Training, images: int, held: int = 0) -> int:
    """Return how many images training passes forward and back, at most, over the whole race.

    ``held``: the validation images, which only the second training has too.
    """
    rung = rung_of(training)
    race = rung * (len(training.rates) - 1) + training.epochs
    return images * race + (images + held) * (training.epochs if training.refit else 0)


def hopeless_of(epochs: int) -> int:
    """Return the epochs after which a training ends that was never better than its start."""
    return max(1, math.ceil(HOPELESS * epochs))


def rung_of(training: Training) -> int:
    """Epochs after which all rates but the best are dropped: half of them.

    After a quarter the lowest rate leads, for it has not yet left the fitted head it started from:
    on signs of digits, twenty images a class, it then went on to 86 % where 3e-3 came to 97.
    """
    return training.epochs if len(training.rates) == 1 else max(1, training.epochs // 2)


def at_one_rate(training: Training) -> Training:
    """Return the same without a race.

    From pretrained weights at the lowest rate, which wins more on few images (:data:`RACE`); from
    random ones, which have far to go, at the highest.
    """
    rates = training.rates[:1] if training.init == "pretrained" else training.rates[-1:]
    return replace(training, rates=rates)


def within(training: Training, images: int, seconds: float, speed: float) -> Training | None:
    """Return the same in so many seconds at ``speed`` images/s; None where not even one epoch fits.

    First the second training is given up, then the race, then epochs.
    """
    for some in (training, at_one_rate(training)):
        for refit in dict.fromkeys((some.refit, False)):
            tried = replace(some, refit=refit)
            if images_shown(tried, images) <= seconds * speed:
                return tried
    epochs = min(int(seconds * speed / max(images, 1)), training.epochs)
    hopeless = training.hopeless if training.hopeless == NEVER else hopeless_of(epochs)
    return replace(tried, epochs=epochs, hopeless=hopeless) if epochs else None


def check_training(trainings: Sequence[Training], images: int) -> None:
    """Refuse before the training what processes cannot share: each needs an image of every step.

    Raises:
        UsageError: there are more processes than images in a step.
    """
    least = min((least_batch(training, images) for training in trainings), default=world_size())
    if world_size() > max(least, 1):
        raise UsageError(
            f"There are more processes ({world_size():,}) than images in a step of training "
            f"({least:,}).",
            ["Start fewer."],
        )
