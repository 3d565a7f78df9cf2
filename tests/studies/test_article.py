"""The article's experiment: its procedure and the model's own reading; a random head where there is none, and said."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from demo import Lab
from demo.__main__ import app
from demo.backend.local import LocalEngine
from demo.stages.article import PRINTED
from demo.studies.article import ANSWERS, QUESTIONS, run_article
from tests.conftest import make_sentence_transformer, save_tiny


def cosines(questions: np.ndarray, answers: np.ndarray) -> np.ndarray:
    both = torch.tensor(questions)[:, None], torch.tensor(answers)[None]
    return torch.cosine_similarity(*both, dim=-1).numpy()


@torch.inference_mode()
def test_the_articles_loop_and_the_models_own_reading(settings, tmp_path, mistral_tokenizer):
    """Its loop: one text at a time, chat template, the last token's logits of the causal model."""
    folder = save_tiny(tmp_path / "gpt", "mistral", mistral_tokenizer)
    lab = Lab(settings, LocalEngine(settings))
    [row] = lab.wait_for_model(lambda: run_article(lab, str(folder)), lambda loading: None)
    assert (row.way, row.random_head) == ("both", False)
    network = AutoModelForCausalLM.from_pretrained(folder).eval()

    def loop(text: str) -> np.ndarray:
        ids = mistral_tokenizer(f"<s>[INST] {text} [/INST]", add_special_tokens=False, return_tensors="pt").input_ids
        return network(ids).logits[0, -1].numpy()

    expected = cosines(*(np.stack([loop(text) for text in side]) for side in (QUESTIONS, ANSWERS)))
    np.testing.assert_allclose(row.comparison.similarity, expected, atol=1e-5)


def test_a_checkpoint_without_a_head_gets_a_random_one_that_is_said(settings, tmp_path, mistral_tokenizer):
    folder = save_tiny(tmp_path / "e5", "mistral", mistral_tokenizer, headless=True)
    make_sentence_transformer(folder, "lasttoken", normalize=True, prompts={"query": "Instruct: find\nQuery: "})
    lab = Lab(settings, LocalEngine(settings))
    article, own = lab.wait_for_model(lambda: run_article(lab, str(folder)), lambda loading: None)
    assert (article.way, article.random_head, own.way, own.random_head) == ("article", True, "own", False)
    again, _ = run_article(lab, str(folder))
    np.testing.assert_array_equal(article.comparison.similarity, again.comparison.similarity)
    states = [lab.embed(side, str(folder), prompt="chat", pooling="last_token") for side in (QUESTIONS, ANSWERS)]
    # A random projection onto 32,000 numbers keeps cosines.
    np.testing.assert_allclose(article.comparison.similarity, cosines(*states), atol=0.03)
    assert own.comparison.reading.prompt.value == "own"


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("DEMO_ENGINE", "fake")


def test_the_command_prints_ours_beside_the_printed_figures(fake):
    printed = CliRunner().invoke(app, ["article", "--model", "smollm2-135m-instruct"])
    assert printed.exit_code == 0, printed.output
    assert ".96 .90 / .93 .94" in printed.stdout
    for model, beside in (
        ("qwen3-0.6b", "mistral-7b-instruct-v0.1"),
        ("qwen3-embedding-0.6b", "e5-mistral-7b-instruct"),
    ):
        told = json.loads(CliRunner().invoke(app, ["article", "--model", model, "--json"]).stdout)
        for row in told["readings"]:
            figures = [list(pair) for pair in PRINTED[beside]]
            assert row["printed"] == {"model": beside, "same_model": False, "similarity": figures}
            np.testing.assert_allclose(row["difference"], np.array(row["similarity"]) - np.array(figures), atol=1e-6)
            assert {"verdict", "provenance", "way", "random_head"} <= set(row)


@pytest.mark.weights
def test_the_figures_of_the_readme():
    printed = CliRunner().invoke(app, ["article", "--model", "smollm2-135m-instruct"])
    assert ".353 .241 / .364 .258" in printed.stdout
    assert "computed in float32" in printed.stdout
