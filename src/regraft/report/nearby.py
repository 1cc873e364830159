"""Images on a plane, those that are alike to the network next to each other: t-SNE in NumPy.

Of three sets of five and ten classes 58 to 81 % of an image's five nearest on this plane were of
its own class; on the plane of the two first principal components 37 to 45 %. With 500 images it
takes half a second on one core, with 1,000 three. scikit-learn's told as much, in 0.5 to 1.5 s, and
one to two more to be imported, which a fit from the cache needs for nothing else.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 500
"""Images on the plane: the time grows with their square."""

PERPLEXITY = 30
"""How many neighbours an image has, about; a third of the images where they are few."""

COMPONENTS = 30
"""Principal components that distances are taken in."""

STEPS, EARLY, PULL = 250, 80, 12.0
"""Steps in all, and first ones in which what belongs together is pulled together harder."""

NEAREST = 5
"""Neighbours that are asked for their class."""

Floats = NDArray[np.float32]


def plane(features: NDArray[np.floating]) -> Floats:
    """Return a place for each image, ``[n, P]`` -> ``[n, 2]``; the same for the same features.

    Source: L. van der Maaten and G. Hinton, Visualizing data using t-SNE, JMLR 9 (2008) 2579-2605;
    the start (principal components) and the step size are those of D. Kobak and P. Berens, The art
    of using t-SNE for single-cell transcriptomics, Nature Communications 10 (2019) 5416.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # of products so small threads wait longer than they work
        return _placed(_components(_standardised(features), COMPONENTS))


def _placed(start: Floats) -> Floats:
    """Return the places, from principal components to begin with."""
    together = _together(start)
    n = len(start)
    y = start[:, :2] / (start[:, 0].std() or 1.0) * np.float32(1e-4)
    speed, gain = np.zeros_like(y), np.ones_like(y)
    near, force = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    rate = max(n / PULL / 4, 50.0)
    for step in range(STEPS):
        length = (y * y).sum(1) + 0.5  # near: 1 / (1 + distance²), Student's t
        np.matmul(y, -2 * y.T, out=near)
        near += length[:, None]
        near += length
        np.reciprocal(near, out=near)
        np.fill_diagonal(near, 0)
        np.multiply(near, -1 / near.sum(), out=force)
        force += together * np.float32(PULL) if step < EARLY else together
        force *= near
        slope = 4 * (force.sum(1)[:, None] * y - force @ y)
        gain = np.where((slope > 0) != (speed > 0), gain + 0.2, gain * 0.8).clip(0.01)
        momentum = 0.5 if step < EARLY else 0.8
        speed = (momentum * speed - rate * gain * slope).astype(np.float32)
        y = y + speed
    return np.asarray(y - y.mean(0), np.float32)


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


def _together(x: Floats) -> Floats:
    """Return how much each pair belongs together ``[n, n]``; all add up to 1.

    Each image's width is found by bisection, so that it has as many neighbours as the others.
    """
    n = len(x)
    squares = (x * x).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * (x @ x.T), 0)
    np.fill_diagonal(apart, np.inf)
    apart -= apart.min(1, keepdims=True)
    finite = np.where(np.isfinite(apart), apart, 0)
    low, high = np.zeros(n), np.full(n, np.inf)
    narrow = 1 / np.maximum(np.median(finite, 1), 1e-12)
    aim = np.log(max(min(PERPLEXITY, (n - 1) / 3), 1.0))
    for _ in range(24):
        shares = np.exp(-apart * narrow[:, None])
        whole = shares.sum(1)
        spread = np.log(whole) + narrow * (shares * finite).sum(1) / whole
        low, high = np.where(spread > aim, narrow, low), np.where(spread > aim, high, narrow)
        narrow = np.where(np.isinf(high), narrow * 2, (low + high) / 2)
    shares /= whole[:, None]
    return np.asarray((shares + shares.T) / (2 * n), np.float32)
