"""report.html: its first screen, the photos of each cell, the threshold, and bad input."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import CHROMIUM, browser
from regraft.metrics import score, wilson
from regraft.plan.definition import Ran
from regraft.plan.ranked import RankedNetwork, Ranking
from regraft.report import (
    answered,
    answers,
    mixed,
    of_ranking,
    pictures,
    template,
    thumbnails,
    words,
)
from regraft.report import page as page_of
from regraft.report.charts import confusion, curves
from regraft.report.charts.curves import TrainingCurve
from regraft.results.result import Result
from regraft.results.tables import Predictions
from reported import HOSTILE, Reader, data, drawn, made_up, run, whole

__all__ = ["data", "run", "whole"]  # fixtures

SHARES = np.array([[0.9, 0.1], [0.4, 0.6], [0.55, 0.45], [0.2, 0.8]])
FOUND = Predictions(["a/a", "b/b", "a/c", "b/d"], np.array([1, 0, 0, 1]), SHARES)


def no_image(path: str) -> bytes:
    raise FileNotFoundError("gone")


def judged(result: Result, found: Predictions, classes: list[str]) -> Result:
    metrics = dict(result.metrics) | score(found.probabilities, found.truth, classes).to_json()
    metrics = {key: value for key, value in metrics.items() if key not in ("suspects", "unknown")}
    return replace(result, metrics=metrics)


# ---- the first screen


def test_answers_come_first(run: Path) -> None:
    outline = [line.strip() for line in Reader(drawn(run)).outline]
    asked = [line for line in outline if line.endswith("?")][:6]
    assert outline[1:7] == asked
    assert outline[7] == "What was done to the network"


def test_the_weakest_class_is_the_one_that_is_missed_most(whole: Result) -> None:
    found = Predictions(list("abcdef"), np.array([0, 0, 0, 1, 1, 1]), np.eye(2)[[0, 0, 0, 0, 0, 1]])
    metrics = judged(whole, found, ["x", "y"]).metrics
    weakest = answers.answers(whole.plan, metrics)[1]
    assert (weakest.figure, weakest.said) == (
        "y",
        "1 of 3 are found; most of the others are taken for x.",
    )
    metrics = judged(
        whole, replace(found, probabilities=np.eye(2)[[0, 0, 0, 0, 1, 1]]), ["x", "y"]
    ).metrics
    said = answers.answers(whole.plan, metrics)[1].said
    assert said == "2 of 3 are found; the other one is taken for x."
    metrics = judged(
        whole, replace(found, probabilities=np.eye(2)[found.truth]), ["x", "y"]
    ).metrics
    assert answers.answers(whole.plan, metrics)[1].figure == "none"


UNKNOWN = {"limit": 0.05, "own": 600, "kept": 0.94, "images": 300, "auroc": 0.8, "accepted": 0.75}


@pytest.mark.parametrize(
    ("told", "figure"),
    [
        (UNKNOWN, "25% of them"),
        (UNKNOWN | {"auroc": 0.55}, "hardly"),
        (UNKNOWN | {"auroc": None}, "not known"),
        (UNKNOWN | {"own": 10}, "no"),
        (None, "not known"),
    ],
)
def test_what_is_said_of_strangers(whole: Result, told: dict[str, Any] | None, figure: str) -> None:
    metrics = {key: value for key, value in whole.metrics.items() if key != "unknown"}
    metrics |= {} if told is None else {"unknown": told}
    assert answers.answers(whole.plan, metrics)[3].figure == figure


def test_an_older_run_says_what_it_did_not_ask(whole: Result) -> None:
    lost = ("suspects", "unknown", "captures")
    metrics = {key: value for key, value in whole.metrics.items() if key not in lost}
    old = replace(whole, metrics=metrics, plan=replace(whole.plan, learning_curve=None))
    assert Reader(page_of(old, "")).text.count(answers.OLDER) == 3


def test_commands_name_the_places(whole: Result) -> None:
    plan = replace(whole.plan, data="../my photos")
    told = words.commands(plan, Path("/photos/a run"), 0.8)
    assert told.predict == "regraft predict '/photos/a run' photo.jpg"
    assert (
        told.add
        == "regraft fit '/photos/my photos' --add '/photos/a run/suspects.csv' --out ANOTHER"
    )
    assert told.heat == "regraft report '/photos/a run' --heat-maps"
    moved = words.commands(plan, Path("/photos/a run"), 0.8, "/else/../new")
    assert moved.heat == "regraft report '/photos/a run' --heat-maps --data /new"
    assert moved.add.startswith("regraft fit /new --add ")
    assert words.start(plan, Path("/photos/a run"), "/new").startswith("regraft fit /new -b ")
    assert words.start(plan, None, "s3://b/c").startswith("regraft fit s3://b/c -b ")
    assert told.sure.endswith("one.confidence >= 0.80]")
    assert words.start(plan, Path("/photos/a run")).startswith(
        "regraft fit '/photos/my photos' -b "
    )
    [one] = words.snippets('\n## Use\n```python\nload("THIS_FOLDER")\n```\n', Path('/photos/a "b'))
    assert one.code == 'load("/photos/a \\"b")'


# ---- the photos of each cell


def test_each_number_leads_to_its_photos(run: Path) -> None:
    text = drawn(run)
    counts = dict(re.findall(r'<a href="#(cell-\d+-\d+)">(\d+)</a>', text))
    confused = json.loads((run / "metrics.json").read_text())["confusion"]
    assert sorted(map(int, counts.values())) == sorted(n for row in confused for n in row if n)
    for anchor, count in counts.items():
        [section] = re.findall(rf'id="{anchor}">(.*?)</section>', text, re.DOTALL)
        paths = re.findall(r'<code class="path"', section)
        assert len(paths) == int(count)
        assert section.count("<img") == min(int(count), mixed.IN_RIGHT)


def test_cells_hold_the_images_that_were_so_taken() -> None:
    album = pictures.Album(no_image, None)  # type: ignore[arg-type]
    album._made = {path: ("data:", "") for path in ("a/a", "b/b", "a/c")}
    album.room = 10_000
    album.show = lambda shots: [album._placed(shot) for shot in shots]  # type: ignore[method-assign]
    found = {one.anchor: one for one in mixed.cells(FOUND, ["x", "y"], album)}
    assert {name: [s.path for s in one.shots] for name, one in found.items()} == {
        "cell-2-1": ["a/a"],
        "cell-1-2": ["b/b"],
        "cell-1-1": ["a/c"],
        "cell-2-2": [],
    }
    assert found["cell-2-2"].paths == ["b/d"]
    assert [one.anchor for one in mixed.cells(FOUND, ["x", "y"], album, mistakes=1)] == ["cell-1-2"]


def test_pairs_are_mistakes_alone() -> None:
    album = pictures.Album(no_image, None, 0)  # type: ignore[arg-type]
    found = mixed.cells(FOUND, ["x", "y"], album, mistakes=9)
    assert [one.right for one in found] == [False, False]


def test_above_forty_classes_the_pairs_have_the_photos(whole: Result) -> None:
    classes = [f"kind {n}" for n in range(confusion.TABLE + 1)]
    base = made_up(whole, classes, 2000)
    page = Reader(page_of(base, ""))
    anchors = [
        a["id"] or "" for a in page.all("section") if (a.get("id") or "").startswith("cell-")
    ]
    pairs = confusion.pairs(base.metrics["confusion"], classes)[: confusion.PAIRS]
    names = {name: place + 1 for place, name in enumerate(classes)}
    assert anchors == [f"cell-{names[t]}-{names[p]}" for t, p, _, _ in pairs]
    assert not [a for a in page.all("table") if "matrix" in (a.get("class") or "")]


def test_pictures_end_where_there_is_no_more_room(whole: Result) -> None:
    album = pictures.Album(no_image, whole.plan.backbone.view, 36)
    album._made = {"a/a": ("data:123456", ""), "b/b": ("data:123456", "")}
    shown = album.show([*pictures.mistakes(FOUND, ["x", "y"])] * 2)
    assert [(one.uri, one.problem, one.anchor) for one in shown] == [
        ("data:123456", "", "photo-1"),
        ("data:123456", "", "photo-2"),
        ("data:123456", "", ""),
        ("", pictures.FULL, ""),
    ]


# ---- the threshold


def test_what_is_left_at_a_threshold() -> None:
    found = [(one.n, one.right) for one in (answered.answered(FOUND, t) for t in (0, 0.56, 0.8, 1))]
    assert found == [(4, 2), (3, 1), (2, 1), (0, 0)]
    one = answered.answered(FOUND, 0.8, 0.5)
    assert (one.accuracy, one.interval) == (0.5, wilson(0.5, 1.0))
    assert [(row.least, row.n) for row in answered.rows(FOUND)] == [
        (0.0, 4), (0.6, 3), (0.7, 2), (0.9, 1),
    ]  # fmt: skip


def test_a_threshold_is_advised_that_reaches_its_aim(whole: Result) -> None:
    n = 200
    sure = np.linspace(0.5, 0.999, n)
    right = np.arange(n) % 4 > 0
    right[100:] = True
    truth = np.where(right, 0, 1)
    said, least = answered.advice(Predictions([""] * n, truth, np.c_[sure, 1 - sure]))
    one = answered.answered(Predictions([""] * n, truth, np.c_[sure, 1 - sure]), least)
    assert one.right / one.n >= 0.9 > right.mean()
    assert f"from a confidence of {least:.2f} on" in said
    assert f"right for {one.right / one.n:.1%}" in said
    assert answered.advice(FOUND) == (
        "No threshold leaves enough images of which more are right.",
        0.0,
    )
    assert (
        "no threshold is needed"
        in answered.advice(Predictions(["a"], np.array([0]), SHARES[:1]))[0]
    )
    few = Predictions([""] * 30, np.repeat([0, 1], [10, 20]), np.c_[sure, 1 - sure][-1:-31:-1])
    assert answered.advice(few)[1] == 0.0


def test_the_slider_and_the_table_tell_the_same(run: Path, whole: Result) -> None:
    text = drawn(run)
    [told] = [
        json.loads(a["data-answered"] or "")
        for a in Reader(text).all("figure")
        if "data-answered" in a
    ]
    assert whole.predictions is not None
    for least in (0, 50, 99):
        one = answered.answered(whole.predictions, least / 100)
        assert (told["n"][least], told["right"][least]) == (one.n, one.right)
    for row in answered.rows(whole.predictions):
        assert f"<td>{row.n / row.of:.1%}</td>" in text


# ---- the epoch that was chosen


def test_the_epoch_that_was_handed_over_is_marked(whole: Result) -> None:
    slow = TrainingCurve("slow", (1, 2), (0.9, 0.8), (0.5, 0.6), (0.1, 0.3))
    fast = TrainingCurve("fast", (1, 2, 3), (0.9, 0.7, 0.6), (0.5, 0.7, 0.6), (0.4, 0.2, 0.3))
    ran = Ran("fine-tuned", 3, 0.7, (0.6, 0.8), 0.2, 9, "", handed_over=True, epochs=2)
    plan = replace(whole.plan, ran=(ran,))
    assert curves.handed_over([slow, fast], plan) == ("fast", 2)
    assert curves.handed_over([slow, fast], replace(plan, ran=(replace(ran, epochs=0),))) is None
    assert curves.handed_over([slow, fast], whole.plan) is None
    drawn = curves.validation_curve([slow, fast], ("fast", 2))
    assert drawn.count("chosen") == 1
    assert "fast, epoch 2: 0.2, handed over" in drawn
    assert curves.validation_curve([replace(slow, validation=())]) == ""


# ---- in a browser

ARABIC = ["قطة", "كلب", "طائر"]
ROWS = tuple(
    RankedNetwork(f"a_network_{n}.of_a_long_name", 0.9, (0.87, 0.93), 123.4, 350.5, 3, None, 9)
    for n in range(2)
)
RANKING = Ranking((*ROWS, replace(ROWS[0], dropped_at=5000)), None, "", "set", 0, 99_999, 9)
ASK = "(s => (s.value = 90, s.dispatchEvent(new Event('input')), document.querySelector('output')"
SURE = "document.querySelector('#sure').textContent"
CUT = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
POINT = "document.querySelector('a.point').dispatchEvent(new Event('pointerover', {bubbles: true}))"


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium (Debian: apt install chromium)")
def test_the_page_answers_and_fits_a_phone(run: Path, whole: Result, tmp_path: Path) -> None:
    assert whole.predictions is not None
    long = ["a" * 200, *ARABIC, "a long name of several words"]
    (tmp_path / "long.html").write_text(page_of(made_up(whole, long), ""), "utf-8")
    (tmp_path / "rank.html").write_text(of_ranking(RANKING), "utf-8")
    with browser(tmp_path) as window:
        window.size(400, 900, phone=True)
        for page in (run / "report.html", tmp_path / "long.html"):
            window.open(page.as_uri())
            assert window.value("document.documentElement.scrollWidth") <= 400
            said = window.value(f"{ASK}.textContent))(document.querySelector('input'))")
            assert said.startswith("0.90: answers ")
            assert "confidence >= 0.90]" in window.value(SURE)
        window.size(1400, 900)
        for page in (tmp_path / "rank.html", run / "report.html"):
            window.open(page.as_uri())
            assert window.value(CUT) == 0
        least = window.value("Number(document.querySelector('#threshold').dataset.least)")
        assert window.value("Number(document.querySelector('input').value)") == least > 0
        assert f"confidence >= {least / 100:.2f}]" in window.value(SURE)
        assert "Point at a dot" in window.value("document.querySelector('#look').textContent")
        window.value(POINT)
        assert window.value("document.querySelector('#look img').src").startswith("data:image/")
        assert "labelled" in window.value("document.querySelector('#look').textContent")
        window.value(POINT.replace("a.point", "g.point"))
        assert window.value("document.querySelector('#look img.small').naturalWidth") > 0
        assert window.value("document.querySelector('#look img.small').width") == thumbnails.SIDE
        assert window.errors == []
        window("Emulation.setScriptExecutionDisabled", value=True)
        window.open((run / "report.html").as_uri())
        assert window.value("document.querySelector('input, output, th button')") is None
        for shown in (".answers .figure", "[aria-label='Accuracy by confidence'] td", ".cell img"):
            box = f"document.querySelector({json.dumps(shown)}).getBoundingClientRect()"
            assert window.value(f"{box}.width * {box}.height") > 0, shown
        assert "Point at" not in window.value("document.querySelector('#look').textContent")


# ---- bad input

BAD = {
    "300 classes": [f"kind {n}" for n in range(300)],
    "names of 200 letters": ["a" * 199 + letter for letter in "bcd"],
    "right to left": ARABIC,
    "markup": [HOSTILE, "<b>bold", '" onload="alert(2)'],
}


def test_a_page_that_is_too_large_is_drawn_with_less(
    whole: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = made_up(whole, [f"{'<&' * 20}{n}" for n in range(100)])
    before = template.size(page_of(base, ""))
    monkeypatch.setattr(template, "LARGEST", before - 20_000)
    assert template.size(page_of(base, "")) < template.LARGEST


@pytest.mark.parametrize("classes", BAD.values(), ids=BAD)
def test_bad_names(whole: Result, classes: list[str]) -> None:
    text = page_of(made_up(whole, classes, 3 * len(classes)), "")
    page = Reader(text)
    assert template.size(text) < template.LARGEST
    assert classes[0] in page.text
    assert len(page.all("script")) == 1
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    for tag, inside in re.findall(r"<(th|td|span|b)( [^>]*)?>\s*" + re.escape(ARABIC[0]), text):
        assert 'dir="auto"' in inside, tag
    for name in re.findall(r'<code class="path" ([^>]*)>(.*?)</code>', text):
        assert name[0] == 'dir="ltr"'
        assert name[1].startswith("<bdi>")
