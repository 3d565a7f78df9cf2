"""The panel that explains a cell, without a browser: its HTML, its figure, its requests."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Pooling, Reading
from demo.domain.results import Explanation, Inspected
from demo.figures.explanation import MOST_TOKENS, plot_token_similarity
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.panels.explain.handlers import ExplainHandlers, OpenPanel, _parse_cell
from demo.ui.panels.explain.text import render_explanation, render_head
from tests.page_requests import lab_values, page_request

NASTY = "<img src=x onerror='hacked()'>"


def inspected(tokens, prompted=None, inside=None, pooled=None) -> Inspected:
    n = len(tokens)
    text = prompted or "".join(tokens)
    states = np.random.default_rng(n).normal(size=(n, 8)).astype(np.float32)
    return Inspected(text, text, tuple(tokens), tuple(range(n)), pooled or (0, n), inside or (0, n), states, states[0])


def explanation(question: Inspected, answer: Inspected, pooling=Pooling.MEAN, **other) -> Explanation:
    a, b = (side.states[slice(*side.inside)] for side in (question, answer))
    values = {
        "question": question,
        "answer": answer,
        "reading": Reading("some-model", pooling=pooling),
        "cosine": 0.5,
        "method": "decomposition",
        "question_shares": np.full(len(question.tokens), 0.5 / len(question.tokens), np.float32),
        "answer_shares": np.full(len(answer.tokens), 0.5 / len(answer.tokens), np.float32),
        "token_similarity": np.tanh(a @ b.T).astype(np.float32),
        "question_top_tokens": (),
        "answer_top_tokens": (),
        "provenance": {},
    }
    return Explanation(**{**values, **other})


def classes(html: str) -> list[set[str]]:
    """The classes of each token of the first text, as the model receives it."""
    first = re.search(r'<p class="ex-text">(.*?)</p>', html)[1]
    return [set(found.split()) for found in re.findall(r'<span class="(ex-t[^"]*)"', first)]


def test_every_piece_of_a_persons_text_is_escaped():
    side = inspected([NASTY, " b&c"])
    shown = explanation(side, side, question_top_tokens=((NASTY, 0.5),), notices=(NASTY,))
    for html in (render_explanation("en", shown), render_head("en", 0, 1, shown)):
        assert "<img" not in html
        assert "&lt;img" in html
        assert "onerror='" not in html
    assert "<img" not in plot_token_similarity(shown).to_json()


def test_special_tokens_are_framed_and_what_the_prompt_adds_is_grey():
    side = inspected(["<|im_start|>", "user", "\n", "Hi", "<|im_end|>"], inside=(3, 4))
    html = render_explanation("en", explanation(side, side))
    framed = ["ex-special" in names for names in classes(html)]
    around = ["ex-around" in names for names in classes(html)]
    assert framed == [True, False, False, False, True]
    assert around == [True, True, True, False, True]
    assert "↵</i></span><br>" in html


def test_a_text_that_the_prompt_has_tidied_is_pointed_out():
    side = inspected(["What", " now", "?"])
    assert "tidied" not in render_explanation("en", explanation(side, side))
    tidied = replace(side, prompted='This sentence : "What now." means in one word:"')
    assert render_explanation("en", explanation(tidied, side)).count("tidied the text") == 1


@pytest.mark.parametrize(
    ("pooling", "underlined"),
    [
        (Pooling.MEAN, [1, 2, 3]),
        (Pooling.LAST_TOKEN, [3]),
        (Pooling.LAST_TOKEN_LOGITS, [3]),
        (Pooling.FIRST_TOKEN, [1]),
    ],
)
def test_only_pooled_positions_are_underlined(pooling, underlined):
    side = inspected(["a", " b", " c", " d", " e"], pooled=(1, 4), inside=(1, 4))
    html = render_explanation("en", explanation(side, side, pooling, method="leave_one_out"))
    assert [i for i, names in enumerate(classes(html)) if "ex-pooled" in names] == underlined


def test_white_space_that_a_tokenizer_drops_is_shown_all_the_same():
    side = inspected(["[CLS]", "what", "is", "##nt", "[SEP]"], prompted="what  isnt")
    side = replace(side, tokens=("[CLS]", "what", "is", "nt", "[SEP]"))
    html = render_explanation("en", explanation(side, side))
    first = re.search(r'<p class="ex-text">(.*?)</p>', html)[1]
    text = re.sub("<[^>]+>", "", first)
    assert text == "[CLS]what␣␣isnt[SEP]"


def test_a_long_text_shows_its_beginning_and_its_end():
    side = inspected([f" w{i}" for i in range(1000)])
    html = render_explanation("en", explanation(side, side))
    assert len(classes(html)) == 400
    assert "… 600 more tokens …" in html
    assert "ex-numbered" not in html
    assert "w999" in html


def test_what_the_prompt_adds_is_told_apart_and_the_figures_add_up():
    side = inspected(["<s>", "a", "b"], inside=(1, 3))
    shares = np.array([0.226, 0.125, 0.126], np.float32)  # rounded one by one they would seem to make .48 of .48
    html = render_explanation("en", explanation(side, side, question_shares=shares))
    assert "own tokens carry .25, what is written around it .23; together .48" in html


def test_a_model_without_a_head_says_so():
    side = inspected(["a"])
    assert "no LM head" in render_explanation("en", explanation(side, side))
    assert "no LM head" not in render_explanation("en", explanation(side, side, question_top_tokens=((" x", 0.5),)))


@pytest.mark.parametrize("pooling", [pooling for pooling in Pooling if pooling is not Pooling.OWN])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_pooling_is_explained_in_every_language(pooling, language):
    lab = Lab(Settings(engine="fake"), FakeEngine())
    told = lab.explain(["What is GPU?"], ["A chip.", "A city"], 0, 1, pooling=pooling.value)
    html = render_explanation(language, told)
    assert len(re.findall("<section", html)) == 4
    assert "{" not in html
    assert ("Leave-one-out" in html) == (language == "en" and told.method == "leave_one_out")


def test_equal_tokens_have_places_of_their_own():
    figure = plot_token_similarity(explanation(inspected(["a", " a", " "]), inspected(["\n", "b" * 40])))
    assert list(figure.layout.yaxis.ticktext) == ["a", "a", "␣"]
    assert list(figure.data[0].y) == [0, 1, 2]
    assert list(figure.layout.xaxis.ticktext) == ["↵", "b" * 13 + "…"]


def test_the_figure_stays_readable():
    side = inspected(["x"] * 100)
    figure = plot_token_similarity(explanation(side, side))
    assert figure.data[0].z.shape == (MOST_TOKENS, MOST_TOKENS)
    assert len(figure.layout.xaxis.ticktext) == MOST_TOKENS


@pytest.mark.parametrize("rubbish", [None, "", "1", "1,2,3", "-1,0", "a,b", 7, [0, 0], {"row": 0}, "9" * 50 + ",1"])
def test_a_request_that_names_no_cell_closes(rubbish):
    assert _parse_cell(rubbish) is None
    assert _parse_cell("12,0") == (12, 0)


def test_a_text_too_long_for_leaving_out_says_so_in_korean():
    lab = Lab(Settings(engine="fake"), FakeEngine())
    told = lab.explain(["a " * 70], ["b"], 0, 0, pooling="last_token")
    assert len(told.notices) == 1
    html = render_explanation("ko", told)
    assert "64토큰까지인 글에만 해요. 이 질문은 70토큰이에요." in html


def test_an_answer_that_a_newer_question_overtook_is_not_shown(monkeypatch):
    """Two questions are under way, and the older is answered last: what the newer one brought stays."""
    lab = Lab(Settings(engine="fake"), FakeEngine())
    lab.open("smollm2-135m-instruct")
    widgets = SimpleNamespace(head="head", body="body", view="view")
    handlers, panel = ExplainHandlers(lab, widgets), OpenPanel(cell=(0, 0))
    explain, newer = lab.explain, []

    def ask(question: str) -> list[dict]:
        values = lab_values(questions=question, answers="b", prompt="plain", pooling="mean")
        request = page_request()
        return list(handlers.on_explain(request, panel, *values, "0,0"))

    def overtaken(questions, *asked, **chosen):
        told = explain(questions, *asked, **chosen)
        if questions == "older":
            newer.extend(ask("newer"))
        return told

    monkeypatch.setattr(lab, "explain", overtaken)
    assert ask("older") == []
    assert ["newer" in answer["head"] for answer in newer] == [True]
    assert len(ask("another")) == 1
