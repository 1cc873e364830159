"""``regraft predict``: classify images with a RUN."""

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from regraft.cli import predicted, streams
from regraft.cli.sort_into import check_folder, sorting
from regraft.cli.terminal import progress_bar, say, show_warnings
from regraft.data.dataset import some
from regraft.data.readers.folder import images_below
from regraft.errors import DataError, UsageError
from regraft.results.load import load
from regraft.results.result import Prediction, Result
from regraft.whole_file import check_table, write_whole

LOT = 1024
"""Images that are classified, and told of, at a time."""


def run_predict(
    run: Path,
    images: Sequence[str],
    *,
    top: int,
    network: str | None,
    as_csv: bool,
    as_json: bool,
    out: Path | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Print a class for every image; name those that cannot be read, and exit 1 if none could.

    ``out``: a table to write instead; ``folder``: where copies of the images go, by class.
    """
    show_warnings()
    form = "json" if as_json else "csv" if as_csv else "table"
    if out is not None:
        check_table(out, (".csv", ".json"), overwrite=overwrite)
        form = out.suffix.lower().removeprefix(".")
    if folder is not None:
        check_folder(folder, images)
    model, found = load(run, network=network), find(images)
    if folder is not None and model.kind == "number":
        raise UsageError(
            f"--sort-into makes a folder for each class, and {run} tells a number "
            f"({model.classes[0]}).",
            ["Leave it out; --csv writes the number of each image."],
        )
    seen = predicted.Tally(model.kind)
    target = streams.for_tables() if form == "csv" else sys.stdout
    with nullcontext() if folder is None else sorting(folder) as sorter:
        lots = _lots(model, found.images, top, sorter, seen)
        if form == "table":
            predicted.show(lots, model.kind, model.classes[0])
        else:
            texts = predicted.texts(form, lots, min(top, len(model.classes)), model.kind)
            if out is not None:
                write_whole(out, texts, "table")
            else:
                for text in texts:
                    print(text, end="", file=target, flush=True)
    say(*(f"not classified: {path}: {problem}" for path, problem in seen.unread))
    if found.others:
        say(f"passed over, no images by their names: {', '.join(some(found.others))}")
    if out is not None or folder is not None:
        say(*seen.said(), *[f"Written to {place}." for place in (out, folder) if place])
    if seen.unread and not seen.read:
        raise DataError("None of the images could be read.")


def _lots(
    model: Result,
    images: Sequence[str],
    top: int,
    sorter: Callable[[Prediction], None] | None,
    seen: predicted.Tally,
) -> Iterator[list[Prediction]]:
    """Classify the images lot by lot, and sort them; ``seen`` counts them.

    There is a bar while a lot is classified, and none where it is printed.
    """
    for start in range(0, len(images), LOT):
        with progress_bar("classifying") as report:
            lot = model.predict(
                images[start : start + LOT],
                top,
                progress=lambda done, _: report(start + done, len(images)),  # noqa: B023
            )
        if sorter is not None:
            for prediction in lot:
                sorter(prediction)
        seen.add(lot)
        yield lot


@dataclass
class Found:
    """Paths of images, each once, and what lay beside them in the folders that were named."""

    images: list[str]
    others: list[str]


def find(words: Iterable[str]) -> Found:
    """Return the image files that words mean: a file, all images below a folder, or a glob pattern.

    In a folder whatever `regraft.fit` would read is an image; a file that is named itself may
    be called anything.

    Raises:
        DataError: words that mean nothing; all of them are named.
    """
    found = {word: _meant(word) for word in words}
    nothing = [word for word, meant in found.items() if not meant.images]
    if nothing:
        problems = [f"{word}: no such file, folder with images, or match." for word in nothing]
        raise DataError("Some of what is to be classified is not there.", problems)
    images = dict.fromkeys(path for meant in found.values() for path in meant.images)
    others = dict.fromkeys(path for meant in found.values() for path in meant.others)
    return Found(list(images), list(others))


def _meant(word: str) -> Found:
    if os.path.isdir(word):
        images, others = images_below(word)
        return Found(
            [os.path.join(word, path) for path in images],
            [os.path.join(word, path) for path in others],
        )
    if os.path.lexists(word):
        return Found([word], [])
    matches = glob.glob(word, recursive=True)
    return Found(sorted(path for path in matches if os.path.isfile(path)), [])
