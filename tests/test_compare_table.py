"""The table of a comparison in the terminal: it can be read at 80 columns."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from regraft.cli.compare import _short, _table
from regraft.compare.comparison import Outcome

NAMES = ("frozen", "frozen, cut earlier", "fine-tuned, no gain", "from random weights")


def test_the_widest_row_is_not_cut() -> None:
    rows = [
        Outcome(
            case=case,
            name=name,
            taps=(0,),
            accuracy=1.0,
            accuracy_interval=(0.951, 1.0),
            balanced_accuracy=1.0,
            log_loss=1.234,
            ece=0.123,
            validation_accuracy=None,
            parameters=123_456_789,
            seconds=1234.0,
            images_per_second=12345.0,
            engine="reference",
            brief="short",
            note="",
        )
        for case, name in enumerate(NAMES, start=1)
    ]
    found: Any = SimpleNamespace(cases=rows, chosen=2, kind="one")
    out = Console(file=io.StringIO(), width=80)
    out.print(_table(found))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    assert len(text.splitlines()) == 5
    told = ("case", "params", "95.1–100.0%", "123 M", "1,234 s", "12.3 k", "→ 2")
    assert [part for part in told if part not in text] == []
    out = Console(file=io.StringIO(), width=40)
    out.print(_table(found))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert [part for part in told[1:] if part not in text] == []
    assert max(map(len, text.splitlines())) <= 40


@pytest.mark.parametrize(
    ("count", "said"),
    [(12, "12"), (999, "999"), (24_620, "24.6 k"), (999_700, "1 M"), (4_652_008, "4.65 M")],
)
def test_counts_are_short(count: int, said: str) -> None:
    assert _short(count) == said
