"""The course of training for TensorBoard, as it goes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from regraft.errors import UsageError

FOLDER = "tensorboard"
"""Of the event files, in ``RUN.unfinished`` while it is trained and in RUN afterwards."""

SCALARS = ("loss", "validation_loss", "validation_accuracy", "rate", "images_per_second")


@contextmanager
def event_log(place: Path) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Write event files into a folder; yields what is to be told every row of the log.

    Raises:
        UsageError: the tensorboard package is not there.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError(
            "--log tensorboard needs the tensorboard package.",
            ["Install it with pip install 'regraft[log]', or leave out --log: log.csv has it all."],
        ) from None
    writer = SummaryWriter(str(place / FOLDER))

    def on_event(row: Mapping[str, object]) -> None:
        if row.get("step") == "train":
            for name in SCALARS:
                if name in row:
                    value, epoch = float(str(row[name])), int(str(row["epoch"]))
                    writer.add_scalar(f"{row['what']}/{name}", value, epoch)
            writer.flush()

    try:
        yield on_event
    finally:
        writer.close()
