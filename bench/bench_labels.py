"""Wrong labels: how well they are found, and how well their number is told, against cleanlab.

    python bench/bench_labels.py --data FOLDER --rates 2,5,10 --out bench_labels.json

Of each set at most --most images a class are taken, and so many per cent of their labels changed:
to any other class (*random*), or to the one that theirs is most often taken for (*confused*).
Judged is the share of wrong labels among as many of the least believed as were changed: by regraft,
by cleanlab (self-confidence, normalized margin) on the same out-of-fold probabilities, and by the
probabilities of the last depth and of the mean of all depths. Then how many are expected to be
wrong (by regraft, and by confident learning as cleanlab has it) and how many of those that regraft
names are; also where no label was changed, all were shuffled, or half of them drawn at random.

cleanlab is AGPL and no part of regraft: `pip install --target FOLDER cleanlab`, and FOLDER on
PYTHONPATH; its columns are left out where it is missing.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from draws import some_of
from regraft.data.splits import folds
from regraft.heads.ridge import STRENGTHS, cross_validate
from regraft.metrics import fit_temperature, softmax
from regraft.plan.choices import Choices
from regraft.plan.evidence import candidates_of, fold_count, gather
from regraft.plan.label_errors import label_errors
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import open_network

try:
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores
except ModuleNotFoundError:
    num_label_issues = get_label_quality_scores = None

SETS = (
    *("hymenoptera", "weather", "flowers5", "clothing", "tiny_dogs6", "sign_digits"),
    *("rsscn7_satellite", "dtd10", "chest_xray", "spoken_digit_spectrograms"),
)
Shares = NDArray[np.floating[Any]]
Labels = NDArray[np.intp]


def main() -> None:
    """Run all sets; print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS), help="names, comma between")
    parser.add_argument("--rates", default="2,5,10", help="per cent of the labels")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--most", type=int, default=60, help="images a class")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--out", type=Path, default=Path("bench_labels.json"))
    given = parser.parse_args()
    if get_label_quality_scores is None:
        print("cleanlab is missing: pip install --target FOLDER cleanlab, FOLDER on PYTHONPATH")
    rates = [int(rate) / 100 for rate in given.rates.split(",")]
    rows: list[dict[str, Any]] = []
    for name in given.sets.split(","):
        images = some_of(given.data / name, given.most)
        measured = measure(images, open_network(given.backbone), Choices())
        rows += [{"set": name, **row} for row in rows_of(measured, rates, given.draws)]
        print(f"{name}: {len(measured.labels)} images", flush=True)
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    show(rows, ["kind", "rate"])
    show([row for row in rows if row["kind"] in ("random", "confused")], ["set"])


def rows_of(measured: Measured, rates: list[float], draws: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each way and draw of changing the labels of a set."""
    labels, classes = measured.labels, len(measured.classes)
    clean = own_shares(measured, labels, 0)
    mixed = np.zeros((classes, classes))
    np.add.at(mixed, labels, clean)
    np.fill_diagonal(mixed, -1)
    nearest = mixed.argmax(1)
    yield judged(measured, labels, labels, "none", 0.0, 0)
    for draw in range(draws):
        random = np.random.default_rng(draw + 1)
        for rate in rates:
            some = random.permutation(len(labels))[: round(rate * len(labels))]
            ways = {
                "random": (labels[some] + random.integers(1, classes, len(some))) % classes,
                "confused": nearest[labels[some]],
            }
            for kind, others in ways.items():
                changed = labels.copy()
                changed[some] = others
                yield judged(measured, labels, changed, kind, rate, draw)
        half, changed = random.permutation(len(labels))[: len(labels) // 2], labels.copy()
        changed[half] = random.integers(0, classes, len(half))
        yield judged(measured, labels, changed, "half drawn", 0.5, draw)
        yield judged(measured, labels, random.permutation(labels), "shuffled", 1.0, draw)


def own_shares(measured: Measured, labels: Labels, seed: int) -> Shares:
    """Probabilities ``[n, C]`` by cross-validation of the whole procedure."""
    widths = measured.network.backbone.widths
    return gather(
        measured.features,
        widths,
        labels,
        measured.classes,
        measured.audit.groups,
        candidates=candidates_of(len(widths)),
        seed=seed,
    ).shares


def single_shares(measured: Measured, labels: Labels, seed: int) -> Shares:
    """The same of a head on each depth alone, at its best penalty: ``[depths, n, C]``."""
    widths, groups = measured.network.backbone.widths, measured.audit.groups
    fold = folds(labels, groups, fold_count(groups), seed)
    taps, count = [(depth,) for depth in range(len(widths))], len(measured.classes)
    scores = cross_validate(measured.features, widths, labels, count, fold, taps, STRENGTHS, "none")
    target = np.eye(count)[labels]
    best = [min(each, key=lambda one: np.square(one - target).sum()) for each in scores]
    best = [one.astype(np.float32) for one in best]
    return np.array([softmax(one, fit_temperature(one, labels)) for one in best])


def judged(
    measured: Measured, truth: Labels, labels: Labels, kind: str, rate: float, draw: int
) -> dict[str, Any]:
    """Say what each way of ranking finds, and what is said of their number."""
    shares, wrong = own_shares(measured, labels, draw), truth != labels
    depths, rows = single_shares(measured, labels, draw), np.arange(len(labels))
    found, count = label_errors(shares, labels), int(wrong.sum())

    def hit(order: NDArray[np.intp]) -> float | None:
        return float(wrong[order[:count]].mean()) if count else None

    row: dict[str, Any] = {
        "kind": kind,
        "rate": rate,
        "draw": draw,
        "error": float((shares.argmax(1) != labels).mean()),
        "regraft": hit(found.order),
        "last depth": hit(depths[-1][rows, labels].argsort(kind="stable")),
        "all depths": hit(depths.mean(0)[rows, labels].argsort(kind="stable")),
    }
    if get_label_quality_scores is not None:
        for name, method in (("self", "self_confidence"), ("margin", "normalized_margin")):
            scores = get_label_quality_scores(labels, shares, method=method)
            row[f"cleanlab {name}"] = hit(scores.argsort(kind="stable"))
        row["expected, cleanlab"] = num_label_issues(labels, shares) / len(labels)
    named = wrong[found.wrong]
    return row | {
        "wrong": count / len(labels),
        "expected": None if found.expected is None else found.expected / len(labels),
        "named": len(named) / len(labels),
        "named right": float(named.mean()) if len(named) else None,
        "found": float(named.sum() / count) if count else None,
    }


def show(rows: list[dict[str, Any]], by: list[str]) -> None:
    """Print the means over sets and draws, in per cent; of what is not told, nothing."""
    columns = [name for name in rows[0] if name not in ("set", "kind", "rate", "draw")]
    print(" | ".join([*by, *columns]))
    for kind in dict.fromkeys(tuple(str(row[name]) for name in by) for row in rows):
        own = [row for row in rows if tuple(str(row[name]) for name in by) == kind]
        values = [[row[name] for row in own if row[name] is not None] for name in columns]
        print(" | ".join([*kind, *(f"{100 * np.mean(v):.1f}" if v else "–" for v in values)]))


if __name__ == "__main__":
    main()
