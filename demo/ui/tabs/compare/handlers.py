"""The Compare tab's handlers: each slot's reading becomes a question to the lab; answers become figures and sentences.

Asked by the view's `tick` after every new heatmap, while somebody looks. Computes nothing, and never waits for a model:
a slot whose model is on its way says so, and what is wrong with one reading stands at its slot beside the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr

from demo.domain.datamodels import LAST_LAYER, Comparison
from demo.domain.errors import DemoError, ModelError, ModelLoading
from demo.domain.results import Lead
from demo.lab import Lab
from demo.studies.contrast import contrast
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_error, translate_phrase, translate_word
from demo.ui.kit.panel import Panel
from demo.ui.kit.presets import (
    CURRENT,
    KEPT,
    LETTERS,
    OWN,
    PRESETS,
    Slot,
    Slots,
    add_slot,
    change_slot,
    first_slots,
    pairs,
    remove_slot,
)
from demo.ui.kit.text import model_label, render_note
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.handlers import Session
from demo.ui.live.tab import Widgets
from demo.ui.tabs.compare.tab import ANSWERED, CHOSEN
from demo.ui.tabs.compare.text import compare_figures, describe, render_slot, render_table, render_verdicts

_TEXTS = ("questions", "answers", "matches")  # what is wrong with these is wrong for every reading


@dataclass
class Memory:
    """What the server remembers of one open page, so that what has not changed is not computed again.

    Where only one model fits into memory, this is also what keeps two readings from loading theirs in turns for ever.
    """

    answers: dict[str, tuple[Any, Comparison]] = field(default_factory=dict)  # by letter: what was asked, the answer
    leads: dict[str, tuple[Comparison, Comparison, Lead | None]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)  # by a slot's serial: why its model cannot be had


@dataclass(frozen=True)
class Outcome:
    """What came of one reading: an answer, or a sentence that says why there is none."""

    comparison: Comparison | None = None
    alert: str = ""
    loading: str = ""
    progress: float | None = None


def wire_compare(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    slots = gr.State(first_slots(lab.models(), lab.settings.model))
    memory = gr.State(Memory())
    handlers = CompareHandlers(lab, widgets)
    chosen = [slots, *widgets.select(*CHOSEN)]
    for letter in LETTERS:
        model, reading, remove = (
            getattr(widgets, f"{part}_{letter.lower()}") for part in ("model", "reading", "remove")
        )
        for name, widget in (("model", model), ("reading", reading)):
            choose = partial(handlers.on_choose, letter=letter, name=name)
            gr.on([widget.input], choose, [slots, widget], slots, trigger_mode="always_last", **QUIET)
        remove.click(handlers.removal(letter), [slots, widgets.pair], chosen, **QUIET)
    inputs = [slots, widgets.pair, session, *lab_widgets.choices]
    widgets.add.click(handlers.on_add, inputs, chosen, **QUIET)
    widgets.keep.click(handlers.on_keep, inputs, chosen, **QUIET)
    widgets.view.opened(handlers.on_open, [slots, widgets.pair], chosen, queue=False, **QUIET)
    gr.on(
        [widgets.view.tick, slots.change, widgets.scale.input, widgets.pair.input],
        handlers.on_tick,
        inputs=[slots, memory, session, widgets.scale, widgets.pair, *lab_widgets.choices],
        outputs=[memory, *widgets.select(*ANSWERED)],
        trigger_mode="always_last",
        concurrency_limit=8,
        **QUIET,
    )


class CompareHandlers:
    """The tab's answers. One instance serves every person."""

    def __init__(self, lab: Lab, widgets: Panel):
        self.lab = lab
        self.widgets = widgets

    def on_open(self, request: gr.Request, slots: Slots, pair: str) -> list:
        """What the tab's boxes offer, in the person's language."""
        return [slots, *self._chosen(choose_language(request), slots, pair)]

    def on_choose(self, slots: Slots, value: str | None, letter: str, name: str) -> Any:
        """Another model or another reading in a slot. Only the slots change; they bring a new answer."""
        value = (value or "").strip()
        known = value in PRESETS or (value == KEPT and letter in slots and slots[letter].kept)
        if not value or (name == "reading" and not known):
            return gr.skip()
        return change_slot(slots, letter, **{"preset" if name == "reading" else "model": value})

    def on_add(self, request: gr.Request, slots: Slots, pair: str, session: Session, *values: Any) -> list:
        """One more reading, of the model that is in use."""
        return self._with(request, add_slot(slots, self._model(session, Form.from_widgets(values))), pair)

    def on_keep(self, request: gr.Request, slots: Slots, pair: str, session: Session, *values: Any) -> list:
        """The current reading as it stands, in a slot of its own."""
        asked = Form.from_widgets(values)
        model = self._model(session, asked)
        kept = {name: value for name, value in asked.reading.items() if name != "model"}
        info = self.lab.engine.loaded(model)
        if info and kept["layer"] == info.n_layers:
            kept["layer"] = LAST_LAYER  # so that it fits another model too
        return self._with(request, add_slot(slots, model, kept), pair)

    def removal(self, letter: str) -> Callable[..., list]:
        """The handler that takes one reading away."""

        def on_remove(request: gr.Request, slots: Slots, pair: str) -> list:
            return self._with(request, remove_slot(slots, letter), pair)

        return on_remove

    def on_tick(
        self, request: gr.Request, slots: Slots, memory: Memory, session: Session, scale: str, pair: str, *values: Any
    ) -> list:
        """The only listener that computes."""
        language = choose_language(request)
        asked = Form.from_widgets(values)
        asked = replace(asked, model=self._model(session, asked))
        rest: list = [gr.skip() for _ in ANSWERED[1:]]

        def answer() -> dict:
            nonlocal rest
            outcomes = self._outcomes(language, slots, memory, asked)
            rest = self._say(language, memory, outcomes, scale)
            shown = _shown(outcomes)
            figures = compare_figures(language, shown, scale, _drawn_pair(pair, shown))
            loading = next((each for each in outcomes.values() if each.loading), None)
            if loading:
                return show_view(language, next_seq(), "running", loading.loading, loading.progress, figures)
            return show_view(language, next_seq(), "ready", figures=figures)

        return [memory, answer_view(language, answer), *rest]

    def _outcomes(self, language: str, slots: Slots, memory: Memory, asked: Form) -> dict[str, Outcome]:
        """What came of every reading, A first."""
        current = Slot(asked.model, KEPT, tuple((k, v) for k, v in asked.reading.items() if k != "model"), -1)
        return {
            letter: self._outcome(language, memory, asked, letter, slot)
            for letter, slot in ((CURRENT, current), *slots.items())
        }

    def _outcome(self, language: str, memory: Memory, asked: Form, letter: str, slot: Slot) -> Outcome:
        question = (asked.questions, asked.answers, asked.matches, slot.model, slot.preset, slot.kept)
        before = memory.answers.get(letter)
        if before and before[0] == question:
            return Outcome(before[1])
        alert = self._unavailable(language, slot.model)
        if not alert and self.lab.engine.loaded(slot.model) is None:
            alert = memory.failed.get(slot.serial, "")
        if alert:
            return Outcome(alert=alert)
        try:
            info = self.lab.open(slot.model, wait=False) if slot.preset == OWN else None
            comparison = self.lab.compare(
                asked.questions, asked.answers, slot.model, matches=asked.matches, wait=False, **slot.options(info)
            )
        except ModelLoading as error:
            stage = translate_word(language, "stage", error.values["stage"])
            note = translate(language, "heatmap.loading", model=error.values["model"], stage=stage)
            return Outcome(loading=note, progress=error.values.get("fraction"))
        except DemoError as error:
            if error.field in _TEXTS:
                raise
            alert = translate_error(language, error)
            if isinstance(error, ModelError) and letter != CURRENT:
                memory.failed[slot.serial] = alert  # it is not asked for again at every key press
            return Outcome(alert=alert)
        except Exception as error:  # the other readings stay; the log says where it happened, without anybody's texts
            return Outcome(alert=report_unexpected(language, error, f"reading {letter}"))
        memory.answers[letter] = (question, comparison)
        return Outcome(comparison)

    def _say(self, language: str, memory: Memory, outcomes: dict[str, Outcome], scale: str) -> list:
        """Everything beside the pictures, in the order of the tab's `answered`."""
        shown = _shown(outcomes)
        notes = [self._note(language, letter, outcomes.get(letter)) for letter in (CURRENT, *LETTERS)]
        verdicts = render_verdicts(language, shown, self._leads(memory, shown))
        hint = render_note(translate(language, f"compare.scale.{scale}.hint"))
        return [*notes, verdicts, hint, render_table(language, shown)]

    def _note(self, language: str, letter: str, outcome: Outcome | None) -> Any:
        if outcome is None:
            return gr.skip()
        if outcome.comparison is None:
            return render_slot(language, letter, outcome.loading, outcome.alert)
        comparison = outcome.comparison
        notices = () if letter == CURRENT else comparison.notices
        return render_slot(language, letter, describe(language, comparison), notices=notices)

    def _leads(self, memory: Memory, shown: dict[str, Comparison]) -> dict[str, Lead | None]:
        """What each other reading is ahead of A by."""
        first = shown.get(CURRENT)
        others = {letter: comparison for letter, comparison in shown.items() if letter != CURRENT}
        if first is None:
            return {}
        for letter, comparison in others.items():
            known = memory.leads.get(letter)
            if known is None or known[0] is not first or known[1] is not comparison:
                memory.leads[letter] = (first, comparison, contrast(first, comparison))
        return {letter: memory.leads[letter][2] for letter in others}

    def _with(self, request: gr.Request, slots: Slots, pair: str) -> list:
        return [slots, *self._chosen(choose_language(request), slots, pair)]

    def _chosen(self, language: str, slots: Slots, pair: str) -> list:
        """The slots' boxes, in the order of the tab's `chosen`."""
        models = [(model_label(language, status), status.model) for status in self.lab.models()]
        updates: list[Any] = []
        for letter in LETTERS:
            slot = slots.get(letter)
            if slot is None:
                updates += [gr.update(visible=False), gr.skip(), gr.skip(), gr.skip()]
                continue
            names = [*PRESETS, *([KEPT] if slot.kept else [])]
            readings = [(translate(language, f"compare.reading.{name}"), name) for name in names]
            updates += [
                gr.update(visible=True),
                gr.update(choices=models, value=slot.model),
                gr.update(choices=readings, value=slot.preset),
                gr.update(visible=len(slots) > 1),
            ]
        room = gr.update(visible=len(slots) < len(LETTERS))
        differences = pairs([CURRENT, *slots])
        chosen = pair if pair in differences else differences[0]
        labelled = [(f"{name[0]} − {name[1]}", name) for name in differences]
        return [*updates, room, room, gr.update(choices=labelled, value=chosen, visible=len(differences) > 1)]

    def _unavailable(self, language: str, model: str) -> str:
        """Why a model of the list cannot be used here; empty where it can."""
        status = self.lab.status(model)
        if status is None or status.state != "unavailable":
            return ""
        reason = translate_phrase(language, status.reason.rstrip("."))
        return translate(language, "message.unavailable", name=status.name, reason=reason)

    def _model(self, session: Session, asked: Form) -> str:
        """The model of the current reading."""
        return (asked.model or "").strip() or session.model or self.lab.settings.model


def _shown(outcomes: dict[str, Outcome]) -> dict[str, Comparison]:
    return {letter: each.comparison for letter, each in outcomes.items() if each.comparison}


def _drawn_pair(pair: str, shown: dict[str, Comparison]) -> str:
    """The chosen difference, else the first that can be drawn, else none."""
    possible = pairs(list(shown))
    return pair if pair in possible else next(iter(possible), "")
