"""Evidence is remembered, under the name of all that it follows from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import targets
from pictures import in_memory
from regraft.data.kinds import Kind
from regraft.features.cache import products
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.evidence import Gathered
from regraft.run import evidence
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained
from scenes import each, scenes
from smallnet import record, small


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Gathered]:
    """Images that were measured, and their evidence."""
    network, folder = Pretrained(record(), small), tmp_path_factory.mktemp("cache")
    found = measure(in_memory(scenes(each(12))), network, Choices(case=1), cache=folder)
    return found, asked_evidence(found)


def other(measured: Any, **columns: Any) -> Any:
    """The same with one value of a column changed."""
    for name, column in columns.items():
        changed = column.copy()
        changed[0] = changed[0] + 1
        columns[name] = changed
    return replace(measured, **columns)


def swapped_widths(measured: Measured) -> Measured:
    """The same of a network whose first two depths have each other's widths."""
    backbone = measured.network.backbone
    one, two, *others = backbone.stages
    stages = (replace(one, channels=two.channels), replace(two, channels=one.channels), *others)
    network = replace(measured.network, backbone=replace(backbone, stages=stages))
    return replace(measured, network=network)


def asked_evidence(measured: Measured, **asked: Any) -> Gathered:
    """Evidence of the training images, as a plan asks for it."""
    usual: dict[str, Any] = {"candidates": [(0,), (0, 1)], "seed": 0, "shift": (0.5,)}
    usual |= {"weighting": "none", "average": True, "end": None, "picked": False}
    return evidence.evidence_of(
        measured, measured.split.train, measured.features, **(usual | asked)
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m: (m, {"seed": 1}), id="seed"),
        pytest.param(lambda m: (m, {"weighting": "balanced"}), id="weighting"),
        pytest.param(lambda m: (other(m, features=m.features), {}), id="features"),
        pytest.param(
            lambda m: (other(replace(m, strata=m.labels), labels=m.labels), {}), id="labels"
        ),
        pytest.param(lambda m: (other(m, strata=m.labels), {}), id="strata"),
        pytest.param(
            lambda m: (replace(m, dataset=replace(m.dataset, kind="several")), {}), id="kind"
        ),
        pytest.param(lambda m: (swapped_widths(m), {}), id="widths"),
        pytest.param(lambda m: (m, {"candidates": [(1,), (0, 1)]}), id="candidates"),
        pytest.param(lambda m: (m, {"shift": (0.6,)}), id="shift"),
        pytest.param(lambda m: (m, {"shift": None}), id="no shift"),
        pytest.param(lambda m: (m, {"average": False}), id="recipe"),
        pytest.param(lambda m: (m, {"end": 1}), id="the depth it ends at"),
        pytest.param(lambda m: (replace(m, classes=("x", *m.classes[1:])), {}), id="a name"),
        pytest.param(
            lambda m: (replace(m, audit=other(m.audit, groups=m.audit.groups)), {}), id="groups"
        ),
        pytest.param(lambda m: (replace(m, units=(0.0, 2.0)), {}), id="units of a number"),
    ],
)
def test_evidence_follows_from_all_that_is_asked(
    change: Callable[[Measured], tuple[Measured, dict[str, Any]]],
    gathered: tuple[Measured, Gathered],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[str] = []

    def noted(folder: Path, kind: str, inputs: object, make: Callable[[], Any]) -> Any:
        names.append(products._digest(inputs))
        return made

    measured = gathered[0]
    text = np.frombuffer(serialize.evidence_dumps(gathered[1].evidence), np.uint8)
    made = {"evidence": text, "images": np.arange(2), "shares": np.ones((2, 2), np.float32)}
    monkeypatch.setattr(evidence, "recalled", noted)
    asked_evidence(measured)
    changed, words = change(measured)
    asked_evidence(changed, **words)
    assert len(set(names)) == 2


@pytest.mark.parametrize("kind", ["one", "several", "number"])
def test_evidence_that_is_recalled_is_what_was_gathered(
    kind: Kind,
    gathered: tuple[Measured, Gathered],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    measured = replace(gathered[0], cache=tmp_path)
    if kind != "one":
        data = targets.dataset_of(targets.laid_out(tmp_path / "data", kind).parent, kind)
        network = gathered[0].network
        cache = gathered[0].cache  # in which this network's engine is chosen
        measured = replace(measure(data, network, Choices(case=1), cache=cache), cache=tmp_path)
    name, found = "gather" if kind == "one" else "gather_targets", list[Gathered]()
    make = getattr(evidence, name)

    def noted(*given: Any, **named: Any) -> Gathered:
        found.append(make(*given, **named))
        return found[-1]

    monkeypatch.setattr(evidence, name, noted)
    for told in (asked_evidence(measured), asked_evidence(measured)):
        [first] = found  # the second time it is known
        assert told.evidence == first.evidence
        for a, b in ((first.images, told.images), (first.shares, told.shares)):
            assert a.dtype == b.dtype
            assert_array_equal(a, b)
