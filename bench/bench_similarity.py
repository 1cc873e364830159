"""The similarity of each set, with what it is made of.

    python bench/bench_similarity.py --data FOLDER --out bench_similarity.json

At most 400 images a class, the sets' own splits forgotten, a fifth held out by seed 0.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import machine
from bench_depths import SETS, some_of
from regraft.plan.choices import Choices
from regraft.run.draft import draft
from regraft.run.measure import measure
from regraft.run.pretrained import open_network


def main() -> None:
    """Measure all sets; print the table, most similar first, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_similarity.json"))
    given = parser.parse_args()
    rows = sorted((row(given.data / name) for name in SETS), key=lambda r: -r["similarity"])
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| set | images | similarity | case | last | best | distance |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        print(
            f"| {r['set']} | {r['images']:,} | {r['similarity']:.2f} | {r['case']} | "
            f"{100 * r['last']:.1f} | {100 * r['best']:.1f} | {r['distance']:.3f} |"
        )


def row(folder: Path) -> dict[str, Any]:
    """What one set is like."""
    plan = draft(measure(some_of(folder), open_network("efficientnet-lite0"), Choices()), Choices())
    evidence = plan.evidence
    curve = [probe.accuracy for probe in evidence.depths]
    return {
        "set": folder.name,
        "images": evidence.images,
        "similarity": evidence.similarity,
        "case": plan.case,
        "last": curve[-1],
        "best": max(curve),
        "distance": float(np.mean(evidence.shift or (0.0,))),
    }


if __name__ == "__main__":
    main()
