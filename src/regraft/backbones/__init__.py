"""Networks as data: no torch is needed to know their stages, their costs or whose they are."""

from difflib import get_close_matches

from regraft.backbones import demonstration, efficientnet_lite
from regraft.backbones.files import on_hand, sha256_of, weights_file
from regraft.backbones.record import Backbone, Layout, Origin, Stage, Weights
from regraft.data.images import View
from regraft.errors import BackboneError

__all__ = [
    "AUTO",
    "Backbone",
    "Layout",
    "Origin",
    "Stage",
    "View",
    "Weights",
    "bundled",
    "get",
    "is_auto",
    "names",
    "on_hand",
    "sha256_of",
    "weights_file",
]


RECORDS = (*efficientnet_lite.RECORDS, demonstration.RECORD)


AUTO = "auto"
"""In place of a name, where there are labelled images: whichever network does best on them."""


def is_auto(name: str) -> bool:
    """Return whether a name is :data:`AUTO`, with or without limits (``auto:10ms``)."""
    return name.partition(":")[0] == AUTO


def bundled() -> tuple[Backbone, ...]:
    """Return the records that come with regraft; the first is the default."""
    return RECORDS


def names() -> tuple[str, ...]:
    """Names of the bundled records."""
    return tuple(record.name for record in RECORDS)


def get(name: str) -> Backbone:
    """Return a bundled record by name.

    Raises:
        BackboneError: there is none of that name; the near ones are named.
    """
    for record in RECORDS:
        if record.name == name:
            return record
    near = get_close_matches(name, names(), n=3, cutoff=0.4) or names()
    raise BackboneError(
        f"There is no bundled network named {name!r}.", [f"Near it: {', '.join(near)}."]
    )
