"""Attacks over HTTP on a live public page over the fake engine: no file is read, no host contacted, no text logged.

browser/test_attacks.py attacks what is typed and uploaded; test_guards.py tests each middleware alone.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import re
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.errors import DemoError  # noqa: E402
from demo.files.pairing import PairingLimits, load_pairing_table  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.serving.limits.header_timeout import set_header_timeout  # noqa: E402
from demo.serving.ops.logs import configure_logs  # noqa: E402
from demo.settings import Settings  # noqa: E402
from tests.serving.conftest import SECRET, live_page  # noqa: E402
from tests.waiting import eventually  # noqa: E402

RUN, JOIN, DATA = "/gradio_api/run/predict", "/gradio_api/queue/join", "/gradio_api/queue/data"
FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A file with the logs of the process, as `--log-json` writes them."""
    path = tmp_path_factory.mktemp("logs") / "stderr"
    root = logging.getLogger()
    before, level, loggers = root.handlers[:], root.level, {}
    for name in ("demo", "demo.serving.ops.request_log"):
        loggers[name] = logging.getLogger(name).level
    configure_logs(as_json=True)
    with path.open("w") as stream:
        root.handlers[0].setStream(stream)
        yield path
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, was in loggers.items():
        logging.getLogger(name).setLevel(was)


@pytest.fixture(scope="module")
def url(logs, tmp_path_factory):
    """Address of a public page without rate limits, which test_guards.py tests."""
    engine = FakeEngine()
    engine.load("all-minilm-l6-v2")
    cache = tmp_path_factory.mktemp("cache")
    rates = {"person_rate": 1_000_000, "address_rate": 1_000_000}
    lab = Lab(Settings(engine="fake", port=0, public=True, model="all-minilm-l6-v2", cache_dir=cache, **rates), engine)
    with live_page(lab) as (url, server):
        set_header_timeout(server)
        yield url


@pytest.fixture(scope="module")
def web(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def config(web) -> dict:
    return web.get("/config").json()


@pytest.fixture
def trap():
    """An address on this machine, and the paths that were requested there."""
    visits: list[str] = []

    class Trap(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            visits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"question,answer\na,b\n")

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/trap.csv", visits
    server.shutdown()
    server.server_close()


def connect(url: str, seconds: float = 10) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=seconds)


def raw(url: str, request: bytes, seconds: float = 10) -> bytes:
    """The response to bytes that no client would send."""
    with connect(url, seconds) as line:
        line.sendall(request)
        return line.recv(65536)


def results(web, session: str, events: set[str]) -> dict[str, dict]:
    """Results of queued requests, by event."""
    done: dict[str, dict] = {}
    with web.stream("GET", DATA, params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                done[message["event_id"]] = message
                if set(done) == events:
                    break
    return done


@pytest.fixture
def unqueued(config) -> dict:
    """An event of the page that skips Gradio's queue."""
    return next(event for event in config["dependencies"] if event["backend_fn"] and event.get("queue") is False)


# ---- allowed routes, headers ---------------------------------------------------------------------------------


def test_routes_that_nobody_needs_are_404(web):
    unneeded = """/docs /redoc /openapi.json /metrics /login /user /monitoring /monitoring/summary /gradio_api/runs
        /gradio_api/token /gradio_api/deep_link /gradio_api/dev/reload /gradio_api/vibe-code
        /gradio_api/component_server /gradio_api/process_recording
        /gradio_api/custom_component/a/client/b/c.js /gradio_api/stream/a/b/c/x.ts
        /gradio_api/proxy=http://127.0.0.1/ /gradio_api/file/etc/passwd /file=/etc/passwd /.env /.git/config"""
    for path in unneeded.split():
        assert web.get(path).status_code == 404, path
        assert web.post(path, json={}).status_code == 404, path
    for method in ("TRACE", "PUT", "DELETE", "CONNECT"):
        assert web.request(method, "/config").status_code == 405


@pytest.mark.parametrize("path", ["/", "/config", "/health", "/nowhere", "/assets/nothing.js"])
def test_every_response_has_the_security_headers(web, path):
    headers = web.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


# ---- files and other hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b'{"data": NaN}', b'{"data": "\\ud800"}', b"[1e999]"])
def test_what_gradio_cannot_even_refuse_is_the_clients_fault(web, body):
    """Its refusal repeats the input, which is no JSON."""
    answer = web.post("/gradio_api/call/compare", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "RequestUnreadable")


def test_no_file_of_the_server_is_served(url, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    climbs = ["", "../" * 8, "..%2f" * 8, "%2e%2e/" * 8, "....//" * 8, "..%5c" * 8, "..\\" * 8, "%00/", "/./", "~/"]
    prefixes = ["/gradio_api/file=", "/assets/", "/static/", "/svelte/", "/", "//", "/gradio_api/file=app.py/"]
    for prefix in prefixes:
        for climb in climbs:
            for name in (str(secret), str(secret).lstrip("/"), "etc/passwd"):
                path = f"{prefix}{climb}{name}".replace(" ", "%20")
                answer = raw(url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                assert SECRET.encode() not in answer, path
                assert b"root:" not in answer, path
                assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 5")), path


def test_no_other_host_is_contacted(web, trap):
    address, visits = trap
    for prefix in ("/gradio_api/file=", "/gradio_api/proxy=", "/gradio_api/file/", "/proxy="):
        assert web.get(prefix + address).status_code == 404
    models = [
        address,
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "\\\\host\\share",
        "//host/share",
        "../../etc",
    ]
    models += ["a/b?c=d", "a/b#c", "hf-internal/x", "/etc", "~", "a\x00b", "é/ü", "🙂", "x" * 5000]
    for model in models:
        response = web.post("/v1/embeddings", json={"model": model, "input": "a"})
        assert response.status_code in (400, 404), model
        assert "root:" not in response.text
    assert visits == []


def test_file_that_was_not_uploaded_is_refused(web, config, trap, tmp_path):
    """Gradio's file boxes accept a description of a file, which may claim any path and any URL."""
    address, visits = trap
    secret = tmp_path / "secret.csv"
    secret.write_text(f"question,answer\n{SECRET},{SECRET}\n")
    claims = [
        {"path": str(secret), "meta": FILE},
        {"path": "/etc/passwd", "meta": FILE},
        {"path": f"../../../../../../..{secret}", "meta": FILE},
        {"path": address, "meta": FILE},
        {"path": "x.csv", "url": address, "meta": FILE},
        {"path": "", "url": f"file://{secret}", "meta": FILE},
        {"path": str(secret), "url": f"/gradio_api/file={secret}", "is_stream": True, "meta": FILE},
        str(secret),
        [str(secret)],
        7,
    ]
    kinds = {component["id"]: component["type"] for component in config["components"]}
    boxes = 0
    for event in config["dependencies"]:
        of = [kinds[place] for place in event["inputs"]]
        if not event["backend_fn"] or not {"file", "uploadbutton"} & set(of):
            continue
        boxes += 1
        events = set()
        for claim in claims:
            data = [claim if kind in ("file", "uploadbutton") else None for kind in of]
            body = {"data": data, "fn_index": event["id"], "session_hash": f"file{boxes}"}
            events.add(web.post(JOIN, json=body).json()["event_id"])
        outcome = json.dumps(list(results(web, f"file{boxes}", events).values()))
        assert SECRET not in outcome
        assert "root:" not in outcome
    assert boxes == 1, "one upload serves all tabs"
    assert visits == []


def test_upload_stays_in_its_folder(web):
    """Whatever its name is; and no browser runs the file that is served."""
    for name in ("../../../../tmp/climbed.html", "..\\..\\climbed.html", "/etc/cron.d/x", "a\x00.html", "x" * 300):
        response = web.post("/gradio_api/upload", files={"files": (name, b"<script>alert(1)</script>")})
        if response.status_code != 200:
            assert response.status_code in (400, 422)
            continue
        [path] = response.json()
        assert os.path.realpath(path).startswith(os.path.realpath(gr.utils.get_upload_folder()))
        served = web.get(f"/gradio_api/file={path}")
        assert served.status_code in (200, 403, 404)
        assert b"<script>" not in served.content or "attachment" in served.headers["Content-Disposition"]
        assert served.status_code != 200 or "sandbox" in served.headers["Content-Security-Policy"]


def test_malformed_tables_are_refused_within_seconds(tmp_path):
    (tmp_path / "number.json").write_text('[{"question": ' + "9" * 10_000 + ', "answer": 1e999}]')
    (tmp_path / "twice.json").write_text('[{"question": "a", "question": {"question": []}, "answer": "b"}]')
    (tmp_path / "cells.csv").write_bytes(b"," * 2**20)
    (tmp_path / "quote.csv").write_bytes(b'a,b\n"' + b"x" * 2**20)
    for file in sorted(tmp_path.iterdir()):
        began = time.monotonic()
        with contextlib.suppress(DemoError):
            load_pairing_table(str(file), PairingLimits())
        assert time.monotonic() - began < 10, file.name


# ---- malformed requests --------------------------------------------------------------------------------------


def test_malformed_requests_get_no_500_and_leave_no_text_in_the_logs(web, config, logs):
    """Wrong types, wrong counts and nonsense to each listener of the page, private ones too."""
    thing = {"a": [SECRET], SECRET: None}
    fillings = (SECRET, thing, [[SECRET] * 3] * 3)
    for number, filling in enumerate(fillings):
        waiting: set[str] = set()
        session = f"rubbish{number}"
        for event in config["dependencies"]:
            if not event["backend_fn"]:
                continue
            data = [filling] * len(event["inputs"])
            body = {"data": data, "fn_index": event["id"], "session_hash": session, "event_data": thing}
            queued = event.get("queue") is not False
            response = web.post(JOIN if queued else RUN, json=body)
            assert response.status_code in (200, 400, 422, 503), (event["api_name"], response.text[:300])
            assert "Traceback" not in response.text
            if queued and response.status_code == 200:
                waiting.add(response.json()["event_id"])
            if filling is SECRET:
                short = web.post(RUN, json={**body, "data": [SECRET, SECRET]})
                assert short.status_code in (200, 400, 404, 422), (event["api_name"], short.text[:300])
        outcome = json.dumps(list(results(web, session, waiting).values()))
        assert "Traceback" not in outcome
    nonsense = (
        b"", b"null", b"[]", b'"x"', b"7", SECRET.encode(), b"\xff\xfe", b'{"data": [1e999]}', b'{"fn_index": "x"}',
        b'{"data": [' + b"9" * 5000 + b'], "fn_index": 0}', b"[" * 50_000, b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"data": [], "data": ["' + SECRET.encode() + b'"], "fn_index": 0, "fn_index": 1}',
        b'{"data": [], "fn_index": -1}', b'{"data": [], "fn_index": 99999999999999999999}',
        b'{"data": [], "session_hash": {"a": 1}, "fn_index": 0}',
    )  # fmt: skip
    places = (RUN, JOIN, "/gradio_api/run/nobody", "/gradio_api/call/nobody", "/gradio_api/call/v2/nobody",
              "/gradio_api/call/compare", "/gradio_api/call/v2/compare", "/gradio_api/cancel", "/gradio_api/reset",
              "/gradio_api/upload", "/v1/embeddings", "/mcp")  # fmt: skip
    for place in places:
        for body in nonsense:
            response = web.post(place, content=body, headers={"Content-Type": "application/json"})
            assert response.status_code < 500, (place, body[:80], response.text[:300])
            assert "Traceback" not in response.text
    paths = [f"/?lang={SECRET}", f"/{SECRET}", f"{DATA}?session_hash={SECRET}", f"/gradio_api/call/compare/{SECRET}"]
    paths += [f"/?deep_link={SECRET}", f"/?__theme={SECRET}", f"/gradio_api/upload_progress?upload_id={SECRET}"]
    for path in paths:
        assert web.get(path).status_code < 500, path
    written = logs.read_text()
    assert '"event": "request"' in written
    assert SECRET not in written, re.findall(f".*{SECRET}.*", written)[:3]
    assert all(json.loads(line) for line in written.splitlines() if line)


def test_gradio_prints_no_text_of_a_request(web, unqueued, capfd):
    for data in ([SECRET], [SECRET] * len(unqueued["inputs"])):
        web.post(RUN, json={"data": data, "fn_index": unqueued["id"], "session_hash": "print"})
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err


def test_malformed_links_open_the_page(web):
    """The page sends the part behind the # to the server, as it is."""
    links = ["%", "%ff%fe", "&" * 5000, "=" * 5000, "questions=" + "x" * 100_000, "a=1&" * 3000, "z=" + "A" * 16_000]
    links += ["questions[]=1", "layer=1e9&eos=maybe", "tab=../../x", "\x00", "🙂", None, 7, ["a"], {"a": 1}]
    for link in links:
        response = web.post("/live", json={"form": {"questions": "a", "answers": "b"}, "link": link})
        assert response.status_code == 200, (link, response.text[:300])
        assert response.json()["state"] in ("ready", "loading", "error"), link


# ---- HTTP itself ---------------------------------------------------------------------------------------------


def test_oversized_body_is_refused_in_the_clients_language(url, web):
    large = b'{"data": ["' + b"x" * 2**20 + b'"], "fn_index": 0}'
    for body in (large, iter([large])):
        refused = web.post(RUN, content=body, headers={"Content-Type": "application/json", "Accept-Language": "ko"})
        assert refused.status_code == 413
        assert "MiB까지" in refused.json()["error"]
    for length in (b"99999999999999999999", b"-1", b"1\r\nContent-Length: 2", b"x"):
        answer = raw(url, b"POST " + RUN.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413"), length


def test_headers_are_not_reflected_and_not_huge(url, web):
    for path in ("/%0d%0aSet-Cookie:x=1", "/?lang=%0d%0aX-Evil:1", "/gradio_api/file=%0d%0aX-Evil:1"):
        headers = web.get(path).headers
        assert "set-cookie" not in headers
        assert "x-evil" not in headers
    huge = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200_000 + b"\r\n\r\n"
    assert raw(url, huge)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    evil = {"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "https://evil.example"}
    assert "connect-src 'self'" in web.get("/", headers=evil).headers["Content-Security-Policy"]


def test_cross_site_preflight_gets_no_cors_header(web):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in web.options(RUN, headers=headers).headers
    assert web.post("/v1/embeddings", json={}, headers=headers).status_code == 403


def test_websockets_are_refused(url):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n"
    for path in (b"/", b"/queue/join", b"/gradio_api/queue/data"):
        answer = raw(url, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
        assert b" 101 " not in answer.split(b"\r\n")[0]


def test_a_hundred_open_connections_block_nobody(url, web):
    """Half of a head, half of a body, streams without an end: other requests are answered meanwhile."""
    starts = (
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /gradio_api/run/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"GET /gradio_api/heartbeat/flood HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /gradio_api/queue/data?session_hash=flood HTTP/1.1\r\nHost: x\r\n\r\n",
        b"",
    )
    lines = [connect(url) for _ in range(100)]
    try:
        for number, line in enumerate(lines):
            line.sendall(starts[number % len(starts)])
        for path in ("/health", "/config", "/"):
            assert web.get(path).status_code == 200
        response = web.post("/v1/embeddings", json={"model": "all-minilm-l6-v2", "input": "Still there?"})
        assert response.status_code == 200
    finally:
        for line in lines:
            line.close()


def test_endless_streams_reach_the_concurrency_limit(url, web):
    """Three hundred are enough for a class; the next get 429, and the page recovers."""
    ask = b"GET /gradio_api/heartbeat/flood HTTP/1.1\r\nHost: x\r\n\r\n"
    lines, refused = [], 0
    try:
        for _ in range(305):
            lines.append(line := connect(url))
            line.sendall(ask)
            refused += b" 429 " in line.recv(4096).split(b"\r\n")[0]
    finally:
        for line in lines:
            line.close()
    assert refused == 5
    eventually(lambda: web.get("/health").status_code == 200, every=0.1)
