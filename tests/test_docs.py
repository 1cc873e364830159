"""The check of the pages: it passes what holds, and names what does not."""

import re
from pathlib import Path

import pytest

import architecture
import docs
import families
import pages
from command import Regraft, cli, own_log

__all__ = ["cli", "own_log"]  # fixtures

RUNS = """\
# A page

<!-- run
from pathlib import Path
Path("photo.txt").write_text("seen")
-->

```python
kept = Path("photo.txt").read_text()
print(kept, 3.25)
```

<!-- output -->

```text
seen 3.25
```

```bash
cat photo.txt
```

<!-- output -->
```text
seen
```

<!-- output of: echo one two -->
```text
one two
```

<!-- not run: it would take the page's reader a day -->
```bash
exit 1
```

See [above](#a-page) and [itself](page.md#a-page).
"""


def check(tmp_path: Path, text: str, *, write: bool = False) -> tuple[list[str], str]:
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with docs.surroundings(tmp_path):
        problems = docs.check(page, write=write)
    return problems, page.read_text("utf-8")


def test_a_page_that_holds(tmp_path: Path) -> None:
    assert check(tmp_path, RUNS) == ([], RUNS)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seen 3.25\n```", "seen 9.99\n```", "line 16: the output is not what is printed"),
        ("one two\n```", "one three\n```", "line 30: the output is not what is printed"),
        ("cat photo.txt", "cat nothing.txt", "line 20: `cat nothing.txt` ended with 1"),
        ("print(kept, 3.25)", "print(lost)", "line 9: the example fails"),
        ("[above](#a-page)", "[above](#b-page)", "dead link #b-page: no such heading"),
        ("(page.md#a-page)", "(paper.md)", "dead link paper.md: no such file"),
        ("```bash\ncat", "```\ncat", "line 19: a fenced block must name its language"),
        ("<!-- output -->\n```", "<!-- outputs -->\n```", "no such marker: 'outputs'"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in RUNS
    problems, _ = check(tmp_path, RUNS.replace(old, new, 1))
    assert any(problem in found for found in problems), problems


def test_writing_renews_the_output_and_nothing_else(tmp_path: Path) -> None:
    stale = RUNS.replace("one two\n```", "one three\n```").replace("seen 3.25\n```", "lost\n```")
    assert check(tmp_path, stale, write=True) == ([], RUNS)


def test_an_example_fails_at_the_line_of_the_page(tmp_path: Path) -> None:
    problems, _ = check(tmp_path, RUNS.replace("print(kept, 3.25)", "print(lost)"))
    assert 'page.md", line 10' in problems[0]


def test_numbers_may_vary_and_words_may_not() -> None:
    assert pages.same("accuracy 91.2 %  ███ 4 s", "accuracy 8 %  █ 12.5 s", vary=True)
    assert not pages.same("accuracy 91.2 %", "precision 91.2 %", vary=True)
    assert not pages.same("accuracy 91.2 %", "accuracy 8 %", vary=False)


def test_a_comment_above_prose_marks_nothing() -> None:
    text = "<!-- not run: a note -->\nprose\n```python\nx\n```\n"
    assert [block.kind for block in pages.blocks(text)] == ["run"]


PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


DRAWN = {f"demonstration-{case}": ("--case", case) for case in range(5)}


@pytest.mark.parametrize("name", [*DRAWN, "four-cases"])
def test_the_pictures_of_the_tutorial_are_those_that_draw_writes(
    cli: Regraft, name: str, tmp_path: Path
) -> None:
    """Changed on purpose? ``make docs`` writes them anew."""
    words = DRAWN.get(name, ("--lesson",))
    assert cli("draw", "demonstration", *words, "-o", tmp_path / "drawn.svg").code == 0
    drawn = (tmp_path / "drawn.svg").read_text("utf-8")
    assert drawn == (PICTURES / f"{name}.svg").read_text("utf-8")
    assert docs.tutorial()[PICTURES / f"{name}.svg"] == drawn


def test_the_picture_of_the_imports_is_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "PICTURE", tmp_path / "picture.svg")
    monkeypatch.setattr(docs, "tutorial", dict)
    assert "is not what is drawn" in docs.pictures(write=False)[0]
    assert docs.pictures(write=True) == []
    assert docs.pictures(write=False) == []
    monkeypatch.setattr(architecture, "MODULES", {})
    monkeypatch.setattr(architecture, "purpose", lambda name, letters: "")
    assert len(docs.pictures(write=False)) == 1


def test_the_tables_of_networks_are_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are made anew by ``make check``; here, that they are there and that some hold."""
    pages = {name: (families.DOCS / name).read_text("utf-8") for name in families.TABLES}
    tables = {name: text.split(families.START)[1] for name, text in pages.items()}
    rows = {name: re.findall(r"^\|.*`.*\|$", table, re.M) for name, table in tables.items()}
    known = [row.split("`")[1] for row in rows["stages.md"]]
    assert known == [*families.FAMILIES.values()]
    known = [row.split("`")[1] for row in rows["networks.md"][1:]]
    assert known == [*families.NETWORKS]
    for name in pages:
        (tmp_path / name).write_text(f"before\n{families.START}old\n{families.END}after\n", "utf-8")
    monkeypatch.setattr(families, "DOCS", tmp_path)
    monkeypatch.setattr(families, "FAMILIES", {"ResNet": "resnet18"})
    some = ("resnet18.a1_in1k", "vit_small_patch14_dinov2.lvd142m@224")
    monkeypatch.setattr(families, "NETWORKS", some)
    assert len(families.problems(write=False)) == 2
    assert families.problems(write=True) == families.problems(write=False) == []
    written = {name: (tmp_path / name).read_text("utf-8") for name in pages}
    for name, text in written.items():
        assert (text.startswith("before\n"), text.endswith("after\n")) == (True, True)
        mine = [row for row in text.splitlines() if "resnet18" in row or "@224" in row]
        assert mine == [row for row in rows[name] if row in mine]
