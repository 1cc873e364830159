"""Several labels and numbers by regraft's heads, against what people fit on the same features.

    python bench/target_sets.py --data FOLDER --out SETS
    python bench/bench_targets.py --sets SETS --out bench_targets.json

Of every set 30 % of the captures are a test, drawn anew each time; of the others 50, 200 and 700
train. regraft chooses on the training images alone, and says what it expects. Its rivals have the
features of the last stage, or of all, standardised: for several labels one logistic regression a
label, for numbers ridge regression. Their penalty is the best **on the test**: no choice of theirs
can do better. The measures are mean average precision, and R2.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

import machine
from regraft.data.dataset import Dataset
from regraft.heads.average import fit_average
from regraft.heads.tasks.several import score_several
from regraft.plan.choices import Choices, candidates
from regraft.plan.evidence_of_targets import gather_targets
from regraft.run.auto import network_for
from regraft.run.measure import Measured, measure
from target_sets import NUMBERS, SEVERAL

SIZES, TEST = (50, 200, 700), 0.3


def main() -> None:
    """Compare on every set, network, size and draw; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["efficientnet-lite0", "demonstration"])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench_targets.json"))
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # labels that no training image has
    rows = []
    print("| set | network | images | regraft | expected | last stage | all stages | F1 |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for name in (*SEVERAL, *NUMBERS):
        choices = Choices(target="number") if name in NUMBERS else Choices(labels="several")
        data = Dataset.open(given.sets / name / "labels.csv", **choices.columns)
        for network in given.networks:
            found = network_for(data, network, None, choices)
            measured = measure(data, found, choices)
            for size in SIZES:
                draws = [compared(measured, choices, size, seed) for seed in range(given.draws)]
                row = {key: float(np.mean([one[key] for one in draws])) for key in draws[0]}
                rows.append({"set": name, "network": network, "images": size, **row})
                own = [f"{row[key]:.3f}" for key in ("regraft", "expected", "last", "all")]
                f1 = f"{row['f1']:.3f}" if "f1" in row else ""
                print(f"| {name} | {network} | {size} | {' | '.join(own)} | {f1} |", flush=True)
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


def compared(measured: Measured, choices: Choices, size: int, seed: int) -> dict[str, float]:
    """Return what each gets on one draw of training and test images."""
    task, widths = measured.task, measured.network.backbone.widths
    random, groups = np.random.default_rng(seed), measured.audit.groups
    shuffled = random.permutation(np.unique(groups))
    test_groups = shuffled[: int(TEST * len(shuffled))]
    held = np.isin(groups, test_groups)
    test = np.flatnonzero(held)
    train = np.sort(random.permutation(np.flatnonzero(~held))[:size])
    labels = measured.labels
    if task.kind == "several":
        there = labels[train].sum(0)
        labels = labels[:, (there >= 2) & (there < len(train))]
    names = [str(k) for k in range(labels.shape[1])]
    found = gather_targets(
        task,
        measured.features,
        widths,
        labels[train],
        names,
        measured.even[train],
        groups[train],
        candidates=candidates(measured.network.backbone, choices),
        seed=seed,
        rows=train,
    ).evidence
    parts, answer = found.probes[found.chosen].made_of, found.answer
    assert answer is not None, "several labels and numbers have a rule for their answers"
    head = fit_average(measured.features, widths, labels[train], len(names), parts, rows=train)
    shares = task.shares(
        head.adjusted(*answer.calibration()).logits_of(measured.features, widths, test)
    )
    row = {"regraft": task.merit(shares, labels[test]), "expected": found.expected}
    if task.kind == "several":
        scores = score_several(
            shares, labels[test], names, np.array(answer.thresholds), groups[test]
        )
        row["f1"] = scores["f1"]
    for key, columns in (("last", slice(-widths[-1], None)), ("all", slice(None))):
        x = measured.features[:, columns].astype(np.float32)
        scaler = StandardScaler().fit(x[train])
        told = rivals(
            task.kind, scaler.transform(x[train]), labels[train], scaler.transform(x[test])
        )
        row[key] = max(task.merit(one, labels[test]) for one in told)
    return row


def rivals(
    kind: str, x: NDArray[Any], labels: NDArray[Any], test: NDArray[Any]
) -> Iterator[NDArray[Any]]:
    """Yield what is told of the test at every strength of the penalty."""
    if kind == "several":
        for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
            each = OneVsRestClassifier(LogisticRegression(C=strength, max_iter=200))
            yield each.fit(x, labels.astype(int)).predict_proba(test)
    else:
        for strength in np.logspace(-1, 5, 19):
            yield Ridge(alpha=strength).fit(x, labels).predict(test).reshape(-1, 1)


if __name__ == "__main__":
    main()
