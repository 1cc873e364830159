"""A run that is being trained: ``RUN.unfinished`` holds its plan and checkpoints until it is whole.

A run that was killed goes on from there with ``--resume``.
"""

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path

from regraft.errors import PlanError, RunError
from regraft.plan import serialize
from regraft.plan.definition import Plan
from regraft.whole_file import replace_file

PLAN = "plan.json"


def place_of(run: Path) -> Path:
    """Where a run's checkpoints lie while it is unfinished."""
    return run.with_name(f"{run.name}.unfinished")


def check_resume(run: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse before the work what `begin` would refuse after the images were looked at.

    Raises:
        RunError: there is nothing to resume, or an unfinished run would be lost.
    """
    place = place_of(run)
    if resume and not place.is_dir():
        done = (run / PLAN).is_file()
        raise RunError(
            f"There is nothing to resume for '{run}'.",
            [
                f"It is finished: `regraft predict {run} IMAGES...` uses it."
                if done
                else f"An unfinished run would lie in '{place}'; leave out --resume to begin one."
            ],
        )
    if place.exists() and not resume and not overwrite:
        raise RunError(
            f"An unfinished run lies in '{place}'.",
            ["Go on with it by --resume, or begin anew by --overwrite, which removes it."],
        )


def begin(run: Path, plan: Plan, *, resume: bool) -> Path:
    """Return the folder for the checkpoints of a run, with its plan in it.

    Raises:
        RunError: what lies there is of another plan, or damaged, or it cannot be written.
    """
    place = place_of(run)
    if resume:
        _check_same(place, plan)
        return place
    try:
        if place.exists():  # all of it: training would go on from a checkpoint that is left
            shutil.rmtree(place)
        place.mkdir(parents=True)
        replace_file(place / PLAN, serialize.dumps(plan))
    except OSError as error:
        raise RunError(f"'{place}' cannot be written: {error.strerror}.") from error
    return place


_APART = ("data", "ranking")
"""What may differ: where the images are, and the times of the networks that were not chosen."""


def _check_same(place: Path, plan: Plan) -> None:
    anew = f"Begin anew by --overwrite, which removes '{place}'."
    try:
        other = serialize.read(place / PLAN)
    except PlanError as error:
        problems = [*error.problems, anew]
        raise RunError(f"The unfinished run in '{place}' is damaged.", problems) from error
    fields = [field.name for field in dataclasses.fields(plan) if field.name not in _APART]
    differ = [name for name in fields if getattr(plan, name) != getattr(other, name)]
    if differ:
        raise RunError(
            f"The unfinished run in '{place}' is of another plan.",
            [
                f"These differ: {', '.join(differ)}.",
                "Resume with the same images and options as before.",
                anew,
            ],
        )


def end(run: Path, keep: str) -> None:
    """Remove what is no longer needed; the folder ``keep`` in it, if there is one, goes to RUN."""
    with suppress(OSError):
        shutil.move(place_of(run) / keep, run / keep)
    shutil.rmtree(place_of(run), ignore_errors=True)
