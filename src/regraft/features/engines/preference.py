"""Which engine of those that agree: an order and a margin, so that no race decides it.

Speeds vary from run to run and results follow the engine, so the fastest is not simply taken: of
two that are about equally fast now one would win and now the other, and the same images would give
other weights. An engine is left for another only where that one is clearly faster.
"""

from collections.abc import Sequence

from regraft.errors import UsageError
from regraft.features.engines.base import REFERENCE, EngineTrial

CUDA = ("cuda-fp16", "cuda-bf16", "cuda-fp32")
HALF = "openvino-bf16"
FULL = "openvino-f32"
CPU = ("torch-bf16-channels-last", "torch-fp32-channels-last")

ORDER = (*CUDA, HALF, FULL, *CPU, REFERENCE)
"""What is preferred, the first most: the order of the speeds that are usual.

OpenVINO's mixed engines (`name_of`) come between its bfloat16 and its float32.
"""

MARGIN = 2.0
"""How many times as fast an engine must be to be taken before one that is preferred to it.

Over repeated calibrations on a busy machine a speed varied by up to a third either way, and that of
torch as against OpenVINO between a fifth and the same (``docs/reproducible.md``).
"""


def name_of(depth: int) -> str:
    """Return the engine that calculates in float32 up to a depth, in bfloat16 after it."""
    return f"{HALF}-after-{depth}"


def exact_to(name: str) -> int:
    """Return the depth up to which an engine calculates in float32 (-1: not at all)."""
    head, _, depth = name.rpartition("-after-")
    return int(depth) if head == HALF and depth.isdecimal() else -1


def is_graph(name: str) -> bool:
    """Return whether the engine runs a converted trunk."""
    return name in (FULL, HALF) or exact_to(name) >= 0


def is_known(name: str) -> bool:
    """Return whether there is an engine of that name, here or elsewhere."""
    return name in ORDER or is_graph(name)


def check_name(name: str) -> None:
    """Raise UsageError for a name that no engine has; lists those there are."""
    if not is_known(name):
        names = ", ".join([*ORDER, name_of(0), "and so on"])
        raise UsageError(f"There is no engine named {name!r}.", [f"There are {names}."])


def best(measured: Sequence[EngineTrial]) -> EngineTrial:
    """Return the first in order among those that may be used, unless another is clearly faster."""
    usable = sorted((one for one in measured if not one.refused), key=_rank)
    fastest = max(one.images_per_second for one in usable)
    return next(one for one in usable if one.images_per_second * MARGIN >= fastest)


def contested(measured: Sequence[EngineTrial]) -> bool:
    """Return whether another than the first in order would be chosen, perhaps by a disturbance."""
    return best(measured).name != min((m for m in measured if not m.refused), key=_rank).name


def hopeless(name: str, before: Sequence[EngineTrial]) -> float:
    """Return the images/s below which an engine need not be measured to the end.

    Half of what one has that is preferred to it: a fourth of what it would be chosen with. 0 where
    it is the preferred one.
    """
    kept = best(before)
    return kept.images_per_second / 2 if _rank(kept) < _rank(EngineTrial(name)) else 0.0


def _rank(one: EngineTrial) -> tuple[int, int]:
    """Its place in the order."""
    depth = exact_to(one.name)
    return ORDER.index(HALF if depth >= 0 else one.name), depth
