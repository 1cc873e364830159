"""Running regraft's command line in a test."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from regraft.cli import main


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which is one JSON document and nothing else."""
        return json.loads(self.out)


class Regraft(Protocol):
    def __call__(self, *words: object) -> Said: ...


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The command line sets the log up for a terminal; put it back."""
    log = logging.getLogger("regraft")
    before = log.handlers, log.propagate
    yield
    log.handlers, log.propagate = before


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Regraft:
    """Run a command in this process; no mistake of a user may show a traceback."""

    def call(*words: object) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Said(code, out, err)

    return call
