"""Take home: the fold that shows a reading as a script of its own. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.export.snippet import LIBRARIES
from demo.ui.kit.panel import Panel

_MOST_LINES = 40  # a longer script scrolls
# After an answer, and only while the fold is open: thirty people who type would ask for scripts that nobody sees.
_FOLLOW_JS = """document.addEventListener('lab:answered', () => {
    if (document.querySelector('#takehome-code')?.checkVisibility()) trigger('follow');
});"""


def create_takehome() -> Panel:
    """The fold, closed."""
    panel = Panel("takehome")
    with panel.create("fold", gr.Accordion, key="takehome", open=False):
        panel.create_choice("library", LIBRARIES)
        panel.create_html("note", elem_classes="note", js_on_load=_FOLLOW_JS)
        panel.create(
            "code",
            gr.Code,
            language="python",
            interactive=False,
            max_lines=_MOST_LINES,
            wrap_lines=True,
            buttons=["copy"],
        )
    return panel
