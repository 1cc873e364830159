"""How each kind's measure is said, and what is got without looking at an image."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Words:
    """The words of one kind of question."""

    measure: str
    """Its name."""
    key: str
    """That in ``metrics.json``; its 95 % interval is there too, as ``KEY_interval``."""
    guessing: str
    """What the measure is held to, in words that begin a sentence: ``always naming ...``."""
    guess: str
    """The same, shorter."""
    reaches: str
    """A verb, and what stands before a value: ``tells``."""
    of: str = ""
    """What stands after it."""
    better: str = ""
    """What a better stage does."""
    most: str = "best"
    """What the one of the largest value is."""
    short: str = ""
    """Its name over a column; empty where it is short already."""
    places: int | None = None
    """Digits after the point; None where it is told in per cent."""

    def told(self, value: float) -> str:
        """Return a value of the measure: 83.1%, 0.831."""
        if self.places is None:
            return f"{value:.1%}"
        said = f"{value:.{self.places}f}"
        return said.replace("-", "−") if float(said) else said.lstrip("-")

    def tick(self, value: float) -> str:
        """Return it beside an axis: 83%, 0.8."""
        return f"{value:.0%}" if self.places is None else f"{value:g}".replace("-", "−")

    @property
    def head(self) -> str:
        """Its name over a column."""
        return self.short or self.measure

    @property
    def title(self) -> str:
        """Its name at the beginning of a sentence."""
        return self.measure[0].upper() + self.measure[1:]

    def span(self, ends: tuple[float, float] | list[float]) -> str:
        """Return an interval of it: 80.2% to 85.0%."""
        return f"{self.told(ends[0])} to {self.told(ends[1])}"

    def dashed(self, ends: tuple[float, float]) -> str:
        """Return an interval of it in a narrow column: 80.2–85.0."""
        if self.places is None:
            return f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}"
        return f"{self.told(ends[0])}–{self.told(ends[1])}"

    def got(self, value: float) -> str:
        """Return it with its name: accuracy 83.1%."""
        return f"{self.measure} {self.told(value)}"

    def tells(self, value: float) -> str:
        """Return what comes after a subject: tells 83.1%, reaches an R2 of 0.831."""
        return f"{self.reaches} {self.told(value)}"


_WORDS: Final = {
    "one": Words(
        "accuracy",
        "accuracy",
        "always naming the commonest class",
        "the commonest class, always",
        "tells",
        " of the images",
        "tells the classes apart better",
        "most accurate",
    ),
    "several": Words(
        "mean average precision",
        "mean_average_precision",
        "giving all images the same probabilities",
        "the same for every image",
        "reaches a mean average precision of",
        better="tells the labels better",
        short="mAP",
    ),
    "number": Words(
        "R2",
        "r2",
        "always naming the mean",
        "the mean, always",
        "reaches an R2 of",
        better="tells the number better",
        places=3,
    ),
}


def words_by(measure: str | None) -> Words:
    """Return the words of what is judged by a measure of this name; None is accuracy."""
    return next(one for one in _WORDS.values() if one.measure == (measure or "accuracy"))


def words_of(kind: str) -> Words:
    """Return the words of a kind: ``one``, ``several`` or ``number``."""
    return _WORDS[kind]
