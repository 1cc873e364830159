"""Scenes in a page: the SVG itself, inside an element whose width decides its arrangement."""

from collections.abc import Sequence

from regraft.diagram.markup import series, svg
from regraft.diagram.scene import Scene


def html(scene: Scene | Sequence[Scene], *, key: str = "") -> str:
    """Return the picture of one scene, or of several under each other, to be put into a page.

    Its names and rules are its own, so that several pictures can stand on one page; the same scene
    twice on a page needs two keys.
    """
    picture = (
        svg(scene, key=key, alone=False)
        if isinstance(scene, Scene)
        else series(scene, key=key, alone=False)
    )
    return in_page(picture)


def in_page(picture: str) -> str:
    """Return a picture that was made with ``alone=False``, in the element that measures it."""
    return (
        '<div class="regraft-picture" style="container-type:inline-size;max-width:1100px">'
        f"{picture}</div>"
    )
