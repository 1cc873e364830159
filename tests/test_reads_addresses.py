"""Data at an address: the same as on the disk, and who does not answer is named in time."""

import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pictures import check_reading, classes, facts_of, lay_out
from regraft.cli.plan import relative
from regraft.data.dataset import Dataset
from regraft.data.readers import patience
from regraft.errors import DataError
from shards import every, samples, tar

fsspec = pytest.importorskip("fsspec")

CATS = classes({"cat": 4, "dog": 4}, 32, 32)


class Ranges(SimpleHTTPRequestHandler):
    """A folder, of whose files parts may be asked for; what is called secret is refused."""

    stalled = threading.Event()
    asked: list[str]

    def log_message(self, *words: Any) -> None:
        pass

    def send_head(self) -> Any:
        if "stalled" in self.path:
            self.stalled.wait(30)
        if "secret" in self.path:
            self.send_error(403)
            return None
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if found is None or not path.is_file():
            return super().send_head()
        data = path.read_bytes()
        start, end = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        self.wfile.write(data[start : end + 1])
        return None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address that it is served at."""
    folder = tmp_path_factory.mktemp("served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    Ranges.stalled.set()
    server.shutdown()
    server.server_close()


def put(folder: Path, name: str) -> str:
    """Copy a folder into memory, and return where it lies."""
    disk = fsspec.filesystem("memory")
    for file in folder.rglob("*"):
        if file.is_file():
            disk.pipe_file(f"/{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return f"memory://{name}"


def packed(place: Path, kind: str) -> Path:
    """The pictures in shards, in Parquet or as they are."""
    if kind == "shards":
        for n in range(2):
            tar(place / f"{n:03}.tar", samples(every(CATS, n, 2)))
    elif kind == "parquet":
        pyarrow, parquet = (pytest.importorskip(n) for n in ("pyarrow", "pyarrow.parquet"))
        place.mkdir(parents=True)
        image = [{"bytes": data, "path": name} for name, data in CATS.items()]
        rows = {"image": image, "label": [name.split("/")[0] for name in CATS]}
        parquet.write_table(pyarrow.table(rows), place / "000.parquet", row_group_size=3)
    else:
        lay_out(place, CATS)
    return place


SOURCES = {
    "shards": ("", "/{000..001}.tar", "/*.tar"),
    "parquet": ("", "/000.parquet"),
    "class folders": ("",),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_in_memory_as_on_the_disk(kind: str, tmp_path: Path) -> None:
    place = put(packed(tmp_path / "a", kind), f"{kind}-{tmp_path.name}".replace(" ", "-"))
    for end in SOURCES[kind]:
        dataset = Dataset.open(place + end)
        check_reading(dataset, CATS)
        assert dataset.items == Dataset.open(tmp_path / "a").items


@pytest.mark.parametrize("kind", SOURCES)
def test_over_http_as_on_the_disk(kind: str, served: tuple[Path, str]) -> None:
    folder, address = served
    name = kind.replace(" ", "-")
    place = packed(folder / name, kind)
    for end in SOURCES[kind]:
        dataset = Dataset.open(f"{address}/{name}{end}")
        check_reading(dataset, CATS)
        assert dataset.items == Dataset.open(place).items


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("name", "words"),
    [("secret", "access is refused (403)"), ("stalled", "no answer, 2 times, within 0.2 seconds")],
)
@pytest.mark.parametrize("end", ["/{0..1}.tar", "/0.parquet"])
def test_who_refuses_or_stalls_is_named(
    name: str, words: str, end: str, served: tuple[Path, str]
) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError) as caught:
        Dataset.open(f"{served[1]}/{name}{end}")
    assert f"{served[1]}/{name}/0." in caught.value.headline
    assert words in caught.value.problems[0]
    assert "the same command goes on from there" in caught.value.problems[1]


def test_all_who_wait_give_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    line, never, found = patience.Line(None), threading.Event(), list[DataError]()

    def ask(after: float) -> None:
        time.sleep(after)
        with pytest.raises(DataError) as caught:
            line.ask(lambda: never.wait(20), f"memory://{after}")
        found.append(caught.value)

    waiting = [threading.Thread(target=ask, args=(after,)) for after in (0, 0.3)]
    for one in waiting:
        one.start()
    for one in waiting:
        one.join()
    never.set()
    assert [error.headline for error in found] == ["'memory://0' cannot be read."] * 2


@pytest.mark.parametrize("kind", ["shards", "parquet", "class folders"])
def test_refused_in_the_middle_is_no_damaged_image(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(put(packed(tmp_path / "a", kind), tmp_path.name))

    def refuse(*words: Any) -> bytes:
        raise PermissionError("the key has run out")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", refuse)
    with pytest.raises(DataError, match="access is refused: the key has run out"):
        dataset.read(0)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("cat_file", bytes(10**6), "cannot be read in parts"),
        ("info", {"size": None}, "does not say how long it is"),
    ],
)
def test_files_that_cannot_be_read_in_parts(
    method: str, given: object, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = put(packed(tmp_path / "a", "shards"), tmp_path.name)
    disk = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(disk, method, lambda *words, **options: given)
    with pytest.raises(DataError, match=words):
        Dataset.open(f"{place}/{{000..001}}.tar")


def test_an_address_stays_what_it_is_in_a_plan(tmp_path: Path) -> None:
    assert relative("s3://bucket/{0..9}.tar", tmp_path) == "s3://bucket/{0..9}.tar"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("error", "times"), [(PermissionError(), 1), (ConnectionError(), 2), (TimeoutError(), 2)]
)
def test_who_refuses_is_asked_once(error: Exception, times: int) -> None:
    asked = []

    def call() -> None:
        asked.append(1)
        raise error

    with pytest.raises(DataError):
        patience.Line(None).ask(call, "memory://a")
    assert len(asked) == times


@pytest.mark.usefixtures("hurried")
def test_a_status_that_refuses_is_one() -> None:
    asked = []

    class Refused(Exception):
        status = 401

    def call() -> None:
        asked.append(1)
        raise Refused

    with pytest.raises(DataError, match=r"access is refused \(401\)"):
        patience.Line(None).ask(call, "memory://a")
    assert len(asked) == 1


def test_a_file_that_is_gone_costs_its_images(tmp_path: Path) -> None:
    place = put(packed(tmp_path / "a", "shards"), tmp_path.name)
    dataset = Dataset.open(place)
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}/001.tar")
    assert sorted(fact.problem for fact in facts_of(dataset)) == [""] * 4 + ["missing"] * 4


REFUSED = {
    "memory://gone/{0..1}.tar": "There is no 'memory://gone/0.tar'.",
    "memory://nothing-is-here": "There is nothing at 'memory://nothing-is-here'.",
    "nosuch://bucket/a.tar": "'nosuch://bucket/a.tar' cannot be opened.",
}


@pytest.mark.parametrize("source", REFUSED)
def test_addresses_that_lead_nowhere(source: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.open(source)
    assert caught.value.headline == REFUSED[source]
