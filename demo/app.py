"""The web app: settings → lab → page → launch → engine."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import NoReturn

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Else, after each event of a tab, Gradio summarises the last 10,000 for a page that nobody can open: 10 to 20 ms.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(2**31))
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from demo.backend import create_engine
from demo.backend.remote.engine import server_status
from demo.backend.starting import StartingEngine
from demo.domain.errors import DemoError, ModelLoading
from demo.jobs.queue import stop_jobs
from demo.lab import Lab
from demo.serving.limits.header_timeout import set_header_timeout
from demo.serving.ops.logs import configure_logs
from demo.serving.ops.shutdown import UnderWay, stop_server
from demo.settings import parse_settings

# With Python's default of 5 ms any thread that serves a browser delays each of the thousand steps of a forward pass:
# of thirty people typing, one in twenty waited 4 s and more; with this, a third of a second (measured).
_SWITCH_SECONDS = 0.0001
# Short: Python handles a signal that comes just before this sleep, or to another thread, only after it.
_SLEEP_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    """Serve the page until SIGINT or SIGTERM. Returns 2 when a flag or a setting cannot be used."""
    settings = parse_settings(arguments)
    configure_logs(settings.log_json)
    gc.disable()  # during the imports: they leave no garbage, and collecting takes a fifth of the time
    sys.setswitchinterval(_SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end in the same way
    try:
        # ZeroGPU needs its engine before anything is served; the fake one starts at once.
        late = settings.engine in ("local", "ray")
        elsewhere = [server_status(server) for server in settings.servers]
        engine = StartingEngine(partial(create_engine, settings), elsewhere) if late else create_engine(settings)
        return _serve(Lab(settings, engine))
    except DemoError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _serve(lab: Lab) -> int:
    from demo.ui.page import create_page, launch_options

    with suppress(ModelLoading):
        lab.open(wait=False)  # the page is served while the model loads
    page, under_way = create_page(lab), UnderWay()
    try:
        _require_free_port(lab.settings.host, lab.settings.port)
        _, url, _ = page.launch(**launch_options(lab, under_way), prevent_thread_lock=True)
        set_header_timeout(page.server)
    except OSError as error:
        print(f"app.py: the page cannot be served: {error.strerror or error}", file=sys.stderr)
        return 2
    try:
        _run(lab, url)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one does not wait
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop_jobs()
        stop_server(page.server, page.server.thread, under_way, lambda: lab.engine.counts().waiting > 0)
        lab.engine.close()
        return 0


def _require_free_port(host: str, port: int) -> None:
    """Raises OSError with a sentence; Gradio's would name settings of its own, and blame every failure on the port."""
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(address[:2], family=family):
            pass
    except OSError as error:
        taken = f"port {port} is in use; --port names another one, and --port 0 takes any free one"
        reasons = {errno.EADDRINUSE: taken, errno.EACCES: f"port {port} needs an administrator; --port names another"}
        here = f"“{host}” is no address of this machine; --host names one"
        raise OSError(error.errno, f"{reasons.get(error.errno, here)}.") from error


def _run(lab: Lab, url: str) -> NoReturn:
    """Start the engine behind the page, which another thread serves; until KeyboardInterrupt."""
    print(url, flush=True)
    if isinstance(lab.engine, StartingEngine):
        lab.engine.start()  # imports torch
    gc.freeze()  # what was imported stays
    gc.enable()
    device = lab.device()
    print(f"{lab.settings.model} on {device.name}, {device.precision}: {device.reason}", flush=True)
    while True:  # not thread.join(): CPython 3.11 takes a thread for ended whose join was interrupted
        time.sleep(_SLEEP_SECONDS)
