"""Rubbish, a great deal of it: texts, files, links, endpoints and raw HTTP, until something breaks.

    python -m tests.fuzz [--inputs 20000] [--seed 1]

Half of it goes straight into what reads texts, links and files, where a DemoError is the only thing that may be raised
and what is read of 2,000 files that pandas, csv, openpyxl and json wrote is what was written; the other half to a live
page over the fake engine, where no answer may be a 500, hold a traceback, or take longer than ten seconds, and whose
memory may not grow. Ends with a table, and with 1 when something broke. Not in the test suite.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Any

import httpx
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from demo.domain.errors import DemoError
from demo.files.columns import guess_columns
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.files.pairing import PairingLimits, pair_up
from demo.files.pairs import PairLimits, make_training_set
from demo.files.table import parse_table
from demo.serving.api.request import OpenAIRequest, load_json
from demo.stages.texts import Limits, parse_matches, parse_pairing, parse_template
from demo.ui.live.form import Form, LiveRequest
from demo.ui.live.link import parse_link
from tests import ROOT
from tests.files.dialects import check

LONGEST_SECONDS = 10
MOST_GROWTH = 128 * 2**20  # bytes that the server may take more after the second half than after the first

TEXT = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", " ", "\0", "\ud800", "0", "1-1", "{text}", "<script>alert(1)</script>", "가나다", "🙂" * 40, "a\n" * 90]
    ),
)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
CELL = st.text(st.characters(codec="utf-8", exclude_characters=""), max_size=12)
TABLE = st.builds(
    lambda head, rows, comma: "\n".join(comma.join(row) for row in [head, *rows]),
    st.lists(st.sampled_from(["question", "answer", "label", "score", "질문", "", "x"]), min_size=1, max_size=4),
    st.lists(st.lists(CELL, max_size=5), max_size=8),
    st.sampled_from([",", "\t", ";"]),
)
FILE = st.one_of(
    st.binary(max_size=200),
    TABLE.map(lambda content: content.encode("utf-8", "surrogatepass")),
    JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"PK\x03\x04", b"\xff\xfe\x00", b"[" * 5000, b'{"a":' * 3000, b"\xef\xbb\xbfquestion,answer\na,b"]
    ),
)
NAME = st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt", "../a.csv", "a", "가.csv", "a.csv.exe"])
LINK = st.one_of(
    st.text(max_size=200),
    st.dictionaries(st.sampled_from([*Form.__dataclass_fields__, "z", "tab"]), TEXT, max_size=5).map(
        lambda said: "&".join(f"{name}={value}" for name, value in said.items())
    ),
    st.text("abcdefABCDEF0123456789-_", max_size=120).map(lambda letters: f"z={letters}"),
)
PATHS = (
    "/ /config /health /ready /metrics /mcp /v1/embeddings /v1/models /v1/models/x /theme.css /gradio_api/run/predict "
    "/gradio_api/queue/join /gradio_api/queue/data /gradio_api/upload /gradio_api/call/compare /gradio_api/call/embed "
    "/gradio_api/file=/etc/passwd /gradio_api/info /gradio_api/heartbeat /gradio_api/cancel /gradio_api/reset "
    "/assets/../app.py /%00 /gradio_api/"
)
PATH = st.sampled_from(PATHS.split()) | st.text("abc/.%0123456789_-=?&~", max_size=40).map("/".__add__)
VALUES = st.lists(JSON, min_size=len(Form.__dataclass_fields__), max_size=len(Form.__dataclass_fields__))
ENDPOINT = st.sampled_from(
    [f"/gradio_api/{path}" for path in ("call/compare", "call/embed", "queue/join")]
    + ["/v1/embeddings", "/mcp", "/live"]
)
METHOD = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
KIND = st.sampled_from(
    ["application/json", "text/plain", "multipart/form-data; boundary=x", "", "application/x-www-form-urlencoded"]
)


def read_texts(questions: Any, answers: Any, matches: Any, template: Any) -> None:
    limits = Limits()
    for act in (
        partial(parse_pairing, questions, answers, matches, limits),
        partial(parse_matches, matches, 3, 3),
        partial(parse_template, template, "{text}", "template", limits),
    ):
        with suppress(DemoError):
            act()


def read_page(values: list, link: Any, body: Any) -> None:
    LiveRequest.parse(body)
    parse_link(link)
    with suppress(DemoError):
        Form.from_widgets(values)


def read_file(data: bytes, name: str) -> None:
    pairing, labelled, training = PairingLimits(), LabelledLimits(), PairLimits()
    for limits, interpret in (
        (pairing, lambda table: pair_up(table, guess_columns(table), pairing)),
        (labelled, lambda table: make_labelled_set(table, labelled)),
        (training, lambda table: make_training_set(table, name, training)),
    ):
        with suppress(DemoError):
            interpret(parse_table(data, name, limits))


def read_written(seed: int) -> None:
    check(seed)


def read_request(body: bytes, told: Any) -> None:
    validate = partial(OpenAIRequest.model_validate, context=Limits())
    for act in (lambda: validate(load_json(body)), lambda: validate(told)):
        with suppress(DemoError):
            act()


class Page:
    """A live page, and what no answer of it may be."""

    def __init__(self, url: str):
        self.client = httpx.Client(base_url=url, timeout=LONGEST_SECONDS)
        self.config = self.client.get("/config").json()
        self.functions = [one["id"] for one in self.config["dependencies"] if one["backend_fn"]]
        self.slowest = 0.0

    def ask(self, method: str, path: str, **more: Any) -> None:
        started = time.perf_counter()
        try:
            with self.client.stream(method, path, **more) as answer:
                said = b"".join(_most(answer.iter_raw(), 65_536)).decode("utf-8", "replace")
        except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError):
            return  # not even the client sends this
        took = time.perf_counter() - started
        self.slowest = max(self.slowest, took)
        assert answer.status_code != 500, f"{method} {path}: 500: {said[:300]}"
        assert "Traceback" not in said, f"{method} {path}: {said[:300]}"
        assert took < LONGEST_SECONDS, f"{method} {path}: {took:.1f} s"

    def call(self, called: tuple[int, Any], link: str, event: Any) -> None:
        """One of the page's own functions, asked as its front end asks, with other values."""
        fn, data = called
        body = {"data": data, "fn_index": fn, "session_hash": "fuzz" + str(fn), "event_data": event, "trigger_id": None}
        if isinstance(data, list) and data:
            body["data"] = [*data[:-1], link]
        self.ask("POST", "/gradio_api/run/predict", content=_json(body), headers={"Content-Type": "application/json"})

    def post(self, path: str, body: Any) -> None:
        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        self.ask("POST", path, content=_json(body), headers=accept)

    def upload(self, name: str, data: bytes) -> None:
        self.ask("POST", "/gradio_api/upload", files={"files": (name, data)})

    def raw(self, method: str, path: str, kind: str, body: bytes) -> None:
        if path.split("?")[0].startswith(("/gradio_api/heartbeat", "/gradio_api/queue/data")) and method == "GET":
            method = "POST"  # streams that never end
        self.ask(method, path, content=body, headers={"Content-Type": kind})


def _most(parts: Any, most: int):
    for part in parts:
        yield part
        most -= len(part)
        if most < 0:
            return


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _filled(page: Page) -> st.SearchStrategy:
    """A function of the page, with as many values as it takes: rubbish, or what stands there with some of it."""
    values = {one["id"]: one["props"].get("value") for one in page.config["components"]}
    inputs = {one["id"]: one["inputs"] for one in page.config["dependencies"]}

    def fill(fn: int) -> st.SearchStrategy:
        places = [st.one_of(st.just(values.get(component)), JSON) for component in inputs[fn]]
        return st.tuples(st.just(fn), st.one_of(st.tuples(*places).map(list), JSON))

    return st.sampled_from(page.functions).flatmap(fill)


def fuzz(what: Callable[..., None], count: int, seeded: int, **strategies: st.SearchStrategy) -> None:
    """what(**values), count times. Raises what it raises, with the smallest values that do it."""
    checks = [
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
        HealthCheck.data_too_large,
    ]
    chosen = settings(max_examples=count, deadline=None, database=None, suppress_health_check=checks)
    chosen = settings(chosen, phases=[Phase.generate, Phase.shrink])
    seed(seeded)(chosen(given(**strategies)(lambda **values: what(**values))))()


def serve() -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "app.py", "--engine", "fake", "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, server.stdout.readline().strip()


def main() -> int:
    """Runs every part; returns 1 when one of them broke something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    server, url = serve()
    page = Page(url)
    with closing(page.client):
        texts = dict.fromkeys(("questions", "answers", "matches", "template"), JSON)
        parts: list[tuple[str, float, Callable[..., None], dict[str, st.SearchStrategy]]] = [
            ("texts and matches", 0.15, read_texts, texts),
            ("what a page sends", 0.15, read_page, {"values": VALUES, "link": LINK, "body": JSON}),
            ("files", 0.15, read_file, {"data": FILE, "name": NAME}),
            ("files of every writer", 0.1, read_written, {"seed": st.integers(1_000, 2**32)}),
            ("requests for embeddings", 0.05, read_request, {"body": FILE, "told": JSON}),
            ("the page's functions", 0.2, page.call, {"called": _filled(page), "link": LINK, "event": JSON}),
            ("endpoints", 0.12, page.post, {"path": ENDPOINT, "body": JSON}),
            ("uploads", 0.06, page.upload, {"name": NAME, "data": FILE}),
            ("raw HTTP", 0.12, page.raw, {"method": METHOD, "path": PATH, "kind": KIND, "body": FILE}),
        ]
        memory, broken, total = psutil.Process(server.pid), 0, 0
        sizes = []
        try:
            for half in range(2):
                for name, share, what, strategies in parts:
                    count, started = max(1, round(chosen.inputs * share / 2)), time.perf_counter()
                    try:
                        fuzz(what, count, chosen.seed * 2 + half, **strategies)
                        said = "held"
                    except Exception as error:  # whatever it is, it is what is looked for
                        broken, said = broken + 1, f"BROKE: {type(error).__name__}: {str(error)[:400]}"
                    total += count
                    print(f"{name:28} {count:6,} inputs {time.perf_counter() - started:6.1f} s  {said}", flush=True)
                sizes.append(memory.memory_info().rss)
            alive = server.poll() is None and page.client.get("/health").status_code == 200
        finally:
            server.terminate()
    grown = sizes[1] - sizes[0]
    memory_said = " and ".join(f"{size / 2**20:,.0f}" for size in sizes)
    print(f"{total:,} inputs; slowest answer {page.slowest:.2f} s; the server still answers: {alive}")
    print(f"the server's memory after each half: {memory_said} MiB; parts that broke: {broken}")
    return 1 if broken or not alive or grown > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
