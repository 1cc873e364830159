"""What channel statistics cost as outputs of the engine's own pass.

    python bench/bench_one_graph.py --backbones efficientnet-lite0 demonstration

The similarity to the source is measured on 64 training images, by a second network that gives the
mean and mean square of every batch-norm layer's input. Here the engine's own graph gives them too:
CPU milliseconds an image of its pass without and with them, in turn, the least of seven. The
backbones have been calibrated on this machine (`regraft plan`); so the times hold for any images.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import machine
from regraft import backbones
from regraft.backbones import Backbone
from regraft.distributed import cores
from regraft.features.cache import default_folder
from regraft.features.engines import openvino_engine, store

IMAGES, TURNS = 64, 7


def main() -> None:
    """Time each graph; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", nargs="+", default=["efficientnet-lite0"])
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--out", type=Path, default=Path("bench_one_graph.json"))
    given = parser.parse_args()
    rows = [row(backbones.get(name), given.precision) for name in given.backbones]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| network | layers | as it is, ms | with means | with mean squares too |")
    print("|---|--:|--:|--:|--:|")
    for r in rows:
        times = " | ".join(f"{r[key]:.2f}" for key in ("plain", "means", "both"))
        print(f"| {r['backbone']} | {r['layers']} | {times} |")


def row(record: Backbone, precision: str) -> dict[str, Any]:
    """CPU milliseconds an image."""
    ov = openvino_engine.runtime()
    path = store.home(default_folder(os.environ), record) / store.GRAPH
    graphs = {name: graph(ov, path, record, name) for name in ("plain", "means", "both")}
    queues = {name: opened(ov, made, precision) for name, made in graphs.items()}
    shape = (IMAGES, *record.view.shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    took: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(TURNS):
        for name, queue in queues.items():
            start = time.process_time()
            for place in range(IMAGES):
                queue.start_async({0: pixels[place : place + 1]})
            queue.wait_all()
            took[name].append(1000 * (time.process_time() - start) / IMAGES)
    layers = len(graphs["means"].outputs) - 1
    best = {name: min(times) for name, times in took.items()}
    return {"backbone": record.name, "layers": layers, **best}


def graph(ov: Any, path: Path, record: Backbone, kind: str) -> Any:
    """The trunk; with the statistics of what each convolution gives, its bias added.

    The batch norms are folded into those, so what they normalise follows from these numbers.
    """
    ops, model = ov.opset13, ov.Core().read_model(path)
    trunk, _ = openvino_engine._cut(ov, model, len(record.stages) - 1)
    if kind == "plain":
        return trunk
    outputs = [trunk.outputs[0].get_node().input_value(0)]
    axes = ops.constant(np.array([2, 3]))
    for node in trunk.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "GroupConvolution"):
            continue
        value, [user] = node.output(0), list(node.output(0).get_target_inputs())
        if user.get_node().get_type_name() == "Add":
            value = user.get_node().output(0)
        outputs.append(ops.reduce_mean(value, axes, False).output(0))
        if kind == "both":
            square = ops.multiply(value, value)
            outputs.append(ops.reduce_mean(square, axes, False).output(0))
    return ov.Model(outputs, trunk.get_parameters(), "statistics")


def opened(ov: Any, model: Any, precision: str) -> Any:
    """As the engine opens it."""
    count = cores()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": count,
        "NUM_STREAMS": count,
    }
    return ov.AsyncInferQueue(ov.Core().compile_model(model, "CPU", settings))


if __name__ == "__main__":
    main()
