"""How similar the new images are to those that the network was trained on, in 0..1.

Similarity is one thing, difficulty another: fine classes, wrong labels and small pictures make a
set hard and leave it as similar as it was. So where the network remembers what its source looked
like no label has a part in it, and without such a memory only a ratio of accuracies has.
"""

from collections.abc import Sequence

import numpy as np

SIMILAR = 0.5
"""From this similarity on a set counts as similar to the source."""

LINE = 0.7
"""Distance at which a set is half similar, as a share of that of pictures that show nothing.

Midway between the farthest set of photos and the nearest set of other pictures, of thirteen sets by
EfficientNet-Lite 0, 1 and 2 (``docs/benchmarks.md``).
"""


def later_half(shift: Sequence[float]) -> float:
    """Mean of the later half of the stages: early ones tell blur and contrast, not content."""
    return float(np.mean(shift[len(shift) // 2 :]))


def similarity_of(
    accuracies: Sequence[float], guess: float, shift: Sequence[float] | None, images: int
) -> float:
    """Similarity of the new images to the source, in 0..1.

    For networks with batch norm ``2 ** -((D / LINE) ** 2)``: ``D`` is the mean of ``shift``, the
    distances of the channels' statistics from the remembered ones
    (`regraft.features.norm_shift`), over the later half of the stages that have batch norm. 1
    at no distance, one half at :data:`LINE`. Neither the labels nor the number of images have a
    part in it.

    For other networks ``peak ** 2``: ``peak`` is what the last stage tells of the classes as a
    share of what the best one does, each as Cohen's kappa against the commonest class. A lead of
    the best stage within one standard error of an accuracy, the wider the fewer ``images``, does
    not count. Where no stage tells anything nothing speaks against similarity, and it is 1.

    Args:
        accuracies: cross-validated accuracy of a linear head at each depth.
        guess: accuracy of always naming the commonest class.
        shift: distance at each stage that has batch norm, nearest the image first; none without.
        images: how many images the accuracies were measured on.
    """
    if shift:
        return float(2.0 ** -np.square(later_half(shift) / LINE))
    reached = np.asarray(accuracies, np.float64)
    best = float(reached.max())
    error = float(np.sqrt(max(best * (1.0 - best), 0.0) / max(images, 1)))
    lead = max(best - float(reached[-1]) - error, 0.0)
    if best <= guess or not lead:
        return 1.0
    return float(np.square(max(1.0 - lead / (best - guess), 0.0)))
