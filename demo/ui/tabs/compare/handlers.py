"""The Compare tab's handlers: each slot's reading becomes a request to the lab, the results figures and sentences.

Computes nothing, and never waits for a model: a slot whose model is being loaded says so, and an error of one reading
stands at its slot beside the other readings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr

from demo.domain.datamodels import LAST_LAYER, Comparison
from demo.domain.errors import DemoError, ModelError, ModelLoading
from demo.domain.results import Ranking
from demo.lab import Lab
from demo.studies.contrast import rank
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_phrase
from demo.ui.kit.page_jobs import open_session
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
    next_serial,
    pairs,
    preset_of,
    remove_slot,
    untouched,
)
from demo.ui.kit.text import model_label, render_note
from demo.ui.kit.unexpected import explain_error
from demo.ui.kit.view import answer_view, next_seq, note_loading, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.page_file.chosen import ChosenTexts, choose_texts, render_chosen
from demo.ui.tabs.compare.link import dump_slots, load_slots
from demo.ui.tabs.compare.tab import ANSWERED, CHOSEN
from demo.ui.tabs.compare.text import (
    compare_figures,
    describe,
    difference_missing,
    preset_name,
    render_ranking,
    render_slot,
    render_table,
)

_LINKED_JS = "(slots, pair, linked, ...values) => [slots, pair, window.lab.linkedSlots(), ...values]"


@dataclass
class Memory:
    """Cached results of one open page. If only one model fits into memory, this also keeps two readings from
    loading theirs in turns for ever."""

    comparisons: dict[str, tuple[Any, Comparison]] = field(default_factory=dict)  # by letter: (request, result)
    ranking: tuple[dict[str, Comparison], Ranking | None] = ({}, None)  # of which readings
    failed: dict[tuple[str, int], str] = field(default_factory=dict)  # by (model, serial): why it cannot be loaded
    changes: int = 0  # of the slots, by the person


@dataclass(frozen=True)
class Outcome:
    """One reading's result, or a sentence that says why there is none."""

    comparison: Comparison | None = None
    alert: str = ""
    loading: str = ""
    progress: float | None = None


def wire_compare(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = CompareHandlers(lab, widgets)
    slots = gr.State(None)  # until the tab is opened: a tick that came before would write over the link's slots
    memory = gr.State(Memory())
    chosen = widgets.select(*CHOSEN)
    for letter in LETTERS:
        for name in ("model", "reading"):
            widget = getattr(widgets, f"{name}_{letter.lower()}")
            choose = partial(handlers.on_choose, letter=letter, name=name)
            gr.on([widget.input], choose, [slots, memory, widget], slots, trigger_mode="always_last", **QUIET)
        remove = getattr(widgets, f"remove_{letter.lower()}")
        click = handlers.with_boxes(partial(remove_slot, letter=letter))
        remove.click(click, [widgets.pair, slots, memory], [slots, *chosen], **QUIET)
    inputs = [widgets.pair, slots, memory, *lab_widgets.choices]
    widgets.add.click(handlers.with_boxes(handlers.on_add), inputs, [slots, *chosen], **QUIET)
    widgets.keep.click(handlers.with_boxes(handlers.on_keep), inputs, [slots, *chosen], **QUIET)
    opened = [slots, widgets.pair, widgets.linked, *lab_widgets.choices]
    widgets.view.opened(handlers.on_open, opened, [slots, *chosen], js=_LINKED_JS, queue=False, **QUIET)
    slots.change(handlers.on_slots, [slots, widgets.pair], chosen, **LIVE)
    gr.on(
        [widgets.view.tick, slots.change, widgets.scale.input, widgets.pair.input, widgets.source.input],
        handlers.on_tick,
        inputs=[slots, memory, *widgets.select("scale", "pair", "source"), *lab_widgets.choices],
        outputs=[slots, memory, *widgets.select(*ANSWERED)],
        **LIVE,
    )


class CompareHandlers:
    """One instance serves every person."""

    def __init__(self, lab: Lab, widgets: Panel):
        self.lab = lab
        self.widgets = widgets
        self.first = first_slots(lab.models(), lab.settings.model)

    def on_open(self, request: gr.Request, slots: Slots | None, pair: str, linked: Any, *values: Any) -> list:
        """The tab is opened, with the slots of the page's link or those that another tab brought, if there are some."""
        slots = slots or self.first
        slots = load_slots(linked, next_serial(slots)) or self._follow(slots, self._form(values))
        return [slots, *self.on_slots(request, slots, pair)]

    def on_slots(self, request: gr.Request, slots: Slots, pair: str) -> list:
        """The updates of CHOSEN: boxes and their choices in the person's language."""
        language = choose_language(request)
        models = [(model_label(language, status), status.model) for status in self.lab.models()]
        updates: list[Any] = []
        for letter in LETTERS:
            slot = slots.get(letter)
            if slot is None:
                updates += [gr.update(visible=False), gr.skip(), gr.skip(), gr.skip()]
                continue
            names = [*PRESETS, *([KEPT] if slot.kept else [])]
            readings = [(preset_name(language, name), name) for name in names]
            updates += [
                gr.update(visible=True),
                gr.update(choices=models, value=slot.model),
                gr.update(choices=readings, value=slot.preset),
                gr.update(visible=len(slots) > 1),
            ]
        room = gr.update(visible=len(slots) < len(LETTERS))
        differences = pairs([CURRENT, *slots])
        choices = [(f"{name[0]} − {name[1]}", name) for name in differences]
        value = {} if pair in differences else {"value": differences[0]}  # else a choice made meanwhile would be lost
        return [*updates, room, room, gr.update(choices=choices, visible=len(differences) > 1, **value)]

    def with_boxes(self, change: Callable[..., Slots]) -> Callable[..., list]:
        """A handler that changes the slots and shows their boxes at once, so that nobody clicks on one that goes."""

        def handle(request: gr.Request, pair: str, slots: Slots | None, memory: Memory, *values: Any) -> list:
            memory.changes += 1
            slots = change(slots or self.first, *values)
            return [slots, *self.on_slots(request, slots, pair)]

        return handle

    def on_choose(self, slots: Slots | None, memory: Memory, value: str | None, letter: str, name: str) -> Any:
        """Another model or another reading in a slot. Only the slots change; their change event computes."""
        slots, value = slots or self.first, (value or "").strip()
        known = value in PRESETS or (value == KEPT and letter in slots and slots[letter].kept)
        if not value or (name == "reading" and not known):
            return gr.skip()
        memory.changes += 1
        return change_slot(slots, letter, **{"preset" if name == "reading" else "model": value})

    def on_add(self, slots: Slots, *values: Any) -> Slots:
        """One more reading, of the model in use."""
        form = self._form(values)
        return add_slot(slots, form.model, reading=preset_of(self._options(form)))

    def on_keep(self, slots: Slots, *values: Any) -> Slots:
        """The current reading in a slot of its own."""
        form = self._form(values)
        return add_slot(slots, form.model, self._options(form))

    def on_tick(
        self, request: gr.Request, slots: Slots | None, memory: Memory, scale: str, pair: str, source: str, *values: Any
    ) -> list:
        """The memory, and the updates of ANSWERED. The only handler that computes."""
        language, key = choose_language(request), open_session(request)
        updates: list = [gr.skip() for _ in ANSWERED[1:]]
        if slots is None:
            return [gr.skip(), memory, show_view(language, next_seq(), "idle", poll=True), *updates]
        before, changes = slots, memory.changes

        def compare() -> dict:
            nonlocal slots, updates
            form = self._form(values)
            texts = choose_texts(self.lab, key, source, form.texts)
            of = {**Form.from_widgets(values).reading, **texts.boxes}
            slots = self._follow(slots, form)
            outcomes = self._outcomes(language, slots, memory, form, texts)
            shown = {letter: each.comparison for letter, each in outcomes.items() if each.comparison}
            updates = [
                render_chosen(language, self.lab, key, source),
                *(self._note(language, letter, outcomes.get(letter)) for letter in (CURRENT, *LETTERS)),
                render_ranking(language, shown, self._ranking(memory, shown)),
                render_note(translate(language, f"compare.scale.{scale}.hint")),
                render_table(language, shown),
            ]
            possible = pairs(list(shown))
            drawn = pair if pair in possible else next(iter(possible), "")
            if drawn and (missing := difference_missing(language, shown, scale, drawn)):
                updates[-2], drawn = render_note(missing), ""
            figures = compare_figures(language, shown, scale, drawn)
            loading = next((each for each in outcomes.values() if each.loading), None)
            if loading:
                return show_view(language, next_seq(), "running", loading.loading, loading.progress, figures, of=of)
            return show_view(language, next_seq(), "ready", figures=figures, of=of)

        view = answer_view(language, compare)
        link = "" if untouched(slots) else dump_slots(slots)
        changed = slots != before and changes == memory.changes  # else a choice made meanwhile would be written over
        return [slots if changed else gr.skip(), memory, {**view, "slots": link}, *updates]

    def _form(self, values: Sequence[Any]) -> Form:
        """The lab's form with its model."""
        form = Form.from_widgets(values)
        return replace(form, model=form.model or self.lab.settings.model)

    def _options(self, form: Form) -> dict[str, Any]:
        """The form's reading without its model, the last layer as such, so that it fits another model too."""
        options = {name: value for name, value in form.reading.items() if name != "model"}
        info = self.lab.engine.loaded(form.model)
        return options | ({"layer": LAST_LAYER} if info and options["layer"] == info.n_layers else {})

    def _follow(self, slots: Slots, form: Form) -> Slots:
        """Slots that nobody has changed are chosen anew for the model in use."""
        if not untouched(slots):
            return slots
        info = self.lab.engine.loaded(form.model)
        return first_slots(self.lab.models(), form.model, info.base if info else "", self._options(form))

    def _outcomes(
        self, language: str, slots: Slots, memory: Memory, form: Form, texts: ChosenTexts
    ) -> dict[str, Outcome]:
        """Every reading's outcome, A first."""
        current = Slot(form.model, KEPT, tuple((k, v) for k, v in form.reading.items() if k != "model"), -1)
        return {
            letter: self._outcome(language, memory, texts, letter, slot)
            for letter, slot in ((CURRENT, current), *slots.items())
        }

    def _outcome(self, language: str, memory: Memory, texts: ChosenTexts, letter: str, slot: Slot) -> Outcome:
        key = (*texts.key, slot.model, slot.preset, slot.kept)
        cached = memory.comparisons.get(letter)
        if cached and cached[0] == key:
            return Outcome(cached[1])
        alert = self._unavailable(language, slot.model)
        if not alert and self.lab.engine.loaded(slot.model) is None:
            alert = memory.failed.get((slot.model, slot.serial), "")
        if alert:
            return Outcome(alert=alert)
        try:
            info = self.lab.open(slot.model, wait=False) if slot.preset == OWN else None
            comparison = self.lab.compare(**texts.texts, model=slot.model, wait=False, **slot.options(info))
        except ModelLoading as error:
            note = note_loading(language, error.values["model"], error.values["stage"])
            return Outcome(loading=note, progress=error.values.get("fraction"))
        except Exception as error:  # the other readings stay
            if isinstance(error, DemoError) and error.field in texts.texts:  # it concerns every reading
                raise
            alert = explain_error(language, error, f"reading {letter}")
            if isinstance(error, ModelError) and letter != CURRENT:
                memory.failed[slot.model, slot.serial] = alert  # not loaded again at every key press
            return Outcome(alert=alert)
        memory.comparisons[letter] = (key, comparison)
        return Outcome(comparison)

    def _note(self, language: str, letter: str, outcome: Outcome | None) -> Any:
        if outcome is None:
            return gr.skip()
        comparison = outcome.comparison
        if comparison is None:
            return render_slot(language, letter, outcome.loading, outcome.alert)
        notices = () if letter == CURRENT else comparison.notices
        return render_slot(
            language, letter, describe(language, comparison), notices=notices, reading=comparison.reading
        )

    def _ranking(self, memory: Memory, shown: dict[str, Comparison]) -> Ranking | None:
        if memory.ranking[0] != shown:  # comparisons are equal if they are the same
            memory.ranking = (shown, rank(shown))
        return memory.ranking[1]

    def _unavailable(self, language: str, model: str) -> str:
        """Why a model of the list cannot be used here; empty if it can."""
        status = self.lab.status(model)
        if status is None or status.state != "unavailable":
            return ""
        reason = translate_phrase(language, status.reason.rstrip("."))
        return translate(language, "message.unavailable", name=status.name, reason=reason)
