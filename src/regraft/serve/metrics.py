"""What the server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "regraft_requests", "Requests answered", ["status"], registry=self._registry
        )
        self._images = Counter(
            "regraft_images", "Images by what came of them", ["outcome"], registry=self._registry
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
            "regraft_waiting_images", "Images taken and not answered yet", registry=self._registry
        )

    def answered(self, status: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(str(status)).inc()

    def image(self, outcome: str) -> None:
        """Count an image that was classified, or had a problem of this code."""
        self._images.labels(outcome).inc()

    def predicted(self, seconds: float) -> None:
        """Note how long a request for a prediction took."""
        self._seconds.observe(seconds)

    def batch(self, size: int) -> None:
        """So many images went through the engine together."""
        self._batches.observe(size)

    def watch(self, waiting: Callable[[], float]) -> None:
        """Where to read how many images wait."""
        self._waiting.set_function(waiting)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
