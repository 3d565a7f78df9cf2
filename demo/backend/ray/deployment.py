"""Ray deployment: starts or joins a cluster, and deploys the lab's replicas on it."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable
from functools import partial

import psutil
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus, LoggingConfig

from demo.backend.protocol import Engine
from demo.backend.ray.replica import Replica
from demo.domain.errors import ClusterFailed
from demo.settings import Settings

APP = "gpt-embedding-lab"  # in Serve
_START_SECONDS = 180.0  # until the first replica is there
_POLL_SECONDS = 0.1
_CONNECT_SECONDS = 10.0
_SHARE_FOR_MODELS = 0.7  # of this machine's free memory, by all replicas together
_DRAIN_SECONDS = 30.0  # that a leaving replica may take for its requests

logger = logging.getLogger("demo")
_serve_logger = logging.getLogger("ray.serve")


def connect(settings: Settings) -> None:
    """Join the cluster that the settings name, or start one on this machine, for this machine alone."""
    _serve_logger.setLevel(logging.ERROR)  # it warns of a dead replica once a request
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if settings.ray_address:
            _require_listener(settings.ray_address)
            ray.init(settings.ray_address, **quiet)
        else:
            ray.init(
                "local",
                num_cpus=math.ceil(_max_replicas(settings) * settings.ray_cpus),
                object_store_memory=settings.ray_object_mb * 2**20,
                include_dashboard=False,
                **quiet,
            )
    except (OSError, RayError, RuntimeError, ValueError) as error:
        where = settings.ray_address or "this machine"
        raise ClusterFailed(reason=f"Ray on {where} does not answer ({type(error).__name__})") from error


def deploy(settings: Settings, create: Callable[[Settings], Engine]) -> DeploymentHandle:
    """The replicas, as soon as the minimum of them run; those of another page, where one has deployed some.

    create: creates a replica's engine, in the replica, from its settings. Raises ClusterFailed where none starts.
    """
    # No proxies: replicas are not served over HTTP.
    serve.start(proxy_location="Disabled", logging_config=LoggingConfig(enable_access_log=False))
    if APP in serve.status().applications:
        logger.info("the cluster's replicas run already, with the settings they were started with")
    else:
        create_here = partial(create, replica_settings(settings))
        target = serve.RunTarget(_application(settings, create_here), APP, route_prefix=None)
        serve.run_many([target], wait_for_applications_running=False)
    deadline = time.monotonic() + _START_SECONDS
    while (app := serve.status().applications[APP]).status is not ApplicationStatus.RUNNING:
        if app.status is ApplicationStatus.DEPLOY_FAILED:
            raise ClusterFailed(reason=f"no replica starts: {app.message}")
        if time.monotonic() > deadline:
            raise ClusterFailed(
                reason=f"after {_START_SECONDS:g} s the replicas are not there; "
                f"each wants {settings.ray_cpus:g} processor cores and {settings.ray_gpus:g} GPUs of a node"
            )
        time.sleep(_POLL_SECONDS)
    return serve.get_app_handle(APP)


def disconnect() -> None:
    """Leave a joined cluster; a cluster that was started here ends, with all its processes."""
    _serve_logger.setLevel(logging.CRITICAL)  # its threads outlive it for seconds, and log that they fail
    ray.shutdown()


def replica_settings(settings: Settings) -> Settings:
    """The settings of a replica's engine."""
    changed = {
        "engine": settings.ray_engine,
        "remote": (),  # the page itself calls remote servers
        "threads": settings.threads or math.ceil(settings.ray_cpus),
    }
    if not (settings.memory_gb or settings.ray_address or settings.ray_gpus):
        free = psutil.virtual_memory().available / 2**30
        changed["memory_gb"] = _SHARE_FOR_MODELS * free / _max_replicas(settings)
    return settings.model_copy(update=changed)


def _require_listener(address: str) -> None:
    """Raises OSError where nobody listens; Ray itself retries for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


def _max_replicas(settings: Settings) -> int:
    return max(settings.ray_min_replicas, settings.ray_max_replicas)


def _application(settings: Settings, create: Callable[[], Engine]) -> serve.Application:
    max_ongoing = 2 * settings.ray_ongoing
    deployment = serve.deployment(
        Replica,
        ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
        max_ongoing_requests=max_ongoing,
        max_queued_requests=settings.ray_queue,
        autoscaling_config=AutoscalingConfig(
            min_replicas=settings.ray_min_replicas,
            max_replicas=_max_replicas(settings),
            target_ongoing_requests=settings.ray_ongoing,
            look_back_period_s=15,  # a class begins to type within seconds, and goes on for minutes
            upscale_delay_s=5,
        ),
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=_DRAIN_SECONDS,
        health_check_period_s=5,
        health_check_timeout_s=30,
        max_constructor_retry_count=3,
    )
    return deployment.bind(create, settings.ray_models, max_ongoing, settings.model)
