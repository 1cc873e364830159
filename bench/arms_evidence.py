"""What the frozen network gives of a draw: its own figures, its heads and the evidence."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arms_judged import judged
from draws import average, sides, weights_of
from regraft.backbones import Backbone
from regraft.data.splits import folds, validation
from regraft.heads.ridge import STRENGTHS, Head, Taps, columns, cross_validate, fit
from regraft.metrics import fit_temperature, softmax
from regraft.plan.evidence import candidates_of, fold_count, gather
from regraft.run.measure import Measured
from regraft.run.mirror import keeps

SHARP = 10.0
MOST = 1000
"""Images that are trained on at most."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A draw and what the frozen network gives for it.

    ``train`` and ``test`` are numbers of images of ``read``; ``part`` and ``val`` places in
    ``train``. ``head`` (on ``part``) and ``whole`` (on all of ``train``) are ``(weight, bias)`` on
    all depths. ``frozen`` holds the logits of the frozen network's own head, the mean of all,
    calibrated: ``val`` and ``test`` of the one on ``part``, ``all`` of that on all, for the test.
    """

    row: dict[str, Any]
    backbone: Backbone
    classes: tuple[str, ...]
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    part: NDArray[np.intp]
    val: NDArray[np.intp]
    y_train: NDArray[np.intp]
    y_test: NDArray[np.intp]
    taps: tuple[int, ...]
    head: tuple[NDArray[np.float32], NDArray[np.float32]]
    whole: tuple[NDArray[np.float32], NDArray[np.float32]]
    frozen: Mapping[str, NDArray[np.float32]]
    mirror: bool
    similar: bool
    seed: int


class Heads:
    """The heads of some candidates on some images: cross-validated, then one on all of them."""

    def __init__(
        self, measured: Measured, rows: NDArray[np.intp], among: Sequence[Taps], seed: int
    ) -> None:
        self._widths, self._classes = measured.network.backbone.widths, len(measured.classes)
        self._x, self._y = measured.features[rows], measured.labels[rows]
        self._among = list(among)
        groups = measured.audit.groups[rows]
        fold = folds(self._y, groups, fold_count(groups), seed)
        scores = cross_validate(
            self._x, self._widths, self._y, self._classes, fold, self._among, STRENGTHS
        )
        target = np.eye(self._classes, dtype=np.float32)[self._y]
        loss = np.array([[np.square(s - target).sum(1).mean() for s in c] for c in scores])
        self._best, self._loss = loss.argmin(1), loss.min(1)
        self._logits = [scores[c, b].astype(np.float32) for c, b in enumerate(self._best)]
        self._heats = [fit_temperature(z, self._y) for z in self._logits]

    def one(self, keep: Sequence[int]) -> tuple[Head, NDArray[np.float32]]:
        """The mean of some, calibrated, and the logits it gives images that it did not see."""
        shares = weights_of(self._loss[list(keep)], SHARP)
        heats = [self._heats[c] for c in keep]
        mixed = np.sum(
            [s * self._logits[c] / t for s, c, t in zip(shares, keep, heats, strict=True)], axis=0
        )
        heat = fit_temperature(mixed, self._y)
        heads = [
            fit(
                self._x,
                self._widths,
                self._y,
                self._classes,
                self._among[c],
                STRENGTHS[self._best[c]],
            )
            for c in keep
        ]
        return average(heads, heats, shares, self._widths).scaled(heat), mixed / heat


def examined(
    measured: Measured, name: str, size: int, draw: int, *, px: int, most: int = MOST
) -> Examined:
    """Ask the frozen network about one draw."""
    began = time.process_time()
    record, y = measured.network.backbone, measured.labels
    train, test = sides(measured, size, draw)
    if len(train) > most:
        train = np.sort(np.random.default_rng(draw).permutation(train)[:most])
    groups, widths = measured.audit.groups[train], record.widths
    among, last = candidates_of(len(widths)), len(widths) - 1
    every = list(range(len(among)))
    late = [c for c in every if among[c][-1] == last]
    part, val = validation(y[train], groups, draw)
    evidence = gather(
        measured.features[train],
        widths,
        y[train],
        measured.classes,
        groups,
        candidates=among,
        seed=draw,
        shift=measured.shift,
    )
    on_all, on_part = Heads(measured, train, among, draw), Heads(measured, train[part], among, draw)
    whole, unseen = on_all.one(every)
    own, _ = on_part.one(every)
    start, start_all = on_part.one(late)[0], on_all.one(late)[0]
    mirror = keeps(
        replace(measured, split=replace(measured.split, train=train)), evidence, "none", draw
    )

    def of(head: Head, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return head.logits(measured.features[rows][:, columns(widths, head.taps)])

    frozen = {"val": of(own, train[val]), "test": of(own, test), "all": of(whole, test)}
    beginning = {"test": of(start, test), "all": of(start_all, test)}
    curve = learning_curve(measured, train, among, draw)
    right = unseen.argmax(1) == y[train]
    row: dict[str, Any] = {
        **{"backbone": record.name, "px": px, "set": name, "size": size, "draw": draw},
        **{"classes": len(measured.classes), "train": len(train), "test": len(test)},
        **{"part": len(part), "val": len(val)},
        "per_class": np.bincount(y[train], minlength=len(measured.classes)).tolist(),
        "frozen_all": judged(softmax(frozen["all"]), y[test], "test"),
        "frozen_part": {
            **judged(softmax(frozen["test"]), y[test], "test"),
            **judged(softmax(frozen["val"]), y[train[val]], "val"),
        },
        "start_part": judged(softmax(beginning["test"]), y[test], "test"),
        "start_all": judged(softmax(beginning["all"]), y[test], "test"),
        "evidence": {
            "average_accuracy": float(right.mean()),
            **judged(softmax(unseen), y[train], "average"),
            "curve": curve,
            "expected": evidence.expected,
            "headroom": evidence.headroom,
            "similarity": evidence.similarity,
            "similar": evidence.similar,
            "guess": evidence.guess,
            "depths": [p.accuracy for p in evidence.depths],
            "depth_losses": [p.loss for p in evidence.depths],
            "probes": [[list(p.taps), p.accuracy, p.loss, p.strength] for p in evidence.probes],
            "chosen": list(evidence.probes[evidence.chosen].taps),
            "neighbours": evidence.neighbours,
            "shift": evidence.shift,
            "temperature": evidence.temperature,
            "size": evidence.size,
            "mirror": mirror,
            "multiply_adds": record.multiply_adds_to[-1],
            "parameters": record.parameters_to[-1],
            "view": record.view.size,
        },
        "examined_seconds": time.process_time() - began,
    }
    return Examined(
        row=row,
        backbone=record,
        classes=measured.classes,
        train=train,
        test=test,
        part=part,
        val=val,
        y_train=y[train],
        y_test=y[test],
        taps=start.taps,
        head=(start.weight, start.bias),
        whole=(start_all.weight, start_all.bias),
        frozen=frozen,
        mirror=mirror,
        similar=evidence.similar,
        seed=draw,
    )


def learning_curve(
    measured: Measured, train: NDArray[np.intp], among: Sequence[Taps], seed: int
) -> dict[str, list[float]]:
    """Cross-validated accuracy and squared error of the mean of heads, by share of the images."""
    found = {}
    y = measured.labels[train]
    order = np.random.default_rng(seed).permutation(len(train))
    for share in (0.25, 0.5):
        few = [order[y[order] == c] for c in range(len(measured.classes))]
        some = np.sort(np.concatenate([f[: max(2, round(share * len(f)))] for f in few]))
        _, unseen = Heads(measured, train[some], among, seed).one(range(len(among)))
        got = judged(softmax(unseen), y[some], "cv")
        found[f"{share:g}"] = [len(some), *got.values()]
    return found
