"""Which engine a RUN predicts with: where it was made, and on a machine that does not know it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import regraft
from pictures import lay_out
from regraft import engines, measure, networks, run
from regraft.engines import REFERENCE, graph, trunks
from regraft.errors import RunError
from regraft.measure import Measured
from regraft.plan import Choices, Plan
from regraft.predict import MANY, Result
from scenes import each, scenes
from smallnet import record, small

EXACT = (REFERENCE, graph.FULL, "cuda-fp32")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    data = lay_out(tmp_path_factory.mktemp("data") / "scenes", files)
    network = measure.open_network("demonstration")
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
    return run.carry_out(short(run.draft(measured, Choices(case=3))), measured, out=out), out


@pytest.fixture(scope="module")
def cut(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A frozen RUN whose later stages are gone."""
    out = tmp_path_factory.mktemp("runs") / "cut"
    return run.carry_out(run.draft(measured, Choices(cut="1")), measured, out=out), out


def files_of(measured: Measured) -> list[Path]:
    root = measured.cache.parent / "scenes"
    return [root / measured.dataset.items[measured.audit.kept[i]].path for i in measured.split.test]


def test_a_trained_network_has_an_engine_chosen_for_it(
    trained: tuple[Result, Path], measured: Measured
) -> None:
    result, out = trained
    known = trunks.recall(trunks.home(measured.cache, result.record))
    assert known is not None
    assert known.chosen == result.metrics["engine"] == result.engine().name
    assert result.record.weights != result.plan.backbone.weights
    assert result.predictions is not None
    again = regraft.load(out, cache=measured.cache).predict_proba(files_of(measured))
    assert_array_equal(again, result.predictions.probabilities)


def test_a_short_budget_leaves_it_to_the_reference(measured: Measured, tmp_path: Path) -> None:
    plan = short(run.draft(measured, Choices(case=3, budget=100.0)))
    elsewhere = replace(measured, cache=tmp_path)  # where no engine is known of such a network
    assert run.perform(plan, elsewhere).metrics["engine"] == REFERENCE


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
    assert_allclose(few, known, atol=0.05)

    most = (files * (MANY // len(files) + 1))[:MANY]
    many = elsewhere.predict_proba(most)
    found = trunks.recall(trunks.home(tmp_path, elsewhere.record))
    assert found is not None
    assert elsewhere.engine().name == found.chosen
    assert_allclose(many[: len(files)], known, atol=0.05)
    later = regraft.load(out, cache=tmp_path)
    assert_array_equal(later.predict_proba(files), many[: len(files)])


@pytest.mark.parametrize("made", ["trained", "cut"])
def test_a_long_use_has_a_precise_engine_without_images(
    made: str, measured: Measured, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    result, out = request.getfixturevalue(made)
    elsewhere = regraft.load(out, cache=tmp_path)
    engine = elsewhere.exact_engine()
    found = trunks.recall(trunks.home(tmp_path, elsewhere.record))
    assert found is not None
    assert found.chosen == engine.name
    assert [one.name for one in found.candidates] == [REFERENCE, "cuda-fp32", graph.FULL]
    for one in found.candidates[1:]:
        if not one.refused:
            assert one.agreement is not None
            assert one.agreement.cosine > 0.99999
    reference = regraft.load(out, cache=tmp_path / "nothing").predict_proba(files_of(measured))
    assert_allclose(elsewhere.predict_proba(files_of(measured)), reference, atol=1e-3)
    most = (files_of(measured) * MANY)[:MANY]
    elsewhere.predict_proba(most)  # with photos it is measured anew
    later = trunks.recall(trunks.home(tmp_path, elsewhere.record))
    assert later is not None
    assert (found.provisional, later.provisional) == (True, False)
    assert graph.HALF in [one.name for one in later.candidates]
    here = regraft.load(out, cache=measured.cache)
    assert here.exact_engine().name == result.engine().name  # what is known stays


def test_a_cut_network_is_known_where_its_backbone_is(
    cut: tuple[Result, Path], measured: Measured, tmp_path: Path
) -> None:
    result, out = cut
    assert regraft.load(out, cache=measured.cache).record == result.plan.backbone
    elsewhere = regraft.load(out, cache=tmp_path).record
    assert elsewhere.stages == result.plan.backbone.stages[: result.plan.cut + 1]


def test_weights_that_are_not_those_of_the_network_are_all_named() -> None:
    backbone, state = record(), networks.trunk(small(), record(), (0, 2)).state_dict()
    named = {f"trunk.{name}": tensor for name, tensor in state.items()}
    first, second, *_ = state
    gone = named.pop(f"trunk.{first}")
    named |= {f"trunk.{second}": gone.new_zeros(1, 9), "trunk.stranger": gone}
    with pytest.raises(RunError) as caught:
        networks.refilled(backbone, named, (0, 2), small())
    told = str(caught.value)
    shape = tuple(state[second].shape)
    assert f"missing: {first}." in told
    assert "not of it: stranger." in told
    assert f"{second} must be of shape {shape}, got (1, 9)." in told


def test_a_network_is_refilled_as_far_as_the_run_keeps_it() -> None:
    backbone, taps = record(), (0, 1)
    state = networks.trunk(small(), backbone, taps).state_dict()
    named = {f"trunk.{name}": 2 * tensor for name, tensor in state.items()}
    module = small()
    made = networks.trunk(networks.refilled(backbone, named, taps, module), backbone, taps)
    for name, tensor in made.state_dict().items():
        assert_array_equal(tensor, 2 * state[name])
    untouched = networks.trunk(module, backbone, taps).state_dict()
    assert all(np.array_equal(untouched[name], state[name]) for name in state)


def test_without_a_cache_folder_the_engine_is_there_all_the_same(
    trained: tuple[Result, Path], measured: Measured, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    lost = regraft.load(trained[1], cache=tmp_path / "file" / "cache")
    assert lost.exact_engine().name in EXACT
    few = lost.predict_proba(files_of(measured))
    assert_allclose(few, trained[0].predict_proba(files_of(measured)), atol=0.05)
    assert engines.remembered(lost.record, lost.cache, build=lost.network) is None
