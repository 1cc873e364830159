"""How far what was exported is from the RUN, and whether that may be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError
from regraft.heads.known import LIMIT

EXACT = 1e-4
"""A probability may differ by this much from that of the float32 network."""

HALF = 1e-2
"""Half precision may differ by this much on average: a single image near the border of two classes
moves by several percent, whichever of the two is asked."""

BELIEF = 1e-2
"""A belief may differ by this much from regraft's own: some of some hundred own images that lie as
near."""

Shares = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Parity:
    """One comparison of probabilities on some images.

    ``worst`` is the largest difference, ``mean`` the mean over the images of the largest of each;
    ``changed`` counts the images whose likeliest class is another. ``refused`` says why this may
    not be; empty if it may.
    """

    what: str
    images: int
    worst: float
    mean: float
    changed: int
    refused: str = ""
    of: str = "probabilities"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as what a JSON document holds."""
        return asdict(self)


def exact(what: str, found: Shares, wanted: Shares) -> Parity:
    """Compare what must be the same: every probability within :data:`EXACT`, every class equal."""
    worst, mean, changed = _differences(found, wanted)
    wrong = not worst <= EXACT or changed
    refused = f"no probability may differ by more than {EXACT:g}, and no class" if wrong else ""
    return Parity(what, len(wanted), worst, mean, changed, refused)


def near(what: str, found: Shares, wanted: Shares) -> Parity:
    """Compare what may round otherwise: within :data:`HALF` on average."""
    worst, mean, changed = _differences(found, wanted)
    refused = "" if mean <= HALF else f"the mean difference must be at most {HALF:g}"
    return Parity(what, len(wanted), worst, mean, changed, refused)


def told(what: str, found: Shares, wanted: Shares) -> Parity:
    """Compare what is only to be known."""
    return Parity(what, len(wanted), *_differences(found, wanted))


def beliefs(what: str, found: Shares, wanted: Shares) -> Parity:
    """Compare the beliefs ``[n]`` in images: each within :data:`BELIEF`.

    So ``known`` is the same but of an image that is that near the limit.
    """
    same = found.shape == wanted.shape and bool(np.isfinite(found).all())
    each = np.abs(found - wanted) if same else np.full(len(wanted), np.inf)
    changed = int(((found > LIMIT) != (wanted > LIMIT)).sum()) if same else len(wanted)
    worst, mean = float(each.max()), float(each.mean())
    refused = "" if worst <= BELIEF else f"no belief may differ by more than {BELIEF:g}"
    return Parity(what, len(wanted), worst, mean, changed, refused, "beliefs")


def check(parities: Sequence[Parity], headline: str, remedy: str) -> None:
    """Refuse where a comparison came out wrong.

    Raises:
        RunError: with the figures.
    """
    wrong = [f"{in_words(parity)}; {parity.refused}" for parity in parities if parity.refused]
    if wrong:
        raise RunError(headline, [*wrong, remedy])


def in_words(parity: Parity) -> str:
    """Return the comparison as a sentence."""
    if parity.of == "beliefs":
        classes = f"{parity.changed or 'none'} of them known to one alone"
    else:
        same = "every class is the same"
        classes = f"{parity.changed} classes differ" if parity.changed else same
    return (
        f"{parity.what}: {parity.of} differ by up to {parity.worst:.1e}, {parity.mean:.1e} on "
        f"average over {parity.images} images; {classes}"
    )


def _differences(found: Shares, wanted: Shares) -> tuple[float, float, int]:
    """Return the largest difference, the mean of each image's, and how many classes differ."""
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf"), float("inf"), len(wanted)
    each = np.abs(found - wanted).max(axis=1)
    changed = found.argmax(axis=1) != wanted.argmax(axis=1)
    return float(each.max()), float(each.mean()), int(changed.sum())
