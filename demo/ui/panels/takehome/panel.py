"""Take home: the dialog that shows a reading as a script, and the heatmap's button that opens it. Builds only.

Any other place of the page opens it for a reading of its own:

- in HTML that Python renders, by `render_takehome(language, reading)` of demo/ui/kit/text.py, a button;
- in a script, by `lab.takeHome(reading, texts)`, or as a listener's js: `"() => { window.lab.takeHome(); }"`.

reading: `model` and any of READING_FIELDS by name; what is missing is the model's default; {}: what stands in the lab's
widgets. texts: `questions` and `answers`, each as the lab's boxes hold them or a list; {}: those of the boxes.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from demo.ui.kit.panel import Panel

_HERE = Path(__file__).parent


def create_takehome() -> Panel:
    """The dialog, closed. Its `code` event brings a reading, texts and a library, and is answered with the script."""
    panel = Panel("takehome")
    dialog = gr.HTML(
        value=None,
        elem_id="takehome",
        html_template=(_HERE / "takehome.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "takehome.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )
    panel.put("dialog", dialog)
    return panel


def create_takehome_button(panel: Panel) -> None:
    """The button under the heatmap: the reading and the texts of the lab's own widgets."""
    panel.create_button("open")
