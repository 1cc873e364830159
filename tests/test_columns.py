"""What is held of very many images in columns is what was put there, object for object."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regraft import mapped
from regraft.data.dataset import Dataset
from regraft.data.images import Facts, FactsTable, likeness
from regraft.data.images.thumbnails import Halves
from regraft.data.items import Item, Items
from regraft.features.contents import Contents
from regraft.report.pictures import finder

PLAIN = Facts("0f" * 16, "PNG", "RGB", 40, 30, phash=2**64 - 1, thumb=bytes(range(256)))
FACTS = (
    PLAIN,
    replace(PLAIN, digest="f0" * 16, notes=("grey", "16-bit"), levels=(-3.5, 4000.0), mode="F"),
    Facts(digest="", problem="missing", detail="it is not there"),
    replace(PLAIN, inner_hash=7, inner=b"\1" * 256, half_hash=9, half=b"\2" * 256, width=2**32 - 1),
    Facts("00" * 16, problem="truncated", detail="it ends early", notes=("rotated",)),
)
ITEMS = (
    Item("b/1.jpg", "b", "test"),
    Item("a/\udcff.jpg", "", "", "patient"),
    Item("a/ä 日.jpg", "ä", "train", "patient"),
)


def test_facts_come_out_as_they_went_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "HELD", 0)
    table = FactsTable(len(FACTS), tmp_path)
    assert isinstance(table.pictures[0], np.memmap)
    for index, one in enumerate(FACTS):
        table[index] = FACTS[2] if index % 2 else PLAIN
        table[index] = one
    assert tuple(table) == FACTS == table[:]
    assert table == FACTS
    assert table[-1] == FACTS[-1]
    assert table != FACTS[:4]
    assert table != (*FACTS[:4], PLAIN)
    assert table.noted("grey").tolist() == [False, True, False, False, False]
    assert table.mode_is("F").tolist() == [False, True, False, False, False]
    assert table.notes(np.array([0, 1, 3])) == {"16-bit": 1, "grey": 1}
    assert table.problems.keys() == {2, 4}
    assert table.read.tolist() == [True, True, False, True, True]
    assert FactsTable.of(table) is table


def test_items_come_out_as_they_went_in() -> None:
    items = Items.of(ITEMS)
    assert tuple(items) == ITEMS == items[:]
    assert items[::-1] == ITEMS[::-1]
    assert items == ITEMS
    assert items != ITEMS[:2]
    assert items != (*ITEMS[:2], replace(ITEMS[2], group=""))
    assert items[-1] == ITEMS[-1]
    assert items.labels.different == ("", "b", "ä")
    assert items.labels.codes.tolist() == [1, 0, 2]
    assert not items.paths.ascend
    assert Items.of(sorted(ITEMS, key=lambda item: item.path)).paths.ascend
    assert [item.group for item in items.in_groups("xyz")] == ["x", "y", "z"]
    assert Items.of(items) is items
    with pytest.raises(IndexError):
        items[3]


def test_a_data_set_knows_its_columns() -> None:
    dataset = Dataset("", ITEMS, (), bytes)
    assert dataset.held.tolist() == [True, False, False]
    assert not Dataset("", ITEMS[1:], (), bytes).held.any()
    assert dataset.items == ITEMS


def test_the_first_of_each_content_is_found() -> None:
    names = [f"{number % 50:016x}{number % 70:016x}" for number in range(900)]
    table, first = Contents(900), dict[str, int]()
    for index, name in enumerate(names):
        assert table.place(name, index) == first.setdefault(name, index)


def test_what_is_compared_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    thumbs = random.integers(0, 256, (60, 256)).astype(np.uint8)[random.integers(0, 60, 200)]
    thumbs = (thumbs + random.integers(0, 9, thumbs.shape)).astype(np.uint8)
    halves = Halves(np.zeros(200, np.uint64), thumbs, np.tile([20, 60], 100))
    given = np.zeros(200, np.uint64), thumbs, np.arange(200) % 2
    inner = given[0], thumbs[::-1]
    whole = likeness.likeness(*given, inner, halves)
    assert len(np.unique(whole.groups)) < 200
    monkeypatch.setattr(likeness, "_SIDE", 7)
    parts = likeness.likeness(*given, inner, halves)
    np.testing.assert_array_equal(parts.groups, whole.groups)
    np.testing.assert_array_equal(parts.near, whole.near)


def test_an_image_is_found_by_its_path_in_a_set_of_any_order() -> None:
    find = finder(Dataset("", ITEMS, (), lambda index: bytes([index])))
    assert [find(item.path) for item in ITEMS] == [b"\0", b"\1", b"\2"]
    with pytest.raises(FileNotFoundError, match="not in"):
        find("b/2.jpg")
