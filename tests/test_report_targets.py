"""The page of a RUN whose images have several labels, or a number."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import targets
from regraft.heads.tasks.several import score_several
from regraft.report import number, page, several
from regraft.report.charts.targets import DOTS, scatter
from regraft.results.load import load
from regraft.results.result import Result, with_tables
from regraft.results.tables import Predictions
from reported import HOSTILE, Reader


def opened(run: Path) -> Result:
    return with_tables(load(run), run)


def read(run: Path) -> str:
    return (run / "report.html").read_text("utf-8")


# What stands on the page of one label an image and says nothing of these.
STRANGE = ("mixed", "classes", "threshold", "map", "unknown", "labels-wrong", "more", "heat")


@pytest.mark.parametrize("kind", ["several", "number"])
def test_a_page_has_the_sections_of_its_kind(
    kind: str, golden: Callable[[str, str], None], request: pytest.FixtureRequest
) -> None:
    text = read(request.getfixturevalue(f"{kind}_run"))
    reader = Reader(text)
    golden(f"report-outline-{kind}.txt", "\n".join(reader.outline) + "\n")
    ids = {attrs.get("id") for _, attrs in reader.tags} - {None}
    assert not ids & set(STRANGE)
    hrefs = [one["href"] or "" for one in reader.all("a")]
    links = {href[1:] for href in hrefs if href.startswith("#")}
    assert links <= ids
    for word in ("accuracy", "confusion", "commonest", "softmax of its"):
        assert word not in reader.text
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)


def test_every_label_stands_in_the_table(several_run: Path) -> None:
    reader, metrics = Reader(read(several_run)), opened(several_run).metrics
    for name, one in metrics["per_label"].items():
        found = f"{name}{one['average_precision']:.1%}"
        assert found in reader.text.replace(" ", "")
    assert f"{metrics['mean_average_precision']:.1%}" in reader.text
    assert f"{metrics['exact']:.1%}" in reader.text


def test_the_worst_images_say_what_is_missing_and_what_is_too_many(several_run: Path) -> None:
    found = opened(several_run).predictions
    assert found is not None
    given = found.probabilities >= np.array(found.thresholds)
    wrong = (given != found.truth).any(1)
    text = read(several_run)
    [shots] = re.findall(r'<ul class="shots">(.*?)</ul>', text, re.S)
    rows = shots.split("<li>")[1:]
    assert len(rows) == min(int(wrong.sum()), 12)
    assert all("<img" in row for row in rows)
    loss = np.square(found.probabilities - found.truth).sum(1) * wrong
    worst = int(loss.argmax())
    names = np.array(targets.MARKS)
    for words, which in (
        ("missing", found.truth & ~given),
        ("not there", given & ~found.truth),
    ):
        said = re.search(rf"{words}: (.*?)<br>", rows[0], re.S)
        bold = re.findall(r"<b[^>]*>(\w+)</b>", said[1]) if said else []
        assert sorted(bold) == sorted(names[which[worst]])


def test_labels_that_go_wrong_together_are_counted() -> None:
    names = ("a", "b", "c")
    truth = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    given = np.array([[0, 1, 1], [0, 1, 0], [1, 1, 0], [0, 1, 0]], bool)
    [pair] = several._pairs(truth & ~given, given & ~truth, names)
    assert (pair.second, pair.first, pair.n, pair.of) == ("b", "a", 2, 3)
    assert several._pairs(truth & given, given & ~truth, names) == []


def many(result: Result, labels: int, images: int = 30) -> Result:
    """The same of very many labels, the last of which is hardest."""
    random = np.random.default_rng(0)
    names = tuple(f"label {n:04}" for n in range(labels))
    truth = random.random((images, labels)) < 0.05
    shares = np.clip(0.5 * truth + random.random((images, labels)) * 0.5, 0, 1)
    truth[0, -1], shares[:, -1] = True, 0.4
    shares[0, -1] = 0.1
    thresholds = np.full(labels, 0.5)
    scores = score_several(shares, truth.astype(float), names, thresholds, np.arange(images))
    answer = result.plan.evidence.answer
    assert answer is not None
    answer = replace(answer, thresholds=tuple(thresholds))
    evidence = replace(result.plan.evidence, classes=names, per_class=(9,) * labels, answer=answer)
    return replace(
        result,
        plan=replace(result.plan, evidence=evidence),
        classes=names,
        metrics={**result.metrics, **scores},
        predictions=Predictions(
            [f"{n}.png" for n in range(images)], truth, shares, "several", tuple(thresholds)
        ),
    )


def test_of_thousands_of_labels_the_worst_are_listed(several_run: Path) -> None:
    result = many(opened(several_run), 400)
    text = page(result, "", None)
    assert text.count('<th class="name" scope="row" dir="auto">label') < 2 * several.LABELS
    assert "200 more are in metrics.json" in Reader(text).text
    assert re.search(r"Which label is hardest\?</h2>\s*<p[^>]*>label \d+", text)


def test_names_of_labels_are_text(several_run: Path) -> None:
    result = many(opened(several_run), 3)
    names = (HOSTILE, "b", "c")
    per_label = dict(zip(names, result.metrics["per_label"].values(), strict=True))
    evidence = replace(result.plan.evidence, classes=names)
    text = page(
        replace(
            result,
            classes=names,
            plan=replace(result.plan, evidence=evidence),
            metrics={**result.metrics, "per_label": per_label},
        ),
        "",
        None,
    )
    assert "<script>alert" not in text
    assert HOSTILE in "".join(Reader(text).words)


def test_the_numbers_are_drawn_over_the_true_ones(number_run: Path) -> None:
    result = opened(number_run)
    text, found = read(number_run), result.predictions
    assert found is not None
    assert text.count('class="spot"') == len(found.truth)
    told = np.zeros(5000)
    assert scatter(told, np.arange(5000.0), 3.0, "n").count('class="spot"') == DOTS


def test_the_band_is_as_wide_as_the_interval() -> None:
    drawn = scatter(np.array([0.0, 10.0]), np.array([0.0, 10.0]), 2.0, "n")
    [places] = re.findall(r'class="band t0" d="M([^Z]+)Z"', drawn)
    xy = [tuple(map(float, pair.split())) for pair in places.split("L")]
    left, floor = xy[0]
    right, top = xy[3]
    assert xy[1][0] == left
    assert (floor - xy[1][1]) / (floor - top) == pytest.approx(0.2, abs=0.01)
    assert (right - xy[2][0]) / (right - left) == pytest.approx(0.2, abs=0.01)


def test_the_worst_numbers_are_shown(number_run: Path) -> None:
    found = opened(number_run).predictions
    assert found is not None
    off = np.abs(found.probabilities - found.truth)
    [shots] = re.findall(r'<ul class="shots">(.*?)</ul>', read(number_run), re.S)
    first = shots.split("<li>")[1]
    assert f"<b>{found.probabilities[off.argmax()]:.4g}</b>" in first
    assert f"is {found.truth[off.argmax()]:.4g}" in first


def test_the_range_is_told_in_parts_of_like_size() -> None:
    truth = np.arange(80.0)
    told = np.where(truth < 40, truth + 2, truth - 1)
    found = number.stretches_of(told, truth, 1.5)
    assert [one.n for one in found] == [10] * 8
    assert [(one.off, one.bias, one.covered) for one in found] == [(2, 2, 0)] * 4 + [(1, -1, 1)] * 4
    assert (found[0].low, found[-1].high) == (0, 79)
    assert [one.n for one in number.stretches_of(told[:4], truth[:4], 1.0)] == [4]
    same = number.stretches_of(np.ones(50), np.ones(50), 1.0)
    assert [one.n for one in same] == [50]


def test_the_card_and_page_say_the_same(number_run: Path) -> None:
    metrics = json.loads((number_run / "metrics.json").read_text())
    said = Reader(read(number_run)).text
    for key in ("mean_absolute_error", "median_absolute_error", "half_width"):
        assert f"{metrics[key]:.4g}" in said
    assert f"{metrics['covered']:.1%}" in said


@pytest.mark.parametrize("kind", ["several", "number"])
def test_no_table_asks_for_corrections(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(f"{kind}_run")
    assert not (run / "suspects.csv").exists()
    assert opened(run).suspects == ()
