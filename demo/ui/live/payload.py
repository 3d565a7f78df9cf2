"""Payload: an answer as live.js takes it, with the figure, the words around it and the updates of the widgets.

Every answer is whole; live.js leaves alone what has not changed on the page. Computes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from demo.domain.datamodels import (
    SERVED_PROMPTS,
    Comparison,
    ModelInfo,
    ModelStatus,
    Pooling,
    Postprocess,
    Prompt,
    Reference,
    Served,
)
from demo.figures.similarity import SCALES
from demo.lab import Lab
from demo.ui.kit.html import render
from demo.ui.kit.i18n import LOCALES, translate, translate_group, translate_phrase, translate_word
from demo.ui.kit.text import (
    layer_hint,
    model_choices,
    model_summary,
    render_fold_head,
    render_metrics,
    render_note,
    render_notices,
    render_status,
    render_unavailable,
    render_verdict,
)
from demo.ui.live.examples import ExampleSet, load_examples
from demo.ui.live.form import FORM_FIELDS, PROMPT_BOXES, Form, LiveRequest
from demo.ui.recipes.recipes import chosen_recipe, list_recipes, render_recipes, render_turn
from demo.wording.numbers import two_digits

_LABELLED = (*FORM_FIELDS, "matches_fold", "examples", "compute")  # widgets of the lab that have a label
_METHODS = [method.value for method in Postprocess]
_LABELLED_CHOICES = {"reference": [choice.value for choice in Reference], "scale": list(SCALES)}


@dataclass
class Answer:
    """An answer while it is put together."""

    form: Form  # as the widgets should show it
    model: str  # the model in use
    linked: dict[str, Any]  # the reading of a link or another tab, until its model is loaded
    heatmap: dict[str, Any] = field(default_factory=dict)  # the payload of heatmap.js
    comparison: Comparison | None = None
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # field → (error, label of the offer, of a no)
    offers: dict[str, str] = field(default_factory=dict)  # field → a value that would be accepted
    notice: str = ""  # an error that belongs to no field


def render_payload(
    language: str, lab: Lab, request: LiveRequest, sent: Form, answer: Answer, relabel: bool
) -> dict[str, Any]:
    """The JSON of an answer. sent: the form as the page has it. relabel: the address names the language."""
    return _Renderer(language, lab, request, answer).payload(sent, relabel)


def prompts_of(model: ModelInfo | ModelStatus) -> list[str]:
    """The prompts to choose from: `own` only where the checkpoint names some."""
    if model.host:
        return [prompt.value for prompt in SERVED_PROMPTS]
    if isinstance(model, ModelInfo):
        own = model.names_prompts
    else:
        own = model.default_reading is not None and model.default_reading.prompt is Prompt.OWN
    return [prompt.value for prompt in Prompt if own or prompt is not Prompt.OWN]


def _poolings_of(model: ModelInfo | ModelStatus) -> list[str]:
    """The poolings to choose from: `own` only where the checkpoint has modules of its own."""
    own = isinstance(model, ModelInfo) and bool(model.own_modules)
    poolings = Served if model.host else [pooling for pooling in Pooling if own or pooling is not Pooling.OWN]
    return [pooling.value for pooling in poolings]


class _Renderer:
    """One answer in one language."""

    def __init__(self, language: str, lab: Lab, request: LiveRequest, answer: Answer):
        self.language = language
        self.lab = lab
        self.request = request
        self.answer = answer
        self.statuses = {status.model: status for status in lab.models()}
        self.info = lab.engine.loaded(answer.model) if answer.model else None
        self.first = request.link is not None  # the page has had no answer yet

    def payload(self, sent: Form, relabel: bool) -> dict[str, Any]:
        answer = self.answer
        payload = {
            **answer.heatmap,
            "pieces": self._pieces(),
            "updates": self._updates(sent, relabel),
            "offers": answer.offers,
            "memory": {"model": answer.model, "linked": answer.linked},
            "tried": self._tried(),
        }
        if self.first:
            words = {f"texts_{name}": word for name, word in translate_group(self.language, "texts").items()}
            payload["words"] = translate_group(self.language, "heatmap") | words
            payload["sets"] = list(map(self._example, load_examples().values()))
        return payload

    def _tried(self) -> dict[str, str] | None:
        """The reading's names and figures, as history.js keeps them."""
        comparison = self.answer.comparison
        if comparison is None:
            return None
        recipes = list_recipes(self.statuses, self.answer.model, self.lab.settings.model, self.info)
        recipe = chosen_recipe(recipes, vars(self.answer.form), self.info)
        return {
            "name": self._name(self.answer.model),
            "recipe": recipe and self._say(f"recipe.{recipe}"),
            "auc": two_digits(comparison.metrics.auc),
            "margin": two_digits(comparison.metrics.margin, signed=True),
        }

    def _example(self, example: ExampleSet) -> dict[str, str]:
        """A set as texts.js takes it; note: what to look for, as HTML."""
        title, teaches = (texts.get(self.language, texts["en"]) for texts in (example.title, example.teaches))
        texts = {"questions": "\n".join(example.questions), "answers": "\n".join(example.answers)}
        texts["matches"] = example.matches
        return {"id": example.id, "title": title, "teaches": teaches, "note": render_note(teaches), **texts}

    def _say(self, key: str, **values: Any) -> str:
        return translate(self.language, key, **values)

    def _pieces(self) -> dict[str, str]:
        """HTML of the places around the heatmap, by their names."""
        answer, language, device = self.answer, self.language, self.lab.device()
        hints = self._hints()
        pieces = {f"{name}-note": render_note(hints.get(name, ""), *answer.notes.get(name, ())) for name in FORM_FIELDS}
        pieces["model-note"] += render_unavailable(language, list(self.statuses.values()))
        recipes = list_recipes(self.statuses, answer.model, self.lab.settings.model, self.info)
        chosen = chosen_recipe(recipes, vars(answer.form), self.info)
        pieces["recipes"] = render_recipes(language, recipes, chosen)
        pieces["reading_head"] = render_fold_head(self._say("heading.reading"), self._reading_summary(chosen))
        if answer.notice:
            pieces["notices"] = render_notices((answer.notice,))
        comparison = answer.comparison
        if comparison:
            took = self._say("status.took", seconds=f"{comparison.seconds:.2f}")
            pieces["status"] = render_status(language, device, comparison, f"{time.strftime('%H:%M:%S')} {took}", "")
            article = next(iter(load_examples().values()))
            texts = (comparison.questions, comparison.answers, answer.form.matches)
            theirs = texts == (article.questions, article.answers, article.matches)
            turn = render_turn(language, recipes, chosen) if theirs else ""
            pieces["verdict"] = render_verdict(language, comparison) + turn
            pieces["metrics"] = render_metrics(language, comparison.metrics)
            pieces["notices"] = render_notices(
                tuple(translate_phrase(language, notice) for notice in comparison.notices)
            )
        elif not self.request.drawn:
            pieces["status"] = render_status(language, device, None, "", self._name(answer.form.model))
        if not self.request.drawn:  # not the first answer alone: Gradio may still be building the places of its words
            pieces["history"] = render("recipes/history.html", language)
            pieces["texts-tools"] = render("live/texts.html", language)
            pieces["texts_head"] = render_fold_head(self._say("heading.texts"), "", self._say("summary.texts"))
        return pieces

    def _reading_summary(self, recipe: str) -> str:
        """The model and its recipe by name, or by the ids of what was chosen."""
        form = self.answer.form
        if recipe:
            return " · ".join((self._name(self.answer.model), self._say(f"recipe.{recipe}")))
        prompt = form.prompt + (" + EOS" if form.eos else "")
        on_corpus = form.reference == Reference.CORPUS.value
        corpus = f" ({translate_word(self.language, 'reference', form.reference)})" if on_corpus else ""
        postprocess = (form.postprocess + corpus,) if form.signed else ()
        return " · ".join((self._name(self.answer.model), prompt, form.pooling, *postprocess))

    def _hints(self) -> dict[str, str]:
        form, say = self.answer.form, self._say
        signed = "_signed" if form.signed and form.scale == "unit" else ""
        hints = {
            "prompt": say(f"prompt.{form.prompt}.hint"),
            "pooling": say(f"pooling.{form.pooling}.hint"),
            "postprocess": say(f"postprocess.{form.postprocess}.hint"),
            "reference": say(f"reference.{form.reference}.hint") if form.signed else "",
            "scale": say(f"scale.{form.scale}{signed}.hint"),
            "eos": say("eos.hint") if form.eos else "",
        }
        hints |= {name: say(f"{name}.hint") for name, prompt in PROMPT_BOXES.items() if form.prompt == prompt.value}
        comparison = self.answer.comparison
        if comparison and not form.matches.strip() and len(comparison.questions) > len(comparison.answers):
            hints["answers"] = say("answers.few", questions=len(comparison.questions), answers=len(comparison.answers))
        wished = self.statuses.get(form.model)
        used = self.statuses.get(self.answer.model) or self.info
        if model := wished or used:  # the one that is named above, while it loads too
            size = model_summary(self.language, model)
            licence = f", {model.licence}" if isinstance(model, ModelStatus) and model.licence else ""
            hints["model"] = f"{size[0].upper()}{size[1:]}{licence}. {say(f'kind.{model.kind.value}.hint')}"
            if isinstance(model, ModelStatus) and model.reason and model.state != "unavailable":  # read from disk
                reason = translate_phrase(self.language, f"{model.reason}.")
                hints["model"] += f" {reason[0].upper()}{reason[1:]}"
            if used and not model.host:  # there the slider is hidden
                hints["layer"] = layer_hint(self.language, form.layer, used.n_layers, form.pooling, used.kind)
        return hints

    def _updates(self, sent: Form, relabel: bool) -> dict[str, dict[str, Any]]:
        """New properties of Gradio's widgets, by the widgets' names."""
        form = self.answer.form
        updates: dict[str, dict[str, Any]] = {name: {} for name in _LABELLED}
        if relabel:
            for name, properties in updates.items():
                properties |= self._labels(name)
        for name, value in vars(form).items():
            if value != getattr(sent, name):
                updates[name]["value"] = value
        for name, prompt in PROMPT_BOXES.items():
            updates[name]["visible"] = form.prompt == prompt.value
        updates["reference"]["visible"] = form.signed
        model = self.info or self.statuses.get(self.answer.model)
        if model:
            for name, ids in (
                ("prompt", prompts_of(model)),
                ("pooling", _poolings_of(model)),
                ("postprocess", _METHODS),
            ):
                updates[name]["choices"] = [(f"{self._say(f'{name}.{id}.name')} — {id}", id) for id in ids]
            updates["layer"]["maximum"] = max(1, model.n_layers)  # a slider of no length is none to Gradio
            for name in ("eos", "layer"):
                updates[name]["visible"] = not model.host
        # Which models fit is known once the engine has started; what has been fetched, once it is in use.
        if not self.request.drawn or self.answer.model != self.request.model:
            updates["model"]["choices"] = self._model_choices()
        return {name: properties for name, properties in updates.items() if properties}

    def _labels(self, name: str) -> dict[str, Any]:
        """Labels follow the browser's language by themselves; here they follow the address."""
        labels: dict[str, Any] = {"value" if name == "compute" else "label": self._say(f"label.{name}")}
        for option in ("info", "placeholder"):
            if f"label.{name}_{option}" in LOCALES["en"]:
                labels[option] = self._say(f"label.{name}_{option}")
        if name in _LABELLED_CHOICES:
            labels["choices"] = [(self._say(f"label.{name}_{value}"), value) for value in _LABELLED_CHOICES[name]]
        return labels

    def _name(self, model: str) -> str:
        known = self.statuses.get(model) or self.lab.engine.loaded(model)
        return known.name if known else model

    def _model_choices(self) -> list[tuple[str, str]]:
        """The list, and a model that is in use though it is not on it: one that was trained here, or a folder."""
        choices = model_choices(self.language, list(self.statuses.values()))
        unlisted = self.info is not None and self.answer.model not in self.statuses
        return choices + ([(self.info.name, self.info.model)] if unlisted else [])
