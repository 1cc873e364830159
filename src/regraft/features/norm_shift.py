"""How far the new images' channel statistics lie from the source's.

A batch-norm layer remembers the mean and variance that each of its inputs had on the images the
network was trained on. The same two numbers on the new images tell how foreign they look at that
stage, and need neither the source's images nor any label.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regraft.networks.trunk import Tap, Traced

Floats = NDArray[np.float32]


def distances(
    moments: Sequence[Floats], running: Sequence[tuple[Floats, Floats]]
) -> tuple[float, ...]:
    """Distance of each batch-norm layer's inputs from what it remembers.

    The Kullback-Leibler divergence of two normals, new from source, averaged over channels, in
    nats: ``(log(v/s) + (s + (m - u)^2) / v - 1) / 2`` with new mean and variance ``m, s`` and
    remembered ``u, v``.

    Args:
        moments: mean and mean square of every image's channels, ``[n, C]`` each, layer by layer:
            first all means, then all mean squares.
        running: remembered mean and variance ``[C]`` of each layer.
    """
    count = len(running)
    return tuple(
        _divergence(first.mean(0), second.mean(0), *remembered)
        for first, second, remembered in zip(moments[:count], moments[count:], running, strict=True)
    )


def _divergence(first: Floats, second: Floats, mean: Floats, variance: Floats) -> float:
    new = np.maximum(second.astype(np.float64) - np.square(first.astype(np.float64)), 1e-12)
    apart = np.log(variance / new) + (new + np.square(first - mean)) / variance - 1
    return float(apart.mean() / 2)


def look(
    pixels: NDArray[np.uint8], backbone: Backbone, folder: Path, build: "Callable[[], nn.Module]"
) -> tuple[float, ...] | None:
    """Return the distances that a sample of images ``[n, S, S, 3]`` gives; None without batch norm.

    What it takes is converted once and kept in the trunk's ``folder``, as the trunk itself is.
    """
    from regraft.features.engines import openvino_engine, torch_engine
    from regraft.features.engines.base import REFERENCE

    path = folder / "moments.xml"
    layers = _recall(folder)
    if layers is None:
        module = build()
        network, layers = moments(module, backbone), remembered(module, backbone)
        _keep(folder, network, layers, backbone)
    if not layers:
        return None
    if path.is_file():
        engine: Any = openvino_engine.Graph(openvino_engine.FULL, path, range(2 * len(layers)))
    else:
        engine = torch_engine.Eager(REFERENCE, lambda: _required(build, backbone), backbone)
    return distances(engine(pixels), layers)


def _required(build: "Callable[[], nn.Module]", backbone: Backbone) -> "nn.Module":
    network = moments(build(), backbone)
    assert network is not None, "there were layers a moment ago"
    return network


def _keep(
    folder: Path,
    network: "nn.Module | None",
    layers: Sequence[tuple[Floats, Floats]],
    backbone: Backbone,
) -> None:
    """Keep the converted network and what its layers remember; nothing where it cannot be done."""
    from safetensors.numpy import save_file

    from regraft.features.engines import openvino_engine

    with suppress(Exception), tempfile.TemporaryDirectory(dir=folder) as new:
        if network is not None:
            openvino_engine.convert(network, backbone, Path(new) / "moments.xml")
        named = {f"{n}.{part}": x for n, pair in enumerate(layers) for part, x in enumerate(pair)}
        save_file(named, Path(new) / "moments.safetensors")
        for path in sorted(Path(new).iterdir()):  # .bin, .safetensors, .xml: whole when it is there
            path.replace(folder / path.name)


def _recall(folder: Path) -> list[tuple[Floats, Floats]] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        named = load_file(folder / "moments.safetensors")
        return [(named[f"{n}.0"], named[f"{n}.1"]) for n in range(len(named) // 2)]
    except (OSError, KeyError, SafetensorError):
        return None


def remembered(module: "nn.Module", backbone: Backbone) -> list[tuple[Floats, Floats]]:
    """Return what the last batch-norm layer of each stage remembers: mean and variance ``[C]``."""
    from regraft.networks.trunk import trace

    layers = norms(trace(module, backbone.name), backbone)
    return [_statistics(module, path) for path, _ in layers]


def moments(module: "nn.Module", backbone: Backbone) -> "nn.Module | None":
    """Return a network that gives the moments of what reaches those layers, if there are any.

    ``forward``: normalised pixels ``[B, 3, S, S]`` -> ``[B, C]`` means, layer by layer, then as
    many mean squares.
    """
    from regraft.networks.trunk import Trunk, trace

    traced = trace(module, backbone.name)
    layers = norms(traced, backbone)
    if not layers:
        return None
    raw = [(tap, Stage(path, path, 0, "NC")) for path, tap in layers]
    return _with_moments(Trunk(traced, raw))


def norms(traced: "Traced", backbone: Backbone) -> list[tuple[str, "Tap"]]:
    """Return the last batch-norm layer that runs in each stage, and where its input is ready.

    A stage reaches from the end of the one before it to its own end; one without such a layer is
    passed over.
    """
    from torch import nn

    from regraft.networks.build import readings
    from regraft.networks.trunk import Tap

    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    ends = [order[tap.end] for tap, _ in readings(traced, backbone, range(len(backbone.stages)))]
    last: dict[int, tuple[str, Tap]] = {}
    for path, call in traced.calls.items():
        layer = traced.module.get_submodule(path)
        if not isinstance(layer, nn.BatchNorm2d) or call.inp is None or layer.running_mean is None:
            continue
        stage = sum(end < order[call.end] for end in ends)
        if stage < len(ends):
            last[stage] = (path, Tap(call.inp, call.before))
    return [last[stage] for stage in sorted(last)]


def _statistics(module: "nn.Module", path: str) -> tuple[Floats, Floats]:
    layer = module.get_submodule(path)
    mean, variance = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
    eps = float(layer.eps)  # type: ignore[arg-type]
    return mean.cpu().float().numpy(), variance.cpu().float().numpy() + np.float32(eps)


def _with_moments(trunk: "nn.Module") -> "nn.Module":
    from torch import nn

    class Moments(nn.Module):
        """The first two moments over places of every map that a trunk gives."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk

        def forward(self, x: "Tensor") -> "list[Tensor]":
            maps = self.trunk(x)
            return [y.mean((2, 3)) for y in maps] + [y.square().mean((2, 3)) for y in maps]

    return Moments().eval()
