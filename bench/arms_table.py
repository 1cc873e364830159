"""The table of the trained arms: points above the frozen network, by network, size and arm."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]


def picked(row: Row, kind: str = "best") -> str:
    """The state of the rate that the validation images prefer."""
    names = [f"{kind} {rate:g}" for rate in row["rates"]]
    return min(names, key=lambda name: float(row["states"][name]["val_squared"]))


def gains(row: Row) -> dict[str, float]:
    """Points above the frozen network that was fitted on all images, by what is made of the arm."""
    states = row["states"]

    def gain(name: str) -> float:
        return 100.0 * float(states[name]["test_accuracy"] - row["frozen_all"]["test_accuracy"])

    last = [f"last {rate:g}" for rate in row["rates"]]
    found = {"last epoch, middle rate": gain(last[len(last) // 2])}
    if row["arm"] == "always":
        return found
    best = [f"best {rate:g}" for rate in row["rates"]]
    own = picked(row)
    return {
        "picked": gain(own),
        "picked, last epoch": gain(picked(row, "last")),
        **found,
        "best in hindsight": max(gain(name) for name in (*best, *last)),
        "half way (WiSE)": gain(own.replace("best", "wise 0.5")),
        "mean of weights": gain("soup best"),
        "mean of logits": gain("mix best"),
        "mean of logits and frozen": gain("mix start"),
    }


def show_arms(rows: Sequence[Row]) -> None:
    """Print the means, and how often which arm was the best."""
    heads = list(next(gains(row) for row in rows if row["arm"] != "always"))
    print("| network | images a class | arm | rows | " + " | ".join(heads) + " |")
    print("|---|--:|---|--:|" + "--:|" * len(heads))
    kinds = dict.fromkeys((row["backbone"], row["size"]) for row in rows)
    for backbone, size in kinds:
        some = [row for row in rows if (row["backbone"], row["size"]) == (backbone, size)]
        for arm in dict.fromkeys(row["arm"] for row in some):
            own = [gains(row) for row in some if row["arm"] == arm]
            cells = [
                f"{np.mean([one[head] for one in own]):+.1f}" if head in own[0] else ""
                for head in heads
            ]
            print(f"| {backbone} | {size or 'all'} | {arm} | {len(own)} | {' | '.join(cells)} |")
        print(f"best arm, {backbone}, {size or 'all'}: {winners(some)}")


def winners(rows: Sequence[Row]) -> dict[str, int]:
    """How often which arm was the best by the mean of its logits; ``frozen`` where none won."""
    found: dict[str, int] = {}
    for key in dict.fromkeys((row["set"], row["draw"]) for row in rows):
        own = [row for row in rows if (row["set"], row["draw"]) == key and row["arm"] != "always"]
        got = {"frozen": 0.0} | {row["arm"]: gains(row)["mean of logits"] for row in own}
        best = max(got, key=lambda arm: got[arm])
        found[best] = found.get(best, 0) + 1
    return found
