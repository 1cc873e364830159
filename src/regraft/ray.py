"""Features in a pipeline of one's own: of Ray Data, of Hugging Face data sets, of any other.

>>> import ray.data, regraft.ray  # doctest: +SKIP
>>> images = ray.data.read_binary_files("s3://bucket/photos")  # doctest: +SKIP
>>> images.map_batches(
...     regraft.ray.Features,
...     fn_constructor_args=("efficientnet-lite0", "bytes"),
...     batch_size=512,
...     concurrency=4,
... )  # doctest: +SKIP

``map(regraft.ray.Features(), batched=True)`` of a ``datasets.Dataset`` takes the same class.
The pass of ``regraft fit --on ray`` over a whole set is `regraft.run.on_ray`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regraft.data.images import inspect
from regraft.data.readers.pictures import are_wide, bytes_of, objection
from regraft.errors import DataError
from regraft.features import engines
from regraft.features.cache import cache_folder
from regraft.features.engines import Engine, Pixels
from regraft.run.pretrained import Pretrained, open_network

__all__ = ["Features"]


class Features:
    """A callable that adds what a frozen network sees to batches of images.

    Args:
        backbone: the network, as `regraft.fit` takes it.
        column: of the images: bytes of files, ``{"bytes": ...}`` as Hugging Face has them, arrays
            with channels last, or PIL images.
        weights: a file to read the backbone's weights from.
        cache: the cache folder; the user's where None.

    The engine is the one that is remembered on the machine, else chosen on the first batch. A call
    gives the batch with two columns more: ``features``, float16 ``[n, width]``, every stage side by
    side as the plan's ``backbone.widths`` has them, and ``problem``, which is empty where an image
    could be used; the features of others are 0.

    Raises:
        DataError: a batch has no such column.
    """

    def __init__(
        self,
        backbone: "str | Pretrained" = "efficientnet-lite0",
        column: str = "image",
        *,
        weights: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.network = open_network(backbone, weights)
        self.column = column
        self._cache = cache_folder(cache)
        self._engine: Engine | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with ``features`` and ``problem``."""
        if self.column not in batch:
            raise DataError(
                f"The batch has no column {self.column!r}.",
                [f"It has {', '.join(map(repr, batch))}: name one with column=."],
            )
        view, pixels, problems = self.network.backbone.view, [], []
        for image in batch[self.column]:
            found, square = _looked_at(image, view)
            problems.append(found)
            pixels.append(np.zeros(view.shape, np.uint8) if square is None else square)
        usable = np.array([not problem for problem in problems], np.bool_)
        width = sum(self.network.backbone.widths)
        features = np.zeros((len(pixels), width), np.float16)
        if usable.any():
            features[usable] = self._run(np.stack(pixels)[usable])
        return {**batch, "features": features, "problem": np.array(problems, np.str_)}

    def _run(self, pixels: Pixels) -> Any:
        if self._engine is None:
            record, build = self.network.backbone, self.network.build
            self._engine = engines.choose(record, pixels, self._cache, build=build)[0]
        size = self._engine.batch
        parts = [
            engines.features(self._engine, pixels[n : n + size])
            for n in range(0, len(pixels), size)
        ]
        return np.concatenate(parts)


def _looked_at(image: Any, view: Any) -> tuple[str, Pixels | None]:
    """Return what is wrong with an image, in words, and its square."""
    data = image.get("bytes") if isinstance(image, Mapping) else image
    if not isinstance(data, bytes | bytearray | memoryview):
        if data is None or objection(data):
            return f"no image: {type(data).__name__}", None
        pictures: Sequence[Any] = [data]
        data = bytes_of(data, wide=are_wide(pictures))
    facts, squares = inspect(bytes(data), [view])
    return (facts.detail or facts.problem) if facts.problem else "", squares[0] if squares else None
