"""Several labels and numbers are trained with a loss of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from regraft.finetune import predict
from regraft.heads.losses import LOSSES
from regraft.heads.tasks import task_of
from regraft.networks.surgery import restore
from scenes import KINDS
from smallnet import record, small
from smallrace import LAST, images, pictures, race, recipe


@pytest.mark.parametrize(
    ("kind", "most"), [("several", 0.9), ("number", 0.6)], ids=["several labels", "a number"]
)
def test_several_labels_and_numbers_are_trained_with_their_own_loss(
    kind: str, most: float, tmp_path: Path
) -> None:
    """Each picture has the label of its kind and that of the one before, or numbers of its kind."""
    hot = np.eye(len(KINDS), dtype=np.float32)[images().labels]
    targets = np.maximum(hot, np.roll(hot, 1, axis=1)) if kind == "several" else 2 * hot - 0.7
    some, task = replace(images(), labels=targets, task=task_of(kind)), task_of(kind)
    done = race(tmp_path, recipe(epochs=12, rates=(3e-2,), refit=False, smoothing=0.0), some=some)
    assert {row.measure for row in done.rows} == {task.words.measure}
    truth = targets[some.val]
    assert task.merit(done.shares, truth) > most
    config = {"backbone": record().to_json(), "taps": (LAST,), "classes": KINDS}
    network = restore(config, done.state, small())
    logits = predict(network, pictures().__getitem__, some.val.tolist(), record())
    assert_allclose(task.shares(logits), done.shares, atol=1e-4)
    assert done.loss == pytest.approx(float(np.square(done.shares - truth).sum(1).mean()), rel=1e-5)


def test_losses_of_targets_are_those_of_their_formulas() -> None:
    logits, truth = torch.tensor([[0.5, -2.0], [3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    ones = torch.ones(2)
    p = torch.sigmoid(logits)
    for smoothing in (0.0, 0.2):
        target = truth * (1 - smoothing) + smoothing / 2
        wanted = -(target * p.log() + (1 - target) * (1 - p).log()).sum(1)
        assert_allclose(LOSSES["several"](logits, truth, ones, smoothing), wanted, rtol=1e-5)
    assert_allclose(LOSSES["number"](logits, truth, ones, 0.1), [2.125, 5.0])
