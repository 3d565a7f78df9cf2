"""The article's Mistral-7B in 4 GiB: weights read from disk for every pass, beside accelerate's disk offload.

    python -m tests.benchmarks.streaming [--small] [--folder FOLDER] [--memory-gb 4] [--rounds 1] [--json]

Makes a random checkpoint of Mistral-7B's exact shape (14.5 GB, removed at the end, or kept in --folder) with the real
v1 tokenizer, and compares the article's four texts by it in a process of so much memory, page cache included (a control
group; only an administrator of Linux can make one): cold (no page of the files in memory) and warm (all of them, if
there is room). Beside it: accelerate's offload of the same files, the four texts as one batch and one by one; and the
physical bound, the longer of reading the files and of the products at the machine's best rate. Then 100 × 100 texts:
bytes read for bytes of the checkpoint. --small: 1/100 of it, to try.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from tests.benchmarks.mistral import make_checkpoint, weights_of
from tests.benchmarks.peers import same_vectors

TEXTS = ("Where is the headquarter of OpenAI?", "What is GPU?", "OpenAI is based at San Francisco.")
TEXTS += (
    "A graphics processing unit (GPU) is an electronic circuit that can perform mathematical calculations quickly",
)
GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")


# ---- in the limited process: one command a line, one answer in JSON --------------------------------------------------


def serve_ours(folder: str) -> Callable[[str], dict]:
    from demo import Lab

    lab = Lab(weights="stream", device="cpu", dtype="bfloat16", public=False)
    lab.open(folder)

    def texts(words: tuple[str, ...]) -> dict:
        lab.engine.cache.clear()
        before = lab.engine.counts().bytes_read
        reading = {"model": folder, "prompt": "chat", "pooling": "last_token_logits"}
        half = len(words) // 2
        started = time.perf_counter()
        compared = lab.compare(words[:half], words[half:], **reading)
        seconds = time.perf_counter() - started
        vectors = lab.embed(words, **reading) if len(words) == len(TEXTS) else None
        read = lab.engine.counts().bytes_read - before
        return {"seconds": seconds, "vectors": vectors, "cosines": compared.similarity.tolist(), "bytes": read}

    def answer(command: str) -> dict:
        if command == "hundred":
            words = [f"{kind} {place} about thing number {place * place}" for kind in "QA" for place in range(100)]
            return texts(tuple(words))
        return texts(TEXTS)

    return answer


def serve_accelerate(folder: str) -> Callable[[str], dict]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    places = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    layers = json.loads((Path(folder) / "config.json").read_text())["num_hidden_layers"]
    places |= {f"model.layers.{number}": "disk" for number in range(layers)}
    offload = tempfile.TemporaryDirectory()  # stays empty: the files are in a format that is read in place
    network = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, device_map=places, offload_folder=offload.name
    ).eval()
    rendered = [tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False) for text in TEXTS]

    @torch.inference_mode()
    def logits(some: list[str]) -> np.ndarray:
        batch = tokenizer(some, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt")
        last = batch["attention_mask"].sum(1) - 1
        out = network(**batch, use_cache=False, logits_to_keep=0).logits
        return out[torch.arange(len(some)), last].float().numpy()

    def answer(command: str) -> dict:
        started = time.perf_counter()
        vectors = logits(rendered) if command == "batch" else np.concatenate([logits([each]) for each in rendered])
        return {"seconds": time.perf_counter() - started, "vectors": vectors, "copied": os.listdir(offload.name)}

    return answer


def serve(kind: str, folder: str) -> None:
    answer = {"ours": serve_ours, "accelerate": serve_accelerate}[kind](folder)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        found = answer(line.strip())
        vectors = found.pop("vectors", None)
        if vectors is not None:
            np.save(found.setdefault("file", f"{folder}.{kind}.npy"), np.asarray(vectors, dtype=np.float32))
        print(json.dumps(found), flush=True)


# ---- outside of it ---------------------------------------------------------------------------------------------------


class Limited:
    """A process in a control group of so many bytes, page cache included. peak: of its anonymous memory."""

    def __init__(self, kind: str, folder: Path, limit: int):
        self.peak = 0
        command = [sys.executable, "-m", "tests.benchmarks.streaming", "--serve", kind, "--folder", str(folder)]
        self._group = _make_group(limit)

        def enter() -> None:
            if self._group:
                (self._group / "cgroup.procs").write_text(str(os.getpid()))

        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=enter
        )
        threading.Thread(target=self._watch, daemon=True).start()
        self._answer()

    @property
    def limited(self) -> bool:
        return self._group is not None

    def ask(self, command: str) -> dict:
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        if self._group:
            self._group.rmdir()

    def _answer(self) -> dict:
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"the limited process ended with code {self._process.wait()}")

    def _watch(self) -> None:
        with suppress(OSError, StopIteration):
            while True:
                lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
                anonymous = next(line for line in lines if line.startswith("RssAnon:"))
                self.peak = max(self.peak, int(anonymous.split()[1]) * 1024)
                time.sleep(0.05)


def _make_group(limit: int) -> Path | None:
    """A control group of version 1 or 2; None where none can be made."""
    first = (CGROUP / "memory").is_dir()
    group = (CGROUP / "memory" if first else CGROUP) / f"streaming-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
    except OSError as error:
        print(f"no control group: {error}", file=sys.stderr)
        return None
    return group


def evict(folder: Path) -> None:
    """No page of the files stays in memory."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_all(folder: Path) -> float:
    """Seconds to read every file once."""
    memory = bytearray(8 * 2**20)
    started = time.perf_counter()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(memory):
                pass
    return time.perf_counter() - started


def product_rate() -> float:
    """FLOP a second of the machine's best bfloat16 product of a 7B model's width."""
    import torch
    from torch.nn.functional import linear

    best = 0.0
    with torch.inference_mode():
        weight = torch.randn(14336, 4096).bfloat16()
        for rows in (128, 256, 512, 1024):
            states = torch.randn(rows, 4096).bfloat16()
            for _ in range(4):
                started = time.perf_counter()
                linear(states, weight)
                best = max(best, 2 * rows * weight.numel() / (time.perf_counter() - started))
    return best


def count_products(folder: Path) -> float:
    """FLOP of the blocks over the four texts' distinct beginnings, and of the LM head at their last tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered = [tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False) for text in TEXTS]
    ids = [tuple(tokenizer(each, add_special_tokens=False)["input_ids"]) for each in rendered]
    nodes = len({each[:end] for each in ids for end in range(1, len(each) + 1)})
    config = json.loads((folder / "config.json").read_text())
    head = config["vocab_size"] * config["hidden_size"]
    weights = weights_of(folder) / 2 - 2 * head
    return 2 * (weights * nodes + head * len(ids))


@contextmanager
def checkpoint(options) -> Iterator[Path]:
    temporary = None if options.folder else tempfile.TemporaryDirectory(prefix="streaming-")
    folder = options.folder or Path(temporary.name) / "mistral"
    try:
        if not (folder / "model.safetensors.index.json").exists():
            print(f"writing a checkpoint to {folder}", file=sys.stderr, flush=True)
            make_checkpoint(folder, options.small)
        yield folder
    finally:
        if temporary:
            temporary.cleanup()


def measure(options) -> dict:
    limit = int(options.memory_gb * GIB)
    with checkpoint(options) as folder:
        found: dict = {"bytes": weights_of(folder), "limit_gib": options.memory_gb, "runs": {}}
        found["product_flops"], found["products"] = product_rate(), count_products(folder)
        contenders = {"ours": ("ours", "texts"), "accelerate, one batch": ("accelerate", "batch")}
        contenders |= {"accelerate, one by one": ("accelerate", "loop")}
        processes = {kind: Limited(kind, folder, limit) for kind in ("ours", "accelerate")}
        found["limited"] = processes["ours"].limited
        vectors: dict[str, np.ndarray] = {}
        for state in ("cold", "warm"):
            prepare = evict if state == "cold" else read_all
            prepare(folder)
            reading = min([read_all(folder) for _ in range(1 if state == "cold" else 3)])
            bound = max(reading, found["products"] / found["product_flops"])
            times: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(options.rounds):
                for name, (kind, command) in contenders.items():
                    prepare(folder)
                    answer = processes[kind].ask(command)
                    times[name].append(answer["seconds"])
                    vectors[name] = np.load(answer["file"])
                    print(f"{state}: {name} {answer['seconds']:.2f} s", file=sys.stderr, flush=True)
            seconds = {name: min(values) for name, values in times.items()}
            found["runs"][state] = {"read_s": reading, "bound_s": bound, **seconds}
        for name in contenders:
            same_vectors(name, vectors[name], vectors["ours"], 0.99)
        hundred = processes["ours"].ask("hundred")
        found["hundred"] = {"seconds": hundred["seconds"], "bytes_ratio": hundred["bytes"] / found["bytes"]}
        for kind, process in processes.items():
            found[f"{kind}_peak_gib"] = process.peak / GIB
            process.end()
            Path(f"{folder}.{kind}.npy").unlink(missing_ok=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is, or is to be")
    parser.add_argument("--memory-gb", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=["ours", "accelerate"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, str(options.folder))
    found = measure(options)
    if options.json:
        return print(json.dumps(found))
    where = f"in {options.memory_gb:g} GiB" if found["limited"] else "in unlimited memory (no control group here)"
    print(f"{found['bytes'] / 1e9:.1f} GB, {found['product_flops'] / 1e9:.0f} GFLOP/s at best, {where}:")
    for state, run in found["runs"].items():
        ours, bound = run["ours"], run["bound_s"]
        print(f"{state}: ours {ours:.1f} s; reading alone {run['read_s']:.1f} s; {ours / bound:.2f} × the bound")
        for name in ("accelerate, one batch", "accelerate, one by one"):
            print(f"    {name} {run[name]:.1f} s: {run[name] / ours:.1f} × ours")
    for kind in ("ours", "accelerate"):
        print(f"{kind}: anonymous memory at most {found[f'{kind}_peak_gib']:.2f} GiB")
    hundred = found["hundred"]
    print(f"100 × 100 texts: {hundred['seconds']:.0f} s, bytes read ÷ checkpoint {hundred['bytes_ratio']:.3f}")


if __name__ == "__main__":
    main()
