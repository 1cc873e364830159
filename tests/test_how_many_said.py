"""What more images would bring is told of the images that it was measured on, and of no others."""

from dataclasses import replace
from pathlib import Path

import pytest

import regraft
from pictures import lay_out
from regraft.plan.wording import how_many
from scenes import each, scenes

CAVEAT = "All of this is of images like the training ones; the held-out ones are not."


@pytest.mark.parametrize(
    ("interval", "said"),
    [((0.9995, 0.9999), True), ((0.0, 0.0001), True), ((0.0, 1.0), False)],
    ids=["they are harder", "they are easier", "they are alike"],
)
def test_held_out_images_of_another_kind_are_excepted(
    interval: tuple[float, float], said: bool, tmp_path: Path
) -> None:
    files = {**scenes(each(20, "train/")), **scenes(each(8, "test/"), 50)}
    found = regraft.fit(lay_out(tmp_path / "data", files), "demonstration", case=1)
    evidence = replace(found.plan.evidence, expected_interval=interval)
    plan = replace(found.plan, evidence=evidence)
    metrics = {**found.metrics, "accuracy_interval": [0.4, 0.9]}
    assert (CAVEAT in how_many(plan, metrics)) is said
    assert CAVEAT not in how_many(plan)
    assert how_many(plan, metrics)[0] == how_many(plan)[0]
