"""How long `regraft look` takes, section by section, with the page written.

    python bench/bench_look.py --data FOLDER [--backbone NAME] [--images 400] [--out look.json]

Loading the network and everything after it is timed, each section on the clock of the wall; the
sum leaves out only Python's own start. Other programs on the machine show in ``load``.
"""

import argparse
import json
import time
from pathlib import Path

import machine
from regraft.data.dataset import Dataset
from regraft.look import examine, page, sample
from regraft.networks import build


def main() -> None:
    """Look once, print the seconds, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("bench_look.json"))
    given = parser.parse_args()
    start = time.perf_counter()
    backbone, module = build.load(given.backbone)
    loaded = time.perf_counter()
    drawn = sample.draw(Dataset.open(given.data), backbone.view, given.images, 0)
    chosen = time.perf_counter()
    seen = examine(module, backbone, drawn)
    looked = time.perf_counter()
    text = page.render(seen)
    end = time.perf_counter()
    seconds = {
        "load": loaded - start,
        "choose images": chosen - loaded,
        **seen.seconds,
        "page": end - looked,
        "total": end - start,
    }
    for name, took in seconds.items():
        print(f"{name:>17}: {took:6.1f} s")
    curves = {
        task.short: {
            "accuracy": task.curve.accuracies,
            "interval": task.curve.intervals,
            "as good": task.curve.plateau,
            "random weights": task.untrained.accuracies if task.untrained else None,
            "chance": task.curve.chance,
        }
        for task in seen.tasks
    }
    document = {
        "machine": machine.describe(),
        "backbone": backbone.name,
        "images": len(drawn),
        "page_bytes": len(text.encode()),
        "seconds": seconds,
        "stages": [sight.stage.name for sight in seen.sights],
        "curves": curves,
    }
    given.out.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
