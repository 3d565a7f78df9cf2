#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11.
#
# A handler with a parameter annotated `gr.Request` is given the request. Wrapped in functools.partial (to bind a value of
# one's own), the same handler is given None instead: the annotation is looked for on the function alone. There is one
# UserWarning ("Unexpected argument. Filling with None.") and no error, so that a per-session limit or a language taken
# from the request silently falls back for every visitor. A closure around the handler keeps the request.
#
# Output seen:
#   6.31.0
#   plain: Request
#   partial: NoneType
#   closure: Request
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "gradio==6.31.0"
GRADIO_ANALYTICS_ENABLED=False "$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
from functools import partial

import gradio as gr
from gradio_client import Client


def handler(text: str, request: gr.Request, suffix: str = "") -> str:
    return type(request).__name__


def closure(text: str, request: gr.Request) -> str:
    return handler(text, request, suffix="!")


with gr.Blocks(analytics_enabled=False) as page:
    box, answer, button = gr.Textbox(), gr.Textbox(), gr.Button()
    button.click(handler, box, answer, api_name="plain")
    button.click(partial(handler, suffix="!"), box, answer, api_name="partial")
    button.click(closure, box, answer, api_name="closure")

page.launch(prevent_thread_lock=True, quiet=True)
client = Client(page.local_url, verbose=False)
print(gr.__version__)
for name in ("plain", "partial", "closure"):
    print(f"{name}: {client.predict('a', api_name='/' + name)}")
page.close(verbose=False)
PYTHON
diff - "$folder/output" <<'SEEN'
6.31.0
plain: Request
partial: NoneType
closure: Request
SEEN
echo "as described"
