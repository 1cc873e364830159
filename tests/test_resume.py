"""A run that was interrupted: what may go on, what may not, and what each is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pictures import in_memory
from regraft import Result, finetune
from regraft.errors import RunError
from regraft.features.engines import carried
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.plan.events import Event
from regraft.plan.ranked import RankedNetwork, Ranking
from regraft.results.files import FILES, LABELLED_FILE, PAGE, SUSPECTS_FILE
from regraft.run import api, measure, resume
from regraft.run.draft import draft
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained
from scenes import KINDS, scene
from smallnet import SIZE, record, small
from smallrace import rows_alone, same_state, untimed

__all__ = ["rows_alone"]  # a fixture

CHOICES = Choices(case=3, seed=3)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def measured() -> Measured:
    files = {f"{kind}/{i:03}.png": scene(kind, i, SIZE) for kind in KINDS for i in range(15)}
    return measure.measure(in_memory(files), Pretrained(record(), small), CHOICES)


@pytest.fixture(scope="module")
def plan(measured: Measured) -> Plan:
    drafted = draft(measured, CHOICES)
    brief = tuple(replace(one, epochs=2, rates=(1e-3, 1e-2)) for one in drafted.trainings)
    return replace(drafted, trainings=brief)


@pytest.fixture(scope="module")
def whole(plan: Plan, measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("whole") / "run"
    return api.carry_out(plan, measured, out=out)


def killed(plan: Plan, measured: Measured, out: Path, rows: int = 2) -> None:
    """Begin a run, and end it after so many rows."""
    left = iter(range(rows - 1))

    def kill(row: Event) -> None:
        if next(left, None) is None:
            raise Killed

    api.check_out(out)
    with pytest.raises(Killed):
        api.carry_out(plan, measured, out=out, on_event=kill)


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(RunError) as caught:
        call(*arguments, **options)
    return str(caught.value)


# ---- there and back


def test_the_times_of_other_networks_are_no_other_plan(
    plan: Plan, measured: Measured, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed(plan, measured, out, 1)
    resume._check_same(resume.place_of(out), replace(plan, data="elsewhere"))
    row = RankedNetwork("small", 0.8, (0.7, 0.9), 9.0, 1.0, 1, None)
    ranking = Ranking((row,), "small", "It is best.", "scenes", 3, 90, 90)
    resume._check_same(resume.place_of(out), replace(plan, ranking=ranking))
    with pytest.raises(RunError, match="These differ: seed"):
        resume._check_same(resume.place_of(out), replace(plan, seed=plan.seed + 1))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_killed_run_goes_on_to_the_same_end(
    rows: int, plan: Plan, measured: Measured, whole: Result, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed(plan, measured, out, rows)
    place = resume.place_of(out)
    assert not out.exists()
    assert serialize.read(place / "plan.json") == plan
    assert list(place.rglob("*.safetensors"))
    api.check_out(out, resume=True)
    done = api.carry_out(plan, measured, out=out, resume=True)
    assert same_state(done.tensors, whole.tensors)
    assert done.plan == whole.plan
    assert sorted(map(str, untimed(done.log))) == sorted(map(str, untimed(whole.log)))
    assert not place.exists()
    assert {path.name for path in out.iterdir()} == {
        *FILES,
        SUSPECTS_FILE,
        LABELLED_FILE,
        PAGE,
        carried.FOLDER,
    }


def test_a_run_that_goes_on_trains_as_it_began(
    plan: Plan, measured: Measured, whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same mode, whatever would be the fastest by now."""
    out = tmp_path / "run"
    killed(plan, measured, out)
    monkeypatch.setattr(finetune, "mode_of", lambda *_: pytest.fail("it has its mode"))
    done = api.carry_out(plan, measured, out=out, resume=True)
    assert same_state(done.tensors, whole.tensors)


# ---- what is refused


def test_an_unfinished_run_is_not_overwritten_unasked(
    plan: Plan, measured: Measured, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed(plan, measured, out)
    said = refusal(api.check_out, out)
    assert f"An unfinished run lies in '{out}.unfinished'" in said
    assert "--resume" in said
    assert "--overwrite" in said
    api.check_out(out, overwrite=True)
    other = replace(plan, seed=4)
    assert resume.begin(out, other, resume=False) == resume.place_of(out)
    assert serialize.read(resume.place_of(out) / "plan.json") == other
    assert not list(resume.place_of(out).rglob("*.safetensors"))


def test_what_cannot_be_removed_is_not_gone_on_from(
    plan: Plan, measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints of another run that are left would be taken for this one's."""
    out = tmp_path / "run"
    killed(plan, measured, out)

    def fails(place: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", fails)
    said = refusal(resume.begin, out, plan, resume=False)
    assert "cannot be written: Permission denied" in said


def test_nothing_to_resume(tmp_path: Path) -> None:
    said = refusal(api.check_out, tmp_path / "run", resume=True)
    assert "There is nothing to resume" in said
    assert f"'{tmp_path / 'run'}.unfinished'" in said
    assert "Name the RUN folder" in refusal(api.check_out, None, resume=True)


def test_a_finished_run_cannot_be_resumed(plan: Plan, measured: Measured, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out).mkdir()
    (out / "plan.json").write_text(serialize.dumps(plan))
    said = refusal(api.check_out, out, resume=True)
    assert "There is nothing to resume" in said
    assert "It is finished" in said


def test_a_run_of_another_plan_is_foreign(plan: Plan, measured: Measured, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed(plan, measured, out)
    place = resume.place_of(out)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    other = replace(plan, seed=9, fingerprint="0" * 64)
    said = refusal(api.carry_out, other, measured, out=out, resume=True)
    assert "is of another plan" in said
    assert "fingerprint, seed" in said
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    moved = replace(plan, data="elsewhere")  # where the images lie does not matter
    assert resume.begin(out, moved, resume=True) == place


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 1}'])
def test_a_damaged_one(text: str | None, plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "run"
    place = resume.begin(out, plan, resume=False)
    (place / "plan.json").unlink()
    if text is not None:
        (place / "plan.json").write_text(text)
    api.check_out(out, resume=True)
    said = refusal(resume.begin, out, plan, resume=True)
    assert f"The unfinished run in '{place}' is damaged" in said
    assert "--overwrite" in said


def test_a_plan_that_trains_nothing_has_nothing_to_resume(
    plan: Plan, measured: Measured, tmp_path: Path
) -> None:
    frozen = replace(plan, trainings=(), insists=False, case=1)
    said = refusal(api.carry_out, frozen, measured, out=tmp_path / "run", resume=True)
    assert "trains no network" in said


def test_a_place_that_cannot_be_made(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(resume.begin, tmp_path / "file" / "run", plan, resume=False)
    assert "cannot be written" in said
