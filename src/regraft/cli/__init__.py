"""The command line: ``regraft plan``, ``fit``, ``compare``, ``predict``, ``models``, ...

Results go to standard output; progress and messages to standard error; ``--json`` prints one JSON
document and nothing else. Exit code 0 done, 1 could not, 2 wrong usage, 130 interrupted.
"""

import shutil
import sys
from collections.abc import Sequence
from functools import partialmethod
from typing import Any

STOPPED = 130
"""Exit code after Ctrl-C: 128 plus the number of SIGINT, as shells have it."""


FRAMED = 70
"""Columns from which help is in frames."""
BESIDE = 8
"""Columns of a name that what it is for stands beside; else that is below it."""

LEFT_OUT = ("torch", "torchvision", "timm", "lightning_fabric", "scipy", "sklearn")
"""What regraft needs and a server of a RUN does not: see requirements/serve.in."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from regraft import distributed
    from regraft.cli import streams
    from regraft.errors import RegraftError

    streams.adapt()
    try:
        with distributed.rank_zero_output():
            return _run(arguments)
    except RegraftError as error:
        _tell(f"{distributed.error_prefix()}{error}")
        return error.exit_code
    except KeyboardInterrupt:
        if distributed.is_rank_zero():
            _tell("stopped; nothing half-written was left behind.")
        return STOPPED
    except RuntimeError as error:
        if not distributed.peer_failed(error):
            raise
        whose = distributed.error_prefix()
        _tell(f"{whose}another process of the group is gone.")
        return 1
    except ModuleNotFoundError as error:
        if error.name not in LEFT_OUT:
            raise
        _tell(str(_without(error.name)))
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # what read our output is gone; nobody is left to tell
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        whose = distributed.error_prefix()
        _tell(f"{whose}'{error.filename}': {error.strerror}.")
        return 1


def _tell(problem: str) -> None:
    from regraft.cli.terminal import say

    say(f"regraft: {problem}")


def _without(module: str | None) -> Exception:
    from regraft.errors import RunError

    return RunError(
        f"This needs {module}, which is not installed.",
        [
            "`pip install regraft` brings it.",
            "Without it there are `serve` and `predict`, of a RUN that `regraft export RUN --to "
            "serve` made ready.",
        ],
    )


def _run(arguments: Sequence[str] | None) -> int:
    from typer.main import get_command

    from regraft.cli import hand_over, networks, which  # noqa: F401  (they add their commands to the app)
    from regraft.cli.app import app

    given = None if arguments is None else list(arguments)
    command = get_command(app)
    _leave_out_types_of_flags(command)
    try:
        command.main(args=given, prog_name="regraft", obj=main, **_room(command))
    except SystemExit as leaving:
        if leaving.code == STOPPED:
            raise KeyboardInterrupt from None
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0


def _room(app: Any) -> dict[str, Any]:
    """Let help on a narrow terminal do without frames and columns, which would cut the options."""
    columns = shutil.get_terminal_size().columns
    if columns >= FRAMED:
        return {}
    usual = app.context_class.formatter_class
    below = partialmethod(usual.write_dl, col_max=BESIDE)
    formatter = type("Formatter", (usual,), {"write_dl": below})
    context = type("Context", (app.context_class,), {"formatter_class": formatter})
    for command in (app, *app.commands.values()):
        command.rich_markup_mode, command.context_class = None, context
    return {"terminal_width": columns}


def _leave_out_types_of_flags(app: Any) -> None:
    """Let help say ``--json``, not ``--json <bool>``: nothing follows a flag."""
    from typer import Context

    root = Context(app, **app.context_settings)
    for command in (app, *app.commands.values()):
        for parameter in command.get_params(Context(command, parent=root)):
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
