"""How long the choice of depths and the fit of the head take.

    python bench/bench_heads.py --out bench_heads.json

Random features of EfficientNet-Lite0's widths, so that only the arithmetic is timed: 3,000 images
of 10 classes and 20,000 of 100, all depths and windows, cross-validated, then the head on all.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import machine
from regraft import backbones
from regraft.heads import ridge
from regraft.plan.evidence import candidates_of, gather


def main() -> None:
    """Time both sizes; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench_heads.json"))
    given = parser.parse_args()
    rows = [timed(3_000, 10), timed(20_000, 100)]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| images | classes | choice, s | head, s |\n|--:|--:|--:|--:|")
    for r in rows:
        print(f"| {r['images']:,} | {r['classes']} | {r['choice']:.2f} | {r['head']:.2f} |")


def timed(images: int, classes: int) -> dict[str, float]:
    """Seconds of the choice and of the head that follows."""
    widths = backbones.get("efficientnet-lite0").widths
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    centres = rng.normal(0, 0.3, (classes, sum(widths))).astype(np.float32)
    features = (rng.normal(0, 1, (images, sum(widths))) + centres[labels]).astype(np.float16)
    names = [str(c) for c in range(classes)]
    start = time.perf_counter()
    evidence = gather(
        features,
        widths,
        labels,
        names,
        np.arange(images),
        candidates=candidates_of(len(widths)),
        seed=0,
    ).evidence
    chosen, middle = evidence.probes[evidence.chosen], time.perf_counter()
    ridge.fit(features, widths, labels, classes, chosen.taps, chosen.strength)
    end = time.perf_counter()
    return {"images": images, "classes": classes, "choice": middle - start, "head": end - middle}


if __name__ == "__main__":
    main()
