"""The dialog that gives a reading as a script: what it says, in both languages, without a browser."""

from __future__ import annotations

import ast
import html
import io
import json
import re
import zipfile
from dataclasses import replace

import pytest

from tests import ROOT

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Pairing, Pooling, Prompt, Reading
from demo.export.snippet import LIBRARIES, SENTENCE_TRANSFORMERS, TRANSFORMERS
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.i18n import LOCALES, translate_phrase
from demo.ui.kit.text import render_takehome
from demo.ui.panels.takehome.adapter import adapter_route
from demo.ui.panels.takehome.handlers import write_script
from tests.export.test_snippet import refusal

MODEL = "smollm2-135m-instruct"
PHRASES = ROOT / "demo" / "wording" / "phrases" / "ko" / "takehome.json"


@pytest.fixture
def lab():
    return Lab(Settings(engine="fake"), FakeEngine())


def ask(lab: Lab, library: str = TRANSFORMERS, language: str = "en", **chosen) -> dict:
    """The dialog's answer to a form."""
    return write_script(language, lab, library, {"model": MODEL, "pooling": "mean", **chosen})


@pytest.mark.parametrize("language", sorted(LOCALES))
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_reading_with_ones_own_texts_and_figures(lab, library, language):
    lab.open(MODEL)
    texts = {"questions": "Where do penguins live?\n\n  What is GPU? ", "answers": "On the ice."}
    answer = ask(lab, library, language, prompt="plain", **texts)
    names = {ast.unparse(node.targets[0]): node for node in ast.parse(answer["code"]).body if type(node) is ast.Assign}
    assert ast.literal_eval(names["questions"].value) == ["Where do penguins live?", "What is GPU?"]
    shown = lab.compare(*texts.values(), model=MODEL, prompt="plain", pooling="mean")
    assert all(f"[{cosine:.4f}]" in answer["code"] for cosine in shown.similarity[:, 0])
    assert answer["label"] == shown.reading.label(name=lab.open(MODEL).name)
    installed = "torch transformers numpy" if library == TRANSFORMERS else '"sentence-transformers>=6"'
    assert f"pip install {installed}" in answer["note"]
    assert answer["alert"] == ""


def test_what_is_missing_of_a_reading_is_the_models_default(lab):
    lab.open(MODEL)
    bare = write_script("en", lab, TRANSFORMERS, {"model": MODEL})
    assert bare["code"] == lab.code(MODEL)
    assert bare["label"] == lab.reading(MODEL).label(name=lab.open(MODEL).name)
    assert write_script("en", lab, "", None)["code"] == bare["code"]
    assert ask(lab, model=" ")["code"] == ask(lab)["code"] != bare["code"]


def test_while_a_model_loads_the_dialog_says_so_and_asks_again(lab):
    answer = ask(lab)
    assert (answer["code"], answer["again"]) == ("", True)
    assert "being loaded" in answer["note"]


def test_what_cannot_be_said_is_told_in_the_persons_language(lab):
    lab.open(MODEL)
    answer = ask(lab, SENTENCE_TRANSFORMERS, pooling="last_token_logits")
    assert answer["code"] == ""
    assert "not the logits of an LM head" in answer["alert"]
    assert "로짓이 아니라" in ask(lab, SENTENCE_TRANSFORMERS, "ko", pooling="last_token_logits")["alert"]
    assert ask(lab, ["no", "name"])["alert"]
    assert ask(lab, layer=99)["alert"]


def test_a_button_opens_the_dialog_for_a_reading():
    reading = Reading('"><script>', layer=3)
    many = Pairing(tuple(f"<q{i}>\nof two lines" for i in range(60)), ("a",), frozenset())
    for texts in (None, many):
        button = render_takehome("en", reading, texts)
        assert "<script>" not in button
        held = json.loads(html.unescape(re.search('data-takehome="([^"]*)"', button)[1]))
        assert held["model"] == '"><script>'
        assert {name: held[name] for name in reading.choices()} == reading.choices()
    assert (held["questions"][49], len(held["questions"]), held["part"]) == ("<q49>\nof two lines", 50, 50)


def test_a_files_texts_are_taken_as_they_are(lab):
    lab.open(MODEL)
    answer = ask(lab, questions=["one\nand more", "two"], answers=["three"], part=2)
    assert '"one\\nand more",' in answer["code"]
    assert answer["note"].startswith("The script holds the first 2")


@pytest.mark.parametrize("public", [True, False])
def test_a_page_of_others_offers_the_adapter_that_the_script_needs(public):
    """On this machine's own page the script names the folder by its whole path."""
    lab = Lab(Settings(engine="fake", public=public), FakeEngine())
    tuned = f"{MODEL}-contrastive"
    lab.open(tuned)
    address = write_script("en", lab, TRANSFORMERS, {"model": tuned, "pooling": "mean"})["adapter"]
    assert address == (f"adapter/{tuned}.zip" if public else "")
    lab.open(MODEL)
    assert ask(lab)["adapter"] == "", "a model without one"


def test_the_adapters_file_is_the_folder_that_the_script_names():
    client = TestClient(Starlette(routes=[adapter_route()]))
    entry = CATALOG[f"{MODEL}-contrastive"]
    answer = client.get(f"/adapter/{entry.id}.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{entry.id}.zip"'
    archive, folder = zipfile.ZipFile(io.BytesIO(answer.content)), ROOT / "demo" / entry.adapter
    assert sorted(archive.namelist()) == sorted(f"{entry.id}/{file.name}" for file in folder.iterdir())
    assert all(archive.read(f"{entry.id}/{file.name}") == file.read_bytes() for file in folder.iterdir())
    assert client.get(f"/adapter/{MODEL}.zip").status_code == 404
    assert client.get("/adapter/..%2Fadapters.zip").status_code == 404


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
