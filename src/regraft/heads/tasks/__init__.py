"""What the new layer answers: one of several classes, several labels, or a number.

The pass over the images, the features and the linear algebra are the same. A `Task` is what
differs: how the layer's outputs become an answer, how they are calibrated, and by what measure they
are judged.
"""

from regraft.heads.tasks.answer import AnswerRule
from regraft.heads.tasks.number import Number
from regraft.heads.tasks.one import OneLabel
from regraft.heads.tasks.several import SeveralLabels
from regraft.heads.tasks.task import Kind, OutputScale, Task, jackknife

__all__ = [
    "AnswerRule",
    "Kind",
    "Number",
    "OneLabel",
    "OutputScale",
    "SeveralLabels",
    "Task",
    "jackknife",
    "task_of",
]

_TASKS: dict[str, Task] = {"one": OneLabel(), "several": SeveralLabels(), "number": Number()}


def task_of(kind: str) -> Task:
    """Return the task of a kind: ``one``, ``several`` or ``number``."""
    return _TASKS[kind]
