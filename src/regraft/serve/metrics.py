"""What the server counts, for Prometheus.

With several workers each counts in files of a folder that ``PROMETHEUS_MULTIPROC_DIR`` names, and
whichever is asked tells the sum.
"""

import os
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from regraft.heads.tasks import AnswerRule
from regraft.results.prediction import Prediction

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_LABELS = (0, 1, 2, 3, 5, 8, 13, 21)
_STEPS = (-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, classes: Sequence[str] = (), rule: AnswerRule | None = None) -> None:
        """``classes``: those of the RUN, each of which is counted from 0 on; ``rule``: its own."""
        self._registry = CollectorRegistry()
        self.classified = self._counter(classes, rule)
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
            "regraft_waiting_images",
            "Images taken and not answered yet",
            multiprocess_mode="livesum",
            registry=self._registry,
        )

    def _counter(
        self, classes: Sequence[str], rule: AnswerRule | None
    ) -> Callable[[Prediction], None]:
        """Return what counts what the network made of an image."""
        if rule is None:
            count = _count_classes(self._registry, classes)
        elif rule.kind == "several":
            count = _count_labels(self._registry, classes)
        else:
            count = _count_numbers(self._registry, classes[0], rule)

        def classified(found: Prediction) -> None:
            self.image("classified")
            count(found)

        return classified

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


def _count_classes(
    registry: CollectorRegistry, classes: Sequence[str]
) -> Callable[[Prediction], None]:
    predictions = Counter(
        "regraft_predictions", "Images by their likeliest class", ["class"], registry=registry
    )
    of = {name: predictions.labels(_plain(name)) for name in classes}
    confidence = Histogram(
        "regraft_confidence",
        "Share of probability of the likeliest class",
        buckets=_SHARES,
        registry=registry,
    )
    unknown = Counter(
        "regraft_unknown_images", "Images that are like no training image", registry=registry
    )

    def count(found: Prediction) -> None:
        of[found.label].inc()
        confidence.observe(found.confidence)
        if found.known is False:
            unknown.inc()

    return count


def _count_labels(
    registry: CollectorRegistry, classes: Sequence[str]
) -> Callable[[Prediction], None]:
    given = Counter(
        "regraft_labels", "Images that a label was given to", ["label"], registry=registry
    )
    of = {name: given.labels(_plain(name)) for name in classes}
    many = Histogram(
        "regraft_labels_an_image", "Labels given to an image", buckets=_LABELS, registry=registry
    )

    def count(found: Prediction) -> None:
        labels = found.labels or ()
        many.observe(len(labels))
        for name in labels:
            of[name].inc()

    return count


def _count_numbers(
    registry: CollectorRegistry, name: str, rule: AnswerRule
) -> Callable[[Prediction], None]:
    value = Histogram(
        "regraft_value",
        f"Numbers told ({_plain(name)}); mean and spread of the training images make the buckets",
        buckets=[rule.mean + step * rule.spread for step in _STEPS],
        registry=registry,
    )

    def count(found: Prediction) -> None:
        if found.value is not None:
            value.observe(found.value)

    return count


def _plain(name: str) -> str:
    """Return a class's name in UTF-8, which the name of a folder need not be."""
    return name.encode("utf-8", "backslashreplace").decode()
