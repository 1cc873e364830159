import bz2
import gzip
import io
import os
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictures import (
    SPLITS,
    TWO,
    check_reading,
    facts_of,
    lay_out,
    refusal,
)
from regraft.data.dataset import Dataset
from regraft.data.readers import archive, streams


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w", form: int = 2) -> Path:
    with tarfile.open(path, mode, format=form) as target:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return path


PACKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.zip": zipped,
    "stored.zip": lambda path, files: zipped(path, files, zipfile.ZIP_STORED),
    "a.tar": tarred,
    "ustar.tar": lambda path, files: tarred(path, files, form=tarfile.USTAR_FORMAT),
    "gnu.tar": lambda path, files: tarred(path, files, form=tarfile.GNU_FORMAT),
    "a.tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "a.tgz": lambda path, files: tarred(path, files, "w:gz"),
    "a.tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "a.tar.xz": lambda path, files: tarred(path, files, "w:xz"),
}


@pytest.mark.parametrize("name", PACKERS)
def test_an_archive_reads_as_the_folder_does(tmp_path: Path, name: str) -> None:
    files = SPLITS | {
        "train/cat/Ärger mit 猫.jpg": b"?",
        "train/dog/.hidden.jpg": b"",
        "a.txt": b"",
    }
    files |= {"train/cat/" + "n" * 60 + ".jpg": b"long"}
    folder = Dataset.open(lay_out(tmp_path / "folder", files))
    dataset = Dataset.open(PACKERS[name](tmp_path / name, files))
    assert dataset.items == folder.items
    assert dataset.skipped == folder.skipped
    assert dataset.name == name.split(".")[0]
    check_reading(dataset, files)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_of_one_folder(tmp_path: Path, name: str) -> None:
    files = {f"./photos/{path}": data for path, data in TWO.items()}
    files |= {"__MACOSX/photos/cat/._000.jpg": b"", "__MACOSX/photos/cat/._001.jpg": b""}
    dataset = Dataset.open(PACKERS[name](tmp_path / name, files))
    assert dataset.classes == ("cat", "dog")
    assert dataset.items[0].path == "photos/cat/000.jpg"
    assert dataset.skipped == (("__MACOSX/", "a hidden folder"),)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_members_are_read_by_several_threads(tmp_path: Path, name: str) -> None:
    files = {f"c{i % 2}/{i:03}.jpg": os.urandom(5000 + i) for i in range(60)}
    dataset = Dataset.open(PACKERS[name](tmp_path / name, files))
    wrong = []

    def work() -> None:
        for i, item in enumerate(dataset.items):
            if dataset.read(i) != files[item.path]:
                wrong.append(item.path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize("member", ["../evil.jpg", "cat/../../evil.jpg", "/evil.jpg", "C:\\e.jpg"])
def test_members_that_lead_out_are_refused(tmp_path: Path, name: str, member: str) -> None:
    path = PACKERS[name](tmp_path / name, TWO | {member: b"evil", "..\\b.jpg": b"too"})
    error = refusal(path)
    assert error.headline == f"'{path}' is refused."
    assert [problem.split("'")[1].replace("\\\\", "\\") for problem in error.problems] == [
        member,
        "..\\b.jpg",
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]


def test_links_in_a_tar_are_listed_and_not_followed(tmp_path: Path) -> None:
    secret = lay_out(tmp_path, {"secret.jpg": b"secret"}) / "secret.jpg"
    path = tarred(tmp_path / "a.tar", TWO)
    with tarfile.open(path, "a") as target:
        for name, kind in (("cat/s.jpg", tarfile.SYMTYPE), ("cat/h.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            target.addfile(info)
        info = tarfile.TarInfo("cat/pipe.jpg")
        info.type = tarfile.FIFOTYPE
        target.addfile(info)
    dataset = Dataset.open(path)
    assert [name for name, _ in dataset.skipped] == ["cat/h.jpg", "cat/pipe.jpg", "cat/s.jpg"]
    check_reading(dataset, TWO)


def test_links_in_a_zip_are_listed_and_not_followed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", TWO)
    with zipfile.ZipFile(path, "a") as target:
        info = zipfile.ZipInfo("cat/s.jpg")
        info.external_attr = 0o120777 << 16
        target.writestr(info, "../../secret.jpg")
    assert [name for name, _ in Dataset.open(path).skipped] == ["cat/s.jpg"]


def test_the_last_member_of_a_name_counts(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", TWO)
    with tarfile.open(path, "a") as target:
        info = tarfile.TarInfo("cat/000.jpg")
        info.size = 3
        target.addfile(info, io.BytesIO(b"new"))
    dataset = Dataset.open(path)
    assert dataset.read(0) == b"new"
    assert len(dataset) == 4
    assert dataset.skipped[0][0] == "cat/000.jpg"


@pytest.mark.parametrize("opener", [gzip.open, bz2.open])
def test_a_compressed_tar_that_is_a_bomb_is_stopped(
    tmp_path: Path, opener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FREE_RATIO", 1 << 20)
    path = tmp_path / "bomb.tar.gz"
    with opener(path, "wb") as target:
        for _ in range(64):
            target.write(bytes(1 << 20))
    error = refusal(path)
    assert "100 times its size" in error.problems[0]


def test_a_zip_member_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", TWO | {"cat/zeros.jpg": bytes(1 << 22)})
    data = bytearray(path.read_bytes())
    size = (1 << 22).to_bytes(4, "little")
    while (place := data.find(size)) >= 0:
        data[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    dataset = Dataset.open(path)
    index = [item.path for item in dataset.items].index("cat/zeros.jpg")
    tracemalloc.start()
    with pytest.raises(OSError, match="damaged in the zip"):
        dataset.read(index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert dataset.read(0) == TWO["cat/000.jpg"]


def test_a_zip_of_overlapping_members_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"cat/{i:03}.jpg": bytes(60) for i in range(3)} | TWO)
    with zipfile.ZipFile(path) as source:
        infos = source.infolist()
    data = bytearray(path.read_bytes())
    central = data.find(b"PK\1\2")
    large = max(infos, key=lambda info: info.compress_size)
    for _ in infos:  # every entry points at the largest member
        data[central + 20 : central + 24] = large.compress_size.to_bytes(4, "little")
        data[central + 42 : central + 46] = large.header_offset.to_bytes(4, "little")
        central = data.find(b"PK\1\2", central + 1)
    path.write_bytes(data)
    assert "overlap" in "".join(refusal(path).problems)


def test_a_member_larger_than_any_photo_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    for name in ("a.zip", "a.tar"):
        path = PACKERS[name](tmp_path / name, TWO | {"cat/big.jpg": bytes((1 << 20) + 1)})
        assert refusal(path).problems == ("cat/big.jpg unpacks to more than 1 MiB: no photo",)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", TWO)
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\1\2")
    data[place + 8] |= 1
    path.write_bytes(data)
    assert refusal(path).problems == ("cat/000.jpg is encrypted; pack it without a password",)


def test_a_zip_of_another_method_is_refused(tmp_path: Path) -> None:
    assert "deflate" in refusal(zipped(tmp_path / "a.zip", TWO, zipfile.ZIP_LZMA)).problems[0]


@pytest.mark.parametrize("name", PACKERS)
def test_a_damaged_archive(tmp_path: Path, name: str) -> None:
    path = PACKERS[name](tmp_path / name, TWO)
    data = path.read_bytes()
    kind = "zip" if name.endswith("zip") else "tar"
    for bad in (data[: len(data) // 3], b"", b"not an archive" * 40):
        path.write_bytes(bad)
        error = refusal(path)
        assert error.headline == f"'{path}' cannot be read as a {kind}."


def test_a_damaged_member_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", TWO, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    facts = facts_of(Dataset.open(path))
    assert [fact.problem for fact in facts] == ["missing", "", "", ""]
    assert "checksum" in facts[0].detail


def test_nothing_is_left_of_a_compressed_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    dataset = Dataset.open(tarred(tmp_path / "a.tar.gz", TWO, "w:gz"))
    assert list(temporary.iterdir()) == []
    check_reading(dataset, TWO)
    del dataset
    assert list(temporary.iterdir()) == []
