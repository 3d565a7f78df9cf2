"""A small OpenAI-compatible embeddings server for tests: well-behaved until it is told how to misbehave."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIM = 8


def vector_of(text: str) -> list[float]:
    """Letters counted in DIM boxes: of two texts with the same letters, the same."""
    return np.bincount([ord(letter) % DIM for letter in text], minlength=DIM).astype(float).tolist()


class EmbeddingServer(ThreadingHTTPServer):
    """misbehave: called with a request's handler and texts in the place of an answer. asked: the texts, by request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.misbehave: Callable[[Any, list[str]], None] | None = None
        self.asked: list[list[str]] = []
        self.fields: list[dict[str, Any]] = []  # of the requests, beside the texts
        self.headers: list[dict[str, str]] = []  # of the requests, names in small letters
        self.models = ["letters"]
        self.open = threading.Event()  # closed: every answer waits
        self.open.set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address) -> None:
        """Whoever no longer listens is none of a test's business."""

    def stop(self) -> None:
        self.open.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits 40 ms for the client to acknowledge the headers
    server: EmbeddingServer

    def do_GET(self):
        self.say({"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.models]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked["input"])
        self.server.fields.append({name: value for name, value in asked.items() if name != "input"})
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.open.wait(20)
        if self.server.misbehave:
            self.server.misbehave(self, asked["input"])
        else:
            self.say(well_said(asked["input"]))

    def say(self, told: Any, status: int = 200, **headers: str) -> None:
        """Answer: JSON, or bytes as they are."""
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def well_said(texts: list[str], vectors: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """A whole answer."""
    rows = vectors if vectors is not None else [vector_of(text) for text in texts]
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    return {"object": "list", "model": "letters", "data": data, **more}


# ---- ways to misbehave: (handler, texts) → an answer -----------------------------------------------------------------


def answer_well(handler, texts):
    handler.say(well_said(texts))


def answer_in_base64(handler, texts):
    packed = [base64.b64encode(np.array(vector_of(text), dtype="<f4").tobytes()).decode() for text in texts]
    handler.say(well_said(texts, packed))


def answer_backwards(handler, texts):
    told = well_said(texts)
    handler.say({**told, "data": told["data"][::-1]})


def answer_status(status: int, **headers: str):
    def answer(handler, texts):
        sent = handler.headers.get("Authorization", "")
        handler.say({"error": {"message": f"Incorrect API key provided: {sent}"}}, status, **headers)

    return answer


def answer_vectors(make: Callable[[list[str]], list[Any]]):
    return lambda handler, texts: handler.say(well_said(texts, make(texts)))


def answer_bytes(body: bytes, **headers: str):
    return lambda handler, texts: handler.say(body, **headers)


def answer_packed(handler, texts):
    handler.say(gzip.compress(json.dumps(well_said(texts)).encode()), Content_Encoding="gzip")


def drop_the_connection(handler, texts):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


def answer_letter_by_letter(handler, texts):
    """Never silent for long, never done."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"1\r\n \r\n")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True  # nobody listens any more
