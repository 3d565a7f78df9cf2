"""The GPU backend: the only folder that imports torch or transformers, and only when an engine is made."""

from __future__ import annotations

from demo.backend.protocol import Engine
from demo.settings import Settings


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name. Imports torch only for an engine that needs it."""
    if settings.engine == "fake":
        from demo.backend.fake import FakeEngine

        return FakeEngine()
    if settings.engine == "zerogpu":
        from demo.backend.zerogpu import ZeroGpuEngine

        return ZeroGpuEngine(settings)
    from demo.backend.local import LocalEngine

    return LocalEngine(settings)
