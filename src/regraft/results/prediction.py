"""What a RUN says of one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.kinds import SEPARATOR
from regraft.heads.known import is_known
from regraft.heads.tasks.answer import AnswerRule


@dataclass(frozen=True)
class Prediction:
    """What one image is. ``top``: (class, share) of the likeliest, most likely first.

    Of several labels those that are given are among them. ``problem`` says why there is none; it is
    empty otherwise.
    """

    path: str
    top: tuple[tuple[str, float], ...] = ()
    problem: str = ""
    known: bool | None = None
    """Whether the image is like the training images at all; None where the RUN, an older one,
    cannot tell, or the image could not be read."""
    belief: float | None = None
    """In 0..1: of the training images, judged by what had not seen them, the share that is no
    better known than this one. ``known`` where it is above 0.05, as it is for 95 % of them."""
    labels: tuple[str, ...] | None = None
    """Of several labels: those that are given, at their thresholds, most likely first."""
    value: float | None = None
    """Of a number: it."""
    interval: tuple[float, float] | None = None
    """Where the true number lies, of 95 images in 100."""

    @property
    def label(self) -> str:
        """The likeliest class; empty where the image could not be read.

        Of several labels those that are given, joined by a bar; of a number the number.
        """
        if self.labels is not None:
            return SEPARATOR.join(self.labels)
        if self.value is not None:
            return f"{self.value:g}"
        return self.top[0][0] if self.top else ""

    @property
    def confidence(self) -> float:
        """Its calibrated share of probability, in 0..1; 0 where the image could not be read."""
        return self.top[0][1] if self.top else 0.0


def prediction_of(
    path: str,
    shares: NDArray[np.floating[Any]],
    classes: Sequence[str],
    rule: AnswerRule | None,
    *,
    top: int = 1,
    belief: float | None = None,
) -> Prediction:
    """Return what the answers ``[C]`` to one image say, with the ``top`` likeliest classes.

    Of several labels those that are given are among the named ones too.
    ``rule``: of several labels, or of a number; None for one label.
    """
    if rule is not None and rule.kind == "number":
        value = float(shares[0])
        return Prediction(
            path, value=value, interval=(value - rule.half_width, value + rule.half_width)
        )
    order = np.argsort(-shares, kind="stable").tolist()
    if rule is None:
        named = tuple((classes[k], float(shares[k])) for k in order[:top])
        return Prediction(path, named, known=is_known(belief), belief=belief)
    given = [k for k in order if shares[k] >= rule.thresholds[k]]
    told = [k for n, k in enumerate(order) if n < top or shares[k] >= rule.thresholds[k]]
    named = tuple((classes[k], float(shares[k])) for k in told)
    return Prediction(path, named, labels=tuple(classes[k] for k in given))
