"""How well images tell the classes of others without any fit: by their nearest neighbours."""

import numpy as np
from numpy.typing import NDArray

MOST = 2_000
"""Images whose neighbours are looked for."""


def neighbours(
    x: NDArray[np.float16], labels: NDArray[np.intp], groups: NDArray[np.intp], k: int = 5
) -> float:
    """Accuracy of the ``k`` nearest neighbours by cosine, own group left out (2,000 images)."""
    nearest, weight = _nearest(x[:MOST], groups[:MOST], k)
    labels = labels[:MOST]
    votes = np.zeros((len(nearest), int(labels.max()) + 1), np.float32)
    np.add.at(votes, (np.arange(len(nearest))[:, None], labels[nearest]), weight)
    return float((votes.argmax(1) == labels).mean())


def near_mean(
    x: NDArray[np.float16], targets: NDArray[np.float32], groups: NDArray[np.intp], k: int = 5
) -> NDArray[np.float32]:
    """Mean target ``[n, K]`` of the same neighbours, of the first 2,000 images."""
    nearest, weight = _nearest(x[:MOST], groups[:MOST], k)
    total = sum(weight[:, [one]] * targets[nearest[:, one]] for one in range(nearest.shape[1]))
    found: NDArray[np.float32] = total / weight.sum(1, keepdims=True)
    return found


def _nearest(
    x: NDArray[np.float16], groups: NDArray[np.intp], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Which are nearest to each image, ``[n, k]``, and how much each counts; 0 of its own group."""
    x = x.astype(np.float32)
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    near = x @ x.T
    near[groups[:, None] == groups[None, :]] = -np.inf
    k = min(k, len(x) - 1)
    nearest = np.argpartition(-near, k - 1, axis=1)[:, :k]
    return nearest, np.exp(np.take_along_axis(near, nearest, 1))
