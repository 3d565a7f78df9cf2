"""Recipes: well-known readings as buttons over the heatmap, so that nobody needs four menus to see another one.

A recipe is a reading of the GPT in use, or another model by its own reading. Knows no widget: recipes.js brings the
values of a button into the form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, Kind, ModelInfo, ModelStatus, Prompt, Reference
from demo.ui.kit.html import render
from demo.ui.kit.presets import BASELINE_MODEL, preset_options

_ARTICLE, _OTHER = "article", "prompteol"  # the one that fails on the article's texts, and one that does not
_OF_A_GPT = (_ARTICLE, "mean", _OTHER, "echo")  # names of PRESETS
_READING = ("prompt", "eos", "pooling", "layer", "postprocess")


@dataclass(frozen=True)
class Recipe:
    """What one button chooses. values: of the form's fields; a model alone means its own reading."""

    name: str
    values: Mapping[str, Any]


def list_recipes(statuses: Mapping[str, ModelStatus], model: str, first: str, info: ModelInfo | None) -> list[Recipe]:
    """The recipes that this host can offer. model: the one in use; first: the page's; info: of `model`, if loaded."""
    offered = {name: status for name, status in statuses.items() if status.state != "unavailable"}
    gpt = next((name for name in (model, first) if name in offered and offered[name].kind is Kind.GPT), "")
    recipes = []
    if gpt:
        layer = offered[gpt].n_layers
        known = info if info and info.model == gpt else None
        for name in _OF_A_GPT:
            options = preset_options(name)
            if known and options["prompt"] == Prompt.CHAT.value and not (known.has_chat_template and known.has_lm_head):
                continue
            values = {"model": gpt, "reference": Reference.TEXTS.value, **options, "layer": layer}
            recipes.append(Recipe(name, values))
    tuned = next((entry.id for entry in CATALOG.values() if gpt and entry.base == gpt and entry.id in offered), "")
    others = {"tuned": tuned, "encoder": BASELINE_MODEL if BASELINE_MODEL in offered else ""}
    return recipes + [Recipe(name, {"model": other}) for name, other in others.items() if other]


def is_chosen(recipe: Recipe, form: Mapping[str, Any], info: ModelInfo | None) -> bool:
    """Whether the form's reading is this recipe's. info: of the model in use, if loaded."""
    values = dict(recipe.values)
    if len(values) == 1:
        if info is None or info.model != values["model"]:
            return False
        own = info.default_reading.to_dict()
        values |= {name: own[name] for name in _READING}
        if own["layer"] == LAST_LAYER:
            values["layer"] = info.n_layers
    return all(form[name] == value for name, value in values.items() if name != "reference")


def chosen_recipe(recipes: list[Recipe], form: Mapping[str, Any], info: ModelInfo | None) -> str:
    """The name of the recipe that the form's reading is; "" for a reading of one's own choice."""
    return next((recipe.name for recipe in recipes if is_chosen(recipe, form, info)), "")


def render_recipes(language: str, recipes: list[Recipe], chosen: str) -> str:
    """The row of buttons, and a sentence about the chosen one; nothing where there is nothing to choose."""
    if len(recipes) < 2:
        return ""
    buttons = [(recipe.name, json.dumps(recipe.values)) for recipe in recipes]
    return render("recipes/recipes.html", language, buttons=buttons, chosen=chosen)


def render_turn(language: str, recipes: Sequence[Recipe], chosen: str) -> str:
    """Beside the verdict on the article's texts: the button to another reading of the same GPT, and back again."""
    values = {recipe.name: json.dumps(recipe.values) for recipe in recipes}
    if not {_ARTICLE, _OTHER} <= values.keys():
        return ""
    name = _OTHER if chosen == _ARTICLE else _ARTICLE
    return render("recipes/turn.html", language, name=name, values=values[name])
