"""Recipes as data, what fits in a budget, and which images validate."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regraft.data.splits import validation
from regraft.plan.recipes import (
    RACE,
    RATES,
    REFIT,
    SMALL_BATCH,
    Init,
    Training,
    Weighting,
    batch_for,
    epochs_for,
    images_shown,
    least_batch,
    rung_of,
    steps_of,
    textbook,
    tuned,
    within,
)
from smallnet import record

LAST = len(record().stages) - 1
INITS: tuple[Init, ...] = ("pretrained", "random")
counts = st.integers(1, 2_000_000)


@st.composite
def recipes(draw: st.DrawFn) -> tuple[Training, int]:
    """A recipe, and for how many images."""
    images, init = draw(counts), draw(st.sampled_from(INITS))
    weighting: Weighting = draw(st.sampled_from(["none", "balanced", "sampling"]))
    if draw(st.booleans()):
        return textbook(record(), init=init, images=images, weighting=weighting), images
    made = tuned(
        record(),
        init=init,
        taps=(LAST - 1, LAST),
        images=images,
        mirror=draw(st.booleans()),
        weighting=weighting,
        rate=draw(st.none() | st.floats(1e-6, 1)),
    )
    return made, images


@given(recipes())
def test_a_recipe_is_sound_and_plain_data(drawn: tuple[Training, int]) -> None:
    recipe, images = drawn
    assert recipe.trainable_from == record().stages[0].name
    assert recipe.taps[-1] == LAST
    assert recipe.rates
    assert all(0 < rate <= 1 for rate in recipe.rates)
    assert 0 < recipe.decay <= 1
    assert 0 < recipe.crop <= 1
    assert recipe.epochs >= 4
    assert 1 <= rung_of(recipe) <= recipe.epochs
    assert (rung_of(recipe) == recipe.epochs) == (len(recipe.rates) == 1 or recipe.epochs < 4)
    assert not recipe.fitted or recipe.init == "pretrained"
    assert recipe.batch_norm == "trained" or recipe.init == "pretrained"
    assert images_shown(recipe, images) >= images * recipe.epochs
    fields = json.loads(json.dumps(asdict(recipe)))
    fields |= {"taps": tuple(fields["taps"]), "rates": tuple(fields["rates"])}
    assert Training(**fields) == recipe


@given(counts, counts, st.sampled_from(INITS))
def test_larger_sets_get_fewer_epochs_and_larger_batches(one: int, other: int, init: Init) -> None:
    few, many = sorted([one, other])
    assert epochs_for(few, init) >= epochs_for(many, init)
    assert batch_for(few) <= batch_for(many)
    assert 8 <= batch_for(few) <= 32
    assert epochs_for(few, "random") == 2 * epochs_for(few, "pretrained")
    assert few * epochs_for(few, init) <= many * epochs_for(many, init) or few < 100


@pytest.mark.parametrize(("images", "epochs"), [(100, 25), (1_000, 14), (10_000, 8), (160_000, 4)])
def test_epochs_as_the_docstring_has_them(images: int, epochs: int) -> None:
    assert epochs_for(images, "pretrained") == epochs


@given(recipes())
def test_steps_share_the_images_out_evenly(drawn: tuple[Training, int]) -> None:
    recipe, images = drawn
    steps = steps_of(images, recipe)
    assert steps >= 1
    assert least_batch(recipe, images) * steps <= images < (least_batch(recipe, images) + 1) * steps
    assert least_batch(recipe, images) >= min(images, recipe.batch // 2)


def test_what_the_recipes_differ_in() -> None:
    book = textbook(record(), init="pretrained", images=1_000, weighting="none")
    assert (book.fitted, book.averaged, book.refit, book.optimizer) == (False, False, False, "sgd")
    assert (len(book.rates), book.decay, book.batch_norm) == (1, 1.0, "trained")
    own = _tuned(1_000)
    assert (own.fitted, own.averaged, own.refit, own.optimizer) == (True, True, True, "adamw")
    assert own.rates == RATES
    assert not _tuned(REFIT).refit
    assert _tuned(1_000, rate=0.01).rates == (0.01,)
    assert _tuned(RACE - 1).rates == RATES[:1]
    assert own.hopeless == 5 < own.epochs // 2
    partly = _tuned(1_000, trainable_from=record().stages[1].name)
    assert partly.trainable_from == record().stages[1].name
    assert batch_for(1) < SMALL_BATCH <= batch_for(1_000)


def _tuned(images: int, **options: object) -> Training:
    return tuned(
        record(),
        init="pretrained",
        taps=(LAST,),
        images=images,
        mirror=True,
        weighting="none",
        **options,  # type: ignore[arg-type]
    )


# ---- within a budget


@given(recipes(), st.floats(0, 1e6), st.floats(0.01, 1e5))
@example((_tuned(100), 100), 0.0, 1.0)
def test_what_is_given_fits_the_budget(
    drawn: tuple[Training, int], seconds: float, speed: float
) -> None:
    recipe, images = drawn
    fitting = within(recipe, images, seconds, speed)
    if fitting is None:
        assert images > seconds * speed  # not one epoch
        return
    assert images_shown(fitting, images) <= seconds * speed
    assert 1 <= fitting.epochs <= recipe.epochs
    assert set(fitting.rates) <= set(recipe.rates)
    given = ("rates", "refit", "epochs", "hopeless")
    assert replace(fitting, **{name: getattr(recipe, name) for name in given}) == recipe
    assert fitting.hopeless <= recipe.hopeless
    if images_shown(recipe, images) <= seconds * speed:
        assert fitting == recipe


@given(recipes(), st.floats(1, 1e5), st.floats(1, 1e4), st.floats(1, 10))
def test_more_time_gives_no_less(
    drawn: tuple[Training, int], seconds: float, speed: float, more: float
) -> None:
    recipe, images = drawn
    one, other = (within(recipe, images, s, speed) for s in (seconds, seconds * more))
    if one is not None:
        assert other is not None
        assert one.epochs <= other.epochs
        assert len(one.rates) <= len(other.rates)


# ---- which images validate


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Labels, and groups of near copies; a group may have several labels."""
    size = draw(st.integers(1, 60))
    labels = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    groups = draw(st.lists(st.integers(0, size), min_size=size, max_size=size))
    return labels, groups


@given(labelled(), st.integers(0, 99))
def test_near_copies_are_never_on_both_sides(drawn: tuple[list[int], list[int]], seed: int) -> None:
    labels, groups = (np.array(side) for side in drawn)
    train, val = validation(labels, groups, seed)
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[val])
    for label in set(labels):
        here = labels == label
        assert (labels[train] == label).any()
        if here.sum() < 3:
            assert not (labels[val] == label).any()
    again = validation(labels, groups, seed)
    assert np.array_equal(val, again[1])


@given(st.lists(st.integers(3, 200), min_size=2, max_size=6), st.integers(0, 9))
def test_a_fifth_of_every_class_validates(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    _, val = validation(labels, np.arange(len(labels)), seed)
    for label, size in enumerate(sizes):
        assert (labels[val] == label).sum() == max(1, round(0.2 * size))
