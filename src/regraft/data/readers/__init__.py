"""Opens what a user calls DATA: a folder, a table, an archive."""

import os
from collections.abc import Callable
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Final

from regraft.data.dataset import Dataset, some
from regraft.data.readers.archive import open_tar, open_zip
from regraft.data.readers.folder import open_folder
from regraft.data.readers.patterns import expanded, is_pattern
from regraft.data.readers.shards import CLASSES, TARS, is_tar, open_shard_files
from regraft.data.readers.table import open_table
from regraft.errors import DataError

_BY_NAME: Final[tuple[tuple[tuple[str, ...], Callable[[Path], Dataset]], ...]] = (
    ((".csv", ".tsv", ".parquet", ".pq"), open_table),
    ((".zip",), open_zip),
    (TARS, open_tar),
)
_KINDS: Final = (
    "a folder of class folders, a table (.csv, .parquet) of paths and labels, "
    "a .zip or .tar of such a folder, or WebDataset shards (a folder of .tar, "
    "shards/{000..099}.tar)"
)


def open_source(source: str | os.PathLike[str]) -> Dataset:
    """Return the data set in a folder, a CSV or Parquet table, a zip or a tar.

    Raises:
        DataError: it is not there, it is none of these, or something is wrong inside.
    """
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return open_folder(path)
        if path.is_file():
            opener = _opener(path)
            found = opener(path)
            return replace(found, table=path) if opener is open_table else found
    except PermissionError as error:
        raise DataError(
            f"'{path}' cannot be read.", [f"{error.strerror}; ask for the right to read it"]
        ) from error
    if is_pattern(str(path)):
        return _open_pattern(str(path))
    raise _not_there(path)


def _open_pattern(pattern: str) -> Dataset:
    """Return the shards that a pattern stands for.

    Raises:
        DataError: one of them is not there, or is no tar.
    """
    named = [name for one in expanded(pattern) for name in sorted(glob(one)) or [one]]
    missing = [f"there is no '{name}'" for name in named if not os.path.isfile(name)]
    wrong = [f"'{name}' is not called .tar" for name in named if not is_tar(name)]
    if missing or wrong:
        raise DataError(f"'{pattern}' cannot be read as shards.", [*some(missing), *some(wrong)])
    paths = [os.path.abspath(name) for name in dict.fromkeys(named)]
    root = Path(os.path.commonpath(list(map(os.path.dirname, paths))))
    names = [Path(name).relative_to(root).as_posix() for name in paths]
    return open_shard_files(pattern, root, names, [CLASSES])


def _opener(path: Path) -> Callable[[Path], Dataset]:
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
