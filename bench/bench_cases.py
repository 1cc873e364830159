"""All four cases on the same images: accuracy and seconds of each, and what would be handed over.

    python bench/bench_cases.py --data FOLDER --out bench_cases.json

For each set, number of images a class (0: all, at most 400) and seed: draw the training images,
fit or train every arm on them, and judge each once on the rest (at most 1,000). EfficientNet-Lite0
at 128 px, so that two cores can train it; the frozen arms see the same 128 px.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from bench_depths import draw, some_of
from regraft import finetune, heads
from regraft.evidence import Evidence, candidates_of, gather
from regraft.finetune import Images, Trained
from regraft.measure import Measured, Network, cache_folder, measure, open_network
from regraft.plan import Choices
from regraft.splits import validation
from regraft.surgery import restore
from regraft.training import Training, textbook, tuned

SETS = "hymenoptera,clothing,sign_digits,weather,rsscn7_satellite,spoken_digit_spectrograms"
MIRRORED = {"hymenoptera", "clothing", "weather", "rsscn7_satellite", "flowers5", "cifar10"}


def main() -> None:
    """Run all arms on all sets; write the JSON as it grows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_cases.json"))
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--counts", default="20,0")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--arms", default="textbook,tuned,scratch")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    network = open_network("efficientnet-lite0")
    view = replace(network.backbone.view, size=given.size)
    network = Network(replace(network.backbone, view=view), network.build)
    for name in given.sets.split(","):
        measured = measure(some_of(given.data / name), network, Choices())
        for count in map(int, given.counts.split(",")):
            for seed in range(given.seeds):
                row = run(measured, count, seed, given.arms.split(","))
                rows.append({"set": name, "n": count, "seed": seed, **row})
                print(json.dumps(rows[-1]), flush=True)
                document = {"machine": machine.describe(), "rows": rows}
                given.out.write_text(json.dumps(document, indent=1))


def run(measured: Measured, count: int, seed: int, arms: Sequence[str]) -> dict[str, Any]:
    """Every arm on one draw."""
    train, test = draw(measured.labels, measured.audit.groups, count or 10**9, seed)
    test = test[:1000]
    evidence = gather(
        measured.features[train],
        measured.network.backbone.widths,
        measured.labels[train],
        measured.classes,
        measured.audit.groups[train],
        candidates=candidates_of(len(measured.network.backbone.stages)),
        seed=seed,
        shift=measured.shift,
    )
    part, val = validation(measured.labels[train], measured.audit.groups[train], seed)
    out: dict[str, Any] = {"images": len(train), "similarity": evidence.similarity, "arms": {}}
    last = len(measured.network.backbone.stages) - 1
    for case, probes in (
        (1, [p for p in evidence.probes if p.taps[-1] == last]),
        (2, [p for p in evidence.probes if p.taps[-1] < last]),
    ):
        best = min(probes, key=lambda p: p.loss)
        out["arms"][f"case {case}"] = frozen(measured, train, test, part, val, best)
    chosen = evidence.probes[evidence.chosen]
    out["arms"]["frozen"] = frozen(measured, train, test, part, val, chosen)
    for arm in arms:
        recipe = recipe_of(arm, measured, evidence, len(train))
        out["arms"][arm] = trained(measured, train, test, part, val, recipe, evidence, seed)
    return out


def frozen(
    measured: Measured,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    part: NDArray[np.intp],
    val: NDArray[np.intp],
    probe: Any,
) -> dict[str, Any]:
    """A head on some depths: on all for the test, on ``part`` for the validation images."""
    start = time.perf_counter()
    widths, classes = measured.network.backbone.widths, len(measured.classes)
    own = heads.columns(widths, probe.taps)

    def right(rows: NDArray[np.intp], on: NDArray[np.intp]) -> list[bool]:
        head = heads.fit(
            measured.features[rows],
            widths,
            measured.labels[rows],
            classes,
            probe.taps,
            probe.strength,
        )
        hits = head.logits(measured.features[on][:, own]).argmax(1) == measured.labels[on]
        return [bool(hit) for hit in hits]

    got = float(np.mean(right(train, test)))
    hits = right(train[part], train[val])
    return {
        "test": got,
        "validation": float(np.mean(hits)),
        "hits": hits,
        "taps": probe.taps,
        "seconds": time.perf_counter() - start,
    }


def recipe_of(arm: str, measured: Measured, evidence: Evidence, images: int) -> Training:
    """The recipe of an arm."""
    backbone = measured.network.backbone
    if arm == "textbook":
        mirror = measured.dataset.name in MIRRORED
        book = textbook(backbone, init="pretrained", images=images, weighting="none")
        return replace(book, mirror=mirror)
    last = len(backbone.stages) - 1
    best = min((p for p in evidence.probes if p.taps[-1] == last), key=lambda p: p.loss)
    return tuned(
        backbone,
        init="random" if arm == "scratch" else "pretrained",
        taps=best.taps,
        images=images,
        mirror=measured.dataset.name in MIRRORED,
        weighting="none",
    )


def trained(
    measured: Measured,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    part: NDArray[np.intp],
    val: NDArray[np.intp],
    recipe: Training,
    evidence: Evidence,
    seed: int,
) -> dict[str, Any]:
    """Train by a recipe; accuracy on the test and validation images."""
    backbone, kept = measured.network.backbone, measured.audit.kept
    widths, labels = backbone.widths, measured.labels
    [probe] = [p for p in evidence.probes if p.taps == recipe.taps]

    def head(some: NDArray[np.intp]) -> heads.Head:
        rows, classes = train[some], len(measured.classes)
        made = heads.fit(
            measured.features[rows], widths, labels[rows], classes, recipe.taps, probe.strength
        )
        return made.scaled(evidence.temperature)

    images = Images(measured.dataset.read, [kept[i] for i in train], labels[train], part, val)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        done: Trained = finetune.train(
            images,
            backbone,
            measured.network.build,
            measured.classes,
            recipe,
            head=head,
            seed=seed,
            folder=Path(place),
            cache=cache_folder(None),
        )
    seconds = time.perf_counter() - start
    config = {"backbone": backbone.to_json(), "taps": recipe.taps, "classes": measured.classes}
    module = None if backbone.architecture else measured.network.build()
    network = restore(config, done.state, module)
    logits = finetune.predict(network, measured.dataset.read, [kept[i] for i in test], backbone)
    hits = done.shares.argmax(1) == labels[train][val]
    return {
        "test": float((logits.argmax(1) == labels[test]).mean()),
        "validation": float(hits.mean()),
        "hits": [bool(hit) for hit in hits],
        "taps": recipe.taps,
        "rate": done.rate,
        "epochs": done.epochs,
        "of": recipe.epochs,
        "shown": done.shown,
        "precision": done.precision,
        "images_per_second": done.images_per_second,
        "problem": done.problem,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
