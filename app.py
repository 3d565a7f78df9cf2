"""The page's start: settings → lab → page → launch. Also a Space's app_file.

python app.py --port 8000 --model all-minilm-l6-v2
"""

from __future__ import annotations

import logging
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from demo.errors import DemoError, ModelLoading
from demo.lab import Lab
from demo.settings import parse_settings


def main(arguments: list[str]) -> int:
    """Serves the page until it is stopped. Returns 2 when a flag or a setting cannot be used."""
    try:
        lab = Lab(parse_settings(arguments))
    except DemoError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return _serve(lab)


def _serve(lab: Lab) -> int:
    from demo.ui.page import create_page, launch_options

    try:
        lab.open(wait=False)  # the page answers at once, the model comes behind it
    except ModelLoading:
        pass
    except DemoError as error:  # a model that this host does not offer
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    device = lab.device()
    page = create_page(lab)
    try:
        _, url, _ = page.launch(**launch_options(lab.settings), prevent_thread_lock=True)
    except OSError as error:
        print(f"app.py: the page cannot be served: {error}", file=sys.stderr)
        return 2
    print(f"{url}\n{lab.settings.model} on {device.name}, {device.precision}: {device.reason}", flush=True)
    page.block_thread()
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("demo").setLevel(logging.INFO)  # which weights are fetched and how far; never a person's text
    sys.exit(main(sys.argv[1:]))
