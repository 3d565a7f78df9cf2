"""The Lesson tab without a browser: predictions before results, what each step comes to, its words; real weights."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.catalog import CATALOG  # noqa: E402
from demo.domain.datamodels import Metrics  # noqa: E402
from demo.domain.errors import OutOfMemory, WeightsUnavailable  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.i18n import LOCALES, translate  # noqa: E402
from demo.ui.live.examples import load_examples  # noqa: E402
from demo.ui.live.handlers import Session  # noqa: E402
from demo.ui.live.tab import create_lab_tab  # noqa: E402
from demo.ui.tabs.lesson import runs as lesson_runs  # noqa: E402
from demo.ui.tabs.lesson.figures import step_figures  # noqa: E402
from demo.ui.tabs.lesson.handlers import LessonHandlers  # noqa: E402
from demo.ui.tabs.lesson.runs import LessonRuns, token_kind  # noqa: E402
from demo.ui.tabs.lesson.steps import (  # noqa: E402
    BY_NAME,
    COSINE,
    NAMES,
    OPTIONS,
    STEPS,
    SUMMARY,
    judge,
    load_texts,
    parse_guess,
)
from demo.ui.tabs.lesson.tab import create_lesson_tab  # noqa: E402
from demo.ui.tabs.lesson.text import format_value, render_findings  # noqa: E402
from tests.page_requests import by_name, page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

GPT, TUNED, ENCODER = "smollm2-135m-instruct", "smollm2-135m-instruct-contrastive", "all-minilm-l6-v2"
NASTY = "<img src=x onerror=alert(1)>"
PAGE, OTHER_PAGE = page_request("one"), page_request("two")


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    for model in (GPT, TUNED, ENCODER):
        engine.load(model)
    return engine


@lru_cache(maxsize=1)
def create_widgets() -> tuple:
    """The lab's widgets and the lesson's, built once: nothing here writes into them."""
    settings = Settings(engine="fake")
    with gradio.Blocks(analytics_enabled=False):
        lab_widgets = create_lab_tab(settings, CATALOG[GPT].status("loaded"), next(iter(load_examples().values())))
        return lab_widgets, create_lesson_tab(settings)


def create_handlers(lab: Lab) -> LessonHandlers:
    lab_widgets, widgets = create_widgets()
    return LessonHandlers(lab, widgets, lab_widgets)


@pytest.fixture
def handlers(engine) -> LessonHandlers:
    return create_handlers(Lab(Settings(engine="fake"), engine))


def named(handlers, answer) -> dict:
    return by_name(answer, handlers.lab_widgets, handlers.widgets)


def a_guess(step) -> str | float:
    return step.options[0] if step.asks == OPTIONS else 0.5 if step.asks == COSINE else 3


def commit(handlers, name: str, guesses: dict, page=PAGE, **said) -> dict:
    step = BY_NAME[name]
    said = said or {"choice" if step.asks == OPTIONS else "number": a_guess(step)}
    return named(handlers, handlers.on_commit(page, name, guesses, said.get("choice"), said.get("number")))


def look(handlers, name: str, guesses: dict, page=PAGE) -> dict:
    """A step once it is ready: asked again while a model is on its way, as the view does."""
    return eventually(
        lambda: named(handlers, handlers.on_tick(page, name, guesses)),
        until=lambda seen: seen["view"]["state"] not in ("loading", "running"),
    )


def everything() -> dict:
    return {step.name: a_guess(step) for step in STEPS}


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


# ---- the lesson as data ---------------------------------------------------------------------------------------------


def test_the_texts_say_the_same_in_both_languages():
    for language in LOCALES:
        questions, answers = load_texts(language)
        assert (len(questions), len(answers)) == (6, 8)
        assert all(10 <= len(text) <= 80 and "\n" not in text for text in questions + answers)
    assert not set(load_texts("en")[0]) & {text for each in load_examples().values() for text in each.questions}


def test_a_prediction_is_an_option_or_a_number_within_its_limits():
    choice, cosine, count = (BY_NAME[name] for name in ("mean", "unrelated", "one_word"))
    assert parse_guess(choice, "more") == "more"
    assert parse_guess(cosine, -1) == -1
    assert parse_guess(count, 6) == 6
    rubbish = [None, "", "xyz", NASTY, [], {}, ["more"], True, float("nan"), float("inf"), 7, -2, "0.5"]
    for step in STEPS:
        assert [value for value in rubbish if parse_guess(step, value) is not None] == []
    assert parse_guess(count, 2.5) is None


def test_a_number_near_what_was_measured_is_well_predicted():
    cosine, count = BY_NAME["unrelated"], BY_NAME["one_word"]
    assert [judge(cosine, guess, 0.83) for guess in (0.93, 0.73, 0.94, 0.72)] == [True, True, False, False]
    assert [judge(count, guess, 4) for guess in (3, 5, 2, 6)] == [True, True, False, False]


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_step_and_option_has_its_words(language):
    for step in STEPS:
        for key in ("title", "text", "question", "found", "why"):
            assert LOCALES[language][f"lesson.{step.name}.{key}"]
        assert len({format_value(language, step, option) for option in step.options}) == len(step.options)
        assert step.usual in step.options or parse_guess(step, step.usual) is not None
    assert all(LOCALES[language][f"label.lesson_step_{name}"] for name in NAMES)


def test_a_first_word_is_the_texts_own_another_or_how_a_text_goes_on():
    text = "What keeps the Moon close to our planet?"
    said = {" The": "goes_on", "\n": "goes_on", "<|im_end|>": "goes_on", "?": "goes_on", "Moon": "own", "pla": "own"}
    assert {token: token_kind(token, text) for token in said} == said
    assert token_kind(" gravity", text) == "topic"


# ---- predictions before results -------------------------------------------------------------------------------------


def test_nothing_is_computed_or_told_before_it_is_predicted(handlers, engine):
    before = engine.embedded_texts
    named(handlers, handlers.on_open(PAGE, None, {}))
    for step in STEPS:
        [announced] = [named(handlers, answer) for answer in handlers.on_step(PAGE, step.name, {})]
        seen = named(handlers, handlers.on_tick(PAGE, step.name, {}))
        assert (announced["view"]["state"], seen["view"]["state"]) == ("idle", "idle")
        assert announced["view"]["figures"] == seen["view"]["figures"] == []
        assert announced["use"]["visible"] is False
        assert (announced["judged"], announced["found"]) == ("", "")
        assert {"judged", "found"} & seen.keys() == set()
        assert named(handlers, handlers.on_use(PAGE, Session(), step.name, {})).keys() == {"heatmap"}
    assert engine.embedded_texts == before


def test_a_prediction_stands_and_is_shown_beside_the_result(handlers):
    first = commit(handlers, "unrelated", {}, number=0.5)
    assert first["guesses"] == {"unrelated": 0.5}
    assert first["view"]["state"] == "running"
    assert (first["number"]["interactive"], first["number"]["value"]) == (False, 0.5)
    assert first["commit"]["visible"] is False
    again = commit(handlers, "unrelated", first["guesses"], number=-1)
    assert "guesses" not in again, "once and for all"
    assert again["number"]["value"] == 0.5
    seen = look(handlers, "unrelated", first["guesses"])
    measured = handlers.lab.compare(*load_texts("en"), GPT, prompt="plain", pooling="last_token", layer=-1)
    value = f"{measured.metrics.other_mean:.2f}".removeprefix("0")
    assert f"My prediction .50 Measured here {value}" in plain(seen["judged"])
    assert value in plain(seen["found"])


def test_what_is_no_prediction_is_refused_in_words_and_nothing_is_lost(handlers):
    known = {"mean": "more"}
    for name, said, words in (
        ("untouched", {"choice": None}, "Choose an answer first"),
        ("untouched", {"choice": NASTY}, "Choose an answer first"),
        ("unrelated", {"number": None}, "Choose an answer first"),
        ("unrelated", {"number": 2}, "“2” is not a prediction for this step. Accepted: a number from −1 to 1."),
        ("one_word", {"number": 2.5}, "“2.5” is not a prediction for this step. Accepted: a whole number from 0 to 6."),
        ("one_word", {"number": NASTY}, "“&lt;img src=x onerror=alert(1)&gt;” is not"),
    ):
        refused = commit(handlers, name, known, **said)
        assert refused.keys() == {"note"}
        assert words in refused["note"]
        assert 'role="alert"' in refused["note"]
    assert known == {"mean": "more"}


def test_rubbish_is_the_first_step(handlers):
    for step in (None, "<b>", {"a": 1}, 7, ["mean"]):
        [announced] = [named(handlers, answer) for answer in handlers.on_step(PAGE, step, {})]
        assert "untouched GPT" in announced["text"]
        assert named(handlers, handlers.on_tick(PAGE, step, {}))["view"]["state"] == "idle"


# ---- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_step_answers_with_figures_and_words_for_those_who_do_not_see_them(handlers, language):
    page = page_request(language, language)
    guesses: dict = {}
    for step in STEPS:
        guesses = commit(handlers, step.name, guesses, page)["guesses"]
    for name in NAMES:
        seen = look(handlers, name, guesses, page)
        assert seen["view"]["state"] == "ready", seen["view"]["note"]
        assert seen["view"]["figures"]
        for figure in seen["view"]["figures"]:
            assert figure["title"]
            assert figure["alt"]
            assert len({len(row) for row in [figure["table"]["head"], *figure["table"]["rows"]]}) == 1
            for axis in ("xaxis", "yaxis"):
                assert figure["figure"]["layout"][axis]["title"]["text"]
        assert seen["judged"].startswith('<h3 tabindex="-1"')
        assert not re.search(r"\{\w+\}", plain(seen["judged"] + seen["found"]))
        announced = named(handlers, next(iter(handlers.on_step(page, name, guesses))))
        assert translate(language, f"lesson.{name}.title") in announced["text"]
        if language == "ko":
            assert all(re.search("[가-힣]", said) for said in re.findall("<p>(.*?)</p>", seen["found"]))
            assert name == SUMMARY or load_texts("ko")[1][7] in announced["text"], "what the English texts mean"


def test_where_it_came_out_as_usual_nothing_is_excused(handlers):
    outcome = handlers.runs.measure(BY_NAME["mean"])
    usual, other = (plain(render_findings("en", replace(outcome, value=value))) for value in ("more", "fewer"))
    assert "usually" not in usual
    assert "this step usually comes to: more" in other
    assert "A mean hears every word" in usual
    assert "A mean hears every word" in other


def test_the_values_are_those_of_the_figures(handlers):
    def compared(**metrics):
        told = {"matching_mean": 0.5, "other_mean": 0.2, "margin": 0.3, "found_first": 3, "n_matched": 6, "auc": 0.5}
        return replace(handlers.runs.measure(BY_NAME["unrelated"]).subject, metrics=Metrics(**{**told, **metrics}))

    values = lesson_runs._VALUES
    untouched = [values["untouched"]([compared(found_first=found)], (), ()) for found in range(7)]
    assert untouched == ["guess", "guess", "few", "few", "most", "most", "all"]
    means = [values["zscore"]([compared(), compared(other_mean=mean)], (), ()) for mean in (0.8, -0.1, -0.5)]
    assert means == ["high", "zero", "minus"]
    found = [values["mean"]([compared(), compared(found_first=after)], (), ()) for after in (2, 3, 4)]
    assert found == ["fewer", "same", "more"]
    aucs = np.full(31, 0.5)
    for best, part in ((0, "first"), (10, "first"), (11, "middle"), (20, "middle"), (21, "last"), (30, "last")):
        layers = tuple(compared(auc=auc) for auc in np.where(np.arange(31) == best, 0.9, aucs))
        assert values["layer"]([], (), layers) == part
    assert values["layer"]([], (), tuple(compared(auc=auc) for auc in aucs)) == "equal"


def test_what_was_computed_once_is_known_to_everybody(handlers, engine):
    for name in NAMES:
        look(handlers, name, everything())
    counted = engine.embedded_texts
    for name in NAMES:
        assert look(handlers, name, everything(), OTHER_PAGE)["view"]["state"] == "ready"
    assert engine.embedded_texts == counted


def test_a_model_on_its_way_is_said_and_nobody_waits():
    handlers = create_handlers(Lab(Settings(engine="fake"), FakeEngine(load_seconds=0.4)))
    started = time.monotonic()
    seen = named(handlers, handlers.on_tick(PAGE, "mean", everything()))
    assert time.monotonic() - started < 0.3
    assert seen["view"]["state"] == "loading"
    assert "SmolLM2-135M-Instruct is being loaded" in seen["view"]["note"]
    assert look(handlers, "mean", everything())["view"]["state"] == "ready"


def test_without_a_model_the_step_says_so_and_the_lesson_goes_on(monkeypatch):
    engine = FakeEngine(unreachable=(TUNED, ENCODER))
    handlers = create_handlers(Lab(Settings(engine="fake"), engine))
    seen = look(handlers, "training", everything())
    assert seen["view"]["state"] == "ready"
    assert "cannot be measured here" in plain(seen["judged"])
    assert plain(seen["found"]).count("cannot be had here. The weights of") == 2
    for name in NAMES[:-2]:
        look(handlers, name, everything())
    summary = look(handlers, SUMMARY, everything())
    assert re.search(r"Good predictions: \d of 7", summary["judged"])


def test_one_model_less_leaves_the_rest_of_the_step(monkeypatch):
    handlers = create_handlers(Lab(Settings(engine="fake"), FakeEngine(unreachable=(ENCODER,))))
    seen = look(handlers, "training", everything())
    assert [figure["id"] for figure in seen["view"]["figures"]] == ["lesson-pairs", "lesson-tuned-own"]
    assert "all-MiniLM-L6-v2 cannot be had here" in plain(seen["found"])
    assert "Measured here" in seen["judged"]


def test_predictions_survive_what_goes_wrong_and_it_can_be_tried_again(handlers, engine, monkeypatch):
    guesses = commit(handlers, "mean", {"unrelated": 0.5})["guesses"]
    whole = LessonRuns.measure

    def broken(runs, step):
        raise RuntimeError("of a kind that nobody expected")

    monkeypatch.setattr(LessonRuns, "measure", broken)
    seen = look(handlers, "mean", guesses)
    assert seen["view"]["state"] == "error"
    assert seen["again"]["visible"] is True
    monkeypatch.setattr(LessonRuns, "measure", whole)
    assert named(handlers, handlers.on_open(PAGE, "mean", guesses))["view"]["state"] == "running"
    seen = look(handlers, "mean", guesses)
    assert (seen["view"]["state"], seen["again"]["visible"]) == ("ready", False)
    assert guesses == {"unrelated": 0.5, "mean": "more"}


def test_what_failed_is_told_and_not_kept(handlers, engine, monkeypatch):
    whole = engine.embed

    def full(*args, **kwargs):
        raise OutOfMemory(model=GPT, tokens=9)

    monkeypatch.setattr(engine, "embed", full)
    seen = look(handlers, "unrelated", everything())
    assert "ran out of memory" in seen["found"]
    assert "cannot be measured here" in seen["judged"]
    monkeypatch.setattr(engine, "embed", whole)
    assert "Measured here" in look(handlers, "unrelated", everything())["judged"]


def test_the_summary_counts_what_was_predicted(handlers):
    assert "Begin with step 1" in look(handlers, SUMMARY, {})["judged"]
    assert look(handlers, SUMMARY, {})["view"]["figures"] == []
    value = handlers.runs.measure(BY_NAME["mean"]).value
    wrong = next(option for option in BY_NAME["mean"].options if option != value)
    some = {"mean": value}
    seen = look(handlers, SUMMARY, some)
    assert "Good predictions: 1 of 1." in seen["judged"]
    assert "Not predicted yet: 1 First look, 2 Strangers" in seen["judged"]
    assert "Good predictions: 0 of 1." in look(handlers, SUMMARY, {"mean": wrong})["judged"]
    [figure] = seen["view"]["figures"]
    assert [row[0] for row in figure["table"]["rows"]] == ["GPT, last token", "GPT, mean"], "and nothing else yet"


# ---- the lab --------------------------------------------------------------------------------------------------------


def test_a_step_goes_into_the_labs_widgets(handlers):
    guesses = everything()
    seen = look(handlers, "zscore", guesses)
    assert seen["use"]["visible"] is True
    answer = named(handlers, handlers.on_use(PAGE, Session(model=GPT), "zscore", guesses))
    assert answer["answers"].split("\n") == list(load_texts("en")[1])
    chosen = [answer[name] for name in ("model", "prompt", "pooling", "postprocess", "matches")]
    assert chosen == [GPT, "prompteol", "last_token", "zscore", ""]
    look(handlers, "layer", guesses)
    answer = named(handlers, handlers.on_use(PAGE, Session(model=GPT), "layer", guesses))
    assert answer["layer"]["value"] == handlers.runs.cached("layer").best


def test_the_summary_brings_the_korean_texts(handlers):
    guesses = everything()
    look(handlers, "training", guesses)
    session = Session(model=GPT)
    answer = named(handlers, handlers.on_use(PAGE, session, SUMMARY, guesses))
    assert answer["questions"].split("\n") == list(load_texts("ko")[0])
    assert session.linked["model"] == TUNED
    assert named(handlers, handlers.on_use(PAGE, session, SUMMARY, {})).keys() == {"heatmap"}


# ---- real weights ---------------------------------------------------------------------------------------------------


@pytest.mark.weights
def test_every_step_computes_with_real_weights_as_the_handout_says():
    lab = Lab(Settings(device="cpu", dtype="float32", public=False))
    try:
        source = lab.open(GPT).source
        lab.open(ENCODER)
        lab.open(TUNED)
    except WeightsUnavailable as error:
        pytest.skip(str(error))
    handlers = create_handlers(lab)
    guesses = {step.name: step.usual for step in STEPS}
    for step in STEPS:
        seen = look(handlers, step.name, guesses)
        assert seen["view"]["state"] == "ready", seen["view"]["note"]
        assert step_figures("en", handlers.runs.cached(step.name), step.usual)
        assert json.dumps(seen["view"])
    summary = look(handlers, SUMMARY, guesses)
    if source.startswith("the package"):  # the handout's figures are of its 4-bit weights
        assert "Good predictions: 8 of 8." in summary["judged"]
        rows = dict(summary["view"]["figures"][0]["table"]["rows"])
        assert list(map(int, rows.values())) == [1, 3, 4, 5, 5, 5, 6]
        wrong = [handlers.runs.cached(name).value for name in ("unrelated", "training")]
        assert wrong == pytest.approx([0.83, 0.21], abs=0.015)
    assert CATALOG[GPT].name in plain(named(handlers, handlers.on_open(PAGE, None, {}))["text"])


def test_a_step_that_is_clicked_before_the_tab_is_told_of_stays(handlers):
    """The tab's first answer comes when it is opened, and somebody may be faster."""
    second = STEPS[1].name
    opened = named(handlers, handlers.on_open(PAGE, second, {}))
    announced = named(handlers, next(handlers.on_step(PAGE, second, {})))
    assert opened["text"] == announced["text"]
    assert opened["text"] != named(handlers, handlers.on_open(PAGE, None, {}))["text"]
