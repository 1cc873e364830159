"""Whether an engine's features may stand in for the reference's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.features.engines.base import Agreement, Features
from regraft.heads import ridge

COSINE = 0.999
"""The least cosine between an image's features and the reference's, at every depth."""

SAME = 0.995
"""The least share of probe predictions that stay the same."""

_STRENGTH = 0.3  # L2 penalty of the probe: the middle of heads.STRENGTHS
_BINS = 4  # classes made up where there are no labels


def compare(
    reference: Features,
    other: Features,
    widths: Sequence[int],
    labels: Sequence[int] | None = None,
) -> Agreement:
    """Compare two engines' features ``[n, sum widths]`` of the same images.

    Cosines are taken image by image, of each depth and of all depths side by side. Predictions
    are those of ridge probes fitted on the reference, one at each depth and one on all depths.
    """
    if not np.isfinite(other.astype(np.float32)).all():
        return Agreement(cosine=-1.0, depth=0, same=0.0, images=len(other))
    depths = [slice(end - width, end) for end, width in zip(np.cumsum(widths), widths, strict=True)]
    lowest = [_cosines(reference[:, d], other[:, d]).min() for d in [*depths, slice(None)]]
    worst = int(np.argmin(lowest[:-1]))
    return Agreement(
        cosine=float(min(lowest)),
        depth=worst,
        same=_same_predictions(reference, other, widths, _classes(reference, widths, labels)),
        images=len(reference),
    )


def objection(agreement: Agreement) -> str:
    """Why an engine that agrees this much may not be used; empty if it may."""
    if agreement.cosine < COSINE:
        found = f"{agreement.cosine:.5f} at depth {agreement.depth}"
        return (
            f"the cosine of its features with the reference must be {COSINE} or more, got {found}"
        )
    if agreement.same < SAME:
        return f"{SAME:.1%} of probe predictions must stay the same, got {agreement.same:.2%}"
    return ""


def _cosines(a: Features, b: Features) -> NDArray[np.float64]:
    """``[n]`` cosines of rows; two rows of zeros are the same."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    both_zero = ~x.any(axis=1) & ~y.any(axis=1)
    products = np.einsum("ij,ij->i", x, y)
    return np.where(both_zero, 1.0, products / np.where(norms > 0, norms, 1.0))


def _same_predictions(
    reference: Features, other: Features, widths: Sequence[int], labels: NDArray[np.intp]
) -> float:
    """Return the share of predictions that do not change, over all probes and images."""
    every = tuple(range(len(widths)))
    same = []
    for taps in [*((d,) for d in every), every]:
        head = ridge.fit(reference, widths, labels, labels.max() + 1, taps, _STRENGTH)
        own = ridge.columns(widths, taps)
        mine, its = (head.logits(x[:, own]).argmax(axis=1) for x in (reference, other))
        same.append(np.mean(mine == its))
    return float(np.mean(same))


def _classes(
    reference: Features, widths: Sequence[int], labels: Sequence[int] | None
) -> NDArray[np.intp]:
    """Return the images' labels, numbered from 0.

    Made up from the deepest features where all are one.
    """
    if labels is not None and len(set(labels)) > 1:
        return np.unique(labels, return_inverse=True)[1]
    x = reference[:, -widths[-1] :].astype(np.float32)
    x = x - x.mean(axis=0)
    along = np.linalg.svd(x, full_matrices=False)[0][:, 0]  # the widest direction among the images
    return along.argsort().argsort() * _BINS // len(along)
