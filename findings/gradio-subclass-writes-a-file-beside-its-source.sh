#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11.
#
# A class statement that derives from a component makes Gradio write a .pyi file beside the module that holds it, as soon as
# that module is imported: in one's own package too, for a subclass that defines no event of its own. A program that is only
# run changes its source tree, and a checkout gets a file that nobody wrote.
#
# Output seen:
#   6.31.0
#   before: mine.py
#   after: mine.py mine.pyi
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "gradio==6.31.0"
mkdir "$folder/source"
cat > "$folder/source/mine.py" <<'PYTHON'
import gradio as gr


class Unchecked(gr.Slider):
    def preprocess(self, payload):
        return payload
PYTHON
cd "$folder/source"
GRADIO_ANALYTICS_ENABLED=False PYTHONDONTWRITEBYTECODE=1 "$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
import os

import gradio

print(gradio.__version__)
print("before:", *sorted(os.listdir()))
import mine  # noqa: F401

print("after:", *sorted(os.listdir()))
PYTHON
diff - "$folder/output" <<'SEEN'
6.31.0
before: mine.py
after: mine.py mine.pyi
SEEN
echo "as described"
