"""What the frozen network gives of a draw: its own figures, its heads and the evidence."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arms_judged import judged
from draws import sides
from regraft.backbones import Backbone
from regraft.data.splits import validation
from regraft.heads.average import fit_average
from regraft.heads.ridge import Head, columns
from regraft.metrics import softmax
from regraft.plan.evidence import Evidence, Gathered, candidates_of, gather
from regraft.run.measure import Measured
from regraft.run.mirror import keeps

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
    seed: int


def made(
    measured: Measured, rows: NDArray[np.intp], seed: int, *, whole: bool = False
) -> tuple[Evidence, Head]:
    """The evidence of some images and the head that ``fit`` makes of it, calibrated.

    ``whole``: one that keeps the last stage, as a training starts from.
    """
    gathered, head = examined_head(measured, rows, seed, whole=whole)
    return gathered.evidence, head


def examined_head(
    measured: Measured, rows: NDArray[np.intp], seed: int, *, whole: bool = False
) -> tuple[Gathered, Head]:
    """Like `made`, with what cross-validation says of each image."""
    record, classes = measured.network.backbone, len(measured.classes)
    last = len(record.widths) - 1
    gathered = gather(
        measured.features[rows],
        record.widths,
        measured.labels[rows],
        measured.classes,
        measured.audit.groups[rows],
        candidates=candidates_of(last + 1),
        seed=seed,
        shift=measured.shift,
        end=last if whole else None,
    )
    evidence = gathered.evidence
    parts = evidence.probes[evidence.chosen].made_of
    labels, x = measured.labels[rows], measured.features
    head = fit_average(x, record.widths, labels, classes, parts, rows=rows)
    return gathered, head.scaled(evidence.temperature)


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
    part, val = validation(y[train], groups, draw)
    evidence, whole = made(measured, train, draw)
    _, own = made(measured, train[part], draw)
    _, start = made(measured, train[part], draw, whole=True)
    _, start_all = made(measured, train, draw, whole=True)
    mirror = keeps(
        replace(measured, split=replace(measured.split, train=train)), evidence, "none", draw
    )

    def of(head: Head, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return head.logits(measured.features[rows][:, columns(widths, head.taps)])

    frozen = {"val": of(own, train[val]), "test": of(own, test), "all": of(whole, test)}
    beginning = {"test": of(start, test), "all": of(start_all, test)}
    curve = learning_curve(measured, train, draw)
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
            "curve": curve,
            "expected": evidence.expected,
            "headroom": evidence.headroom,
            "similarity": evidence.similarity,
            "similar": evidence.similar,
            "guess": evidence.guess,
            "depths": [p.accuracy for p in evidence.depths],
            "depth_losses": [p.loss for p in evidence.depths],
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
        seed=draw,
    )


def learning_curve(
    measured: Measured, train: NDArray[np.intp], seed: int
) -> dict[str, list[float]]:
    """Images and expected accuracy, by share of the training images."""
    found = {}
    y = measured.labels[train]
    order = np.random.default_rng(seed).permutation(len(train))
    for share in (0.25, 0.5):
        few = [order[y[order] == c] for c in range(len(measured.classes))]
        some = np.sort(np.concatenate([f[: max(2, round(share * len(f)))] for f in few]))
        found[f"{share:g}"] = [len(some), made(measured, train[some], seed)[0].expected]
    return found
