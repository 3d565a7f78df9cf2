"""Live handlers: a form becomes a question to the lab, and its answer what the page shows. Computes nothing.

A DemoError becomes a sentence beside its box here and nowhere else; anything unexpected becomes one calm sentence, and
a line in the server's log without anybody's texts. Nothing is remembered of a page: what the next answer depends on
goes out with an answer (`memory`) and comes back with the next request.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import Any

from cachetools import TTLCache

from demo.domain.datamodels import Prompt
from demo.domain.errors import (
    BigDownload,
    DemoError,
    ModelError,
    ModelLoading,
    NoTexts,
    ReadingRefused,
    Stopped,
    TooManyCells,
    TooManyTexts,
    UnknownChoice,
)
from demo.lab import Lab
from demo.ui.kit.i18n import translate, translate_error, translate_phrase, translate_word
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.live.form import FORM_FIELDS, Form, LiveRequest
from demo.ui.live.heatmap import show_comparison, show_state
from demo.ui.live.link import parse_link, without_reading
from demo.ui.live.payload import Answer, prompts_of, render_payload
from demo.wording.remaining import describe_left

_MOST_WAITING, _WAITING_SECONDS = 100, 5.0  # pages, and how long one counts as waiting after a request


class LiveHandlers:
    """Answers live requests. One instance serves every page."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._waiting = TTLCache(_MOST_WAITING, _WAITING_SECONDS)  # pages that wait for a model, by id
        self._lock = threading.Lock()  # guards it

    def answer(self, language: str, body: Any, page: str = "", relabel: bool = False) -> dict[str, Any]:
        """A payload for live.js. Never waits for a model: while one loads, the page asks again. Raises Stopped.

        page: an id, so that pages that wait can be counted. relabel: the address names the language.
        """
        request = LiveRequest.parse(body)
        first = self.lab.settings.model
        model = request.model or (first if self.lab.status(first) else "")
        answer = Answer(Form(), model, dict(request.linked))
        sent = answer.form
        try:
            if request.cancel and self.lab.settings.own_user:  # others may wait for it
                self.lab.loader.stop(request.cancel)
            sent = answer.form = Form.parse(request.form)
            if request.permit and self.lab.settings.big_downloads == "ask":
                self.lab.permit_download(request.permit)
            if request.link is not None:
                self._follow_link(answer, parse_link(request.link))
            self._compare(language, answer)
        except Stopped:
            raise
        except DemoError as error:
            self._explain(language, page, request.drawn, answer, error)
        except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
            answer.heatmap = show_state("error", report_unexpected(language, error, "an answer"))
        return render_payload(language, self.lab, request, sent, answer, relabel)

    def _follow_link(self, answer: Answer, linked: dict[str, Any]) -> None:
        """The address brings texts and a reading. A model that this host does not have ready for choice stays out."""
        model = linked.get("model", answer.form.model)
        status, info = self.lab.status(model), self.lab.engine.loaded(model)
        if info is None and (status is None or status.state == "unavailable"):
            linked = without_reading(linked)
        else:
            if linked.get("layer", 0) > (info or status).n_layers:
                del linked["layer"]
            if linked.get("prompt") == Prompt.OWN.value and Prompt.OWN.value not in prompts_of(info or status):
                del linked["prompt"]
        answer.linked = {"model": model, **linked}
        answer.form = Form.parse({**asdict(answer.form), **linked})

    def _compare(self, language: str, answer: Answer) -> None:
        """Raises ModelLoading, and whatever else a lab refuses."""
        wished = answer.form.model or answer.model or self.lab.settings.model
        answer.form = replace(answer.form, model=wished)
        if wished != answer.model:
            self._switch_model(answer)
        info = self.lab.engine.loaded(answer.model)
        if info is not None and answer.form.layer > info.n_layers:  # of a deeper model
            answer.form = replace(answer.form, layer=info.n_layers)
        form = answer.form
        answer.comparison = self.lab.compare(
            form.questions, form.answers, matches=form.matches, wait=False, **form.reading
        )
        answer.heatmap = show_comparison(language, answer.comparison, form.scale)

    def _switch_model(self, answer: Answer) -> None:
        """Another model comes into use: its default reading comes with it, once it is loaded."""
        wished = answer.form.model
        status = self.lab.status(wished)
        if status and status.state == "unavailable" and not status.fetch_bytes:
            raise _Unavailable(name=status.name, reason=status.reason.rstrip("."))
        info = self.lab.open(wished, wait=False)
        reading = info.default_reading.to_dict()
        chosen = {name: reading[name] for name in ("prompt", "eos", "pooling", "layer", "postprocess", "reference")}
        if chosen["layer"] < 0:
            chosen["layer"] = info.n_layers
        if answer.linked.get("model") == wished:  # a link's reading, not the default one
            chosen |= {name: answer.linked[name] for name in chosen if name in answer.linked}
        answer.model, answer.linked = info.model, {}
        answer.form = Form.parse({**asdict(answer.form), **chosen, "model": info.model})

    def _explain(self, language: str, page: str, drawn: bool, answer: Answer, error: DemoError) -> None:
        """An error becomes a sentence beside its box; the picture that was drawn last stays, dimmed."""
        if isinstance(error, ModelLoading):
            stage = translate_word(language, "stage", error.values["stage"])
            note = translate(language, "heatmap.loading", model=error.values["model"], stage=stage)
            left = describe_left(language, error.values.get("seconds_left"))
            waiting = self._count_waiting(page)
            loading = show_state("loading", note, error.values.get("fraction"), waiting, left)
            answer.heatmap = {**loading, "cancel": translate(language, "heatmap.cancel")}
            return
        sentence = translate_error(language, error)
        if isinstance(error, _Unavailable):
            reason = translate_phrase(language, error.values["reason"])
            sentence = translate(language, "message.unavailable", name=error.values["name"], reason=reason)
        if isinstance(error, TooManyTexts | TooManyCells):
            limit = f"{self.lab.settings.max_file_texts:,}"
            sentence += " " + translate(language, "message.your_file", limit=limit)
        offer = ""
        if isinstance(error, ReadingRefused) and error.instead and error.field:
            answer.offers[error.field] = error.instead
            offer = translate(language, "message.take", value=error.instead)
        if isinstance(error, BigDownload):
            answer.offers |= {"model": error.values["id"], "permit": error.values["id"]}
            sentence = translate(language, "download.question", **error.values)
            yes, no = (translate(language, f"download.{word}") for word in ("yes", "no"))
            answer.notes["model"] = (sentence, yes, no)
        elif error.field in FORM_FIELDS:
            answer.notes[error.field] = (sentence, offer)
        else:
            answer.notice = sentence
        if isinstance(error, ModelError | UnknownChoice) and error.field == "model" and answer.model:
            # Nothing else has changed: the model in use comes back, and its picture with it.
            answer.form = replace(answer.form, model=answer.model)
            answer.heatmap = show_state("ready" if drawn else "error", "" if drawn else sentence)
        elif isinstance(error, NoTexts):
            answer.heatmap = show_state("empty", translate(language, "heatmap.empty"))
        else:
            answer.heatmap = show_state("stale", translate(language, "heatmap.stale") if drawn else sentence)

    def _count_waiting(self, page: str) -> int:
        with self._lock:
            self._waiting[page] = None
            return len(self._waiting)


class _Unavailable(ModelError):
    """A model of the list that cannot be used here: the list already says why."""

    template = "{name} cannot be used here: {reason}."
