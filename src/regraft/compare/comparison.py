"""What the cases got, side by side: the record, its verdict in words, and its folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from regraft.data.dataset import listed
from regraft.diagram.summary import bar, isolated, rows, summary
from regraft.heads.ridge import Taps
from regraft.heads.tasks.words import Words, words_of
from regraft.metrics import Interval, paired
from regraft.report import of_comparison
from regraft.report.sides import beside_of
from regraft.results.atomic import check_target, whole_folder
from regraft.results.files import COMPARISON, PAGE, json_text, read_json, write_text

FORMAT, VERSION = "regraft comparison", 1
"""Stamped on ``comparison.json``."""


@dataclass(frozen=True)
class Outcome:
    """What one case got on the held-out images, and what it cost."""

    case: int
    name: str
    taps: Taps
    accuracy: float
    """Of several labels and numbers the measure of their kind."""
    accuracy_interval: Interval
    """95 %."""
    balanced_accuracy: float | None
    """Of one label an image, as are the next two."""
    log_loss: float | None
    ece: float | None
    """Expected calibration error."""
    validation_accuracy: float | None
    """On the validation images, before it was fitted to them too; None where there are none."""
    parameters: int
    """Of the network that is kept, the new layer included."""
    seconds: float
    """To fit or train it, to choose what runs a trained one, and to judge it; looking at the images
    is shared and not counted."""
    images_per_second: float
    """When new images are classified, decoding included."""
    engine: str
    brief: str
    """Why it was trained for less than its recipe; empty where it was not."""
    note: str
    """What a frozen network reads; which rate and epoch of a trained one won, or how it ended."""
    unchanged: bool = False
    """Whether it was trained, and no epoch was better than its start."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Others of ``metrics.json``, of several labels (``f1``) or a number."""


@dataclass(frozen=True)
class Omitted:
    """A case that did not run, and why."""

    case: int
    why: str


@dataclass(frozen=True)
class Comparison:
    """The cases side by side. ``chosen`` is the one that ``fit`` hands over on these images."""

    dataset: str
    backbone: str
    seed: int
    train: int
    """Training images, those for validation included."""
    test: int
    cases: tuple[Outcome, ...]
    omitted: tuple[Omitted, ...]
    chosen: int
    indicated: int
    """The case that ``fit`` aims at; it hands over another where training does not pay."""
    verdict: str
    seconds: Mapping[str, float]
    """``shared``: looking at the images and deciding; ``total``: everything."""
    classes: int
    """How many there are."""
    recipe: str
    options: tuple[str, ...]
    """What was asked for beside data, backbone and seed, as it would be typed."""
    data: str = ""
    """Where the images are, from anywhere; '' where they have no place."""
    kind: str = "one"
    """What is asked of an image: ``one`` label, ``several``, or a ``number``."""

    def __repr__(self) -> str:
        return " ".join(f"Comparison of {self.dataset}: {self.verdict}".split())

    def __str__(self) -> str:
        words = words_of(self.kind)
        got = [
            f"  case {one.case} ({one.name}): {words.told(one.accuracy)} "
            f"({words.span(one.accuracy_interval)}, 95%)"
            for one in self.cases
        ]
        return "\n".join([f"Comparison of {self.dataset}: {self.verdict}", *got])

    def _repr_html_(self) -> str:
        """Show what each case got and how it came about, in a notebook."""
        words, first = words_of(self.kind), 1 if self.kind == "one" else 0
        beside = [beside_of(self.kind, asdict(one))[first : first + 1] for one in self.cases]
        head = ("case", "what", "", words.head, "95%", *(name for name, _ in beside[0]))
        body = [
            (
                str(one.case),
                f"{one.name}{' ← fit' if one.case == self.chosen else ''}",
                bar(*_within(one)),
                words.told(one.accuracy),
                words.dashed(one.accuracy_interval),
                *(told for _, told in more),
                f"{one.parameters / 1e6:,.2f}",
                f"{one.seconds:,.1f}",
                f"{one.images_per_second:,.0f}",
            )
            for one, more in zip(self.cases, beside, strict=True)
        ]
        chosen = [one.case for one in self.cases].index(self.chosen)
        brief = [f"trained briefly: {one.brief}" if one.brief else "" for one in self.cases]
        notes = [
            f"Case {one.case}: {'; '.join(filter(None, (one.note, short)))}."
            for one, short in zip(self.cases, brief, strict=True)
        ]
        absent = [f"Case {one.case} is left out: {one.why}." for one in self.omitted]
        return summary(
            Markup("{}: the cases side by side").format(isolated(self.dataset)),
            about=f"{self.backbone}; {self.train:,} images to train on, {self.test:,} held out.",
            said=[self.verdict],
            table=rows((*head, "M weights", "seconds", "images/s"), body, chosen),
            lists={"How each came about": [*notes, *absent]},
        )

    def to_json(self) -> dict[str, Any]:
        """Return what ``comparison.json`` holds."""
        return {"format": FORMAT, "version": VERSION} | asdict(self)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the folder, whole or not at all.

        Raises:
            RunError: something is there that may not be replaced, or it cannot be written.
        """
        with whole_folder(Path(folder), partial(_objections, overwrite=overwrite)) as place:
            document = self.to_json()
            write_text(place / COMPARISON, json_text(document))
            write_text(place / PAGE, of_comparison(document, Path(folder)))


def _within(one: Outcome) -> tuple[float, Interval]:
    """Return a measure and its interval within 0 and 1, for a bar."""
    low, high = one.accuracy_interval
    low, value, high = (min(max(x, 0.0), 1.0) for x in (low, one.accuracy, high))
    return value, (low, high)


def verdict(
    cases: Sequence[Outcome], right: Sequence[NDArray[Any]], chosen: int, kind: str = "one"
) -> str:
    """Whether another case does better than the chosen one on the same held-out images, in words.

    ``right``: which of the images each case got right, ``[n]`` each; of several labels and numbers
    how far it was from right, their squared errors. Within noise is a difference of at most one
    standard error, that of the differences image by image.
    """
    words = words_of(kind)
    own = next(n for n, one in enumerate(cases) if one.case == chosen)
    images = f"{len(right[own]):,} held-out images"
    better: list[Outcome] = []
    like: list[Outcome] = []
    worse: list[Outcome] = []
    for one, hits in zip(cases, right, strict=True):
        if one.case != chosen:
            (like, better, worse)[_gain(hits, right[own])].append(one)
    got = f"gets {words.told(cases[own].accuracy)} of {images} right"
    if kind != "one":
        got = f"{words.tells(cases[own].accuracy)} on {images}"
    said = f"Case {chosen}, which fit hands over, {got}"
    parts = [
        _named(better, "better by more than noise", words),
        _named(like, "within noise of it", words),
        _named(worse, "worse by more than noise", words),
    ]
    sentence = "; ".join([said, *(part for part in parts if part)]) + "."
    brief = [f"case {one.case}" for one in cases if one.brief]
    if brief:
        were = "was" if len(brief) == 1 else "were"
        sentence += (
            f" {_listed(brief).capitalize()} {were} trained briefly, and may have more in it."
        )
    return sentence


def _named(cases: Sequence[Outcome], how: str, words: Words) -> str:
    if not cases:
        return ""
    figures = _listed([f"case {one.case} ({words.told(one.accuracy)})" for one in cases])
    return f"{figures} {'is' if len(cases) == 1 else 'are'} {how}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _gain(right: NDArray[Any], other: NDArray[Any]) -> int:
    """-1, 0 or 1: worse, within noise, or better than another, image by image.

    Bools say what is right, floats how far from right it is.

    Of ``d`` images that one got right and the other did not, a net gain of ``k`` is above one
    standard error of the mean difference just where ``k * k > d``.
    """
    if right.dtype != bool:
        better, error = paired(other, right)
        return int(np.sign(better)) if abs(better) > error else 0
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    net = gained - lost
    return int(np.sign(net)) if net * net > gained + lost else 0


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse before the work a folder that `Comparison.save` would refuse after it.

    Raises:
        RunError: something is there that may not be replaced, or nothing can be written there.
    """
    check_target(folder, partial(_objections, overwrite=overwrite))


def _objections(folder: Path, *, overwrite: bool) -> list[str]:
    """Tell why what is at ``folder`` must not be replaced by a comparison."""
    if not folder.is_dir():
        return ["must be a folder, is a file; name another folder"]
    found = sorted(os.listdir(folder))
    if not found:
        return []
    document = read_json(folder / COMPARISON, [])
    if document is None or document.get("format") != FORMAT:
        holds = listed(found, 3)
        return [f"must be an earlier comparison or new, holds {holds}; name another folder"]
    if not overwrite:
        return ["must not exist yet, is a comparison; name another folder, or ask for --overwrite"]
    if others := [name for name in found if name not in (COMPARISON, PAGE, ".DS_Store")]:
        also = ", ".join(others[:3])
        return [f"must hold {COMPARISON} and {PAGE} only, also holds {also}; move that away"]
    return []
