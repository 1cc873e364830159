"""Where the network looked: what each place adds, or Grad-CAM on the last map that is read from.

torch and captum are imported when a map is drawn, and not before.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data.images import digest, in_colour
from regraft.distributed import one_core
from regraft.features.cache.products import recalled
from regraft.report import pictures
from regraft.report.landscape import kept_of
from regraft.report.pictures import SIDE, Find, Pixels, Shot, look, uri
from regraft.results.result import Result

if TYPE_CHECKING:
    from torch import Tensor

MOST = 6
"""Images that are looked at; where it is exact, which is quick, as many mistakes as are shown."""

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Looked:
    """One image with what spoke for its predicted class, and for its true one: (class, picture)."""

    path: str
    truth: str
    prediction: str
    image: str
    maps: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Heat:
    """The heat maps of some images, or why there are none. ``place``: what they are read from."""

    shown: Sequence[Looked] = ()
    place: str = ""
    problem: str = ""


def can_be_drawn() -> bool:
    """Return whether the package that draws them is installed."""
    return find_spec("captum") is not None


def exact(result: Result, shots: Sequence[Shot], find: Find) -> Heat:
    """Say what each place adds to the score, of a frozen network whose layer reads averages.

    Nothing where it does not, or where neither this machine nor the RUN has its converted trunk.
    """
    kept = kept_of(result)
    if kept is None:
        return Heat()
    backbone, usual = result.plan.backbone, np.asarray(kept.features, np.float32).mean(0)
    head = result.plan.taps, result.classes, result.tensors["head.weight"], usual
    named = [(one.path, one.truth, one.prediction, _content(one, find)) for one in shots]
    inputs = (backbone.weights.sha256, backbone.view, head, named)

    def made() -> Mapping[str, NDArray[np.uint8]]:
        found = _exact(result, shots, find, usual)
        return {"heat": packed(found)} if found.shown else {}

    found = recalled(result.cache, "heat", inputs, made)
    return unpacked(found["heat"]) if found else Heat()


def _content(shot: Shot, find: Find) -> str:
    """Return the name of what an image's file holds; '' where it cannot be read."""
    try:
        return digest(find(shot.path))
    except OSError:
        return ""


def _exact(result: Result, shots: Sequence[Shot], find: Find, usual: Map) -> Heat:
    from regraft.report import places

    mistakes = len({shot.row for shot in shots if not shot.right})
    squares = _squares(result, shots, find, max(MOST, min(mistakes, pictures.MOST)))
    if not squares:
        return Heat()
    try:
        seen = places.opened(result, usual, squares[0][1])
    except RuntimeError:  # what OpenVINO raises: the figures stand without maps
        return Heat()
    if seen is None:
        return Heat()

    def spoke(square: Pixels, labels: Sequence[int]) -> list[Map]:
        return [np.maximum(found, 0) for found in seen.spoke(square, labels)]

    shown = [_looked(result, spoke, shot, square) for shot, square in squares]
    rows, columns = seen.side
    place = f"What each of {rows} × {columns} places adds to the score of a class, exactly: the "
    return Heat(shown, f"{place}new layer is linear on averages over places")


def packed(heat: Heat) -> NDArray[np.uint8]:
    """Return heat maps as an array, to be kept."""
    return np.frombuffer(json.dumps(asdict(heat)).encode(), np.uint8)


def unpacked(array: NDArray[np.uint8]) -> Heat:
    """Return the heat maps that `packed` made an array of."""
    found = json.loads(array.tobytes())
    shown = [Looked(**one | {"maps": list(map(tuple, one["maps"]))}) for one in found["shown"]]
    return Heat(**found | {"shown": shown})


def maps(result: Result, shots: Sequence[Shot], find: Find) -> Heat:
    """Look at the first few of some images that can be read."""
    if not can_be_drawn():
        return Heat(
            problem="captum, which draws them, is not installed. `pip install 'regraft[heat]'` "
            "brings it; then `regraft report RUN --heat-maps` draws them."
        )
    squares = _squares(result, shots, find, MOST)
    if not squares:
        return Heat(problem="none of the images above can be read.")
    try:
        return _maps(result, squares)
    except Exception as error:  # a network of any kind runs here; its figures stand without maps
        return Heat(problem=f"{result.plan.backbone.name} cannot be looked into: {error}")


def _squares(
    result: Result, shots: Sequence[Shot], find: Find, most: int
) -> list[tuple[Shot, Pixels]]:
    """Return those that can be read, with their pixels: mistakes, then what is right."""
    different = {shot.row: shot for shot in sorted(shots, key=lambda shot: shot.right)}
    found: list[tuple[Shot, Pixels]] = []
    for shot in different.values():
        square, _ = look(shot.path, find, result.plan.backbone.view)
        if square is not None:
            found.append((shot, square))
        if len(found) == most:
            break
    return found


def _maps(result: Result, squares: Sequence[tuple[Shot, Pixels]]) -> Heat:
    import torch

    from regraft.report import inside

    with one_core(), torch.enable_grad():
        seen = inside.opened(result, _normalised(result, squares[0][1]))
        if seen is None:
            name = result.plan.backbone.name
            return Heat(problem=f"{name} keeps no map in which places speak for a class.")
        looking = seen

        def spoke(square: Pixels, labels: Sequence[int]) -> list[Map]:
            x = _normalised(result, square)
            return [inside.spoke(looking, x, label) for label in labels]

        shown = [_looked(result, spoke, shot, square) for shot, square in squares]
    return Heat(shown, f"Grad-CAM on {seen.place}")


def _looked(
    result: Result, spoke: Callable[[Pixels, Sequence[int]], list[Map]], shot: Shot, square: Pixels
) -> Looked:
    """Return an image with what spoke for each class; ``spoke`` tells it, ``[h, w]``."""
    named = list(dict.fromkeys([shot.prediction, shot.truth]))
    found = spoke(square, [result.classes.index(name) for name in named])
    most = max(float(one.max()) for one in found)
    drawn = [uri(overlay(square, one / (most or 1.0))) for one in found]
    pairs = list(zip(named, drawn, strict=True))
    return Looked(shot.path, shot.truth, shot.prediction, uri(_small(square)), pairs)


def _normalised(result: Result, square: Pixels) -> "Tensor":
    """Pixels ``[S, S, 3]`` as the network takes them, ``[1, 3, S, S]``."""
    import torch

    return torch.from_numpy(result.plan.backbone.normalised(square[None]))


# ---- pictures

RAMP = np.array([(60, 0, 110), (215, 60, 60), (255, 236, 90)], np.float32)
"""Colours of little, middling and much heat."""


def overlay(square: Pixels, heat: Map) -> Pixels:
    """Return the picture in grey under its heat ``[h, w]`` of 0 to 1."""
    grey = Image.fromarray(_small(square)).convert("L").convert("RGB")
    wide = Image.fromarray(np.asarray(heat, np.float32)).resize(grey.size, Image.Resampling.BICUBIC)
    amount = np.clip(np.asarray(wide), 0.0, 1.0)
    colour = np.stack([np.interp(amount, (0, 0.5, 1), RAMP[:, c]) for c in range(3)], -1)
    share = 0.75 * amount[:, :, None]
    return np.asarray((1 - share) * np.asarray(grey) + share * colour, np.uint8)


def _small(square: Pixels) -> Pixels:
    image = Image.fromarray(in_colour(square))
    scale = SIDE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
