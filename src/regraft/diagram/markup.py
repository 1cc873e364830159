"""Scenes -> SVG: one file that carries both arrangements and both palettes."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from html import escape

from regraft.diagram import style
from regraft.diagram.forms import FORMS, WIDE, Form
from regraft.diagram.layout import layout, picture
from regraft.diagram.legend import legend
from regraft.diagram.letters import shorten, width_of, wrap
from regraft.diagram.quarters import drawing_of
from regraft.diagram.scene import Fate, Scene
from regraft.diagram.sentences import INTRODUCTION, described, legend_of
from regraft.diagram.shapes import Item, Label, Outline, Solid, line, number, rounded
from regraft.diagram.words import QUARTERS_ABOUT, QUARTERS_TITLE


def svg(scene: Scene, *, key: str = "", alone: bool = True) -> str:
    """Return the picture of one scene.

    Args:
        scene: what it shows.
        key: the class of its root and the beginning of its names; derived from the scene if empty,
            so that two pictures on one page do not get into each other's way.
        alone: whether it is a file of its own. In a page it must stand in an element whose
            ``container-type`` is ``inline-size``; `regraft.diagram.html` sees to that.

    Returns:
        The same text for the same arguments; it has no scripts and asks for nothing else.
    """
    heading = f"{scene.network}: {scene.title}"
    bodies = [(form, form.height, _single(scene, form)) for form in FORMS]
    return _document(bodies, [scene], heading, described(scene), key, alone)


def series(scenes: Sequence[Scene], *, key: str = "", alone: bool = True) -> str:
    """Several scenes of one network under each other, as a lesson; see `svg`."""
    first = scenes[0]
    heading = f"{first.network}, pretrained on {first.source}, and what the cases make of it"
    bodies = [
        (form, form.crown + len(scenes) * form.panel + form.foot, _stacked(scenes, form))
        for form in FORMS
    ]
    words = " ".join(f"{scene.title}. {described(scene)}" for scene in scenes)
    return _document(bodies, scenes, heading, words, key, alone)


def quarters(scenes: Sequence[Scene], *, key: str = "", alone: bool = True) -> str:
    """Return the cases 1 to 4 of one network as the quarters of one plane; see `svg`."""
    heading = QUARTERS_TITLE.format(scenes[0].network)
    drawn = [(form, drawing_of(scenes, form)) for form in FORMS]
    bodies = [(form, one.height, "".join(_item(item) for item in one.items)) for form, one in drawn]
    said = " ".join(f"{scene.title}. {described(scene)}" for scene in scenes)
    return _document(bodies, scenes, heading, f"{QUARTERS_ABOUT} {said}", key, alone)


def _single(scene: Scene, form: Form) -> str:
    return "".join(_item(item) for item in picture(scene, form).items)


def _stacked(scenes: Sequence[Scene], form: Form) -> str:
    first, row = scenes[0], form.lesson
    heading = f"{first.network} and the four cases"
    room = form.width - 2 * form.margin
    if width_of(heading, row.size, bold=True) > room:
        heading = shorten(first.network, room, row.size, bold=True)
    found = [_item(Label(form.margin, row.y, heading, row.size, "bold", "start"))]
    below = wrap(INTRODUCTION, room, form.caption.size, 1)[0]
    found.append(_item(Label(form.margin, form.intro, below, form.caption.size, "soft", "start")))
    for i, scene in enumerate(scenes):
        top = form.crown + i * form.panel
        across = line((form.margin, top), (form.width - form.margin, top))
        found.append(f'<path class="rule" d="{across}"/>')
        inside = "".join(_item(item) for item in layout(_unnamed(scene), form))
        found.append(f'<g transform="translate(0 {number(top - form.lift)})">{inside}</g>')
    foot = form.crown + len(scenes) * form.panel
    found += [_item(item) for item in legend(legend_of(*scenes), form, foot)]
    return "".join(found)


def _unnamed(scene: Scene) -> Scene:
    """Return the scene without the network's name, which stands above all of them."""
    return replace(scene, network="")


def _document(
    bodies: Sequence[tuple[Form, float, str]],
    scenes: Sequence[Scene],
    heading: str,
    words: str,
    key: str,
    alone: bool,
) -> str:
    """Return the whole SVG. The narrow arrangement is stretched to the width of the wide one."""
    key = key or f"rg-{hashlib.sha256(f'{scenes}'.encode()).hexdigest()[:8]}"
    height = bodies[0][1]
    fates: list[Fate] = [fate for scene in scenes for fate in scene.fates]
    names = style.used(fates)
    forms = [form for form, _, _ in bodies]
    tall = "max-height:100vh;" if alone and len(scenes) == 1 else ""
    fit = f":root{{width:100%;height:auto;{tall}}}\n" if alone else ""
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{key}" role="img" '
            f'viewBox="0 0 {number(WIDE.width)} {number(height)}" '
            f'aria-labelledby="{key}-title {key}-desc">\n',
            f'<title id="{key}-title">{_text(heading)}</title>\n',
            f'<desc id="{key}-desc">{_text(words)}</desc>\n',
            f"<style>\n{fit}{style.sheet(names, key, forms, alone)}\n</style>\n<defs>",
            *(style.patterns(names, key, form) for form in forms),
            "</defs>\n",
            f'<path class="ground" d="{rounded(0, 0, WIDE.width, height, WIDE.radius)}"/>\n',
            *(_arrangement(form, body) for form, _, body in bodies),
            "</svg>\n",
        ]
    )


def _arrangement(form: Form, body: str) -> str:
    scale = WIDE.width / form.width
    stretched = "" if scale == 1 else f' transform="scale({scale:g})"'
    return f'<g class="{form.name}"{stretched}>\n{body}</g>\n'


def _item(item: Item) -> str:
    """One thing of the drawing."""
    if isinstance(item, Outline):
        return f'<path class="{item.style}" d="{item.d}"/>\n'
    if isinstance(item, Solid):
        inside = "".join(_item(outline) for outline in item.outlines)
        return f"<g><title>{_text(item.tooltip)}</title>\n{inside}</g>\n"
    style_of = f' class="{item.style}"' if item.style else ""
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    return (
        f'<text x="{number(item.x)}" y="{number(item.y)}" font-size="{number(item.size)}"'
        f"{style_of}{anchor}>{_text(item.text)}</text>\n"
    )


def _text(text: str) -> str:
    """Return the text as XML can hold it: escaped, without the characters that XML has not."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text), quote=False)
