"""What an image is labelled with: one label, several, or a number."""

from collections.abc import Mapping
from typing import Final, Literal

from regraft.errors import UsageError

Kind = Literal["one", "several", "number"]

ONE: Final[Kind] = "one"
SEVERAL: Final[Kind] = "several"
NUMBER: Final[Kind] = "number"
SEPARATOR: Final = "|"
"""Between the labels of an image that has several."""

HAS: Final[Mapping[str, str]] = {ONE: "one label", SEVERAL: "several labels", NUMBER: "a number"}
"""What an image has, in words."""

LABELS: Final = (ONE, SEVERAL)
TARGETS: Final = (NUMBER,)


def asked_for(labels: str | None, target: str | None) -> Kind | None:
    """Return what a person says that the labels are; None where it is for the data to tell.

    Args:
        labels: ``one`` or ``several`` labels an image.
        target: ``number``.

    Raises:
        UsageError: other values, or both.
    """
    problems = kind_problems(labels, target)
    if problems:
        raise UsageError("These choices cannot be followed.", problems)
    if target is not None:
        return NUMBER
    return None if labels is None else SEVERAL if labels == SEVERAL else ONE


def kind_problems(labels: str | None, target: str | None) -> list[str]:
    """Return what is wrong with such choices, in sentences."""
    problems = [
        f"{flag} must be {' or '.join(values)}, got {value!r}."
        for flag, value, values in (("--labels", labels, LABELS), ("--target", target, TARGETS))
        if value is not None and value not in values
    ]
    if not problems and labels is not None and target is not None:
        problems.append(
            f"--target {target} takes the label for a number, so it goes without --labels {labels}."
        )
    return problems
