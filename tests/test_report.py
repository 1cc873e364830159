"""report.html: its parts, its figures are those of the run, and names are text in it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import cli, own_log
from regraft.metrics import calibration_error
from regraft.plan.events import Epoch, LogRow, Note, StepDone
from regraft.report import page as page_of
from regraft.report import pictures, template, words
from regraft.report.charts import confusion, curves, plane
from regraft.report.charts.frame import ticks
from regraft.report.jinja import breaks, command, options
from regraft.results import card
from regraft.results.result import Result
from reported import HOSTILE, Reader, data, drawn, made_up, run, whole

__all__ = ["cli", "data", "own_log", "run", "whole"]  # fixtures

# ---- what every page has


def test_fit_writes_the_page(run: Path, golden: Callable[[str, str], None]) -> None:
    titles = {one.title for one in words.snippets((run / "README.md").read_text("utf-8"))}
    outline = [line for line in Reader(drawn(run)).outline if line.strip() not in titles]
    golden("report-outline.txt", "\n".join(outline) + "\n")


def test_the_figures_are_those_of_the_run(run: Path) -> None:
    metrics, text = json.loads((run / "metrics.json").read_text()), Reader(drawn(run)).text
    low, high = metrics["accuracy_interval"]
    assert f"{metrics['accuracy']:.1%} of {metrics['n']} held-out images, none of which" in text
    assert f"{low:.1%} to {high:.1%} (95% interval)" in text
    assert f"would be right for {metrics['guess']:.1%}" in text
    assert f"{metrics['log_loss']:.3f}" in text
    assert f"calibration error, {metrics['ece']:.1%}" in text
    for name, one in metrics["per_class"].items():
        bounds = " to ".join(f"{bound:.1%}" for bound in one["recall_interval"])
        row = rf"{name}\s*{one['recall']:.1%}\s*{bounds}\s*{one['precision']:.1%}\s*{one['f1']:.3f}"
        assert re.search(row, text)


def test_nothing_is_asked_for_and_no_script_but_its_own_runs(run: Path) -> None:
    text = drawn(run)
    page = Reader(text)
    links = [attrs.get("href") or "" for attrs in page.all("a")]
    assert links
    assert all(link.startswith("#") for link in links)
    anchors = {attrs["id"] for _, attrs in page.tags if attrs.get("id")}
    assert {link[1:] for link in links} <= anchors
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"} == set()
    assert all((attrs["src"] or "").startswith("data:image/webp;") for attrs in page.all("img"))
    assert len(page.all("script")) == 1
    [policy] = [a["content"] for a in page.all("meta") if a.get("http-equiv")]
    assert policy == template.policy()
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert re.findall(r"url\((?!#)", text) == []


def test_everything_is_there_without_the_script(run: Path) -> None:
    page = Reader(re.sub(r"<script>.*?</script>", "", drawn(run), flags=re.DOTALL))
    assert "button" not in {tag for tag, _ in page.tags}
    assert all(attrs.get("aria-label") for attrs in page.all("svg") if "chart" in str(attrs))
    assert all(attrs.get("alt") for attrs in page.all("img"))


def test_what_was_left_out_is_named_with_its_reason(run: Path) -> None:
    text = Reader(drawn(run)).text
    assert "1 was left out" in text
    assert "train/rings/broken.png" in text


def test_the_snippets_are_those_of_the_card(run: Path) -> None:
    text = (run / "README.md").read_text("utf-8")
    found = words.snippets(text)
    assert [one.title for one in found][:2] == ["On the command line", "In Python"]
    page = Reader(drawn(run)).text
    for one, here in zip(found, words.snippets(text, run), strict=True):
        assert one.code in text
        assert here.code == one.code.replace("THIS_FOLDER", str(run))
        assert re.sub(r"\s+", " ", here.code) in page


def test_the_command_makes_the_same_plan(run: Path, whole: Result) -> None:
    assert (
        words.start(whole.plan) == "regraft fit DATA -b demonstration --case 1 --seed 0 --out RUN"
    )
    added = replace(whole.plan, overrides=("--add (2 corrected, 1 new)",))
    assert "--add FILE --seed" in words.start(added)


# ---- names of any kind, any number of classes


def test_hostile_names_are_text(whole: Result) -> None:
    names = [HOSTILE, 'a" onload="alert(2)', "\u202eb", "ünï", "<b>bold", "</svg><svg onload=x>"]
    base = made_up(whole, names)
    plan = replace(base.plan, dataset=HOSTILE, why=HOSTILE, overrides=(HOSTILE,))
    audit = ((f"{HOSTILE}.png", HOSTILE, HOSTILE),)
    hostile = replace(base, plan=plan, audit=audit)
    page = Reader(page_of(hostile, card.model_card(plan, base.metrics)))
    assert HOSTILE in page.text
    assert len(page.all("script")) == 1
    assert hostile.predictions is not None
    wrong = pictures.mistakes(hostile.predictions, names)
    unsure = pictures.unsure(hostile.predictions, names)
    tame = Reader(page_of(whole, ""))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in tame.tags} | {
        "path",
        "br",
        "details",
        "summary",
    }
    assert len(page.all("b")) == sum(len(shots) for shots in (wrong, unsure))
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]


def test_a_file_name_that_is_no_text_can_be_written(whole: Result) -> None:
    assert whole.predictions is not None
    paths = [f"a/\udcff{n}.png" for n in range(len(whole.predictions.paths))]
    named = replace(whole, predictions=replace(whole.predictions, paths=paths))
    assert "\\udcff" in page_of(named, "")
    assert page_of(named, "").encode("utf-8")


@pytest.mark.parametrize("count", [2, 40, 41, 100])
def test_any_number_of_classes(whole: Result, count: int) -> None:
    base = made_up(whole, [f"kind {n:03} of many" for n in range(count)], 40 * count)
    page = Reader(page_of(base, ""))
    maps = [a for a in page.all("svg") if a.get("class") == "chart map"]
    tables = [a for a in page.all("table") if "matrix" in (a.get("class") or "")]
    assert (len(maps), len(tables)) == ((0, 1) if count <= 40 else (1, 0))
    assert page.text.count(f"kind {count - 1:03} of many") >= 1
    wrong = sum(
        n for t, row in enumerate(base.metrics["confusion"]) for p, n in enumerate(row) if t != p
    )
    said = f"{min(wrong, pictures.MOST)} of {wrong:,}." if wrong else "There are none."
    assert said in page.text


def test_very_many_classes_stay_within_bounds(whole: Result) -> None:
    base = made_up(whole, [f"{'long name ' * 12}{n}" for n in range(1200)], 1300)
    text = page_of(base, "")
    assert len(text.encode()) < template.LARGEST
    assert "200 more are in metrics.json" in text


def test_the_map_has_a_square_for_each_pair_that_occurs(whole: Result) -> None:
    matrix = [[5, 0, 1], [0, 2, 0], [3, 0, 0]]
    chart = confusion.chart(matrix, ["a", "b", "c"])
    squares = "".join(
        re.findall(r'class="(?:right|wrong)" fill-opacity="[\d.]+" d="([^"]+)"', chart)
    )
    assert squares.count("M") == 4
    assert confusion.pairs(matrix, ["a", "b", "c"]) == [("c", "a", 3, 3), ("a", "c", 1, 6)]


def test_file_names_break_where_they_are_joined() -> None:
    assert breaks("IMG_2024-<b>.v2.jpeg") == "IMG_<wbr>2024-<wbr>&lt;b&gt;.v2<wbr>.jpeg"
    assert (breaks(".png"), breaks("a__b"), breaks("")) == (".png", "a__<wbr>b", "")


def test_options_do_not_break() -> None:
    whole = '<span class="option">--class-weights</span>'
    assert options("<i> --class-weights,") == f"&lt;i&gt; {whole},"
    assert options("--" + "a" * 200) == "--" + "a" * 200


def test_commands_break_between_words() -> None:
    one, another = (f'<span class="word">{word}</span>' for word in ("&lt;i&gt;", "--csv"))
    assert command("<i>  --csv\n--csv") == f"{one}  {another}\n{another}"


# ---- sentences and charts


def test_the_verdict_tells_what_the_accuracy_is_worth(whole: Result) -> None:
    metrics = dict(whole.metrics) | {
        "accuracy": 0.9,
        "accuracy_interval": [0.85, 0.95],
        "guess": 0.5,
    }
    assert "so it avoids 80% of the mistakes of guessing" in words.against(metrics)
    assert "no better" in words.against(metrics | {"guess": 0.86})
    assert "not better at all" in words.against(metrics | {"guess": 0.97})


def test_the_bins_are_those_of_the_calibration_error(whole: Result) -> None:
    found = made_up(whole, ["a", "b", "c"], 300).predictions
    assert found is not None
    bins = curves.bins(found.probabilities, found.truth)
    error = sum(one.n * abs(one.right / one.n - one.confidence) for one in bins) / 300
    assert sum(one.n for one in bins) == 300
    assert error == pytest.approx(calibration_error(found.probabilities, found.truth))


def test_the_scale_of_the_plane_is_that_of_the_evidence() -> None:
    from regraft.plan.size import LARGE, size_of

    for images in (150, 200, 4500, 30_000, 200_000):
        assert plane._scale(images) == pytest.approx(size_of(np.array([images / 2] * 2)))
    assert plane._scale(4472) == pytest.approx(LARGE, abs=1e-3)


def test_the_log_of_a_training_gives_its_curves() -> None:
    def epoch(what: str, number: int, loss: float, accuracy: float | None) -> Epoch:
        kept: dict[str, Any] = {"seconds": 1.0, "of": 2, "rate": 0.1, "images_per_second": 9.0}
        return Epoch(what=what, epoch=number, loss=loss, validation_accuracy=accuracy, **kept)

    log: list[LogRow] = [epoch("rate-0.1", n, 1 / n, a) for n, a in ((1, 0.5), (2, 0.75))]
    log += [StepDone(step="fit", what="x", seconds=1.0), Note(what="y")]
    one, again = curves.trained([*log, epoch("again", 1, 0.3, None)])
    assert (one.name, one.epochs, one.loss, one.accuracy) == (
        "rate-0.1",
        (1, 2),
        (1, 0.5),
        (0.5, 0.75),
    )
    assert (again.name, again.accuracy) == ("again", ())
    assert "rate-0.1 reaches 75.0%" in curves.accuracy_curve([one, again])
    assert "again ends at 0.300" in curves.loss_curve([one, again])
    assert curves.accuracy_curve([again]) == ""


@pytest.mark.parametrize(
    ("low", "high"), [(0.52, 1.0), (0.0, 1.0), (0.97, 0.99), (0.0, 37.2), (1, 1)]
)
def test_ticks_hold_what_they_are_for(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 1 <= len(marks) <= 8
    assert marks[0] <= low
    assert marks[-1] >= high - 1e-9


def test_the_set_itself_is_always_named(whole: Result) -> None:
    evidence = whole.plan.evidence
    for size in np.linspace(0, 1, 11):
        for similarity in np.linspace(0, 1, 11):
            placed = replace(evidence, size=float(size), similarity=float(similarity))
            drawn = plane.plane(placed, "a name of 20 letters", "efficientnet-lite0")
            assert ">a name of 20 letters</text>" in drawn, (size, similarity)


def test_the_set_itself_hides_no_name_of_a_quarter(whole: Result) -> None:
    low = replace(whole.plan.evidence, size=0.0, similarity=0.05)
    drawn, usual = (
        re.findall(r'y="([0-9.]+)"[^>]*>Case 2', plane.plane(one, "set", ""))
        for one in (low, replace(low, similarity=0.4))
    )
    assert drawn != usual
