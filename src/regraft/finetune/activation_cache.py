"""What the frozen part of a network gives, kept from its first use on.

It never changes for an image. `ActivationCache` therefore keeps it, and a step of training
runs only what lies behind (`regraft.networks.split`). That holds as long as the images are the
same in every epoch, mirror images apart: random crops would make every look a new one.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.networks.split import At

HELD = 1 << 30
"""Bytes of border values that are held in memory; what is beyond is computed at every use."""


CHUNK = 16
"""Images that go through the front together to be held. An image's company decides the last bits
of its value, so it is always the same, whatever batch asks first: a resumed run sees no change."""


class _Shelf:
    """One tensor of every image and view, in the order of memory in which it was given."""

    def __init__(self, like: Tensor, places: int, dtype: torch.dtype | None) -> None:
        self._device, self._dtype = like.device, like.dtype
        self._last = like.dim() == 4 and not like.is_contiguous()
        self._last = self._last and like.is_contiguous(memory_format=torch.channels_last)
        shape = self._laid(like).shape[1:]
        self._rows = torch.empty((places, *shape), dtype=dtype or like.dtype)

    def put(self, places: Tensor, values: Tensor) -> None:
        self._rows[places] = self._laid(values).to(self._rows)

    def take(self, places: Tensor) -> Tensor:
        """Return what was put there, as it was but for what its type on the shelf lost."""
        return self._given(self._rows[places])

    def mixed(self, held: Tensor, places: Tensor, fresh: Tensor) -> Tensor:
        """Return the same, where only those that are ``held`` lie here and the others are fresh."""
        rows = self._rows.new_empty((len(held), *self._rows.shape[1:]))
        rows[held], rows[~held] = self._rows[places], self._laid(fresh).to(rows)
        return self._given(rows)

    def _laid(self, values: Tensor) -> Tensor:
        return values.permute(0, 2, 3, 1) if self._last else values

    def _given(self, rows: Tensor) -> Tensor:
        values = rows.to(self._device, self._dtype)
        return values.permute(0, 3, 1, 2) if self._last else values


class ActivationCache:
    """What the front gives for images and their mirror images: kept from its first use on."""

    def __init__(
        self,
        front: Callable[[Tensor], At],
        look: Callable[[NDArray[np.intp], NDArray[np.bool_]], Tensor],
        images: int,
        *,
        mirror: bool,
        held: int = HELD,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Take the images, which are not looked at yet.

        Args:
            front: the frozen part, on the device where it is to run.
            look: gives the normalised pixels of some images, those mirrored that are to be, there.
            images: how many there are; the first ones are held, the others computed at every use.
            mirror: whether they are ever mirrored; then each takes twice the memory.
            held: bytes of memory for what is held.
            dtype: in which it is held (and what is not held rounded alike); None: as it comes.
        """
        self._front, self._look, self._images = front, look, images
        self._views, self._held, self._dtype = 1 + mirror, held, dtype
        self._shelves: list[_Shelf] = []
        self._most = 0
        self._done = np.zeros((0, self._views), bool)

    @property
    def most(self) -> int:
        """How many images can be held; 0 before the first is looked at."""
        return self._most

    def batch(self, rows: NDArray[np.intp], flipped: NDArray[np.bool_] | None = None) -> At:
        """Value at the border and taps before it of some images, those mirrored that are said."""
        views = np.zeros(len(rows), bool) if flipped is None else flipped
        assert self._views == 2 or not views.any(), "there is no room for mirror images"
        with torch.inference_mode(False), torch.no_grad():
            if not self._shelves:
                self._build(rows)
            here = rows < self._most
            self._fill(rows[here], views[here])
            places = torch.from_numpy(rows[here] * self._views + views[here])
            if here.all():
                value, *taps = (shelf.take(places) for shelf in self._shelves)
                return value, taps
            fresh = self._run(rows[~here], views[~here])
            held = torch.from_numpy(here)
            value, *taps = (
                shelf.mixed(held, places, one)
                for shelf, one in zip(self._shelves, fresh, strict=True)
            )
        return value, taps

    def _build(self, rows: NDArray[np.intp]) -> None:
        """Make room, as much as one image shows to be needed."""
        some = self._run(rows[:1], np.zeros(1, bool))
        sizes = [one.numel() * (self._dtype or one.dtype).itemsize for one in some]
        self._most = min(self._images, self._held // (self._views * sum(sizes)))
        self._shelves = [_Shelf(one, self._most * self._views, self._dtype) for one in some]
        self._done = np.zeros((-(-self._most // CHUNK), self._views), bool)

    def _fill(self, rows: NDArray[np.intp], views: NDArray[np.bool_]) -> None:
        """Compute every chunk of images that these are the first to ask for."""
        asked = np.unique(np.stack([rows // CHUNK, views.astype(np.intp)]), axis=1).T
        for chunk, view in asked:
            if self._done[chunk, view]:
                continue
            mates = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, self._most))
            places = torch.from_numpy(mates * self._views + view)
            given = self._run(mates, np.full(len(mates), bool(view)))
            for shelf, one in zip(self._shelves, given, strict=True):
                shelf.put(places, one)
            self._done[chunk, view] = True

    def _run(self, rows: NDArray[np.intp], views: NDArray[np.bool_]) -> list[Tensor]:
        value, taps = self._front(self._look(rows, views))
        return [value, *taps]
