"""None of these: how well images of no class are told from own ones, near and far.

    python bench/bench_unknown.py --data FOLDER --backbones efficientnet-lite0,demonstration \
        --sizes 20,100 --draws 2 --out bench_unknown.json [--weights]

Of each set a quarter of the classes is hidden from the whole procedure (*near* strangers; of sets
of two classes none), and again all but two of them; images of the other sets are *far* strangers.
What is fitted to so many images a class of the others judges images that were not used at all: the
area under the ROC curve of each score, and of their sum; how many own images are kept; how many
strangers pass. The weights of the sum are those that are best on the *other* sets (the mean of near
and far, a grid), and beside it those of ``regraft.plan.unknown.WEIGHTS``. Compared with the best of
the four scores in hindsight: of each kind of stranger, and of one score for both. Sets weigh the
same. ``--weights`` prints what is best on all sets.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from arms_evidence import made
from draws import sides, some_of
from regraft.heads.average import fit_average
from regraft.heads.known import LIMIT, SCORES, combined, ranked, scores_of
from regraft.heads.ridge import Head, columns
from regraft.metrics import auroc
from regraft.plan.choices import Choices
from regraft.plan.unknown import WEIGHTS, TapFeatures, decided, sample, tells, tried, turns_of
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import open_network

GRID = ((0, 0.25, 0.5, 0.75, 1.0), (0.3, 0.6, 0.9, 1.2), (0.2, 0.4, 0.6), (0.3, 0.45, 0.6))
"""Weights that are tried of each score."""

FAR = 25
"""Images of each other set."""

Rows = NDArray[np.intp]


def main() -> None:
    """Run all sets; print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="", help="names, comma between; all where empty")
    parser.add_argument("--backbones", default="efficientnet-lite0,demonstration")
    parser.add_argument("--sizes", default="20,100", help="images a class")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--most", type=int, default=150, help="images a class and side, at most")
    parser.add_argument("--weights", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("bench_unknown.json"))
    given = parser.parse_args()
    names = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    rows = []
    for backbone in given.backbones.split(","):
        network = open_network(backbone)
        sets = {n: measure(some_of(given.data / n, given.most), network, Choices()) for n in names}
        for size, draw, name in product(map(int, given.sizes.split(",")), range(given.draws), sets):
            for two in (False, True):
                if len(sets[name].classes) > 2 or not two:
                    rows.append(drawn(sets, name, size, draw, two=two))
                    print(
                        backbone, name, size, draw, two, f"{rows[-1]['seconds']:.1f} s", flush=True
                    )
                    rows[-1]["backbone"] = backbone
    judged = list(judge(rows))
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": judged}, indent=1))
    show(judged)
    if given.weights:
        print("best on all sets:", best(rows))


def drawn(
    sets: Mapping[str, Measured], name: str, size: int, draw: int, *, two: bool
) -> dict[str, Any]:
    """Scores of own images, fresh ones and strangers, by what a draw of a set gives."""
    whole, random = sets[name], np.random.default_rng(100 + draw)
    classes = random.permutation(len(whole.classes))
    hidden = classes[: _hidden(len(classes), two=two)]
    known = np.setdiff1d(classes, hidden)
    place = np.full(len(classes), -1)
    place[known] = np.arange(len(known))
    train, test = sides(whole, size, draw)
    train, test = (rows[place[whole.labels[rows]] >= 0] for rows in (train, test))
    near = random.permutation(np.flatnonzero(place[whole.labels] < 0))[:400]
    measured = replace(
        whole, labels=place[whole.labels], classes=tuple(whole.classes[c] for c in known)
    )
    evidence, head = made(measured, train, draw)
    parts = evidence.probes[evidence.chosen].made_of
    widths, labels = whole.network.backbone.widths, measured.labels
    read = columns(widths, head.taps)
    start = time.perf_counter()
    rows = train[sample(labels[train], draw)]
    groups = whole.audit.groups[rows]

    def fit(some: Rows) -> Head:
        made_on = rows[some]
        layer = fit_average(
            whole.features, widths, labels[made_on], len(known), parts, "none", made_on
        )
        return layer.scaled(evidence.temperature)

    images = TapFeatures(
        whole.features[rows][:, read],
        tuple(widths[tap] for tap in head.taps),
        labels[rows],
        turns_of(labels[rows], groups, draw),
    )
    found = tried(images, fit, draw)
    decided(found)
    seconds = time.perf_counter() - start
    others = [
        one.features[random.permutation(len(one.labels))[:FAR]]
        for n, one in sets.items()
        if n != name
    ]
    far = np.concatenate(others)[:, read]
    own, strange = whole.features[test][:600, read], whole.features[near][:, read]
    scores = [scores_of(found.space, x, head.logits(x)) for x in (own, strange, far)]
    return {
        "set": name,
        "size": size,
        "draw": draw,
        "classes": len(known),
        "images": len(train),
        "two": two,
        "tried": found,
        "scores": scores,
        "seconds": seconds,
    }


def _hidden(classes: int, *, two: bool) -> int:
    if classes < 3:
        return 0
    return classes - 2 if two else max(1, round(classes / 4))


def judge(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Judge each row with the weights that are best on the other sets, and with regraft's own."""
    areas = every(rows)
    for row in rows:
        weights = best(rows, but=row["set"], areas=areas)
        facts = {n: row[n] for n in ("backbone", "set", "size", "draw", "classes", "images", "two")}
        yield facts | {
            "seconds": row["seconds"],
            "weights": weights,
            "alone": {
                score: _areas([group[:, k] for group in row["scores"]])
                for k, score in enumerate(SCORES)
            },
            "sum": outcome(row, weights),
            "own weights": outcome(row, WEIGHTS),
        }


def outcome(row: dict[str, Any], weights: Sequence[float]) -> dict[str, Any]:
    """Return what the sum gives: areas, own images kept, strangers that pass, what was told."""
    judgement = decided(row["tried"], weights)
    known = judgement.known
    sums = [combined(group, known.scaling) for group in row["scores"]]
    passed = [
        float((ranked(each, known.own) > LIMIT).mean()) if len(each) else None for each in sums
    ]
    told = [one.auroc for one in judgement.left_out.values()]
    return {
        **_areas(sums),
        "kept": passed[0],
        "near passed": passed[1],
        "far passed": passed[2],
        "told": float(np.mean(told)) if told else None,
    }


def _areas(groups: Sequence[NDArray[Any]]) -> dict[str, float | None]:
    own, near, far = groups
    return {"near": auroc(own, near) if len(near) else None, "far": auroc(own, far)}


def every(rows: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """Mean area of near and far, ``[rows, weights of the grid]``."""
    areas = np.empty((len(rows), len(list(product(*GRID)))))
    for r, row in enumerate(rows):
        found = row["tried"]
        scores, counts = found.scores, tells(found.turns)
        units = [(group - scores.mean(0)) / (scores.std(0) + 1e-12) for group in row["scores"]]
        for g, weights in enumerate(product(*GRID)):
            sums = [group @ (counts * weights) for group in units]
            areas[r, g] = _mean(_areas(sums).values())
    return areas


def best(
    rows: Sequence[dict[str, Any]], but: str = "", areas: NDArray[np.float64] | None = None
) -> tuple[float, ...]:
    """Return the weights of the grid that are best on all sets but one."""
    areas = every(rows) if areas is None else areas
    kept = [r for r, row in enumerate(rows) if row["set"] != but]
    weight = even([rows[r] for r in kept])
    return list(product(*GRID))[int((weight @ areas[kept]).argmax())]


def even(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """A weight for each row so that sets weigh the same."""
    names = [row["set"] for row in rows]
    return np.array([1 / names.count(name) / len(set(names)) for name in names])


def _mean(values: Any) -> float:
    return float(np.mean([value for value in values if value is not None]))


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the areas by network, size and way of hiding, and the mean of all sets."""
    kinds = {(r["backbone"], r["size"], r["two"]) for r in rows}
    for kind in [*sorted(kinds), "all, a quarter hidden", "all, two kept"]:
        some = [
            r
            for r in rows
            if (r["backbone"], r["size"], r["two"]) == kind
            or (isinstance(kind, str) and r["two"] == ("two" in kind))
        ]
        print(f"\n{kind}: {len(some)} rows")
        _table(some)


def _table(rows: Sequence[dict[str, Any]]) -> None:
    singles = {score: [r["alone"][score] for r in rows] for score in SCORES}
    pairs = list(zip(*singles.values(), strict=True))
    hindsight = [
        {kind: _most([one[kind] for one in each]) for kind in ("near", "far")} for each in pairs
    ]
    one = [max(each, key=lambda areas: _mean(areas.values())) for each in pairs]
    lines = {
        **singles,
        "best of four, of each kind": hindsight,
        "best of four, one for both": one,
        "sum": [r["sum"] for r in rows],
        "sum, own weights": [r["own weights"] for r in rows],
    }
    for name, values in lines.items():
        cells = [
            f"{kind} {_weighed(rows, [each.get(kind) for each in values]):.3f}"
            for kind in ("near", "far", "kept", "near passed", "far passed", "told")
            if kind in values[0]
        ]
        print(f"{name:<28} {'  '.join(cells)}")


def _most(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return max(there) if there else None


def _weighed(rows: Sequence[dict[str, Any]], values: Sequence[float | None]) -> float:
    there = [n for n, value in enumerate(values) if value is not None]
    if not there:
        return float("nan")
    return float(even([rows[n] for n in there]) @ [values[n] for n in there])


if __name__ == "__main__":
    main()
