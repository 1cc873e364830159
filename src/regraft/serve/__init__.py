"""A RUN behind a URL: an API for programs, a page for people, metrics for who looks after it.

``application(ready(result))`` is an ASGI application; :func:`serve` answers on a socket. One
process and one engine: requests put their images into one queue (:mod:`regraft.serve.batching`).
"""

from regraft.serve.app import Batching, application
from regraft.serve.limits import Limits
from regraft.serve.listening import address, bound, is_private, serve
from regraft.serve.model import Model, ready

__all__ = [
    "Batching",
    "Limits",
    "Model",
    "address",
    "application",
    "bound",
    "is_private",
    "ready",
    "serve",
]
