"""The course of training for TensorBoard, as it goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.errors import UsageError
from regraft.plan.events import Epoch, Event, OnEvent

FOLDER = "tensorboard"
"""Of the event files, in ``RUN.unfinished`` while it is trained and in RUN afterwards."""

SCALARS = ("loss", "validation_loss", "validation_accuracy", "rate", "images_per_second")


@contextmanager
def event_log(place: Path) -> Iterator[OnEvent]:
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

    def on_event(row: Event) -> None:
        if isinstance(row, Epoch):
            for name in SCALARS:
                if (value := getattr(row, name)) is not None:
                    writer.add_scalar(f"{row.what}/{name}", value, row.epoch)
            writer.flush()

    try:
        yield on_event
    finally:
        writer.close()
