"""Serving: what the server answers beside the page, and what every request passes. Knows no widget, computes nothing.

Routes come before the page's own ones; middleware stands around all of them. What it defends against, and where that
is tested, stands in CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from demo.lab import Lab
from demo.serving.api.calls import ApiCalls
from demo.serving.api.mcp import create_mcp_routes
from demo.serving.api.openai import create_openai_routes
from demo.serving.limits.body_limits import BodyLimits
from demo.serving.limits.rates import ConcurrencyLimit, RateLimit
from demo.serving.ops.asset_cache import AssetCache
from demo.serving.ops.health import create_health_routes
from demo.serving.ops.metrics import Metrics, create_metrics_routes
from demo.serving.ops.request_log import RequestLog
from demo.serving.refusal import Translate, in_english
from demo.serving.security.allowed_routes import AllowedRoutes
from demo.serving.security.headers import SecurityHeaders

_MOST_OF_A_STRANGER = 2**20  # bytes of one question: 350,000 letters of Korean
_MOST = 32 * 2**20


def create_routes(lab: Lab, metrics: Metrics | None = None) -> Sequence[BaseRoute]:
    """What other programs ask for."""
    calls = ApiCalls(lab)
    told = create_metrics_routes(metrics or Metrics(lab), lab.settings.metrics)
    return [*create_health_routes(lab), *told, *create_openai_routes(calls), *create_mcp_routes(calls)]


def create_middleware(
    lab: Lab,
    metrics: Metrics | None = None,
    routes: Sequence[BaseRoute] = (),
    translate: Translate = in_english,
    scripts: Sequence[str] = (),
) -> Sequence[Middleware]:
    """What every request passes, the outermost first.

    routes: our own, which are open. translate: how a refusal is worded. scripts: what the page's head runs.
    """
    settings = lab.settings
    whose = {"behind_proxy": settings.behind_proxy}
    crowd, rates = [], []
    if settings.public:
        crowd = [Middleware(ConcurrencyLimit, **whose, translate=translate)]
        rates = [Middleware(RateLimit, settings.person_rate, settings.address_rate, **whose, translate=translate)]
    return [
        Middleware(RequestLog, metrics or Metrics(lab), routes, translate),
        Middleware(AssetCache),
        Middleware(SecurityHeaders, scripts, embedded=settings.on_spaces),
        Middleware(AllowedRoutes, routes, **whose),
        *crowd,
        Middleware(BodyLimits, _MOST_OF_A_STRANGER if settings.public else _MOST, translate=translate),
        *rates,
    ]
