"""Health: whether the process answers, and whether its model is there. For load balancers and container hosts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo.lab import Lab


def create_health_routes(lab: Lab) -> list[Route]:
    """`/health`: 200 as long as the process answers. `/ready`: 503 until the page's first model is there."""

    def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    def ready(request: Request) -> JSONResponse:
        there = lab.engine.loaded(lab.settings.model) is not None
        return JSONResponse({"status": "ready" if there else "loading"}, status_code=200 if there else 503)

    return [Route("/health", health), Route("/ready", ready)]
