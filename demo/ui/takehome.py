"""Take it home: the reading that stands in the widgets as a script of its own. Computes nothing.

The script follows the answers while the fold is open. A reading that a library cannot say is refused in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from demo.catalog import CATALOG
from demo.errors import DemoError
from demo.lab import Lab
from demo.snippet import LIBRARIES, TRANSFORMERS, name_source, render_snippet
from demo.ui.handlers import Asked, Session
from demo.ui.i18n import choose_language, label, translate, translate_error
from demo.ui.lab_tab import Widgets
from demo.ui.wording import render_note

_MOST_LINES = 40  # what is longer scrolls


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
        note = gr.HTML(elem_id="takehome-note", elem_classes="note", apply_default_css=False)
        code = gr.Code(
            language="python",
            label=label("takehome_code"),
            interactive=False,
            max_lines=_MOST_LINES,
            buttons=["copy"],
            elem_id="takehome-code",
        )
    return TakeHomeWidgets(fold, library, note, code)


def wire_takehome(page: gr.Blocks, lab: Lab, widgets: TakeHomeWidgets, lab_widgets: Widgets, session: gr.State) -> None:
    """The fold's events: opened, another library, a new answer while it is open."""
    is_open = gr.State(False)

    def on_answer(request: gr.Request, opened: bool, session: Session, library: str, *chosen: Any) -> tuple[Any, Any]:
        return write_script(choose_language(request), lab, session, library, *chosen) if opened else (gr.skip(),) * 2

    def on_open(request: gr.Request, session: Session, library: str, *chosen: Any) -> tuple[Any, Any, bool]:
        return *write_script(choose_language(request), lab, session, library, *chosen), True

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    asked, shown = [session, widgets.library, *lab_widgets.choices], [widgets.code, widgets.note]
    gr.on([widgets.fold.expand, widgets.library.input], on_open, asked, [*shown, is_open], **quiet)
    widgets.fold.collapse(lambda: False, None, is_open, **quiet)
    # The bar's time of answer changes with every answer.
    lab_widgets.status.change(on_answer, [is_open, *asked], shown, **quiet)


def write_script(language: str, lab: Lab, session: Session, library: str, *chosen: Any) -> tuple[str, str]:
    """(the script, the line above it) for what stands in the widgets, in the order of LINKED."""
    asked = Asked(*chosen)
    asked = replace(asked, model=(asked.model or "").strip() or session.model)
    try:
        reading = lab.reading(**asked.reading, wait=False)
        info = lab.open(reading.model, wait=False)
        entry = CATALOG.get(info.model)
        source = name_source(info, entry.hub_id, entry.revision) if entry else name_source(info)
        return render_snippet(reading, info, library, source), render_note(
            translate(language, f"takehome.{library}.hint")
        )
    except DemoError as error:
        return "", render_note("", translate_error(language, error))
