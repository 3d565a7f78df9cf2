"""Texts of programs, by every way in: what is cut is named or refused, one row a text, white space, JSON strings."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from gradio_client import Client
from openai import BadRequestError, NotFoundError, OpenAI, PermissionDeniedError

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Embedded
from demo.domain.errors import (
    BlankText,
    ModelGated,
    ModelNotFound,
    ReadingRefused,
    TooManyCells,
    TooManyTexts,
    TooManyTokens,
)
from demo.lab import Lab
from demo.settings import Settings
from tests.embedding_server import EmbeddingServer
from tests.serving.conftest import live_page, serve
from tests.serving.test_mcp import converse

MODEL = "all-minilm-l6-v2"
TAKEN = 4  # words of a text
SHORT, LONG, OTHER = "one two", "one two three four five", "one two three four six"


class CuttingEngine(FakeEngine):
    """Reads the first words of a text, as a model reads its first tokens."""

    def embed(self, texts, reading, keep=True):
        words = [text.text.split() for text in texts]
        cut = tuple(i for i, found in enumerate(words) if len(found) > TAKEN)
        read = [replace(text, text=" ".join(found[:TAKEN])) for text, found in zip(texts, words, strict=True)]
        return Embedded(super().embed(read, reading, keep).vectors, cut, TAKEN)


@pytest.fixture(scope="module")
def lab() -> Lab:
    engine = CuttingEngine(unreachable=())
    engine.load(MODEL)
    return Lab(Settings(engine="fake", port=0, public=False), engine)


@pytest.fixture(scope="module")
def url(lab):
    with live_page(lab) as (url, _):
        yield url


@pytest.fixture(scope="module")
def openai(url) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none")


@pytest.fixture(scope="module")
def page(url) -> Client:
    return Client(url, verbose=False)


# ---- longer than the model takes -----------------------------------------------------------------------------


def test_openais_client_learns_which_texts_were_cut(openai):
    answer = openai.embeddings.create(model=MODEL, input=[LONG, SHORT, OTHER])
    assert np.array_equal(answer.data[0].embedding, answer.data[2].embedding), "two texts, one vector"
    assert answer.model_extra["truncated"] == [0, 2]
    assert answer.model_extra["notices"] == ["Longer than 4 tokens and cut there: texts 1, 3."]
    short = openai.embeddings.create(model=MODEL, input=SHORT, extra_body={"truncate": False})
    assert (short.model_extra["truncated"], short.model_extra["notices"]) == ([], [])


@pytest.mark.parametrize("asked", [{"extra_body": {"truncate": False}}, {"model": f"{MODEL}?truncate=false"}])
def test_openais_client_may_refuse_what_would_be_cut(openai, asked):
    with pytest.raises(BadRequestError, match="Longer than the 4 tokens .* texts 2") as caught:
        openai.embeddings.create(**{"model": MODEL, "input": [SHORT, LONG], **asked})
    assert (caught.value.param, caught.value.code) == ("input", "too_many_tokens")


def test_the_pages_endpoint_and_assistants_are_told_too(url, page):
    answer = page.predict([SHORT, LONG], model=MODEL, api_name="/embed")
    assert (answer["truncated"], len(answer["notices"])) == ([1], 1)
    texts = {"texts": [SHORT, LONG], "model": MODEL}
    _, answer, refused = converse(url, ("embed", texts), ("embed", {**texts, "truncate": False}))
    assert answer.structured_content["truncated"] == [1]
    assert "cut there: texts 2" in answer.content[0].text
    assert refused.is_error


def test_in_python_a_warning_names_what_was_cut(lab):
    with pytest.warns(UserWarning, match="cut there: texts 2"):
        assert len(lab.embed([SHORT, LONG], MODEL)) == 2
    with pytest.raises(TooManyTokens, match="texts 2"):
        lab.embed([SHORT, LONG], MODEL, truncate=False)


def test_of_a_model_elsewhere_only_its_server_knows():
    server = EmbeddingServer()
    try:
        lab = Lab(Settings(engine="fake", remote=(f"letters={server.url}",)))
        with pytest.raises(ReadingRefused, match="only its server knows"):
            lab.embed(["a"], "remote:letters", truncate=False)
    finally:
        server.stop()


# ---- one row a text ------------------------------------------------------------------------------------------

QUESTIONS = ["What is a GPU?", "", "Who wrote Hamlet?"]
ANSWERS = ["A graphics processor.", "In San Francisco.", "Shakespeare."]


def test_a_blank_text_is_refused_by_its_place_everywhere(lab, url, page, openai):
    """Dropped without a word, it paired Hamlet with San Francisco."""
    with pytest.raises(BlankText, match="Text 2 of the questions"):
        lab.compare(QUESTIONS, ANSWERS, MODEL)
    with pytest.raises(BlankText, match="Text 2 of the texts"):
        lab.embed(QUESTIONS, MODEL)
    for sent in ({"questions": QUESTIONS, "answers": ANSWERS}, {"texts": QUESTIONS}, {"texts": "\n".join(QUESTIONS)}):
        api = "/embed" if "texts" in sent else "/compare"
        error = page.predict(**sent, model=MODEL, api_name=api)["error"]
        assert (error["code"], error["message"][:6]) == ("BlankText", "Text 2"), sent
    with pytest.raises(BadRequestError, match="Text 2"):
        openai.embeddings.create(model=MODEL, input=QUESTIONS)
    compared = {"questions": QUESTIONS, "answers": ANSWERS, "model": MODEL}
    _, *refused = converse(url, ("compare", compared), ("embed", {"texts": QUESTIONS, "model": MODEL}))
    assert all(answer.is_error and "Text 2" in answer.content[0].text for answer in refused)


def test_white_space_is_normalised_and_said_everywhere(lab, url, page, openai):
    odd, plain = ["one\x0ctwo", "one\r\ntwo", "one\x85\x7ftwo"], ["one two", "one\ntwo", "one two"]
    expected = lab.embed(plain, MODEL)
    with pytest.warns(UserWarning, match="texts 1, 2, 3"):
        np.testing.assert_array_equal(lab.embed(odd, MODEL), expected)
    answer = openai.embeddings.create(model=MODEL, input=odd)
    np.testing.assert_allclose([one.embedding for one in answer.data], expected, atol=1e-6)
    embedded = page.predict(odd, model=MODEL, api_name="/embed")
    _, assistant = converse(url, ("embed", {"texts": odd, "model": MODEL}))
    compared = lab.compare(odd, ["a"], MODEL)
    assert compared.questions == tuple(plain)
    said = [answer.model_extra["notices"], embedded["notices"], assistant.structured_content["notices"]]
    for [notice] in [*said, compared.notices]:
        assert notice.startswith("White space normalised")


def test_an_assistants_list_may_arrive_as_a_json_string(url, lab):
    arguments = {"questions": QUESTIONS[::2], "answers": ANSWERS, "matches": [[1, 1], [2, 3]]}
    packed = {name: json.dumps(value) for name, value in arguments.items()}
    bad = {"texts": '["a", "b"', "model": MODEL}
    _, plain, decoded, texts, single, refused, numbers = converse(
        url,
        *[("compare", {**given, "model": MODEL}) for given in (arguments, packed)],
        ("embed", {"texts": json.dumps(ANSWERS), "model": MODEL}),
        ("embed", {"texts": "one text", "model": MODEL}),
        ("embed", bad),
        ("embed", {"texts": "[1, 2]", "model": MODEL}),
    )
    assert decoded.structured_content == plain.structured_content
    assert len(decoded.structured_content["similarity"]) == 2
    np.testing.assert_allclose(texts.structured_content["embeddings"], lab.embed(ANSWERS, MODEL), atol=1e-6)
    assert len(single.structured_content["embeddings"]) == 1
    assert refused.is_error
    assert numbers.is_error
    assert "texts" in refused.content[0].text


# ---- how many ------------------------------------------------------------------------------------------------


def test_the_limits_of_a_page_are_not_the_librarys(lab):
    texts = [f"text {i}" for i in range(1379)]
    vectors = Lab(engine=FakeEngine()).embed(texts, MODEL)
    served = Lab(Settings(), FakeEngine())
    parts = [served.embed(texts[start : start + 200], MODEL) for start in range(0, 1379, 200)]
    np.testing.assert_array_equal(vectors, np.concatenate(parts))
    for call in (lambda: served.embed(texts, MODEL), lambda: served.compare(texts, ["a"], MODEL)):
        with pytest.raises(TooManyTexts):
            call()
    assert Lab(engine=FakeEngine()).compare(texts, ["a", "b"], MODEL).similarity.shape == (1379, 2)
    with pytest.raises(TooManyTexts, match="At most 5"):
        Lab(engine=FakeEngine(), max_texts=5).embed(texts, MODEL)


def test_only_memory_limits_the_library(monkeypatch):
    texts = [f"text {i}" for i in range(1379)]
    lab = Lab(engine=FakeEngine())
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 2**20}))
    for call in (lambda: lab.embed(texts, "gemma-3-270m"), lambda: lab.compare(texts, ["a"], "gemma-3-270m")):
        with pytest.raises(ReadingRefused, match="too many at once. At most"):
            call()
    with pytest.raises(TooManyCells, match="At most 32,768"):
        Lab(engine=FakeEngine()).compare(texts, texts, MODEL)


def test_texts_that_were_cut_keep_their_places_beyond_the_first_part(recwarn):
    texts = [SHORT] * 600 + [LONG]
    Lab(engine=CuttingEngine()).embed(texts, MODEL)
    assert "texts 601." in str(recwarn.pop(UserWarning).message)


def test_long_work_shows_a_progress_bar_on_a_terminal_only(monkeypatch, capsys):
    monkeypatch.setattr("demo.pipeline._BAR_SECONDS", 0)
    texts = [f"text {i}" for i in range(1379)]
    Lab(engine=FakeEngine()).embed(texts, MODEL)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    Lab(engine=FakeEngine()).embed(texts, MODEL)
    assert "1379/1379" in capsys.readouterr().err


# ---- models that cannot be had ---------------------------------------------------------------------------------


def test_a_model_that_is_nowhere_is_404_and_a_gated_one_403(settings, tmp_path, monkeypatch):
    """No 503: OpenAI's client tries such an answer again, three times."""
    from demo.backend.local import LocalEngine

    with live_page(Lab(settings.model_copy(update={"port": 0}), LocalEngine(settings))) as (url, _):
        client = OpenAI(base_url=f"{url}/v1", api_key="none")
        (tmp_path / "empty").mkdir()
        for name in ("nobody/nothing", str(tmp_path / "nothing"), "two words"):
            with pytest.raises(NotFoundError) as caught:
                client.embeddings.create(model=name, input="a")
            assert (caught.value.code, caught.value.param) == ("model_not_found", "model"), name
        with pytest.raises(BadRequestError, match="config.json is missing"):
            client.embeddings.create(model=str(tmp_path / "empty"), input="a")

        def refuse(*_, **__):
            raise ModelGated(model="a/gated", reasons="The Hub asks for a login and accepted terms.")

        monkeypatch.setattr("demo.backend.model_store.locate_weights", refuse)
        with pytest.raises(PermissionDeniedError, match="asks for a login"):
            client.embeddings.create(model="a/gated", input="a")


@pytest.mark.parametrize("reached", [{"host": "0.0.0.0"}, {"behind_proxy": True}, {"allow_host": ("lab.example",)}])
def test_others_who_reach_a_lab_learn_of_no_folder(settings, tmp_path, tiny, reached):
    from demo.backend.local import LocalEngine

    own, reached = settings, settings.model_copy(update={**reached, "model": str(tiny("bert"))})
    assert own.own_user
    (tmp_path / "empty").mkdir()
    lab = Lab(reached, LocalEngine(reached))
    sentences = set()
    for name in ("empty", "nothing"):
        with pytest.raises(ModelNotFound) as caught:
            lab.open(str(tmp_path / name))
        sentences.add(str(caught.value).replace(name, ""))
    assert len(sentences) == 1
    web = serve(lab)
    answers = [web.post("/v1/embeddings", json={"input": "a", "model": str(tmp_path / n)}) for n in ("empty", "gone!")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert lab.open().dim == 32, "the model that the host itself names"
