"""How far a small set's own proof is from the truth: each image held out once, or a fifth of them.

    python bench/bench_proof.py --data FOLDER --out bench_proof.json

For each set and seed some hundred images are drawn. The *truth* is the accuracy of the frozen
network that is made of all of them, on the images that were not drawn (at most 2,000). *Each once*
is what `fit` reports of the drawn ones, *a fifth* what it would report with `--test-fraction 0.2`.
Printed are the mean difference from the truth, its root mean square and its largest, and how often
the 95 % interval holds the truth (for *a fifth*, of the network that is made of the other four).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import machine
from bench_depths import SETS, some_of
from regraft.data.splits import EACH_ONCE, Indices, Split, validation
from regraft.heads.ridge import columns
from regraft.metrics import share_interval
from regraft.plan.choices import Choices
from regraft.run import proof
from regraft.run.draft import draft
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import open_network

JUDGED = 2_000


def main() -> None:
    """Run all sets; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_proof.json"))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--images", type=int, default=228)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--sets", nargs="+", default=SETS)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in given.sets:
        measured = measure(
            some_of(given.data / name), open_network(given.backbone), Choices(test_fraction=0.2)
        )
        if len(measured.labels) < 2 * given.images:
            print(f"{name}: too few images to judge by", flush=True)
            continue
        rows += [
            {"set": name} | one_draw(measured, given.images, seed) for seed in range(given.seeds)
        ]
        show(name, [row for row in rows if row["set"] == name])
    show("all", rows)
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


def one_draw(measured: Measured, count: int, seed: int) -> dict[str, Any]:
    """Both proofs of one draw, and the truth of both."""
    order = np.random.default_rng(seed).permutation(len(measured.labels))
    drawn, rest = np.sort(order[:count]), order[count : count + JUDGED]
    every = replaced(measured, Split(drawn, drawn, EACH_ONCE))
    plan = draft(every, Choices(seed=seed))
    right = proof.each_held_out(plan, every).argmax(1) == measured.labels[drawn]
    found: dict[str, Any] = {"each_once": verdict(right, measured.audit.groups[drawn])}
    found["each_once_truth"] = accuracy(measured, drawn, rest, seed)
    train, test = validation(measured.labels[drawn], measured.audit.groups[drawn], seed)
    right = hits(measured, drawn[train], drawn[test], seed)
    found["fifth"] = verdict(right, measured.audit.groups[drawn[test]])
    found["fifth_truth"] = accuracy(measured, drawn[train], rest, seed)
    return found


def replaced(measured: Measured, split: Split) -> Measured:
    """The same images with other sides."""
    return replace(measured, split=split, small=None)


def hits(measured: Measured, train: Indices, test: Indices, seed: int) -> Any:
    """Which of ``test`` the frozen network gets right that ``train`` makes."""
    part = replaced(measured, Split(train, train, EACH_ONCE))
    plan = draft(part, Choices(seed=seed))
    head = proof.head_on(plan, part, train, plan.parts)
    own = columns(plan.backbone.widths, plan.taps)
    return head.logits(measured.features[test][:, own]).argmax(1) == measured.labels[test]


def accuracy(measured: Measured, train: Indices, test: Indices, seed: int) -> float:
    """The share of ``test`` that it gets right."""
    return float(hits(measured, train, test, seed).mean())


def verdict(right: Any, groups: Any) -> dict[str, Any]:
    """Accuracy and its interval."""
    return {"accuracy": float(right.mean()), "interval": share_interval(right, groups)}


def show(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print a set's line for each proof."""
    for kind in ("each_once", "fifth"):
        truth = np.array([row[f"{kind}_truth"] for row in rows])
        told = np.array([row[kind]["accuracy"] for row in rows])
        low, high = np.array([row[kind]["interval"] for row in rows]).T
        off = 100 * (told - truth)
        print(
            f"{name} | {kind} | mean {off.mean():+.1f} | rms {np.sqrt((off**2).mean()):.1f} | "
            f"worst {abs(off).max():.1f} | held {((low <= truth) & (truth <= high)).mean():.0%} "
            f"| width {100 * (high - low).mean():.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
