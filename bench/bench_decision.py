"""The decision on sets, sizes and networks: what each arm gets, and what is handed over.

    python bench/bench_decision.py --data FOLDER --sets a,b --sizes 5,20,100,0 --draws 3 \
        --backbones efficientnet-lite0,demonstration --px 96 --out decision.jsonl --arms frozen

Nothing is known of a set by its name: any folder of data sets will do. For each set, number of
images a class (0: all) and draw, so many are drawn to train on and the rest is the test, copies
of one capture on one side. Where a set brings a test of its own, that is the test. Each row is a
line of the file, with every arm's accuracy, log loss and seconds of processor; a run that was
stopped goes on. Regret is what an arm loses against the best *single* head in hindsight, in points.

``--arms trained`` trains (``arms_trained.py``): a line for each arm of each draw, on a GPU where
there is one; the table is in points above the frozen network.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from arms_table import show_arms
from arms_trained import bench as bench_arms
from draws import average, look, sides, weights_of
from regraft.data.splits import folds
from regraft.heads.ridge import STRENGTHS, Head, columns, cross_validate, fit
from regraft.metrics import fit_temperature, softmax
from regraft.plan.evidence import candidates_of, fold_count, gather
from regraft.run.measure import Measured

SHARP = (5.0, 10.0, 20.0, 40.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="", help="names, comma between; all where none is given")
    parser.add_argument("--sizes", default="5,20,100,0")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--backbones", default="efficientnet-lite0")
    parser.add_argument("--px", type=int, default=96)
    parser.add_argument("--out", type=Path, default=Path("bench_decision.jsonl"))
    parser.add_argument("--arms", choices=["frozen", "trained"], default="frozen")
    given = parser.parse_args()
    names = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    sizes = [int(size) for size in given.sizes.split(",")]
    if given.arms == "trained":
        draws = [(size, draw) for size in sizes for draw in range(given.draws)]
        folders = [given.data / name for name in names]
        show_arms(bench_arms(folders, given.backbones.split(","), given.px, draws, given.out))
        print(json.dumps(machine.describe()))
        return
    rows = known(given.out)
    for backbone in given.backbones.split(","):
        for name in names:
            keys = [(backbone, given.px, name, n, d) for n in sizes for d in range(given.draws)]
            missing = [key for key in keys if key not in rows]
            if not missing:
                continue
            measured = look(given.data / name, backbone, given.px)
            for key in missing:
                rows[key] = row = one_row(measured, *key)
                with given.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"{backbone} {name}: {len(missing)} rows", flush=True)
    show(list(rows.values()))
    print(json.dumps(machine.describe()))


def known(out: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows that the file has."""
    lines = out.read_text().splitlines() if out.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(r["backbone"], r["px"], r["set"], r["size"], r["draw"]): r for r in rows}


def one_row(
    measured: Measured, backbone: str, px: int, name: str, size: int, draw: int
) -> dict[str, Any]:
    """One draw: every arm."""
    train, test = sides(measured, size, draw)
    arms = dict(frozen_arms(measured, train, test, draw))
    return {
        **{"backbone": backbone, "px": px, "set": name, "size": size, "draw": draw},
        **{"classes": len(measured.classes), "train": len(train), "test": len(test)},
        "arms": arms,
    }


def frozen_arms(
    measured: Measured, train: NDArray[np.intp], test: NDArray[np.intp], seed: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Every head of the frozen network, what ``fit`` picks, and averages."""
    widths, classes = measured.network.backbone.widths, len(measured.classes)
    x, y = measured.features[train], measured.labels[train]
    groups = measured.audit.groups[train]
    far, truth = measured.features[test], measured.labels[test]
    among = candidates_of(len(widths))
    started = time.process_time()
    fold = folds(y, groups, fold_count(groups), seed)
    scores = cross_validate(x, widths, y, classes, fold, among, STRENGTHS)
    target = np.eye(classes, dtype=np.float32)[y]
    loss = np.stack([[np.square(s.astype(np.float32) - target).sum(1) for s in c] for c in scores])
    best = loss.mean(2).argmin(1)
    own = loss[np.arange(len(among)), best].mean(1)
    logits = [scores[c, best[c]].astype(np.float32) for c in range(len(among))]
    heats = [fit_temperature(each, y) for each in logits]
    heads = [fit(x, widths, y, classes, taps, STRENGTHS[best[c]]) for c, taps in enumerate(among)]
    seconds = time.process_time() - started

    def judged(head: Head, temperature: float, cost: float = 0.0) -> dict[str, float]:
        found = head.logits(far[:, columns(widths, head.taps)]) / temperature
        shares = softmax(found)
        chance = np.maximum(shares[np.arange(len(truth)), truth], 1e-9)
        return {
            "accuracy": float((found.argmax(1) == truth).mean()),
            "log_loss": float(-np.log(chance).mean()),
            "seconds": cost,
        }

    for c, taps in enumerate(among):
        yield "head " + "-".join(map(str, taps)), judged(heads[c], heats[c])
    evidence = gather(
        x, widths, y, measured.classes, groups, candidates=among, seed=seed, shift=measured.shift
    )
    probe = evidence.probes[evidence.chosen]
    rule = fit(x, widths, y, classes, probe.taps, probe.strength)
    yield "rule", {**judged(rule, evidence.temperature), "similarity": evidence.similarity}
    for sharpness in SHARP:
        shares = weights_of(own, sharpness)
        mixed = sum(s * z / t for s, z, t in zip(shares, logits, heats, strict=True))
        heat = fit_temperature(np.asarray(mixed), y)
        head = average(heads, heats, shares, widths)
        yield f"average {sharpness:g}", judged(head, heat, seconds)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Regret against the best single head in hindsight, by size and network."""
    arms = [arm for arm in rows[0]["arms"] if not arm.startswith("head ")]
    print("| network | size | rows | " + " | ".join(arms) + " |")
    print("|---|--:|--:|" + "--:|" * len(arms))
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        for size in [*dict.fromkeys(row["size"] for row in rows), None]:
            some = [r for r in rows if r["backbone"] == backbone and size in (None, r["size"])]
            cells = [f"{mean(some, lambda r, a=arm: regret(r, a)):.2f}" for arm in arms]  # type: ignore[misc]
            what = "every" if size is None else (size or "all")
            print(f"| {backbone} | {what} | {len(some)} | {' | '.join(cells)} |")
    for arm in arms:
        print(f"log loss, {arm}: {mean(rows, lambda r, a=arm: r['arms'][a]['log_loss']):.3f}")  # type: ignore[misc]


def regret(row: dict[str, Any], arm: str) -> float:
    """Points below the best single head."""
    heads = [one["accuracy"] for name, one in row["arms"].items() if name.startswith("head ")]
    return 100.0 * float(max(heads) - row["arms"][arm]["accuracy"])


def mean(rows: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> float:
    return float(np.mean([value(row) for row in rows]))


if __name__ == "__main__":
    main()
