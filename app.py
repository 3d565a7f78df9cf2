"""Entry point of the web app: settings → lab → page → launch → engine. Also a Space's app_file.

python app.py --port 8000 --model all-minilm-l6-v2
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from functools import partial

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from demo.backend import create_engine
from demo.backend.remote.engine import server_status
from demo.backend.starting import StartingEngine
from demo.domain.errors import DemoError, ModelLoading
from demo.lab import Lab
from demo.serving.limits.header_timeout import set_header_timeout
from demo.serving.ops.logs import configure_logs
from demo.settings import parse_settings

# With Python's default of 5 ms any thread that serves a browser delays each of the thousand steps of a forward pass:
# of thirty people typing, one in twenty waited 4 s and more; with this, a third of a second (measured).
_SWITCH_SECONDS = 0.0001


def main(arguments: list[str]) -> int:
    """Serve the page until it is stopped. Returns 2 when a flag or a setting cannot be used."""
    settings = parse_settings(arguments)
    configure_logs(settings.log_json)
    gc.disable()  # during the imports: they leave no garbage, and collecting takes a fifth of the time
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        # ZeroGPU needs its engine before anything is served; the fake one starts at once.
        late = settings.engine in ("local", "ray")
        elsewhere = [server_status(server) for server in settings.servers]
        engine = StartingEngine(partial(create_engine, settings), elsewhere) if late else create_engine(settings)
        return _serve(Lab(settings, engine))
    except DemoError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2


def _serve(lab: Lab) -> int:
    from demo.ui.page import create_page, launch_options

    with suppress(ModelLoading):
        lab.open(wait=False)  # the page is served while the model loads
    page = create_page(lab)
    try:
        _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
        set_header_timeout(page.server)
    except OSError as error:
        print(f"app.py: the page cannot be served: {error}", file=sys.stderr)
        return 2
    print(url, flush=True)
    if isinstance(lab.engine, StartingEngine):
        lab.engine.start()  # imports torch, in this thread; the page is served by another one
    gc.freeze()  # what was imported stays
    gc.enable()
    device = lab.device()
    print(f"{lab.settings.model} on {device.name}, {device.precision}: {device.reason}", flush=True)
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
