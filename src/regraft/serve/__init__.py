"""A RUN behind a URL: an API for programs, a page for people, metrics for who looks after it.

``application(ready(result))`` is an ASGI application; `listen` answers on a socket, and
`serve` is all of it. One process and one engine: requests put their images into one queue
(`regraft.serve.batching`).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from regraft.errors import UsageError
from regraft.results.load import load
from regraft.results.result import Result
from regraft.serve.app import Batching, application
from regraft.serve.limits import Limits
from regraft.serve.listening import address, bound, is_private, listen
from regraft.serve.model import Model, ready
from regraft.verb import calls_package

__all__ = [
    "Batching",
    "Limits",
    "Listening",
    "Model",
    "address",
    "application",
    "bound",
    "is_private",
    "listen",
    "ready",
    "serve",
]


@dataclass(frozen=True)
class Listening:
    """A server that answers: its address, what runs the network, and what ends it.

    ``private``: whether only this machine can connect to it. ``stop`` may be called from any
    thread; the server finishes what it has taken.
    """

    url: str
    engine: str
    private: bool
    stop: Callable[[], None]


@calls_package
def serve(
    run: str | os.PathLike[str] | Result,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    batch: int = 32,
    wait: float = 3.0,
    waiting: int = 256,
    started: Callable[[Listening], None] = lambda server: print(f"Listening on {server.url}"),
    network: object | None = None,
) -> None:
    """Answer over HTTP with a RUN until SIGTERM, Ctrl-C or ``stop``; then finish what was taken.

    ``POST /predict`` takes image files of any size and gives each its classes with calibrated
    shares of probability, in 0..1; ``/docs`` describes the API, and the root is a page to drop
    images on. In a notebook, call it in a thread: ``Thread(target=regraft.serve, args=("run",))``.

    Args:
        run: the RUN folder, or a result.
        host: the address to listen on.
        port: the port, 0 to 65535; 0 takes a free one.
        token: a bearer token that every request but for the page and its health has to bring.
        batch: images that are run together at most.
        wait: milliseconds that an image waits for others.
        waiting: images that may wait; more are refused with 503.
        started: called once, as soon as clients can connect.
        network: of a RUN folder of a network of your own: that network; see `regraft.load`.

    Raises:
        RunError: the RUN is damaged, or the address is none of this machine or taken.
        UsageError: the token is empty.
    """
    if token is not None and not token.strip():
        raise UsageError("The token must not be empty.", ["Leave it out to ask for none."])
    with bound(host, port) as place:
        model = ready(run if isinstance(run, Result) else load(run, network=network))
        batching = Batching(images=batch, seconds=wait / 1000)
        app = application(model, Limits(waiting=waiting), batching=batching, token=token)

        def listening(stop: Callable[[], None]) -> None:
            started(Listening(address(place), model.engine.name, is_private(place), stop))

        listen(app, place, started=listening)
