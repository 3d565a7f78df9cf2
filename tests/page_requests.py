"""Fake page requests: what Gradio hands to an event handler of the page, without a browser."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from demo.ui.live.form import FORM_FIELDS
from demo.ui.live.handlers import LiveHandlers
from tests.waiting import eventually

DEFAULTS = {
    **dict.fromkeys(FORM_FIELDS, ""),
    "model": "smollm2-135m-instruct",
    "prompt": "chat",
    "eos": False,
    "pooling": "last_token_logits",
    "layer": 30,
    "postprocess": "none",
    "reference": "texts",
    "scale": "fit",
}


def page_request(session: str = "one", language: str = "en", **headers: str) -> SimpleNamespace:
    """A stand-in for gr.Request: the session's hash, its language in the address, and its headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(session_hash=session, query_params={"lang": language}, headers=named)


def lab_values(**chosen: Any) -> list[Any]:
    """The values of the lab's form in the order that handlers take them: defaults, except the `chosen` ones."""
    assert set(chosen) <= set(FORM_FIELDS), f"no such box: {set(chosen) - set(FORM_FIELDS)}"
    return [{**DEFAULTS, **chosen}[name] for name in FORM_FIELDS]


def by_name(answer: dict, *panels: Any) -> dict[str, Any]:
    """A handler's answer by the names of its widgets. panels: what holds the widgets, a registry or a dataclass."""
    held = (panel.items() if hasattr(panel, "items") else vars(panel).items() for panel in panels)
    names = {id(widget): name for items in held for name, widget in items}
    return {names[id(widget)]: update for widget, update in answer.items()}


class LivePage:
    """An open page without a browser. Keeps what live.js keeps: the form, the last answer's memory, and the figure."""

    def __init__(self, handlers: LiveHandlers, language: str = "en", **form):
        self.handlers, self.language = handlers, language
        self.form = {**DEFAULTS, "answers": "A chip.", **form}
        self.memory, self.drawn, self.link = {}, False, ""

    def ask(self, relabel: bool = False, **edits) -> dict:
        """The answer to the form with some edits. Its values come into the form, as into the page's widgets."""
        self.form |= edits
        body = {"form": self.form, **self.memory, "drawn": self.drawn}
        body |= {} if self.link is None else {"link": self.link}
        answer = json.loads(json.dumps(self.handlers.answer(self.language, body, str(id(self)), relabel)))
        self.link, self.memory = None, answer["memory"]
        self.drawn = self.drawn or "figure" in answer
        self.form |= {name: new["value"] for name, new in answer["updates"].items() if "value" in new}
        return answer

    def loaded(self, **edits) -> dict:
        """As `ask`, again and again while the model loads."""
        return eventually(lambda: self.ask(**edits), until=lambda answer: answer["state"] != "loading")
