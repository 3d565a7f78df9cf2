"""Metrics: what a Prometheus server asks for at `/metrics`. Numbers only: no text, no address, no session."""

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


class Metrics:
    """One process's counters. The engine's are read when they are asked for."""

    def __init__(self, lab: Lab):
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lab_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "lab_http_request_duration_seconds",
            "Time to the whole answer; streams last as long as somebody listens.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "lab_http_requests_refused", "Requests refused in words, by the code.", ("code",), registry=self.registry
        )
        self.in_progress = Gauge("lab_http_requests_in_progress", "Answers under way.", registry=self.registry)
        self.registry.register(_Lab(lab))
        ProcessCollector(registry=self.registry)

    def count_request(self, method: str, route: str, status: int, seconds: float, refused: str) -> None:
        """One request. refused: the code of the sentence that was said, or ""."""
        self._requests.labels(method if method in _METHODS else "other", route, status).inc()
        self._seconds.labels(route).observe(seconds)
        if refused:
            self._refused.labels(refused).inc()


class _Lab(Collector):
    """What the engine and the desks of long work know of themselves."""

    def __init__(self, lab: Lab):
        self.lab = lab

    def collect(self) -> Iterator[Metric]:
        counts = self.lab.engine.counts()
        told = {
            "forward_passes": "Passes through a model.",
            "texts": "Texts that ran through a model.",
            "cache_hits": "Texts whose embedding was known already.",
        }
        for name, what in told.items():
            yield CounterMetricFamily(f"lab_engine_{name}", what, getattr(counts, name))
        held = {
            "waiting": ("lab_engine_questions_waiting", "Questions that wait for the device."),
            "models": ("lab_engine_models_loaded", "Models in memory."),
            "model_bytes": ("lab_engine_models_bytes", "Memory that they take."),
        }
        for field, (name, what) in held.items():
            yield GaugeMetricFamily(name, what, getattr(counts, field))
        jobs = GaugeMetricFamily("lab_jobs", "Long work of open pages.", labels=("state",))
        for state, count in count_jobs().items():
            jobs.add_metric((state,), count)
        yield jobs


def create_metrics_routes(metrics: Metrics, whose: str) -> list[Route]:
    """`/metrics`. whose: "off", "local" (asked from this machine itself, through no proxy) or "all"."""

    def answer(request: Request) -> Response:
        if whose == "local" and not _from_here(request):
            return PlainTextResponse("Not found", 404)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [] if whose == "off" else [Route("/metrics", answer)]


def _from_here(request: Request) -> bool:
    """Whether this machine asks itself. A proxy on it would ask for others, and says so."""
    try:
        here = ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
    return here and not any(name.startswith(("x-forwarded", "forwarded")) for name in request.headers)
