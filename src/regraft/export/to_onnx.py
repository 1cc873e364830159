"""ONNX: one file that ONNX Runtime and many others run."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from regraft.errors import RunError
from regraft.export.about import ANSWER, BELIEF, INPUT, About, require
from regraft.export.target import Input, Run, example, free

SUFFIX, NAMES = ".onnx", ()
LIMIT = 2_000_000_000  # bytes; what a protobuf can hold


def check() -> None:
    """Raise RunError where what is needed is not installed."""
    require("export", "ONNX", "onnx", "onnxscript", "onnxruntime")


def write(module: Any, about: About, place: Path) -> None:
    """Write the network as ONNX with any number of images in a batch, and check it."""
    import onnx
    import torch

    if sum(tensor.nbytes for tensor in module.state_dict().values()) > LIMIT:
        raise RunError(
            f"ONNX files hold at most {LIMIT / 1e9:g} GB, this network is larger.",
            ["Export --to openvino or --to torch."],
        )
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own parts, about each other
        program = torch.onnx.export(
            module,
            (example(about),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=about.outputs,
            dynamic_shapes=(free(about),),
        )
    model = program.model_proto  # type: ignore[union-attr]
    _forget_sources(model.graph)
    onnx.helper.set_model_props(model, about.fields())
    onnx.save(model, place)
    onnx.checker.check_model(place, full_check=True)


def open_file(place: Path, about: About) -> Run:
    """Return the file as ONNX Runtime runs it on the CPU."""
    return _session(place, ANSWER)


def open_belief(place: Path) -> Run:
    """Return the same for what it says of the belief in each image, ``[B]``."""
    return _session(place, BELIEF)


def _session(place: Path, output: int) -> Run:
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[output].name

    def run(x: Input) -> np.ndarray[Any, Any]:
        return np.asarray(session.run([name], {INPUT: x})[0])

    return run


def _forget_sources(graph: Any) -> None:
    """Take out where in whose files each node comes from: paths of this machine."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
