"""How training runs on this machine, as it is remembered; it is measured by `regraft.finetune`.

Apart from that package, for reading it needs none of the libraries that train.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from regraft.backbones import Backbone
from regraft.features.engines import store
from regraft.plan.recipes import CHANNELS_LAST, Training
from regraft.whole_file import replace_file


@dataclass(frozen=True)
class Mode:
    """``precision`` as Lightning Fabric names it; ``images_per_second`` forward and back."""

    precision: str
    channels_last: bool
    images_per_second: float

    @property
    def name(self) -> str:
        """As a plan names it: one of :data:`regraft.plan.recipes.MODES`."""
        return self.precision + (CHANNELS_LAST if self.channels_last else "")


def place(cache: Path, backbone: Backbone, training: Training) -> Path:
    """Return the file that remembers how a recipe trains such a network here."""
    kind = f"{training.init}-{training.trainable_from}-{training.batch_norm}-{training.batch}"
    name = "-".join(filter(None, ["training", kind, training.mode]))
    return store.home(cache, backbone) / f"{name}.json"


def recall(path: Path) -> Mode | None:
    """Return the mode that ``path`` holds; None where it holds none."""
    try:
        return Mode(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def kept(path: Path, find: Callable[[], Mode]) -> Mode:
    """Return the mode that ``path`` holds; where it holds none, the one found is put there."""
    known = recall(path)
    if known is not None:
        return known
    found = find()
    with contextlib.suppress(OSError):  # not kept, it is found anew the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(asdict(found)))
    return found
