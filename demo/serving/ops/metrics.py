"""Metrics: `/metrics` in Prometheus' text format. Numbers only: no text, no address, no session."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo.jobs.queue import count_jobs
from demo.lab import Lab

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}
_ENGINE = (  # field of the engine's counts, metric
    ("forward_passes", CounterMetricFamily, "forward_passes", "Passes through a model."),
    ("texts", CounterMetricFamily, "texts", "Texts that ran through a model."),
    ("cache_hits", CounterMetricFamily, "cache_hits", "Texts whose embedding was known already."),
    ("waiting", GaugeMetricFamily, "questions_waiting", "Questions that wait for the device."),
    ("models", GaugeMetricFamily, "models_loaded", "Models in memory."),
    ("model_bytes", GaugeMetricFamily, "models_bytes", "Memory that they take."),
)


class Metrics:
    """One process's counters. The engine's are read at each scrape."""

    def __init__(self, lab: Lab):
        self.registry = registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("lab_http_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "lab_http_request_duration_seconds",
            "Time to the whole answer; streams last as long as somebody listens.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        refused = "Requests refused in words, by the code."
        self._refused = Counter("lab_http_requests_refused", refused, ("code",), registry=registry)
        self.in_progress = Gauge("lab_http_requests_in_progress", "Answers under way.", registry=registry)
        registry.register(_LabCollector(lab))
        ProcessCollector(registry=registry)

    def count_request(self, method: str, route: str, status: int, seconds: float, code: str) -> None:
        """Count a request. code: of the error that refused it, or ""."""
        self._requests.labels(method if method in _METHODS else "other", route, status).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._refused.labels(code).inc()


class _LabCollector(Collector):
    """The counts that the engine and the job queues keep themselves."""

    def __init__(self, lab: Lab):
        self.lab = lab

    def collect(self) -> Iterator[Metric]:
        counts = self.lab.engine.counts()
        for field, kind, name, text in _ENGINE:
            yield kind(f"lab_engine_{name}", text, getattr(counts, field))
        jobs = GaugeMetricFamily("lab_jobs", "Long work of open pages.", labels=("state",))
        for state, count in count_jobs().items():
            jobs.add_metric((state,), count)
        yield jobs


def create_metrics_routes(metrics: Metrics, visibility: str) -> list[Route]:
    """`/metrics`. visibility: "off", "local" (for this machine itself, not through a proxy) or "all"."""

    def scrape(request: Request) -> Response:
        if visibility == "local" and not _is_local(request):
            return PlainTextResponse("Not found", 404)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [] if visibility == "off" else [Route("/metrics", scrape)]


def _is_local(request: Request) -> bool:
    """Whether this machine sent it. A proxy here sends for other machines, and adds a header."""
    try:
        loopback = ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
    return loopback and not any(name.startswith(("x-forwarded", "forwarded")) for name in request.headers)
