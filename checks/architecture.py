"""Draw which package imports which: docs/pictures/architecture.svg, from the imports themselves.

A staircase: every package is a step, and what it imports is a dot to its left, below the step of
what is imported. Nothing lies right of a step but the imports that are named as doors.
"""

import ast
from collections import Counter
from html import escape

from packages import DOORS, HOME, LAYERS, MODULES, PACKAGES, imports, package

PICTURE = HOME / "docs" / "pictures" / "architecture.svg"

CELL, LEFT, TOP = 27, 168, 84  # px
WIDE = LEFT + CELL * len(PACKAGES) + 420  # px; the last steps have room for their words
COLOURS = {  # of a layer's steps and dots, on light and on dark ground
    "ground": ("#64748b", "#94a3b8"),
    "what is known": ("#2f6ea8", "#79b4ea"),
    "networks at work": ("#7a4fa3", "#c09be0"),
    "a run": ("#1f7a45", "#6cc78f"),
    "beside and after it": ("#b5660a", "#f0ad58"),
    "for the outside": ("#b03a5b", "#f08fab"),
}
SIZES = ((10, 8.0), (3, 5.5), (1, 3.5))  # from so many imports on, a dot's radius in px
LETTER = 6.9  # px, a letter's usual width


def counted() -> Counter[tuple[str, str]]:
    """How many imports of one package lead into another."""
    found: Counter[tuple[str, str]] = Counter()
    for module, path in MODULES.items():
        for target, _, _ in imports(path, path.read_text("utf-8")):
            if target.split(".")[0] == "regraft" and package(target) != package(module):
                found[package(module), package(target)] += 1
    return found


def purpose(name: str, letters: float) -> str:
    """What a package says of itself: the first line of its docstring, or as much as has room."""
    path = MODULES.get(f"regraft.{name}") or MODULES[f"regraft.{name}.__init__"]
    first = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines()[0]
    whole = first.removeprefix("regraft: ").replace("``", "").rstrip(".")
    parts = (whole, whole.partition(":")[0], whole.partition(",")[0])
    return next((part for part in parts if len(part) <= letters), parts[-1])


def drawn() -> str:
    """The picture as SVG."""
    count = counted()
    high = TOP + CELL * len(PACKAGES) + 26
    parts = [
        _text(28, 38, "What imports what", "title"),
        _text(28, 60, _legend(), "soft"),
        *(_layer(layer) for layer in LAYERS),
        *(_step(name, count) for name in PACKAGES),
    ]
    label = "Packages of regraft from the ground up: each imports only from those above it."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" role="img" '
        f'aria-label="{label}">\n<title>{label}</title>\n<style>{_style()}</style>\n'
        f'<rect class="ground" width="{WIDE}" height="{high}" rx="10"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _legend() -> str:
    return (
        "A dot: the package of its row imports that of its column; a large one, ten times or more. "
        "A ring: against the order, only inside a function."
    )


def _style() -> str:
    def rules(which: int, ground: str, ink: str, soft: str, rule: str) -> str:
        return (
            f".ground{{fill:{ground}}}text{{fill:{ink}}}.soft{{fill:{soft}}}"
            f".rule{{stroke:{rule}}}.band{{fill:{ink};fill-opacity:.035}}"
            + "".join(
                f".l{n}{{fill:{pair[which]};stroke:{pair[which]}}}text.l{n}{{stroke:none}}"
                for n, pair in enumerate(COLOURS.values())
            )
            + ".door{fill:none;stroke-width:2.2}"
        )

    return (
        'text{font:14px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}'
        ".title{font-size:20px;font-weight:650}.name{font-weight:650}.soft{font-size:13px}"
        ".layer{font-size:13px;font-weight:600;text-anchor:end}"
        + rules(0, "#fcfcfa", "#1d2733", "#56626f", "#e2e6ea")
        + f"@media(prefers-color-scheme:dark){{"
        f"{rules(1, '#15191e', '#eef1f4', '#a9b4c0', '#2b333c')}}}"
    )


def _layer(layer: str) -> str:
    """Its name beside its steps, on a band where every second layer lies."""
    number, names = list(LAYERS).index(layer), LAYERS[layer]
    first = PACKAGES.index(names[0])
    y, high = TOP + CELL * first, CELL * len(names)
    band = f'<rect class="band" x="0" y="{y}" width="{WIDE}" height="{high}"/>'
    name = _text(LEFT - 18, y + high / 2 + 5, layer, f"layer l{number}")
    return (band if number % 2 == 0 else "") + name


def _step(name: str, count: Counter[tuple[str, str]]) -> str:
    """A package: the lines that lead to its step, its dots, its step, its name, what it is for."""
    row = PACKAGES.index(name)
    colour = next(f"l{n}" for n, layer in enumerate(LAYERS.values()) if name in layer)
    x, y = _middle(row, LEFT), _middle(row, TOP)
    parts = [
        f'<path class="rule" fill="none" d="M{LEFT} {y:g}H{x:g}V{TOP + CELL * len(PACKAGES)}"/>'
    ]
    end = x
    for column, other in enumerate(PACKAGES):
        if number := count[name, other]:
            how = f"{colour} door" if (name, other) in DOORS else colour
            at, size = _middle(column, LEFT), next(size for least, size in SIZES if number >= least)
            title = f"{name} imports {other}"
            parts.append(
                f'<circle class="{how}" cx="{at:g}" cy="{y:g}" r="{size:.1f}">'
                f"<title>{title}</title></circle>"
            )
            end = max(end, at)
    side = 15
    parts.append(
        f'<rect class="{colour}" x="{x - side / 2:g}" y="{y - side / 2:g}" width="{side}" '
        f'height="{side}" rx="3"/>'
    )
    start = end + 17
    room = (WIDE - start - 9) / LETTER - 1.3 * len(name)
    words = f'<tspan class="name">{name}</tspan>'
    words += f'<tspan class="soft" dx="9">{escape(purpose(name, room))}</tspan>'
    parts.append(f'<text x="{start:g}" y="{y + 5:g}">{words}</text>')
    return "".join(parts)


def _middle(place: int, start: float) -> float:
    return start + CELL * (place + 0.5)


def _text(x: float, y: float, words: str, how: str) -> str:
    return f'<text class="{how}" x="{x:g}" y="{y:g}">{escape(words)}</text>'
