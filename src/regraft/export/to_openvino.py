"""OpenVINO: a folder with ``model.xml`` and ``model.bin``."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from regraft.export.about import ANSWER, BELIEF, INPUT, About
from regraft.export.target import Input, Run, program
from regraft.features.engines.openvino_engine import runtime

SUFFIX, NAMES = "-openvino", ("model.xml", "model.bin")
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""To calculate in float32; left to itself OpenVINO takes bfloat16 where the CPU has it."""


log = logging.getLogger("regraft")


def check() -> None:
    """Nothing else is needed."""


def write(module: Any, about: About, place: Path) -> None:
    """Write the network with its weights in float32."""
    ov = runtime()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own parts, about each other
        model = ov.convert_model(program(module, about))
    high, wide, channels = about.plan.backbone.view.shape
    model.reshape([-1, channels, high, wide])
    model.input(0).get_tensor().set_names({INPUT})
    for number, name in enumerate(about.outputs):
        model.output(number).get_tensor().set_names({name})
    for name, value in about.fields().items():
        model.set_rt_info(value, ["regraft", name])
    ov.save_model(model, place / NAMES[0], compress_to_fp16=False)


def open_file(place: Path, about: About) -> Run:
    """Return the network as OpenVINO runs it on the CPU in float32."""
    return _compiled(place, EXACT)


def open_belief(place: Path) -> Run:
    """Return the same for what it says of the belief in each image, ``[B]``."""
    return _compiled(place, EXACT, BELIEF)


def open_as_it_comes(place: Path) -> Run | None:
    """Return the network in the precision that OpenVINO chooses here; None where that fails.

    It asks the processor what it has, and a limit such as ``ONEDNN_MAX_CPU_ISA`` may forbid it.
    """
    try:
        return _compiled(place, {})
    except RuntimeError as error:
        log.warning(
            "OpenVINO cannot run the export in the precision that it chooses here, and was "
            "compared in float32 alone: %s",
            str(error).strip().splitlines()[-1].strip(),
        )
        return None


def _compiled(place: Path, settings: dict[str, str], output: int = ANSWER) -> Run:
    compiled = runtime().Core().compile_model(place / NAMES[0], "CPU", settings)

    def run(x: Input) -> np.ndarray[Any, Any]:
        return np.array(compiled(x)[output])

    return run
