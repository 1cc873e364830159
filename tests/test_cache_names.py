"""The names under which the cache holds things: who changes one makes every cache anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pictures import jpeg
from regraft.data.images import View, facts_key
from regraft.features.cache import Store, sqlite
from regraft.features.engines import store as trunks
from test_features import VIEW, Means, look


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache") as store:
        yield store


def test_the_names_of_what_the_cache_holds_are_these(store: Store) -> None:
    """Who changes one makes the cache of every user anew, so change it knowingly.

    A change is needed where what is computed changes: facts or decoding (the facts), the tables of
    the file (the layout), converted trunks or what engines make of them (the format).
    """
    assert facts_key([View(32)]).startswith("facts-5-")
    assert sqlite.LAYOUT == 1
    assert [path.name for path in store.folder.glob("*.sqlite")] == ["images-1.sqlite"]
    assert trunks._FORMAT == 2


def test_features_under_older_facts_are_computed_again_with_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features without facts of today were made of pixels decoded in an earlier way."""
    files, today = [jpeg(seed, 16, 16) for seed in range(9)], facts_key([VIEW])
    with monkeypatch.context() as earlier:
        earlier.setattr("regraft.features.extract.facts_key", lambda _: "facts-4-16")
        first = look(files, store)
    names = [facts.digest for facts in first.facts]
    assert store.facts(today, names) == {}
    store.put_features(f"{VIEW.key}-means", dict.fromkeys(names, np.zeros(6, np.float16)))
    engine = Means()
    again = look(files, store, engine)
    assert (again.computed, again.recalled, engine.seen) == (9, 0, 9)
    known = look(files, store)
    assert known.recalled == 9
    for found in (again, known):
        assert list(found.facts) == list(first.facts)
        assert_array_equal(found.features[0], first.features[0])
    assert set(store.facts(today, names)) == set(names)
