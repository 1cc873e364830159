"""What the demo types, and how it ends."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pictures import lay_out
from regraft.cli import demo


def test_it_begins_with_what_was_got_and_ends_with_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_check_packages", lambda: None)
    for lay in ("lay_out_groceries", "lay_out_digits"):
        monkeypatch.setattr(demo, lay, lambda folder: lay_out(folder, {"one/a.png": b""}))
    typed = list[Sequence[str]]()

    def regraft(words: Sequence[str]) -> int:
        typed.append(words)
        return 0

    demo.run_demo(tmp_path, regraft)
    assert [words[0] for words in typed] == ["fit", "predict"] * 2
    runs = [tmp_path / name for name in ("groceries-run", "digits-run")]
    assert typed[0] == ("fit", str(tmp_path / "groceries"), "--out", str(runs[0]), "--overwrite")
    assert typed[2][2:4] == ("--backbone", "auto")
    *pages, after = capsys.readouterr().err.splitlines()[-3:]
    assert pages == [f"{run / 'report.html'} shows what it got, and why." for run in runs]
    assert after == f"`regraft serve {runs[0]}` classifies photos of yours."
