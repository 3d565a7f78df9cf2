"""Lab: defaults, refusals, waiting and provenance, over the fake engine."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from demo import Lab, Reading, Settings
from demo.backend.fake import FakeEngine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Embedded, Pooling, Prompt
from demo.domain.errors import (
    BadInput,
    ModelLoading,
    ModelNotAllowed,
    ModelNotFound,
    NoTexts,
    ReadingRefused,
    Stopped,
    TextTooLong,
    UnknownChoice,
    WeightsUnavailable,
)
from tests.waiting import eventually

QUESTIONS, ANSWERS = ["Where is the moon?", "What is a cat?"], ["The moon is far.", "A cat purrs.", "Two is a number."]
GPT, ENCODER, TUNED = "smollm2-135m-instruct", "all-minilm-l6-v2", "qwen3-embedding-0.6b"


def make_lab(engine=None, **settings) -> Lab:
    return Lab(Settings(public=False).model_copy(update=settings), engine or FakeEngine())


@pytest.fixture
def lab() -> Lab:
    return make_lab()


def wait_for(ask):
    """Ask again while the model loads."""
    return eventually(ask, until=lambda _: True, catching=ModelLoading)


def test_comparison_has_a_cell_for_each_pair(lab):
    comparison = lab.compare(QUESTIONS, "\n".join(ANSWERS))
    assert comparison.similarity.shape == (2, 3)
    assert comparison.similarity.dtype == np.float32
    assert (comparison.questions, comparison.answers) == (tuple(QUESTIONS), tuple(ANSWERS))
    assert comparison.metrics.n_matched == 2


def test_rows_are_questions_and_columns_are_answers(lab):
    """The same text on both sides is a cosine of 1, there and nowhere else."""
    similarity = lab.compare(["alpha beta", "gamma delta"], ["something else", "alpha beta"]).similarity
    assert similarity[0, 1] == pytest.approx(1, abs=1e-6)
    assert np.delete(similarity.ravel(), 1).max() < 0.99


def test_embed_returns_a_float32_row_for_each_text_in_order(lab):
    vectors = lab.embed(["one", "two", "one"])
    assert vectors.dtype == np.float32
    assert len(vectors) == 3
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])
    assert lab.embed("one\ntwo").shape[0] == 1, "a string is one text"


@pytest.mark.parametrize("model", [GPT, ENCODER, TUNED, "gemma-3-270m", "qwen3-0.6b"])
def test_omitted_choices_are_the_models_defaults(lab, model):
    assert lab.compare("a", "b", model=model).reading == CATALOG[model].default_reading


def test_the_settings_model_is_the_default_model():
    assert make_lab(model=ENCODER).compare("a", "b").reading.model == ENCODER
    assert make_lab(model=ENCODER).compare("a", "b", model="  ").reading.model == ENCODER


def test_given_choices_override_the_defaults(lab):
    reading = lab.compare("a", "b", model=GPT, prompt="plain", pooling="mean", layer=3).reading
    assert reading == Reading(GPT, Prompt.PLAIN, Pooling.MEAN, 3)
    assert lab.reading(GPT, pooling=Pooling.MAX).pooling is Pooling.MAX


def test_every_choice_changes_the_numbers(lab):
    def ask(**choices):
        return lab.compare(QUESTIONS, ANSWERS, **choices).similarity

    default = ask()
    for other in (ask(prompt="plain"), ask(pooling="mean"), ask(layer=3), ask(model="qwen3-0.6b")):
        assert not np.allclose(default, other)


@pytest.mark.parametrize(
    ("layer", "expected"), [(0, 0), (29, 29), (30, -1), (-1, -1), (-2, 29), (-31, 0), ("7", 7), (4.0, 4), ("", -1)]
)
def test_layers_count_from_both_ends(lab, layer, expected):
    """SmolLM2 has 30: 0 is the embeddings, 30 and −1 the last."""
    assert lab.reading(GPT, layer=layer).layer == expected


@pytest.mark.parametrize("layer", [31, -32, "x", 1.5, "2.5", float("nan"), float("inf"), 10**400, [1]])
def test_unknown_layer_error_names_the_existing_ones(lab, layer):
    with pytest.raises(UnknownChoice, match="0 to 30") as caught:
        lab.reading(GPT, layer=layer)
    assert caught.value.field == "layer"


@pytest.mark.parametrize(
    ("name", "accepted"), [("prompt", [p.value for p in Prompt]), ("pooling", [p.value for p in Pooling])]
)
def test_unknown_choice_error_names_the_accepted_ones(lab, name, accepted):
    with pytest.raises(UnknownChoice, match="meen") as caught:
        lab.compare("a", "b", **{name: "meen"})
    assert caught.value.field == name
    assert all(choice in str(caught.value) for choice in accepted)
    with pytest.raises(UnknownChoice, match="question, answer"):
        lab.embed(["a"], role="judge")


@pytest.mark.parametrize(
    ("model", "choice", "value", "instead"),
    [
        (TUNED, "pooling", "last_token_logits", "last_token"),  # no LM head: never a random one
        (ENCODER, "pooling", "last_token_logits", "last_token"),
        (ENCODER, "prompt", "chat", "plain"),
        (GPT, "prompt", "own", "plain"),
    ],
)
def test_impossible_reading_is_refused_with_an_alternative(lab, model, choice, value, instead):
    with pytest.raises(ReadingRefused) as caught:
        lab.compare("a", "b", model=model, **{choice: value})
    assert caught.value.field == choice
    assert caught.value.instead == instead
    assert CATALOG[model].name in str(caught.value)
    assert lab.compare("a", "b", model=model, **{choice: instead}).similarity.shape == (1, 1)


def test_questions_and_answers_have_their_own_prompts(lab):
    """The tuned model puts "query: " before questions only, so the same text differs by its side."""
    own = lab.compare("alpha", "alpha", model=TUNED).similarity[0, 0]
    plain = lab.compare("alpha", "alpha", model=TUNED, prompt="plain").similarity[0, 0]
    assert plain == pytest.approx(1, abs=1e-6)
    assert own < 0.99
    question, answer = (lab.embed(["alpha"], model=TUNED, role=role) for role in ("question", "answer"))
    assert not np.allclose(question, answer)


def test_bad_texts_are_refused_before_any_model_is_loaded():
    lab = make_lab()
    for questions, answers, error in (("", "a", NoTexts), ("x" * 20_001, "a", TextTooLong), (None, "a", BadInput)):
        with pytest.raises(error):
            lab.compare(questions, answers)
    assert lab.engine.loads == []


def test_limits_are_settings():
    with pytest.raises(TextTooLong):
        make_lab(max_characters=3).compare("four", "a")


def test_call_without_waiting_raises_until_the_model_is_loaded():
    lab = make_lab(FakeEngine(load_seconds=0.1))
    with pytest.raises(ModelLoading) as caught:
        lab.compare("a", "b", wait=False)
    assert "SmolLM2-135M-Instruct" in str(caught.value)
    fraction = caught.value.values["fraction"]
    assert fraction is None or 0 <= fraction <= 1
    assert wait_for(lambda: lab.compare("a", "b", wait=False)).similarity.shape == (1, 1)
    assert lab.engine.loads == [GPT], "loaded once, however often asked"


def test_wait_for_model_reports_progress_until_the_call_succeeds():
    lab, seen = make_lab(FakeEngine(load_seconds=0.1)), []
    assert lab.wait_for_model(lambda: lab.open(GPT, wait=False), seen.append).model == GPT
    fractions = [loading.values["fraction"] or 0.0 for loading in seen]
    assert fractions
    assert fractions == sorted(fractions)


def test_wait_for_model_ends_with_what_its_callback_raises():
    lab = make_lab(FakeEngine(load_seconds=0.1))

    def give_up(loading):
        raise Stopped from loading

    with pytest.raises(Stopped):
        lab.wait_for_model(lambda: lab.open(GPT, wait=False), give_up)


def test_status_is_that_of_a_listed_model(lab):
    assert lab.status(ENCODER).name == CATALOG[ENCODER].name
    assert lab.status("owner/unlisted") is None


def test_failed_load_is_reported_once_and_retried():
    engine = FakeEngine(unreachable=[GPT])
    lab = make_lab(engine)
    with pytest.raises(WeightsUnavailable):
        wait_for(lambda: lab.compare("a", "b", wait=False))
    engine.unreachable.clear()  # the network is back
    with pytest.raises(ModelLoading):
        lab.compare("a", "b", wait=False)
    assert wait_for(lambda: lab.compare("a", "b", wait=False)).reading.model == GPT


def test_error_in_the_loading_thread_reaches_the_caller():
    class Faulty(FakeEngine):
        def load(self, model, on_progress=None):
            raise ZeroDivisionError("a fault of our own")

    lab = make_lab(Faulty())
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: lab.open(GPT, wait=False))


def test_evicted_model_is_loaded_again_without_blocking():
    engine = FakeEngine()
    lab = make_lab(engine)
    wait_for(lambda: lab.compare("a", "b", wait=False))
    engine._infos.clear()  # out of the memory budget
    with pytest.raises(ModelLoading):
        lab.compare("a", "b", wait=False)
    wait_for(lambda: lab.compare("a", "b", wait=False))
    assert engine.loads == [GPT, GPT]


def test_error_names_the_missing_model(lab):
    for model in ("qwen/qwen9", "/no/such/folder", 7, "<img src=x>"):
        with pytest.raises(ModelNotFound) as caught:
            lab.compare("a", "b", model=model)
        assert str(model) in str(caught.value)
        assert caught.value.field == "model"


@pytest.mark.parametrize("model", ["qwen/qwen9", "/etc", "../x", 7])
def test_a_public_host_refuses_typed_models(model):
    lab = make_lab(public=True)
    with pytest.raises((ModelNotAllowed, ModelNotFound), match=GPT if isinstance(model, str) else "7"):
        lab.compare("a", "b", model=model)
    assert lab.engine.loads == []
    assert lab.compare("a", "b", model=ENCODER).reading.model == ENCODER


@pytest.mark.parametrize("public", [True, False])
def test_the_hub_id_of_a_listed_model_is_that_model(public):
    lab = make_lab(public=public)
    reading = lab.compare("a", "b", model=f" {CATALOG[ENCODER].hub_id} ").reading
    assert reading == CATALOG[ENCODER].default_reading


def test_notice_names_truncated_texts():
    class Cutting(FakeEngine):
        def embed(self, texts, reading, keep=True):
            cut = tuple(i for i, text in enumerate(texts) if len(text.text) > 10)
            return Embedded(super().embed(texts, reading).vectors, cut, 1234)

    lab = make_lab(Cutting())
    assert lab.compare("short", "short").notices == ()
    (notice,) = lab.compare("short", ["short", "long " * 9, "also long " * 9]).notices
    assert notice == "Longer than 1,234 tokens and cut there: answers 2, 3."


def test_provenance_names_model_device_and_versions(lab):
    provenance = lab.compare("a", "b").provenance
    assert provenance["model"] == "SmolLM2-135M-Instruct"
    assert provenance["revision"] == CATALOG[GPT].revision
    assert (provenance["precision"], provenance["device"]) == ("float32", "fake")
    assert provenance["source"]
    assert all(name in provenance["versions"] for name in ("Python", "torch", "transformers"))


def test_comparison_survives_json(lab):
    comparison = lab.compare(QUESTIONS, ANSWERS, matches="1-2, 2-1")
    answer = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert {"similarity", "metrics", "reading"} <= set(answer)
    np.testing.assert_array_equal(np.array(answer["similarity"], dtype=np.float32), comparison.similarity)
    assert answer["reading"]["pooling"] == "last_token_logits"
    assert answer["matches"] == [[1, 2], [2, 1]]
    assert answer["questions"] == QUESTIONS


def test_model_switch_leaves_no_state_behind():
    """There and back, the answer is the one of a lab that never switched."""
    lab = make_lab()
    first = lab.compare(QUESTIONS, ANSWERS, model=GPT)
    other = lab.compare(QUESTIONS, ANSWERS, model=ENCODER)
    fresh = make_lab().compare(QUESTIONS, ANSWERS, model=ENCODER)
    np.testing.assert_array_equal(other.similarity, fresh.similarity)
    assert (other.reading, other.provenance) == (fresh.reading, fresh.provenance)
    again = lab.compare(QUESTIONS, ANSWERS, model=GPT)
    np.testing.assert_array_equal(again.similarity, first.similarity)


def test_unavailable_model_changes_nothing(lab):
    before = lab.compare(QUESTIONS, ANSWERS)
    with pytest.raises(WeightsUnavailable):
        lab.compare(QUESTIONS, ANSWERS, model="gpt2")
    np.testing.assert_array_equal(lab.compare(QUESTIONS, ANSWERS).similarity, before.similarity)


def test_lab_takes_settings_by_name_and_refuses_misspelt_ones():
    engine = FakeEngine()
    assert Lab(engine=engine, device="cpu", max_texts=2).settings.max_texts == 2
    settings = Settings(max_cells=5)
    lab = Lab(settings, engine, max_texts=2)
    assert (lab.settings.max_cells, lab.settings.max_texts) == (5, 2)
    with pytest.raises(TypeError, match="devise"):
        Lab(engine=engine, devise="cpu")


def test_a_load_that_nobody_wants_any_more_ends_at_its_next_report():
    engine = FakeEngine(load_seconds=5)
    lab = make_lab(engine)
    with pytest.raises(ModelLoading):
        lab.open("gemma-3-270m", wait=False)
    lab.loader.stop("gemma-3-270m")
    engine.load_seconds = 0
    eventually(lambda: threads_named("load gemma-3-270m"), 10, "the load goes on", until=lambda seen: not seen)
    assert engine.loads == []
    lab.wait_for_model(lambda: lab.open("gemma-3-270m", wait=False), lambda loading: None)
    assert engine.loads == ["gemma-3-270m"], "whoever asks for it begins it anew"
    lab.loader.stop("gemma-3-270m")
    assert lab.open("gemma-3-270m").model == "gemma-3-270m"


def threads_named(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == name]
