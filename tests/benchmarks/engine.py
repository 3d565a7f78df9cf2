"""How fast is the engine? Ratios to what a person would use instead, on the same weights, in one run.

    python -m tests.benchmarks.engine TEXTS.txt [--texts 500] [--dtype float32]

TEXTS.txt holds one text a line. Peers: the article's own loop, and sentence-transformers without a chat template.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo import Lab
from demo.backend.weights import locate_weights

MODEL = "smollm2-135m-instruct"
RUNS = 5


def seconds(run) -> float:
    """Median of RUNS after one that warms up."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def against_sentence_transformers(lab: Lab, folder: Path, texts: list[str]) -> float:
    """How many times faster than SentenceTransformer.encode, plain text, last token, equal precision."""
    with tempfile.TemporaryDirectory() as bare:
        # sentence-transformers applies a chat template by itself wherever it finds one.
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = None
        tokenizer.save_pretrained(bare)
        for name in ("config.json", "model.safetensors"):
            (Path(bare) / name).symlink_to(folder / name)
        transformer = Transformer(bare, model_kwargs={"dtype": lab.engine.placement.dtype})
        pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
        peer = SentenceTransformer(modules=[transformer, pooling], device=lab.engine.placement.device.type)
    expected = lab.embed(texts[:5], model=MODEL, prompt="plain", pooling="last_token")
    assert np.allclose(peer.encode(texts[:5]), expected, atol=0.05 * np.abs(expected).max()), "not the same vectors"

    def ours():
        lab.engine.cache.clear()
        lab.embed(texts, model=MODEL, prompt="plain", pooling="last_token")

    theirs = seconds(lambda: peer.encode(texts, batch_size=32))
    return theirs / seconds(ours)


def against_the_article(lab: Lab, folder: Path, questions: list[str], answers: list[str]) -> float:
    """How many times faster than the article's double loop: both texts of every pair, all logits, one by one."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=lab.engine.placement.dtype)
    model = model.to(lab.engine.placement.device).eval()
    cosine = torch.nn.CosineSimilarity(dim=1, eps=1e-6)

    @torch.no_grad()
    def embed(text):
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], return_tensors="pt", return_dict=True
        )
        return model(**inputs.to(model.device)).logits[:, -1, :].float()

    started = time.perf_counter()
    for question in questions:
        for answer in answers:
            cosine(embed(question), embed(answer)).item()
    theirs = time.perf_counter() - started

    def ours():
        lab.engine.cache.clear()
        lab.compare(questions, answers, model=MODEL)

    return theirs / seconds(ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--side", type=int, default=10, help="questions and answers of the article's loop")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    texts = list(dict.fromkeys(options.file.read_text(encoding="utf-8").splitlines()))[: options.texts]
    lab = Lab(dtype=options.dtype, max_texts=100_000, public=False)
    info = lab.open(MODEL)
    folder = locate_weights(MODEL, lab.settings.cache_dir).folder
    print(f"{info.name}, {info.weights_precision}, {info.device}, {info.precision}, {torch.get_num_threads()} threads")
    print(f"torch {torch.__version__}, sentence-transformers {sentence_transformers.__version__}")
    ratio = against_sentence_transformers(lab, folder, texts)
    print(f"{len(texts)} texts, plain, last token: {ratio:.2f} × sentence-transformers")
    side = options.side
    ratio = against_the_article(lab, folder, texts[:side], texts[side : 2 * side])
    print(f"{side} × {side} texts: {ratio:.0f} × the article's loop")


if __name__ == "__main__":
    main()
