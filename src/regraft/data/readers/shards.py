"""Shards: many tars of samples as WebDataset has them, read in place.

A member's path does not tell in which shard it lies, so that the same images in a folder, in one
tar or in a hundred are the same data set: the same names, splits and fingerprint.
"""

import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import DAMAGED, Dataset, Item, Items, listed, some
from regraft.data.kinds import NUMBER
from regraft.data.readers.columns import UNNAMED, NamedColumns
from regraft.data.readers.doubles import by_folders
from regraft.data.readers.labels import taken
from regraft.data.readers.layout import arrange, count_of, is_image, suffix
from regraft.data.readers.samples import TAGS, Samples
from regraft.data.readers.streams import Source, decompressed
from regraft.data.readers.tarmembers import tar_members
from regraft.data.readers.words import splits_of
from regraft.errors import DataError

TARS: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
CLASSES: Final = "classes.txt"
_NUMBERED: Final = re.compile(r"[-_. ]*\d+-of-\d+.*$|(?:[-_. ]*\d+)+$")
_FIRST: Final = 1000  # members of a tar that tell what it holds


def is_tar(name: str) -> bool:
    """Return whether a file is called a tar, compressed or not."""
    return name.lower().endswith(TARS)


def holds_samples(file: Source) -> bool:
    """Return whether a tar holds samples, by its first members.

    They do where an image has a ``.cls`` of its name, or where it has a ``.json`` or ``.txt`` of
    its name and all images lie in one folder, which then cannot tell their classes.
    """
    images, keys, tags = set[str](), set[str](), dict[str, set[str]]()
    with file.borrow() as stream:
        for number, member in enumerate(tar_members(stream, lambda name, why: None)):
            name = member.name.removeprefix("./")
            stem, kind = name.rpartition(".")[0], suffix(name)
            if is_image(name):
                images.add(stem)
                keys.add(_key(stem))
            elif kind in TAGS:
                tags.setdefault(kind, set()).add(stem)
            if number >= _FIRST and ("cls" in tags or not tags):
                break
    found = {kind for kind, stems in tags.items() if not stems.isdisjoint(images | keys)}
    return "cls" in found or (bool(found) and len({_folder(stem) for stem in images}) == 1)


def _key(stem: str) -> str:
    """Return a name up to the first point in its last part."""
    folder, slash, file = stem.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads images by index. ``names``: of the files; ``shard``, ``start``, ``size``: [images]."""

    files: tuple[Source, ...]
    names: tuple[str, ...]
    shard: NDArray[np.int32]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def lies_in(self, index: int) -> str:
        """Return which shard an image lies in."""
        return self.names[int(self.shard[index])]

    def length(self, index: int) -> int:
        """Return how many bytes an image is."""
        return int(self.size[index])

    def __call__(self, index: int) -> bytes:
        number, size = int(self.shard[index]), int(self.size[index])
        data = self.files[number].read(int(self.start[index]), size)
        if len(data) < size:
            raise OSError(f"{DAMAGED} {self.names[number]}, which is shorter than it was")
        return data


def open_shard_files(
    where: str,
    root: Path,
    names: Sequence[str],
    others: Sequence[str],
    named: NamedColumns = UNNAMED,
) -> Dataset:
    """Return the set of tars on the disk, by their names below ``root``.

    ``others``: what else lies there; ``classes.txt`` names the classes of numbers.

    Raises:
        DataError: there is no usable shard, or no image with a label.
    """
    files, broken = dict[str, Source](), list[tuple[str, str]]()
    for name in names:
        try:
            files[name] = decompressed(root / name)
        except (EOFError, zlib.error, LZMAError, OSError) as error:
            broken.append((name, f"{DAMAGED}: {str(error) or type(error).__name__}"))
    classes = classes_beside(root / CLASSES)
    rest = [name for name in others if name != CLASSES]
    return open_shards(where, files, classes, others=rest, broken=broken, named=named)


def classes_beside(path: Path) -> str | None:
    """Return what ``classes.txt`` in the folder of a file says; None where there is none."""
    beside = path.with_name(CLASSES)
    return beside.read_text("utf-8-sig") if beside.is_file() else None


def open_shards(
    where: str,
    files: Mapping[str, Source],
    classes: str | None = None,
    *,
    others: Sequence[str] = (),
    broken: Sequence[tuple[str, str]] = (),
    named: NamedColumns = UNNAMED,
) -> Dataset:
    """Return the set of samples in tars, or of the class folders in them where there are no labels.

    Args:
        where: what the user named.
        files: the tars by name, posix. Folders, or names, that are called after splits are splits.
        classes: the names of classes that are numbers, one a line from 0 on.
        others: names of files there that are no tars.
        broken: (path, why) of tars that could not be opened.
        named: by a person; the label's is a field of the .json.

    Raises:
        DataError: no image has a label, or a label is ambiguous; what there is instead is named.
    """
    named._replace(label="").refuse(where, "shards of images")
    splits = split_of_files(where, list(files))
    samples = Samples(skipped=list(broken))
    for number, (name, file) in enumerate(files.items()):
        prefix = splits[name][0]
        try:
            with file.borrow() as stream:
                samples.add_shard(number, f"{prefix}/" if prefix else "", name, stream, named.label)
        except OSError as error:
            samples.skipped.append((name, f"{DAMAGED}: {error.strerror or error}"))
    if samples.ambiguous:
        raise DataError(
            f"It cannot be told which field of the .json files in '{where}' is the label.",
            [*some(samples.ambiguous), "--label-column FIELD names it"],
        )
    if all(label == "" for label in samples.labels):
        return by_folders(_class_folders(where, files, samples, others, splits), named.kind)
    if classes is not None and named.kind != NUMBER:
        _number_names(where, samples, [line.strip() for line in classes.splitlines()])
    return _of_samples(where, files, samples, others, splits, named)


def _of_samples(
    where: str,
    files: Mapping[str, Source],
    samples: Samples,
    others: Sequence[str],
    splits: Mapping[str, tuple[str, str]],
    named: NamedColumns,
) -> Dataset:
    """Return the images that have a label, by path. A ``.cls`` is a class, whatever its numbers."""
    shards, names = list(files), samples.names
    skipped = [*samples.skipped, *samples.without_label()]
    skipped += [(n, "not a shard by its name") for n in others]
    skipped += [(n, f"not an image by its name (.{suffix(n)})") for n in samples.others]
    labelled = [i for i, label in enumerate(samples.labels) if label != ""]
    told = taken([samples.labels[i] for i in labelled], named.kind, ask=not samples.told["cls"])
    told.refuse(f"'{where}' has labels that cannot be used.", [names[i] for i in labelled])
    labels = dict(zip(labelled, told.labels, strict=True))
    if len({names[i] for i in labelled}) < len(labelled):  # numbered from 0 in every shard
        own = [without_ending(shard) for shard in shards]
        cut = [len(splits[shard][0]) + 1 if splits[shard][0] else 0 for shard in shards]
        names = [f"{own[s]}/{n[cut[s] :]}" for n, s in zip(names, samples.shard, strict=True)]
    order = sorted(labelled, key=names.__getitem__)
    of_shard = [splits[name][1] for name in shards]
    items = Items.of(Item(names[i], labels[i], of_shard[samples.shard[i]]) for i in order)
    counts = [f"{samples.told[kind]:,} in .{kind}" for kind in TAGS if samples.told[kind]]
    note = (
        f"Taken as WebDataset samples: {len(items):,} images in {count_of(len(shards), 'tar')}, "
        f"their labels {', '.join(counts)}."
    )
    bare = sorted({*samples.shard} - {samples.shard[i] for i in labelled})
    lacking = [f"No image in {listed([shards[n] for n in bare], 10)} has a label."] if bare else []
    notes = (note, *lacking, *split_notes(splits), *told.notes)
    read = _reader(files, samples, order)
    quantity = named.label if told.kind == NUMBER else ""
    found = _dataset(where, items, skipped, read, notes)
    return replace(found, kind=told.kind, quantity=quantity)


def _dataset(
    where: str,
    items: Sequence[Item],
    skipped: list[tuple[str, str]],
    read: _Reader,
    notes: tuple[str, ...],
) -> Dataset:
    """Return the set; it is best read as its members follow each other."""
    order = np.lexsort((read.start, read.shard))
    return Dataset(set_name(where), items, tuple(sorted(skipped)), read, notes=notes, order=order)


def _class_folders(
    where: str,
    files: Mapping[str, Source],
    samples: Samples,
    others: Sequence[str],
    splits: Mapping[str, tuple[str, str]],
) -> Dataset:
    """Return the images by the folders in the tars that they lie in.

    Raises:
        DataError: they lie in none; what there is instead is named.
    """
    fields = [f"{name!r} ({count:,})" for name, count in samples.fields.most_common(20)]
    deep, tars = 1 + any(called for called, _ in splits.values()), count_of(len(files), "tar")
    if all(name.count("/") < deep for name in samples.names):
        images = f"{len(samples.names):,} images" if samples.names else "no image"
        raise DataError(
            f"'{where}' holds no image with a label.",
            [
                f"found {images} in {tars}; beside KEY.jpg there must be KEY.cls (a "
                "number or name), KEY.json with a field label or class, or KEY.txt",
                *([f"fields of its .json: {', '.join(fields)}; --label-column FIELD names one"]
                  if fields else []),
                *some([f"{path}: {why}" for path, why in samples.skipped]),
            ],
        )  # fmt: skip
    found = arrange(where, [*samples.names, *samples.others], ())
    skipped = [*samples.skipped, *found.skipped, *((n, "not a shard by its name") for n in others)]
    note = f"Taken as class folders in {tars}: there are no labels beside the images."
    read = _reader(files, samples, found.places)
    notes = (note, *found.notes)
    return _dataset(where, found.items, skipped, read, notes)


def _reader(files: Mapping[str, Source], samples: Samples, order: Sequence[int]) -> _Reader:
    """Return what reads the images in this order."""
    places = np.asarray(order, np.int64)
    shard = np.array(samples.shard, np.int32)[places]
    start, size = (np.array(values, np.int64)[places] for values in (samples.start, samples.size))
    return _Reader(tuple(files.values()), tuple(files), shard, start, size)


def _number_names(where: str, samples: Samples, names: list[str]) -> None:
    """Give classes that are numbers the names in ``classes.txt``.

    Raises:
        DataError: a number has no line.
    """
    several = [label if isinstance(label, tuple) else (label,) for label in samples.labels]
    different = {name for own in several for name in own} - {""}
    if not all(label.isdecimal() for label in different):
        return
    while names and not names[-1]:
        names.pop()
    beyond = sorted((label for label in different if int(label) >= len(names)), key=int)
    if beyond:
        raise DataError(
            f"'{where}' has classes without a name.",
            [f"{CLASSES} has {len(names):,} lines, from class 0 on; got {listed(beyond, 10)}"],
        )
    named = {label: names[int(label)] for label in different} | {"": ""}
    samples.labels[:] = [
        tuple(named[name] for name in label) if isinstance(label, tuple) else named[label]
        for label in samples.labels
    ]


# --- names ---------------------------------------------------------------------------------------


def split_of_files(where: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return for each file (what it is called after, its split); ('', '') without splits.

    The folders at the top decide, or else the names without their numbers: ``train-00000-of-00005``
    is called after ``train``.

    Raises:
        DataError: some are called after splits and others are not.
    """
    shared = os.path.commonpath([os.path.dirname(n) for n in names]) if len(names) > 1 else ""
    inside = [name[len(shared) + 1 :] if shared else name for name in names]
    folders = [PurePosixPath(name).parts[0] if "/" in name else "" for name in inside]
    stems = [_NUMBERED.sub("", _file(without_ending(name))) for name in inside]
    for called in (folders, stems):
        known = splits_of({name for name in called if name})
        if not known:
            continue
        rest = sorted({name for name in called if name not in known})
        if rest and set(known.values()) > {"train"}:
            raise DataError(
                f"'{where}' mixes splits and other files.",
                [
                    f"{listed(sorted(known), 10)} name splits, {listed(rest, 10)} do not; move the "
                    "others out, or call them after a split"
                ],
            )
        if not rest:
            return {n: (c, known[c]) for n, c in zip(names, called, strict=True)}
    return dict.fromkeys(names, ("", ""))


def split_notes(splits: Mapping[str, tuple[str, str]]) -> Iterable[str]:
    """Yield a sentence on the splits of files."""
    counted = Counter(split for _, split in splits.values())
    if set(counted) - {""}:
        counts = [
            f"{counted[split]:,} {split}" for split in ("train", "val", "test") if counted[split]
        ]
        yield f"Their names give the split: {', '.join(counts)}."


def without_ending(name: str) -> str:
    """Return a file's name without its ending."""
    ending = next((ending for ending in TARS if name.lower().endswith(ending)), "")
    return name[: -len(ending)] if ending else name.rpartition(".")[0] or name


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def set_name(where: str) -> str:
    """Return what a set is called."""
    name = Path(where).name
    return (
        _NUMBERED.sub("", re.split(r"[{*]", without_ending(name) if is_tar(name) else name)[0])
        or "shards"
    )
