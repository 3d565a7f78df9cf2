"""The Lesson tab without a browser: predictions before results, outcomes, weights. Its steps: test_step_tabs.py."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Metrics
from demo.domain.errors import OutOfMemory, WeightsUnavailable
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.i18n import LOCALES
from demo.ui.live.examples import load_examples
from demo.ui.tabs.lesson import runs as lesson_runs
from demo.ui.tabs.lesson.figures import step_figures
from demo.ui.tabs.lesson.runs import LessonRuns, token_kind
from demo.ui.tabs.lesson.steps import (
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
from demo.ui.tabs.lesson.text import format_value, render_findings
from tests.ui.tabs.step_visit import ENCODER, GPT, NASTY, TUNED, Visit, create_lesson, plain

GUESSES = {OPTIONS: lambda step: step.options[0], COSINE: lambda step: 0.5}
EVERYTHING = {step.name: GUESSES.get(step.asks, lambda step: 3)(step) for step in STEPS}


def visit_lesson(guesses=None, **engine) -> Visit:
    """A page with these predictions, over an engine with nothing in memory."""
    return Visit(create_lesson(Lab(Settings(engine="fake"), FakeEngine(**engine))), guesses or {})


@pytest.fixture
def visit() -> Visit:
    """A page without predictions, over an engine with all models in memory."""
    visit = visit_lesson()
    for model in (GPT, TUNED, ENCODER):
        visit.handlers.lab.engine.load(model)
    return visit


@pytest.fixture
def predicted(visit) -> Visit:
    """The same with a prediction for every step."""
    visit.inputs = [EVERYTHING]
    return visit


def commit(visit, name: str, **values) -> dict:
    """Predict a step; the page keeps a valid prediction."""
    step = BY_NAME[name]
    values = values or {"choice" if step.asks == OPTIONS else "number": EVERYTHING[name]}
    choice, number = values.get("choice"), values.get("number")
    answer = visit.named(visit.handlers.on_commit(visit.request, name, *visit.inputs, choice, number))
    visit.inputs = [answer.get("guesses", visit.inputs[0])]
    return answer


# ---- the lesson as data ---------------------------------------------------------------------------------------------


def test_the_texts_say_the_same_in_both_languages():
    for language in LOCALES:
        questions, answers = load_texts(language)
        assert (len(questions), len(answers)) == (6, 8)
        assert all(10 <= len(text) <= 80 and "\n" not in text for text in questions + answers)
    assert not set(load_texts("en")[0]) & {text for each in load_examples().values() for text in each.questions}


def test_a_prediction_is_an_option_or_a_number_within_its_limits():
    choice, cosine, count = (BY_NAME[name] for name in ("mean", "unrelated", "one_word"))
    assert [parse_guess(choice, "more"), parse_guess(cosine, -1), parse_guess(count, 6)] == ["more", -1, 6]
    rubbish = [None, "", "xyz", NASTY, [], {}, ["more"], True, float("nan"), float("inf"), 7, -2, "0.5"]
    assert [value for step in STEPS for value in rubbish if parse_guess(step, value) is not None] == []
    assert parse_guess(count, 2.5) is None


def test_a_number_near_the_measurement_is_a_good_prediction():
    cosine, count = BY_NAME["unrelated"], BY_NAME["one_word"]
    assert [judge(cosine, guess, 0.83) for guess in (0.93, 0.73, 0.94, 0.72)] == [True, True, False, False]
    assert [judge(count, guess, 4) for guess in (3, 5, 2, 6)] == [True, True, False, False]


def test_options_have_names_of_their_own_and_the_handouts_result_is_one():
    for step in STEPS:
        assert len({format_value("ko", step, option) for option in step.options}) == len(step.options)
        assert parse_guess(step, step.usual) is not None


def test_a_first_token_is_the_texts_own_another_or_continues_any_text():
    text = "What keeps the Moon close to our planet?"
    kinds = {" The": "goes_on", "\n": "goes_on", "<|im_end|>": "goes_on", "?": "goes_on", "Moon": "own", "pla": "own"}
    assert {token: token_kind(token, text) for token in kinds} == kinds
    assert token_kind(" gravity", text) == "topic"


# ---- predictions before results -------------------------------------------------------------------------------------


def test_nothing_is_computed_or_shown_before_its_prediction(visit):
    before = visit.handlers.lab.engine.embedded_texts
    for step in STEPS:
        [announced] = visit.choose(step.name)
        seen = visit.tick(step.name)
        assert (announced["view"]["state"], seen["view"]["state"]) == ("idle", "idle")
        assert announced["view"]["figures"] == seen["view"]["figures"] == []
        assert announced["use"]["visible"] is False
        assert (announced["judged"], announced["found"]) == ("", "")
        assert {"judged", "found"} & seen.keys() == set()
        assert "updates" not in visit.use(step.name)
    assert visit.handlers.lab.engine.embedded_texts == before


def test_a_prediction_stands_and_is_shown_beside_the_result(visit):
    first = commit(visit, "unrelated", number=0.5)
    assert first["guesses"] == {"unrelated": 0.5}
    assert first["view"]["state"] == "running"
    assert (first["number"]["interactive"], first["number"]["value"]) == (False, 0.5)
    assert first["commit"]["visible"] is False
    again = commit(visit, "unrelated", number=-1)
    assert "guesses" not in again, "once and for all"
    assert again["number"]["value"] == 0.5
    seen = visit.look("unrelated")
    measured = visit.handlers.lab.compare(*load_texts("en"), GPT, prompt="plain", pooling="last_token", layer=-1)
    value = f"{measured.metrics.other_mean:.2f}".removeprefix("0")
    assert f"My prediction .50 Measured here {value}" in plain(seen["judged"])
    assert value in plain(seen["found"])


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("untouched", {"choice": None}, "Choose an answer first"),
        ("untouched", {"choice": NASTY}, "Choose an answer first"),
        ("unrelated", {"number": None}, "Choose an answer first"),
        ("unrelated", {"number": 2}, "“2” is not a prediction for this step. Accepted: a number from −1 to 1."),
        ("one_word", {"number": 2.5}, "“2.5” is not a prediction for this step. Accepted: a whole number from 0 to 6."),
        ("one_word", {"number": NASTY}, "“&lt;img src=x onerror=alert(1)&gt;” is not"),
    ],
)
def test_an_invalid_prediction_is_refused_in_words_and_nothing_is_lost(visit, name, values, sentence):
    visit.inputs = [{"mean": "more"}]
    refused = commit(visit, name, **values)
    assert refused.keys() == {"note"}
    assert sentence in refused["note"]
    assert 'role="alert"' in refused["note"]
    assert visit.inputs == [{"mean": "more"}]


# ---- results --------------------------------------------------------------------------------------------------------


def test_every_step_shows_its_judgement_and_the_meaning_of_the_english_texts():
    visit = visit_lesson(EVERYTHING)
    visit.request.query_params["lang"] = "ko"
    for name in NAMES:
        assert visit.look(name)["judged"].startswith('<h3 tabindex="-1"')
        assert name == SUMMARY or load_texts("ko")[1][7] in visit.announce(name)["text"]


def test_only_an_unusual_result_is_explained(visit):
    outcome = visit.handlers.runs.measure(BY_NAME["mean"])
    usual, other = (plain(render_findings("en", replace(outcome, value=value))) for value in ("more", "fewer"))
    assert "usually" not in usual
    assert "this step usually comes to: more" in other
    assert "A mean hears every word" in usual
    assert "A mean hears every word" in other


def test_the_values_are_those_of_the_figures(visit):
    def compared(**metrics):
        known = {"matching_mean": 0.5, "other_mean": 0.2, "margin": 0.3, "found_first": 3, "n_matched": 6, "auc": 0.5}
        subject = visit.handlers.runs.measure(BY_NAME["unrelated"]).subject
        return replace(subject, metrics=Metrics(**{**known, **metrics}))

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


def test_the_lesson_goes_on_without_two_of_its_models():
    visit = visit_lesson(EVERYTHING, unreachable=(TUNED, ENCODER))
    seen = visit.look("training")
    assert "cannot be measured here" in plain(seen["judged"])
    assert plain(seen["found"]).count("cannot be had here. The weights of") == 2
    for name in NAMES[:-2]:
        visit.look(name)
    assert re.search(r"Good predictions: \d of 7", visit.look(SUMMARY)["judged"])


def test_one_model_less_leaves_the_rest_of_the_step():
    seen = visit_lesson(EVERYTHING, unreachable=(ENCODER,)).look("training")
    assert [figure["id"] for figure in seen["view"]["figures"]] == ["lesson-pairs", "lesson-tuned-own"]
    assert "all-MiniLM-L6-v2 cannot be had here" in plain(seen["found"])
    assert "Measured here" in seen["judged"]


def test_predictions_survive_an_error_and_it_can_be_tried_again(visit, monkeypatch):
    visit.inputs = [{"unrelated": 0.5}]
    commit(visit, "mean")
    monkeypatch.setattr(LessonRuns, "measure", lambda runs, step: 1 / 0)
    assert visit.look("mean", state="error")["again"]["visible"] is True
    monkeypatch.undo()
    assert visit.open("mean")["view"]["state"] == "running"
    assert visit.look("mean")["again"]["visible"] is False
    assert visit.inputs == [{"unrelated": 0.5, "mean": "more"}]


def test_a_failed_measurement_is_reported_and_not_kept(predicted, monkeypatch):
    def full(*args, **kwargs):
        raise OutOfMemory(model=GPT, tokens=9)

    monkeypatch.setattr(predicted.handlers.lab.engine, "embed", full)
    seen = predicted.look("unrelated")
    assert "ran out of memory" in seen["found"]
    assert "cannot be measured here" in seen["judged"]
    monkeypatch.undo()
    assert "Measured here" in predicted.look("unrelated")["judged"]


def test_the_summary_counts_predictions(visit):
    nothing = visit.look(SUMMARY)
    assert "Begin with step 1" in nothing["judged"]
    assert nothing["view"]["figures"] == []
    value = visit.handlers.runs.measure(BY_NAME["mean"]).value
    wrong = next(option for option in BY_NAME["mean"].options if option != value)
    visit.inputs = [{"mean": wrong}]
    assert "Good predictions: 0 of 1." in visit.look(SUMMARY)["judged"]
    visit.inputs = [{"mean": value}]
    seen = visit.look(SUMMARY)
    assert "Good predictions: 1 of 1." in seen["judged"]
    assert "Not predicted yet: 1 First look, 2 Strangers" in seen["judged"]
    [figure] = seen["view"]["figures"]
    assert [row[0] for row in figure["table"]["rows"]] == ["GPT, last token", "GPT, mean"], "and nothing else yet"


# ---- the lab --------------------------------------------------------------------------------------------------------


def test_the_best_layer_and_the_summarys_korean_texts_go_into_the_lab(predicted):
    predicted.look("layer")
    assert predicted.form("layer")["layer"] == predicted.handlers.runs.cached("layer").best
    predicted.look("training")
    assert predicted.form(SUMMARY)["questions"].split("\n") == list(load_texts("ko")[0])
    assert predicted.use(SUMMARY)["linked"]["model"] == TUNED
    predicted.inputs = [{}]
    assert "updates" not in predicted.use(SUMMARY)


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
    visit = Visit(create_lesson(lab), {step.name: step.usual for step in STEPS})
    runs = visit.handlers.runs
    for step in STEPS:
        seen = visit.look(step.name)
        assert step_figures("en", runs.cached(step.name), step.usual)
        assert json.dumps(seen["view"])
    summary = visit.look(SUMMARY)
    if source.startswith("the package"):  # the handout's figures are of its 4-bit weights
        assert "Good predictions: 8 of 8." in summary["judged"]
        rows = dict(summary["view"]["figures"][0]["table"]["rows"])
        assert list(map(int, rows.values())) == [1, 3, 4, 5, 5, 5, 6]
        wrong = [runs.cached(name).value for name in ("unrelated", "training")]
        assert wrong == pytest.approx([0.83, 0.21], abs=0.015)
    assert CATALOG[GPT].name in plain(visit.open()["text"])
