"""How a server answers, as one record that goes to every worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp

from regraft.serve.app import Batching, application
from regraft.serve.limits import Limits
from regraft.serve.model import Model


@dataclass(frozen=True)
class Settings:
    """What `regraft.serve.serve` is told; ``wait`` in milliseconds."""

    token: str | None = None
    batch: int = 32
    wait: float = 3.0
    waiting: int = 256
    cors: Sequence[str] = ()
    access_log: bool = True

    def application(self, model: Model) -> ASGIApp:
        """Return what answers with a model."""
        return application(
            model,
            Limits(waiting=self.waiting),
            batching=Batching(images=self.batch, seconds=self.wait / 1000),
            token=self.token,
            cors=self.cors,
            access_log=self.access_log,
        )
