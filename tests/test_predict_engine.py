"""Which engine a RUN predicts with: where it was made, and on a machine that does not know it."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import regraft
from bare import asked
from calibrated import converted
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.errors import RunError
from regraft.export import Exported, export, parity
from regraft.features import engines
from regraft.features.engines import (
    REFERENCE,
    Calibration,
    calibrate,
    carried,
    openvino_engine,
    store,
)
from regraft.features.engines.preference import FULL, HALF, name_of
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.results import running
from regraft.results.result import MANY, Result
from regraft.run import api, measure
from regraft.run.draft import draft
from regraft.run.measure import Measured
from regraft.run.pretrained import open_network
from rounding import BFLOAT16, same_within_rounding
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    data = lay_out(tmp_path_factory.mktemp("data") / "scenes", files)
    network = open_network("demonstration")
    return measure.measure(
        regraft.Dataset.open(data), network, Choices(), cache=data.parent / "cache"
    )


def short(plan: Plan) -> Plan:
    """The plan with one epoch at one rate."""
    brief = [replace(t, rates=(1e-4,), epochs=1, refit=False) for t in plan.trainings]
    return replace(plan, trainings=tuple(brief))


@pytest.fixture(scope="module")
def trained(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("runs") / "trained"
    plan = short(draft(measured, Choices(case=3)))
    return without_trunk(api.carry_out(plan, measured, out=out), out), out


@pytest.fixture(scope="module")
def cut(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A frozen RUN whose later stages are gone."""
    out = tmp_path_factory.mktemp("runs") / "cut"
    plan = draft(measured, Choices(cut="1"))
    return without_trunk(api.carry_out(plan, measured, out=out), out), out


def without_trunk(result: Result, out: Path) -> Result:
    """The same, in a RUN that carries nothing, as where nothing was converted."""
    shutil.rmtree(out / carried.FOLDER)
    return result


def recalled(result: Result) -> Calibration:
    """What its machine remembers of exactly this network."""
    known = store.recall(store.home(result.cache, result.record))
    assert known is not None
    return known


def files_of(measured: Measured) -> list[Path]:
    root = measured.cache.parent / "scenes"
    return [root / measured.dataset.items[measured.audit.kept[i]].path for i in measured.split.test]


def test_a_trained_network_has_an_engine_chosen_for_it(
    trained: tuple[Result, Path], measured: Measured
) -> None:
    result, out = trained
    known = recalled(result)
    assert known.chosen == result.metrics["engine"] == result.engine().name
    assert converted(known)
    assert result.record.weights != result.plan.backbone.weights
    assert result.predictions is not None
    again = regraft.load(out, cache=measured.cache).predict_proba(files_of(measured))
    assert_array_equal(again, result.predictions.probabilities)


def test_a_short_budget_leaves_it_to_the_reference(measured: Measured, tmp_path: Path) -> None:
    plan = short(draft(measured, Choices(case=3, budget=100.0)))
    # where no engine is known of such a network
    elsewhere = replace(measured, cache=tmp_path, started=time.perf_counter())
    assert api.perform(plan, elsewhere).metrics["engine"] == REFERENCE


@pytest.mark.parametrize("made", ["trained", "cut"])
def test_many_images_are_worth_a_choice_where_the_network_is_unknown(
    made: str, measured: Measured, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    result, out = request.getfixturevalue(made)
    files = files_of(measured)
    known = result.predict_proba(files)

    elsewhere = regraft.load(out, cache=tmp_path)
    few = elsewhere.predict_proba(files)
    assert elsewhere.engine().name == REFERENCE
    assert same_within_rounding(few, known, BFLOAT16)

    most = (files * (MANY // len(files) + 1))[:MANY]
    many = elsewhere.predict_proba(most)
    found = recalled(elsewhere)
    assert elsewhere.engine().name == result.metrics["engine"]
    assert converted(found)
    assert same_within_rounding(many[: len(files)], known, BFLOAT16)
    later = regraft.load(out, cache=tmp_path)
    assert same_within_rounding(later.predict_proba(files), many[: len(files)])


@pytest.mark.parametrize("made", ["trained", "cut"])
def test_a_long_use_has_a_precise_engine_without_images(
    made: str, measured: Measured, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    result, out = request.getfixturevalue(made)
    elsewhere = regraft.load(out, cache=tmp_path)
    engine = elsewhere.exact_engine()
    found = recalled(elsewhere)
    assert found.chosen == engine.name
    assert [one.name for one in found.candidates] == [REFERENCE, openvino_engine.FULL]
    assert converted(found)
    agreement = found.candidates[1].agreement
    assert agreement is not None
    assert agreement.cosine > 0.99999
    reference = regraft.load(out, cache=tmp_path / "nothing").predict_proba(files_of(measured))
    assert same_within_rounding(elsewhere.predict_proba(files_of(measured)), reference)
    most = (files_of(measured) * MANY)[:MANY]
    elsewhere.predict_proba(most)  # with photos it is measured anew
    later = recalled(elsewhere)
    assert (found.provisional, later.provisional) == (True, False)
    assert openvino_engine.HALF in [one.name for one in later.candidates]
    here = regraft.load(out, cache=measured.cache)
    assert here.exact_engine().name == result.engine().name  # what is known stays


def test_a_cut_network_runs_as_its_backbone_where_that_is_known(
    cut: tuple[Result, Path], measured: Measured, tmp_path: Path
) -> None:
    result, out = cut
    here = regraft.load(out, cache=measured.cache)
    here.predict_proba((files_of(measured) * MANY)[:MANY])
    assert store.recall(store.home(measured.cache, here.record)) is None
    assert here.record.stages == result.plan.backbone.stages[: result.plan.cut + 1]
    assert here.record.weights != result.plan.backbone.weights


@pytest.mark.parametrize("use", ["many", "long"])
def test_a_cut_network_never_stands_for_its_backbone(
    use: str, cut: tuple[Result, Path], measured: Measured, tmp_path: Path
) -> None:
    """Its later stages are gone; what is remembered of it must not be taken for the whole."""
    shutil.copytree(measured.cache, tmp_path / "cache")
    result = regraft.load(cut[1], cache=tmp_path / "cache")
    result.predict_proba(files_of(measured))
    shutil.rmtree(store.home(tmp_path / "cache", result.plan.backbone))
    if use == "many":
        result.predict_proba((files_of(measured) * MANY)[:MANY])
    else:
        result.exact_engine()
    assert store.recall(store.home(tmp_path / "cache", result.plan.backbone)) is None
    assert recalled(result).candidates


def test_without_a_cache_folder_the_engine_is_there_all_the_same(
    trained: tuple[Result, Path],
    measured: Measured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    lost = regraft.load(trained[1], cache=tmp_path / "file" / "cache")
    made: list[Calibration] = []

    def noted(*args: Any) -> Calibration:
        made.append(calibrate_exact(*args))
        return replace(made[-1], chosen=openvino_engine.FULL)  # whatever is fastest here

    calibrate_exact = calibrate.calibrate_exact
    monkeypatch.setattr(calibrate, "calibrate_exact", noted)
    engine = lost.exact_engine()
    assert (engine.name, converted(made[0])) == (openvino_engine.FULL, True)
    record = lost.plan.backbone
    assert engine(np.zeros((3, record.view.size, record.view.size, 3), np.uint8))[0].shape[0] == 3
    few = lost.predict_proba(files_of(measured))
    assert same_within_rounding(few, trained[0].predict_proba(files_of(measured)), BFLOAT16)
    assert engines.remembered(lost.record, lost.cache, build=lost.network) is None


def test_what_was_made_without_photos_gives_way_to_nothing_of_its_kind(
    cut: tuple[Result, Path], tmp_path: Path
) -> None:
    result = regraft.load(cut[1], cache=tmp_path)
    result.exact_engine()
    home = store.home(tmp_path, result.record)
    inode = home.stat().st_ino
    other = shutil.copytree(home, tmp_path / "trunks" / "other")
    store.move_in(other, home)
    assert home.stat().st_ino == inode
    known = replace(recalled(result), provisional=False)
    (other / store.META).unlink()
    store.write_meta(other, result.record, known)
    store.move_in(other, home)
    assert home.stat().st_ino != inode
    assert [path.name for path in home.parent.iterdir()] == [home.name]


# ---- a RUN that carries its network


@pytest.fixture(scope="module")
def made(cut: tuple[Result, Path], measured: Measured) -> Exported:
    """What a copy of the cut RUN carries."""
    copy = shutil.copytree(cut[1], cut[1].with_name("carrying"))
    return export(copy, "serve", data=measured.cache.parent / "scenes")


@pytest.fixture
def run(made: Exported) -> Path:
    """The copy."""
    return made.path.parent


@pytest.fixture
def files(measured: Measured) -> list[Path]:
    return files_of(measured)


@pytest.mark.parametrize("kind", ["trained", "cut"])
def test_a_run_carries_what_this_machine_has_converted(
    kind: str, measured: Measured, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    result, _ = request.getfixturevalue(kind)
    result.save(tmp_path / "run")
    elsewhere = regraft.load(tmp_path / "run", cache=tmp_path / "cache")
    assert elsewhere.engine().name == result.metrics["engine"]
    files = files_of(measured)
    assert_array_equal(elsewhere.predict_proba(files), result.predict_proba(files))
    sizes = [
        (tmp_path / "run" / n).stat().st_size for n in ("trunk/trunk.bin", "model.safetensors")
    ]
    assert sizes[0] < 1.2 * sizes[1]  # it is cut, if the RUN is
    replace(result, cache=tmp_path / "cache").save(tmp_path / "bare")  # nothing is known there
    assert not (tmp_path / "bare" / carried.FOLDER).exists()


def test_a_trunk_that_is_dropped_meanwhile_is_not_carried(
    cut: tuple[Result, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropped(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(openvino_engine, "shorten", dropped)
    cut[0].save(tmp_path / "run")
    assert not (tmp_path / "run" / carried.FOLDER).exists()


def test_it_answers_without_torch_as_with_it(
    made: Exported, run: Path, files: list[Path], tmp_path: Path
) -> None:
    served, predicted = asked(run, files, tmp_path)
    wanted = regraft.load(run, cache=tmp_path).predict(list(files))
    for answers in (served, predicted):
        assert [one["label"] for one in answers] == [one.label for one in wanted]
        assert [one["known"] for one in answers] == [one.known for one in wanted]
        for told, one in zip(answers, wanted, strict=True):
            assert told["confidence"] == pytest.approx(one.confidence, abs=1e-6)
            assert told["belief"] == pytest.approx(one.belief, abs=1e-6)


def test_it_is_what_the_run_gives(
    made: Exported, run: Path, files: list[Path], measured: Measured, tmp_path: Path
) -> None:
    exact, beliefs, served = made.parities
    assert exact.worst <= parity.EXACT
    assert beliefs.of == "beliefs"
    assert (exact.changed, beliefs.changed, served.changed) == (0, 0, 0)
    assert made.path == run / "trunk"
    assert sorted(os.listdir(made.path)) == sorted(carried.FILES)
    elsewhere = regraft.load(run, cache=tmp_path)
    known = regraft.load(run, cache=measured.cache).predict_proba(files)
    assert same_within_rounding(elsewhere.predict_proba(files), known, BFLOAT16)
    assert elsewhere.engine().name != REFERENCE
    assert elsewhere.exact_engine().name == elsewhere.engine().name
    elsewhere.predict_proba((files * MANY)[:MANY])  # there is nothing to choose
    assert not (tmp_path / "trunks").exists()


@pytest.mark.parametrize("spoilt", ["absent", "cut short", "of other weights", "no meta"])
def test_what_is_not_its_trunk_is_not_used(
    spoilt: str, made: Exported, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    if spoilt == "absent":
        shutil.rmtree(copy / "trunk")
    elif spoilt == "cut short":
        (copy / "trunk" / "trunk.bin").write_bytes(b"")
    elif spoilt == "no meta":
        (copy / "trunk" / "meta.json").write_text("[", "utf-8")
    else:
        meta = json.loads((copy / "trunk" / "meta.json").read_text("utf-8"))
        (copy / "trunk" / "meta.json").write_text(json.dumps(meta | {"weights": "0"}), "utf-8")
    loaded = regraft.load(copy, cache=tmp_path)
    assert loaded.engine().name == REFERENCE
    monkeypatch.setattr(running, "find_spec", lambda name: None)  # as where there is no torch
    with pytest.raises(RunError, match="Without torch nothing here runs demonstration") as caught:
        loaded.engine()
    assert "--to serve" in caught.value.problems[-1]


@pytest.mark.parametrize(
    ("wish", "able", "runs"),
    [
        (HALF, True, HALF),
        (HALF, False, FULL),
        (name_of(1), True, name_of(1)),
        (name_of(99), True, FULL),  # a stage that was cut off
        ("torch-bf16-channels-last", True, FULL),
        ("", True, FULL),
    ],
)
def test_it_runs_in_the_precision_of_the_report(
    wish: str,
    able: bool,
    runs: str,
    made: Exported,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_engine, "objection", lambda name: "" if able else "it cannot")
    record = regraft.load(run).record
    found = carried.find(record, [0], made.path, wish)
    assert found is not None
    assert found.name == runs


def test_a_trunk_that_differs_is_refused_and_the_earlier_one_stays(
    made: Exported, run: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampered(trunk: Any, backbone: Any, path: Path) -> None:
        for parameter in trunk.parameters():
            parameter.data *= 1.05
        convert(trunk, backbone, path)

    convert, before = openvino_engine.convert, (made.path / "trunk.bin").read_bytes()
    monkeypatch.setattr(openvino_engine, "convert", tampered)
    with pytest.raises(RunError, match="was not kept") as refusal:
        export(run, "serve", data=measured.cache.parent / "scenes")
    assert refusal.value.problems[0].startswith("trunk against the float32 network")
    assert (made.path / "trunk.bin").read_bytes() == before


def test_the_command_says_what_it_is_for(cli: Regraft, run: Path, measured: Measured) -> None:
    data = measured.cache.parent / "scenes"
    said = cli("export", run, "--to", "serve", "--data", data)
    assert (said.code, "there is no torch" in said.err) == (0, True)
    assert str(run / "trunk") in said.out
    for words, problem in ((("--out", "there"), "no --out"), (("--pixels",), "onnx and torch")):
        refused = cli("export", run, "--to", "serve", *words)
        assert (refused.code, problem in refused.err) == (2, True)


def test_a_run_is_replaced_with_what_it_carries(made: Exported, run: Path, tmp_path: Path) -> None:
    from regraft.results.folder import check_destination

    copy = shutil.copytree(run, tmp_path / "run")
    check_destination(copy, overwrite=True)
    (copy / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"mine\.txt"):
        check_destination(copy, overwrite=True)
