"""``regraft report``: write report.html of a RUN, or of a comparison, anew."""

from pathlib import Path

from regraft.cli.terminal import say, say_written, show_warnings
from regraft.report import report


def run_report(run: Path, *, data: str | None, heat_maps: bool, network: str | None) -> None:
    """Draw the page from what lies in the folder, and from the images where they are at hand."""
    show_warnings()
    say_written(report(run, data=data, heat_maps=heat_maps, tell=say, network=network))
