#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11.
#
# A handler that returns one `gr.update(value=…)` for two outputs sets the first one only: Gradio takes "value" out of the
# dictionary that the handler returned, so that the same dictionary has none left for the second output, which silently
# stays as it was. Two equal updates, made apart, set both. (`dict.fromkeys(outputs, gr.update(value=…))` is such a case.)
#
# Output seen:
#   6.31.0
#   apart: new, new
#   the same: new, no value
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "gradio==6.31.0"
GRADIO_ANALYTICS_ENABLED=False "$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
import gradio as gr
from gradio_client import Client


def apart():
    return gr.update(value="new"), gr.update(value="new")


def same():
    update = gr.update(value="new")
    return update, update


with gr.Blocks(analytics_enabled=False) as page:
    one, two, button = gr.Textbox("old"), gr.Textbox("old"), gr.Button()
    button.click(apart, None, [one, two], api_name="apart")
    button.click(same, None, [one, two], api_name="same")

page.launch(prevent_thread_lock=True, quiet=True)
client = Client(page.local_url, verbose=False)
print(gr.__version__)
for name, said in (("/apart", "apart"), ("/same", "the same")):
    print(f"{said}: " + ", ".join(update.get("value", "no value") for update in client.predict(api_name=name)))
page.close(verbose=False)
PYTHON
diff - "$folder/output" <<'SEEN'
6.31.0
apart: new, new
the same: new, no value
SEEN
echo "as described"
