"""Opens what a user calls DATA: a folder, a table, an archive."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from regraft.data.dataset import Dataset
from regraft.data.readers.archive import open_tar, open_zip
from regraft.data.readers.folder import open_folder
from regraft.data.readers.table import open_table
from regraft.errors import DataError

_BY_NAME: Final[tuple[tuple[tuple[str, ...], Callable[[Path], Dataset]], ...]] = (
    ((".csv", ".tsv", ".parquet", ".pq"), open_table),
    ((".zip",), open_zip),
    ((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"), open_tar),
)
_KINDS: Final = (
    "a folder of class folders, a table (.csv, .parquet) of paths and labels, "
    "or a .zip or .tar of such a folder"
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
    raise _not_there(path)


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
