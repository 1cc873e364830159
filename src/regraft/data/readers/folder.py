"""Folders, and files on the disk that an item reads."""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from regraft.data.dataset import Dataset, listed, some
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.doubles import by_folders
from regraft.data.readers.image_tables import holds_images, is_table, open_image_tables
from regraft.data.readers.layout import arrange, in_no_utf8, is_hidden, is_image, readable
from regraft.data.readers.metadata import is_metadata, open_metadata
from regraft.data.readers.shards import is_tar, open_shard_files
from regraft.data.readers.streams import Files
from regraft.errors import DataError


@dataclass
class _Walk:
    """What a walk through a folder has found so far; paths are relative and posix."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    links: deque[str] = field(default_factory=deque)
    seen: dict[tuple[int, int], str] = field(default_factory=dict)


def open_folder(path: Path, named: NamedColumns = UNNAMED) -> Dataset:
    """Return a folder of class folders, with or without train, val and test above them; or of tars.

    A folder without images by their names, but with tars, is one of shards.
    """
    root = os.path.abspath(path)
    walk = _walk(root)
    if walk.closed:
        raise DataError(f"'{path}' has folders that cannot be opened.", some(walk.closed))
    names = [readable(file) for file in walk.files]
    images, metadata = (list(filter(kind, names)) for kind in (is_image, is_metadata))
    if not images:
        shards, tables = (sorted(filter(kind, walk.files)) for kind in (is_tar, is_table))
        if shards:
            others = sorted({*names} - {*shards})
            return open_shard_files(str(path), Path(root), shards, others, named)
        if any(holds_images(os.path.join(root, name)) for name in tables):
            files = {name: os.path.join(root, name) for name in tables}
            others = sorted({*names} - {*tables})
            return open_image_tables(str(path), files, root=root, others=others, named=named)
    if named.any and metadata:
        return open_metadata(path, metadata, images, named)
    named.refuse(str(path), "a folder of images")
    try:
        found = arrange(str(path), names, map(readable, walk.folders))
    except DataError:
        if not metadata:
            raise
        found = None
    if found is None or (metadata and len({item.label for item in found.items}) < 2):
        return open_metadata(path, metadata, images, named)
    paths = tuple(_same(walk.files[place], names[place]) for place in found.places)
    skipped = sorted([*found.skipped, *((readable(name), why) for name, why in walk.skipped)])
    name, read = os.path.basename(root), Files(root, paths)
    notes = (*in_no_utf8(walk.files), *found.notes, *_not_used(metadata))
    dataset = Dataset(name, found.items, tuple(skipped), read, notes=notes)
    return by_folders(dataset, named.kind)


def _not_used(tables: list[str]) -> list[str]:
    """Return a sentence on tables that lie beside class folders."""
    if not tables:
        return []
    return [
        f"The class folders are the labels; {listed(tables, 5)} "
        f"{'is' if len(tables) == 1 else 'are'} not used: --label-column COLUMN takes labels from "
        "there."
    ]


def _same(path: str, name: str) -> str:
    """Return the path, as the very same object where it is shown as it is: half the index."""
    return name if path == name else path


def images_below(path: str) -> tuple[list[str], list[str]]:
    """Images and other files anywhere below a folder, by the names and links that a set is read by.

    Relative paths, those of a folder before those of the folders in it; hidden ones are passed
    over.

    Raises:
        DataError: folders that cannot be opened; all are named.
    """
    walk = _walk(os.path.abspath(path))
    if walk.closed:
        raise DataError(f"'{path}' has folders that cannot be opened.", some(walk.closed))
    files = sorted(walk.files, key=lambda file: [(part != file, part) for part in _ways(file)])
    return [f for f in files if is_image(f)], [f for f in files if not is_image(f)]


def _ways(file: str) -> list[str]:
    """Return the folders on the way to a file, then the file: a, a/b, a/b/c.jpg."""
    parts = file.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _walk(root: str) -> _Walk:
    """List a folder, following links, but reading no folder twice.

    Links to folders come last, so that a folder is found under its own name where it has one
    inside ``root``. A link in a circle leads to a folder that was seen, and ends there.
    """
    walk = _Walk()
    _descend(walk, root, "")
    while walk.links:
        link = walk.links.popleft()
        if _is_above(os.path.join(root, link), root):
            walk.skipped.append((f"{link}/", "a link to a folder that holds this one"))
        else:
            _descend(walk, root, link)
    return walk


def _is_above(link: str, root: str) -> bool:
    """Return whether a link leads out of ``root``, to a folder around it."""
    target, inner = os.path.realpath(link), os.path.realpath(root)
    return target != inner and inner.startswith(os.path.join(target, ""))


def _descend(walk: _Walk, root: str, start: str) -> None:
    """List the folder ``start`` and all below it, leaving links to folders for later."""
    waiting = [start]
    while waiting:
        folder = waiting.pop()
        try:
            key = os.stat(os.path.join(root, folder))
            first = walk.seen.setdefault((key.st_dev, key.st_ino), folder)
            if first != folder:
                walk.skipped.append((f"{folder}/", f"the same folder as '{first or '.'}'"))
                continue
            with os.scandir(os.path.join(root, folder)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            walk.closed.append(f"{readable(folder or '.')}: {error.strerror}")
            continue
        if folder:
            walk.folders.append(folder)
        waiting += reversed([path for entry in found if (path := _sort(walk, folder, entry))])


def _sort(walk: _Walk, folder: str, entry: "os.DirEntry[str]") -> str:
    """Put an entry where it belongs; the path where it is a folder to descend into, else ''."""
    path = f"{folder}/{entry.name}" if folder else entry.name
    is_folder = _is_folder(entry)
    if is_hidden(entry.name):
        walk.skipped.append(
            (path + "/" * is_folder, f"a hidden {'folder' if is_folder else 'file'}")
        )
    elif is_folder and entry.is_symlink():
        walk.links.append(path)
    elif is_folder:
        return path
    elif entry.is_symlink() or entry.is_file():  # a link to nothing: an image that is missing
        walk.files.append(path)
    else:
        walk.skipped.append((path, "not a regular file"))
    return ""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether this is a folder, or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
