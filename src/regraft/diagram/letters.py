"""How wide a text is, without a browser: breaking and shortening it to fit.

The widths are those of DejaVu Sans, rounded up; it is wider than what browsers set by default, so
a text that fits here fits there too.
"""

import unicodedata
from collections.abc import Sequence

_WIDTHS = {
    0.30: "'IJijl",
    0.35: " ,./:;\\|·",
    0.40: "()-[]ft²",
    0.45: "!r",
    0.50: '"*_`–',
    0.55: "?csz",
    0.60: "FLkvxy",
    0.65: "$0123456789EPSTYabdeghnopqu{}",
    0.70: "ABCKRVXZ",
    0.75: "NU",
    0.80: "&DGHOQ",
    0.85: "#+<=>^w~×→",
    0.90: "M",
    1.00: "%@Wm…",
}
_EMS = {letter: width for width, letters in _WIDTHS.items() for letter in letters}
_BOLD = 1.11
_OTHER = 0.75


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Estimated width of a text, in the unit of its size."""
    return sum(_em(letter) for letter in text) * size * (_BOLD if bold else 1.0)


def shorten(text: str, room: float, size: float, bold: bool = False) -> str:
    """Return the text, with its middle left out where it is too wide.

    Its end tells stages apart.
    """
    if width_of(text, size, bold) <= room:
        return text
    for left_out in range(1, len(text)):
        half = (len(text) - left_out + 1) // 2
        tried = f"{text[:half]}…{text[half + left_out :]}"
        if width_of(tried, size, bold) <= room:
            return tried
    return "…"


def wrap(text: str, room: float, size: float, most: int, bold: bool = False) -> list[str]:
    """Return the text in at most so many lines, broken between words.

    What is left over ends in '…'.
    """
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most:
        count = next((n for n in range(len(words), 0, -1) if _fits(words[:n], room, size, bold)), 1)
        lines.append(" ".join(words[:count]))
        words = words[count:]
    if words:
        lines[-1] = _ended(f"{lines[-1]} {' '.join(words)}", room, size, bold)
    return [shorten(line, room, size, bold) for line in lines]


def stems(names: Sequence[str]) -> list[str]:
    """Return the names without the path that all of those with a path begin with: denseblock1."""
    paths = {name[: name.rfind(".", 0, _first_end(name)) + 1] for name in names if "." in name}
    path = min(paths, key=len) if paths else ""
    if not all(longer.startswith(path) for longer in paths):
        return list(names)
    return [name.removeprefix(path) for name in names]


def figures(names: Sequence[str]) -> list[str]:
    """Return the names without the letters that all of them begin with: 0–19 for layer0–19."""
    letters = {name.rstrip("0123456789–") for name in names}
    letter = min(letters, key=len)
    rest = [name.removeprefix(letter) for name in names]
    return rest if letters == {letter} and all(rest) else list(names)


def _first_end(name: str) -> int:
    """Where the first name of a range ends: blocks.0–5."""
    return name.find("–") if "–" in name else len(name)


def _fits(words: Sequence[str], room: float, size: float, bold: bool) -> bool:
    return width_of(" ".join(words), size, bold) <= room


def _ended(text: str, room: float, size: float, bold: bool) -> str:
    """As much of the beginning of a text as there is room for, and an ellipsis."""
    while text and width_of(f"{text}…", size, bold) > room:
        text = text[:-1]
    return f"{text.rstrip(' ,.;:')}…"


def _em(letter: str) -> float:
    wide = unicodedata.east_asian_width(letter) in "WF"
    return 1.05 if wide else _EMS.get(letter, _OTHER)
