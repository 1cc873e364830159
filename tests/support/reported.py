"""A RUN with its page, made-up results of any classes, and what a browser makes of a page."""

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import regraft
from pictures import lay_out
from regraft.metrics import score
from regraft.plan.choices import Choices
from regraft.results.result import Result, with_tables
from regraft.results.tables import Predictions
from regraft.run.api import fit
from scenes import each, scenes

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}</title>"


class Reader(HTMLParser):
    """What a browser makes of a page: its headings, links, tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.outline: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.outline.append(f"{'  ' * (int(tag[1]) - 1)}")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        if any(tag in ("h1", "h2", "h3") for tag in self.open):
            self.outline[-1] += data
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@cache  # one for all files of tests that a process runs
def _laid_out(root: Path) -> Path:
    files = scenes(each(8, "train/")) | scenes(each(4, "test/"), first=60)
    files |= {"train/rings/broken.png": b"no image"}
    return lay_out(root / "data" / "scenes", files)


@cache
def _fitted(root: Path) -> Path:
    out = root / "runs" / "run"
    fit(_laid_out(root), "demonstration", choices=Choices(case=1), out=out)
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _laid_out(tmp_path_factory.getbasetemp() / "reported")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN as fit writes it; a test that writes into it puts back what was there."""
    return _fitted(tmp_path_factory.getbasetemp() / "reported")


@pytest.fixture(scope="module")
def whole(run: Path) -> Result:
    return with_tables(regraft.load(run), run)


def drawn(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


def made_up(base: Result, classes: list[str], n: int = 400, seed: int = 1) -> Result:
    """A result with other classes, and predictions drawn at random that are often right."""
    random, count = np.random.default_rng(seed), len(classes)
    truth = random.integers(0, count, n)
    logits = random.normal(0, 1, (n, count)) + 3.5 * np.eye(count)[truth]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    paths = [f"{classes[t]}/{i}.png".replace("\0", "") for i, t in enumerate(truth)]
    evidence = replace(base.plan.evidence, classes=tuple(classes), per_class=(9,) * count)
    return replace(
        base,
        plan=replace(base.plan, evidence=evidence),
        classes=tuple(classes),
        metrics=dict(base.metrics) | score(shares, truth, classes).to_json(),
        predictions=Predictions(paths, truth, shares),
    )
