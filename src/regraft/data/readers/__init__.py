"""Opens what a user calls DATA: a folder, a table, an archive."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any, Final

from regraft.data.dataset import Dataset, some
from regraft.data.readers.archive import open_tar, open_zip
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.folder import open_folder
from regraft.data.readers.hub_sets import is_hub_set, open_hub_set
from regraft.data.readers.image_tables import holds_images, is_table, open_image_tables
from regraft.data.readers.patterns import expanded, is_address, is_pattern
from regraft.data.readers.remote import open_address
from regraft.data.readers.shards import CLASSES, TARS, is_tar, open_shard_files
from regraft.data.readers.table import open_table
from regraft.data.readers.words import JSON_LINES, PARQUET
from regraft.errors import DataError

_KINDS: Final = (
    "a folder of class folders, a table (.csv, .jsonl, .parquet) of paths and labels, "
    "a .zip or .tar of such a folder, or WebDataset shards (a folder of .tar, "
    "shards/{000..099}.tar)"
)


def open_source(source: Any, named: NamedColumns = UNNAMED) -> Dataset:
    """Return the data set in a folder, a table, an archive, shards, or the library datasets.

    Raises:
        DataError: it is not there, it is none of these, or something is wrong inside.
    """
    if is_hub_set(source):
        return open_hub_set(source, named)
    if is_address(source):
        return open_address(str(source), named)
    if isinstance(source, list | tuple):
        return _open_files("the list", [os.fspath(name) for name in source], named)
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return open_folder(path, named)
        if path.is_file():
            return _opener(path)(path, named)
    except PermissionError as error:
        raise DataError(
            f"'{path}' cannot be read.", [f"{error.strerror}; ask for the right to read it"]
        ) from error
    if is_pattern(str(path)):
        return _open_pattern(str(path), named)
    raise _not_there(path)


def _open_pattern(pattern: str, named: NamedColumns) -> Dataset:
    """Return the shards or Parquet files that a pattern stands for."""
    files = [n for one in expanded(pattern) for n in sorted(glob(one)) or [one]]
    return _open_files(pattern, files, named)


def _open_files(where: str, files: Sequence[str], named: NamedColumns) -> Dataset:
    """Return the set of several tars or Parquet files.

    Raises:
        DataError: one of them is not there, or they are not all of one kind.
    """
    missing = [f"there is no '{name}'" for name in files if not os.path.isfile(name)]
    tables = all(map(is_table, files))
    wrong = [f"'{name}' is not called .tar" for name in files if not tables and not is_tar(name)]
    if missing or wrong or not files:
        raise DataError(f"'{where}' cannot be read as shards.", [*some(missing), *some(wrong)])
    paths = [os.path.abspath(name) for name in dict.fromkeys(files)]
    root = os.path.commonpath(list(map(os.path.dirname, paths)))
    names = [Path(name).relative_to(root).as_posix() for name in paths]
    if tables:
        return open_image_tables(
            where, dict(zip(names, paths, strict=True)), root=root, named=named
        )
    return open_shard_files(where, Path(root), names, [CLASSES], named)


def _open_parquet(path: Path, named: NamedColumns) -> Dataset:
    """Return a table of paths, or of images."""
    if holds_images(path):
        root = os.path.dirname(os.path.abspath(path))
        return open_image_tables(str(path), {path.name: str(path)}, root=root, named=named)
    return replace(open_table(path, named), table=path)


def _open_csv(path: Path, named: NamedColumns) -> Dataset:
    """Return a table of paths."""
    return replace(open_table(path, named), table=path)


_BY_NAME: Final[tuple[tuple[tuple[str, ...], Callable[[Path, NamedColumns], Dataset]], ...]] = (
    ((".csv", ".tsv", *JSON_LINES), _open_csv),
    (PARQUET, _open_parquet),
    ((".zip",), open_zip),
    (TARS, open_tar),
)


def _opener(path: Path) -> Callable[[Path, NamedColumns], Dataset]:
    """Return what opens a file of this name."""
    for endings, opener in _BY_NAME:
        if path.name.lower().endswith(endings):
            return opener
    raise DataError(
        f"'{path}' is a file that regraft cannot take as data.",
        [f"DATA must be {_KINDS}; got a file named {path.name!r}"],
    )


def _not_there(path: Path) -> DataError:
    """Return the error for a path that leads nowhere, with how far it leads."""
    parent = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if path.exists() or parent is None:
        return DataError(f"'{path}' is neither a folder nor a file.", [f"DATA must be {_KINDS}"])
    return DataError(
        f"There is no '{path}'.", [f"DATA must be {_KINDS}; looked in '{parent}', which is there"]
    )
