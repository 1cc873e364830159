"""The same images in any container are the same data set, down to the plan."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pictures import check_reading, classes, facts_of, lay_out, refusal
from regraft.data.audit import audit, fingerprint
from regraft.data.dataset import Dataset
from regraft.data.images import View
from regraft.data.readers import row_groups
from regraft.data.splits import split
from regraft.finetune.data import ImageBuffer
from shards import every, in_cls, in_json, samples, tar

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CATS = classes({"cat": 6, "dog": 6}, 32, 32)
PARTED = classes({"train/cat": 3, "train/dog": 3, "test/cat": 2, "test/dog": 2}, 32, 32)


def many(place: Path, files: Mapping[str, bytes], kind: str = "cls", fill: Any = in_cls) -> Path:
    """Three shards of them, dealt in turn."""
    for n in range(3):
        tar(place / f"{n:03}.tar", samples(every(files, n), kind, fill))
    return place


def numbers(place: Path, files: Mapping[str, bytes]) -> Path:
    """Shards whose labels are places in classes.txt."""
    lay_out(place, {"classes.txt": b"bird\ncat\ndog\n"})
    return many(
        place, files, "cls", lambda label: str(["bird", "cat", "dog"].index(label)).encode()
    )


def dealt(place: Path, files: Mapping[str, bytes]) -> Path:
    """Three tars of class folders."""
    for n in range(3):
        tar(place / f"{n}.tar", every(files, n))
    return place


def by_split(place: Path, files: Mapping[str, bytes], name: str) -> Path:
    """Two shards of each split, in folders or files called after it."""
    for part in ("train", "test"):
        for n in range(2):
            tar(place / name.format(part, n), samples(every(below(files, part), n, 2)))
    return place


KINDS = ["ant", "cat", "dog"]
CLASS_LABEL = {"names": KINDS, "_type": "ClassLabel"}
IMAGE = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})


def table(
    path: Path,
    files: Mapping[str, bytes],
    *,
    numbers: bool = True,
    group: int = 2,
    extra: Mapping[str, list[Any]] | None = None,
    names: list[str] = KINDS,
    home: str = "",
) -> Path:
    """A Parquet file as the library datasets writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [name.split("/")[-2] for name in files]
    images = [{"bytes": data, "path": home + name} for name, data in files.items()]
    whole = pyarrow.table({
        "image": pyarrow.array(images, IMAGE),
        "label": [KINDS.index(label) for label in labels] if numbers else labels,
    } | dict(extra or {}))  # fmt: skip
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    told = json.dumps({"info": {"features": features}})
    whole = whole.replace_schema_metadata({"huggingface": told} if numbers else {})
    parquet.write_table(whole, path, row_group_size=group)
    return path


def tables(place: Path, files: Mapping[str, bytes], **options: Any) -> Path:
    """Two of them, of which the first holds what the folder has last."""
    for n in range(2):
        turned = dict(reversed(every(files, n, 2).items()))
        table(place / f"{1 - n:05}-of-00002.parquet", turned, **options)
    return place


def tables_by_split(place: Path, files: Mapping[str, bytes]) -> Path:
    """One of each split, as a data set on the hub has them."""
    for part in ("train", "test"):
        file = place / f"data/{part}-00000-of-00001.parquet"
        table(file, below(files, part), home=f"C:\\me\\{part}\\")
    return place


Packer = Callable[[Path, Mapping[str, bytes]], str | Path]
CONTAINERS: dict[str, Packer] = {
    "one tar": lambda place, files: tar(place / "a.tar", samples(files)),
    "one tar of class folders": lambda place, files: tar(place / "a.tar", files),
    "a folder of tars": many,
    "a folder of tars of class folders": dealt,
    "a pattern": lambda place, files: f"{many(place, files)}/{{000..002}}.tar",
    "a star": lambda place, files: f"{many(place, files)}/*.tar",
    "json": lambda place, files: many(place, files, "json", in_json),
    "txt": lambda place, files: many(place, files, "txt"),
    "numbers": numbers,
    "Parquet": lambda place, files: table(place / "a.parquet", files),
    "a folder of Parquet": tables,
    "Parquet with names": lambda place, files: tables(place, files, numbers=False),
    "a pattern of Parquet": lambda place, files: (
        f"{tables(place, files)}/{{00000..00001}}*.parquet"
    ),
    "Parquet with somebody's paths": lambda place, files: tables(place, files, home="/disk/me/"),
    "Parquet in one row group": lambda place, files: table(place / "a.parquet", files, group=99),
}
PARTED_CONTAINERS: dict[str, Packer] = {
    "folders": lambda place, files: by_split(place, files, "{0}/{1:03}.tar"),
    "folders in one": lambda place, files: (
        by_split(place / "shards", files, "{0}/{1:03}.tar").parent
    ),
    "Parquet": tables_by_split,
    "names": lambda place, files: by_split(place, files, "{0}-{1:05}-of-00002.tar"),
}


def below(files: Mapping[str, bytes], part: str) -> dict[str, bytes]:
    return {name[len(part) + 1 :]: data for name, data in files.items() if name.startswith(part)}


def decided(dataset: Dataset) -> tuple[object, ...]:
    """What a plan depends on: the items, what is left out, the fingerprint, and who is held out."""
    facts = facts_of(dataset)
    found = audit(dataset, facts)
    sides = split(dataset, found, test_fraction=None, seed=3)
    held = [dataset.items[found.kept[i]].path for i in sides.test]
    return dataset.items, found.left_out, fingerprint(dataset, found, facts), held, sides.origin


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_plays_no_part(container: str, tmp_path: Path) -> None:
    files = CATS | {"dog/copy.jpg": CATS["dog/000.jpg"]}
    dataset = Dataset.open(CONTAINERS[container](tmp_path / "other", files))
    folder = Dataset.open(lay_out(tmp_path / "folder", files))
    check_reading(dataset, files)
    assert decided(dataset) == decided(folder)
    if "folder of tars" in container:  # dealt in turn: every third image of the first shard
        assert dataset.order is not None
        assert dataset.order[:2].tolist() == [0, 3]


@pytest.mark.parametrize("container", PARTED_CONTAINERS)
def test_the_container_plays_no_part_in_splits(container: str, tmp_path: Path) -> None:
    dataset = Dataset.open(PARTED_CONTAINERS[container](tmp_path / "other", PARTED))
    assert decided(dataset) == decided(Dataset.open(lay_out(tmp_path / "folder", PARTED)))
    assert any("Their names give the split: " in note for note in dataset.notes)


# --- Parquet -------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [1 << 28, 9000, 1])
@pytest.mark.parametrize("group", [2, 99])
def test_row_groups_are_read_in_parts(
    held: int, group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_groups, "HELD", held)
    dataset = Dataset.open(tables(tmp_path, CATS, group=group))
    check_reading(dataset, CATS)  # in the order of the paths: forth and back in the files
    assert dataset.order is not None
    for i in dataset.order.tolist():
        assert dataset.read(i) == CATS[dataset.items[i].path]
    parts = dataset.read._parts.values()  # type: ignore[attr-defined]
    assert len(parts) == 1 or sum(part.nbytes for part in parts) <= held
    back = Dataset.open(table(tmp_path / "b" / "b.parquet", dict(reversed(CATS.items())), group=9))
    check_reading(back, CATS)


def test_reading_in_order_reads_no_row_group_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(tables(tmp_path, CATS))
    monkeypatch.setattr(row_groups, "HELD", 1)
    read = dataset.read
    started = [0]
    large = type(read)._in_large  # type: ignore[attr-defined]

    def counted(self: Any, place: int, group: int, row: int, size: int) -> Any:
        started[0] += row == 0
        return large(self, place, group, row, size)

    monkeypatch.setattr(type(read), "_in_large", counted)
    assert dataset.order is not None
    for i in dataset.order.tolist():
        read(i)
    assert started[0] == 6  # row groups of two


def test_training_reads_row_groups_in_their_order(tmp_path: Path) -> None:
    dataset = Dataset.open(tables(tmp_path, CATS))
    read, asked = dataset.read, list[int]()

    class Counted:
        near = staticmethod(read.near)  # type: ignore[attr-defined]

        def __call__(self, index: int) -> bytes:
            asked.append(self.near(index))
            return read(index)

    held = ImageBuffer(Counted(), [7, 0, 5, 2], View(32, 1.0))
    assert len(asked) == 4
    assert max(asked[:2]) < min(asked[2:])  # two threads
    same = ImageBuffer(lambda index: read(index), [7, 0, 5, 2], View(32, 1.0))
    assert torch.equal(held.batch(np.arange(4)), same.batch(np.arange(4)))


ODD: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "no label": (lambda place: table(place / "t.parquet", CATS, extra={
        "label": [-1, None, *[1, 2] * 5]}), ["cat/000.jpg", "cat/001.jpg"], "no label in its row"),
    "a file that names no image": (lambda place: (lay_out(place, {"README.md": b""}),
        table(place / "t.parquet", CATS)), ["README.md"], "not a table"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_in_parquet(case: str, tmp_path: Path) -> None:
    make, paths, words = ODD[case]
    make(tmp_path)
    dataset = Dataset.open(tmp_path)
    assert [path for path, _ in dataset.skipped] == paths
    assert all(words in why for _, why in dataset.skipped)
    check_reading(dataset, CATS)


def test_bytes_beside_paths_are_no_images(tmp_path: Path) -> None:
    lay_out(tmp_path, CATS)
    rows = {"path": list(CATS), "label": ["x", "y"] * 6, "thumb": [b"?"] * 12}
    parquet.write_table(pyarrow.table(rows), tmp_path / "t.parquet")
    check_reading(Dataset.open(tmp_path / "t.parquet"), CATS)


def test_paths_that_tell_nothing_apart_are_numbered(tmp_path: Path) -> None:
    files = {f"{'cat' if n else 'dog'}/{n}.jpg": data for n, data in enumerate(CATS.values())}
    images = [{"bytes": data, "path": "image.jpg"} for data in files.values()]
    table(tmp_path / "a.parquet", files, extra={"image": pyarrow.array(images, IMAGE)})
    dataset = Dataset.open(tmp_path)
    assert dataset.items[11].path == "a/000011"
    assert [dataset.read(i) for i in range(12)] == list(CATS.values())


def test_bytes_that_are_missing_are_read_beside_the_table(tmp_path: Path) -> None:
    lay_out(tmp_path / "photos", CATS)
    images = [{"bytes": None, "path": f"photos/{name}"} for name in CATS]
    images[0]["path"] = None
    file = table(tmp_path / "a.parquet", CATS, extra={"image": pyarrow.array(images, IMAGE)})
    dataset = Dataset.open(file)
    assert dataset.read(3) == CATS["cat/003.jpg"]
    with pytest.raises(OSError, match="row 1: neither bytes nor a path"):
        dataset.read(0)


def test_a_damaged_row_group_costs_its_images(tmp_path: Path) -> None:
    file = table(tmp_path / "a.parquet", CATS)
    data = file.read_bytes()
    place = data.index(CATS["dog/003.jpg"][:40]) - 60  # a page's header
    file.write_bytes(data[:place] + bytes(60) + data[place + 60 :])
    dataset = Dataset.open(file)
    facts = facts_of(dataset)
    wrong = [dataset.items[i].path for i, fact in enumerate(facts) if fact.problem]
    assert 1 <= len(wrong) <= 2  # of its row group
    assert all("damaged in a.parquet" in fact.detail for fact in facts if fact.problem)
    assert dataset.lies_in(3) == "a.parquet, row 4"


REFUSED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "other columns": (lambda place: [table(place / f"{n}.parquet", CATS, extra={"pixels": [1] * 12}
        ) if n else parquet.write_table(pyarrow.table({"photo": pyarrow.array([], IMAGE),
        "label": pyarrow.array([], pyarrow.int64())}), place / "0.parquet") for n in range(2)],
        ["0.parquet has the columns photo, label; 1.parquet has image, label, pixels"]),
    "other classes": (lambda place: [table(place / f"{n}.parquet", CATS, names=names)
        for n, names in enumerate((["ant", "cat", "dog"], ["cat", "ant", "dog"]))],
        ["the classes of 0.parquet are ant, cat, dog; those of 1.parquet are cat, ant, dog"]),
    "labels of another kind": (lambda place: [table(place / f"{n}.parquet", CATS, numbers=False,
        extra=extra) for n, extra in enumerate(({}, {"label": [0, 1] * 6}))],
        ["the column 'label' is string in 0.parquet and int64 in 1.parquet"]),
    "labels in one file": (lambda place: [table(place / "0.parquet", CATS), parquet.write_table(
        pyarrow.table({"image": pyarrow.array([], IMAGE)}), place / "1.parquet")],
        ["1.parquet: its columns are image; none is found"]),
    "a number beyond the classes": (
        lambda place: table(place / "0.parquet", CATS, names=["ant", "cat"]),
        ["0.parquet, row 7: label 2 is none of its 2 classes"]),
    "no label column": (lambda place: parquet.write_table(pyarrow.table({"image": pyarrow.array(
        [{"bytes": b"", "path": ""}], IMAGE), "text": ["a cat"]}), place / "0.parquet"),
        ["0.parquet: its columns are image, text; none is found"]),
    "no Parquet": (lambda place: [table(place / "0.parquet", CATS),
        (place / "1.parquet").write_bytes(b"PAR1 not")], ["1.parquet: "]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_parquet_that_is_refused(case: str, tmp_path: Path) -> None:
    make, words = REFUSED[case]
    make(tmp_path)
    problems = "\n".join(refusal(tmp_path).problems)
    assert all(word in problems for word in words)


# --- objects of the library datasets --------------------------------------------------------------


class Image:
    """As its feature of that name."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class ClassLabel:
    names = KINDS


class Hub:
    """As its Dataset: a stored image comes undecoded where the column is cast so."""

    def __init__(self, files: Mapping[str, bytes], decode: bool = True, named: bool = True) -> None:
        self.files, self.named = files, named
        self.features = {"id": None, "image": Image(decode), "label": ClassLabel()}
        if named:
            images = [{"bytes": None, "path": f"/disk/me/{name}"} for name in files]
            self.data = pyarrow.table({"image": pyarrow.array(images, IMAGE)})

    def __len__(self) -> int:
        return len(self.files)

    def cast_column(self, name: str, feature: Image) -> "Hub":
        assert name == "image"
        return Hub(self.files, feature.decode, self.named)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return [KINDS.index(name.split("/")[-2]) for name in self.files]
        assert not self.features["image"].decode  # type: ignore[union-attr]
        return {"image": {"bytes": list(self.files.values())[key], "path": None}}


def test_an_object_of_the_library_datasets(tmp_path: Path) -> None:
    dataset = Dataset.open(Hub(dict(reversed(CATS.items()))))
    check_reading(dataset, CATS)
    assert decided(dataset) == decided(Dataset.open(lay_out(tmp_path, CATS)))
    assert Dataset.open(Hub(CATS, named=False)).items[0].path == "000000"


def test_an_object_for_each_split(tmp_path: Path) -> None:
    both = {part: Hub(below(PARTED, part)) for part in ("train", "test")}
    assert decided(Dataset.open(both)) == decided(Dataset.open(lay_out(tmp_path, PARTED)))
    more = Dataset.open(both | {"unsupervised": Hub(CATS)})
    assert more.items == Dataset.open(both).items
    assert "unsupervised" in more.notes[0]


def test_columns_of_parquet_and_of_objects_may_be_named(tmp_path: Path) -> None:
    photos = pyarrow.array([{"bytes": b"?", "path": str(n)} for n in range(12)], IMAGE)
    file = table(tmp_path / "a.parquet", CATS, extra={"photo": photos, "kind": ["x", "y"] * 6})
    dataset = Dataset.open(file, path_column="photo", label_column="kind")
    assert (dataset.classes, dataset.read(0)) == (("x", "y"), b"?")
