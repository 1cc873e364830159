"""Cut without torch: the same weights and the same changes as surgery on the network itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from known import KNOWN, Case, case
from regraft import backbones
from regraft.features.engines import store
from regraft.networks import trunk_state
from regraft.networks.surgery import operate
from regraft.networks.trunk_state import TrunkState

CLASSES = ("ant", "bee")


@pytest.fixture(scope="module", params=KNOWN)
def known(request: pytest.FixtureRequest) -> Case:
    return case(request.param)


@pytest.fixture(scope="module")
def small() -> Case:
    return case("plain")


def every_cut(it: Case) -> list[tuple[int, ...]]:
    """Two stages, the last, and all of them."""
    last = len(it.backbone.stages) - 1
    return [(0, last // 2), (last,), tuple(range(last + 1))]


def agree(it: Case, taken: TrunkState, taps: Sequence[int]) -> None:
    """The cut has the names and values of the network's state dict, and tells the same changes."""
    network, changes = operate(it.module, it.backbone, taps=taps, classes=CLASSES)
    state = network.state_dict()
    cut = taken.cut(taps)
    assert set(cut) == {name for name in state if name.startswith("trunk.")}
    for name, tensor in cut.items():
        kept = state[name].numpy()
        assert (tensor.dtype, tensor.shape) == (kept.dtype, kept.shape), name
        assert_array_equal(tensor, kept, err_msg=name)
    told = [change for change in changes if change.kind != "added"]
    assert taken.changes(it.backbone, taps) == told


def test_a_cut_is_what_surgery_gives(known: Case) -> None:
    taken = trunk_state.of_module(known.module, known.backbone)
    for taps in every_cut(known):
        agree(known, taken, taps)


def test_the_parts_add_up(known: Case) -> None:
    taken = trunk_state.of_module(known.module, known.backbone)
    total = sum(taken.parameters) + taken.head
    assert total == known.backbone.parameters == sum(p.numel() for p in known.module.parameters())
    assert tuple(np.cumsum(taken.parameters)) == known.backbone.parameters_to


def test_what_is_kept_reads_back_bit_for_bit(known: Case, tmp_path: Path) -> None:
    taken = trunk_state.of_module(known.module, known.backbone)
    trunk_state.save(tmp_path, taken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.json", "parts.safetensors"]
    again = trunk_state.load(tmp_path)
    assert again is not None
    assert (again.needs, again.parameters, again.head) == (
        taken.needs,
        taken.parameters,
        taken.head,
    )
    agree(known, again, (len(known.backbone.stages) - 1,))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parts.json", b"{"),
        ("parts.json", b"{}"),
        ("parts.json", b"[]"),
        ("parts.json", b'{"needs": [["no.such.weight"]], "parameters": [1], "head": 0}'),
        ("parts.safetensors", b"short"),
    ],
)
def test_what_is_damaged_is_not_taken(name: str, text: bytes, small: Case, tmp_path: Path) -> None:
    trunk_state.save(tmp_path, trunk_state.of_module(small.module, small.backbone))
    (tmp_path / name).write_bytes(text)
    assert trunk_state.load(tmp_path) is None


@pytest.mark.parametrize("name", ["parts.json", "parts.safetensors"])
def test_half_of_it_is_not_taken(name: str, small: Case, tmp_path: Path) -> None:
    trunk_state.save(tmp_path, trunk_state.of_module(small.module, small.backbone))
    (tmp_path / name).unlink()
    assert trunk_state.load(tmp_path) is None


def test_nowhere_to_keep_it_is_no_error(small: Case, tmp_path: Path) -> None:
    taken = trunk_state.of_module(small.module, small.backbone)
    trunk_state.save(tmp_path / "absent", taken)
    assert not (tmp_path / "absent").exists()
    assert trunk_state.load(tmp_path / "absent") is None


def test_the_bundled_record_has_a_home_of_its_own(tmp_path: Path) -> None:
    homes = {store.home(tmp_path, backbones.get(name)) for name in backbones.names()}
    assert len(homes) == len(backbones.names())
