"""How far what was exported is from the RUN, and whether that may be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError
from regraft.heads.known import LIMIT
from regraft.heads.tasks import AnswerRule

EXACT = 1e-4
"""A probability may differ by this much from that of the float32 network; a number by as much of
its spread over the training images."""

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""And a number by this share of itself, which is how finely float32 tells it."""

HALF = 1e-2
"""Half precision may differ by this much on average: a single image near the border of two classes
moves by several percent, whichever of the two is asked."""

BELIEF = 1e-2
"""A belief may differ by this much from regraft's own: some of some hundred own images that lie as
near."""

APART = 0.1
"""The same of several labels, of which the largest difference of many counts, and of numbers, as a
share of their spread: EfficientNet-Lite0 in bfloat16 came to 0.010 of nineteen labels of clothes
and to 0.016 of the brightness of photos, but to 0.066 of the labels by a textbook's layer, which
has overfitted. The answers to other images come to 0.25 to 1.2."""

Shares = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Parity:
    """One comparison of answers to some images.

    ``worst`` is the largest difference, ``mean`` the mean over the images of the largest of each;
    both of probabilities, or of numbers as a share of their spread over the training images.
    ``changed`` counts the images whose likeliest class is another, or of several labels those that
    are given others. ``refused`` says why this may not be; empty if it may.
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


def exact(what: str, found: Shares, wanted: Shares, rule: AnswerRule | None = None) -> Parity:
    """Compare what must be the same: every answer within :data:`EXACT`, every class equal.

    ``rule``: of several labels, of which another may be given only where its probability is that
    near its threshold; or of a number.
    """
    compared = told(what, found, wanted, rule)
    if rule is not None and rule.kind == "number":
        most = EXACT + ROUNDING * float(np.abs(wanted).max()) / rule.spread
        refused = f"no number may differ by more than {most:.1g} of the spread"
    else:
        most = EXACT
        refused = f"no probability may differ by more than {EXACT:g}"
        refused += ", and no class" if rule is None else ""
    fits = compared.worst <= most and not (rule is None and compared.changed)
    return compared if fits else replace(compared, refused=refused)


def near(what: str, found: Shares, wanted: Shares, rule: AnswerRule | None = None) -> Parity:
    """Compare what may round otherwise: within :data:`HALF` (:data:`APART`) on average."""
    compared, most = told(what, found, wanted, rule), HALF if rule is None else APART
    refused = "" if compared.mean <= most else f"the mean difference must be at most {most:g}"
    return replace(compared, refused=refused)


def told(what: str, found: Shares, wanted: Shares, rule: AnswerRule | None = None) -> Parity:
    """Compare what is only to be known."""
    of = "probabilities" if rule is None else {"several": "labels", "number": "numbers"}[rule.kind]
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return Parity(what, len(wanted), float("inf"), float("inf"), len(wanted), of=of)
    each, changed = np.abs(found - wanted).max(axis=1), np.zeros(len(wanted), bool)
    if rule is None:
        changed = found.argmax(axis=1) != wanted.argmax(axis=1)
    elif rule.kind == "several":
        given = [one >= np.asarray(rule.thresholds) for one in (found, wanted)]
        changed = (given[0] != given[1]).any(axis=1)
    else:
        each = each / rule.spread
    return Parity(
        what, len(wanted), float(each.max()), float(each.mean()), int(changed.sum()), of=of
    )


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
    changed = parity.changed
    of, last = {
        "beliefs": ("beliefs", f"; {changed or 'none'} of them known to one alone"),
        "probabilities": (
            "probabilities",
            f"; {changed} classes differ" if changed else "; every class is the same",
        ),
        "labels": (
            "probabilities",
            f"; the labels of {changed} images differ" if changed else "; every label is the same",
        ),
        "numbers": ("numbers, as a share of their spread,", ""),
    }[parity.of]
    return (
        f"{parity.what}: {of} differ by up to {parity.worst:.1e}, {parity.mean:.1e} on "
        f"average over {parity.images} images{last}"
    )
