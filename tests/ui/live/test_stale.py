"""What a person no longer waits for is dropped before it runs, and what the page has is not sent again."""

import json
from typing import Any

import gradio as gr
import pytest

from demo.backend.fake import FakeEngine
from demo.domain.errors import Stopped
from demo.jobs.request_context import current_request
from demo.lab import Lab
from demo.settings import Settings
from demo.ui import page as page_module
from demo.ui.live.handlers import Session
from demo.ui.page import create_page
from tests.page_requests import page_request
from tests.waiting import eventually


class Watched(FakeEngine):
    """Keeps each question's turn, and drops what nobody wants, as the worker does."""

    def __init__(self):
        super().__init__()
        self.turns, self.asked = [], []
        self.meanwhile = lambda: None
        self.began = False  # what is asked has begun to run: it is not dropped any more

    def embed(self, texts, reading, *rest, **more):
        self.turns.append(current_request())
        self.asked.append(reading.model)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if not self.began and current_request().is_cancelled():
            raise Stopped()
        return super().embed(texts, reading, *rest, **more)


@pytest.fixture
def engine():
    engine = Watched()
    engine.load("smollm2-135m-instruct")
    return engine


@pytest.fixture
def ask(engine, monkeypatch):
    """on_compute of a page, with other questions."""
    made = {}
    wire = page_module._wire
    monkeypatch.setattr(
        page_module, "_wire", lambda page, handlers, live: made.update(h=handlers) or wire(page, handlers, live)
    )
    create_page(Lab(Settings(engine="fake"), engine))
    handlers = made["h"]
    request = page_request()
    session = Session(model="smollm2-135m-instruct")
    chosen = [widget.value for widget in handlers.widgets.choices]

    def compute(questions: Any, link: str | None = None, **other: Any) -> dict:
        said = f"seq={session.sent}&settled={session.news}" if link is None else link
        values = [
            other.get(widget.elem_id, value) for widget, value in zip(handlers.widgets.choices, chosen, strict=True)
        ]
        return handlers.on_compute(request, session, questions, *values[1:], said)

    def settle() -> dict:
        due = handlers.on_settle(session)
        return {getattr(widget, "elem_id", widget): news for widget, news in due.items()}

    compute.leave = lambda: handlers.on_leave(request)
    compute.settle = settle
    return compute


def test_an_edit_is_urgent_and_wanted(ask, engine):
    assert ask("What is GPU?")["state"] == "ready"
    assert engine.turns[-1].interactive
    assert not engine.turns[-1].is_cancelled()


def test_typed_over_it_is_dropped_and_changes_nothing(ask, engine):
    ask("What is GPU?")
    newer = {}
    engine.meanwhile = lambda: newer.update(ask("What is a GPU?"))
    stale = ask("What is a GP?")
    assert stale == gr.skip()
    assert newer["questions"] == ["What is a GPU?"]


def test_typed_over_while_it_ran_it_has_its_own_number_and_its_news_count(ask, engine):
    """Gradio's dropdown asks twice at once: what the first brings with another model, the second goes by."""
    engine.load("all-minilm-l6-v2")
    ask("What is GPU?")
    engine.began = True
    newer = {}
    engine.meanwhile = lambda: newer.update(ask("What is a GPU?", model="all-minilm-l6-v2", link="seq=1&settled=0"))
    older = ask("What is a GP?")
    assert (older["seq"], newer["seq"]) == (2, 3)
    assert newer["state"] == older["state"] == "ready"
    assert ask("What is a GPU?", link=f"seq={newer['seq']}&settled=0")["seq"] == 4
    assert ask.settle()["pooling"]["value"] == "mean"


def test_what_a_closed_page_asked_last_is_dropped(ask, engine):
    ask("What is GPU?")
    engine.meanwhile = ask.leave
    assert ask("What is a GPU?") == gr.skip()
    assert engine.turns[-1].is_cancelled()
    ask.leave()  # twice does no harm


def test_what_the_page_has_already_is_not_sent_again(ask):
    first, edited = ask("What is GPU?"), ask("What is a GPU?")
    assert {"words", "questions", "answers", "matches", "values"} <= set(first)
    assert {"status", "verdict", "metrics", "model-note", "reading_head"} <= set(first["pieces"])
    assert edited["questions"] == ["What is a GPU?"]
    assert not {"words", "answers", "matches"} & set(edited)
    assert set(edited["pieces"]) <= {"status", "verdict", "metrics"}
    assert "z" not in edited["figure"]["data"][0], "the cosines are there once"
    assert len(json.dumps({name: value for name, value in edited.items() if name != "pieces"})) < 1800


def test_the_widgets_news_wait_until_they_are_asked_for(ask):
    assert ask("What is GPU?")["settle"]
    news = ask.settle()
    assert news["questions"]["label"] == "Questions"
    assert news["task"]["visible"] is False
    assert not ask("What is a GPU?")["settle"], "the page has them"
    assert ask.settle() == gr.skip()
    asked = ask("What is GPU?", prompt="e5_instruct")
    again = ask("What is GPU?", link=f"seq={asked['seq']}&settled=0")
    assert again["settle"] > asked["settle"], "the first answer's news are still due"
    assert ask.settle()["task"]["visible"] is False, "the newer one counts"


def test_asked_before_the_news_are_there_they_count_all_the_same(ask, engine):
    """Another model brings its own reading; the next edit is on its way before the page shows it."""
    engine.load("all-minilm-l6-v2")
    ask("What is GPU?")
    switched = ask("What is GPU?", model="all-minilm-l6-v2")
    ask("What is a GPU?", link=f"seq={switched['seq']}&settled=0")
    assert engine.asked[-1] == "all-minilm-l6-v2"
    ask("What is one GPU?")
    assert engine.asked[-1] == "smollm2-135m-instruct", "all told, the widgets count"


def test_a_refused_model_that_is_asked_for_twice_stays_refused(ask, engine):
    """Gradio's dropdown asks twice; the second time before it shows the old model again."""
    ask("What is GPU?")
    for link in (None, "seq=0&settled=0"):
        answer = eventually(
            lambda link=link: ask("What is GPU?", model="no/such", link=link),
            until=lambda answer: answer["state"] != "loading",
        )
        assert 'role="alert"' in answer["pieces"]["model-note"]
    assert ask.settle()["model"]["value"] == "smollm2-135m-instruct"
    assert "alert" not in ask("What is GPU?")["pieces"]["model-note"]


def test_after_an_answer_that_got_lost_everything_is_sent_again(ask):
    ask("What is GPU?")
    lost = ask("What is a GPU?")
    again = ask("What is a GPU?", link="seq=1&settled=0")
    assert {"words", "questions", "answers", "matches"} <= set(again)
    assert "model-note" in again["pieces"]
    assert set(lost) < set(again)


def test_who_leaves_before_asking_does_no_harm(ask):
    ask.leave()


def test_a_layer_of_the_model_before_is_the_last_one_of_this(ask):
    """The page asks with what it shows, while the answer that brings a shallower model is on its way."""
    assert ask("What is GPU?", layer=400)["state"] == "ready"


@pytest.mark.parametrize(
    "other",
    [{"prompt": "nonsense"}, {"pooling": 7}, {"scale": ["fit"]}, {"postprocess": {"a": 1}}, {"reference": 5}],
)
def test_what_no_page_would_send_is_refused_in_words(ask, other):
    """Gradio checks nothing here: these are posts made by hand."""
    answer = ask("What is GPU?", **other)
    assert answer["state"] in ("stale", "error")
    assert "Accepted" in json.dumps(answer)


@pytest.mark.parametrize("rubbish", [None, 5, ["a"], {"a": "b"}, True, float("nan")])
def test_rubbish_in_a_box_is_no_text(ask, rubbish):
    for other in ({}, {"layer": rubbish}, {"eos": rubbish}, {"model": rubbish}, {"matches": rubbish}):
        answer = ask(rubbish, **other)
        assert answer["state"] in ("empty", "error", "stale", "ready")
        assert "went wrong" not in answer["note"]
