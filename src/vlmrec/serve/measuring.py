"""Counts and times of a service, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Measures:
    """What a service counts. Paths are those of the routes, so their number is bounded."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "vlmrec_requests_total",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "vlmrec_request_seconds",
            "Time from request to answer.",
            ("method", "route"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self.together = Histogram(
            "vlmrec_batch_size",
            "Lists that were made in one go.",
            registry=self._registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
        )
        self.events = Counter("vlmrec_events_total", "Events stored.", registry=self._registry)
        self.items = Gauge(
            "vlmrec_items", "Items that may be recommended.", registry=self._registry
        )
        self.fallbacks = Counter(
            "vlmrec_fallbacks_total", "Lists made by popularity.", registry=self._registry
        )

    def text(self) -> bytes:
        """Returns all measures as Prometheus reads them."""
        return generate_latest(self._registry)
