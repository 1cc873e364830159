"""Trunks converted for OpenVINO: once with torch, ever after without.

A converted trunk is a pair of files that takes uint8 pixels ``[1, S, S, 3]`` (layout, mean and
scale are inside) and gives one float32 ``[1, C_d]`` for each depth. A cut network keeps some of
the outputs, and what only the others needed falls away.

It runs one image an inference and as many inferences at once as there are cores. On two cores that
is faster than batches of 32 for every network measured (by a third for EfficientNet-Lite0: its
layers stay in the core's own cache), and no image can have an influence on its neighbours.
"""

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from regraft.distributed import cores
from regraft.features.engines.base import Floats, Pixels, columns
from regraft.features.engines.preference import FULL, HALF, exact_to, is_graph, name_of

if TYPE_CHECKING:
    from torch import nn

    from regraft.backbones import Backbone

__all__ = ["FULL", "HALF", "Graph", "convert", "is_graph", "name_of", "objection", "runtime"]

_STREAMS = 16  # inferences at once, at most: each holds its own layers in memory


class Graph:
    """The engine that runs a converted trunk, opened at its first call."""

    def __init__(self, name: str, path: Path, taps: Sequence[int]) -> None:
        self.name = name
        self.batch = 32
        self._path = path
        self._taps = tuple(taps)
        self._widths: list[int] = []
        self._requests: list[Any] = []
        self._lock = Lock()  # the requests' memory is one call's alone

    def __call__(self, pixels: Pixels) -> list[Floats]:
        """Features ``[B, C_d]`` at each tap, of pixels ``[B, S, S, 3]``."""
        self.open()
        rows = np.empty((len(pixels), sum(self._widths)), np.float32)
        with self._lock:
            for start in range(0, len(pixels), self.batch):
                some = pixels[start : start + self.batch]
                self._given[: len(some)] = some
                _run(self._requests[: len(some)])
                rows[start : start + len(some)] = self._found[: len(some)]
        depths = columns(rows, self._widths)
        return [depths[tap] for tap in self._taps]

    def open(self) -> None:
        """Make it ready for its first call, which does so otherwise.

        Every image of a batch has a request of its own, which reads and writes arrays of ours: from
        one image to the next the engine's threads need nothing of Python, whose lock those that
        decode hold much of the time.
        """
        with self._lock:
            if self._requests:
                return
            ov = runtime()
            core = ov.Core()
            model, self._widths = _cut(ov, _read(core, self._path, self.name), max(self._taps))
            count = cores()
            settings = {
                "INFERENCE_PRECISION_HINT": "f32" if self.name == FULL else "bf16",
                "INFERENCE_NUM_THREADS": count,
                "NUM_STREAMS": min(count, _STREAMS),
            }
            network = core.compile_model(model, "CPU", settings)
            self._given = np.empty((self.batch, *network.input(0).shape[1:]), np.uint8)
            self._found = np.empty((self.batch, sum(self._widths)), np.float32)
            self._requests = [self._request(ov, network, n) for n in range(self.batch)]

    def _request(self, ov: Any, network: Any, place: int) -> Any:
        request, one = network.create_infer_request(), slice(place, place + 1)
        request.set_input_tensor(ov.Tensor(self._given[one], shared_memory=True))
        request.set_output_tensor(ov.Tensor(self._found[one], shared_memory=True))
        return request


def _run(requests: Sequence[Any]) -> None:
    """Run inferences, as many at once as the network has streams.

    Whatever is raised, Ctrl-C too: none goes on, for the next call would find it busy.
    """
    try:
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()
    except BaseException:
        for request in requests:
            with suppress(Exception):
                request.wait()
        raise


def runtime() -> Any:
    """OpenVINO, imported without its telemetry.

    Its tools, which the package imports with itself, report every use to their maker and leave
    files in the home folder wherever ``openvino-telemetry`` is installed.
    """
    if "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if not installed
        try:
            import openvino
        finally:
            del sys.modules["openvino_telemetry"]
    import openvino

    return openvino


def objection(name: str) -> str:
    """Why this CPU cannot run the engine; empty if it can."""
    return "" if name == FULL or _has_bfloat16() else "the CPU has no bfloat16"


@cache
def _has_bfloat16() -> bool:
    """Return whether the CPU calculates in bfloat16, and may.

    A layer is tried: ``ONEDNN_MAX_CPU_ISA`` can forbid what the processor is said to be able to do.
    """
    ov = runtime()
    core, ops = ov.Core(), ov.opset13
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    pixels = ops.parameter([1, 3, 8, 8], np.float32)
    kernel = ops.constant(np.ones((4, 3, 3, 3), np.float32))
    layer = ops.convolution(pixels, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    settings = {"INFERENCE_PRECISION_HINT": "bf16"}
    try:
        made = core.compile_model(ov.Model([layer], [pixels], "try"), "CPU", settings)
    except RuntimeError:
        return False
    return bool(made.get_property("INFERENCE_PRECISION_HINT") == ov.Type.bf16)


def convert(trunk: "nn.Module", backbone: "Backbone", path: Path) -> None:
    """Write the trunk of all depths to ``path`` (.xml) and its weights beside it (.bin).

    Whatever the network's own code or the converter raises is raised.
    """
    import torch

    ov = runtime()
    high, wide, channels = backbone.view.shape
    noise = torch.rand(1, channels, high, wide, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and still what is converted
        traced = torch.jit.trace(trunk, noise, strict=False, check_trace=False)
        model = ov.convert_model(traced, example_input=noise, input=[1, channels, high, wide])
    model = _from_pixels(ov, model, backbone)
    _simplify(model)
    for depth, output in enumerate(model.outputs):
        output.get_tensor().set_names({_output(depth)})
    ov.save_model(model, path, compress_to_fp16=False)


def shorten(path: Path, deepest: int, target: Path) -> None:
    """Write a converted trunk as far as a depth to ``target`` (.xml) and its weights beside it.

    Raises:
        FileNotFoundError: it is gone.
    """
    ov = runtime()
    if not path.is_file() or not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(path)
    model = ov.Core().read_model(path)
    kept = [model.output(_output(depth)).get_node() for depth in range(deepest + 1)]
    ov.save_model(ov.Model(kept, model.get_parameters()), target, compress_to_fp16=False)


def _simplify(model: Any) -> None:
    """Fold what is constant now that the shape is fixed (paddings above all) into the layers.

    OpenVINO would do so anyway when it opens the model, but would then lose their marks.
    """
    with suppress(ImportError):  # not a public name: without it the marks are merely weaker
        from openvino._offline_transformations import apply_moc_transformations

        apply_moc_transformations(model, cf=True)


def _from_pixels(ov: Any, model: Any, backbone: "Backbone") -> Any:
    """Return the model taking uint8 ``[1, S, S, 3]``, not normalised float ``[1, 3, S, S]``."""
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    given = steps.input()
    given.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    given.model().set_layout(ov.Layout("NCHW"))
    given.preprocess().convert_element_type(ov.Type.f32).mean(
        [255.0 * value for value in backbone.mean]
    ).scale([255.0 * value for value in backbone.std])
    return steps.build()


def _cut(ov: Any, model: Any, deepest: int) -> tuple[Any, list[int]]:
    """Return the model up to a depth, all its depths side by side in one output; and their widths.

    The depths before the deepest are kept even where nobody reads them. Without them neighbouring
    layers melt into one and round elsewhere: in bfloat16 the cut network would give features half
    a percent off those that its head was fitted on. With them they are the same, bit for bit.

    One output instead of many: fetching each costs as much as a thin layer.
    """
    kept = [model.output(_output(depth)).get_node().input_value(0) for depth in range(deepest + 1)]
    widths = [tap.get_partial_shape()[1].get_length() for tap in kept]
    joined = ov.opset13.concat(kept, axis=1)
    return ov.Model([joined], model.get_parameters(), "trunk"), widths


def _read(core: Any, path: Path, name: str) -> Any:
    """Return the converted trunk, with the layers marked that must calculate in float32."""
    model = core.read_model(path)
    if exact_to(name) < 0:
        return model
    exact = _needed(model.output(_output(exact_to(name))).get_node())
    return core.read_model(_marked(path.read_bytes(), exact), path.with_suffix(".bin").read_bytes())


def _needed(node: Any) -> set[str]:
    """Return the names of a node and of all that it depends on."""
    names: set[str] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in names:
            names.add(node.get_friendly_name())
            waiting += [value.get_node() for value in node.input_values()]
    return names


def _marked(document: bytes, names: set[str]) -> bytes:
    """Return a model's XML with these layers marked as precise.

    OpenVINO then leaves them in float32.
    """
    tree = ElementTree.fromstring(document)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("name") in names and layer.get("type") not in ("Const", "Parameter"):
            info = layer.find("rt_info")
            if info is None:
                info = ElementTree.Element("rt_info")
                layer.insert(0 if layer.find("data") is None else 1, info)
            ElementTree.SubElement(info, "attribute", {"name": "precise", "version": "0"})
    return ElementTree.tostring(tree)


def _output(depth: int) -> str:
    return f"depth{depth}"
