"""`auto` for a network's name: who is taken, what the plan tells, and what it goes without."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import in_memory, lay_out
from regraft import TransferClassifier, backbones
from regraft.data.dataset import Dataset
from regraft.errors import BackboneError, RegraftError, UsageError
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.rank import race, strength
from regraft.rank.ranking import Allowance
from regraft.run.auto import network_for
from regraft.run.pretrained import Pretrained, open_network
from scenes import each, scenes
from spoilt import blind, good

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(60)))


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks are on this machine; each image takes a tenth of a millisecond."""
    there = {one.backbone.name: one for one in (blind(), good())}

    def opened(name: Any, weights: Path | None = None, **words: Any) -> Pretrained:
        if isinstance(name, str) and name in there:
            return there[name]
        return open_network(name, weights, **words)

    records = tuple(one.backbone for one in there.values())
    monkeypatch.setattr(backbones, "bundled", lambda: records)
    monkeypatch.setattr(backbones, "on_hand", lambda record: True)
    monkeypatch.setattr(race, "timed", lambda engine, side, batch: 0.1)
    for place in (
        "regraft.rank",
        "regraft.run.auto",
        "regraft.run.pretrained",
        "regraft.estimator.fitting",
    ):
        monkeypatch.setattr(f"{place}.open_network", opened)


@pytest.fixture
def plan(data: Path) -> Plan:
    return regraft.propose(data, "auto", seed=3)


def test_the_best_is_taken_and_the_plan_says_why(plan: Plan, data: Path) -> None:
    assert plan.backbone.name == "a-good"
    assert plan.ranking is not None
    assert plan.ranking == regraft.rank(data, seed=3)
    assert {one.backbone for one in plan.ranking.rows} == {"a-good", "blind"}
    assert plan.ranking.why in plan.explain()
    assert "[2 networks side by side on up to " in plan.explain()
    named = regraft.propose(data, good(), seed=3)
    assert dataclasses.replace(plan, ranking=None, reasons=plan.reasons[1:]) == named


def test_a_plan_with_a_ranking_goes_round(plan: Plan) -> None:
    assert serialize.loads(serialize.dumps(plan)) == plan


def test_every_face_of_a_run_tells_of_it(
    cli: Regraft, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = cli("plan", data, "--backbone", "auto", "--seed", "3", "--out", tmp_path / "plan.json")
    assert said.code == 0, said.err
    assert "Which network" in said.out
    assert "A  a-good" in said.out
    said = cli("fit", data, "--backbone", "auto", "--seed", "3", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert "\nWhich network\n" in said.out
    page = regraft.report(tmp_path / "run").read_text("utf-8")
    assert '<h2 id="network">Which network</h2>' in page
    assert '<a href="#network">' in page
    assert "a-good ← taken" in page.replace("<wbr>", "")
    assert "Networks by accuracy and time" not in page, "one that was not dropped is no picture"
    monkeypatch.setattr(strength, "CERTAIN", 99.0)
    found = regraft.fit(data, "auto", seed=3, out=tmp_path / "both")
    assert found.plan.ranking is not None
    assert len(found.plan.ranking.compared_rows) == 2
    page = regraft.report(tmp_path / "both").read_text("utf-8")
    assert "Networks by accuracy and time: a-good " in page
    plain = regraft.fit(data, good(), seed=3, out=tmp_path / "plain")
    assert plain.plan.ranking is None
    assert "Which network" not in regraft.report(tmp_path / "plain").read_text("utf-8")


def test_compare_and_the_estimator_take_it_too(data: Path) -> None:
    assert regraft.compare(data, "auto", seed=3, quick=True).backbone == "a-good"
    files = scenes(each(20))
    images = in_memory(files)
    paths = [str(data / item.path) for item in images.items]
    fitted = TransferClassifier("auto", seed=3).fit(paths, [item.label for item in images.items])
    assert fitted.plan_.backbone.name == "a-good"
    assert fitted.predict(paths[:3]).shape == (3,)


def test_a_limit_bounds_the_choice(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"a-good": 30.0, "blind": 1.0}
    monkeypatch.setattr(
        race, "timed", lambda engine, side, batch: slow[engine.record.name] if batch else 0.0
    )
    monkeypatch.setattr(
        race,
        "_times",
        lambda entry, measured, taps: (slow[entry.name], slow[entry.name]),
    )
    assert regraft.propose(data, "auto:10ms", seed=3).backbone.name == "blind"
    assert regraft.propose(data, "auto:40 ms,20MB", seed=3).backbone.name == "a-good"
    with pytest.raises(BackboneError, match=r"No network is within 0\.5 ms: blind is the nearest"):
        regraft.propose(data, "auto:0.5ms", seed=3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Allowance()),
        ("10ms", Allowance(latency=0.01)),
        (".5 S", Allowance(latency=0.5)),
        ("20mb", Allowance(megabytes=20.0)),
        ("10ms, 20MB", Allowance(latency=0.01, megabytes=20.0)),
    ],
)
def test_limits_are_read(text: str, expected: Allowance) -> None:
    assert Allowance.read(text, "--backbone") == expected


@pytest.mark.parametrize("text", ["soon", "10", "ms", "10ms,20ms", "-1ms", "1e3ms", "10msMB"])
def test_what_is_no_limit_is_refused(text: str, data: Path) -> None:
    with pytest.raises(UsageError, match=r"--backbone auto:.* must give a time for an image"):
        regraft.propose(data, f"auto:{text}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"cut": "two"}, "--cut two names a stage"),
        ({"trainable_from": "two"}, "--trainable-from two names a stage"),
        ({"weights": "file.safetensors"}, "--weights is a file for one network"),
    ],
)
def test_what_is_for_one_network_is_refused(words: dict[str, str], said: str, data: Path) -> None:
    with pytest.raises(UsageError, match="goes without what is for one network") as caught:
        regraft.propose(data, "auto", **words)  # type: ignore[arg-type]
    assert said in " ".join(caught.value.problems)


def test_a_case_that_is_asked_for_is_done_with_the_chosen_network(data: Path) -> None:
    plan = regraft.propose(data, "auto", case=2, seed=3)
    assert (plan.backbone.name, plan.case) == ("a-good", 2)


def test_the_ranking_has_a_third_of_the_budget_and_trains_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(Exception):
        pass

    def ranked(data: object, names: object, limits: object, choices: Choices, **_: object) -> None:
        raise Seen(choices)

    monkeypatch.setattr("regraft.rank.ranked", ranked)
    asked = Choices(case=3, init="random", learning_rate=0.1, budget=90.0, seed=5)
    with pytest.raises(Seen) as caught:
        network_for(Dataset.open(data), "auto", None, asked)
    assert caught.value.args[0] == Choices(budget=30.0, seed=5)


def test_where_there_are_no_labels_it_stands_for_nothing(cli: Regraft) -> None:
    with pytest.raises(RegraftError, match="'auto' is no network"):
        regraft.look("auto")
    assert "it stands for the one that does best" in cli("draw", "auto:10ms").err


def test_the_images_decide_and_not_their_order(data: Path) -> None:
    files = scenes(each(40))
    turned = dict(reversed(list(files.items())))
    one, other = (regraft.propose(in_memory(some), "auto", seed=3) for some in (files, turned))
    assert one.backbone.name == other.backbone.name
    assert one.ranking is not None
    assert other.ranking is not None
    assert np.isclose(one.ranking.rows[0].expected or 0, other.ranking.rows[0].expected or 1, 0.1)
