"""Heads from sums over blocks are those of all images at once, to rounding."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from regraft.heads import average
from regraft.heads.average import Part, averaged_of, fit_average
from regraft.heads.moments import moments
from regraft.heads.ridge import class_weights, columns, scale_of

WIDTHS, CLASSES = [6, 10, 20], 4
PARTS = [Part((2,), 1.0, 0.5, 0.3), Part((0, 1, 2), 0.3, 0.3, 0.2), Part((1, 2), 3.0, 0.2, 0.4)]


def drawn(n: int = 900) -> tuple[Any, Any]:
    """Features class by class, far from zero and of very different spread."""
    random = np.random.default_rng(0)
    labels = np.sort(random.choice(CLASSES, n, p=[0.4, 0.3, 0.2, 0.1]))
    spread = 10 ** random.uniform(-2, 1, sum(WIDTHS))
    centres = random.normal(5, 2, (CLASSES, sum(WIDTHS)))
    x = (centres[labels] + random.normal(size=(n, sum(WIDTHS)))) * spread
    return x.astype(np.float16), labels


def in_float64(x: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
    """The average of the parts as the formula has it, from all images at once."""
    w = weights.astype(np.float64)
    mean = w @ x.astype(np.float64) / w.sum()
    z = x.astype(np.float64) - mean
    scale = scale_of(w @ z**2 / w.sum(), WIDTHS)
    z *= scale
    targets = np.eye(CLASSES)[labels]
    share = w @ targets / w.sum()
    weight = np.zeros((len(mean), CLASSES))
    for part in PARTS:
        own = columns(WIDTHS, part.taps)
        gram = (z[:, own] * w[:, None]).T @ z[:, own]
        gram += np.eye(len(own)) * part.strength * len(part.taps)
        right = (z[:, own] * w[:, None]).T @ (targets - share)
        weight[own] += part.weight / part.scale * np.linalg.solve(gram, right)
    weight *= scale[:, None]
    bias = share * sum(part.weight / part.scale for part in PARTS) - mean @ weight
    return weight.T, bias


@pytest.mark.parametrize("weighting", ["none", "balanced"])
@pytest.mark.parametrize("some", [False, True], ids=["all", "some of the images"])
@pytest.mark.parametrize("block", [7, 2048])
def test_they_are_those_of_all_images_at_once(
    weighting: str, some: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels = drawn()
    rows = np.flatnonzero(np.arange(len(x)) % 3) if some else None
    y = labels if rows is None else labels[rows]
    monkeypatch.setattr(average, "IN_MEMORY", 0)
    monkeypatch.setattr(average, "BLOCK", block)
    head = fit_average(x, WIDTHS, y, CLASSES, PARTS, weighting, rows)
    wanted, bias = in_float64(
        x if rows is None else x[rows], y, class_weights(y, CLASSES, weighting)
    )
    most = np.abs(wanted).max()
    np.testing.assert_allclose(head.weight, wanted, rtol=0, atol=1e-7 * most)
    np.testing.assert_allclose(head.bias, bias, rtol=0, atol=1e-6 * np.abs(bias).max())


def test_small_sets_are_fitted_in_memory_to_the_same_within_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, labels = drawn()
    monkeypatch.setattr(average, "moments", None)  # never asked
    inside = fit_average(x, WIDTHS, labels, CLASSES, PARTS)
    wanted, _ = in_float64(x, labels, np.ones(len(x), np.float32))
    np.testing.assert_allclose(inside.weight, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_the_sums_of_two_machines_are_those_of_both() -> None:
    x, labels = drawn()
    pilot = x[::50].astype(np.float32).mean(0)
    ones = np.ones(len(x), np.float32)

    def of(rows: slice) -> Iterator[tuple[Any, Any, Any]]:
        yield x[rows], labels[rows], ones[rows]

    whole = moments(of(slice(None)), CLASSES, pilot)
    parts = moments(of(slice(0, 500)), CLASSES, pilot) + moments(
        of(slice(500, None)), CLASSES, pilot
    )
    both, one = (averaged_of(each, WIDTHS, (0, 1, 2), PARTS) for each in (parts, whole))
    np.testing.assert_allclose(
        both.weight, one.weight, rtol=0, atol=1e-7 * np.abs(one.weight).max()
    )
    other = moments(of(slice(None)), CLASSES, pilot + 1)
    with pytest.raises(ValueError, match="different pilots"):
        whole + other
    with pytest.raises(ValueError, match="no image"):
        moments(iter(()), CLASSES)


def test_of_depths_that_lie_apart_no_copy_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average, "IN_MEMORY", 0)
    x, widths, rows = np.zeros((40_000, 96), np.float16), (32, 32, 32), np.arange(10)
    x[::2] = 1
    tracemalloc.start()
    head = fit_average(x, widths, rows % 2, 2, [Part((0, 2), 1.0, 1.0, 1.0)], rows=rows)
    head.logits_of(x, widths, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 8
