"""A ``torch.export`` archive: a zip of JSON and raw tensors that plain torch runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from regraft.export.about import About
from regraft.export.target import Input, Run, program

SUFFIX, NAMES = ".pt2", ()
ABOUT = "regraft.json"
"""Name of the metadata among the archive's extra files."""


def check() -> None:
    """Nothing else is needed."""


def write(module: Any, about: About, place: Path) -> None:
    """Write the archive. The example input is left out: torch would pickle it."""
    import torch

    exported = program(module, about)
    exported._example_inputs = None
    torch.export.save(exported, place, extra_files={ABOUT: json.dumps(about.fields())})


def open_file(place: Path, about: About) -> Run:
    """Return the archive as torch runs it on the CPU."""
    import torch

    module = torch.export.load(place).module()

    def run(x: Input) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(x)).numpy())

    return run
