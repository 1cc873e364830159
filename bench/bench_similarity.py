"""The similarity of each set by each network, and how little it depends on the number of images.

    python bench/bench_similarity.py --data FOLDER --backbones efficientnet-lite0,demonstration \
        --sizes 5,20,100,0 --draws 3 --px 96 --out similarity.json

For each set, number of images a class (0: all there are, at most 400 and no more than 70 % without
a test of its own) and draw: so many training images are drawn, and the similarity is that which
`regraft plan` would tell of them. Table of each network: mean over sizes and draws, deviation over
them, mean of each size, and the share of draws on the side of the line where the mean lies. Of the
sets whose kind is known by name, the share of pairs (similar, different) in the right order.
`--px 0` is the network's own size.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import machine
from bench_depths import DIFFERENT, SETS
from draws import look, sides
from regraft.data import images
from regraft.features import norm_shift
from regraft.features.engines.store import home
from regraft.plan.evidence import gather
from regraft.plan.similarity import SIMILAR, similarity_of
from regraft.run.measure import Measured, shift_sample

BETWEEN = {"sign_digits"}
ALIKE = set(SETS) - DIFFERENT - BETWEEN


def main() -> None:
    """Measure all sets; print a table for each network and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="", help="names, comma between; all where none is given")
    parser.add_argument("--backbones", default="efficientnet-lite0")
    parser.add_argument("--sizes", default="5,20,100,0")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--px", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench_similarity.json"))
    given = parser.parse_args()
    names = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    sizes = [int(size) for size in given.sizes.split(",")]
    rows: list[dict[str, Any]] = []
    for backbone in given.backbones.split(","):
        own = [
            {"backbone": backbone, "px": given.px, "set": name, **row}
            for name in names
            for measured in [look(given.data / name, backbone, given.px)]
            for row in rows_of(measured, sizes, given.draws)
        ]
        rows += own
        given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
        print(f"\n{backbone}\n")
        show(own, sizes)


def rows_of(measured: Measured, sizes: Sequence[int], draws: int) -> list[dict[str, Any]]:
    """What some draws of so many images a class are like."""
    backbone, found = measured.network.backbone, []
    folder = home(measured.cache, backbone)
    engine, layers, unit = norm_shift.opened(backbone, folder, measured.network.build)
    for size, draw in itertools.product(sizes, range(draws)):
        train, _ = sides(measured, size, draw)
        if layers:
            picked = [measured.audit.kept[i] for i in shift_sample(train)]
            seen = [images.inspect(measured.dataset.read(i), [backbone.view])[1] for i in picked]
            pixels = np.stack([made[0] for made in seen if made is not None])
            shift = norm_shift.distances(engine(pixels), layers, unit)
            similarity = similarity_of((), 0.0, shift, len(train))
        else:
            shift, similarity = None, by_labels(measured, train, draw)
        row = {"size": size, "draw": draw, "images": len(train)}
        found.append({**row, "similarity": similarity, "shift": shift})
    return found


def by_labels(measured: Measured, train: Any, draw: int) -> float:
    """Similarity by a network without batch norm."""
    evidence = gather(
        measured.features[train],
        measured.network.backbone.widths,
        measured.labels[train],
        measured.classes,
        measured.audit.groups[train],
        candidates=[(0,)],
        seed=draw,
    ).evidence
    return evidence.similarity


def show(rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> None:
    """Print the table of one network, most similar first."""
    values = {
        name: {
            s: [r["similarity"] for r in rows if (r["set"], r["size"]) == (name, s)] for s in sizes
        }
        for name in dict.fromkeys(row["set"] for row in rows)
    }
    means = {name: float(np.mean(list(of.values()))) for name, of in values.items()}
    print("| set | known as | similarity | deviation | same side | " + end_of(sizes) + " |")
    print("|---|---|--:|--:|--:|" + "--:|" * len(sizes))
    for name in sorted(values, key=lambda name: -means[name]):
        every, mean = np.ravel(list(values[name].values())), means[name]
        same = float(np.mean((every >= SIMILAR) == (mean >= SIMILAR)))
        cells = " | ".join(f"{np.mean(values[name][size]):.2f}" for size in sizes)
        print(
            f"| {name} | {kind_of(name)} | {mean:.2f} | {every.std():.3f} | {same:.0%} | {cells} |"
        )
    alike, other = ([means[n] for n in means if n in kind] for kind in (ALIKE, DIFFERENT))
    if alike and other:
        ordered = np.mean([[a > b for b in other] for a in alike])
        print(f"\nPairs (similar, different) in the right order: {ordered:.0%}.")


def end_of(sizes: Sequence[int]) -> str:
    return " | ".join(f"{size} a class" if size else "all" for size in sizes)


def kind_of(name: str) -> str:
    """What the set is known as, if it is one of the thirteen."""
    kinds = (("similar", ALIKE), ("between", BETWEEN), ("different", DIFFERENT))
    return next((word for word, names in kinds if name in names), "")


if __name__ == "__main__":
    main()
