"""``regraft serve``: a RUN behind a URL."""

import logging
import os
import socket
import time
from importlib.util import find_spec
from pathlib import Path

from regraft.cli.terminal import say, show_warnings
from regraft.errors import UsageError
from regraft.run.api import load

_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


def run_serve(
    run: Path, host: str, port: int, token: str | None, batch: int, wait: float, waiting: int
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C; ``wait`` in milliseconds."""
    _check(token)
    show_warnings()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of damaged uploads
    from regraft import serve

    start = time.perf_counter()
    with serve.bound(host, port) as place:
        model = serve.ready(load(run))
        app = serve.application(
            model,
            serve.Limits(waiting=waiting),
            batching=serve.Batching(batch, wait / 1000),
            token=token,
        )
        seconds = time.perf_counter() - start
        say(f"{run} runs on {model.engine.name}, ready after {seconds:.1f} s.")
        _warn(place, token)
        serve.serve(app, place, started=lambda server: say(_where(place)))
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


def _warn(place: socket.socket, token: str | None) -> None:
    from regraft import serve

    if token is None and not serve.is_private(place):
        say(
            f"regraft: {serve.address(place)} can be reached from other machines, and anybody may "
            "ask: give a --token, or leave --host out."
        )


def _where(place: socket.socket) -> str:
    from regraft import serve

    return f"Listening on {serve.address(place)} (API: {serve.address(place)}/docs). Ctrl-C stops."
