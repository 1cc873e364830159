"""Read a Markdown page as its fenced blocks, each with the marker that stands above it.

A marker is an HTML comment, so a reader never sees it:

===============================  =================================================================
``<!-- output of: COMMAND -->``  the next block is what COMMAND prints (a help text, say)
``<!-- output -->``              the next block is what the last block that was run printed
``<!-- not run: REASON -->``     the next block is not run
``<!-- run`` code ``-->``        Python that is run but not shown (makes the files a page speaks of)
===============================  =================================================================

``numbers vary`` at the end of an output marker (``<!-- output, numbers vary -->``) compares the
words only: times and accuracies differ between machines. Blocks in ``python`` and ``bash`` are run
from top to bottom, those of one page in one empty folder, the Python ones in one namespace.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

RUN = ("python", "bash")
VARY = re.compile(r",?\s*numbers vary$")
TOKEN = re.compile(
    r"""
    ^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ ]*$
    | ^<!--(?P<comment>.*?)-->
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


class PageError(Exception):
    """A page that says something that does not hold."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where its body lies in the page, and what is to be done with it."""

    kind: str  # 'run' | 'output' | 'output of' | 'shown'
    language: str
    body: str
    start: int  # of the body, in characters from the start of the page
    line: int  # of the body's first line, from 1
    command: str = ""
    vary: bool = False


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page, hidden ones too, in their order."""
    marker = ""
    end = 0
    for token in TOKEN.finditer(text):
        if marker and text[end : token.start()].strip():
            marker = ""  # a comment that stands above prose marks nothing
        end = token.end()
        if token["comment"] is None:
            yield _fenced(text, token, marker)
            marker = ""
        elif token["comment"].startswith(" run\n"):
            start = token.start("comment") + len(" run\n")
            yield Block(
                "run", "python", text[start : token.end("comment")], start, _line(text, start)
            )
        else:
            marker = token["comment"].strip()


def _fenced(text: str, token: re.Match[str], marker: str) -> Block:
    language, start = token["language"].strip(), token.start("body")
    line = _line(text, start)
    if not language:
        raise PageError(f"line {line - 1}: a fenced block must name its language (text, if none)")
    vary = bool(VARY.search(marker))
    marker = VARY.sub("", marker)
    kind, command = "run" if language in RUN else "shown", ""
    if marker.startswith("output of:"):
        kind, command = "output of", marker.removeprefix("output of:").strip()
    elif marker == "output":
        kind = "output"
    elif marker.startswith("not run:"):
        kind = "shown"
    elif marker.startswith(("output", "not run", "run")):
        raise PageError(f"line {line - 1}: no such marker: {marker!r}")
    return Block(kind, language, token["body"], start, line, command, vary)


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def same(written: str, printed: str, *, vary: bool) -> bool:
    """Tell whether a block says what was printed, to the word or but for the numbers."""
    if vary:
        return _words(written) == _words(printed)
    return written.strip() == printed.strip()


def _words(text: str) -> list[str]:
    # Where numbers vary, so do the bars of a chart, the lines of a table and the padding.
    return re.sub(r"[\u2500-\u259f]+", " ", re.sub(r"[-+]?\d[\d.,:]*", "#", text)).split()


def dead_links(text: str, anchors: dict[str, set[str]], exists: dict[str, bool]) -> list[str]:
    """Name the relative links whose file or heading is not there."""
    dead = []
    for target in links(text):
        path, _, anchor = target.partition("#")
        if not exists[path]:
            dead.append(f"{target}: no such file")
        elif anchor and anchor not in anchors.get(path, {anchor}):
            dead.append(f"{target}: no such heading")
    return dead


def links(text: str) -> list[str]:
    """List the relative link targets of a page, outside its fenced blocks."""
    prose = TOKEN.sub("", text)
    return re.findall(r"\]\((?!\w+:)<?([^)\s>]+)", prose)


def headings(text: str) -> set[str]:
    """Give the anchors that a page's headings make."""
    titles = re.findall(r"^#+\s+(.+?)\s*$", TOKEN.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
