"""Story and lesson alike: a step is computed when it is seen, once, and its figures have words in both languages."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.i18n import LOCALES, translate
from demo.ui.tabs.lesson.steps import STEPS
from tests.ui.tabs.step_visit import (
    ENCODER,
    GPT,
    RUBBISH,
    TUNED,
    Visit,
    create_lesson,
    create_story,
    plain,
)


class Tab:
    """A tab over an engine with three models in memory. steps: from which to choose; name: of its locale keys."""

    def __init__(self, name: str, **engine):
        self.name = name
        self.engine = FakeEngine(**engine)
        lab = Lab(Settings(engine="fake"), self.engine)
        self.handlers = create_story(lab) if name == "story" else create_lesson(lab)
        self.steps = self.handlers.steps

    def load(self):
        for model in (GPT, TUNED, ENCODER):
            self.engine.load(model)
        return self

    def visit(self, session: str = "one", language: str = "en") -> Visit:
        guesses = [] if self.name == "story" else [{step.name: step.usual for step in STEPS}]
        return Visit(self.handlers, *guesses, session=session, language=language)


@pytest.fixture(params=["story", "lesson"])
def name(request) -> str:
    return request.param


@pytest.fixture
def tab(name) -> Tab:
    return Tab(name).load()


def test_nothing_is_computed_before_somebody_looks(tab):
    before, visit = tab.engine.embedded_texts, tab.visit()
    for step in (None, *tab.steps):
        for seen in (visit.open(step), visit.announce(step)):
            assert (seen["view"]["state"], seen["view"]["figures"], seen["found"]) == ("running", [], "")
    assert tab.engine.embedded_texts == before
    assert "updates" not in visit.use(tab.steps[-2]), "no reading yet"


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_figure_has_words_in_every_language(tab, language):
    visit = tab.visit(language=language)
    for step in tab.steps:
        assert f"label.{tab.name}_step_{step}" in LOCALES[language]
        announced, seen = visit.announce(step), visit.look(step)
        title = translate(language, f"{tab.name}.{step}.title")
        assert title in announced["text"].replace("&#x27;", "'")
        assert seen["view"]["figures"], step
        for figure in seen["view"]["figures"]:
            assert figure["title"]
            assert figure["alt"]
            assert len({len(row) for row in [figure["table"]["head"], *figure["table"]["rows"]]}) == 1
            for axis in ("xaxis", "yaxis"):
                assert figure["figure"]["layout"][axis]["title"]["text"]
        html = seen["found"] + seen.get("judged", "")
        assert plain(html)
        assert not re.search(r"\{\w+\}", plain(html))
        if language == "ko":
            assert all(re.search("[가-힣]", text) for text in re.findall("<p>(.*?)</p>", html))


def test_results_are_computed_once_for_everybody(tab):
    for step in tab.steps:
        tab.visit().look(step)
    counted = tab.engine.embedded_texts
    for step in tab.steps:
        tab.visit("two").look(step)
    assert tab.engine.embedded_texts == counted


def test_loading_model_is_named_and_nobody_waits(name):
    tab = Tab(name, load_seconds=0.5)
    step = tab.steps[3]
    seen = tab.visit().tick(step)
    assert seen["view"]["state"] == "loading"
    assert "SmolLM2-135M-Instruct is being loaded" in seen["view"]["note"]
    assert tab.visit().look(step)["view"]["figures"]


@pytest.mark.parametrize("step", RUBBISH, ids=repr)
def test_unknown_step_is_the_first_one(tab, step):
    visit = tab.visit()
    first = tab.steps[0]
    assert visit.open(step)["text"] == visit.open(first)["text"] != visit.open(tab.steps[1])["text"]
    assert visit.look(step)["view"]["figures"] == visit.look(first)["view"]["figures"]


def test_back_and_next_end_at_the_first_and_the_last_step(tab):
    for step in tab.steps:
        seen = tab.visit().announce(step)
        assert (seen["back"]["interactive"], seen["next"]["interactive"]) == (
            step != tab.steps[0],
            step != tab.steps[-1],
        )


@pytest.mark.parametrize(
    ("name", "step", "reading"),
    [
        ("story", "why", {"prompt": "prompteol", "pooling": "last_token", "eos": False, "postprocess": "none"}),
        ("lesson", "zscore", {"prompt": "prompteol", "pooling": "last_token", "postprocess": "zscore"}),
    ],
    indirect=["name"],
)
def test_a_steps_reading_goes_into_the_labs_widgets(tab, step, reading):
    visit = tab.visit()
    visit.look(step)
    form, payload = visit.form(step), visit.use(step)
    texts = [form[name].split("\n") for name in ("questions", "answers")]
    assert texts == [list(tab.handlers.runs.questions), list(tab.handlers.runs.answers)]
    assert {name: form[name] for name in reading} == reading
    assert (form["model"], form["matches"]) == (GPT, "")
    assert payload["updates"]["layer"] == {"value": 30, "maximum": 30}
    linked = payload["linked"]  # kept until the model is loaded
    assert (linked["model"], linked["prompt"], linked["layer"]) == (GPT, "prompteol", 30)
