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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from arms_evidence import made
from arms_table import show_arms
from arms_trained import bench as bench_arms
from draws import look, sides
from regraft.data.splits import folds
from regraft.heads.ridge import Head, Taps, columns, cross_validate, fit
from regraft.metrics import fit_temperature, score, softmax
from regraft.plan.averaging import UNSURE
from regraft.plan.choices import Choices
from regraft.plan.decide import case_of
from regraft.plan.evidence import Probe, candidates_of, fold_count
from regraft.plan.gain import gain_of
from regraft.run.measure import Measured


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
    """Every head of the frozen network, the one of the least loss, and what ``fit`` makes."""
    record, classes = measured.network.backbone, len(measured.classes)
    x, y = measured.features[train], measured.labels[train]
    far, truth = measured.features[test], measured.labels[test]
    started = time.process_time()
    evidence, own = made(measured, train, seed)
    seconds = time.process_time() - started

    def judged(head: Head, taps: Taps) -> dict[str, Any]:
        shares = softmax(head.logits(far[:, columns(record.widths, taps)]))
        found = score(shares, truth, measured.classes)
        return {name: getattr(found, name) for name in ("accuracy", "log_loss", "ece")}

    for probe in evidence.single:
        if probe.taps in candidates_of(len(record.widths)):
            taps = probe.taps
            head = fit(x, record.widths, y, classes, taps, probe.strength)
            temperature = single_temperature(measured, train, probe, seed)
            got = judged(head.scaled(temperature), taps) | {"loss": probe.loss}
            yield "head " + "-".join(map(str, taps)), got
    facts = {
        "case": case_of(record, evidence, Choices()),
        "cut or not": UNSURE[0] <= evidence.tail <= UNSURE[1],
        "trained or not": gain_of(evidence).near,
        "similarity": evidence.similarity,
        "expected": evidence.expected,
        "seconds": seconds,
    }
    yield "fit", {**judged(own, own.taps), **facts}


def single_temperature(
    measured: Measured, train: NDArray[np.intp], probe: Probe, seed: int
) -> float:
    """The temperature of one head, by cross-validation."""
    labels, groups = measured.labels[train], measured.audit.groups[train]
    fold = folds(labels, groups, fold_count(groups), seed)
    scores = cross_validate(
        measured.features[train],
        measured.network.backbone.widths,
        labels,
        len(measured.classes),
        fold,
        [probe.taps],
        [probe.strength],
    )
    return fit_temperature(scores[0, 0].astype(np.float32), labels)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Points below the best single head in hindsight, log loss and calibration, side by side."""
    print("| network | images a class | rows | least loss | fit | 95 % | log loss | ECE |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        for size in [*dict.fromkeys(row["size"] for row in rows), None]:
            some = [r for r in rows if r["backbone"] == backbone and size in (None, r["size"])]
            line(backbone, "every" if size is None else str(size or "all"), some)
    line("all", "every", rows)
    print(f"The case is that of most draws, or the plan says that two are as good: {stable(rows)}")


def line(network: str, size: str, rows: Sequence[dict[str, Any]]) -> None:
    least = [regret(row, least_loss(row)) for row in rows]
    own = [regret(row, "fit") for row in rows]
    losses = [[row["arms"][a][f] for row in rows] for f in ("log_loss", "ece") for a in ("fit",)]
    before = [[row["arms"][least_loss(row)][f] for row in rows] for f in ("log_loss", "ece")]
    log_loss, ece = (
        f"{np.mean(a):.3f} ({np.mean(b):.3f})" for a, b in zip(losses, before, strict=True)
    )
    print(
        f"| {network} | {size} | {len(rows)} | {np.mean(least):.2f} | {np.mean(own):.2f} | "
        f"{np.percentile(own, 95):.1f} | {log_loss} | {ece} |"
    )


def stable(rows: Sequence[dict[str, Any]]) -> str:
    """In how many rows ``fit`` aims at the case that most draws of the same say."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["backbone"], row["set"], row["size"]), []).append(row["arms"]["fit"])
    same, told = 0, 0
    for group in groups.values():
        cases = [one["case"] for one in group]
        usual = max(cases, key=cases.count)
        same += cases.count(usual)
        told += sum(one["case"] != usual and is_told(one, usual) for one in group)
    return f"{same} + {told} of {len(rows)} rows"


def is_told(one: dict[str, Any], usual: int) -> bool:
    """Whether the plan says that the usual case is as good."""
    frozen = one["case"] < 3 and usual < 3
    return bool(one["cut or not"] if frozen else one["trained or not"])


def singles(row: dict[str, Any]) -> list[str]:
    return [name for name in row["arms"] if name.startswith("head ")]


def least_loss(row: dict[str, Any]) -> str:
    return min(singles(row), key=lambda name: float(row["arms"][name]["loss"]))


def regret(row: dict[str, Any], arm: str) -> float:
    """Points below the best single head of the test images."""
    best = max(row["arms"][name]["accuracy"] for name in singles(row))
    return 100.0 * float(best - row["arms"][arm]["accuracy"])


if __name__ == "__main__":
    main()
