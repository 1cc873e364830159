"""What the corrections of a data set changed: the same run without them."""

from dataclasses import replace

from regraft.choices import Choices
from regraft.corrections import Corrected
from regraft.errors import DataError
from regraft.measure import Measured, Network, measure
from regraft.run import draft, perform


def before_corrections(
    corrected: Corrected, measured: Measured, choices: Choices, network: Network
) -> float | None:
    """Accuracy of the frozen network without the corrections, on the images now held out.

    ``measured`` is what was measured of the corrected data. The same images are held out and the
    same choices made. None where nothing can be fitted without the corrections, as where they
    bring the second class.
    """
    items = measured.dataset.items
    held = {items[measured.audit.kept[i]].path for i in measured.split.test}
    sides = tuple(
        replace(item, split="test" if item.path in held else "train")
        for item in corrected.before.items
    )
    frozen = replace(
        choices,
        case=choices.case if choices.case in (1, 2) else None,
        init=None,
        trainable_from=None,
        rate=None,
        budget=None,
        test_fraction=None,
    )
    try:
        before = measure(
            replace(corrected.before, items=sides), network, frozen, cache=measured.cache
        )
    except DataError:
        return None
    plan = draft(before, frozen).without_training()
    return float(perform(plan, before).metrics["accuracy"])
