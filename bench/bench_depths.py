"""How good the choice of depths is: the chosen ones, the last, the best in hindsight, all.

    python bench/bench_depths.py --data FOLDER --out bench_depths.json

For each set, number of images a class and seed: draw that many training images a class, decide and
fit as `regraft fit` does, and judge on the rest (at most 2,000). *Last* and *all* are heads on the
last stage and on all stages at their own best strength; *best* is the best single stage on the test
images, which nobody can know beforehand. Regret is best minus chosen.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from regraft.data.dataset import Dataset
from regraft.heads import ridge
from regraft.plan.choices import Choices
from regraft.plan.evidence import candidates_of, gather
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import open_network

SETS = (
    *("hymenoptera", "weather", "flowers5", "clothing", "tiny_dogs6", "cifar10"),
    *("sign_digits", "rsscn7_satellite", "dtd10", "chest_xray", "spoken_digit_spectrograms"),
    *("mnist", "fashion_mnist"),
)
DIFFERENT = {
    *("rsscn7_satellite", "dtd10", "chest_xray", "spoken_digit_spectrograms"),
    *("mnist", "fashion_mnist"),
}
MOST = 400  # images a class that are looked at


def main() -> None:
    """Run all sets; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_depths.json"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    rows = [
        row
        for name in SETS
        for row in of_set(given.data / name, counts=(10, 50), seeds=range(given.seeds))
    ]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    show(rows)


def of_set(folder: Path, counts: Sequence[int], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of one set, one for each number of images a class, averaged over seeds."""
    measured = measure(some_of(folder), open_network("efficientnet-lite0"), Choices())
    rows = []
    for n in counts:
        runs = [one_run(measured, n, seed) for seed in seeds]
        mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        rows.append({"set": folder.name, "n": n, **mean})
        print(f"  {folder.name} {n}: {mean}", flush=True)
    return rows


def some_of(folder: Path, most: int = MOST) -> Dataset:
    """At most so many images a class, drawn by seed, the data's own split forgotten."""
    whole = Dataset.open(folder)
    order = np.random.default_rng(0).permutation(len(whole.items))
    seen: dict[str, int] = {}
    picked = []
    for i in order:
        label = whole.items[i].label
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= most:
            picked.append(int(i))
    picked.sort()
    items = tuple(type(whole.items[i])(whole.items[i].path, whole.items[i].label) for i in picked)
    return Dataset(folder.name, items, (), lambda i: whole.read(picked[i]))


def one_run(measured: Measured, n: int, seed: int) -> dict[str, float]:
    """Accuracies of the choice and what it is compared with, on one draw."""
    labels, widths = measured.labels, measured.network.backbone.widths
    train, test = draw(labels, measured.audit.groups, n, seed)
    x, y, classes = measured.features, labels, len(measured.classes)
    evidence = gather(
        x[train],
        widths,
        y[train],
        measured.classes,
        measured.audit.groups[train],
        candidates=candidates_of(len(widths)),
        seed=seed,
    ).evidence
    right = []
    for probe in evidence.probes:
        head = ridge.fit(x[train], widths, y[train], classes, probe.taps, probe.strength)
        own = x[test][:, ridge.columns(widths, probe.taps)]
        right.append(float((head.logits(own).argmax(1) == y[test]).mean()))
    single = right[: len(widths)]
    every = [probe.taps for probe in evidence.probes].index(tuple(range(len(widths))))
    return {
        "chosen": right[evidence.chosen],
        "last": single[-1],
        "best": max(single),
        "all": right[every],
        "expected": evidence.expected,
        "inside": float(
            evidence.expected_interval[0] <= right[evidence.chosen] <= evidence.expected_interval[1]
        ),
        "cut": float(evidence.probes[evidence.chosen].taps[-1]),
    }


def draw(
    labels: NDArray[np.intp], groups: NDArray[np.int64], n: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``n`` training images a class (at most 70 % of it) and the rest, near copies on one side."""
    order = np.random.default_rng(seed).permutation(len(labels))
    picked: list[int] = []
    for c in range(int(labels.max()) + 1):
        mine = order[labels[order] == c]
        picked += mine[: min(n, int(0.7 * len(mine)))].tolist()
    train = np.array(sorted(picked))
    rest = order[~np.isin(order, train) & ~np.isin(groups[order], groups[train])]
    return train, rest[:2000]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The table and the two goals."""
    print("| set | n | chosen | last | best | all | regret | expected |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        cells = [f"{100 * r[k]:.1f}" for k in ("chosen", "last", "best", "all")]
        regret = 100 * (r["best"] - r["chosen"])
        cells += [f"{regret:.1f}", f"{100 * r['expected']:.1f}"]
        print(f"| {r['set']} | {r['n']} | {' | '.join(cells)} |")
    for n in (10, 50):
        some = [r for r in rows if r["n"] == n]
        far = [r for r in some if r["set"] in DIFFERENT]
        regret = np.mean([r["best"] - r["chosen"] for r in some])
        gain = np.mean([r["chosen"] - r["last"] for r in far])
        inside = np.mean([r["inside"] for r in some])
        print(
            f"\n{n} a class: mean regret {100 * regret:.2f} points; on the different sets "
            f"{100 * gain:.2f} points above the last stage; the expected interval holds the test "
            f"accuracy in {inside:.0%} of the runs."
        )


if __name__ == "__main__":
    main()
