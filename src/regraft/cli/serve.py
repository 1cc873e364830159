"""``regraft serve``: a RUN behind a URL."""

import logging
import os
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.cli.terminal import say, show_warnings
from regraft.errors import UsageError

if TYPE_CHECKING:
    from regraft.serve import Listening

_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


def run_serve(
    run: Path,
    *,
    host: str,
    port: int,
    token: str | None,
    batch: int,
    wait: float,
    waiting: int,
    workers: int,
    cors: Sequence[str],
    access_log: bool,
    network: str | None,
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C; ``wait`` in milliseconds."""
    _check(token)
    show_warnings()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of damaged uploads
    from regraft.serve import serve

    start = time.perf_counter()

    def started(server: "Listening") -> None:
        seconds = time.perf_counter() - start
        each = f" in each of {workers} workers" if workers > 1 else ""
        say(f"{run} runs on {server.engine}{each}, ready after {seconds:.1f} s.")
        if token is None and not server.private:
            say(
                f"regraft: {server.url} can be reached from other machines, and anybody may "
                "ask: give a --token, or leave --host out."
            )
        say(f"Listening on {server.url} (API: {server.url}/docs). Ctrl-C stops.")

    serve(
        run,
        host=host,
        port=port,
        token=token,
        batch=batch,
        wait=wait,
        waiting=waiting,
        workers=workers,
        cors=cors,
        access_log=access_log,
        started=started,
        network=network,
    )
    say("Stopped; whatever was taken was answered.")


def _check(token: str | None) -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"To serve, {', '.join(missing)} must be installed.",
            ["`pip install 'regraft[serve]'` brings what is missing."],
        )
    if not (os.environ.get("REGRAFT_TOKEN", "-") if token is None else token).strip():
        raise UsageError(
            "The token must not be empty.",
            ["Give one as --token or REGRAFT_TOKEN, or leave out both and unset REGRAFT_TOKEN."],
        )
