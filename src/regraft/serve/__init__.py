"""A RUN behind a URL: an API for programs, a page for people, metrics for who looks after it.

``application(ready(result))`` is an ASGI application; `listen` answers on a socket, and
`serve` is all of it. One process and one engine: requests put their images into one queue
(`regraft.serve.batching`).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regraft.errors import UsageError
from regraft.results.load import load
from regraft.results.result import Result, folder_of
from regraft.serve.app import Batching, application
from regraft.serve.limits import Limits
from regraft.serve.listening import address, bound, is_private, listen
from regraft.serve.model import Model, ready
from regraft.serve.origins import checked
from regraft.serve.settings import Settings
from regraft.serve.workers import Crew, check
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
    workers: int = 1,
    cors: Sequence[str] = (),
    access_log: bool = True,
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
        waiting: images that may wait, for each worker; more are refused with 503.
        workers: processes, each with a model of its own and a share of the cores.
        cors: origins whose pages may ask, like ``https://shop.example``; ``*`` is any.
        access_log: write a line on standard error for every request.
        started: called once, as soon as clients can connect.
        network: of a RUN folder of a network of your own: that network; see `regraft.load`.
            Workers need it as ``package.module:factory``.

    Raises:
        RunError: the RUN is damaged, or the address is none of this machine or taken.
        UsageError: the token is empty, an origin is none, or there cannot be so many workers.
    """
    if token is not None and not token.strip():
        raise UsageError("The token must not be empty.", ["Leave it out to ask for none."])
    check(workers)
    settings = Settings(token, batch, wait, waiting, checked(cors), access_log)
    with bound(host, port) as place:
        url, private = address(place), is_private(place)
        if workers > 1:
            crew = Crew(folder_of(run), _named(network), settings, place, workers)
            crew.serve(lambda engine, stop: started(Listening(url, engine, private, stop)))
            return
        model = ready(run if isinstance(run, Result) else load(run, network=network))

        def listening(stop: Callable[[], None]) -> None:
            started(Listening(url, model.engine.name, private, stop))

        listen(settings.application(model), place, started=listening)


def _named(network: object | None) -> str | None:
    if network is None or isinstance(network, str):
        return network
    raise UsageError(
        "Workers make a network of your own themselves, so they have to know where.",
        ["Name it like package.module:factory, or leave out the workers."],
    )
