"""A server of a RUN of several labels, or of a number: what it answers, tells and counts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import regraft
from regraft.serve import ready
from serving import served
from test_serve import PLAIN, counts, form

SETS = {"several": "marks", "number": "shades"}
ONE_LABEL = {"label", "confidence", "top", "known", "belief", "accuracy", "accuracy_interval"}
"""What is answered where an image has one label, and has no meaning here."""


@pytest.fixture(scope="module", params=SETS)
def run(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(f"{request.param}_run")
    return folder


@pytest.fixture(scope="module")
def client(run: Path) -> Iterator[httpx.Client]:
    with served(ready(regraft.load(run))) as client:
        yield client


def photos(run: Path, count: int = 8) -> list[bytes]:
    folder = run.parent / SETS[regraft.load(run).kind]
    return [path.read_bytes() for path in sorted(folder.glob("*.png"))[:count]]


def test_images_get_the_answers_of_predict(client: httpx.Client, run: Path) -> None:
    result = regraft.load(run)
    images = [*photos(run), b"no picture"]
    told = client.post("/predict", files=form(*images), params={"top": 2}).json()["images"]
    wanted = result.predict(images, top=3)
    assert not ONE_LABEL & {key for one in told for key in one}
    assert told[-1].keys() == {"name", "problem", "status", "detail"}
    for one, expected in zip(told[:-1], wanted[:-1], strict=True):
        if result.kind == "number":
            assert one.keys() == {"name", "value", "interval"}
            assert one["value"] == pytest.approx(expected.value, abs=1e-4)
            assert one["interval"] == pytest.approx(list(expected.interval or ()), abs=1e-4)
            continue
        assert one.keys() == {"name", "labels", "probabilities"}
        assert one["labels"] == list(expected.labels or ())
        shares = {row["label"]: row["probability"] for row in one["probabilities"]}
        assert list(shares) == [name for name, _ in expected.top[: len(shares)]]
        assert len(shares) == max(2, len(one["labels"]))  # all that are given
        of = dict(expected.top)
        assert shares == pytest.approx({name: of[name] for name in shares}, abs=1e-6)
        least = dict(zip(result.classes, result.thresholds, strict=True))
        assert {row["label"]: row["threshold"] for row in one["probabilities"]} == {
            name: least[name] for name in shares
        }


def test_the_network_is_described_by_its_own_measure(client: httpx.Client, run: Path) -> None:
    told, config = client.get("/model").json(), json.loads((run / "config.json").read_text("utf-8"))
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert not ONE_LABEL & told.keys()
    if told["kind"] == "number":
        assert (told["measure"], told["quantity"]) == ("R2", "level")
        assert told["half_width"] == config["half_width"]
        named = ("r2", "r2_interval", "mean_absolute_error")
        assert not {"classes", "thresholds"} & told.keys()
    else:
        assert (told["measure"], told["classes"]) == ("mean average precision", config["classes"])
        assert told["thresholds"] == config["thresholds"]
        named = ("mean_average_precision", "mean_average_precision_interval", "f1")
    assert {name: told[name] for name in named} == {name: metrics[name] for name in named}


def test_the_api_is_described_as_it_answers(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas, kind = document["components"]["schemas"], client.get("/model").json()["kind"]
    assert not [name for name, one in schemas.items() if ONE_LABEL & one["properties"].keys()
                and name != "LabelShare"]  # fmt: skip
    asked = document["paths"]["/predict"]["post"]
    assert [one["name"] for one in asked.get("parameters", [])] == ["top"] * (kind == "several")
    page = client.get("/docs").text
    assert ("?top=3" in page) is (kind == "several")
    assert {"several": "LabelsImage", "number": "NumberImage"}[kind] in page


def test_metrics_count_what_was_answered(run: Path) -> None:
    images = photos(run, 6)
    with served(ready(regraft.load(run))) as client:
        told: list[dict[str, Any]] = [
            client.post("/predict", content=image, headers=PLAIN).json()["images"][0]
            for image in images
        ]
        counted = counts(client)
    assert counted['regraft_images_total{outcome="classified"}'] == len(images)
    assert not [
        name for name in counted if name.startswith(("regraft_predictions", "regraft_conf"))
    ]
    if "value" in told[0]:
        assert counted["regraft_value_count"] == len(images)
        rule = regraft.load(run).plan.evidence.answer
        assert rule is not None
        below = sum(one["value"] <= rule.mean for one in told)
        assert counted[f'regraft_value_bucket{{le="{rule.mean}"}}'] == below
        return
    labels = [label for one in told for label in one["labels"]]
    for name in regraft.load(run).classes:
        assert counted[f'regraft_labels_total{{label="{name}"}}'] == labels.count(name)
    assert counted["regraft_labels_an_image_sum"] == len(labels)
