"""What surgery did to a network, group by group."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["kept", "frozen", "dropped", "added", "reinitialised"]


@dataclass(frozen=True)
class Change:
    """What became of one group of parameters.

    ``kept``: pretrained, and trained on; ``frozen``: pretrained, and stays so; ``reinitialised``:
    random, and trained; ``dropped``: no longer there; ``added``: new. ``parameters``: how many.
    """

    kind: Kind
    name: str
    parameters: int
