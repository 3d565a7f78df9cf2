"""Handlers: what stands in the widgets becomes a question to the lab, and its answer what stands on the page.

Computes nothing. A DemoError becomes a sentence beside its box here and nowhere else; anything unexpected becomes
one calm sentence, and a line in the server's log without anybody's texts.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr
from cachetools import TTLCache

from demo.domain.datamodels import (
    SERVED_PROMPTS,
    Comparison,
    ModelInfo,
    ModelStatus,
    Pooling,
    Prompt,
    Reference,
    Served,
)
from demo.domain.errors import DemoError, ModelError, ModelLoading, NoTexts, ReadingRefused, Stopped, UnknownChoice
from demo.figures.similarity import SCALES
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.ui.kit.i18n import choose_language, translate, translate_error, translate_phrase, translate_word
from demo.ui.kit.text import (
    layer_hint,
    model_choices,
    model_summary,
    render_fold_head,
    render_metrics,
    render_note,
    render_notices,
    render_status,
    render_verdict,
)
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.live.examples import load_examples
from demo.ui.live.form import Form, parse_shown
from demo.ui.live.heatmap import render_piece, show_comparison, show_state
from demo.ui.live.link import parse_link, without_reading
from demo.ui.live.tab import NOTED, READING, WORDED, Widgets

_MOST_WAITING, _WAITING_SECONDS = 100, 5.0  # pages, and how long one is counted after it has asked


@dataclass
class Session:
    """What the server remembers of one open page. Only the one computing listener writes it."""

    seq: int = 0
    sent: int = 0  # the seq of the answer that was sent last
    drawn: bool = False  # whether there was ever a figure
    model: str = ""  # the model in use; "" until one that was typed by flag is known
    offers: dict[str, str] = field(default_factory=dict)  # field → a value that would be accepted
    address_language: bool = False  # the address names the language, whatever the browser's own is
    linked: dict[str, Any] = field(default_factory=dict)  # the reading in the address, until its model is there
    answered: Form | None = None  # what the heatmap shows
    shown: dict[str, Any] = field(default_factory=dict)  # what was sent last: the same is not sent twice
    due: dict[str, dict] = field(default_factory=dict)  # what answers mean for the widgets, until the page has it
    news: int = 0  # how often something became due
    refused: str = ""  # the model that was refused last: asked for again before the old one is back, it still is


class Handlers:
    """The page's answers. One instance serves every person; what is theirs is in Session."""

    def __init__(self, lab: Lab, widgets: Widgets, session: gr.State):
        self.lab = lab
        self.widgets = widgets
        self.session = session
        self._open: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._waiting = TTLCache(_MOST_WAITING, _WAITING_SECONDS)  # pages that wait for a model, by session
        self._lock = threading.Lock()  # guards it

    def on_compute(self, request: gr.Request, session: Session, *values: Any) -> dict:
        """The only listener that computes; answers with the heatmap's payload, which carries all that is said in words.

        Never waits for a model: while one loads, the page asks again.
        """
        language = choose_language(request)
        session.seq = seq = session.seq + 1
        self._open[request.session_hash] = session
        session.address_language = "lang" in request.query_params
        *chosen, link = values
        shown, settled = parse_shown(link)
        if shown != session.sent:  # an answer never arrived: send everything again
            session.shown.clear()
        if settled == session.news:
            session.due.clear()
        asked = Form.from_widgets([widget.value for widget in self.widgets.choices])
        answer: dict[str, Any] = {"seq": seq, "notes": {}}
        try:
            asked = Form.from_widgets(chosen).with_news(session.due, session.refused)
            if seq == 1:
                asked = self._follow(session, asked, parse_link(link), answer)
            # Whoever has typed on, or closed the page, no longer waits for this.
            with request_context(is_cancelled=lambda: session.seq != seq):
                asked = self._answer(language, session, asked, answer)
        except Stopped:
            return gr.skip()
        except DemoError as error:
            session.refused = asked.model if error.field == "model" else ""
            self._explain(language, session, error, answer)
        except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
            note = report_unexpected(language, error, "an answer")
            answer["heatmap"] = show_state(language, seq, "error", note)
        return self._payload(language, session, asked, answer)

    def on_settle(self, session: Session) -> dict:
        """What the last answers mean for the widgets: seldom anything, so that edits do not carry them along."""
        return {getattr(self.widgets, name): gr.update(**news) for name, news in session.due.items()} or gr.skip()

    def on_leave(self, request: gr.Request) -> None:
        """A page was closed: what it asked last is dropped, if it has not run yet."""
        session = self._open.pop(request.session_hash, None)
        if session is not None:
            session.seq += 1

    def on_example(self, name: str) -> tuple[str, str, str]:
        """A set of texts fills the boxes."""
        example = load_examples().get(name)
        if example is None:
            return gr.skip(), gr.skip(), gr.skip()
        return "\n".join(example.questions), "\n".join(example.answers), example.matches

    def on_example_note(self, request: gr.Request, name: str) -> str:
        """What to look for in that set."""
        return render_piece("examples-note", render_note(_teaches(choose_language(request), name)))

    def on_take(self, session: Session, field_name: str) -> Any:
        """The value that was offered instead of a refused one."""
        offer = session.offers.get(field_name)
        return offer if offer else gr.skip()

    def _answer(self, language: str, session: Session, asked: Form, answer: dict) -> Form:
        wished = (asked.model or "").strip() or session.model or self.lab.settings.model
        asked = replace(asked, model=wished)
        if wished != session.model:
            asked = self._switch(session, asked, answer)
        info = self.lab.engine.loaded(asked.model)
        if info is not None and asked.layer > info.n_layers:
            # Asked before the page had the last answer, which brought a shallower model: it will ask again.
            asked = replace(asked, layer=info.n_layers)
        comparison = self.lab.compare(
            asked.questions,
            asked.answers,
            matches=asked.matches,
            wait=False,
            **asked.reading,
        )
        session.offers = {}
        session.answered = asked
        answer["comparison"] = comparison
        answer["heatmap"] = show_comparison(language, answer["seq"], comparison, asked.scale)
        return asked

    def _follow(self, session: Session, asked: Form, said: dict[str, Any], answer: dict) -> Form:
        """The address brings texts and a reading. A model that this host does not have ready for choice stays out."""
        model = said.get("model", asked.model)
        status, info = self._status(model), self.lab.engine.loaded(model)
        if info is None and (status is None or status.state == "unavailable"):
            said = without_reading(said)
        else:
            if said.get("layer", 0) > (info or status).n_layers:
                del said["layer"]
            if said.get("prompt") == Prompt.OWN.value and Prompt.OWN.value not in _prompts(info or status):
                del said["prompt"]
        session.linked = {"model": model, **said}
        answer["linked"] = {name: {"value": value} for name, value in said.items()}
        return replace(asked, **said)

    def _switch(self, session: Session, asked: Form, answer: dict) -> Form:
        """Another model is wanted: its default reading comes with it, once it is really there."""
        wished = asked.model
        status = self._status(wished)
        if status and status.state == "unavailable":
            raise _Unavailable(name=status.name, reason=status.reason.rstrip("."))
        info = self.lab.open(asked.model, wait=False)
        reading = info.default_reading
        layer = info.n_layers if reading.layer < 0 else reading.layer
        session.model = info.model
        session.offers = {}
        chosen = {
            "prompt": reading.prompt.value,
            "eos": reading.eos,
            "pooling": reading.pooling.value,
            "layer": layer,
            "postprocess": reading.postprocess.value,
            "reference": reading.reference.value,
        }
        if session.linked.get("model") == wished:  # a link's reading, not the default one
            chosen |= {name: session.linked[name] for name in chosen if name in session.linked}
        session.linked = {}
        answer["model"] = {"value": info.model}
        answer |= {name: {"value": value} for name, value in chosen.items()}
        answer["prompt"]["choices"] = _prompts(info)
        answer["pooling"]["choices"] = [pooling.value for pooling in (Served if info.host else Pooling)]
        answer["layer"]["maximum"] = max(1, info.n_layers)  # a slider of no length is none to Gradio
        for name in ("eos", "layer"):
            answer[name]["visible"] = not info.host
        return replace(asked, model=info.model, **chosen)

    def _explain(self, language: str, session: Session, error: DemoError, answer: dict) -> None:
        """An error becomes a sentence beside its box; the picture that was drawn last stays, dimmed."""
        seq = answer["seq"]
        if isinstance(error, ModelLoading):
            values = {**error.values, "stage": translate_word(language, "stage", error.values["stage"])}
            note = translate(language, "heatmap.loading", model=values["model"], stage=values["stage"])
            with self._lock:
                self._waiting[id(session)] = None
                pages = len(self._waiting)
            answer["heatmap"] = show_state(language, seq, "loading", note, values.get("fraction"), pages)
            return
        sentence = translate_error(language, error)
        if isinstance(error, _Unavailable):
            reason = translate_phrase(language, error.values["reason"])
            sentence = translate(language, "message.unavailable", name=error.values["name"], reason=reason)
        offer = ""
        session.offers = {}
        if isinstance(error, ReadingRefused) and error.instead and error.field:
            session.offers[error.field] = error.instead
            offer = translate(language, "message.take", value=error.instead)
        if error.field in NOTED:
            answer["notes"][error.field] = (sentence, offer)
        else:
            answer["notices"] = render_notices((sentence,))
        drawn = session.drawn
        if isinstance(error, ModelError | UnknownChoice) and error.field == "model" and session.model:
            # Nothing else has changed: the model in use comes back, and its picture with it.
            answer["model"] = {"value": session.model}
            answer["heatmap"] = show_state(language, seq, "ready" if drawn else "error", "" if drawn else sentence)
        elif isinstance(error, NoTexts):
            answer["heatmap"] = show_state(language, seq, "empty", translate(language, "heatmap.empty"))
        else:
            note = translate(language, "heatmap.stale") if drawn else sentence
            answer["heatmap"] = show_state(language, seq, "stale", note)

    def _payload(self, language: str, session: Session, asked: Form, answer: dict) -> dict:
        """Only what has changed since the last answer is sent: what is not named stays as it is."""
        comparison: Comparison | None = answer.get("comparison")
        session.sent = answer["seq"]
        for name, news in {**answer.get("linked", {}), **{n: answer[n] for n in READING if n in answer}}.items():
            _settle(session, name, **news)
        fields = {name: asked.prompt == prompt.value for name, prompt in WORDED.items()}
        for name, visible in (fields | {"reference": asked.signed}).items():
            if session.shown.get(f"box {name}") != visible:
                session.shown[f"box {name}"] = visible
                _settle(session, name, visible=visible)
        pieces: dict[str, str] = {}
        drawn = session.drawn
        if comparison:
            session.drawn = True
            took = translate(language, "status.took", seconds=f"{comparison.seconds:.2f}")
            answered = f"{time.strftime('%H:%M:%S')} {took}"
            pieces["status"] = render_status(language, self.lab.device(), comparison, answered, "")
            pieces["verdict"] = render_verdict(language, comparison)
            pieces["metrics"] = render_metrics(language, comparison.metrics)
            pieces["notices"] = render_notices(
                tuple(translate_phrase(language, notice) for notice in comparison.notices)
            )
        elif not drawn:
            pieces["status"] = render_status(language, self.lab.device(), None, "", self._name(asked.model))
        models = self._model_choices(language, session.model)
        if not drawn and session.shown.get("models") != models:  # which models fit is known once the engine has started
            session.shown["models"] = models
            _settle(session, "model", choices=models)
        if "notices" in answer:
            pieces["notices"] = answer["notices"]
        if answer["seq"] == 1:
            self._first(language, session, pieces)
            if session.address_language:
                self._relabel(language, session)
        hints = self._hints(language, session, asked)
        for name in NOTED:
            message, offer = answer["notes"].get(name, ("", ""))
            if name != "examples":
                pieces[f"{name}-note"] = render_note(hints.get(name, ""), message, offer)
        prompt = asked.prompt + (" + EOS" if asked.eos else "")
        corpus = f" ({translate_word(language, 'reference', asked.reference)})" * (asked.reference == Reference.CORPUS)
        done = (asked.postprocess + corpus,) if asked.signed else ()
        summary = " · ".join((self._name(session.model), prompt, asked.pooling, *done))
        pieces["reading_head"] = render_fold_head(translate(language, "heading.reading"), summary)
        news = {name: piece for name, piece in pieces.items() if session.shown.get(name) != piece}
        session.shown |= news
        return {**_news(session, answer["heatmap"]), "pieces": news, "settle": session.news if session.due else 0}

    def _first(self, language: str, session: Session, pieces: dict) -> None:
        """What is sent once, since it needs the person's language: lists, headings, the first set's hint."""
        sets = load_examples()
        titles = [(sets[name].title.get(language, sets[name].title["en"]), name) for name in sets]
        _settle(session, "examples", choices=titles)
        pieces["examples-note"] = render_note(_teaches(language, next(iter(sets))))
        info = self.lab.engine.loaded(session.model) if session.model else None
        status = self._status(session.model)
        if info or status:
            _settle(session, "prompt", choices=_prompts(info or status))
        template = translate(language, "summary.texts")
        pieces["texts_head"] = render_fold_head(translate(language, "heading.texts"), "", template)

    def _relabel(self, language: str, session: Session) -> None:
        """Labels follow the browser's language by themselves; here they follow the address."""
        for name in self.widgets.labelled:
            key = "value" if name == "compute" else "label"
            _settle(session, name, **{key: translate(language, f"label.{name}")})
        for name in ("questions", "answers", "template"):
            _settle(session, name, placeholder=translate(language, f"label.{name}_placeholder"))
        _settle(session, "matches", info=translate(language, "label.matches_info"))
        for name, values in (("reference", [choice.value for choice in Reference]), ("scale", SCALES)):
            _settle(session, name, choices=[(translate(language, f"label.{name}_{value}"), value) for value in values])

    def _hints(self, language: str, session: Session, asked: Form) -> dict[str, str]:
        signed = "_signed" if asked.signed and asked.scale == "unit" else ""
        hints = {
            "prompt": translate(language, f"prompt.{asked.prompt}.hint"),
            "pooling": translate(language, f"pooling.{asked.pooling}.hint"),
            "postprocess": translate(language, f"postprocess.{asked.postprocess}.hint"),
            "reference": translate(language, f"reference.{asked.reference}.hint") if asked.signed else "",
            "scale": translate(language, f"scale.{asked.scale}{signed}.hint"),
            "eos": translate(language, "eos.hint") if asked.eos else "",
        }
        hints |= {name: translate(language, f"{name}.hint") for name in WORDED if asked.prompt == WORDED[name].value}
        wished = self._status(asked.model)
        known: ModelInfo | ModelStatus | None = self._status(session.model)
        if session.model and known is None:
            known = self.lab.engine.loaded(session.model)
        if wished and wished.host:
            known = wished  # told while it is on its way: nothing typed is sent before
        if known:
            size = model_summary(language, known)
            licence = f", {known.licence}" if isinstance(known, ModelStatus) and known.licence else ""
            about = translate(language, f"kind.{known.kind.value}.hint")
            hints["model"] = f"{size[0].upper()}{size[1:]}{licence}. {about}"
            if not known.host:  # there the slider is hidden
                hints["layer"] = layer_hint(language, asked.layer, known.n_layers, asked.pooling)
        return hints

    def _status(self, model: str) -> ModelStatus | None:
        return self.lab.status(model)

    def _name(self, model: str) -> str:
        known = self._status(model) or self.lab.engine.loaded(model)
        return known.name if known else model

    def _model_choices(self, language: str, model: str) -> list[tuple[str, str]]:
        """The list, and a model that is in use though it is not on it: one that was trained here, or a folder."""
        info = None if self._status(model) else self.lab.engine.loaded(model)
        return model_choices(language, self.lab.models()) + ([(info.name, info.model)] if info else [])


class _Unavailable(ModelError):
    """A model of the list that cannot be used here: the list already says why."""

    template = "{name} cannot be used here: {reason}."


def _prompts(known: ModelInfo | ModelStatus) -> list[str]:
    """The prompts to choose from: `own` only where the checkpoint names some."""
    if known.host:
        return [prompt.value for prompt in SERVED_PROMPTS]
    if isinstance(known, ModelInfo):
        own = known.names_prompts
    else:
        own = known.default_reading is not None and known.default_reading.prompt is Prompt.OWN
    return [prompt.value for prompt in Prompt if own or prompt is not Prompt.OWN]


def _settle(session: Session, name: str, **news: Any) -> None:
    """A widget's news stand ready for on_settle, over older ones that the page does not have yet."""
    session.news += 1
    session.due[name] = {**session.due.get(name, {}), **news}


def _news(session: Session, payload: dict[str, Any]) -> dict[str, Any]:
    """The heatmap's payload without the words and texts that the page has from the last one."""
    kept = {name: payload[name] for name in ("words", "questions", "answers", "matches", "about") if name in payload}
    known = {name for name, value in kept.items() if session.shown.get(f"heatmap {name}") == value}
    session.shown |= {f"heatmap {name}": value for name, value in kept.items()}
    return {name: value for name, value in payload.items() if name not in known}


def _teaches(language: str, name: str) -> str:
    example = load_examples().get(name)
    return example.teaches.get(language, example.teaches["en"]) if example else ""
