"""Data at an address (``s3://``, ``gs://``, ``hf://``, ``https://`` ...), through fsspec.

Nothing is copied whole: tars and Parquet files are read by ranges. Whoever does not answer, or
refuses, ends the reading with an error that names the address within a minute.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Final

from regraft.data.dataset import Dataset, some
from regraft.data.kinds import ONE
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.doubles import by_folders
from regraft.data.readers.image_tables import is_table, open_image_tables, shared_folders
from regraft.data.readers.layout import arrange, is_hidden, is_image
from regraft.data.readers.patience import Line
from regraft.data.readers.patterns import expanded, is_address, is_pattern
from regraft.data.readers.shards import CLASSES, is_tar, open_shards, set_name
from regraft.errors import DataError

_BLOCK: Final = 1 << 22  # bytes that are asked for at once while a file is gone through


def open_address(where: str, named: NamedColumns = UNNAMED) -> Dataset:
    """Return the set of tars, Parquet files or class folders at an address.

    Raises:
        DataError: it cannot be reached, or holds nothing of that kind.
    """
    files = _found(Line(_file_system(where)), where)
    names = list(files)
    tars, tables, images = (list(filter(kind, names)) for kind in (is_tar, is_table, is_image))
    others = [name for name in names if name not in {*tars, *tables}]
    if images or not (tars or tables):
        named.refuse(where, "a folder of images")
        return by_folders(_class_folders(where, files), named.kind or ONE)
    if tables and not tars:
        streams = {name: partial(_buffered, files[name]) for name in tables}
        return open_image_tables(where, streams, others=others, named=named)
    packed = [f"{name} is compressed: unpack it first" for name in tars if name[-4:] != ".tar"]
    if packed:
        raise DataError(f"'{where}' cannot be read from there.", some(packed))
    beside = next((files[name] for name in others if name == CLASSES), None)
    classes = None if beside is None else beside.read(0, 1 << 24).decode("utf-8-sig")
    rest = [name for name in others if name != CLASSES]
    return open_shards(where, {n: files[n] for n in tars}, classes, others=rest, named=named)


def _class_folders(where: str, files: dict[str, "Remote"]) -> Dataset:
    """Return the images of a folder of class folders."""
    shown = [name for name in files if not any(map(is_hidden, name.split("/")))]
    found = arrange(where, shown, ())
    chosen = [files[shown[place]] for place in found.places]
    return Dataset(
        set_name(where), found.items, found.skipped, _Files(tuple(chosen)), notes=found.notes
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """Reads whole files by index."""

    files: tuple["Remote", ...]

    def length(self, index: int) -> int:
        """Return the bytes of file ``index``."""
        return self.files[index].length()

    def __call__(self, index: int) -> bytes:
        return self.files[index].whole()


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Remote:
    """A file at an address."""

    line: Line
    path: str
    address: str

    @contextmanager
    def borrow(self) -> Iterator[BinaryIO]:
        """Open it, to be gone through from its start."""
        with _buffered(self) as stream:
            yield stream

    def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file.

        Raises:
            FileNotFoundError: it is gone.
            DataError: it is not given, or only whole.
        """
        end = start + size
        data = bytes(
            self.line.ask(lambda: self.line.disk.cat_file(self.path, start, end), self.address)
        )
        if len(data) > size:
            problem = "where it lies, files are given whole only: copy it to the disk"
            raise DataError(f"'{self.address}' cannot be read in parts.", [problem])
        return data

    def whole(self) -> bytes:
        """Return all of its bytes."""
        return bytes(self.line.ask(lambda: self.line.disk.cat_file(self.path), self.address))

    def length(self) -> int:
        """Return how many bytes it has.

        Raises:
            DataError: there is no such file, or it does not say.
        """
        try:
            found = self.line.ask(lambda: self.line.disk.info(self.path)["size"], self.address)
        except FileNotFoundError as error:
            raise DataError(f"There is no '{self.address}'.", ["it is part of DATA"]) from error
        if found is None:
            raise DataError(
                f"'{self.address}' does not say how long it is.", ["copy it to the disk"]
            )
        return int(found)


class RemoteStream(io.RawIOBase):
    """A file at an address as an open one; some of it is read ahead."""

    def __init__(self, file: Remote) -> None:
        super().__init__()
        self._file, self._size = file, file.length()
        self._place, self._start, self._data = 0, 0, b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return where it is read from."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        if not self._start <= self._place < self._start + len(self._data):
            ahead = min(max(wanted, _BLOCK), self._size - self._place)
            self._start, self._data = self._place, self._file.read(self._place, ahead)
        begin = self._place - self._start
        part = self._data[begin : begin + wanted]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)


def _buffered(file: Remote) -> io.BufferedReader:
    """Open a file for who asks for exact numbers of bytes."""
    return io.BufferedReader(RemoteStream(file), 1 << 16)


# --- finding -------------------------------------------------------------------------------------


def _file_system(where: str) -> Any:
    """Return what fsspec opens addresses of this scheme with."""
    scheme = where.partition("://")[0]
    try:
        import fsspec  # type: ignore[import-untyped]

        return fsspec.filesystem(scheme)
    except (ImportError, ValueError) as error:
        raise DataError(
            f"'{where}' cannot be opened.",
            [
                f"{error}",
                "fsspec reads addresses: s3:// needs s3fs, gs:// gcsfs, hf:// huggingface-hub",
            ],
        ) from error


def _found(line: Line, where: str) -> dict[str, Remote]:
    """Return the files at an address, a pattern of them, or below it, by name."""
    if is_pattern(where):
        paths = [path for one in expanded(where) for path in _globbed(line, one)]
        root = "/".join(shared_folders(paths))
    elif is_tar(where) or is_table(where):
        paths = [line.disk._strip_protocol(where)]
        root = "/".join(shared_folders(paths))
    else:
        root = line.disk._strip_protocol(where).rstrip("/")
        paths = sorted(line.ask(lambda: _below(line.disk, root), where))
    if not paths:
        raise DataError(f"There is nothing at '{where}'.", ["no file was found there"])
    files = [Remote(line, path, _address(line.disk, path)) for path in paths]
    return {file.path[len(root) :].lstrip("/"): file for file in files}


def _below(disk: Any, path: str) -> list[str]:
    """Return the files below a path."""
    try:
        return [str(found) for found in disk.find(path)]
    except FileNotFoundError:
        return []


def _globbed(line: Line, pattern: str) -> Sequence[str]:
    """Return the files that a pattern without braces stands for; itself where it has no stars."""
    path = line.disk._strip_protocol(pattern)
    if not is_pattern(path):
        return [path]
    return sorted(str(found) for found in line.ask(lambda: line.disk.glob(path), pattern))


def _address(disk: Any, path: str) -> str:
    """Return a path as an address."""
    return path if is_address(path) else f"{_scheme(disk)}://{path.lstrip('/')}"


def _scheme(disk: Any) -> str:
    names = disk.protocol
    return names if isinstance(names, str) else str(names[0])
