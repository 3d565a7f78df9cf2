"""Take home: a reading becomes a script. Computes nothing.

A reading that a library cannot express is refused in the script's place; while its model loads, the dialog asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from demo.domain.errors import ModelLoading
from demo.export.snippet import TRANSFORMERS, required_packages
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.gradio.private import event_value
from demo.ui.kit.i18n import choose_language, translate, translate_error, translate_group
from demo.ui.kit.panel import Panel
from demo.ui.kit.unexpected import explain_error
from demo.ui.live.form import Form
from demo.ui.panels.takehome.adapter import adapter_address


def wire_takehome(page: gr.Blocks, lab: Lab, widgets: Panel) -> None:
    """The events: a script is wanted; the heatmap's button."""

    def on_code(request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        form, library = event_value(event, "form"), event_value(event, "library")
        return {**write_script(choose_language(request), lab, library, form), "ask": event_value(event, "ask") or 0}

    widgets.dialog.code(on_code, None, widgets.dialog, trigger_mode="always_last", **QUIET)
    widgets.open.click(None, js="() => { window.lab.takeHome(); }", **QUIET)


def write_script(language: str, lab: Lab, library: Any, form: Any) -> dict[str, Any]:
    """The dialog's payload. form: unchecked fields of the lab's form; of its reading, what is missing is a default."""
    answer = {
        "words": translate_group(language, "takehome"),
        "label": "",
        "note": "",
        "alert": "",
        "code": "",
        "adapter": "",
    }
    values = form if isinstance(form, Mapping) else {}
    try:
        parsed = Form.parse(values)
        chosen = {name: value for name, value in parsed.reading.items() if name in values}
        chosen["model"] = parsed.model or lab.settings.model
        texts = [_texts(values.get(name)) for name in ("questions", "answers")]
        texts = texts if any(texts) else None
        script = lab.code(library=library or TRANSFORMERS, wait=False, texts=texts, **chosen)
        info = lab.open(chosen["model"], wait=False)
        means = "openai" if info.host else library or TRANSFORMERS
        name = lab.reading(**chosen).label(name=info.name)
        part = values.get("part")
        first = translate(language, "takehome.part", count=part) if isinstance(part, int) and part else ""
        hint = translate(language, f"takehome.{means}.hint", packages=required_packages(info))
        return answer | {
            "code": script,
            "label": name,
            "served": bool(info.host),
            "adapter": "" if lab.settings.own_user or info.host else adapter_address(info.model),
            "note": " ".join(filter(None, (first, hint))),
        }
    except ModelLoading as error:
        return answer | {"note": translate_error(language, error), "again": True}
    except Exception as error:
        return answer | {"alert": explain_error(language, error, "a script")}


def _texts(value: Any) -> str | list[str]:
    """One side's texts as the lab takes them: a box's lines, or a list."""
    if isinstance(value, list):
        return [text for text in value if isinstance(text, str)]
    return value.strip() if isinstance(value, str) else ""
