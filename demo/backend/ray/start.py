"""Ray's environment variables, set before Ray is imported, which reads them once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

from demo.backend.protocol import Engine
from demo.domain.errors import ClusterFailed
from demo.settings import Settings


def create_ray_engine(settings: Settings, create: Callable[[Settings], Any]) -> Engine:
    """A RayEngine. create: as there. Raises ClusterFailed where Ray is not installed or gives no cluster.

    Variables that the host has set are kept.
    """
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
        "RAY_ENABLE_AUTO_CONNECT": "0",  # no second Ray starts by itself when the first is called after its end
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # ending the page is no failure
        "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1",  # a busy replica answers late, but is alive
    }
    if not settings.ray_address:
        # Without cluster support Ray binds its ports to 127.0.0.1, on Linux too; other users of this machine need the
        # token.
        variables |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_worker_niceness": "0",  # by default Ray's processes yield to all others; these are the work
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    try:
        from demo.backend.ray.engine import RayEngine
    except ImportError as error:
        raise ClusterFailed(reason=f'{error.name} is not installed; pip install "ray[serve]" brings it') from error
    return RayEngine(settings, create)
