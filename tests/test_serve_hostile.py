"""Uploads that mean harm: each gets a 4xx, nothing is written, memory stays bounded, it goes on."""

import io
import random
import resource
import socket
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import regraft
from pictures import encode, jpeg, photo
from regraft.serve import Limits, Model, ready
from scenes import scene
from serving import served, small_run

PLAIN = {"content-type": "application/octet-stream"}
GENERATED = 1_500
GROWTH = 400_000_000  # bytes that the process may grow by, over all of them


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return ready(regraft.load(small_run(tmp_path_factory.mktemp("hostile"))))


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[httpx.Client]:
    with served(model) as client:
        yield client


WRITTEN: list[str] = []
WATCHING: list[bool] = []
HOOKED: list[Any] = []  # a hook cannot be taken off again


def note(event: str, arguments: tuple[Any, ...]) -> None:
    """Called at every event of the interpreter that touches a file."""
    if not WATCHING:
        return
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        WRITTEN.append(str(arguments))
    elif event in ("os.mkdir", "os.rename", "tempfile.mkstemp", "tempfile.mkdtemp"):
        WRITTEN.append(f"{event} {arguments}")


@pytest.fixture(autouse=True)
def nothing_is_written() -> Iterator[None]:
    if note not in HOOKED:
        sys.addaudithook(note)
        HOOKED.append(note)
    WATCHING.append(True)
    try:
        yield
    finally:
        WATCHING.clear()
    found, WRITTEN[:] = list(WRITTEN), []
    assert found == []


def test_what_is_written_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    found, WRITTEN[:] = list(WRITTEN), []
    assert str(tmp_path) in found[0]


def growth() -> int:
    """The most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that claims a size; black where ``rows`` are given compressed, else without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF that claims a size; each of its frames is one pixel."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    return head + frame * frames + b";"


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encode(photo(3, 600, 600), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", jpeg(1))
    return file.getvalue()


def exif(block: bytes) -> bytes:
    return encode(photo(4), exif=b"Exif\0\0" + block)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
BOMB = zlib.compress(bytes(7_001 * 7_000), 9)
HOSTILE = {
    "text": (b"no image at all", 415),
    "zip": (zipped(), 415),
    "svg": (SVG, 415),
    "html": (b"<!DOCTYPE html><script>alert(1)</script>", 415),
    "elf": (b"\x7fELF" + bytes(500), 415),
    "zeros": (bytes(100_000), 415),
    "truncated jpeg": (jpeg(1)[:900], 422),
    "truncated png": (scene("rings", 1)[:900], 422),
    "only a header": (b"\xff\xd8\xff", 422),
    "a line": (encode(Image.new("L", (1, 100_000)), "PNG"), 422),
    "a png bomb": (png(50_000, 50_000, b"\x78\x9c"), 422),
    "a gif bomb": (gif(50_000, 50_000), 422),
    "a full bomb": (png(7_200, 7_000, BOMB), 422),
    "no pixels": (png(0, 0), 422),
    "too few rows": (png(7_000, 7_000, zlib.compress(bytes(100))), 422),
    "frames without end": (gif(50, 50, 500_000), 422),
    "scans without end": (scans(1_000), 422),
    "animated": (
        encode(photo(1), "GIF", save_all=True, append_images=[photo(2)]),
        422,
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_gets_its_status(client: httpx.Client, what: str) -> None:
    data, status = HOSTILE[what]
    told = client.post("/predict", files={"files": ("photo.jpg", data, "image/jpeg")})
    assert told.status_code == status, told.text
    [one] = told.json()["images"]
    assert one["detail"]
    assert client.post("/predict", content=data, headers=PLAIN).status_code == status


def test_a_whole_image_within_the_limits_is_classified(client: httpx.Client) -> None:
    """Black, and just below the limit on pixels."""
    rows = zlib.compress(bytes(7_001 * 7_000), 9)
    assert (
        client.post("/predict", content=png(7_000, 7_000, rows), headers=PLAIN).status_code == 200
    )


@pytest.mark.parametrize(
    "block",
    [
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + bytes(40),
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\xff\x08\0\0\0\x08\0\0\0",
        b"II*\0" + b"\x08\0\0\0" * 900,
        b"",
    ],
)
def test_odd_exif_spoils_no_photo(client: httpx.Client, block: bytes) -> None:
    assert client.post("/predict", content=exif(block), headers=PLAIN).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "C:\\a.jpg", "a\0b.jpg"),
        *(
            "<script>alert(1)</script>.jpg",
            '"; rm -rf /; ".jpg',
            "\ud83d\ude00.jpg",
            "",
            "a" * 3_000,
        ),
        *("=1+1.jpg", "con", "a\r\nX-Header: b.jpg", "%2e%2e%2fpasswd", "\u202egpj.exe"),
    ],
)
def test_a_name_is_only_a_name(client: httpx.Client, name: str) -> None:
    name = name.encode("utf-16", "surrogatepass").decode("utf-16")
    told = client.post("/predict", files=[("files", (name, jpeg(1)))])
    assert told.status_code in (200, 400, 422)
    assert told.headers["content-type"] == "application/json"
    assert "x-header" not in told.headers
    assert len(told.json().get("images", [{"name": ""}])[0]["name"]) <= 255


def test_a_huge_body_is_not_taken(client: httpx.Client) -> None:
    before = growth()
    piece = bytes(1_000_000)
    for headers in (PLAIN, {"content-type": "multipart/form-data; boundary=b"}):
        start = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
        body = (part for part in (start, *[piece] * 500))
        assert client.post("/predict", content=body, headers=headers).status_code == 413
    assert growth() - before < GROWTH


def test_a_refusal_waits_for_a_client_that_is_slow(client: httpx.Client) -> None:
    """Closed at once, the connection would be reset under what is still being sent."""
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
        slow.sendall(f"{head}Content-Length: 900000000\r\n\r\n".encode())
        for _ in range(20):
            time.sleep(0.1)
            slow.sendall(bytes(10_000))
        assert slow.recv(99).startswith(b"HTTP/1.1 413")


def test_many_parts_and_long_headers_are_refused(client: httpx.Client) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n'
    form = {"content-type": "multipart/form-data; boundary=b"}
    for body, status in (
        (part * 10_000 + b"--b--\r\n", 413),
        (b"--b\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\nX-A: " + b"b" * 1_000_000 + b"\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\n\r\nx\r\n--b--\r\n", 422),
        (b"--b--\r\n", 422),
        (b"", 400),
    ):
        assert client.post("/predict", content=body, headers=form).status_code == status
    for boundary in ("", "b" * 5_000, "\u00e4", '"'):
        kind = f"multipart/form-data; boundary={boundary}".encode("latin-1")
        told = client.post("/predict", content=part, headers={b"content-type": kind})
        assert 400 <= told.status_code < 500


SEEDS = [
    jpeg(1),
    encode(photo(1), progressive=True),
    encode(photo(2), "PNG"),
    encode(photo(3).convert("P"), "GIF"),
    encode(photo(4), "WEBP"),
    encode(photo(5), "TIFF", compression="tiff_lzw"),
    encode(photo(6), "BMP"),
    encode(photo(7), "PPM"),
    encode(photo(8), "JPEG2000"),
    encode(photo(9, 40, 40), "AVIF"),
    exif(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The same with bytes changed, left out, doubled or cut off."""
    body = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = min(int(chance.expovariate(8 / len(body))), len(body) - 1)
        match chance.randrange(5):
            case 0:
                body[place] = chance.randrange(256)
            case 1:
                body[place : place + 4] = chance.choice(
                    (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff")
                )
            case 2:
                del body[place : place + chance.randrange(1, 40)]
            case 3:
                body[place:place] = body[place : place + chance.randrange(1, 40)]
            case 4 if len(body) > 40:
                del body[max(20, place) :]
        body = body or bytearray(b"x")
    return bytes(body)


def test_generated_uploads_never_break_it(model: Model) -> None:
    """Damaged images as bodies and in forms, and damaged forms; seeded."""
    chance, before = random.Random(5), growth()
    seen: dict[int, int] = {}
    with served(model, Limits(pixels=4_000_000)) as client:
        for number in range(GENERATED):
            data = damaged(SEEDS[number % len(SEEDS)], chance)
            body, headers = data, PLAIN
            if number % 3:
                request = client.build_request("POST", "/predict", files={"files": ("a", data)})
                body = request.read()
                headers = {"content-type": request.headers["content-type"]}
            if number % 3 == 2:
                body = damaged(body, chance)
            told = client.post("/predict", content=body, headers=headers)
            seen[told.status_code] = seen.get(told.status_code, 0) + 1
            assert told.status_code == 200 or 400 <= told.status_code < 500, told.text
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.post("/predict", content=jpeg(1), headers=PLAIN).status_code == 200
    assert sum(seen.values()) == GENERATED
    assert {200, 400, 415, 422} <= set(seen)
    assert growth() - before < GROWTH
