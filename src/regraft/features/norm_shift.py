"""How far the new images' channel statistics lie from the source's.

A batch-norm layer remembers the mean and variance that each channel of its input had on the images
the network was trained on. The same two numbers on the new images tell how foreign they look there,
and need neither the source's images nor any label (Li et al., *Revisiting Batch Normalization For
Practical Domain Adaptation*, 2016). Networks differ in how far even their own kind of images lies,
so the unit is the network's own: the distance of pictures that show nothing, random discs that
occlude one another (Lee, Mumford and Huang, *Occlusion Models for Natural Images*, 2001).
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone, Stage, View
from regraft.data.images.view import drawn
from regraft.plan.similarity import later_half

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regraft.networks.trunk import Tap, Traced

Floats = NDArray[np.float32]

Remembered = tuple[int, Floats, Floats]
"""The stage that a layer lies in, and the mean and variance ``[C]`` that it remembers."""

Opened: TypeAlias = tuple[Any, list[Remembered], float]
"""An engine from pixels to moments, the memory of the layers, and the unit; see `opened`."""

_FILES = "norms"  # kept in a trunk's folder: norms.xml, norms.bin, norms.safetensors
_DISCS = 64  # pictures of them
_FEWEST = 4  # images: half of fewer has no variance between images


def distances(
    moments: Sequence[Floats], layers: Sequence[Remembered], unit: float = 1.0
) -> tuple[float, ...]:
    """Distance of the new images from the source at each stage that has batch norm.

    The mean of `_distance` over a stage's layers. The fewer the images, the more the channels
    vary by chance and the farther they would lie, so it is extrapolated to any number: twice the
    distance of all images less the mean of that of every other one and that of the rest
    (Quenouille's jackknife, 1949). Below four images it is taken as it is.

    Args:
        moments: mean and mean square of every image's channels, ``[n, C]`` each, layer by layer:
            first all means, then all mean squares.
        layers: what each layer remembers.
        unit: how many nats count as one.
    """
    count = len(layers)
    whole = _stages(moments, layers)
    if count and len(moments[0]) >= _FEWEST:
        halves = [_stages([x[start::2] for x in moments], layers) for start in (0, 1)]
        whole = np.maximum(2 * whole - np.mean(halves, 0), 0.0)
    return tuple(float(value / unit) for value in whole)


def _stages(moments: Sequence[Floats], layers: Sequence[Remembered]) -> NDArray[np.float64]:
    of_stage: dict[int, list[float]] = {}
    count = len(layers)
    for (stage, *known), first, second in zip(
        layers, moments[:count], moments[count:], strict=True
    ):
        of_stage.setdefault(stage, []).append(_distance(first.mean(0), second.mean(0), *known))
    return np.array([np.mean(of_stage[stage]) for stage in sorted(of_stage)])


def _distance(first: Floats, second: Floats, mean: Floats, variance: Floats) -> float:
    """Distance of one layer's channels from what it remembers: ``spread + level / 2``.

    - ``spread``: how unlike the channels fare. The upper less the lower quartile, over channels, of
      the logarithm of the new variance over the remembered one.
    - ``level``: how much weaker or stronger they answer together. The median over channels of the
      logarithm of the mean squared distance from the remembered mean over the remembered variance,
      without its sign. Over the parts of the source that ratio is one on average, so that few kinds
      of things, which move every mean, are not foreign for it.

    What all channels share counts half, for blur and little contrast give it too. Quartiles,
    because a channel that was nearly dead on the source has any ratio.
    """
    new = second.astype(np.float64) - np.square(first.astype(np.float64))
    least = 1e-6 * variance
    spread = np.subtract(*np.percentile(np.log(np.maximum(new, least) / variance), (75, 25)))
    about = np.maximum(new + np.square(first - mean), least)
    return float(spread + abs(np.median(np.log(about / variance))) / 2)


def look(
    pixels: NDArray[np.uint8],
    backbone: Backbone,
    folder: Path,
    build: "Callable[[], nn.Module]",
    known: Opened | None = None,
) -> tuple[float, ...] | None:
    """Return the distances that a sample of images ``[n, S, S, 3]`` gives; None without batch norm.

    One for each stage that has batch norm, nearest the image first. ``known``: what is `ready`.
    """
    engine, layers, unit = known or opened(backbone, folder, build)
    return distances(engine(pixels), layers, unit) if layers else None


def ready(backbone: Backbone, folder: Path) -> Opened | None:
    """Return what `opened` does, ready to run; None where nothing converted is kept."""
    if _recall(folder) is None or not _graph(folder).is_file():
        return None
    found = opened(backbone, folder, _never)
    found[0].open()
    return found


def _never() -> "nn.Module":
    raise AssertionError("what is converted needs no network")


def opened(backbone: Backbone, folder: Path, build: "Callable[[], nn.Module]") -> Opened:
    """Return an engine from pixels ``[n, S, S, 3]`` to moments, the layers' memory, and the unit.

    What it takes is converted and measured once and kept in the trunk's ``folder``.
    """
    from regraft.features.engines import openvino_engine, torch_engine
    from regraft.features.engines.base import REFERENCE

    path, known = _graph(folder), _recall(folder)
    if known is None:
        module = build()
        network, layers = moments(module, backbone), remembered(module, backbone)
        if network is not None:
            _convert(network, path, backbone)
    else:
        layers = known[0]
    engine: Any = torch_engine.Eager(REFERENCE, lambda: _required(build, backbone), backbone)
    if path.is_file():
        engine = openvino_engine.Graph(openvino_engine.FULL, path, range(2 * len(layers)))
    if known is not None:
        return engine, *known
    unit = 1.0
    if layers:
        unit = max(later_half(distances(engine(_discs(backbone.view)), layers)), 0.01)
    _keep(folder, layers, unit)
    return engine, layers, unit


def _graph(folder: Path) -> Path:
    return folder / f"{_FILES}.xml"


def _discs(view: View) -> NDArray[np.uint8]:
    """Return pictures of discs as a network sees them."""
    return np.stack([drawn(picture, view) for picture in discs(_DISCS, view.longest)])


def discs(count: int, side: int) -> NDArray[np.uint8]:
    """Pictures ``[count, side, side, 3]`` of discs of any colour that occlude one another.

    Their radii fall off by a power, as the sizes of things in photos do: there are so many
    small ones that they look alike from near and far.
    """
    rng = np.random.default_rng(0)
    made = np.empty((count, side, side, 3), np.uint8)
    y, x = np.mgrid[:side, :side]
    for picture in made:
        picture[:] = rng.integers(0, 256, 3)
        for radius in side * (0.01 + 0.05 * rng.pareto(2, 120)):
            i, j = rng.uniform(0, side, 2)
            box = np.s_[max(int(i - radius), 0) : int(i + radius) + 2,
                        max(int(j - radius), 0) : int(j + radius) + 2]  # fmt: skip
            inside = np.square(y[box] - i) + np.square(x[box] - j) < radius**2
            picture[box][inside] = rng.integers(0, 256, 3)
    return made


def _required(build: "Callable[[], nn.Module]", backbone: Backbone) -> "nn.Module":
    network = moments(build(), backbone)
    assert network is not None, "there were layers a moment ago"
    return network


def _convert(network: "nn.Module", path: Path, backbone: Backbone) -> None:
    """Keep the converted network; nothing where it cannot be done."""
    from regraft.features.engines import openvino_engine

    with suppress(Exception), tempfile.TemporaryDirectory(dir=path.parent) as new:
        openvino_engine.convert(network, backbone, Path(new) / path.name)
        for made in sorted(Path(new).iterdir()):  # .bin, .xml: whole when it is there
            made.replace(path.parent / made.name)


def _keep(folder: Path, layers: Sequence[Remembered], unit: float) -> None:
    """Keep what the layers remember, and the unit; nothing where it cannot be done."""
    from safetensors.numpy import save_file

    named = {f"{n}.{i}": np.asarray(x) for n, one in enumerate(layers) for i, x in enumerate(one)}
    with suppress(Exception), tempfile.TemporaryDirectory(dir=folder) as new:
        path = Path(new) / f"{_FILES}.safetensors"
        save_file({**named, "unit": np.asarray(unit)}, path)
        path.replace(folder / path.name)


def _recall(folder: Path) -> tuple[list[Remembered], float] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        named = load_file(folder / f"{_FILES}.safetensors")
        count = len(named) // 3
        layers = [(int(named[f"{n}.0"]), named[f"{n}.1"], named[f"{n}.2"]) for n in range(count)]
        return layers, float(named["unit"])
    except (OSError, KeyError, SafetensorError):
        return None


def remembered(module: "nn.Module", backbone: Backbone) -> list[Remembered]:
    """Return what the batch-norm layers of a network remember, in order."""
    from regraft.networks.trunk import trace

    layers = norms(trace(module, backbone.name), backbone)
    return [(stage, *_statistics(module, path)) for stage, path, _ in layers]


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
    raw = [(tap, Stage(path, path, 0, "NC")) for _, path, tap in layers]
    return _with_moments(Trunk(traced, raw))


def norms(traced: "Traced", backbone: Backbone) -> list[tuple[int, str, "Tap"]]:
    """Return the stage of each batch-norm layer, its path, and where its input is ready.

    A stage reaches from the end of the one before it to its own end. What comes after the last
    stage, which no head of regraft's reads, is passed over.
    """
    from torch import nn

    from regraft.networks.build import readings
    from regraft.networks.trunk import Tap

    order = {node: place for place, node in enumerate(traced.graph.nodes)}
    ends = [order[tap.end] for tap, _ in readings(traced, backbone, range(len(backbone.stages)))]
    found = []
    for path, call in traced.calls.items():
        layer = traced.module.get_submodule(path)
        if not isinstance(layer, nn.BatchNorm2d) or call.inp is None or layer.running_mean is None:
            continue
        stage = sum(end < order[call.end] for end in ends)
        if stage < len(ends):
            found.append((stage, path, Tap(call.inp, call.before)))
    return found


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
