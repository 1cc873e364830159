"""What the server counts, for Prometheus.

With several workers each counts in files of a folder that ``PROMETHEUS_MULTIPROC_DIR`` names, and
whichever is asked tells the sum.
"""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, classes: Sequence[str] = ()) -> None:
        """``classes``: those of the RUN, each of which is counted from 0 on."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "regraft_requests", "Requests answered", ["status"], registry=self._registry
        )
        self._images = Counter(
            "regraft_images", "Images by what came of them", ["outcome"], registry=self._registry
        )
        predictions = Counter(
            "regraft_predictions",
            "Images by their likeliest class",
            ["class"],
            registry=self._registry,
        )
        self._predictions = {name: predictions.labels(_plain(name)) for name in classes}
        self._confidence = Histogram(
            "regraft_confidence",
            "Share of probability of the likeliest class",
            buckets=_SHARES,
            registry=self._registry,
        )
        self._unknown = Counter(
            "regraft_unknown_images",
            "Images that are like no training image",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "regraft_predict_seconds",
            "Seconds from a request for a prediction to its answer, the upload included",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "regraft_batch_images",
            "Images that were run together",
            buckets=_IMAGES,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "regraft_waiting_images",
            "Images taken and not answered yet",
            multiprocess_mode="livesum",
            registry=self._registry,
        )

    def answered(self, status: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(str(status)).inc()

    def image(self, outcome: str) -> None:
        """Count an image that was classified, or had a problem of this code."""
        self._images.labels(outcome).inc()

    def classified(self, name: str, confidence: float, known: bool | None) -> None:
        """Count what the network made of an image."""
        self.image("classified")
        self._predictions[name].inc()
        self._confidence.observe(confidence)
        if known is False:
            self._unknown.inc()

    def predicted(self, seconds: float) -> None:
        """Note how long a request for a prediction took."""
        self._seconds.observe(seconds)

    def batch(self, size: int) -> None:
        """So many images went through the engine together."""
        self._batches.observe(size)

    def waiting(self, images: int) -> None:
        """So many images wait now."""
        self._waiting.set(images)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _plain(name: str) -> str:
    """Return a class's name in UTF-8, which the name of a folder need not be."""
    return name.encode("utf-8", "backslashreplace").decode()
