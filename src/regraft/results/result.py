"""A Result: what a run got, and a classifier for new images."""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from regraft.backbones import Backbone, Weights
from regraft.data.dataset import listed, some
from regraft.data.images import Facts, View
from regraft.data.readers.pictures import bytes_of, several
from regraft.diagram.planned import about, of_plan, reasons
from regraft.diagram.summary import Figure, isolated, names, summary
from regraft.errors import RunError
from regraft.features.engines import Engine
from regraft.features.extract import Extraction, Progress, extract, silent
from regraft.heads.known import Known, known_of
from regraft.heads.ridge import Head
from regraft.heads.tasks import task_of
from regraft.heads.tasks.words import words_of
from regraft.networks.changes import Change
from regraft.plan import kind_wording, serialize, wording
from regraft.plan.definition import Plan
from regraft.plan.events import LogRow
from regraft.plan.label_errors import Suspect
from regraft.plan.naming import stages_named
from regraft.results import running
from regraft.results.card import model_card
from regraft.results.echo import ECHO, echo
from regraft.results.folder import write_run
from regraft.results.labelled import Labelled
from regraft.results.prediction import Prediction as Prediction  # where it was, and is looked for
from regraft.results.prediction import prediction_of
from regraft.results.tables import (
    Predictions,
    read_audit,
    read_log,
    read_predictions,
    suspects_of,
)

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("regraft")

MANY = 256
"""Images from which it pays to convert a network that this machine does not know, and to measure
what runs it fastest: about what the reference does in the time that this takes."""

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""A path, a file's bytes, a PIL image, or pixels of 0..255, or floats of 0..1, ``[height, width]``
or with channels last or first (`regraft.data.readers.pictures`)."""


@dataclass(frozen=True, eq=False)
class Result:
    """A fitted network with its plan and its held-out figures.

    ``tensors`` are the weights of the whole network: ``trunk.*``, ``head.weight``, ``head.bias``.
    """

    plan: Plan
    classes: tuple[str, ...]
    metrics: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    changes: tuple[Change, ...]
    predictions: Predictions | None
    log: tuple[LogRow, ...]
    audit: tuple[tuple[str, str, str], ...]
    cache: Path
    network: "Callable[[], nn.Module]"
    """Builds the network with torch, with the weights that it has now, for engines that need it.
    Its head, and what comes after the deepest tap, need not mean anything."""
    folder: Path | None = None
    draw: "Callable[[Result, str], str] | None" = None
    """Draws the report, given the model card's text; where there is none, none is written."""
    labelled: Labelled | None = None
    """What is kept of its labelled images; a loaded result leaves it in its folder."""

    def __repr__(self) -> str:
        words = words_of(self.kind)
        got = words.got(self.metrics[words.key])
        got += f" ({words.span(self.metrics[f'{words.key}_interval'])}, 95%)"
        return " ".join(f"Result of {self.plan.dataset}: case {self.plan.case}, {got}".split())

    def __str__(self) -> str:
        plan, metrics, words = self.plan, self.metrics, words_of(self.kind)
        cut = f"cut after {plan.kept[-1]}" if plan.dropped else "kept whole"
        names = [name if name.isprintable() else repr(name) for name in self.classes]
        return "\n".join(
            [
                f"Result of {plan.dataset}: case {plan.case}, {plan.backbone.name} {cut}, "
                f"reads {stages_named(plan.backbone, plan.taps)}",
                f"  {words.measure}: {words.told(metrics[words.key])} "
                f"({words.span(metrics[f'{words.key}_interval'])}, 95%) of "
                f"{metrics['n']:,} {plan.judged}",
                f"  {kind_wording.counted(plan)}: {listed(names, 10, ' and {:,} more')}",
                f"  folder: {self.folder or 'none, it is not saved'}",
            ]
        )

    def _repr_html_(self) -> str:
        """Show what it got, the surgery, and why, in a notebook."""
        plan, metrics = self.plan, self.metrics
        weakest, more = kind_wording.hardest(metrics)
        return summary(
            Markup("{}: {}").format(isolated(plan.dataset), kind_wording.outputs(plan)),
            about=f"{about(plan)} RUN: {self.folder or 'none, it is not saved'}.",
            figures=[Figure(*one) for one in kind_wording.figures(self.kind, metrics)],
            said=[
                Markup("Weakest: {}{}.").format(names(weakest), more) if weakest else "",
                wording.suspects(metrics),
                wording.unknown(plan, metrics),
                *wording.how_many(plan, metrics),
                plan.why and f"What was handed over: {plan.why}",
                *wording.remarks(plan, metrics),
            ],
            picture=of_plan(plan),
            lists={
                "What was done": [step.sentence for step in plan.steps()],
                "Why": reasons(plan),
            },
            unfolded=True,
        )

    @property
    def kind(self) -> str:
        """What is asked of an image: ``one`` label, ``several``, or a ``number``."""
        return self.plan.kind

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of several labels: from which probability on each is given; else none."""
        answer = self.plan.evidence.answer
        return () if answer is None else answer.thresholds

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Images whose labels look wrong, the least believed first.

        ``metrics["suspects"]`` has how many are expected to be wrong, of how many images. None in
        RUNs of before.
        """
        return suspects_of(self.metrics)

    @property
    def head(self) -> Head:
        """The new layer."""
        return Head(self.plan.taps, self.tensors["head.weight"], self.tensors["head.bias"])

    @cached_property
    def known(self) -> Known | None:
        """What tells images like the training images from others; None in RUNs of before."""
        return known_of(self.tensors, [self.plan.backbone.widths[tap] for tap in self.plan.taps])

    def predict(
        self, images: Picture | Sequence[Picture], top: int = 1, *, progress: Progress = silent
    ) -> list[Prediction]:
        """Name the ``top`` likeliest classes of each image; a single picture is a list of one.

        Of several labels a prediction has those that are given, and the probability of each of
        them and of the ``top`` likeliest; of a number its value and interval.

        Lists of lists of numbers are taken as an array of that shape is, see
        `regraft.data.readers.pictures.several`.
        What cannot be read is named in its prediction's ``problem``; the rest are classified. On a
        machine that does not know the network, :data:`MANY` images begin with some seconds in
        which the fastest engine is found.
        """
        pictures, rule = several(images), self.plan.evidence.answer
        found = self.look(pictures, progress)
        rows = zip(found.facts, *self.judged(found.features[0]), strict=True)
        return [
            Prediction(name_of(image, n), problem=facts.detail)
            if facts.problem
            else prediction_of(
                name_of(image, n), shares, self.classes, rule, top=top, belief=belief
            )
            for n, (image, (facts, shares, belief)) in enumerate(zip(pictures, rows, strict=True))
        ]

    def predict_proba(self, images: Picture | Sequence[Picture]) -> NDArray[np.floating[Any]]:
        """Calibrated probabilities ``[n, classes]``; a row of nan where an image cannot be read.

        Of several labels each is one by itself; of a number it is the number.
        """
        found = self.look(several(images))
        shares = task_of(self.kind).shares(self.head.logits(found.features[0]))
        shares[[bool(facts.problem) for facts in found.facts]] = np.nan
        return shares

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the RUN folder, whole or not at all.

        Raises:
            RunError: something is there that may not be replaced, or it cannot be written.
        """
        if self.predictions is None:
            raise ValueError("a loaded result lies in its folder already; copy that")
        card = model_card(self.plan, self.metrics)
        write_run(
            Path(folder),
            plan=serialize.dumps(self.plan),
            config=self._config(),
            tensors=self.tensors,
            metrics=self.metrics,
            predictions=self.predictions,
            log=[row.to_row() for row in self.log],
            audit=self.audit,
            card=card,
            page=self.draw(replace(self, folder=Path(folder)), card) if self.draw else "",
            labelled=self.labelled,
            trunk=running.carried_of(self),
            overwrite=overwrite,
        )

    def _config(self) -> dict[str, Any]:
        """Return what is needed beside the weights to build and feed the network."""
        changed = [
            {"kind": c.kind, "name": c.name, "parameters": c.parameters} for c in self.changes
        ]
        found: dict[str, Any] = {
            "classes": list(self.classes),
            "backbone": self.plan.backbone.to_json(),
            "taps": list(self.plan.taps),
            "surgery": changed,
        }
        if answer := self.plan.evidence.answer:
            found |= answer.told()
        if not self.plan.backbone.architecture:
            found[ECHO] = echo(self.network(), self.plan, self.tensors).tolist()
        return found

    def trunk(self) -> "nn.Module":
        """Return the trunk that reads the taps, built with torch."""
        from regraft.networks.build import trunk

        return trunk(self.network(), self.plan.backbone, self.plan.taps)

    @cached_property
    def record(self) -> Backbone:
        """The record of the network as it is now: its own weights, and no stage after the cut."""
        return retrained(self.plan.backbone, self.tensors, self.plan.cut)

    def engine(self) -> Engine:
        """Return what runs the trunk: what this machine knows or the RUN carries, else torch."""
        return running.found(self)[0]

    def exact_engine(self) -> Engine:
        """Return the same, for a long use.

        Where there is neither, OpenVINO in float32 is made ready, which takes some seconds; the
        reference where that is not faster.
        """
        return running.exact(self)

    def look(self, images: Sequence[Picture], progress: Progress = silent) -> Extraction:
        """Return what the new layer reads of images, ``[n, P]`` for one view, and their facts.

        Many of them pay for a choice of the engine.
        """
        engine, known = running.found(self)
        settled = known is not None and not known.provisional
        view = self.plan.backbone.view
        found = extract(
            lambda i: bytes_of(images[i], wide=view.integers is not None),
            len(images),
            [view],
            self.plan.inputs,
            engine=engine if settled or len(images) < MANY else None,
            choose=lambda pixels, indices: running.chosen(self, pixels),
            progress=progress,
        )
        _warn_of_scale(images, found.facts, view)
        return found

    def judged(
        self, features: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.floating[Any]], Sequence[float | None]]:
        """Return probabilities ``[n, C]`` of features ``[n, P]``, and the belief in each image."""
        logits = self.head.logits(features)
        beliefs = (
            self.known.belief(features, logits).tolist() if self.known else [None] * len(logits)
        )
        return task_of(self.kind).shares(logits), beliefs


def folder_of(run: str | os.PathLike[str] | Result) -> Path:
    """Return the RUN folder that a path or a result means.

    Raises:
        RunError: the result lies in none.
    """
    if not isinstance(run, Result):
        return Path(run)
    if run.folder is None:
        raise RunError(
            "This result lies in no RUN folder.", ["Save it first: result.save(FOLDER)."]
        )
    return run.folder


def retrained(backbone: Backbone, tensors: Mapping[str, NDArray[Any]], cut: int) -> Backbone:
    """Return the record of a network that was cut or trained, as far as its trunk goes.

    ``tensors``: its weights by name; ``cut``: its deepest stage.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in tensors if name.startswith("trunk.")):
        digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
    weights = Weights("memory", digest.hexdigest(), "")
    return replace(backbone, stages=backbone.stages[: cut + 1], weights=weights)


def with_tables(result: Result, folder: Path) -> Result:
    """Return a loaded result with its predictions, log and audit.

    Raises:
        RunError: a table that is damaged, or that does not fit the run.
    """
    return replace(
        result,
        predictions=read_predictions(
            folder / "predictions.csv",
            result.classes,
            kind=result.kind,
            thresholds=result.thresholds,
        ),
        log=read_log(folder / "log.csv"),
        audit=read_audit(folder / "audit.csv"),
    )


def _warn_of_scale(images: Sequence[Picture], facts: Sequence[Facts], view: View) -> None:
    """Name the pictures that the scale of the training images does not hold."""
    found = [
        f"{name_of(image, n)}: {why}"
        for n, (image, one) in enumerate(zip(images, facts, strict=True))
        if (why := one.outside(view))
    ]
    for line in some(found):
        log.warning("%s", line)


def name_of(image: Picture, number: int) -> str:
    """Return an image's path; where it has none, which of the images it is."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}"
