"""Recipes: which are offered, what each brings into the form, and which one counts as chosen."""

from __future__ import annotations

import html
import json
import re

import pytest

from demo.backend.fake import FakeEngine
from demo.domain.catalog import CATALOG
from demo.domain.errors import WeightsUnavailable
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.presets import preset_options
from demo.ui.live.examples import load_examples
from demo.ui.live.handlers import LiveHandlers
from demo.ui.recipes.recipes import list_recipes
from demo.wording.comparison import describe_verdict
from tests.page_requests import LivePage

GPT, TUNED, ENCODER = "smollm2-135m-instruct", "smollm2-135m-instruct-contrastive", "all-minilm-l6-v2"
BUTTON = re.compile(r'data-values="([^"]*)" aria-pressed="(\w+)"[^>]*>([^<]*)<')


@pytest.fixture
def engine():
    engine = FakeEngine()
    engine.unreachable = set()
    for model in (GPT, TUNED, ENCODER, "gpt2"):
        engine.load(model)
    return engine


@pytest.fixture
def page(engine):
    return LivePage(LiveHandlers(Lab(Settings(engine="fake"), engine)), questions="What is GPU?")


def buttons(answer) -> dict[str, tuple[dict, bool]]:
    """What each button brings, and whether it is the chosen one."""
    found = BUTTON.findall(answer["pieces"]["recipes"])
    return {
        html.unescape(title): (json.loads(html.unescape(values)), pressed == "true") for values, pressed, title in found
    }


def chosen(answer) -> list[str]:
    return [title for title, (_, pressed) in buttons(answer).items() if pressed]


def test_every_recipe_brings_its_reading_and_counts_as_chosen_then(page):
    first = page.ask()
    assert chosen(first) == ["the article's"]
    for title, (values, _) in buttons(first).items():
        answer = page.ask(**values)
        assert chosen(answer) == [title]
    assert chosen(page.ask(layer=3)) == []


def test_a_gpts_recipes_stay_with_the_gpt_in_use_and_come_back_to_the_first(page):
    tuned = page.ask(model=TUNED)
    assert {values["model"] for values, _ in buttons(tuned).values()} == {GPT, TUNED, ENCODER}
    other = buttons(page.ask(model="gpt2"))
    assert other["PromptEOL"][0]["model"] == "gpt2"
    assert other["PromptEOL"][0]["layer"] == CATALOG["gpt2"].n_layers
    assert "the article's" not in other, "its tokenizer has no chat template"


def test_a_model_that_cannot_be_had_is_no_recipe(engine):
    statuses = {status.model: status for status in engine.models() if status.model not in (TUNED, ENCODER)}
    names = [recipe.name for recipe in list_recipes(statuses, GPT, GPT, engine.loaded(GPT))]
    assert names == ["article", "mean", "prompteol", "echo"]


def test_the_sentence_is_of_the_chosen_recipe_in_both_languages(engine):
    page = LivePage(LiveHandlers(Lab(Settings(engine="fake"), engine)), "ko", questions="GPU?")
    assert "마지막 토큰의 로짓" in page.ask()["pieces"]["recipes"]
    assert "직접 고른" in page.ask(layer=2)["pieces"]["recipes"]


@pytest.mark.weights
def test_the_button_beside_the_verdict_turns_the_articles_result():
    lab, article = Lab(Settings(device="cpu", public=False)), next(iter(load_examples().values()))
    try:
        lab.open(GPT)
    except WeightsUnavailable as error:
        pytest.skip(str(error))
    verdicts = [
        describe_verdict("en", lab.compare(article.questions, article.answers, model=GPT, **preset_options(name)))[0]
        for name in ("article", "prompteol")
    ]
    assert verdicts == ["chance", "clear"]
