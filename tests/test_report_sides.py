"""report.html of a trained run and of a comparison."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smallnet
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.compare import Comparison, Omitted, Outcome
from regraft.plan.choices import Choices
from regraft.plan.events import Epoch
from regraft.report import heat, of_comparison, words
from regraft.report import page as page_of
from regraft.results.files import COMPARISON
from regraft.results.result import Result
from regraft.run.api import fit
from regraft.run.pretrained import Pretrained
from reported import HOSTILE, Reader
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, str]:
    """A run that trained a small network, and its page."""
    place = tmp_path_factory.mktemp("trained")
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=60)
    data = lay_out(place / "scenes", files)
    network = Pretrained(smallnet.record(), smallnet.small)
    choices = Choices(case=3, learning_rate=1e-3, seed=3)
    result = fit(data, network, choices=choices, out=place / "run")
    return result, (place / "run" / "report.html").read_text("utf-8")


def test_a_trained_run_shows_its_training(trained: tuple[Result, str]) -> None:
    result, text = trained
    page = Reader(text)
    assert "  The training" in page.outline
    [losses] = [a for a in page.all("svg") if str(a.get("aria-label")).startswith("Training loss")]
    last = [row for row in result.log if isinstance(row, Epoch)][-1]
    assert f"{last.what} ends at {last.loss:.3f}" in str(losses["aria-label"])
    for one in result.metrics["candidates"]:
        row = rf"{one['name']}.*?{one['accuracy']:.1%}.*?{one['loss']:.4f}.*?{one['shown']:,}"
        assert re.search(row, page.text)
    assert result.plan.why in page.text


def test_a_trained_run_shows_where_it_looked(trained: tuple[Result, str]) -> None:
    page = Reader(trained[1])
    assert "  Where it looked" in page.outline
    assert "of 8 × 8 places" in page.text


def test_a_network_that_cannot_be_looked_into_keeps_its_run(trained: tuple[Result, str]) -> None:
    def broken() -> None:
        raise RuntimeError("no such layer")

    from pictures import in_memory, jpeg

    result = replace(trained[0], network=broken)  # type: ignore[arg-type]
    assert result.predictions is not None
    files = {path: jpeg(n) for n, path in enumerate(result.predictions.paths)}
    page = Reader(page_of(result, "", in_memory(files, ("test",))))
    assert "There are no heat maps: small cannot be looked into: no such layer" in page.text


def test_without_captum_the_page_says_what_brings_it(
    trained: tuple[Result, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictures import in_memory

    monkeypatch.setattr("regraft.report.heat.find_spec", lambda name: None)
    page = Reader(page_of(trained[0], "", in_memory({}, ("test",))))
    assert "There are no heat maps: captum, which draws them, is not installed" in page.text
    assert "pip install 'regraft[heat]'" in page.text


def test_heat_lies_where_it_is() -> None:
    square = np.full((64, 64, 3), 128, np.uint8)
    hot = np.zeros((4, 4), np.float32)
    hot[0, 3] = 1.0
    seen = heat.overlay(square, hot).astype(int)
    side = seen.shape[0]
    assert seen[: side // 8, -side // 8 :, 0].mean() > 180
    assert np.abs(seen[side // 2 :, : side // 2] - 128).max() <= 2


# ---- comparisons


def outcome(case: int, accuracy: float, **changes: object) -> Outcome:
    figures = (accuracy, (accuracy - 0.1, accuracy + 0.05), accuracy, 0.123, 0.045, None)
    one = Outcome(case, "frozen", (7,), *figures, 3_373_570, 1.5, 210.0, "x", "", "reads last")
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.fixture
def found() -> Comparison:
    return Comparison(
        *(HOSTILE, "efficientnet-lite0", 3, 120, 40),
        cases=(outcome(1, 0.9), outcome(2, 0.85, taps=(5,)), outcome(3, 0.8, brief=HOSTILE)),
        omitted=(Omitted(4, "few images"),),
        chosen=1,
        indicated=3,
        verdict="Case 1 is as good as any.",
        seconds={"shared": 1.0, "total": 9.0},
        classes=7,
        recipe="tuned",
        data="/of/my photos",
        options=("--budget 600s", "--class-weights none", "--quick"),
    )


def test_a_comparison_has_its_page(found: Comparison, tmp_path: Path) -> None:
    found.save(tmp_path / "cmp")
    assert sorted(os.listdir(tmp_path / "cmp")) == [COMPARISON, "report.html"]
    page = Reader((tmp_path / "cmp" / "report.html").read_text("utf-8"))
    assert found.verdict in page.text
    assert HOSTILE in page.text
    assert len(page.all("script")) == 1
    assert "it aims at case 3" in page.text
    for one in found.cases:
        low, high = one.accuracy_interval
        assert f"{one.accuracy:.1%}{low:.1%} to {high:.1%}{one.balanced_accuracy:.1%}" in page.text
    assert "Case 4 is left out: few images." in page.text
    usual = "-b efficientnet-lite0 --class-weights none --seed 3"
    assert f"regraft fit '/of/my photos' {usual} --case N --out RUN" in page.text
    again = usual.replace("lite0", "lite0 --budget 600s").replace("none", "none --quick")
    folder = words.place(tmp_path / "cmp")
    assert f"regraft compare '/of/my photos' {again} --out {folder}" in page.text
    assert [a for a in page.all("svg") if a.get("class") == "chart"]
    assert "320 → 7" in page.text or "192 → 7" in page.text
    assert page.outline[1:3] == ["  What each gets", "  What each does to the network"]


def test_a_comparison_of_an_earlier_version_has_its_page_too(found: Comparison) -> None:
    document = found.to_json()
    del document["options"], document["recipe"], document["data"]
    assert (
        "regraft compare DATA -b efficientnet-lite0 --seed 3"
        in Reader(of_comparison(document)).text
    )


def test_a_comparison_of_a_network_without_a_record_has_no_picture(found: Comparison) -> None:
    page = Reader(of_comparison(replace(found, backbone="mine").to_json()))
    assert "  What each does to the network" not in page.outline


def test_a_comparison_is_drawn_anew(cli: Regraft, found: Comparison, tmp_path: Path) -> None:
    found.save(tmp_path / "cmp")
    page = tmp_path / "cmp" / "report.html"
    before = page.read_bytes()
    page.write_text("gone")
    assert cli("report", tmp_path / "cmp").code == 0
    assert page.read_bytes() == before
    refused = cli("report", tmp_path / "cmp", "--heat-maps")
    assert (refused.code, "Leave out --heat-maps" in refused.err) == (2, True)
    found.save(tmp_path / "cmp", overwrite=True)
