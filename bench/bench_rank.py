"""Which network `regraft rank` chooses, against the best in hindsight.

    python bench/bench_rank.py --data FOLDER --sets a,b --sizes 20,0 --most 60

For each set and number of training images a class (0: all) a part is held out (the set's own test,
else three in ten), the networks are ranked on the rest, and a frozen network of each is fitted
there and judged on what was held out. *Lost*: points of held-out accuracy below the best network,
of what rank chose, of always the first network named, of the network with the highest mean on the
*other* sets, and of one drawn at random (the mean of all). *Share*: of the engine's time for
all images under all networks, what the images that were looked at take.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import machine
import regraft
from regraft.data.dataset import Dataset

HELD = 0.3


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--sets", default="", help="names, by commas; all where empty")
    words.add_argument("--sizes", default="20,0")
    words.add_argument("--most", type=int, default=400, help="images a class and split, at most")
    words.add_argument("--backbones", default="efficientnet-lite0,demonstration")
    given = words.parse_args()
    names = given.backbones.split(",")
    print(json.dumps(machine.describe()))
    rows = []
    for name in (
        given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    ):
        for size in map(int, given.sizes.split(",")):
            rows.append(row(drawn(given.data / name, size, given.most), name, size, names))
            print(json.dumps(rows[-1]), flush=True)
    show(rows, names)


def drawn(folder: Path, size: int, most: int) -> Dataset:
    """So many training images a class, and those that judge, by seed."""
    whole = Dataset.open(folder)
    order = np.random.default_rng(0).permutation(len(whole.items)).tolist()
    kinds: dict[str, list[int]] = {}
    for i in order:
        kinds.setdefault(whole.items[i].label, []).append(i)
    side: dict[int, str] = {}
    for members in kinds.values():
        held = [i for i in members if whole.holds_out(whole.items[i])]
        free = [i for i in members if i not in set(held)][:most]
        if not whole.held_out:
            count = round(HELD * len(free))
            held, free = free[:count], free[count:]
        side |= dict.fromkeys(held[:most], "test") | dict.fromkeys(free[: size or None], "train")
    picked = sorted(side)
    items = tuple(replace(whole.items[i], split=side[i]) for i in picked)
    return replace(whole, items=items, read=lambda i: whole.read(picked[i]))


def row(data: Dataset, name: str, size: int, names: Sequence[str]) -> dict[str, Any]:
    """Rank, then fit each network frozen and judge it."""
    found = regraft.rank(data, names)
    got = {one: regraft.fit(data, one, case="frozen").metrics["accuracy"] for one in names}
    spent = [(one.images or 0, one.milliseconds_of_32 or 0.0) for one in found.rows]
    everything = sum(found.train * took for _, took in spent)
    return {
        "set": name,
        "size": size,
        "train": found.train,
        "chosen": found.chosen,
        "accuracy": got,
        "share": sum(images * took for images, took in spent) / everything,
    }


def show(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print what each way to choose has lost, in points: mean and worst."""
    lost: dict[str, list[float]] = {}
    for one in rows:
        got, best = one["accuracy"], max(one["accuracy"].values())
        others = [other["accuracy"] for other in rows if other["set"] != one["set"]]
        usual = max(names, key=lambda name, of=others: sum(found[name] for found in of))  # type: ignore[misc]
        for way, right in (
            ("rank", got[one["chosen"]]),
            (f"always {names[0]}", got[names[0]]),
            ("best on other sets", got[usual]),
            ("random", float(np.mean(list(got.values())))),
        ):
            lost.setdefault(way, []).append(100 * (best - right))
    print(f"{len(rows)} rows: points lost against the best network in hindsight")
    for way, points in lost.items():
        print(f"{way:<28} mean {np.mean(points):5.2f}   worst {max(points):5.2f}")
    share = np.mean([one["share"] for one in rows])
    print(f"share of the engine's time of all networks on all images: {share:.0%}")


if __name__ == "__main__":
    main()
