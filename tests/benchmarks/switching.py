"""Does memory grow when people switch among models? Each model in turn, four times round.

    python -m tests.benchmarks.switching [--rounds 4] [--memory-gb 0.6] [--models A B C] [--json] [TEXTS.txt]

Prints what the process holds after each switch. --memory-gb: so little that a model must leave before the next one
comes; without it they stay side by side. A model that cannot be had here is left out, and that is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psutil

from demo import Lab
from demo.domain.errors import DemoError
from demo.files.bundled import load_reference

MODELS = ("smollm2-135m-instruct", "all-minilm-l6-v2", "gemma-3-270m")
MIB = 2**20


def resident() -> float:
    """MiB that the process holds."""
    return psutil.Process().memory_info().rss / MIB


def measure(options) -> dict:
    lab = Lab(memory_gb=options.memory_gb, public=False)
    texts = options.file.read_text(encoding="utf-8").splitlines() if options.file else load_reference()
    texts = list(dict.fromkeys(texts))[:50]
    held: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for turn in range(options.rounds):
        for model in options.models:
            started = time.perf_counter()
            try:
                lab.open(model)
            except DemoError as error:
                if turn == 0:
                    print(f"{model}: {error}", file=sys.stderr)
                continue
            seconds.setdefault(model, []).append(time.perf_counter() - started)
            lab.engine.cache.clear()
            lab.embed(texts, model=model)
            held.setdefault(model, []).append(resident())
            print(f"round {turn + 1}, {model}: {held[model][-1]:,.0f} MiB", file=sys.stderr, flush=True)
    growth = {model: values[-1] - values[1] for model, values in held.items() if len(values) > 2}
    return {
        "switches": sum(map(len, held.values())),
        "memory_gb": options.memory_gb,
        "held_mib": {model: [round(value) for value in values] for model, values in held.items()},
        "growth_mib": {model: round(value) for model, value in growth.items()},
        "open_s": {model: round(statistics.median(values), 2) for model, values in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--memory-gb", type=float, default=0)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['switches']} switches; after each, MiB:")
    for model, values in found["held_mib"].items():
        growth = found["growth_mib"].get(model)
        told = "" if growth is None else f"; since the second round {growth:+,}"
        print(f"{model:28} {', '.join(f'{value:,}' for value in values)}{told}; opened in {found['open_s'][model]} s")


if __name__ == "__main__":
    main()
