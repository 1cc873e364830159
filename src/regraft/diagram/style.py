"""Colours, patterns and type of the pictures: one style sheet, light and dark.

Every fate has a colour and a pattern. All colours are custom properties of the picture's own root,
so that a page can set them; before each stands the plain colour, for readers that know none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from regraft.diagram.forms import BREAK, Form
from regraft.diagram.scene import Fate
from regraft.diagram.shapes import circle, line, rectangle

FONT = (
    'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans",'
    '"DejaVu Sans",sans-serif'
)

LIGHT = {
    "ground": "#fcfcfa",
    "ink": "#1d2733",
    "soft": "#45515f",
    "quiet": "#667281",
    "rule": "#c5ccd4",
    "flow": "#7d8894",
    "cut": "#c0312b",
    "pretrained": "#cfdae8",
    "pretrained-ink": "#5b7797",
    "frozen": "#c3dbf2",
    "frozen-ink": "#2f6ea8",
    "trained": "#f9d9a6",
    "trained-ink": "#b5660a",
    "scratch": "#e9d3ee",
    "scratch-ink": "#8a3f9e",
    "removed": "#f1f2f3",
    "removed-ink": "#939ca6",
    "new": "#bfe6c8",
    "new-ink": "#1f7a45",
    "sky": "#dbe9f4",
    "sun": "#f4c04d",
    "far": "#9cb8a4",
    "near": "#5f8d6f",
    "light": ".3",
    "shade": ".11",
}
DARK = {
    "ground": "#15191e",
    "ink": "#eef1f4",
    "soft": "#c5cdd6",
    "quiet": "#98a3af",
    "rule": "#3f4955",
    "flow": "#7f8b98",
    "cut": "#ff7a70",
    "pretrained": "#3a4a5e",
    "pretrained-ink": "#9db4d0",
    "frozen": "#23466b",
    "frozen-ink": "#86bdf0",
    "trained": "#66460f",
    "trained-ink": "#f3b557",
    "scratch": "#532c60",
    "scratch-ink": "#d99cec",
    "removed": "#1d2228",
    "removed-ink": "#707b87",
    "new": "#1d5233",
    "new-ink": "#7ddb9d",
    "sky": "#33475a",
    "sun": "#e8b54a",
    "far": "#4a6b57",
    "near": "#6f9b7d",
    "light": ".1",
    "shade": ".26",
}


@dataclass(frozen=True)
class Pattern:
    """What is repeated over an area: a square tile with strokes and dots in it."""

    tile: float
    strokes: str = ""
    dots: str = ""
    width: float = 1.0


PATTERNS: dict[str, Pattern] = {
    "pretrained": Pattern(8),
    "frozen": Pattern(7, strokes="M-1 8L8 -1M-4.5 4.5L4.5 -4.5M2.5 11.5L11.5 2.5", width=1.1),
    "trained": Pattern(8, dots=circle(2, 2, 1.2) + circle(6, 6, 1.2)),
    "scratch": Pattern(
        13,
        strokes=line((2, 3), (4.5, 2)) + line((8.5, 5), (9.2, 7.6)) + line((3, 9), (4.6, 10.8)),
        dots=circle(11, 1.6, 0.7) + circle(9.8, 11, 0.7),
    ),
    "removed": Pattern(8),
    "new": Pattern(6, strokes="M0 3H6M3 0V6", width=0.9),
}


def used(fates: Sequence[Fate]) -> tuple[str, ...]:
    """Return the patterns that some fates need."""
    wanted: list[str] = []
    for fate in fates:
        wanted += ["trained", "scratch"] if fate == "either" else [fate]
    return tuple(name for name in PATTERNS if name in wanted)


def patterns(names: Sequence[str], key: str, form: Form) -> str:
    """Return the patterns as SVG, for one arrangement.

    ``key`` makes their names the picture's own.
    """
    return "".join(_pattern(name, f"{key}-{form.name}-{name}", form) for name in names)


def _pattern(name: str, identity: str, form: Form) -> str:
    pattern, scale = PATTERNS[name], 1.0 if form.detailed else 0.62
    tile = f"{pattern.tile:g}"
    inside = f'<path class="{name}-tile" d="{rectangle(0, 0, pattern.tile, pattern.tile)}"/>'
    if pattern.strokes:
        width = f"{pattern.width:g}"
        inside += f'<path class="{name}-line" stroke-width="{width}" d="{pattern.strokes}"/>'
    if pattern.dots:
        inside += f'<path class="{name}-dot" d="{pattern.dots}"/>'
    return (
        f'<pattern id="{identity}" width="{tile}" height="{tile}" patternUnits="userSpaceOnUse" '
        f'patternTransform="scale({scale:g})">{inside}</pattern>'
    )


def sheet(names: Sequence[str], key: str, forms: Sequence[Form], alone: bool) -> str:
    """Return the style sheet of one picture.

    Args:
        names: the patterns it uses.
        key: the class of its root.
        forms: its arrangements, the wide one first.
        alone: whether it is a file of its own, which measures itself; else it is part of a page,
            inside an element that is measured.
    """
    root = f".{key}"
    rules = [
        f"{root}{{{_colours(LIGHT)}font-family:{FONT}}}",
        f"@media (prefers-color-scheme:dark){{{root}{{{_colours(DARK)}}}}}",
    ]
    if not alone:
        rules += [
            f'[data-jp-theme-light="true"] {root},.vscode-light {root}{{{_colours(LIGHT)}}}',
            f'[data-jp-theme-light="false"] {root},.vscode-dark {root}{{{_colours(DARK)}}}',
        ]
    rules += [f"{root} {rule}" for rule in _rules()]
    rules += [f"{root} .{rule}" for name in names for rule in _fate_rules(name)]
    rules += [
        f"{root} .{form.name} .{name}{{fill:url(#{key}-{form.name}-{name})}}"
        for form in forms
        for name in names
    ]
    wide, narrow = (f"{root} .{form.name}" for form in forms)
    query = "@media" if alone else "@container"
    rules += [
        f"{narrow}{{display:none}}",
        f"{query} (max-width:{BREAK - 1}px){{{narrow}{{display:inline}}{wide}{{display:none}}}}",
    ]
    return "\n".join(_plain_first(rule) for rule in rules)


def _colours(palette: dict[str, str]) -> str:
    return "".join(f"--rg-{name}:{colour};" for name, colour in palette.items())


_THIN = ("thin", "bracket", "grain", "patches", "crossed")


def _rules() -> list[str]:
    return [
        ".ground{fill:var(--rg-ground);stroke:none}",
        ".rule{stroke:var(--rg-rule);fill:none;stroke-width:1}",
        "text{fill:var(--rg-ink)}",
        ".soft{fill:var(--rg-soft)}",
        ".quiet{fill:var(--rg-quiet)}",
        ".strong{fill:var(--rg-new-ink);font-weight:600}",
        ".cutting{fill:var(--rg-cut)}",
        ".bold{font-weight:650}",
        ".italic{font-style:italic}",
        ".flow{stroke:var(--rg-flow);fill:none}",
        ".tip{fill:var(--rg-flow);stroke:none}",
        ".class{fill:var(--rg-new-ink);stroke:none}",
        ".reads{stroke:var(--rg-new-ink);fill:none}",
        ".tap{fill:var(--rg-new-ink);stroke:none}",
        ".bracket{stroke:var(--rg-flow);fill:none}",
        ".cut{stroke:var(--rg-cut);fill:none}",
        ".blade{stroke:var(--rg-cut);fill:none;stroke-linecap:round}",
        ".tray{fill:none;stroke:var(--rg-rule)}",
        ".light{fill:#fff;fill-opacity:.3;fill-opacity:var(--rg-light);stroke:none}",
        ".shade{fill:#000;fill-opacity:.13;fill-opacity:var(--rg-shade);stroke:none}",
        ".edge{fill:none;stroke-linejoin:round}",
        ".frame{stroke:var(--rg-quiet)}",
        ".sky{fill:var(--rg-sky)}",
        ".sun{fill:var(--rg-sun)}",
        ".far{fill:var(--rg-far)}",
        ".near{fill:var(--rg-near)}",
        ".grain{fill:none;stroke:var(--rg-ink);stroke-opacity:.4}",
        ".patches{fill:none;stroke:#fff;stroke-opacity:.55}",
        ".crossed{fill:none;stroke:var(--rg-removed-ink)}",
        ".wide{stroke-width:1.6}",
        ".narrow{stroke-width:.8}",
        ".wide .cut{stroke-width:2.2;stroke-dasharray:8 6}",
        ".narrow .cut{stroke-width:1.2;stroke-dasharray:4 3}",
        ".wide .tray{stroke-dasharray:3 5}",
        ".narrow .tray{stroke-dasharray:2 2.5}",
        ".wide .removed-edge{stroke-dasharray:5 4}",
        ".narrow .removed-edge{stroke-dasharray:2 1.6}",
        ".wide .scratch-edge{stroke-dasharray:2 3}",
        ".narrow .scratch-edge{stroke-dasharray:1 1.4}",
        *(f".wide .{name}{{stroke-width:1.1}}" for name in _THIN),
        *(f".narrow .{name}{{stroke-width:.55}}" for name in _THIN),
    ]


def _fate_rules(name: str) -> list[str]:
    return [
        f"{name}-tile{{fill:var(--rg-{name})}}",
        f"{name}-line{{stroke:var(--rg-{name}-ink);fill:none}}",
        f"{name}-dot{{fill:var(--rg-{name}-ink)}}",
        f"{name}-edge{{stroke:var(--rg-{name}-ink)}}",
    ]


def _plain_first(rule: str) -> str:
    """Return the rule, with the plain light colour before every custom property."""
    return re.sub(
        r"(fill|stroke):var\(--rg-([\w-]+)\)",
        lambda found: f"{found[1]}:{LIGHT[found[2]]};{found[0]}",
        rule,
    )
