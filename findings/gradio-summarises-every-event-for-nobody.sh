#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11.
#
# After every event of the queue, Gradio makes a pandas table of the last 10,000 events, groups it by function and takes
# percentiles, for the page /monitoring. It does so too where monitoring is off (the default of launch) and where
# analytics are off, so nobody can ever see the result: 8 ms of a processor an event at first, 20 ms once the table is
# full. The environment variable GRADIO_ANALYTICS_CACHE_FREQUENCY (1 by default) sets after how many events it is done.
#
# Output seen:
#   6.31.0
#   by default: 5 summaries of 5 events
#   with GRADIO_ANALYTICS_CACHE_FREQUENCY=1000000: 0 summaries of 5 events
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "gradio==6.31.0"
cat > "$folder/count.py" <<'PYTHON'
import sys
import time

import gradio as gr
import pandas
from gradio_client import Client

summaries = []
group = pandas.DataFrame.groupby
pandas.DataFrame.groupby = lambda *args, **options: summaries.append(1) or group(*args, **options)

with gr.Blocks(analytics_enabled=False) as page:
    box, answer, button = gr.Textbox(), gr.Textbox(), gr.Button()
    button.click(str.upper, box, answer, api_name="upper")

page.launch(prevent_thread_lock=True, quiet=True, enable_monitoring=False)
client = Client(page.local_url, verbose=False)
for _ in range(5):
    client.predict("a", api_name="/upper")
time.sleep(1)  # the last summary comes after its answer
print(f"{sys.argv[1]}: {len(summaries)} summaries of 5 events")
page.close(verbose=False)
PYTHON
cd "$folder"
export GRADIO_ANALYTICS_ENABLED=False
python="$folder/environment/bin/python"
{
  "$python" -c "import gradio; print(gradio.__version__)"
  "$python" count.py "by default"
  GRADIO_ANALYTICS_CACHE_FREQUENCY=1000000 "$python" count.py "with GRADIO_ANALYTICS_CACHE_FREQUENCY=1000000"
} > output 2> /dev/null
diff - output <<'SEEN'
6.31.0
by default: 5 summaries of 5 events
with GRADIO_ANALYTICS_CACHE_FREQUENCY=1000000: 0 summaries of 5 events
SEEN
echo "as described"
