"""What to label next: what choosing wins over drawing at random, and whether the replay knows.

    python bench/bench_next.py --data FOLDER --out bench_next.json

Of each set so many images a class are labelled (drawn at random, so classes have more or fewer),
at most --pool others are the pool, the rest judge. A quarter and as many again as are labelled are
added: chosen as `regraft next` does, by doubt alone, and at random (the mean of three draws). Each
time the whole procedure (which depths, which penalties) is gone through anew. The choice is
replayed on the labelled images alone; whether to follow it is decided by that and by what the
*other* sets say, never by the set's own rows.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from draws import look
from regraft.acquire import verb
from regraft.acquire.replay import Replay, replayed
from regraft.acquire.selection import doubt_of, metric_of, unsure_first
from regraft.heads.average import fit_average
from regraft.heads.ridge import Head, columns
from regraft.metrics import softmax
from regraft.plan.evidence import candidates_of, gather
from regraft.run.measure import Measured

SETS = (
    *("hymenoptera", "weather", "flowers5", "clothing", "tiny_dogs6", "sign_digits", "mnist"),
    *("rsscn7_satellite", "dtd10", "chest_xray", "spoken_digit_spectrograms", "fashion_mnist"),
    "cifar10",
)
Rows = NDArray[np.intp]


def main() -> None:
    """Run all sets; print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS), help="names, comma between")
    parser.add_argument("--backbones", default="efficientnet-lite0,demonstration")
    parser.add_argument("--sizes", default="5,20,60", help="labelled images a class")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--pool", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("bench_next.json"))
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for backbone in given.backbones.split(","):
        for name in given.sets.split(","):
            measured = look(given.data / name, backbone, 0)
            for size in map(int, given.sizes.split(",")):
                for draw in range(given.draws):
                    found = judged(measured, size, draw, given.pool)
                    rows += [{"backbone": backbone, "set": name, **row} for row in found]
            print(f"{backbone}, {name}: {len(rows)} rows", flush=True)
            given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}))
    show(rows)


def judged(measured: Measured, size: int, draw: int, most: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of images that is added."""
    y, classes = measured.labels, len(measured.classes)
    random = np.random.default_rng(100 + draw)
    order = random.permutation(len(y))
    start, rest = order[: size * classes], order[size * classes :]
    many = np.bincount(y[start], minlength=classes).min() >= 2
    judges, pool = np.split(rest, [min(len(rest) // 2, most)])
    pool = pool[:most]
    if len(rest) < len(start) or not many:
        return
    widths, head = measured.network.backbone.widths, fitted(measured, start)
    own = columns(widths, head.taps)
    seen = measured.features[:, own]
    taps = tuple(widths[tap] for tap in head.taps)
    metric, doubt = metric_of(seen[start], taps), doubt_of(softmax(head.logits(seen[pool])))
    for added in (len(start) // 4, len(start)):
        if added > len(pool) // 2:
            continue
        chosen = pool[unsure_first(doubt, metric(seen[pool]), metric(seen[start]), added)]
        alone = pool[np.argsort(-doubt, kind="stable")[:added]]
        drawn = [random.permutation(pool)[:added] for _ in range(3)]
        twice = random.permutation(pool)[: 2 * added]
        found = replayed(
            seen[start], taps, y[start], measured.audit.groups[start], share=added / len(start)
        )
        yield {
            "size": size,
            "draw": draw,
            "labelled": len(start),
            "added": added,
            "before": right(measured, start, judges),
            "chosen": right(measured, [*start, *chosen], judges),
            "doubt": right(measured, [*start, *alone], judges),
            "random": float(np.mean([right(measured, [*start, *d], judges) for d in drawn])),
            "twice": right(measured, [*start, *twice], judges),
            "replay": None if found is None else found.to_json(),
        }


def fitted(measured: Measured, rows: Rows) -> Head:
    """Choose and fit on some images, as a plan does."""
    widths, y = measured.network.backbone.widths, measured.labels[rows]
    evidence = gather(
        measured.features[rows],
        widths,
        y,
        measured.classes,
        measured.audit.groups[rows],
        candidates=candidates_of(len(widths)),
        seed=0,
    ).evidence
    parts = evidence.probes[evidence.chosen].made_of
    head = fit_average(measured.features[rows], widths, y, len(measured.classes), parts)
    return head.scaled(evidence.temperature)


def right(measured: Measured, rows: Any, judges: Rows) -> float:
    """Accuracy on the judges of what is made of some images."""
    head = fitted(measured, np.asarray(rows))
    own = columns(measured.network.backbone.widths, head.taps)
    logits = head.logits(measured.features[judges][:, own])
    return float((logits.argmax(1) == measured.labels[judges]).mean())


def show(rows: list[dict[str, Any]]) -> None:
    """Print what choosing wins, and what the replay's advice does, by size and network."""
    usual = {name: of_others(rows, name) for name in sorted({row["set"] for row in rows})}
    for row in rows:
        replay = dict(row["replay"] or {})
        replay.pop("saved", None)
        replayed_ = Replay(**replay) if replay else None
        row["advised"] = "chosen" if verb.pays(replayed_, usual[row["set"]]) else "random"
    print("points above as many at random, each set weighing the same")
    for key in ("backbone", "size", "set"):
        for value in sorted({row[key] for row in rows}, key=str):
            some = [row for row in rows if row[key] == value]
            print(f"  {value!s:28} {len(some):4} rows", *words(some), sep="  ")
    print(f"  all {len(rows):29} rows", *words(rows), sep="  ")
    mean, spread = of_others(rows, "")
    print(f"mean over sets {mean:.4f}, spread {spread:.4f} (USUAL in acquire/verb.py)")
    known = [row for row in rows if row["replay"]]
    told = np.array([row["replay"]["gain"] for row in known], np.float64)
    true = np.array([row["chosen"] - row["random"] for row in known], np.float64)
    print(f"replay and truth: {len(known)} rows, means {told.mean():.4f}, {true.mean():.4f}")
    print(f"  correlation {np.corrcoef(told, true)[0, 1]:.2f}")


def words(rows: list[dict[str, Any]]) -> list[str]:
    """The figures of some rows, each set weighing the same."""

    def gain(pick: Any) -> float:
        by_set: dict[str, list[float]] = {}
        for row in rows:
            by_set.setdefault(row["set"], []).append(pick(row) - row["random"])
        return 100 * float(np.mean([np.mean(gains) for gains in by_set.values()]))

    more = gain(lambda row: row["twice"])
    chosen = gain(lambda row: row["chosen"])
    return [
        f"chosen {chosen:+.2f}",
        f"doubt alone {gain(lambda row: row['doubt']):+.2f}",
        f"twice as many at random {more:+.2f}",
        f"advised {gain(lambda row: row[row['advised']]):+.2f}",
        f"at random {sum(row['advised'] == 'random' for row in rows)}",
        f"worse than chance in {np.mean([r['chosen'] < r['random'] for r in rows]):.0%}",
    ]


def of_others(rows: list[dict[str, Any]], name: str) -> tuple[float, float]:
    """Return the mean gain of the other sets, and how far sets lie from it beyond their noise."""
    by_set: dict[str, list[float]] = {}
    for row in rows:
        if row["set"] != name:
            by_set.setdefault(row["set"], []).append(row["chosen"] - row["random"])
    means = np.array([np.mean(gains) for gains in by_set.values()])
    noise = np.array([np.var(g, ddof=1) / len(g) if len(g) > 1 else 0 for g in by_set.values()])
    beyond = float(np.sqrt(max(means.var(ddof=1) - noise.mean(), 0)))
    return float(means.mean()), max(beyond, verb.USUAL[1])


if __name__ == "__main__":
    main()
