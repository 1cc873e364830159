"""A RUN behind a URL: what is asked, what is answered, and what is refused with which status."""

import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import regraft
from command import own_log
from pictures import encode, jpeg, photo
from regraft.results.prediction import Prediction
from regraft.serve import Limits, Model
from regraft.serve.metrics import Metrics
from scenes import KINDS, scene
from serving import model, run, served

__all__ = ["model", "own_log", "run"]  # fixtures

PLAIN = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[httpx.Client]:
    with served(model) as client:
        yield client


def form(*images: bytes, field: str = "files") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (f"{n}.png", image)) for n, image in enumerate(images)]


def counts(client: httpx.Client) -> dict[str, float]:
    """The metrics by name and label."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# ---- predictions


def test_many_images_get_the_numbers_of_predict(client: httpx.Client, run: Path) -> None:
    images = [scene(kind, n) for n in range(40, 44) for kind in KINDS]
    told = client.post("/predict", files=form(*images), params={"top": 3})
    wanted = regraft.load(run).predict(images, top=3)
    assert told.status_code == 200
    assert [one["name"] for one in told.json()["images"]] == [f"{n}.png" for n in range(12)]
    for one, expected in zip(told.json()["images"], wanted, strict=True):
        assert (one["label"], one["confidence"]) == (
            one["top"][0]["label"],
            one["top"][0]["confidence"],
        )
        assert [share["label"] for share in one["top"]] == [label for label, _ in expected.top]
        got = [share["confidence"] for share in one["top"]]
        np.testing.assert_allclose(got, [share for _, share in expected.top], rtol=0, atol=1e-6)


def test_an_answer_does_not_depend_on_what_is_run_with_it(client: httpx.Client, run: Path) -> None:
    images = [scene(kind, n) for n in range(50, 58) for kind in KINDS]

    def alone(image: bytes) -> Any:
        one = client.post("/predict", content=image, headers=PLAIN).json()["images"][0]
        return {name: one[name] for name in ("top", "known", "belief")}

    one_by_one = [alone(image) for image in images]
    before = counts(client)
    with ThreadPoolExecutor(len(images)) as pool:
        at_once = list(pool.map(alone, images))
    after = counts(client)
    predicted = [regraft.load(run).predict([image], top=5)[0] for image in images]
    assert at_once == one_by_one
    for told, one in zip(at_once, predicted, strict=True):
        assert [(s["label"], s["confidence"]) for s in told["top"]] == list(one.top)
        assert (told["known"], told["belief"]) == (one.known, one.belief)
    batches = after["regraft_batch_images_count"] - before["regraft_batch_images_count"]
    assert batches < len(images)  # some were run together


def test_what_is_like_no_training_image_is_unknown(client: httpx.Client) -> None:
    own = [scene(kind, n) for n in range(40, 44) for kind in KINDS]
    images = [*own, jpeg(1), b"no picture"]
    *told, photo, broken = client.post("/predict", files=form(*images)).json()["images"]
    assert sum(one["known"] for one in told) > len(own) / 2
    assert photo["known"] is False
    assert photo["belief"] <= 0.05
    assert (broken["known"], broken["belief"]) == (None, None)
    shown = client.get("/openapi.json").json()["components"]["schemas"]["Image"]
    assert {"known", "belief"} <= set(shown["properties"])


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", None])
def test_a_body_is_an_image(client: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    told = client.post("/predict", content=scene("rings", 44), headers=headers)
    assert told.status_code == 200
    [one] = told.json()["images"]
    assert (one["name"], one["label"], len(one["top"])) == ("image", "rings", 3)


def test_top_is_how_many_classes_are_told(client: httpx.Client) -> None:
    for top, told in ((1, 1), (2, 2), (99, 3)):
        answer = client.post("/predict", content=jpeg(1), headers=PLAIN, params={"top": top})
        assert len(answer.json()["images"][0]["top"]) == told


def test_a_bad_image_among_good_ones_is_named(client: httpx.Client) -> None:
    told = client.post(
        "/predict", files=form(scene("rings", 45), b"words", scene("rings", 46)[:300])
    )
    assert told.status_code == 200
    good, text, cut = told.json()["images"]
    assert good["label"] == "rings"
    assert (text["problem"], text["status"]) == ("not-an-image", 415)
    assert (cut["problem"], cut["status"]) == ("truncated", 422)
    alone = client.post("/predict", files=form(b"words", scene("rings", 46)[:300]))
    assert alone.status_code == 422
    assert client.post("/predict", files=form(b"words")).status_code == 415


@pytest.mark.parametrize("scale", [(0, 4095), None])
def test_values_outside_the_scale_are_named_as_by_predict(
    scale: tuple[float, float] | None, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    plan = model.result.plan
    seen = replace(plan.backbone, view=replace(plan.backbone.view, integers=scale))
    scaled = replace(model.result, plan=replace(plan, backbone=seen))
    bright = encode(Image.fromarray(np.full((40, 40), 60_000, np.uint16)), "PNG")
    with served(replace(model, result=scaled)) as client:
        answer = client.post("/predict", files=form(bright, scene("rings", 47)))
    deep, plain = answer.json()["images"]
    scaled.predict([bright])
    said = [record.getMessage() for record in caplog.records if record.name == "regraft"]
    assert said == [f"image 0: {deep['warning']}"]
    assert "label" in deep
    assert "warning" not in plain


# ---- what else there is


def test_the_model_tells_what_it_is(client: httpx.Client, run: Path) -> None:
    told = client.get("/model").json()
    metrics = json.loads((run / "metrics.json").read_text())
    assert told["classes"] == list(KINDS)
    assert (told["case"], told["network"]) == (1, "demonstration")
    assert (told["accuracy"], told["held_out"]) == (metrics["accuracy"], metrics["n"])
    assert told["preprocessing"]["size"] == 32
    assert [stage["name"] for stage in told["stages"] if stage["read"]] != []
    assert told["card"] == (run / "README.md").read_text("utf-8")
    assert told["limits"]["files"] == 64


def test_health_and_the_api_are_there(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    head = client.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/predict", "/healthz", "/model", "/metrics"}
    assert {"413", "415", "422", "503"} <= set(paths["/predict"]["post"]["responses"])
    docs = client.get("/docs").text
    assert all(path in docs for path in paths)


def test_pages_load_nothing_from_elsewhere_and_say_so(client: httpx.Client) -> None:
    for path in ("/", "/page.css", "/page.js", "/answers.js", "/docs", "/favicon.svg", "/healthz"):
        told = client.get(path)
        assert told.status_code == 200
        assert "default-src 'none'" in told.headers["content-security-policy"]
        assert told.headers["x-content-type-options"] == "nosniff"
        assert re.findall(r"(?:src|href|url\()=?[\"']?(?:https?:)?//", told.text) == []
        assert "<style" not in told.text
        assert "style=" not in told.text


def test_metrics_count(model: Model) -> None:
    with served(model) as client:
        client.post("/predict", files=form(jpeg(1), jpeg(2), b"words"))
        client.post("/predict", files=form(b"words"))
        client.get("/nothing")
        told = counts(client)
    assert told['regraft_requests_total{status="200"}'] == 1
    assert told['regraft_requests_total{status="415"}'] == 1
    assert told['regraft_requests_total{status="404"}'] == 1
    assert told['regraft_images_total{outcome="classified"}'] == 2
    assert told['regraft_images_total{outcome="not-an-image"}'] == 2
    assert told["regraft_predict_seconds_count"] == 2
    assert told["regraft_batch_images_sum"] == 2
    assert told["regraft_waiting_images"] == 0
    classes = [name for name in told if name.startswith("regraft_predictions_total")]
    assert classes == [f'regraft_predictions_total{{class="{name}"}}' for name in model.classes]
    assert sum(told[name] for name in classes) == told["regraft_confidence_count"] == 2
    assert told['regraft_confidence_bucket{le="0.3"}'] == 0  # the likeliest of three has a third
    assert told['regraft_confidence_bucket{le="1.0"}'] == 2
    assert 2 / 3 <= told["regraft_confidence_sum"] <= 2


def test_metrics_know_the_unknown_and_names_of_any_kind() -> None:
    names = ('a"b\n', "\udcff", "\N{CAT FACE}")
    counted = Metrics(names)
    for name, known in zip(names, (True, False, None), strict=True):
        counted.classified(Prediction("", ((name, 0.5),), known=known))
    text = counted.text().decode()
    assert "regraft_unknown_images_total 1.0" in text
    assert text.count("regraft_predictions_total{") == 3
    assert 'regraft_predictions_total{class="\N{CAT FACE}"} 1.0' in text


# ---- refusals


def test_what_was_asked_wrongly_is_told(client: httpx.Client) -> None:
    wrong = client.post("/predict", content=jpeg(1), headers=PLAIN, params={"top": "all"})
    assert (wrong.status_code, wrong.json()["problem"]) == (422, "parameter")
    assert "top" in wrong.json()["detail"]
    assert client.get("/predict").status_code == 405
    lost = client.get("/predictions")
    assert (lost.status_code, lost.json()["problem"]) == (404, "no-such-path")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"json": {"files": []}}, 415, ["Content-Type", "application/json", "multipart"]),
        ({"content": b"", "headers": PLAIN}, 422, ["empty"]),
        ({"files": form(jpeg(1), field="file")}, 422, ["'files'", "'file'"]),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, ["multipart"]),
        ({"content": jpeg(1), "headers": {**PLAIN, "content-encoding": "gzip"}}, 415, ["gzip"]),
    ],
)
def test_what_holds_no_images_is_refused(
    client: httpx.Client, body: dict[str, Any], status: int, words: list[str]
) -> None:
    told = client.post("/predict", **body)
    assert told.status_code == status
    assert all(word in told.json()["detail"] for word in words), told.text


def test_a_form_that_ends_early_is_refused(client: httpx.Client) -> None:
    request = client.build_request("POST", "/predict", files=form(jpeg(1)))
    body = request.read()
    headers = {"content-type": request.headers["content-type"]}
    for end in (10, len(body) // 2, len(body) - 6):
        told = client.post("/predict", content=body[:end], headers=headers)
        assert (told.status_code, told.json()["problem"]) == (400, "malformed")


SMALL = Limits(file_bytes=5_000, body_bytes=20_000, files=3, pixels=10_000)


@pytest.fixture(scope="module")
def strict(model: Model) -> Iterator[httpx.Client]:
    with served(model, SMALL) as client:
        yield client


def test_limits_name_themselves_what_was_found_and_the_remedy(strict: httpx.Client) -> None:
    large, small = bytes(6_000), encode(photo(1, 90, 90))
    for body, status, words in (
        ({"files": form(large)}, 413, ["5,000 bytes", "6,000 bytes", "smaller"]),
        ({"content": large, "headers": PLAIN}, 413, ["5,000 bytes", "6,000 bytes", "smaller"]),
        ({"content": iter([large]), "headers": PLAIN}, 413, ["5,000 bytes", "more"]),
        ({"files": form(*[bytes(4_900)] * 3, bytes(6_000))}, 413, ["20,000 bytes", "fewer"]),
        ({"files": form(*[small] * 4)}, 413, ["3 images", "several requests"]),
        ({"files": form(encode(photo(1, 101, 100)))}, 422, ["101 x 100", "0.01 million"]),
    ):
        told = strict.post("/predict", **body)
        text = told.json().get("detail") or told.json()["images"][0]["detail"]
        assert told.status_code == status, text
        assert all(word in text for word in words), text


def test_a_large_file_does_not_spoil_the_others(strict: httpx.Client) -> None:
    told = strict.post("/predict", files=form(bytes(6_000), encode(photo(1, 90, 90)))).json()
    assert [one.get("status", 200) for one in told["images"]] == [413, 200]


def test_more_than_may_wait_is_told_to_come_again(model: Model) -> None:
    """While the engine is busy, three images wait; the fourth is refused and the rest answered."""
    gate = threading.Event()

    class Slow:
        name, batch = "slow", 8

        def __call__(self, pixels: Any) -> Any:
            assert gate.wait()
            return model.engine(pixels)

    slow = Model(model.result, Slow(), model.head)
    with served(slow, Limits(waiting=3)) as client, ThreadPoolExecutor(3) as pool:
        taken = [pool.submit(client.post, "/predict", files=form(jpeg(n))) for n in range(3)]
        while counts(client)["regraft_waiting_images"] < 3:
            time.sleep(0.01)
        refused = client.post("/predict", files=form(jpeg(9)))
        gate.set()
        answered = [one.result().status_code for one in taken]
        many = client.post("/predict", files=form(*[jpeg(n) for n in range(4)]))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert all(word in refused.json()["detail"] for word in ("At most 3", "3 do", "again"))
    assert answered == [200] * 3
    assert many.status_code == 413  # never to be had, so not "come again"


def test_requests_may_not_hold_too_much_together(model: Model) -> None:
    with served(model, Limits(held_bytes=10_000)) as client:
        refused = client.post("/predict", files=form(bytes(6_000), bytes(6_000)))
        fine = client.post("/predict", files=form(jpeg(1, 32, 32)))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert fine.status_code == 200  # what was held was given back


def whole_answer(place: socket.socket) -> bytes:
    """An answer of HTTP, however it is cut into packets."""
    answer = b""
    while True:
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length and len(body) >= int(length[1]):
            return answer
        piece = place.recv(9999)
        assert piece, answer
        answer += piece


def test_a_body_that_stops_coming_is_given_up(model: Model) -> None:
    limits = Limits(idle_seconds=0.2, body_seconds=0.6)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"
    with served(model, limits) as client:
        host = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(host) as stops, socket.create_connection(host) as drips:
            stops.sendall(head + b"abc")
            drips.sendall(head)
            for _ in range(200):  # it never pauses, so only the limit of the whole can end it
                drips.sendall(b"x")
                if select.select([drips], [], [], 0.1)[0]:
                    break
            else:
                pytest.fail("a body that comes too slowly is waited for")
            told = [whole_answer(stops), whole_answer(drips)]
        assert client.get("/healthz").status_code == 200
    assert all(b" 408 " in answer and b"0.2 s" in answer for answer in told), told


# ---- token


def test_a_token_guards_all_but_the_page_and_its_health(model: Model) -> None:
    with served(model, token="a b'ä") as client:
        for path in ("/", "/page.css", "/page.js", "/answers.js", "/favicon.svg", "/healthz"):
            assert client.get(path).status_code == 200
        for path in ("/model", "/metrics", "/docs", "/openapi.json", "/nothing"):
            for given in (None, "Bearer", "Bearer a b", "Basic a b'ä", "a b'ä", "Bearer a b'äx"):
                headers = {b"authorization": given.encode()} if given else {}
                told = client.get(path, headers=headers)
                assert (told.status_code, told.headers["www-authenticate"]) == (401, "Bearer")
        right = {b"authorization": "Bearer a b'ä".encode()}
        assert client.post("/predict", files=form(jpeg(1))).status_code == 401
        assert client.post("/predict", files=form(jpeg(1)), headers=right).status_code == 200
        assert client.get("/model", headers=right).status_code == 200


def test_the_ends_of_a_token_do_not_count(model: Model) -> None:
    with served(model, token=" secret\n") as client:
        assert client.get("/model", headers={"authorization": "Bearer secret"}).status_code == 200
