"""The GPU backend: the only folder that imports torch or transformers, and only when an engine is made."""

from __future__ import annotations

from demo.backend.protocol import Engine
from demo.settings import Settings


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name, and the servers elsewhere. Imports torch only for an engine that needs it."""
    here = _create_here(settings)
    if not settings.remote:
        return here
    from demo.backend.remote.engine import RemoteEngine
    from demo.backend.routing import RoutingEngine

    return RoutingEngine(here, RemoteEngine(settings))


def _create_here(settings: Settings) -> Engine:
    if settings.engine == "fake":
        from demo.backend.fake import FakeEngine

        return FakeEngine()
    if settings.engine == "zerogpu":
        from demo.backend.zerogpu import ZeroGpuEngine

        return ZeroGpuEngine(settings)
    if settings.engine == "ray":
        from demo.backend.ray.start import create_ray_engine

        return create_ray_engine(settings, create_engine)
    from demo.backend.local import LocalEngine

    return LocalEngine(settings)
