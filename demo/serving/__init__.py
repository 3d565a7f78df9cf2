"""Serving: what the server answers beside the page, and what every request passes. Knows no widget, computes nothing.

Routes come before the page's own ones; middleware stands around all of them. What it defends against, and where that
is tested, stands in CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from demo.lab import Lab
from demo.serving.api.calls import Programs
from demo.serving.api.mcp import create_mcp_routes
from demo.serving.api.openai import create_openai_routes
from demo.serving.limits.body_limits import Bodies
from demo.serving.limits.rates import AtOnce, Rates
from demo.serving.ops.asset_cache import Compressed
from demo.serving.ops.health import health_routes
from demo.serving.ops.metrics import Metrics, create_metrics_routes
from demo.serving.ops.request_log import Observing
from demo.serving.refusal import Say, say_plainly
from demo.serving.security.allowed_routes import Doors
from demo.serving.security.headers import SecurityHeaders

_MOST_OF_A_STRANGER = 2**20  # bytes of one question: 350,000 letters of Korean
_MOST = 32 * 2**20


def create_routes(lab: Lab, metrics: Metrics | None = None) -> Sequence[BaseRoute]:
    """What other programs ask for."""
    programs = Programs(lab)
    told = create_metrics_routes(metrics or Metrics(lab), lab.settings.metrics)
    return [*health_routes(lab), *told, *create_openai_routes(programs), *create_mcp_routes(programs)]


def create_middleware(
    lab: Lab,
    metrics: Metrics | None = None,
    routes: Sequence[BaseRoute] = (),
    say: Say = say_plainly,
    scripts: Sequence[str] = (),
) -> Sequence[Middleware]:
    """What every request passes, the outermost first.

    routes: our own, which are open. say: how a refusal is worded. scripts: what the page's head runs.
    """
    settings = lab.settings
    whose = {"behind_proxy": settings.behind_proxy}
    crowd, rates = [], []
    if settings.public:
        crowd = [Middleware(AtOnce, **whose, say=say)]
        rates = [Middleware(Rates, settings.person_rate, settings.address_rate, **whose, say=say)]
    return [
        Middleware(Observing, metrics or Metrics(lab), routes, say),
        Middleware(Compressed),
        Middleware(SecurityHeaders, scripts, embedded=settings.on_spaces),
        Middleware(Doors, routes, **whose),
        *crowd,
        Middleware(Bodies, _MOST_OF_A_STRANGER if settings.public else _MOST, say=say),
        *rates,
    ]
