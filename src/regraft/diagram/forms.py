"""The two arrangements of a picture, for a wide page and for a phone: where everything lies.

Both have the same proportions, so that a page leaves the same room for either. Lengths are units of
the arrangement's own width: on a phone of 400 px a unit of the narrow one is a pixel.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Lines of text: the first baseline, the size of the letters, from line to line, how many."""

    y: float
    size: float
    leading: float = 0.0
    most: int = 1


@dataclass(frozen=True)
class Form:
    """An arrangement."""

    name: str
    width: float
    height: float
    panel: float
    """Height of one of several pictures under each other."""
    lift: float
    """How much higher everything lies there, where the network's name stands above all."""
    crown: float
    """Height of what stands above the first of several pictures."""
    foot: float
    """Height of what stands below the last one."""
    margin: float
    radius: float
    """Of the corners of the ground."""
    eyebrow: Row
    title: Row
    caption: Row
    lesson: Row
    """The title of several pictures."""
    intro: float
    """The baseline of the sentence below it."""
    cut: Row
    rail: float
    """Where the lines run that read several stages."""
    top: float
    bottom: float
    """Between these the network stands."""
    names: Row
    shapes: Row
    bracket: float
    sees: Row
    legend: Row
    """The first baseline, from the top of the foot."""
    swatch: float
    """Side of a square of the legend."""
    gap: float
    """Least distance between two blocks."""
    thin: float
    thick: float
    """Width of a block with 3 and with 2,048 channels."""
    bar: float
    """Width of a fully connected layer."""
    image: float
    """Least width of the image's column."""
    cutting: float
    """Width of the gap of the cut."""
    fan: float
    """From the new layer to its classes."""
    dot: float
    """Radius of a class."""
    classes: int
    """Most dots of classes."""
    most: int
    """Most blocks before the cut."""
    most_removed: int
    patches: int
    """Most patches along a side of the image."""
    detailed: bool
    """Whether there is room for channels, and for names of classes."""
    short: bool
    """Whether captions are the short ones."""

    @property
    def axis(self) -> float:
        """The height at which the network runs from left to right."""
        return (self.top + self.bottom) / 2


NARROW = Form(
    name="narrow",
    width=400,
    height=284,
    panel=232,
    lift=12,
    crown=52,
    foot=40,
    margin=12,
    radius=6,
    eyebrow=Row(17, 10),
    title=Row(32, 13.5),
    caption=Row(46, 10.5, 12.5, 3),
    lesson=Row(24, 14),
    intro=40,
    cut=Row(85, 10),
    rail=91,
    top=96,
    bottom=184,
    names=Row(197, 10),
    shapes=Row(209, 10),
    bracket=215,
    sees=Row(226, 10, 11, 2),
    legend=Row(17, 10, 14, 2),
    swatch=9,
    gap=5,
    thin=3.5,
    thick=13,
    bar=7,
    image=50,
    cutting=16,
    fan=18,
    dot=2,
    classes=5,
    most=8,
    most_removed=3,
    patches=7,
    detailed=False,
    short=True,
)

WIDE = Form(
    name="wide",
    width=1000,
    height=710,
    panel=580,
    lift=28,
    crown=130,
    foot=100,
    margin=36,
    radius=12,
    eyebrow=Row(44, 15),
    title=Row(80, 29),
    caption=Row(110, 17, 24, 2),
    lesson=Row(64, 32),
    intro=98,
    cut=Row(172, 15),
    rail=184,
    top=196,
    bottom=462,
    names=Row(490, 14.5),
    shapes=Row(510, 13.5, 18, 2),
    bracket=540,
    sees=Row(561, 14, 18, 2),
    legend=Row(44, 15, 28, 2),
    swatch=18,
    gap=16,
    thin=9,
    thick=40,
    bar=20,
    image=104,
    cutting=40,
    fan=44,
    dot=4.5,
    classes=7,
    most=9,
    most_removed=4,
    patches=14,
    detailed=True,
    short=False,
)

FORMS = (WIDE, NARROW)
BREAK = 760
"""Below this width in px the narrow arrangement is shown."""
