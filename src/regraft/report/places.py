"""What each place of an image adds to a class's score, where that is exact: without torch.

The new layer is linear, and what it reads are averages over places. So the score of a class is the
average, over the places, of what the layer makes of each. The trunk that was converted for
OpenVINO has those maps inside; one inference an image gives them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.features.engines import carried, store
from regraft.features.engines.openvino_engine import runtime
from regraft.results.result import Result

UP = 6
"""Operations above an output that are looked through for the map that it is the average of."""

SAME = 1e-3
"""Of the largest value, how far an average may be from what was read. Rounding is a tenth of it."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MapsInside:
    """A frozen network whose maps can be read, with the layer on top of them."""

    run: Any
    """The compiled trunk: all outputs that may be maps, and what is read."""
    found: Sequence[int]
    """Which output is the map of each tap."""
    widths: Sequence[int]
    weight: Floats
    """Of the new layer, ``[classes, P]``, less the mean of all classes."""
    usual: Floats
    """What the layer reads of the mean image, ``[P]``."""
    side: tuple[int, int]
    """Rows and columns of the coarsest map, which all are brought to."""

    def spoke(self, pixels: NDArray[np.uint8], labels: Sequence[int]) -> list[Floats]:
        """Return what each place adds to the scores of classes ``[h, w]``, of ``[S, S, 3]``.

        Against the mean of all classes and the mean image; its mean is the whole.
        """
        values = list(self.run(pixels[None]).values())
        spoken = [np.zeros(self.side, np.float32) for _ in labels]
        first = 0
        for output, width in zip(self.found, self.widths, strict=True):
            part = slice(first, first + width)
            by_place = _by_place(values[output], width)
            assert by_place is not None, "the map was found with an image like this one"
            told = by_place - self.usual[part, None, None]
            for sum_, label in zip(spoken, labels, strict=True):
                sum_ += _brought(np.tensordot(self.weight[label, part], told, 1), self.side)
            first += width
        return spoken


def opened(result: Result, usual: Floats, pixels: NDArray[np.uint8]) -> MapsInside | None:
    """Return the network, ready to be asked; None where it is not exact, or nowhere converted.

    Args:
        result: of a frozen network.
        usual: what the layer reads of the mean image ``[P]``.
        pixels: an image ``[S, S, 3]`` by which the maps are found.
    """
    path = _graph(result)
    if path is None:
        return None
    ov = runtime()
    core = ov.Core()
    model = core.read_model(path)
    depths = [model.outputs[tap] for tap in result.plan.taps]
    above = [list(_above(depth)) for depth in depths]
    if not all(above):
        return None
    cut = ov.Model([*depths, *(one for some in above for one in some)], model.get_parameters())
    run = core.compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = list(run(pixels[None]).values())
    widths = [result.plan.backbone.widths[tap] for tap in result.plan.taps]
    found = _found(values, [len(one) for one in above], widths)
    if found is None:
        return None
    maps = [_by_place(values[output], width) for output, width in zip(found, widths, strict=True)]
    sides = [one.shape[1:] for one in maps if one is not None]
    weight = np.asarray(result.tensors["head.weight"], np.float32)
    return MapsInside(run, found, widths, weight - weight.mean(0), usual, min(sides))


def _graph(result: Result) -> Path | None:
    """Return the converted trunk: what this machine remembers, else what the RUN carries."""
    path = store.home(result.cache, result.plan.backbone) / store.GRAPH
    if path.is_file():
        return path
    if result.folder is None:
        return None
    place = result.folder / carried.FOLDER
    fits = carried.find(result.record, result.plan.taps, place) is not None
    return place / store.GRAPH if fits else None


def _above(output: Any) -> Iterator[Any]:
    """Values that a depth's value may be the average of, the nearest first, if they have places."""
    value = output.get_node().input(0).get_source_output()
    for _ in range(UP):
        node = value.get_node()
        if not node.inputs():
            return
        value = node.input(0).get_source_output()
        shape = list(value.get_shape())
        if len(shape) in (3, 4) and np.prod(shape) > max(shape):
            yield value
            if len(shape) == 4 and shape[2] * shape[3] > 1 and shape[1] == output.get_shape()[1]:
                return


def _found(
    values: Sequence[Floats], above: Sequence[int], widths: Sequence[int]
) -> list[int] | None:
    """Return the output whose average each tap is; None where one has none."""
    found, first = [], len(above)
    for read, count, width in zip(values, above, widths, strict=False):
        of = [n for n in range(first, first + count) if _averages(values[n], read[0], width)]
        if not of:
            return None
        found.append(of[0])
        first += count
    return found


def _averages(value: Floats, read: Floats, width: int) -> bool:
    by_place = _by_place(value, width)
    if by_place is None:
        return False
    apart = np.abs(by_place.mean((1, 2)) - read).max()
    return bool(apart <= SAME * max(float(np.abs(read).max()), 1e-6))


def _by_place(value: Floats, width: int) -> Floats | None:
    """Return a map as ``[C, h, w]``, of ``[1, C, h, w]``, ``[1, h, w, C]`` or ``[1, L, C]``."""
    shape, found = value.shape, value[0]
    side = round(shape[1] ** 0.5) if len(shape) == 3 else 0
    if len(shape) == 4 and shape[3] == width != shape[1]:
        found = np.moveaxis(found, 2, 0)
    elif side > 1 and side * side == shape[1] and shape[2] == width:
        found = np.moveaxis(found.reshape(side, side, width), 2, 0)
    return found if found.ndim == 3 and found.shape[0] == width else None


def _brought(told: Floats, side: tuple[int, int]) -> Floats:
    """Return a map by the average over larger places, which keeps its mean."""
    if told.shape == side:
        return told
    image = Image.fromarray(np.asarray(told, np.float32))
    return np.asarray(image.resize(side[::-1], Image.Resampling.BOX), np.float32)
