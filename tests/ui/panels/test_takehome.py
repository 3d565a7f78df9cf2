"""The fold that gives a reading as a script: what it says, in both languages, without a browser."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace

import pytest

from tests import ROOT

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Pooling, Prompt, Reading
from demo.export.snippet import LIBRARIES, SENTENCE_TRANSFORMERS, TRANSFORMERS, render_snippet
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.i18n import LOCALES, translate_phrase
from demo.ui.live.form import Form
from demo.ui.panels.takehome.handlers import write_script
from tests.export.test_snippet import refusal

MODEL = "smollm2-135m-instruct"
PHRASES = ROOT / "demo" / "wording" / "phrases" / "ko" / "takehome.json"


@pytest.fixture
def lab():
    return Lab(Settings(engine="fake"), FakeEngine())


def ask(lab: Lab, library: str, language: str = "en", **chosen) -> tuple[str, str]:
    """The fold's answer to a form."""
    form = Form(**{"model": MODEL, "pooling": "mean", **chosen})
    return write_script(language, lab, library, *vars(form).values())


@pytest.mark.parametrize("language", sorted(LOCALES))
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_reading_as_a_script(lab, library, language):
    info, entry = lab.open(MODEL), CATALOG[MODEL]
    code, note = ask(lab, library, language)
    reading = lab.reading(MODEL, prompt="plain", pooling="mean")
    assert code == render_snippet(reading, info, library, f"{entry.hub_id}@{entry.revision}")
    ast.parse(code)
    assert "pip install" in note
    assert "alert" not in note


def test_an_empty_box_means_the_model_in_use(lab):
    lab.open(MODEL)
    assert ask(lab, TRANSFORMERS, model=" ")[0] == ask(lab, TRANSFORMERS)[0] != ""


def test_while_a_model_loads_the_fold_says_so(lab):
    code, note = ask(lab, TRANSFORMERS)
    assert code == ""
    assert "being loaded" in note


def test_what_cannot_be_said_is_told_in_the_persons_language(lab):
    lab.open(MODEL)
    code, note = ask(lab, SENTENCE_TRANSFORMERS, pooling="last_token_logits")
    assert code == ""
    assert "not the logits of an LM head" in note
    assert "로짓이 아니라" in ask(lab, SENTENCE_TRANSFORMERS, "ko", pooling="last_token_logits")[1]
    assert "<script" not in ask(lab, TRANSFORMERS, model="<script>")[1]


def test_every_reason_is_said_in_korean():
    plain = Reading("tiny", Prompt.PLAIN, Pooling.MEAN)
    ways = [
        {"layer": 2},
        {"pooling": Pooling.LAST_TOKEN_LOGITS},
        {"prompt": Prompt.TOKEN_PREPENDING},
        {"prompt": Prompt.ECHO},
        {"eos": True},
        {"prompt": Prompt.PROMPTEOL},
    ]
    reasons = [refusal(replace(plain, **way)) for way in ways]
    reasons += [f"{english}." for english in json.loads(PHRASES.read_text("utf-8"))]
    for reason in reasons:
        said = translate_phrase("ko", reason)
        assert re.search("[가-힣]", said), reason
        assert not re.search(r"\b(the|its?|is|cannot|can)\b", said), said
