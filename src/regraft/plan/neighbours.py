"""How well images tell the classes of others without any fit: by their nearest neighbours."""

import numpy as np
from numpy.typing import NDArray


def neighbours(
    x: NDArray[np.float16], labels: NDArray[np.intp], groups: NDArray[np.intp], k: int = 5
) -> float:
    """Accuracy of the ``k`` nearest neighbours by cosine, own group left out (2,000 images)."""
    x, labels, groups = x[:2000].astype(np.float32), labels[:2000], groups[:2000]
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    near = x @ x.T
    near[groups[:, None] == groups[None, :]] = -np.inf
    k = min(k, len(x) - 1)
    nearest = np.argpartition(-near, k - 1, axis=1)[:, :k]
    weight = np.exp(np.take_along_axis(near, nearest, 1))
    votes = np.zeros((len(x), int(labels.max()) + 1), np.float32)
    np.add.at(votes, (np.arange(len(x))[:, None], labels[nearest]), weight)
    return float((votes.argmax(1) == labels).mean())
