"""How fast training is here: read where it is remembered, for measuring imports all that trains."""

from regraft.features import training_mode
from regraft.plan.recipes import Training
from regraft.run.measure import Measured


def training_speed(measured: Measured, training: Training) -> float:
    """Return images/s of training by a recipe on this machine, measured once."""
    network, cache = measured.network, measured.cache
    known = training_mode.recall(training_mode.place(cache, network.backbone, training))
    if known is not None:
        return known.images_per_second
    from regraft.finetune import speed_of

    return speed_of(network.build, network.backbone, measured.classes, training, cache)
