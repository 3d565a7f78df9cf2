"""Ray's start: what it must be told before it is imported, for it reads that once. Imports no Ray by itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

from demo.backend.protocol import Engine
from demo.domain.errors import ClusterFailed
from demo.settings import Settings


def create_ray_engine(settings: Settings, create: Callable[[Settings], Any]) -> Engine:
    """A ClusterEngine. create: as there. Raises ClusterFailed where Ray is not installed or gives no cluster.

    What the host has set in the environment is left as it is.
    """
    told = {
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
        "RAY_ENABLE_AUTO_CONNECT": "0",  # no second Ray starts by itself where the first is asked after its end
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # ending the page is no failure
        "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1",  # a replica that computes answers late, and is no less alive
    }
    if not settings.ray_address:
        # A Ray that is told that it will never be a cluster binds its ports to 127.0.0.1, whatever the name says; and
        # whoever else is on this machine needs the token.
        told |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_worker_niceness": "0",  # Ray lets everything else go before its own processes; these are the work
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
    for name, value in told.items():
        os.environ.setdefault(name, value)
    try:
        from demo.backend.ray.engine import RayEngine
    except ImportError as error:
        raise ClusterFailed(reason=f'{error.name} is not installed; pip install "ray[serve]" brings it') from error
    return RayEngine(settings, create)
