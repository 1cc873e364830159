"""What the kept images are labelled with, as the heads take it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import Dataset
from regraft.data.kinds import NUMBER, ONE
from regraft.data.targets import strata_of, targets_of


@dataclass(frozen=True, eq=False)
class LabelValues:
    """Names of the classes (the labels, the number) and what each kept image has of them.

    ``values``: places in ``classes`` ``[n]``; of several labels and numbers targets ``[n, K]``.
    ``strata`` ``[n]``: what splits keep even there. ``units``: mean and standard deviation of a
    number over the training images, in which its ``values`` are.
    """

    classes: tuple[str, ...]
    values: NDArray[Any]
    strata: NDArray[np.intp] | None = None
    units: tuple[float, float] = (0.0, 1.0)

    @property
    def even(self) -> NDArray[np.intp]:
        """What splits and folds keep even, ``[n]``."""
        return self.values if self.strata is None else self.strata

    @classmethod
    def of(cls, dataset: Dataset, kept: NDArray[np.intp], train: NDArray[np.intp]) -> "LabelValues":
        """Return those of the ``kept`` images, of which ``train`` (places among them) train."""
        if dataset.kind == ONE:
            names = dataset.columns.labels
            there, values = np.unique(names.codes[kept], return_inverse=True)
            return cls(tuple(names.different[code] for code in there), values)
        found = targets_of(dataset, kept)
        strata = strata_of(found)
        if dataset.kind != NUMBER:
            return cls(found.names, found.values, strata)
        own = found.values[train].astype(np.float64)
        mean, spread = float(own.mean()), float(own.std()) or 1.0
        scaled = ((found.values - mean) / spread).astype(np.float32)
        return cls(found.names, scaled, strata, (mean, spread))
