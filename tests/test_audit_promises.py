"""What the audit promises of any data set."""

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pictures import facts_of, jpeg
from regraft.data.audit import Audit, audit
from regraft.data.dataset import Dataset, Item
from regraft.data.images import Facts
from regraft.errors import DataError


def attempt(dataset: Dataset, facts: list[Facts]) -> Audit | None:
    """The audit; None where the data set cannot be used at all."""
    try:
        return audit(dataset, facts)
    except DataError:
        return None


PALETTE = [jpeg(seed, 32, 32) for seed in range(20)]
BAD = [b"", b"bad"]

# (split, picture, number): the picture tells the label, but one in twenty is mislabelled.
entries = st.lists(
    st.tuples(
        st.sampled_from(["train", "train", "val", "test", ""]),
        st.integers(0, len(PALETTE) + len(BAD) - 1),
        st.integers(0, 19),
    ),
    min_size=15,
    max_size=50,
)


def items_of(drawn: list[tuple[str, int, int]]) -> tuple[Item, ...]:
    return tuple(
        Item(f"{i:02}.jpg", "abc"[(picture + (number == 0)) % 3], split)
        for i, (split, picture, number) in enumerate(drawn)
    )


@given(entries)
def test_every_image_is_kept_or_named(drawn: list[tuple[str, int, int]]) -> None:
    items = items_of(drawn)
    data = [[*PALETTE, *BAD][picture] for _, picture, _ in drawn]
    dataset = Dataset("any", items, (), data.__getitem__)
    facts = facts_of(dataset)
    found = attempt(dataset, facts)
    if found is None:
        return
    lost = {entry.path for entry in found.left_out}
    assert len(lost) == len(found.left_out)
    assert lost.isdisjoint(items[i].path for i in found.kept)
    assert len(lost) + len(found.kept) == len(items)
    assert len({facts[i].digest for i in found.kept}) == len(found.kept)
    assert len(found.groups) == len(found.kept)
    kept = [items[i] for i in found.kept]
    sizes = Counter(item.label for item in kept if not dataset.holds_out(item))
    assert min(sizes.values()) >= 2
    assert {item.label for item in kept} == set(sizes)


def invented(drawn: list[tuple[str, int, int]]) -> tuple[Dataset, list[Facts]]:
    """Items with facts made up: pictures of one number are near copies, other files each."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 1 << 63, 30, dtype=np.uint64)
    thumbs = random.integers(0, 256, (30, 256), dtype=np.uint8)
    facts = [
        Facts(f"{i:032x}", phash=int(hashes[picture]) ^ (1 << i), thumb=thumbs[picture].tobytes())
        for i, (_, picture, _) in enumerate(drawn)
    ]
    return Dataset("invented", items_of(drawn), (), lambda _: b""), facts


@given(entries)
def test_near_copies_never_straddle_the_splits(drawn: list[tuple[str, int, int]]) -> None:
    dataset, facts = invented(drawn)
    found = attempt(dataset, facts)
    if found is None:
        return
    sides: dict[int, set[bool]] = defaultdict(set)
    pictures: dict[int, set[int]] = defaultdict(set)
    groups: dict[int, set[int]] = defaultdict(set)
    for group, i in zip(found.groups.tolist(), found.kept, strict=True):
        sides[group].add(dataset.holds_out(dataset.items[i]))
        pictures[group].add(drawn[i][1])
        groups[drawn[i][1]].add(group)
    crowded = any("look like another" in sentence for sentence in found.warnings)
    spared = any("they are kept" in sentence for sentence in found.warnings)
    assert spared or {len(side) for side in sides.values()} == {1}
    assert {len(shown) for shown in pictures.values()} == {1}
    copied = Counter(picture for _, picture, _ in drawn)
    several = [groups[picture] for picture in groups if copied[picture] <= 3]
    assert crowded or {len(shown) for shown in several} <= {1}
