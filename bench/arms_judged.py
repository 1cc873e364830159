"""What states of a network get, beside the frozen one on the same images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flat_training import Vector, logits_of
from regraft.metrics import fit_temperature, softmax

Inputs = tuple[Any, ...]


class Judge:
    """What states of a network get on the validation and test images, beside the frozen one."""

    def __init__(
        self,
        vector: Vector,
        inputs: tuple[Inputs, Inputs],
        truths: tuple[NDArray[np.intp], NDArray[np.intp]],
        frozen: NDArray[np.float32],
    ) -> None:
        """Take both sides, validation first, and the frozen network's logits of the first."""
        self._vector, self._inputs, self._truths = vector, inputs, truths
        self._frozen = softmax(frozen)
        self._logits: dict[str, list[NDArray[np.float32]]] = {}
        self.figures: dict[str, dict[str, float]] = {}

    def hear_of(self, states: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
        """Judge states; where no epoch was better than the start, they are the start."""
        vector = self._vector
        for name, flat in states.items():
            if "start" in self._logits and torch.equal(flat, vector.start):
                self.figures[name], self._logits[name] = (
                    self.figures["start"],
                    self._logits["start"],
                )
                continue
            self._hear(name, [logits_of(vector, flat, i) for i in self._inputs])
        return self.figures

    def mix(self, name: str, of: Sequence[str]) -> dict[str, dict[str, float]]:
        """Judge the mean of the calibrated logits of some states."""
        self._hear(name, [np.mean([self._logits[o][k] for o in of], 0) for k in (0, 1)])
        return self.figures

    def _hear(self, name: str, found: list[NDArray[np.float32]]) -> None:
        if not all(np.isfinite(f).all() for f in found):
            found = [np.zeros_like(f) for f in found]
        truth, of_test = self._truths
        heat = fit_temperature(found[0], truth)
        self._logits[name] = [f / heat for f in found]
        val, test = (softmax(f) for f in self._logits[name])
        self.figures[name] = {
            **judged(test, of_test, "test"),
            **judged(val, truth, "val"),
            **beside(val, self._frozen, truth),
        }


def judged(shares: NDArray[Any], truth: NDArray[np.intp], what: str) -> dict[str, float]:
    """Accuracy, log loss and squared error."""
    right = np.maximum(shares[np.arange(len(truth)), truth], 1e-9)
    errors = np.square(shares - np.eye(shares.shape[1])[truth]).sum(1)
    return {
        f"{what}_accuracy": round(float((shares.argmax(1) == truth).mean()), 5),
        f"{what}_log_loss": round(float(-np.log(right).mean()), 5),
        f"{what}_squared": round(float(errors.mean()), 5),
    }


def beside(own: NDArray[Any], its: NDArray[Any], truth: NDArray[np.intp]) -> dict[str, float]:
    """``own`` against the frozen network on the same images: who is right, and by how much."""
    target, one = np.eye(own.shape[1])[truth], np.arange(len(truth))
    a, b = own.argmax(1) == truth, its.argmax(1) == truth
    squared = np.square(own - target).sum(1) - np.square(its - target).sum(1)
    logs = np.log(np.maximum(its[one, truth], 1e-9)) - np.log(np.maximum(own[one, truth], 1e-9))
    root = float(np.sqrt(max(len(truth) - 1, 1)))
    return {
        "n": len(truth),
        "won": int((a & ~b).sum()),
        "lost": int((b & ~a).sum()),
        "squared_gain": round(float(-squared.mean()), 5),
        "squared_gain_error": round(float(squared.std()) / root, 5),
        "log_gain": round(float(-logs.mean()), 5),
        "log_gain_error": round(float(logs.std()) / root, 5),
    }
