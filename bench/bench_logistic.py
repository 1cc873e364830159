"""Ridge regression against multinomial logistic regression, on the same frozen features.

    python bench/bench_logistic.py --data FOLDER --out bench_logistic.json

All stages of EfficientNet-Lite0, 50 training images a class (70 % of smaller classes), one draw.
Ridge takes the penalty that cross-validation chooses; logistic regression (scikit-learn, L-BFGS) is
given the best of four penalties on the *test* images, which flatters it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

import machine
from bench_depths import SETS, draw, some_of
from regraft.heads import ridge
from regraft.plan.choices import Choices
from regraft.plan.evidence import gather
from regraft.run.measure import measure
from regraft.run.pretrained import open_network

PENALTIES = (0.03, 0.3, 3.0, 30.0)


def main() -> None:
    """Compare on all sets; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_logistic.json"))
    parser.add_argument("--sets", default=",".join(SETS))
    given = parser.parse_args()
    rows = [row(given.data / name) for name in given.sets.split(",")]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| set | ridge, % | logistic, % | ridge, s | logistic, s a fit |\n|---|--:|--:|--:|--:|")
    for r in rows:
        print(
            f"| {r['set']} | {100 * r['ridge']:.1f} | {100 * r['logistic']:.1f} | "
            f"{r['ridge_s']:.2f} | {r['logistic_s']:.2f} |"
        )


def row(folder: Path) -> dict[str, Any]:
    """Both heads on one set."""
    measured = measure(some_of(folder), open_network("efficientnet-lite0"), Choices())
    widths, y = measured.network.backbone.widths, measured.labels
    train, test = draw(y, measured.audit.groups, 50, 0)
    taps = tuple(range(len(widths)))
    x, classes = measured.features, measured.classes
    groups = measured.audit.groups[train]
    start = time.perf_counter()
    evidence = gather(
        x[train], widths, y[train], classes, groups, candidates=[taps], seed=0
    ).evidence  # choice of the penalty, every single depth beside it
    chosen = evidence.probes[evidence.chosen]
    head = ridge.fit(x[train], widths, y[train], len(classes), taps, chosen.strength)
    ridge_s = time.perf_counter() - start
    z, mean, scale = ridge.standardise(
        x[train].astype(np.float32), widths, np.ones(len(train), np.float32)
    )
    held_out = (x[test].astype(np.float32) - mean) * scale
    rights, start = [], time.perf_counter()
    for penalty in PENALTIES:
        model = LogisticRegression(C=1 / penalty, max_iter=300).fit(z, y[train])
        rights.append(float((model.predict(held_out) == y[test]).mean()))
    return {
        "set": folder.name,
        "ridge": float((head.logits(x[test]).argmax(1) == y[test]).mean()),
        "logistic": max(rights),
        "ridge_s": ridge_s,
        "logistic_s": (time.perf_counter() - start) / len(PENALTIES),
    }


if __name__ == "__main__":
    main()
