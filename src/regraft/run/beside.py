"""What a run needs after the pass, made ready while the engine is opened and runs."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from regraft.backbones import Backbone
from regraft.features import norm_shift
from regraft.features.engines import Engine, Floats, Pixels
from regraft.features.engines.store import home
from regraft.features.norm_shift import Opened


class Beside:
    """Makes it ready in a thread of its own, once there is a pass that computes something.

    What is ready changes no result. What cannot be made ready is made where it is needed, which
    says why it cannot.
    """

    def __init__(self, backbone: Backbone, folder: Path) -> None:
        self._trunks = home(folder, backbone)
        self._backbone = backbone
        self._thread: Thread | None = None
        self._shift: Opened | None = None

    def begin(self) -> None:
        """Begin, unless that was done."""
        if self._thread is None:
            self._thread = Thread(target=self._make, daemon=True)
            self._thread.start()

    def shift(self, trunks: Path) -> Opened | None:
        """Return what measures the shift with what lies in ``trunks``, if it was made ready."""
        if self._thread is not None:
            self._thread.join()
        return self._shift if trunks == self._trunks else None

    def _make(self) -> None:
        with suppress(Exception):
            import scipy.linalg  # noqa: F401  (takes a third of a second)

            self._shift = norm_shift.ready(self._backbone, self._trunks)


class Watched:
    """An engine that says when it is first called."""

    def __init__(self, engine: Engine, begin: Callable[[], None]) -> None:
        self.name, self.batch = engine.name, engine.batch
        self._engine, self._begin = engine, begin

    def __call__(self, pixels: Pixels) -> list[Floats]:
        """Return the features that the engine gives."""
        self._begin()
        return self._engine(pixels)
