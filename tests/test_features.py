"""The pass over the images: everything in its place, and nothing computed twice."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pictures import encode, jpeg, photo
from regraft.data.images import View
from regraft.features.cache import Store
from regraft.features.engines import SAMPLE, Engine, Floats, Pixels
from regraft.features.engines import features as run
from regraft.features.extract import _LOT as LOT
from regraft.features.extract import Extraction, extract

VIEW = View(8, 1.0, "bilinear")
MIRROR = View(8, 1.0, "bilinear", mirror=True)


class Means:
    """An engine that computes little: the mean of each channel, left and right."""

    batch = 16

    def __init__(self, name: str = "means") -> None:
        self.name = name
        self.seen = 0

    def __call__(self, pixels: Pixels) -> list[Floats]:
        self.seen += len(pixels)
        halves = pixels[:, :, :4], pixels[:, :, 4:]
        return [half.mean((1, 2), dtype=np.float32) for half in halves]


def never(pixels: Pixels, indices: Sequence[int]) -> Engine:
    pytest.fail("the engine is known, nobody need choose one")


def look(
    files: Sequence[bytes],
    store: Store | None = None,
    engine: Engine | None = None,
    views: Sequence[View] = (VIEW,),
    read: Callable[[int], bytes] | None = None,
) -> Extraction:
    return extract(
        read or files.__getitem__,
        len(files),
        views,
        6,
        engine=engine or Means(),
        choose=never,
        store=store,
        space=lambda view, name: f"{view.key}-{name}",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache") as store:
        yield store


@pytest.fixture(scope="module")
def many() -> list[bytes]:
    """Two lots and a bit, each image another."""
    return [jpeg(seed, 16, 16) for seed in range(2 * LOT + 10)]


def test_every_image_has_its_own_row_in_order(many: list[bytes]) -> None:
    engine = Means()
    seen = look(many, engine=engine)
    assert seen.computed == engine.seen == len(seen.facts) == len(many)
    for i in (0, 15, 16, LOT - 1, LOT, len(many) - 1):
        alone = look([many[i]])
        assert_array_equal(seen.features[0][i], alone.features[0][0])
        assert seen.facts[i] == alone.facts[0]
    assert len(np.unique(seen.features[0], axis=0)) == len(many)
    assert seen.features[0].dtype == np.float16
    assert seen.seconds >= seen.engine_seconds > 0
    assert seen.images_per_second == pytest.approx(len(many) / seen.seconds)


def test_features_are_those_of_the_engine_on_the_square() -> None:
    image = photo(3, 8, 8)
    seen = look([encode(image, "PNG")], views=[VIEW, MIRROR])
    for place, pixels in enumerate([np.asarray(image), np.asarray(image)[:, ::-1]]):
        assert_array_equal(seen.features[place], run(Means(), pixels[None]))
    assert not np.array_equal(seen.features[0], seen.features[1])


def test_a_second_pass_computes_nothing(many: list[bytes], store: Store) -> None:
    first, engine = look(many, store), Means()
    again = look(many, store, engine)
    assert (again.computed, engine.seen) == (0, 0)
    assert again.facts == first.facts
    assert_array_equal(again.features[0], first.features[0])


def test_the_cache_knows_copies_too(many: list[bytes], store: Store) -> None:
    twice = [*many[:9], *many[:4]]
    assert look(twice, store).recalled == 0
    assert look(twice, store).recalled == len(twice)


def test_only_what_is_new_or_changed_is_computed(many: list[bytes], store: Store) -> None:
    look(many[:-10], store)
    engine = Means()
    assert look(many, store, engine).computed == engine.seen == 10
    changed = [*many[:5], jpeg(9999, 16, 16), *many[6:]]
    seen = look(changed, store)
    assert seen.computed == 1
    assert_array_equal(seen.features[0][5], look([changed[5]]).features[0][0])
    assert look(many[::-1], store).computed == 0, "names and order do not matter"


def test_another_engine_or_view_computes_its_own(many: list[bytes], store: Store) -> None:
    few = many[:9]
    look(few, store)
    assert look(few, store, Means("other")).computed == 9
    both = Means()
    assert look(few, store, both, views=[VIEW, MIRROR]).computed == 9
    assert both.seen == 9, "only the mirror images are new"
    assert look(few, store, views=[VIEW, MIRROR]).computed == 0


def test_a_square_does_not_depend_on_the_other_views_asked_for(store: Store) -> None:
    """A large JPEG is decoded coarsely or finely, as the view needs it."""
    files = [jpeg(1, 800, 800)]
    zoomed = View(8, 0.05, "bilinear")
    assert zoomed.need > 2 * max(64, VIEW.need)
    both = look(files, views=[VIEW, zoomed])
    for place, view in enumerate([VIEW, zoomed]):
        assert_array_equal(both.features[place], look(files, views=[view]).features[0])
    assert both.facts == look(files).facts
    look(files, store)
    assert look(files, store, views=[VIEW, zoomed]).facts == both.facts


def test_a_copy_is_computed_once(many: list[bytes], store: Store) -> None:
    engine = Means()
    files = [many[0], many[1], many[0], b"", b"", *many[2:LOT], many[1]]
    seen = look(files, store, engine)
    assert engine.seen == seen.computed == LOT
    assert_array_equal(seen.features[0][0], seen.features[0][2])
    assert_array_equal(seen.features[0][1], seen.features[0][-1])
    assert seen.features[0][0].any()
    assert [facts.problem for facts in seen.facts[3:5]] == ["empty"] * 2


def test_what_cannot_be_used_is_told_and_gets_no_features(many: list[bytes], store: Store) -> None:
    files = [many[0], b"", b"words", many[1][: len(many[1]) // 2], many[2], b"lost", b"locked"]

    def read(index: int) -> bytes:
        if index == 5:
            raise FileNotFoundError(2, "No such file or directory")
        if index == 6:
            raise PermissionError(13, "Permission denied")
        return files[index]

    for _ in range(2):  # from the files, then from the cache
        seen = look(files, store, read=read)
        assert [facts.problem for facts in seen.facts] == [
            "",
            "empty",
            "not-an-image",
            "truncated",
            "",
            "missing",
            "unreadable",
        ]
        assert seen.facts[6].detail == "Permission denied"
        empty = [not row.any() for row in seen.features[0]]
        assert empty == [bool(facts.problem) for facts in seen.facts]
    assert seen.computed == 0


def test_a_row_of_another_width_is_computed_anew(many: list[bytes], store: Store) -> None:
    seen = look(many[:3], store)
    store.put_features(f"{VIEW.key}-means", {seen.facts[1].digest: np.zeros(5, np.float16)})
    again = look(many[:3], store)
    assert again.computed == 1
    assert_array_equal(again.features[0], seen.features[0])


def test_a_large_file_is_not_held_and_a_changing_one_is_told(
    many: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.features.extract._HELD", len(many[0]))
    calls: dict[int, int] = {}

    def read(index: int) -> bytes:
        calls[index] = calls.get(index, 0) + 1
        changed = index == 2 and calls[index] == 2
        return (many[3] if changed else many[index]) + bytes(1000 * (index > 0))

    seen = look(many[:3], read=read)
    assert calls == {0: 1, 1: 2, 2: 2}
    assert [facts.problem for facts in seen.facts] == ["", "", "unreadable"]
    assert "changed" in seen.facts[2].detail
    assert not seen.features[0][2].any()


def test_reading_keeps_a_bounded_number_of_images_ahead(many: list[bytes]) -> None:
    files = [*many, *(jpeg(seed, 16, 16) for seed in range(5000, 5000 + 2 * LOT))]
    started = 0
    ahead = []

    def read(index: int) -> bytes:
        nonlocal started
        started = max(started, index)
        return files[index]

    def progress(done: int, total: int) -> None:
        time.sleep(0.002)
        ahead.append(started - done)

    extract(read, len(files), [VIEW], 6, engine=Means(), choose=never, progress=progress, workers=2)
    assert max(ahead) <= 2 * LOT + 2 * Means.batch + 8


# --- choosing the engine --------------------------------------------------------------------------


def test_the_engine_is_chosen_once_on_images_from_all_over(many: list[bytes]) -> None:
    asked: list[tuple[Pixels, list[int]]] = []

    def choose(pixels: Pixels, indices: Sequence[int]) -> Engine:
        asked.append((pixels, list(indices)))
        return Means()

    files = [b"no image" if n % 3 == 0 else one for n, one in enumerate(many)]
    seen = extract(files.__getitem__, len(files), [VIEW], 6, engine=None, choose=choose)
    [(pixels, indices)] = asked
    assert_array_equal(run(Means(), pixels), seen.features[0][indices])
    assert len(indices) == SAMPLE
    assert np.diff([0, *indices, len(files)]).max() < 5 * len(files) / SAMPLE, "no part left out"


def test_all_images_are_asked_for_one_that_can_be_used(many: list[bytes]) -> None:
    chosen = []

    def choose(pixels: Pixels, indices: Sequence[int]) -> Engine:
        chosen.append(list(indices))
        return Means()

    files = [b""] * 300
    files[271] = many[0]
    extract(files.__getitem__, len(files), [VIEW], 6, engine=None, choose=choose)
    assert chosen == [[271]]


def test_without_a_usable_image_no_engine_is_asked_for(store: Store) -> None:
    seen = extract(lambda i: b"", 3, [VIEW], 6, engine=None, choose=never, store=store)
    assert (seen.computed, [facts.problem for facts in seen.facts]) == (0, ["empty"] * 3)
    assert extract(lambda i: b"", 0, [VIEW], 6, engine=None, choose=never).facts == ()


# --- progress and interruption --------------------------------------------------------------------


@pytest.mark.parametrize("cached", [False, True])
def test_progress_rises_to_all_of_them(many: list[bytes], store: Store, cached: bool) -> None:
    if cached:
        look(many, store)
    files = [*many, many[3], b""]
    told: list[tuple[int, int]] = []
    extract(
        files.__getitem__,
        len(files),
        [VIEW],
        6,
        engine=Means(),
        choose=never,
        store=store,
        space=lambda view, name: f"{view.key}-{name}",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == sorted(set(told))
    assert told[-1] == (len(files), len(files))
    assert all(total == len(files) for _, total in told)


class Stopping(Means):
    """Stops in the middle of the second lot, as Ctrl-C or a fault would."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def __call__(self, pixels: Pixels) -> list[Floats]:
        if self.seen > LOT + 50:
            raise self.error
        return super().__call__(pixels)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_pass_that_was_stopped_goes_on_where_it_was(
    error: type[BaseException], many: list[bytes], store: Store
) -> None:
    before = threading.active_count()
    stopping = Stopping(error)
    with pytest.raises(error):
        look(many, store, stopping)
    assert threading.active_count() == before, "no thread is left running"
    seen = look(many, store)
    assert seen.computed == len(many) - stopping.seen
    assert_array_equal(seen.features[0], look(many).features[0])


def test_a_fault_in_reading_ends_the_pass(many: list[bytes]) -> None:
    def read(index: int) -> bytes:
        if index == 20:
            raise ValueError("a fault of ours")
        return many[index]

    with pytest.raises(ValueError, match="a fault of ours"):
        look(many, read=read)


PASS = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "support")]
from regraft.features.cache import Store
from test_features import LOT, Means, jpeg, look

class Killed(Means):
    def __call__(self, pixels):
        if self.seen > LOT + 50 and sys.argv[3] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(pixels)

files = [jpeg(seed, 16, 16) for seed in range(2 * LOT + 10)]
with Store.open(Path(sys.argv[2])) as store:
    print(look(files, store, Killed()).computed)
"""


def start(folder: Path, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PASS, str(Path(__file__).parent), str(folder), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_pass_that_was_killed_goes_on_where_it_was(many: list[bytes], store: Store) -> None:
    killed = start(store.folder, "kill")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    seen = look(many, store)
    assert 0 < seen.computed <= len(many) - LOT
    assert_array_equal(seen.features[0], look(many).features[0])


def test_two_passes_at_once_share_a_cache(many: list[bytes], store: Store) -> None:
    both = [start(store.folder, "through") for _ in range(2)]
    computed = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert max(computed) <= len(many) <= sum(computed)
    seen = look(many, store)
    assert seen.computed == 0
    assert_array_equal(seen.features[0], look(many).features[0])


def test_a_cache_that_fails_costs_only_the_time(
    many: list[bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with Store.open(tmp_path / "file" / "cache") as store:
        seen = look(many, store)
    assert_array_equal(seen.features[0], look(many).features[0])
    assert len(caplog.records) == 1


HOT = """
import sys
import regraft.features.extract
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_pass_imports_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", HOT], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "timm", "openvino", "scipy", "sklearn"}
