"""Standard output and error that take any text, whatever the terminal's encoding.

A terminal of cp1252, gbk, cp437 or ASCII has no character for every class name, nor for the bars
and lines of the drawings. A drawn character becomes its twin in ASCII, as wide as itself, so that
columns stay in line; a letter of a name becomes its code with a backslash, so that names differ.
"""

import codecs
import io
import sys
from typing import TextIO

TWINS = {
    **dict(zip("█▓▒░▉▊▋▌▍▎▏", "@%=:#######", strict=True)),
    **dict(zip("·×✂●←→↓↑…–—−±", ".x%o<>v^~---~", strict=True)),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╞╪╡", "+"),
    "\N{NO-BREAK SPACE}": " ",
}
"""What the drawings and sentences are made of, and what stands for it in ASCII."""

HANDLER = "regraft.twins"


def adapt() -> None:
    """Let both streams take any text; those that somebody has replaced stay as they are."""
    codecs.register_error(HANDLER, _twin)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def for_tables() -> TextIO:
    """Open standard output for another program: UTF-8 in a file or pipe, whatever a terminal has.

    A file name that is no UTF-8 comes out as its own bytes, so that every name can be read back.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    return sys.stdout


def encodes(text: str) -> bool:
    """Return whether standard output has a character for each of a text's."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _twin(error: UnicodeError) -> tuple[str, int]:
    """Return the twins of what cannot be encoded, or codes with a backslash."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(TWINS.get(letter) or _code(letter) for letter in letters), error.end


def _code(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()
