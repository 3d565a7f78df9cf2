"""The GPU backend: the only folder that imports torch or transformers, and only when an engine is made."""

from __future__ import annotations

from demo.backend.protocol import Engine
from demo.settings import Settings


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name. Imports torch only for the local one."""
    if settings.engine == "fake":
        from demo.backend.fake import FakeEngine

        return FakeEngine()
    from demo.backend.local import LocalEngine

    return LocalEngine(settings)
