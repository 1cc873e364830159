"""Which class wants images most: what a plan says, against what twice the images then did.

    python bench/bench_wants.py --data FOLDER --out bench_wants.json

Of each set 20, 40, 80 or 160 images a class are learnt from, then twice as many; three in ten, at
most 2,000, judge. Told: by how much the recall grew, in points, of the class that is named first,
of all on average, and of the one whose recall was expected to be the lowest; how probable it was
said to be that the first gains most, and how often it did; the same of those that a plan names.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import machine
from bench_curve import Rows, judged_apart, some_of_each
from draws import look
from regraft.heads.average import fit_average
from regraft.heads.ridge import columns
from regraft.plan.evidence import Gathered, candidates_of, gather
from regraft.plan.how_many import LearningCurve, learning_curve
from regraft.plan.subsets import subsets_of
from regraft.run.measure import Measured

SIZES = (20, 40, 80, 160)


def main() -> None:
    """Run all sets; print the table, write the JSON."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--sets", default="", help="names, by commas; all where empty")
    words.add_argument("--backbone", default="efficientnet-lite0")
    words.add_argument("--draws", type=int, default=3)
    words.add_argument("--out", type=Path, default=Path("bench_wants.json"))
    given = words.parse_args()
    sets = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    rows: list[dict[str, Any]] = []
    for name in sets:
        images = look(given.data / name, given.backbone, 0)
        for draw in range(given.draws):
            rows += [{"set": name, "draw": draw, **row} for row in drawn(images, draw)]
        print(f"{name}: {len(rows)} rows", flush=True)
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    show("all", rows)
    show("named", [row for row in rows if row["named"]])
    show("more than two classes", [row for row in rows if row["classes"] > 2])
    print(json.dumps(machine.describe()))


def drawn(images: Measured, draw: int) -> Iterable[dict[str, Any]]:
    """Yield a row for each size of which there are twice as many."""
    order, judging = judged_apart(images, draw)
    for size in SIZES:
        rows, twice = (some_of_each(images, order, many) for many in (size, 2 * size))
        if len(twice) < 1.8 * len(rows) or len(twice) > 3_300:
            continue
        curve, before = told(images, rows, judging)
        _, after = told(images, twice, judging)
        if curve.untold or not curve.classes:
            continue
        gained = dict(zip(images.classes, (after - before).tolist(), strict=True))
        first = curve.classes[0]
        weakest = min(curve.classes, key=lambda one: one.recall)
        yield {
            "size": size,
            "classes": len(gained),
            "named": curve.wants is not None,
            "first": gained[first.name],
            "mean": float(np.mean(list(gained.values()))),
            "weakest": gained[weakest.name],
            "said": first.most,
            "most": gained[first.name] == max(gained.values()),
        }


def told(images: Measured, rows: Rows, judging: Rows) -> tuple[LearningCurve, Any]:
    """What a plan of these images says, and the recall of each class on those that judge."""
    x, y, widths = images.features, images.labels[rows], images.network.backbone.widths
    groups, classes = images.audit.groups[rows], images.classes
    gathered: Gathered = gather(
        x[rows], widths, y, classes, groups, candidates=candidates_of(len(widths)), seed=0
    )
    evidence = gathered.evidence
    parts = evidence.probes[evidence.chosen].made_of
    found = subsets_of(gathered, x[rows], widths, y, groups, parts=parts, seed=0)
    head = fit_average(x, widths, y, len(classes), parts, rows=rows)
    truth = images.labels[judging]
    right = head.logits(x[judging][:, columns(widths, head.taps)]).argmax(1) == truth
    recall = np.bincount(truth, right, len(classes)) / np.maximum(
        np.bincount(truth, minlength=len(classes)), 1
    )
    return learning_curve(evidence, found), recall


def show(kind: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the means: gains in points, shares in per cent."""
    names = ("first", "mean", "weakest", "said", "most")
    means = [100 * float(np.mean([row[name] for row in rows])) for name in names] if rows else []
    said = ", ".join(f"{name} {value:.1f}" for name, value in zip(names, means, strict=False))
    print(f"{kind} ({len(rows)}): {said}")


if __name__ == "__main__":
    main()
