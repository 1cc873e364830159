"""What the model card of a RUN of several labels, or of a number, says."""

import json
import re
from pathlib import Path

import pytest

from regraft.results.load import load


def card_of(run: Path) -> str:
    return (run / "README.md").read_text("utf-8")


def test_a_card_of_several_labels_has_figures_of_each(several_run: Path) -> None:
    card, metrics = card_of(several_run), json.loads((several_run / "metrics.json").read_text())
    assert f"# marks: {len(metrics['per_label'])} labels" in card
    assert f"mean average precision is **{metrics['mean_average_precision']:.1%}**" in card
    rows = re.findall(r"^\| (\w+) \| ([\d.]+%) .* (\d+) \| (\d+) \|$", card, re.MULTILINE)
    assert [(name, ap, int(held)) for name, ap, _, held in rows] == [
        (name, f"{one['average_precision']:.1%}", one["n"])
        for name, one in metrics["per_label"].items()
    ]
    thresholds = re.findall(r"^\| \w+ \|.* ([\d.]+%) \| \d+ \| \d+ \|$", card, re.MULTILINE)
    assert thresholds == [f"{one['threshold']:.1%}" for one in metrics["per_label"].values()]
    assert "sigmoids of its outputs" in card
    assert "softmax of its outputs" not in card


def test_a_card_of_a_number_has_its_errors(number_run: Path) -> None:
    card, metrics = card_of(number_run), json.loads((number_run / "metrics.json").read_text())
    assert "# shades: level\n" in card
    assert f"R2 is **{metrics['r2']:.3f}**" in card
    for key in ("mean_absolute_error", "median_absolute_error", "guess", "half_width"):
        assert f" {metrics[key]:.4g} " in card
    assert "its output is the number itself" in card


@pytest.mark.parametrize(
    ("run", "task", "types"),
    [
        ("several_run", "image-classification", ["mean_average_precision", "f1", "exact"]),
        ("number_run", "image-regression", ["r2", "mean_absolute_error"]),
    ],
)
def test_the_hub_is_told_the_measure(
    run: str, task: str, types: list[str], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(run)
    lines = card_of(folder).split("---\n")[1].splitlines()
    front = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in lines)}
    [found] = front["model-index"][0]["results"]
    metrics = load(folder).metrics
    assert (front["tags"][0], found["task"]["type"], front["metrics"]) == (task, task, types[:1])
    assert [(one["type"], one["value"]) for one in found["metrics"]] == [
        (key, round(metrics[key], 4)) for key in types
    ]
    assert ("pipeline_tag" in front) is (run == "several_run")
