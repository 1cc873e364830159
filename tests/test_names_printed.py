"""Names of any kind stand whole in everything that is printed, in any encoding; none is markup.

The classes, files, the data set and the RUN are called what rich, HTML, Markdown and CSV read
something into. Every row is a command, and whose names it has to show.
"""

import csv
import html
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from command import Regraft, Said, cli, own_log
from pictures import lay_out
from regraft import cli as cli_package
from regraft import diagram
from regraft.acquire.queue import Queue, Unlabelled
from regraft.cli import main, predicted, tables, terminal
from regraft.cli import next as next_command
from regraft.cli.cache import run_cache
from regraft.cli.models import run_models
from regraft.cli.rows import Fitting, Indented, lines
from regraft.cli.streams import TWINS
from regraft.data.audit import Audit
from regraft.diagram import of_plan
from regraft.results.load import load
from regraft.results.result import Prediction, Result
from scenes import KINDS, scene

__all__ = ["cli", "own_log"]  # fixtures

LONG = "a class of many words " * 9 + "ok"
RIGHT_TO_LEFT = "نحل العسل"
CLASSES = ["[dog]", "q[", "[bold red]x", ":cat:", "<b>&\"'", "a|b*c`d`_e_", "café 猫"]
CLASSES += [LONG, RIGHT_TO_LEFT]
NO_TEXT = "\udcff.png"
"""A file name of the byte 255, which is no UTF-8."""
SET, RUN = 'set [i] <i>&"', "run [r]"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images, and beside them a RUN of theirs."""
    place = tmp_path_factory.mktemp("names")
    files = {
        f"{name}/a{i}]{name}.png": scene(KINDS[k % 3], 20 * k + i)
        for k, name in enumerate(CLASSES)
        for i in range(6)
    }
    lay_out(place / SET, files)
    (place / "more").mkdir()
    (place / "more" / NO_TEXT).write_bytes(scene("rings", 7))
    words = ["fit", place / SET, "--out", place / RUN, "-b", "demonstration", "--case", "1"]
    assert main([str(word) for word in words]) == 0
    return place


def plainly(said: Said, home: Path) -> str:
    return said.out + said.err


def table(said: Said, home: Path) -> str:
    return said.out


def page(name: str) -> Callable[[Said, Path], str]:
    """The text of a page, nothing of a name in its tags, and what was said."""

    def read(said: Said, home: Path) -> str:
        text = (home / name).read_text("utf-8")
        assert '<b>&"' not in text
        assert '<i>&"' not in text
        return html.unescape(text) + said.out + said.err

    return read


def of_csv(said: Said, home: Path) -> str:
    return "\n".join(" ".join(row) for row in csv.reader(io.StringIO(said.out)))


def of_json(said: Said, home: Path) -> str:
    return "\n".join(str(value) for row in said.json for value in row.values())


FILES = [f"{name}/a3]{name}.png" for name in CLASSES]
LOOKED = "look[l].html"

COMMANDS: dict[str, tuple[str, Callable[[Said, Path], str], list[str]]] = {
    "plan": ("plan {set} -b demonstration --case 1 --out {home}/p[1].json", plainly, [SET, "p[1]"]),
    "fit": ("fit {set} -b demonstration --case 1 --out {run} --overwrite", plainly, [RUN]),
    "predict": ("predict {run} {set}", table, [*CLASSES, *FILES]),
    "predict --csv": ("predict {run} {set} --csv", of_csv, [*CLASSES, *FILES]),
    "predict --json": ("predict {run} {set} --json", of_json, [*CLASSES, *FILES]),
    "predict, nothing there": ("predict {run} {set}/[no]/x[/a].jpg", plainly, ["[no]/x[/a].jpg"]),
    "predict, no run": ("predict {home}/[no] {set}", plainly, ["[no]"]),
    "report": ("report {run}", page(f"{RUN}/report.html"), [SET, RUN, *CLASSES]),
    "look": (f"look demonstration {{set}} --out {{home}}/{LOOKED}", page(LOOKED), [SET, LOOKED]),
    "draw": ("draw [bold]x[/]", plainly, ["'[bold]x[/]'"]),
    "draw --out": ("draw --out {home}/d[1].svg", plainly, ["d[1].svg"]),
    "export": ("export {run} --to torch --out {home}/e[1].pt2", plainly, ["e[1].pt2"]),
    "no such option": ("plan --[bold]x", plainly, ["--[bold]x"]),
    "no such DATA": ("plan {home}/[no]", plainly, ["[no]"]),
    "a name that no system takes": (f"plan {'x' * 300}", plainly, ["too long", "x" * 300]),
    "no such plan": ("fit {set} --plan {home}/[/no].json", plainly, ["[/no].json"]),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_names_stand_whole(what: str, home: Path, cli: Regraft) -> None:
    line, read, names = COMMANDS[what]
    places = {"home": home, "set": home / SET, "run": home / RUN}
    said = cli(*(word.format(**places) for word in line.split()))
    text = read(said, home)
    assert [name for name in names if name not in text] == []


def test_the_card_shows_them_as_text(home: Path) -> None:
    text = (home / RUN / "README.md").read_text("utf-8").partition("\n# ")[2]
    shown = re.sub(r"\\([^\w\s]|_)", r"\1", text)
    assert [name for name in CLASSES if f"| {name} |" not in shown] == []
    for mark in (r"\[dog\]", r"\:cat:", r"\<b\>\&", r"a\|b\*c\`d\`\_e\_"):
        assert mark in text


def test_the_extra_that_a_network_needs_is_named(
    cli: Regraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.backbones.on_hand", lambda record: False)
    assert "'regraft[lite]'" in cli("models").out


@pytest.mark.parametrize("name", ["[dog]", "x[/a].jpg", ":smile:", "[red]", "a " * 200])
def test_a_message_a_warning_and_a_result_are_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.show_warnings()
    terminal.say(name)
    logging.getLogger("regraft").warning("%s", name)
    terminal.results().print(name, soft_wrap=True)
    out, err = capsys.readouterr()
    assert (out, err) == (f"{name}\n", f"{name}\nregraft: {name}\n")


def test_consoles_are_made_in_one_place() -> None:
    source = Path(terminal.__file__).parent.parent
    makers = [
        path.name
        for path in source.rglob("*.py")
        if re.search(r"\bConsole\(|\bprint\(.*markup", path.read_text("utf-8"))
    ]
    assert makers == []


# ---- terminals of other widths

NOTHING_LEFT_OUT = Audit((), (), {}, (), np.zeros(0, np.int64))
PATH = f"photos/{'x' * 60}.png"


def predicted_table(result: Result) -> None:
    predicted.show([[Prediction(PATH, tuple((name, 0.1) for name in CLASSES), known=False)]])


def queue(result: Result) -> None:
    images = [Unlabelled(PATH, n, name, 0.5) for n, name in enumerate(CLASSES, start=1)]
    found = Queue("run", "doubt", "It is so.", tuple(images), (), None, 9, 2, ())
    next_command._show(found, shown=len(images))


SHOWN: dict[str, Callable[[Result], None]] = {
    "plan": lambda run: tables.show_plan(terminal.results(), run.plan, NOTHING_LEFT_OUT, "cost"),
    "fit": lambda run: tables.show_result(
        terminal.results(), run.plan, run.metrics, run.changes, "cost"
    ),
    "predict": predicted_table,
    "next": queue,
    "models": lambda run: run_models(as_json=False),
    "cache": lambda run: run_cache(clear=False, as_json=False),
    "draw": lambda run: terminal.show(Fitting(lambda wide: diagram.text(of_plan(run.plan), wide))),
    "a problem": lambda run: cli_package._tell(f"It is not there.\n  - {PATH}: no such file."),
    "a list": lambda run: terminal.show(
        Indented(lines(["- " + LONG, f"`regraft {LONG}` is next."]))
    ),
}


def test_what_it_got_comes_first_then_case_picture_and_why_then_the_cost(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = load(home / RUN)
    SHOWN["fit"](run)
    said = " ".join(capsys.readouterr().out.split())
    drawn = " ".join(diagram.text(of_plan(run.plan)).plain.split())
    order = ("What it got on", run.plan.title, drawn, "Why", run.plan.reasons[0].fact, "What it c")
    places = [said.index(part) for part in order]
    assert places == sorted(places)


UNSAID = {"case", "reads", "image", "what", "key", "name", "tends", "detect", "edges", "colours"}
UNSAID |= {"texture", "shapes", "parts", "whole", "features", "classes"}
"""What a narrow terminal leaves out: what a stage sees, and names of columns that need none."""


def words_of(text: str) -> set[str]:
    """The words of a text, numbers and the like left out, which a narrower table may not show."""
    return {word.strip(",") for word in text.split() if re.search(r"[^\W\d]{2}|…", word)}


@pytest.mark.parametrize("what", SHOWN)
def test_no_word_is_broken_and_nothing_cut(
    what: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal of that width a line is longer only where it is a word, such as a path."""
    result = load(home / RUN)

    def at(width: int) -> str:
        monkeypatch.setattr(terminal, "results", lambda piped=0: terminal.PLAIN(width=width))
        monkeypatch.setattr(terminal, "messages", lambda: terminal.PLAIN(stderr=True, width=width))
        SHOWN[what](result)
        return "".join(capsys.readouterr())

    whole = at(1000)
    for text, width in ((at(80), 80), (at(40), 40)):
        assert words_of(text) - words_of(whole) == set()
        assert what == "draw" or words_of(whole) - words_of(text) <= UNSAID
        longer = [line.strip(" -") for line in text.splitlines() if cell_len(line) > width]
        assert [line for line in longer if " " in line and line[0] != "`"] == []
        named = CLASSES if what in ("predict", "next") else []
        told = " ".join(text.split())
        assert [name for name in named if " ".join(name.split()) not in told] == []


@pytest.mark.parametrize(("is_terminal", "colours"), [(True, "truecolor"), (False, None)])
def test_a_path_is_a_link_where_the_terminal_can(is_terminal: bool, colours: Any) -> None:
    out = terminal.PLAIN(
        file=io.StringIO(), force_terminal=is_terminal, color_system=colours, width=80
    )
    terminal.show(terminal.linked(Path("a b/report.html")), on=out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert ("\x1b]8;" in text and "/a%20b/report.html" in text) is is_terminal
    assert re.sub(r"\x1b\]8;[^\x1b]*\x1b\\", "", text) == "a b/report.html\n"


# ---- terminals of other encodings

ENCODINGS = ("cp1252", "cp437", "gbk", "ascii", "utf-8")

DRAWN: dict[str, str] = {
    "draw": "draw demonstration",
    "draw, a case": "draw demonstration --case 2",
    "plan": "plan {set} -b demonstration --case 1",
    "predict": "predict {run} {set} {home}/more",
    "models": "models",
    "no such DATA": "plan {home}/猫",
}


@dataclass
class Spoken:
    """What a command wrote on streams of an encoding."""

    code: int
    out: bytes
    err: bytes


Speak = Callable[..., Spoken]


@pytest.fixture
def speak(home: Path, monkeypatch: pytest.MonkeyPatch) -> Speak:
    """Run a command with streams of an encoding, which take nothing else."""

    def call(line: str, encoding: str) -> Spoken:
        streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, bytes_io in streams.items():
            text = io.TextIOWrapper(bytes_io, encoding=encoding, errors="strict")
            monkeypatch.setattr(sys, name, text)
        places = {"home": home, "set": home / SET, "run": home / RUN}
        code = main([word.format(**places) for word in line.split()])
        sys.stdout.flush()
        sys.stderr.flush()
        return Spoken(code, streams["stdout"].getvalue(), streams["stderr"].getvalue())

    return call


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("what", DRAWN)
def test_any_terminal_takes_it(what: str, encoding: str, speak: Speak) -> None:
    """Columns stay where they are in UTF-8: what has no character there has a twin as wide."""
    here, there = speak(DRAWN[what], encoding), speak(DRAWN[what], "utf-8")
    assert here.code == there.code == (1 if "no such" in what else 0)
    out, whole = here.out.decode(encoding), there.out.decode("utf-8")
    assert b"Traceback" not in here.err
    assert "\\u25" not in out
    assert bool(out) is (here.code == 0)
    if what.startswith("draw"):
        assert [len(line) for line in out.splitlines()] == [len(x) for x in whole.splitlines()]
    if encoding == "ascii" and what == "predict":
        assert "caf\\xe9 \\u732b" in out


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_for_programs_read_back(encoding: str, speak: Speak) -> None:
    """Every class name and file name comes back, whatever the terminal speaks."""
    said = speak("predict {run} {set} {home}/more --csv", encoding).out
    rows = list(csv.DictReader(io.StringIO(said.decode("utf-8", "surrogateescape"))))
    listed = speak("predict {run} {set} {home}/more --json", encoding).out
    found = json.loads(listed.decode(encoding))
    for one in (rows, found):
        names = {row["label"] for row in one}
        assert names <= set(CLASSES)
        assert "café 猫" in names
        assert {Path(row["path"]).name for row in one} >= {NO_TEXT, "a3]café 猫.png"}
    assert [row["label"] for row in rows] == [row["label"] for row in found]


def test_every_drawn_character_has_a_twin() -> None:
    """A new one in a drawing needs its twin in ASCII."""
    source = Path(terminal.__file__).parent.parent
    files = [*(source / "cli").glob("*.py"), source / "diagram/terminal.py"]
    drawn = set("".join(path.read_text("utf-8") for path in files))
    assert {letter for letter in drawn if not letter.isascii()} - set(TWINS) == set()
    assert all(twin.isascii() and len(twin) == 1 for twin in TWINS.values())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_process_of_that_encoding(encoding: str) -> None:
    words = [sys.executable, "-m", "regraft", "draw", "demonstration", "--case", "1"]
    env = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    done = subprocess.run(words, env=env, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "@@" in done.stdout.decode(encoding) or "==" in done.stdout.decode(encoding)
