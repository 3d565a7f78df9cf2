"""Serving: routes beside the page, and the middleware that every request passes. Knows no widget, computes nothing.

The middleware, in order, with the responses that each gives by itself:

    RequestLog         500 our exception; 507 a full disk; 400 a request that Gradio cannot read
    EndWithServer      503 the server stops
    AllowedHosts       421 a host that is not this lab's (private hosts)
    AssetCache         304 the browser has the file already
    SecurityHeaders    (adds headers only)
    AllowedRoutes      404 address not on the allow-list; 405 method; 403 another site's page (CSRF)
    ConcurrencyLimit   429 too many responses under way to one address (public hosts)
    BodyLimits         413 body too large; 408 body too slow; 400 JSON nested too deep
    RateLimit          429 too many requests, bytes, uploads or page loads a minute (public hosts)

CONTRIBUTING.md names the threat behind each, and its test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import Scope

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
from demo.serving.ops.shutdown import EndWithServer, UnderWay
from demo.serving.refusal import Translate
from demo.serving.security.allowed_hosts import AllowedHosts
from demo.serving.security.allowed_routes import AllowedRoutes
from demo.serving.security.headers import SecurityHeaders

_MOST_PUBLIC = 2**20  # bytes of a body: 350,000 letters of Korean
_MOST = 32 * 2**20


def create_routes(lab: Lab, metrics: Metrics | None = None) -> Sequence[BaseRoute]:
    """Routes for other programs. They come before the page's own."""
    calls = ApiCalls(lab)
    scrape = create_metrics_routes(metrics or Metrics(lab), lab.settings.metrics)
    return [*create_health_routes(lab), *scrape, *create_openai_routes(calls), *create_mcp_routes(calls)]


def create_middleware(
    lab: Lab,
    metrics: Metrics | None = None,
    routes: Sequence[BaseRoute] = (),
    translate: Translate | None = None,
    scripts: Sequence[str] = (),
    under_way: UnderWay | None = None,
    rewrite: Callable[[bytes, Scope], bytes] = lambda page, scope: page,
) -> Sequence[Middleware]:
    """The table above, the outermost first.

    routes: our own, all allowed. translate: words every refusal. scripts: those in the page's head. under_way: for
    `stop_server`. rewrite: what is done to a page before it goes out.
    """
    settings = lab.settings
    proxy = {"behind_proxy": settings.behind_proxy}
    private = not (settings.public or settings.on_spaces)
    table = (
        Middleware(RequestLog, metrics or Metrics(lab), routes, translate),
        Middleware(EndWithServer, under_way or UnderWay()),
        Middleware(AllowedHosts, [settings.host, *settings.allow_host] if private else None, **proxy),
        Middleware(AssetCache),
        Middleware(SecurityHeaders, scripts, embedded=settings.on_spaces, rewrite=rewrite),
        Middleware(AllowedRoutes, routes, **proxy),
        Middleware(ConcurrencyLimit, **proxy),
        Middleware(BodyLimits, _MOST_PUBLIC if settings.public else _MOST),
        Middleware(RateLimit, settings.person_rate, settings.address_rate, **proxy),
    )
    return [one for one in table if settings.public or one.cls not in (ConcurrencyLimit, RateLimit)]
