"""The public names: what ``dir(regraft)`` has, and that the verbs take the same keywords."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

import regraft
from regraft.plan.choices import ChoiceWords, chosen

CHOSEN = {field.name for field in fields(regraft.Choices)} - {"view"}


def test_the_keywords_are_the_choices() -> None:
    words, record = get_type_hints(ChoiceWords), get_type_hints(regraft.Choices)
    assert words == {name: record[name] for name in CHOSEN}


@pytest.mark.parametrize("verb", [regraft.propose, regraft.fit])
def test_a_signature_names_every_choice(verb: Callable[..., Any]) -> None:
    found = inspect.signature(verb).parameters
    assert set(found) > CHOSEN
    assert all(found[name].default == getattr(regraft.Choices(), name) for name in CHOSEN)
    assert verb.__doc__ is not None
    assert all(f" {name}: " in verb.__doc__ for name in set(found) - CHOSEN)


def test_the_keywords_overrule_the_record() -> None:
    record = regraft.Choices(case=1, seed=3)
    assert chosen(record, {}) == record
    assert chosen(record, {"seed": 4}) == regraft.Choices(case=1, seed=4)
    assert chosen(None, {"budget": 9.0}) == regraft.Choices(budget=9.0)
    with pytest.raises(TypeError, match="'cas'"):
        chosen(None, {"cas": 1})  # type: ignore[typeddict-unknown-key]
