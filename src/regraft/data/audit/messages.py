"""What the audit says: errors where the data cannot be used, warnings where it can be."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from regraft.data.audit.rules import NOT_BY_NAME, LeftOut, Rows, Ruled
from regraft.data.dataset import Dataset, quoted, some
from regraft.data.kinds import NUMBER, ONE, SEVERAL
from regraft.data.targets import Memberships, learnable
from regraft.errors import DataError

IMBALANCE: Final = 3.0  # times the smallest class that the largest may have without a word


def check(dataset: Dataset, kept: Rows, left_out: Sequence[LeftOut], strict: bool) -> None:
    """Raise DataError where what is kept cannot be learnt from, or is not all there is."""
    _CHECKS[dataset.kind](dataset, kept, left_out)
    held = dataset.held_out
    if held and not dataset.held[kept].any():
        problems = [f"every {held} image was left out", *_account(dataset, left_out)]
        raise DataError(f"'{dataset.name}' has no image left to test on.", problems)
    lost = [entry for entry in left_out if entry.reason != NOT_BY_NAME]
    if strict and lost:
        raise DataError(
            f"'{dataset.name}' would be used without {_images(len(lost))}; strict allows none.",
            [f"{entry.path}: {entry.reason}: {entry.detail}" for entry in lost],
        )


def _check_classes(dataset: Dataset, kept: Rows, left_out: Sequence[LeftOut]) -> None:
    """Raise DataError where there is no telling apart."""
    by_class = by_class_and_split(dataset, kept)
    if len(by_class) < 2:
        found = "no usable class" if not by_class else f"one usable class, {next(iter(by_class))!r}"
        problems = [f"there must be at least 2, found {found}", *_account(dataset, left_out)]
        raise DataError(f"'{dataset.name}' has too few classes to tell apart.", problems)


def _check_labels(dataset: Dataset, kept: Rows, left_out: Sequence[LeftOut]) -> None:
    """Raise DataError where none of several labels can be learnt."""
    use, why = learnable(dataset, kept)
    if not use.any():
        some_left = f"{_all_of(kept)} none" if len(kept) else "there is no image left"
        none = f"there must be at least one label, and {some_left}"
        problems = [*(why or [none]), *_account(dataset, left_out)]
        raise DataError(f"'{dataset.name}' has no label that can be learnt.", problems)


def _check_numbers(dataset: Dataset, kept: Rows, left_out: Sequence[LeftOut]) -> None:
    """Raise DataError where there are no two different numbers to train on."""
    train = kept[~dataset.held[kept]]
    different = sorted({*dataset.columns.labels[train]})
    if len(different) < 2:
        found = f"{_all_of(train)} {different[0]}" if different else "there is no image to train on"
        problems = [f"there must be at least 2 different ones, and {found}"]
        problems += _account(dataset, left_out)
        raise DataError(f"The number of '{dataset.name}' is always the same.", problems)


def _all_of(rows: Rows) -> str:
    return "the only image has" if len(rows) == 1 else f"all {len(rows):,} images have"


_CHECKS: Final = {ONE: _check_classes, SEVERAL: _check_labels, NUMBER: _check_numbers}


def _account(dataset: Dataset, left_out: Sequence[LeftOut]) -> list[str]:
    """Return what was found of each class, and the first images left out for each reason."""
    gone_for = some([f"{e.path}: {e.reason}: {e.detail}" for e in left_out])
    if dataset.kind != ONE:
        return gone_for
    there = Counter[str](dataset.columns.labels)
    gone = {entry.path for entry in left_out}
    lost = Counter(item.label for item in dataset.items if item.path in gone)
    lines = [
        f"class {label!r}: {_images(count)}, {lost[label]:,} of them left out"
        for label, count in sorted(there.items())
    ]
    return [*some(lines), *gone_for]


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def by_class_and_split(dataset: Dataset, kept: Rows) -> dict[str, dict[str, int]]:
    """Images by class and split, classes in order; an image of several labels counts for each."""
    has, splits = Memberships.of(dataset), dataset.columns.splits
    which, label = has.pairs(kept)
    pairs = label * len(splits.different) + splits.codes[kept[which]]
    counted = np.bincount(pairs)
    by_class: dict[str, dict[str, int]] = {}
    for pair in np.flatnonzero(counted).tolist():
        name, split = divmod(pair, len(splits.different))
        own = by_class.setdefault(has.names[name], {})
        own[splits.different[split]] = int(counted[pair])
    return by_class


def warnings(dataset: Dataset, found: Ruled) -> Iterable[str]:
    """Yield what a person should know, though nothing is left out for it."""
    yield from dataset.notes
    kept = found.kept
    by_class = by_class_and_split(dataset, kept)
    gone = sorted(set(dataset.classes) - set(by_class))
    if gone:
        yield f"No usable images of {quoted(gone)}: {_is(gone)} not learnt."
    yield from learnable(dataset, kept)[1]
    if dataset.kind == SEVERAL:
        yield _of_several(dataset, kept)
    if dataset.kind == ONE:
        yield from _uneven(by_class)
    yield from _missing_from_splits(by_class)
    yield from _alike_names(by_class)
    yield from _near_copies(dataset, kept, found.copies)
    yield from _known_groups(dataset, found)
    yield from _look_alike(dataset, found)
    yield from _spared(dataset, found)


def _missing_from_splits(by_class: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """Classes that a split of the data lacks."""
    for split in sorted({split for splits in by_class.values() for split in splits} - {""}):
        missing = [label for label, splits in by_class.items() if split not in splits]
        if missing:
            yield f"The {split} images have none of {quoted(missing)}."


def _of_several(dataset: Dataset, kept: Rows) -> str:
    """Say how many labels images have."""
    which, label = Memberships.of(dataset).pairs(kept)
    counts, different = np.bincount(which, minlength=len(kept)), len(np.unique(label))
    if counts.max() < 2:
        return f"No image has more than one of the {different:,} labels; each is learnt by itself."
    none = int((counts == 0).sum())
    without = f"; {none:,} {'has' if none == 1 else 'have'} none" if none else ""
    return f"Images have {counts.mean():.1f} of {different:,} labels each{without}."


def _uneven(by_class: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """Yield the classes that are the most uneven, where they are."""
    sizes = {label: sum(splits.values()) for label, splits in by_class.items()}
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[large] >= IMBALANCE * sizes[small]:
        yield (
            f"The classes are uneven: {large!r} has {sizes[large]:,} images, "
            f"{sizes[large] / sizes[small]:.1f} times as many as {small!r} ({sizes[small]:,})."
        )


def _alike_names(by_class: Iterable[str]) -> Iterable[str]:
    """Classes whose names differ only in capitals, or hardly to the eye."""
    alike = defaultdict(list)
    for label in by_class:
        alike[_to_the_eye(label)].append(label)
    for labels in alike.values():
        if len({label.casefold() for label in labels}) > 1:
            yield f"The classes {quoted(labels)} hardly differ by their names; are they one?"
        elif len(labels) > 1:
            yield f"The classes {quoted(labels)} differ in capitals only; are they one?"


def _to_the_eye(label: str) -> str:
    """Return one key for names that differ in capitals, width, ligatures and spaces alone."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label).casefold())


def _near_copies(dataset: Dataset, kept: Rows, groups: Rows) -> Iterable[str]:
    """Near copies that are kept, and those that have several labels."""
    sizes = np.bincount(groups)
    among, several = np.flatnonzero(sizes[groups] > 1), int((sizes > 1).sum())
    if several:
        yield (
            f"{_images(len(among))} nearly copy each other, in {several:,} "
            f"group{'s' * (several != 1)}, each kept on one side of what is drawn."
        )
    members = defaultdict(list)
    for group, i in zip(groups[among].tolist(), kept[among].tolist(), strict=True):
        members[group].append(dataset.items[i])
    mixed = [items for items in members.values() if len({item.label for item in items}) > 1]
    if mixed and dataset.kind != NUMBER:
        first, other = next((a, b) for a in mixed[0] for b in mixed[0] if a.label != b.label)
        yield (
            f"In {len(mixed):,} of them the labels differ, such as {first.path} ({first.label}) "
            f"and {other.path} ({other.label})."
        )


def _known_groups(dataset: Dataset, found: Ruled) -> Iterable[str]:
    """Yield how many groups people know of, and those that their own split puts on both sides."""
    names, held = dataset.columns.groups, dataset.held[found.kept]
    own = names.codes[found.kept]
    if len(names.different) and names.different[0] == "":  # which means that nothing is known
        own, held = own[own > 0], held[own > 0]
    known = len(np.unique(own))
    if known:
        yield f"{known:,} known groups are each kept on one side of what is drawn."
    both = np.intersect1d(own[held], own[~held]).tolist()
    if both:
        yield (
            f"The split of the data puts {len(both):,} known groups on both sides, such as "
            f"{quoted([names.different[code] for code in both[:3]])}; it is followed, and the test "
            "is easier than new groups would be."
        )


def _look_alike(dataset: Dataset, found: Ruled) -> Iterable[str]:
    """Classes whose pictures are all nearly the same, as a fixed camera takes them."""
    if not found.crowded:
        return
    labels = dataset.columns.labels
    one = dataset.kind == ONE
    crowded = np.array([not one or name in found.crowded for name in labels.different])
    few = crowded[labels.codes[found.kept]]
    yield (
        f"{int(found.near[few].sum()):,} of the {_images(int(few.sum()))} of "
        f"{quoted(found.crowded)} look like another one as copies do, so only files that are the "
        "same count as copies, and held-out images look like training ones. The result is that of "
        "new images only if those are of the same parts, days and people: where names or a table "
        "tell these, hold them out whole with --group-by."
    )


def _spared(dataset: Dataset, found: Ruled) -> Iterable[str]:
    """Training images that copy held-out ones, and without which their class would be empty."""
    for label, count in sorted(found.spared.items()):
        yield (
            f"{_images(count)} of {label!r} nearly copy others, most of what there is to train on; "
            "they are kept, and the test is easier than new images would be."
        )


def _is(names: Sequence[str]) -> str:
    return "this class is" if len(names) == 1 else "these classes are"
