"""One machine's cores in one process or spread over replicas: what the way over Ray costs, and what a death costs.

    python -m tests.benchmarks.cluster [--people 30] [--seconds 15] [--rounds 2] [--threads 2] [--gpus 0] [--json]

Everybody asks for the embedding of a text that nobody had before, as an edit on the page does, and asks again as soon
as it is there. Measured in turn, each on the same cores: the local engine; one replica with all threads; as many
replicas as threads, with one each; the same with one of them killed at half time. At last the way there and back alone,
to replicas that compute nothing, which is what one page can hand out at most. The people share the processor with what
they measure. Beside answers a second stand milliseconds of processor time for an answer, of whoever asks (and of the
local engine) and of the replicas: they change less when others use the machine; others_share is how much of the busy
processor was theirs, and Ray's own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil

from demo.backend import create_engine
from demo.backend.fake import FakeEngine
from demo.backend.protocol import Engine
from demo.backend.ray.start import create_ray_engine
from demo.domain.catalog import CATALOG, DEFAULT_MODEL
from demo.domain.choices import Role
from demo.domain.datamodels import Embedded, Pooling, PromptedText, Reading
from demo.files.bundled import load_training
from demo.settings import Settings
from demo.stages.prompts import render_prompt
from tests.benchmarks import percentile, processor_name

CHECKED = 200  # answers of each measurement that are compared with the local engine's


def texts_of_people(people: int) -> list[list[str]]:
    """Texts that come with the lab, dealt out to people."""
    pairs = [pair for one in load_training().values() for pair in one.pairs]
    every = sorted({text for pair in pairs for text in (pair.question, pair.answer)})
    return [every[person::people] for person in range(people)]


class Answers:
    """What everybody got."""

    def __init__(self):
        self.waits: list[float] = []
        self.longest = 0.0
        self.vectors: dict[str, np.ndarray] = {}
        self.errors: Counter[str] = Counter()
        self.lock = threading.Lock()

    def take(self, text: str, wait: float, vector: np.ndarray) -> None:
        with self.lock:
            self.waits.append(wait)
            self.longest = max(self.longest, wait)
            if len(self.vectors) < CHECKED or wait > self.longest / 2:  # above all those that waited for a dead one
                self.vectors[text] = vector


def measure(
    engine: Engine, reading: Reading, options: argparse.Namespace, at_half_time: Callable[[], Any] | None = None
) -> dict:
    """Everybody asks for so many seconds; what was asked by then is waited for."""
    info = engine.load(reading.model)
    prompted = partial(render_prompt, reading=reading, role=Role.ANSWER, info=info)
    engine.embed([prompted("warm"), prompted("warm up")], reading)
    answers, start = Answers(), time.perf_counter()
    end = start + options.seconds

    def ask(texts: list[str]) -> None:
        for turn in range(10**9):
            begun = time.perf_counter()
            if begun >= end:
                return
            text = f"{turn} {texts[turn % len(texts)]}"
            try:
                embedded = engine.embed([prompted(text)], reading)
            except Exception as error:  # counted, whatever it is: a lost question
                answers.errors[type(error).__name__] += 1
            else:
                answers.take(text, time.perf_counter() - begun, embedded.vectors[0])

    if at_half_time:
        threading.Timer(options.seconds / 2, at_half_time).start()
    computing = {"asking": [psutil.Process()], "replicas": replicas()}
    before = {name: processor_seconds(processes) for name, processes in computing.items()}
    psutil.cpu_percent()  # from now on
    with ThreadPoolExecutor(options.people) as people:
        list(people.map(ask, texts_of_people(options.people)))
    seconds = time.perf_counter() - start
    busy = psutil.cpu_percent() / 100 * seconds * (os.cpu_count() or 1)
    spent = {}
    if not at_half_time:  # of a replica that is killed the system tells no more
        spent = {name: processor_seconds(processes) - before[name] for name, processes in computing.items()}
    waits = [wait * 1000 for wait in answers.waits]
    return {
        "answers": len(waits),
        "lost": answers.errors.total(),
        "per_second": round(len(waits) / seconds, 1),
        "ms_median": round(percentile(waits, 0.5)),
        "ms_p95": round(percentile(waits, 0.95)),
        "ms_most": round(max(waits)),
        **{f"{name}_cpu_ms": round(1000 * seconds / len(waits), 1) for name, seconds in spent.items()},
        **({"others_share": round(1 - sum(spent.values()) / busy, 2)} if spent else {}),
        "vectors": {prompted(text): vector for text, vector in answers.vectors.items()},
    }


def processor_seconds(processes: list[psutil.Process]) -> float:
    """What they have taken so far: whoever asks, the local engine where it computes here, or replicas that live."""
    times = [one.cpu_times() for one in processes]
    return sum(one.user + one.system for one in times)


def replicas() -> list[psutil.Process]:
    """Ray's processes that hold an engine, below this one."""
    return [one for one in psutil.Process().children(recursive=True) if one.name().startswith("ray::ServeRepli")]


class Killing:
    """Kills a replica, and says how long it takes until another process is there in its place."""

    def __init__(self):
        self.back_after: float | None = None

    def __call__(self) -> None:
        before = replicas()
        before[0].kill()
        killed = time.perf_counter()
        while not set(replicas()) - set(before) and time.perf_counter() - killed < 60:
            time.sleep(0.1)
        self.back_after = round(time.perf_counter() - killed, 1)


def measure_cluster(settings: Settings, reading: Reading, options: argparse.Namespace, killing: bool = False) -> dict:
    """The same over Ray, which is started for it."""
    engine = create_ray_engine(
        settings, (lambda settings: NoWork()) if settings.ray_engine == "fake" else create_engine
    )
    kill = Killing()
    try:
        engine.load(reading.model)
        # Every replica loads the page's first model by itself, behind the scenes: until whoever answers has it.
        while not all(engine._forward("", "loaded", reading.model) for _ in range(20)):
            time.sleep(0.2)
        found = measure(engine, reading, options, kill if killing else None)
    finally:
        engine.close()
    return found | ({"process_back_s": kill.back_after} if killing else {})


class NoWork(FakeEngine):
    """A fake engine that answers with nothing of its own to do."""

    def embed(self, texts, reading, keep=True) -> Embedded:
        return Embedded(np.ones((len(texts), CATALOG[reading.model].n_layers), dtype=np.float32))


def worst_cosine(vectors: Mapping[PromptedText, np.ndarray], engine: Engine, reading: Reading) -> float:
    """How alike the answers and the local engine's are, at the least; in bfloat16 a pass's texts matter a little."""
    theirs, ours = np.stack(list(vectors.values())), engine.embed(list(vectors), reading, keep=False).vectors
    cosines = (theirs * ours).sum(1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    return round(float(cosines.min()), 5)


def compare(options: argparse.Namespace) -> Iterator[dict]:
    """All measurements, one after the other, as they are done."""
    common = {"public": False, "ray_ongoing": 8, "ray_object_mb": 512, "ray_queue": 1000, "dtype": options.dtype}
    local = create_engine(Settings(engine="local", threads=options.threads, **common))
    default = CATALOG[DEFAULT_MODEL].default_reading
    reading = replace(default, pooling=Pooling(options.pooling)) if options.pooling else default
    n = options.threads
    whole = {"ray_min_replicas": 1, "ray_max_replicas": 1, "ray_cpus": n, "ray_gpus": options.gpus}
    spread = {"ray_min_replicas": n, "ray_max_replicas": n, "ray_cpus": 1, "ray_gpus": options.gpus / n}
    over_ray = {
        f"1 replica, {n} threads": (whole, False),
        f"{n} replicas, 1 thread": (spread, False),
        f"{n} replicas, one killed": (spread, True),
    }
    for turn in range(options.rounds):
        rows = {"local engine": partial(measure, local, reading, options)}
        for name, (how, killing) in over_ray.items():
            settings = Settings(engine="ray", **common, **how)
            rows[name] = partial(measure_cluster, settings, reading, options, killing)
        for name, run in rows.items():
            found = run()
            local.cache.clear()
            vectors = found.pop("vectors")
            yield {"what": name, "round": turn + 1} | found | {"worst_cosine": worst_cosine(vectors, local, reading)}
    found = measure_cluster(Settings(engine="ray", ray_engine="fake", **common, **spread), reading, options)
    del found["vectors"]
    yield {"what": "nothing computed", "round": 1} | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="cores that are shared out")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs that are shared out, beside the cores")
    parser.add_argument("--pooling", choices=[one.value for one in Pooling], help="without it, the model's default")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("torch", "ray")}}
    about = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        **versions,
        **vars(options),
        "model": DEFAULT_MODEL,
    }
    if options.json:
        print(json.dumps(about | {"rows": list(compare(options))}))
        return
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    for row in compare(options):
        what = f"{row.pop('round')}. {row.pop('what'):25}"
        print(what + ", ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
