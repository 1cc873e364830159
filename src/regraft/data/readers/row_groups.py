"""Images out of Parquet files: row groups are read when an image of theirs is, and few are held."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import read_file
from regraft.errors import DataError

HELD: Final = 1 << 27  # bytes of images that are held at once


class ImageColumns(NamedTuple):
    """The columns of a file that count. ``names``: of the classes, where labels are numbers."""

    image: str
    label: str
    nested: bool
    names: tuple[str, ...]
    splits: tuple[str, ...]


@contextmanager
def parquet_file(source: str | Callable[[], Any], metadata: Any = None) -> Iterator[Any]:
    """Open a Parquet file, so that a row group is not read whole before its first row is given."""
    from pyarrow import parquet

    whole = isinstance(source, str)
    file = source if isinstance(source, str) else source()
    size = 1 << (20 if whole else 23)  # elsewhere each reading takes its time, however little
    opened = parquet.ParquetFile(file, metadata=metadata, buffer_size=size, pre_buffer=False)
    try:
        yield opened
    finally:
        opened.close(force=True)


@dataclass(eq=False)
class ImageTable:
    """A Parquet file. ``starts`` [row groups + 1]: where each begins, in rows.

    ``source``: its path, or what opens it elsewhere. It is open while it is read only: there may
    be more of them than files may be open. ``metadata``, ``arrow``: what pyarrow says of it.
    """

    name: str
    source: str | Callable[[], Any]
    metadata: Any
    arrow: Any
    schema: ImageColumns
    starts: NDArray[np.int64]

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open the file, whose end is not read again."""
        with parquet_file(self.source, self.metadata) as file:
            yield file

    def batches(self, group: int, rows: int) -> Iterator[Any]:
        """Yield the images of a row group, so many rows at a time."""
        with self.opened() as file:
            found = file.iter_batches(rows, row_groups=[group], columns=[self.column])
            yield from map(self.images, found)

    @property
    def column(self) -> str:
        """The column with the bytes, as Parquet counts its leaves."""
        return f"{self.schema.image}.bytes" if self.schema.nested else self.schema.image

    def size(self, group: int) -> int:
        """Return how many bytes the images of a row group are."""
        rows = self.metadata.row_group(group)
        columns = (rows.column(n) for n in range(rows.num_columns))
        return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == self.column)

    @cached_property
    def places(self) -> list[Any]:
        """The paths of the images, which are asked for one by one where a file has no bytes."""
        return self.texts(f"{self.schema.image}\0path")

    def images(self, batch: Any) -> Any:
        """Return the bytes in a batch or table that was read."""
        import pyarrow.compute as pc

        found = batch.column(0)
        return pc.struct_field(found, "bytes") if self.schema.nested else found

    def texts(self, column: str) -> list[Any]:
        """Return a column that is no image's."""
        import pyarrow.compute as pc

        outer, _, inner = column.partition("\0")
        with self.opened() as file:
            found = file.read(columns=[f"{outer}.{inner}" if inner else outer])[outer]
        return list((pc.struct_field(found, inner) if inner else found).to_pylist())


@dataclass(eq=False)
class RowGroups:
    """Reads images by index, of which ``rows`` [images] are the places in all files together.

    What was read last is held, up to :data:`HELD` bytes. A row group that is larger is read a
    part at a time, from its start to the image.
    """

    tables: Sequence[ImageTable]
    first: NDArray[np.int64]
    rows: NDArray[np.int64]
    root: str
    _parts: "OrderedDict[tuple[int, int, int], Any]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: tuple[int, int, int, Iterator[Any]] | None = None
    """Of a large row group: file, row group, the row that comes next, and what gives it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made elsewhere: what is open and held stays here."""
        return RowGroups, (self.tables, self.first, self.rows, self.root)

    def _place(self, index: int) -> tuple[int, int]:
        """Return in which file an image lies, and in which row of it."""
        number = int(self.rows[index])
        place = int(np.searchsorted(self.first, number, "right")) - 1
        return place, number - int(self.first[place])

    def near(self, index: int) -> int:
        """Return a number that is near those of images which are best read before and after."""
        return int(self.rows[index])

    def lies_in(self, index: int) -> str:
        """Return file and row of an image."""
        place, row = self._place(index)
        return f"{self.tables[place].name}, row {row + 1:,}"

    def __call__(self, index: int) -> bytes:
        """Return the bytes of image ``index``."""
        place, row = self._place(index)
        table = self.tables[place]
        group = int(np.searchsorted(table.starts, row, "right")) - 1
        try:
            with self._lock:
                cell = self._cell(place, group, row - int(table.starts[group]))
        except DataError:  # of an address that does not answer: that is no damaged image
            raise
        except Exception as error:  # pyarrow has errors of many kinds for what is damaged
            raise OSError(f"damaged in {table.name}, row {row + 1:,}: {error}") from error
        if cell.is_valid:
            return bytes(cell.as_py())
        return self._beside(table, row)

    def _beside(self, table: ImageTable, row: int) -> bytes:
        """Return the file that a row names in place of bytes."""
        if not table.schema.nested:
            raise OSError(f"empty in {table.name}, row {row + 1:,}")
        path = table.places[row]
        if not path:
            raise OSError(f"empty in {table.name}, row {row + 1:,}: neither bytes nor a path")
        return read_file(os.path.join(self.root, path))

    def _cell(self, place: int, group: int, row: int) -> Any:
        """Return one image of a row group."""
        for key, images in self._parts.items():
            if key[:2] == (place, group) and key[2] <= row < key[2] + len(images):
                self._parts.move_to_end(key)
                return images[row - key[2]]
        table = self.tables[place]
        size = table.size(group)
        if size <= HELD:
            with table.opened() as file:
                images = table.images(file.read_row_group(group, columns=[table.column]))
            self._hold(place, group, 0, images)
            return images[row]
        return self._in_large(place, group, row, size)

    def _in_large(self, place: int, group: int, row: int, size: int) -> Any:
        """Return one image of a row group that is not held whole."""
        table = self.tables[place]
        count = int(table.starts[group + 1] - table.starts[group])
        at = self._open
        if at is None or at[:2] != (place, group) or at[2] > row:
            batch = max(1, count * (HELD // 8) // size)
            at = (place, group, 0, table.batches(group, batch))
        start, batches = at[2], at[3]
        for images in batches:
            self._open = (place, group, start + len(images), batches)
            if row < start + len(images):
                self._hold(place, group, start, images)
                return images[row - start]
            start += len(images)
        raise OSError(f"row group {group} ends early")

    def _hold(self, place: int, group: int, start: int, images: Any) -> None:
        """Keep images for who asks next, and let go of what was not asked for longest."""
        self._parts[(place, group, start)] = images
        while len(self._parts) > 1 and sum(i.nbytes for i in self._parts.values()) > HELD:
            self._parts.popitem(last=False)
