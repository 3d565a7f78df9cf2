"""Take it home: the fold that shows a reading as a script of its own. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.export.snippet import LIBRARIES, TRANSFORMERS
from demo.ui.kit.i18n import label

_MOST_LINES = 40  # what is longer scrolls
# After an answer, and only while the fold is open: thirty people who type would ask for scripts that nobody sees.
_FOLLOW_JS = """document.addEventListener('lab:answered', () => {
    if (document.querySelector('#takehome-code')?.checkVisibility()) trigger('follow');
});"""


@dataclass(frozen=True)
class TakeHomeWidgets:
    """What the fold can read and write."""

    fold: gr.Accordion
    library: gr.Radio
    note: gr.HTML
    code: gr.Code

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        return {"takehome": self.fold, "takehome_library": self.library, "takehome_code": self.code}


def create_takehome() -> TakeHomeWidgets:
    """The fold, closed."""
    with gr.Accordion(label("takehome"), open=False, elem_id="takehome") as fold:
        library = gr.Radio(
            list(LIBRARIES),
            value=TRANSFORMERS,
            label=label("takehome_library"),
            elem_id="takehome-library",
            elem_classes="segments",
            interactive=True,
        )
        note = gr.HTML(elem_id="takehome-note", elem_classes="note", js_on_load=_FOLLOW_JS, apply_default_css=False)
        code = gr.Code(
            language="python",
            label=label("takehome_code"),
            interactive=False,
            max_lines=_MOST_LINES,
            wrap_lines=True,
            buttons=["copy"],
            elem_id="takehome-code",
        )
    return TakeHomeWidgets(fold, library, note, code)
