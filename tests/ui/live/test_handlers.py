"""Live handlers without a browser: what an answer says, and what the page is to send back with its next request."""

import json

import pytest

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.live.examples import load_examples
from demo.ui.live.form import FORM_FIELDS, Form
from demo.ui.live.handlers import LiveHandlers
from tests.page_requests import DEFAULTS, LivePage

GPT, ENCODER = "smollm2-135m-instruct", "all-minilm-l6-v2"


@pytest.fixture
def engine():
    engine = FakeEngine()
    engine.load(GPT)
    return engine


@pytest.fixture
def page(engine):
    return LivePage(LiveHandlers(Lab(Settings(engine="fake"), engine)), questions="What is GPU?")


def test_first_answer_brings_words_lists_and_headings(page):
    first, second = page.ask(), page.ask(questions="What is a GPU?")
    assert (first["state"], first["questions"]) == ("ready", ["What is GPU?"])
    assert "words" in first
    assert [entry["id"] for entry in first["sets"]] == list(load_examples())
    assert all(entry["title"] and entry["teaches"] and entry["questions"] for entry in first["sets"])
    assert {"texts_head", "texts-tools", "status", "verdict", "metrics"} <= set(first["pieces"])
    assert second["questions"] == ["What is a GPU?"]
    assert not {"words", "sets"} & set(second)
    assert "model" not in second["updates"]
    assert "z" not in second["figure"]["data"][0], "the cosines are there once"


def test_model_list_is_built_before_the_first_figure_only(page, engine):
    engine.load_seconds = 0.2
    loading = page.ask(model="gemma-3-270m")
    assert loading["state"] == "loading"
    assert len(loading["updates"]["model"]["choices"]) > 5
    waiting = page.ask()
    assert {"texts_head", "texts-tools"} <= set(waiting["pieces"]), "the page may not have had places for the first"
    page.loaded()
    assert "choices" not in page.ask(questions="Another?")["updates"].get("model", {})


def test_labels_follow_the_address_when_it_names_a_language(engine):
    page = LivePage(LiveHandlers(Lab(Settings(engine="fake"), engine)), "ko", questions="GPU?")
    updates = page.ask(relabel=True)["updates"]
    assert (updates["questions"]["label"], updates["compute"]["value"]) == ("질문", "계산하기")
    assert {"label", "placeholder"} <= set(updates["answers"])
    assert [value for _, value in updates["scale"]["choices"]] == ["fit", "unit", "relative"]
    assert "label" not in page.ask()["updates"].get("questions", {})


def test_boxes_of_a_prompt_show_with_it(page):
    visible = page.ask(prompt="e5_instruct")["updates"]
    assert (visible["task"]["visible"], visible["template"]["visible"]) == (True, False)


def test_another_model_brings_its_own_reading_and_bounds(page, engine):
    engine.load(ENCODER)
    page.ask()
    answer = page.ask(model=ENCODER)
    assert answer["memory"]["model"] == ENCODER
    assert (page.form["pooling"], page.form["prompt"], page.form["layer"]) == ("mean", "plain", 6)
    assert answer["updates"]["layer"]["maximum"] == 6


def test_layer_of_a_deeper_model_is_cut_to_the_last_one(page):
    assert page.ask(layer=400)["state"] == "ready"
    assert page.form["layer"] == 30


def test_refused_model_gives_the_one_in_use_back_however_often_it_is_chosen(page):
    page.ask()
    for _ in range(2):
        answer = page.loaded(model="no/such")
        assert 'role="alert"' in answer["pieces"]["model-note"]
        assert answer["updates"]["model"] == {"value": GPT}
        assert answer["state"] == "ready", "the picture that was drawn"
    assert "alert" not in page.ask(questions="Next?")["pieces"]["model-note"]


def test_empty_model_box_is_filled_with_the_model_in_use(page):
    page.ask()
    assert page.ask(model=" ")["updates"]["model"] == {"value": GPT}


def test_link_keeps_its_reading_until_its_model_is_loaded(page, engine):
    engine.load_seconds = 0.2
    page.link = f"model={ENCODER}&pooling=max&layer=3&questions=Linked%3F"
    first = page.ask()
    assert first["state"] == "loading"
    assert first["memory"]["linked"]["pooling"] == "max"
    assert page.form["questions"] == "Linked?"
    page.loaded()
    assert (page.form["pooling"], page.form["layer"]) == ("max", 3)
    assert page.memory == {"model": ENCODER, "linked": {}}


def test_refused_reading_offers_another(page, engine):
    engine.load(ENCODER)
    page.ask(model=ENCODER)
    answer = page.ask(pooling="last_token_logits")
    assert (answer["state"], answer["offers"]) == ("stale", {"pooling": "last_token"})
    assert "<button" in answer["pieces"]["pooling-note"]
    assert page.ask(pooling="last_token")["offers"] == {}


def test_pages_that_wait_for_a_model_ask_later_the_more_of_them_wait(page, engine):
    engine.load_seconds = 30
    pages = [LivePage(page.handlers, questions="?", model="gemma-3-270m") for _ in range(30)]
    waits = [each.ask()["again"] for each in pages]
    assert (waits[0], waits[-1]) == (0.4, pytest.approx(3.0))
    assert pages[0].ask()["again"] == pytest.approx(3.0), "counted once"
    engine.load_seconds = 0


@pytest.mark.parametrize(
    "other", [{"prompt": "nonsense"}, {"pooling": 7}, {"scale": ["fit"]}, {"postprocess": {"a": 1}}, {"reference": 5}]
)
def test_choice_that_no_page_sends_is_refused_in_words(page, other):
    answer = page.ask(**other)
    assert answer["state"] in ("stale", "error")
    assert "Accepted" in json.dumps(answer["pieces"])


@pytest.mark.parametrize("rubbish", [None, 5, ["a"], {"a": "b"}, True, float("nan"), "\ud800"])
def test_rubbish_in_any_place_is_answered(page, rubbish):
    for name in ("questions", "layer", "eos", "model", "matches"):
        answer = page.loaded(**{name: rubbish})
        assert answer["state"] in ("empty", "error", "stale", "ready")
        assert "went wrong" not in (answer["note"] or "")
        page.form |= DEFAULTS
    for body in (rubbish, {"form": rubbish}, {"form": {}, "linked": rubbish, "model": rubbish, "link": rubbish}):
        assert page.handlers.answer("en", body)["state"] in ("empty", "error", "stale", "ready")


def test_linked_reading_made_by_hand_is_checked(page, engine):
    engine.load(ENCODER)
    page.ask()
    page.memory["linked"] = {"model": ENCODER, "pooling": "<b>", "layer": [1]}
    answer = page.ask(model=ENCODER)
    assert answer["state"] in ("stale", "error")
    assert "<b>" not in json.dumps(answer["pieces"])


def test_form_takes_defaults_for_what_is_missing():
    assert Form.parse({}) == Form() == Form.from_widgets([None] * len(FORM_FIELDS))
    assert Form.parse({"eos": True, "layer": 3.0, "model": " x "}) == Form(eos=True, layer=3, model="x")


def test_questions_without_answers_and_texts_for_a_file_are_pointed_out(page):
    few = page.ask(questions="a?\nb?\nc?", answers="x\ny")["pieces"]["answers-note"]
    assert "3 questions meet 2 answers" in few
    assert (
        "meet"
        not in page.ask(questions="a?\nb?\nc?", answers="x\ny", matches="1-1, 2-2, 3-2")["pieces"]["answers-note"]
    )
    assert "meet" not in page.ask(questions="a?", answers="x\ny")["pieces"]["answers-note"]
    many = page.ask(questions="\n".join(map(str, range(300))))["pieces"]["questions-note"]
    assert "Your file, among the tabs, compares up to 1,000" in many


def test_notes_are_of_the_model_that_is_named(page, engine):
    engine.load(ENCODER)
    page.ask()
    assert "An encoder" not in page.ask()["pieces"]["layer-note"]
    assert "an encoder is trained to be read" in page.ask(model=ENCODER)["pieces"]["layer-note"]
    engine.load_seconds = 0.5
    loading = page.ask(model="gemma-3-270m")
    assert loading["state"] == "loading"
    assert "268M" in loading["pieces"]["model-note"]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_big_download_is_asked_about_and_begins_with_a_yes(engine, language):
    """Choosing it in the list brings the question, and the model in use stays."""
    engine.unfetched.add(ENCODER)
    page = LivePage(LiveHandlers(Lab(Settings(engine="fake"), engine)), language, questions="GPU?")
    page.ask()
    page.ask(model=ENCODER)
    asked = page.loaded()
    note = asked["pieces"]["model-note"]
    assert all(part in note for part in ("14.5 GB", "31.0 GB", "data-no"))
    assert asked["offers"] == {"model": ENCODER, "permit": ENCODER}
    assert page.form["model"] == GPT
    assert "data-no" not in page.ask()["pieces"]["model-note"], "a no"
    page.memory["permit"] = ENCODER  # as the yes does
    page.ask(model=ENCODER)
    assert page.loaded()["state"] == "ready"
    assert engine.loads[-1] == ENCODER


def test_a_yes_means_nothing_where_this_host_fetches_nothing(engine):
    engine.unfetched.add(ENCODER)
    page = LivePage(LiveHandlers(Lab(Settings(engine="fake", public=True), engine)), questions="GPU?")
    page.ask()
    page.memory["permit"] = ENCODER
    page.ask(model=ENCODER)
    assert engine.unfetched == {ENCODER}


@pytest.mark.parametrize(("public", "stopped"), [(False, ["gemma-3-270m"]), (True, [])])
def test_cancelling_a_model_ends_its_load_where_nobody_else_may_wait_for_it(public, stopped, monkeypatch):
    lab, seen = Lab(Settings(engine="fake", public=public), FakeEngine()), []
    monkeypatch.setattr(lab.loader, "stop", seen.append)
    LiveHandlers(lab).answer("en", {"form": {"questions": "a"}, "cancel": "gemma-3-270m"})
    LiveHandlers(lab).answer("en", {"form": {"questions": "a"}, "cancel": ["gemma-3-270m"]})
    assert seen == stopped


@pytest.mark.parametrize("limits", [{"max_texts": 4}, {"max_cells": 9}])
def test_too_many_lines_point_to_your_file(engine, limits):
    page = LivePage(
        LiveHandlers(Lab(Settings(engine="fake", **limits), engine)), questions="a\nb\nc\nd\ne", answers="a\nb"
    )
    assert "Your file" in json.dumps(page.ask()["pieces"])
