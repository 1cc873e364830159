"""The four cases on the demonstration network: all four strategies on a set of each kind.

    python examples/four_cases.py                              the demo's fruit photos and digits
    python examples/four_cases.py photos:10 scans:10 photos scans --seeds 5

A set is a folder as for ``regraft fit``, with the number of training images a class after a colon
(all of them without one). For every seed these are drawn anew and the rest is held out, at most
2,000 images. Every strategy sees the same images, and the table gives its accuracy there in %, the
mean over the seeds with its 95 % interval (Student's t). What comes out is printed as it is: the
best strategy in bold, those within the noise of it in italics.
"""

import argparse
import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import t

from regraft.compare.cases import frozen_plans, performed, trained_plans
from regraft.data import samples
from regraft.data.dataset import Dataset
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.run.draft import draft
from regraft.run.measure import measure
from regraft.run.pretrained import Pretrained, open_network

HELD_OUT = 2_000
CASES = (1, 2, 3, 4)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="FOLDER[:N]")
    parser.add_argument("--backbone", default="demonstration")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    network = open_network(given.backbone)
    with tempfile.TemporaryDirectory() as place:
        print("| set | training images | measured | case 1 | case 2 | case 3 | case 4 |")
        print("|---|--:|---|--:|--:|--:|--:|")
        for name in given.sets or laid_out(Path(place)):
            folder, count = re.fullmatch(r"(.*?)(?::(\d+))?", name, re.DOTALL).groups()  # type: ignore[union-attr]
            data, n = Dataset.open(folder), int(count or 10**9)
            start = time.perf_counter()
            runs = [strategies(data, n, seed, network) for seed in range(given.seeds)]
            plans, got = zip(*runs, strict=True)
            print(line(titled(folder), plans, got), flush=True)
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True, file=sys.stderr)


def laid_out(place: Path) -> Iterator[str]:
    """The demo's two sets, few of each and all of each."""
    fruit = samples.lay_out_groceries(place / "groceries")
    digits = samples.lay_out_digits(place / "digits")
    yield from (f"{fruit}:10", f"{digits}:10", str(fruit), str(digits))


def titled(folder: str) -> str:
    """The name of a set: its folder's, and the one above where that is one of its splits."""
    path = Path(folder).resolve()
    return f"{path.parent.name}/{path.name}" if path.name in ("train", "test") else path.name


def strategies(data: Dataset, n: int, seed: int, network: Pretrained) -> tuple[Plan, list[float]]:
    """The plan that regraft would make, and the held-out accuracy of the four cases."""
    choices = Choices(seed=seed)
    with tempfile.TemporaryDirectory() as cache:
        measured = measure(drawn(data, n, seed), network, choices, cache=cache)
        aims = draft(measured, choices)
        plans = frozen_plans(measured, choices, aims)[0]
        plans += trained_plans(measured, choices, aims, quick=False)[0]
        done = [performed(plan, measured, lambda row: None) for plan in plans]
    return aims, [one.outcome.accuracy for one in done]


def drawn(data: Dataset, n: int, seed: int) -> Dataset:
    """So many training images of each class, at most 70 % of it; of the rest some are held out.

    Of files with the same content one is taken, so that no draw loses images to the other side.
    """
    once = {hashlib.sha256(data.read(i)).digest(): i for i in range(len(data.items))}
    order = np.random.default_rng(seed).permutation(sorted(once.values()))
    size: dict[str, int] = {}
    for i in order:
        size[data.items[i].label] = size.get(data.items[i].label, 0) + 1
    taken, train, test = dict.fromkeys(size, 0), list[int](), list[int]()
    for i in map(int, order):
        label = data.items[i].label
        taken[label] += 1
        (train if taken[label] <= min(n, 0.7 * size[label]) else test).append(i)
    picked = sorted([*train, *test[:HELD_OUT]])
    chosen = set(train)
    items = tuple(replace(data.items[i], split="train" if i in chosen else "test") for i in picked)
    return Dataset(data.name, items, (), lambda i: data.read(picked[i]))


def line(name: str, plans: Sequence[Plan], accuracies: Sequence[Sequence[float]]) -> str:
    """A row of the table."""
    got = 100 * np.array(accuracies)  # [seeds, cases]
    means, best = got.mean(0), int(got.mean(0).argmax())
    cells = []
    for case in range(len(CASES)):
        text = f"{means[case]:.1f} ± {half_interval(got[:, case]):.1f}"
        behind = got[:, best] - got[:, case]
        near = abs(behind.mean()) <= half_interval(behind)
        cells.append(f"**{text}**" if case == best else f"*{text}*" if near else text)
    likeness = np.mean([plan.evidence.similarity for plan in plans])
    found = "/".join(str(case) for case in sorted({plan.case for plan in plans}))
    size = "large" if plans[0].evidence.large else "small"
    measured = f"{size}, similarity {likeness:.2f}: case {found}"
    return f"| {name} | {plans[0].train:,} | {measured} | {' | '.join(cells)} |"


def half_interval(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    """Half of the 95 % interval of a mean; 0 where there is one value."""
    count = len(values)
    if count < 2:
        return 0.0
    return float(t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5)


if __name__ == "__main__":
    main()
