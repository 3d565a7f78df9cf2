#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11, any Chromium.
#
# Gradio puts the CSS that a page brings there twice: as it is, and with a prefix before every selector. It takes each
# comma for the end of one, those within `:has(…)` too, where the prefix is wrong: `:not(:has(b, i))` becomes
# `:not(:has(b, .gradio-container … i))`, whose second part can match nothing inside the element. So the rule also holds
# for elements that it leaves out. Two `:not(:has(…))` behind each other have no comma, and mean what they say.
#
# Output seen:
#   6.31.0
#   :not(:has(b, i)) around a b: not matched
#   :not(:has(b, i)) around an i: matched
#   :not(:has(b)):not(:has(i)) around an i: not matched
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "gradio==6.31.0" "playwright==1.65.2"
export CHROMIUM=${CHROMIUM:-$(command -v chromium-headless-shell chromium google-chrome | head -n 1)}
GRADIO_ANALYTICS_ENABLED=False "$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
import os

import gradio as gr
from playwright.sync_api import sync_playwright

CSS = """
.list:not(:has(b, i)) { padding-left: 7px; }
.each:not(:has(b)):not(:has(i)) { padding-left: 7px; }
.there { padding-left: 7px; }
"""
HTML = """
<div class="list" id="one"><b>x</b></div><div class="list" id="two"><i>x</i></div>
<div class="each" id="three"><i>x</i></div><div class="there">x</div>
"""

with gr.Blocks(analytics_enabled=False) as page:
    gr.HTML(HTML)
_, url, _ = page.launch(css=CSS, prevent_thread_lock=True, quiet=True)
print(gr.__version__)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
    tab = browser.new_page()
    tab.goto(url)
    width = "(place) => getComputedStyle(document.querySelector(place)).paddingLeft"
    tab.wait_for_selector(".there")
    tab.wait_for_function(f"({width})('.there') === '7px'")
    for said, place in (
        (":not(:has(b, i)) around a b", "#one"),
        (":not(:has(b, i)) around an i", "#two"),
        (":not(:has(b)):not(:has(i)) around an i", "#three"),
    ):
        print(f"{said}: {'matched' if tab.evaluate(width, place) == '7px' else 'not matched'}")
    browser.close()
page.close(verbose=False)
PYTHON
diff - "$folder/output" <<'SEEN'
6.31.0
:not(:has(b, i)) around a b: not matched
:not(:has(b, i)) around an i: matched
:not(:has(b)):not(:has(i)) around an i: not matched
SEEN
echo "as described"
