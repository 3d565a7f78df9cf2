"""Real weights: the article's procedure on SmolLM2, and all-MiniLM-L6-v2 beside sentence-transformers."""

import json

import numpy as np
import pytest
import torch

from demo import Lab
from demo.domain.errors import WeightsUnavailable
from demo.settings import Settings
from tests import ROOT

pytestmark = pytest.mark.weights

SETS = sorted((ROOT / "examples" / "sets").glob("*.json"))
ARTICLE = json.loads(next(path for path in SETS if path.stem == "article").read_text(encoding="utf-8"))
# Computed apart from this project, with plain transformers in float32 on the package's weights.
EXPECTED = [[0.3525, 0.2408], [0.3636, 0.2580]]


@pytest.fixture(scope="module")
def lab():
    return Lab(Settings(device="cpu", dtype="float32", public=False))


def opened(lab, model):
    """The model's info, or a skip that says why its weights cannot be had."""
    try:
        return lab.open(model)
    except WeightsUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def smollm2(lab):
    return opened(lab, "smollm2-135m-instruct")


@pytest.fixture
def minilm(lab):
    return opened(lab, "all-minilm-l6-v2")


def test_the_articles_texts_on_smollm2(lab, smollm2):
    if not smollm2.source.startswith("the package"):
        pytest.skip(f"the figures are the package's 4-bit weights; here they come from {smollm2.source}")
    compared = lab.compare(ARTICLE["questions"], ARTICLE["answers"])
    assert compared.reading.label() == "smollm2-135m-instruct · chat · last_token_logits · last layer"
    np.testing.assert_allclose(compared.similarity, EXPECTED, atol=0.002)
    assert compared.metrics.found_first == 1


def test_the_articles_own_loop_gives_the_same(lab, smollm2):
    """One text at a time through plain transformers, all logits, torch's cosine with eps 1e-6."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from demo.backend.weights.locate import locate_weights

    folder = locate_weights("smollm2-135m-instruct", lab.settings.cache_dir).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def embed(text):
        message = [{"role": "user", "content": text}]
        inputs = tokenizer.apply_chat_template(message, return_tensors="pt", return_dict=True)
        return model(**inputs).logits[:, -1, :]

    cosine = torch.nn.CosineSimilarity(dim=1, eps=1e-6)
    loop = [[cosine(embed(q), embed(a)).item() for a in ARTICLE["answers"]] for q in ARTICLE["questions"]]
    compared = lab.compare(ARTICLE["questions"], ARTICLE["answers"])
    np.testing.assert_allclose(compared.similarity, loop, atol=1e-5)


def test_minilm_equals_sentence_transformers(lab, minilm):
    """Its own reading, on every example set: short and long, English and Korean."""
    from sentence_transformers import SentenceTransformer

    from demo.backend.weights.locate import locate_weights

    folder = locate_weights("all-minilm-l6-v2", lab.settings.cache_dir).folder
    oracle = SentenceTransformer(str(folder), device="cpu")
    for path in SETS:
        example = json.loads(path.read_text(encoding="utf-8"))
        texts = [*example["questions"], *example["answers"], "a long one, " * 200]
        np.testing.assert_allclose(lab.embed(texts, model="all-minilm-l6-v2"), oracle.encode(texts), atol=1e-5)


def test_the_tuned_encoder_tells_the_articles_pairs_apart_and_the_gpt_does_not(lab, smollm2, minilm):
    tuned = lab.compare(ARTICLE["questions"], ARTICLE["answers"], model="all-minilm-l6-v2").metrics
    assert tuned.margin > 0.5
    assert tuned.auc == 1.0
    assert lab.compare(ARTICLE["questions"], ARTICLE["answers"]).metrics.margin < 0.05


SLOW = not torch.ops.mkldnn._is_mkldnn_bf16_supported()
BFLOAT16 = pytest.param("bfloat16", marks=pytest.mark.skipif(SLOW, reason="this processor has no bfloat16 products"))


@pytest.mark.parametrize("dtype", ["float32", BFLOAT16])
@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "smollm2-135m-instruct-contrastive", "gemma-3-270m"])
def test_real_gpts_are_read_by_our_decoder(model, dtype):
    """A model that the decoder does not agree with would still be read right, but slowly, and nobody would notice."""
    chosen = Lab(device="cpu", dtype=dtype, public=False)
    opened(chosen, model)
    assert chosen.engine._checkpoint(model).decoder is not None


@pytest.mark.parametrize("dtype", ["float32", BFLOAT16])
def test_a_vector_does_not_depend_on_its_batch_mates(smollm2, dtype):
    least = 0.999 if dtype == "bfloat16" else 1 - 1e-6
    lab = Lab(device="cpu", dtype=dtype, public=False, cache_mb=0)
    texts = ["a", *ARTICLE["questions"], *ARTICLE["answers"], "서울은 어디인가요?", "🙂", "word " * 200]
    for prompt, pooling in (("chat", "last_token_logits"), ("plain", "weighted_mean")):
        together = lab.embed(texts, prompt=prompt, pooling=pooling)
        for text, vector in zip(texts, together, strict=True):
            alone = lab.embed([text], prompt=prompt, pooling=pooling)[0]
            # With AMX, bfloat16 products round differently for another number of rows: states stay above .9995, but the
            # LM head, which takes away what all states share, brings that down to .9978 (measured).
            below = 0.002 if dtype == "bfloat16" and pooling == "last_token_logits" else 0.0
            assert vector @ alone / np.linalg.norm(vector) / np.linalg.norm(alone) > least - below
            if dtype == "float32":
                np.testing.assert_allclose(vector, alone, atol=1e-5 * max(1.0, float(np.abs(alone).max())))


@pytest.mark.skipif(SLOW, reason="this processor has no bfloat16 products")
def test_the_first_figures_are_float32s_on_a_processor_with_bfloat16(smollm2):
    compared = Lab(device="cpu", dtype="auto", public=False).compare(ARTICLE["questions"], ARTICLE["answers"])
    np.testing.assert_allclose(compared.similarity, [[0.353, 0.241], [0.364, 0.258]], atol=0.001)
    assert compared.provenance["precision"] == "float32"


def test_gemma_reads_the_article(lab):
    opened(lab, "gemma-3-270m")
    compared = lab.compare(ARTICLE["questions"], ARTICLE["answers"], model="gemma-3-270m")
    assert np.isfinite(compared.similarity).all()
    assert compared.reading.prompt.value == "plain"


def test_an_encoder_is_swept_with_the_defaults(lab, minilm):
    """Token prepending writes an EOS token, which its tokenizer lacks."""
    found = lab.sweep(
        ["What is a GPU?", "Who wrote Hamlet?"], ["A processor.", "Shakespeare."], model="all-minilm-l6-v2"
    )
    assert "token_prepending" not in {prompt.value for prompt in found.prompts}
    assert any("cannot be given them: chat, own, token_prepending." in notice for notice in found.notices)
    assert found.scores[found.best].auc.value == 1
