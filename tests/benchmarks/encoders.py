"""How fast are encoders? Ratios to what a person would use instead, on the same weights, in one run.

    python -m tests.benchmarks.encoders TEXTS.txt [--texts 1000] [--letters 400] [--dtype bfloat16]
        [--shape xlm-roberta] [--beside CHECKOUT]

Peers: sentence-transformers as it comes and in equal precision; an older checkout of this project; ONNX Runtime in
float32 and OpenVINO, where they are installed (`pip install onnx onnxscript onnxruntime openvino`). --shape takes
random weights of a base-sized model instead of all-MiniLM-L6-v2. --letters joins texts until they have as many. Every
figure is a median of five; a peer's vectors must be those of float32 (least cosine .9995, for a peer .99).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks import processor_name
from tests.benchmarks.peers import Peer, same_vectors, take_turns

MINILM = "all-minilm-l6-v2"
BATCH = 32  # sentence-transformers' own default, for every peer
LEAST_COSINE = 0.9995
# Sizes as their publishers give them: XLM-R base, ModernBERT base, BERT base.
SHAPES = {
    "xlm-roberta": {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1},
    "modernbert": {"intermediate_size": 1152, "num_hidden_layers": 22, "vocab_size": 50368},
    "bert": {"vocab_size": 30522},
}


def make_lab(checkout: str, model: str, dtype: str):
    """The lab of a checkout: this one, or an older one."""
    sys.path[:] = [checkout, *(path for path in sys.path if path not in ("", os.getcwd()))]
    from demo import Lab

    lab = Lab(dtype=dtype, max_texts=100_000, max_cells=10**9, public=False)
    lab.open(model)
    return lab


def lab_embed(lab, texts: list[str], model: str) -> np.ndarray:
    """As a newcomer would: nothing is cached."""
    lab.engine.cache.clear()
    return lab.embed(texts, model=model, prompt="plain", pooling="mean")


def lab_one(lab, texts: list[str], model: str) -> None:
    for text in texts:
        lab_embed(lab, [text], model)


def lab_folder(lab, model: str) -> str:
    from demo.backend.weights.locate import locate_weights

    return str(locate_weights(model, lab.settings.cache_dir).folder)


def make_sentence_transformer(folder: str, dtype: str | None):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    options = {"model_kwargs": {"dtype": getattr(torch, dtype)}} if dtype else {}
    transformer = Transformer(folder, **options)
    return SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")]
    )


def encode(peer, texts: list[str]) -> np.ndarray:
    return peer.encode(texts, batch_size=BATCH)


def encode_one(peer, texts: list[str]) -> None:
    for text in texts:
        peer.encode([text])


def export_onnx(folder: str, file: str) -> None:
    """The backbone as a graph: ids and mask → last hidden states."""
    import torch
    from transformers import AutoModel

    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    batch, tokens = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("tokens", min=2, max=512)
    shapes = {name: {0: batch, 1: tokens} for name in ("input_ids", "attention_mask")}
    program = torch.onnx.export(Backbone(), (ids, mask), dynamo=True, dynamic_shapes=shapes, optimize=True)
    program.save(file, external_data=True)


class GraphPeer:
    """A runtime over the exported graph, with what sentence-transformers does around it: sort, batch, pad, mean."""

    def __init__(self, folder: str, run):
        from transformers import AutoTokenizer

        self.tokenizer, self.run = AutoTokenizer.from_pretrained(folder), run

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors: list = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            encoded = self.tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="np")
            ids, mask = encoded["input_ids"].astype(np.int64), encoded["attention_mask"].astype(np.int64)
            states, weights = self.run(ids, mask), mask[..., None].astype(np.float32)
            for row, vector in zip(rows, (states * weights).sum(1) / weights.sum(1), strict=True):
                vectors[row] = vector
        return np.stack(vectors)


def make_onnxruntime(folder: str, file: str) -> GraphPeer:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return GraphPeer(folder, lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0])


def make_openvino(folder: str, file: str, dtype: str) -> GraphPeer:
    import openvino

    precision = {"bfloat16": "bf16", "float32": "f32"}[dtype]
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(file, "CPU", options)
    return GraphPeer(folder, lambda ids, mask: compiled({"input_ids": ids, "attention_mask": mask})[0])


def graph_encode(peer: GraphPeer, texts: list[str]) -> np.ndarray:
    return peer.encode(texts)


def make_random(shape: str, tokenizer_of: str) -> str:
    """A folder with random weights of a real shape, and all-MiniLM-L6-v2's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    torch.manual_seed(0)
    folder = tempfile.mkdtemp()
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    AutoModel.from_config(AutoConfig.for_model(shape, **tokens, **SHAPES[shape])).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(folder)
    return folder


def join_texts(texts: list[str], letters: int) -> list[str]:
    """Texts of at least so many letters, from as many neighbours as it takes."""
    joined, line = [], ""
    for text in texts:
        line = f"{line} {text}".strip()
        if len(line) >= letters:
            joined.append(line)
            line = ""
    return joined


def start_peers(options, model: str, folder: str) -> dict[str, tuple[Peer, object]]:
    """Each peer with what is asked of it, by name."""
    dtype, peers = options.dtype, {}
    peers["sentence-transformers, equal precision"] = Peer(make_sentence_transformer, folder, dtype), encode
    if dtype != "float32":
        peers["sentence-transformers, as it comes"] = Peer(make_sentence_transformer, folder, None), encode
    if options.beside:
        old = str(options.beside.resolve())
        peers["an older checkout"] = Peer(make_lab, old, model, dtype), partial(lab_embed, model=model)
    if importlib.util.find_spec("onnxscript"):
        file = str(Path(tempfile.mkdtemp()) / "model.onnx")
        exporting = Peer(str, "")
        exporting(partial(_export, folder=folder, file=file))
        exporting.end()
        if importlib.util.find_spec("onnxruntime"):
            peers["ONNX Runtime, float32"] = Peer(make_onnxruntime, folder, file), graph_encode
        if importlib.util.find_spec("openvino"):
            peers[f"OpenVINO, {dtype}"] = Peer(make_openvino, folder, file, dtype), graph_encode
    return peers


def _export(made: str, folder: str, file: str) -> None:
    export_onnx(folder, file)


def measure(options) -> dict:
    lines = list(dict.fromkeys(options.file.read_text(encoding="utf-8").splitlines()))
    texts = (join_texts(lines, options.letters) if options.letters else lines)[: options.texts]
    here = str(Path(__file__).resolve().parents[2])
    weights = Peer(make_lab, here, MINILM, "float32")
    folder = weights(partial(lab_folder, model=MINILM))
    weights.end()
    model = MINILM
    if options.shape:
        model = folder = make_random(options.shape, folder)
    ours = Peer(make_lab, here, model, options.dtype)
    exact = Peer(make_sentence_transformer, folder, "float32")
    expected = exact(encode, texts[:64])
    exact.end()
    same_vectors("the lab", ours(partial(lab_embed, model=model), texts[:64]), expected, LEAST_COSINE)
    peers = start_peers(options, model, folder)
    contenders = {"ours": lambda: ours.seconds(partial(lab_embed, model=model), texts)}
    for name, (peer, ask) in peers.items():
        same_vectors(name, peer(ask, texts[:64]), expected, 0.99)
        contenders[name] = lambda peer=peer, ask=ask: peer.seconds(ask, texts)
    taken = take_turns(contenders)
    few = texts[:30]
    one = take_turns(
        {
            "ours": lambda: ours.seconds(partial(lab_one, model=model), few) / len(few),
            "sentence-transformers": lambda: (
                peers["sentence-transformers, equal precision"][0].seconds(encode_one, few) / len(few)
            ),
        }
    )
    for peer in [ours, *(peer for peer, _ in peers.values())]:
        peer.end()
    return {
        "processor": processor_name(),
        "model": options.shape or MINILM,
        "precision": options.dtype,
        "texts": len(texts),
        "measured": time.strftime("%Y-%m-%d"),
        "texts a second": {name: round(len(texts) / seconds, 1) for name, seconds in taken.items()},
        "times faster": {name: round(taken[name] / taken["ours"], 2) for name in peers},
        "one text, ms": {name: round(1000 * seconds, 2) for name, seconds in one.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--letters", type=int, default=0)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--shape", choices=sorted(SHAPES))
    parser.add_argument("--beside", type=Path, help="an older checkout of this project")
    print(json.dumps(measure(parser.parse_args()), indent=2))


if __name__ == "__main__":
    main()
