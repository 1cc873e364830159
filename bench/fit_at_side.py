"""Fit a network that sees smaller squares than it was made for; print the metrics as JSON.

python bench/fit_at_side.py DATA NETWORK SIDE
"""

import json
import sys
from dataclasses import replace

import regraft


def main(data: str, name: str, side: str) -> None:
    """Fit in case 1; print the metrics."""
    network = regraft.open_network(name)
    record, size = network.backbone, int(side)
    stages = tuple(
        replace(stage, side=max(1, stage.side * size // record.view.size) if stage.side else 0)
        for stage in record.stages
    )
    view = replace(record.view, size=size, crop=1.0)
    seen = replace(network, backbone=replace(record, stages=stages, view=view))
    print(json.dumps(dict(regraft.fit(data, seen, case=1).metrics)))


if __name__ == "__main__":
    main(*sys.argv[1:])
