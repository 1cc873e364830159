"""All four cases on the same images: accuracy and seconds of each, and what would be handed over.

    python bench/bench_cases.py --data FOLDER --out bench_cases.json

For each number of images a class (0: all, which is 70 % of at most ``--most``), seed and set: draw
the training images, fit or train every arm on them, and judge each once on the rest (at most
1,000). EfficientNet-Lite0 at 96 px, so that two cores can train it; the frozen arms see the same
96 px. What is handed over follows from the rules of ``fit``; its cost is counted in seconds of the
processor, which other work on the machine disturbs least. A row that the file has is not run again.
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
from bench_depths import MOST, draw, some_of
from regraft import finetune
from regraft.data.splits import validation
from regraft.features.cache import cache_folder
from regraft.finetune import Images, Trained
from regraft.heads import ridge
from regraft.metrics import softmax
from regraft.networks.surgery import restore
from regraft.plan.choices import Choices
from regraft.plan.evidence import Evidence, candidates_of, gather
from regraft.plan.gain import worth_training
from regraft.plan.recipes import Training, textbook, tuned
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained, open_network
from regraft.run.selection import out_of_noise

SETS = "hymenoptera,clothing,sign_digits,weather,rsscn7_satellite,spoken_digit_spectrograms"
ARMS = ("case 1", "case 2", "textbook", "tuned", "scratch")
MIRRORED = {
    *("hymenoptera", "clothing", "weather", "rsscn7_satellite", "flowers5", "cifar10"),
    *("tiny_dogs6", "dtd10", "fashion_mnist"),
}


def main() -> None:
    """Run all arms on all sets; write the JSON as it grows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_cases.json"))
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--draws", default="20:0,20:1,20:2,0:0", help="images a class : seed")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--most", type=int, default=MOST, help="images a class to draw from")
    parser.add_argument("--arms", default="textbook,tuned,scratch")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if given.out.exists():
        before = json.loads(given.out.read_text())
        if (before["size"], before.get("most", MOST)) != (given.size, given.most):
            parser.error(f"{given.out} holds rows of another --size or --most")
        rows = before["rows"]
    network = open_network("efficientnet-lite0")
    view = replace(network.backbone.view, size=given.size)
    network = Pretrained(replace(network.backbone, view=view), network.build)
    for draw_of in given.draws.split(","):
        count, seed = map(int, draw_of.split(":"))
        for name in given.sets.split(","):
            if any((r["set"], r["n"], r["seed"]) == (name, count, seed) for r in rows):
                continue
            measured = measure(some_of(given.data / name, given.most), network, Choices())
            row = run(measured, count, seed, given.arms.split(","))
            rows.append({"set": name, "n": count, "seed": seed, **row})
            print(json.dumps(rows[-1]), flush=True)
            how = {"machine": machine.describe(), "size": given.size, "most": given.most}
            document = how | {"rows": rows}
            given.out.write_text(json.dumps(document, indent=1))
    show(rows)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The table, a line for each set and number of images, and the goals."""
    arms = [arm for arm in ARMS if any(arm in row["arms"] for row in rows)]
    print(f"| set | images | seeds | {' | '.join(arms)} | handed over | regret | cost |")
    print(f"|---|--:|--:|{'--:|' * len(arms)}--:|--:|--:|")
    for key in dict.fromkeys((row["n"], row["set"]) for row in rows):
        some = [row for row in rows if (row["n"], row["set"]) == key]
        got = [mean_of(some, arm) for arm in arms]
        best = max(x for x in got if x is not None)
        cells = ["" if x is None else f"**{x:.1f}**" if x == best else f"{x:.1f}" for x in got]
        handed, regret, cost = np.mean([verdict(row) for row in some], 0)[:3]
        named = f"{key[1]} | {some[0]['images']} | {len(some)}"
        last = f"{100 * handed:.1f} | {100 * regret:.1f} | {cost:.0%}"
        print(f"| {named} | {' | '.join(cells)} | {last} |")
    for n in dict.fromkeys(row["n"] for row in rows):
        some = [row for row in rows if row["n"] == n]
        _, regret, cost, below = np.array([verdict(row) for row in some]).T
        both = [r["arms"] for r in some if {"tuned", "textbook"} <= r["arms"].keys()]
        gain = [arms_of["tuned"]["test"] - arms_of["textbook"]["test"] for arms_of in both] or [0]
        print(
            f"{n or 'all'} a class: regret {100 * regret.mean():.2f} at {cost.mean():.0%} of the "
            f"cost, tuned above textbook {100 * float(np.mean(gain)):.1f}, at most "
            f"{100 * below.max():.1f} below the frozen network ({(below > 0).sum()} of {len(some)})"
        )


def mean_of(rows: Sequence[dict[str, Any]], arm: str) -> float | None:
    """Accuracy of an arm in %, the mean over the rows that have it; None where none has."""
    got = [row["arms"][arm]["test"] for row in rows if arm in row["arms"]]
    return 100 * float(np.mean(got)) if got else None


def verdict(row: dict[str, Any]) -> tuple[float, float, float, float]:
    """Of what is handed over: accuracy, how far below the best arm, share of the cost of running
    all arms, how far below the frozen network."""
    arms = row["arms"]
    handed = arms["tuned"] if row["tried"] and row["beats"] else arms["frozen"]
    cost = arms["frozen"]["processor"] + (arms["tuned"]["processor"] if row["tried"] else 0)
    total = sum(arm["processor"] for arm in arms.values())
    best = max(arm["test"] for arm in arms.values())
    below = max(0.0, arms["frozen"]["test"] - handed["test"])
    return handed["test"], best - handed["test"], cost / total, below


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
    ).evidence
    part, val = validation(measured.labels[train], measured.audit.groups[train], seed)
    out: dict[str, Any] = {
        "images": len(train),
        "similarity": evidence.similarity,
        "headroom": evidence.headroom,
        "tried": worth_training(evidence),
        "arms": {},
    }
    last = len(measured.network.backbone.stages) - 1
    for case, probes in (
        (1, [p for p in evidence.probes if p.taps[-1] == last]),
        (2, [p for p in evidence.probes if p.taps[-1] < last]),
    ):
        best = min(probes, key=lambda p: p.loss)
        out["arms"][f"case {case}"] = frozen(measured, train, test, part, val, best, evidence)
    chosen = evidence.probes[evidence.chosen]
    out["arms"]["frozen"] = frozen(measured, train, test, part, val, chosen, evidence)
    for arm in arms:
        recipe = recipe_of(arm, measured, evidence, len(train))
        out["arms"][arm] = trained(measured, train, test, part, val, recipe, evidence, seed)
    hits = [np.array(out["arms"][arm]["hits"]) for arm in ("tuned", "frozen")]
    out["beats"] = out_of_noise(*hits)
    return out


def frozen(
    measured: Measured,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    part: NDArray[np.intp],
    val: NDArray[np.intp],
    probe: Any,
    evidence: Evidence,
) -> dict[str, Any]:
    """A head on some depths: on all for the test, on ``part`` for the validation images."""
    start, spent = time.perf_counter(), time.process_time()
    widths, classes = measured.network.backbone.widths, len(measured.classes)
    own = ridge.columns(widths, probe.taps)

    def shares(rows: NDArray[np.intp], on: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        head = ridge.fit(
            measured.features[rows],
            widths,
            measured.labels[rows],
            classes,
            probe.taps,
            probe.strength,
        )
        head = head.scaled(evidence.temperature)
        return softmax(head.logits(measured.features[on][:, own]))

    got = float(np.mean(shares(train, test).argmax(1) == measured.labels[test]))
    return {
        "test": got,
        **judged(shares(train[part], train[val]), measured.labels[train[val]]),
        "taps": probe.taps,
        "seconds": time.perf_counter() - start,
        "processor": time.process_time() - spent,
    }


def judged(shares: NDArray[np.floating[Any]], truth: NDArray[np.intp]) -> dict[str, Any]:
    """On the validation images: accuracy, which are right, and the squared error of each."""
    hits = shares.argmax(1) == truth
    errors = np.square(shares - np.eye(shares.shape[1])[truth]).sum(1)
    return {
        "validation": float(hits.mean()),
        "hits": hits.tolist(),
        "errors": errors.round(5).tolist(),
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

    def head(some: NDArray[np.intp]) -> ridge.Head:
        rows, classes = train[some], len(measured.classes)
        made = ridge.fit(
            measured.features[rows], widths, labels[rows], classes, recipe.taps, probe.strength
        )
        return made.scaled(evidence.temperature)

    images = Images(measured.dataset.read, [kept[i] for i in train], labels[train], part, val)
    start, spent = time.perf_counter(), time.process_time()
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
    seconds, processor = time.perf_counter() - start, time.process_time() - spent
    config = {"backbone": backbone.to_json(), "taps": recipe.taps, "classes": measured.classes}
    module = None if backbone.architecture else measured.network.build()
    network = restore(config, done.state, module)
    logits = finetune.predict(network, measured.dataset.read, [kept[i] for i in test], backbone)
    return {
        "test": float((logits.argmax(1) == labels[test]).mean()),
        **judged(done.shares, labels[train][val]),
        "taps": recipe.taps,
        "rate": done.rate,
        "epochs": done.epochs,
        "of": recipe.epochs,
        "shown": done.shown,
        "precision": done.precision,
        "images_per_second": done.images_per_second,
        "problem": done.problem,
        "seconds": seconds,
        "processor": processor,
    }


if __name__ == "__main__":
    main()
