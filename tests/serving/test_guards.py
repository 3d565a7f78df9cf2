"""What every request passes, one guard at a time, over an app of three lines. The page itself: test_attacks.py."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.serving import Metrics
from demo.serving.limits.body_limits import BodyLimits, too_deep
from demo.serving.limits.client_address import address_of, session_of
from demo.serving.limits.header_timeout import HeaderTimeoutProtocol, set_header_timeout
from demo.serving.limits.rates import ConcurrencyLimit, RateLimit
from demo.serving.ops.logs import JsonFormatter, PlainFormatter
from demo.serving.ops.metrics import create_metrics_routes
from demo.serving.ops.request_log import RequestLog
from demo.serving.security.allowed_routes import AllowedRoutes
from demo.serving.security.headers import SecurityHeaders
from demo.settings import Settings
from tests.waiting import eventually

SECRET = "what somebody typed"
ASK = "/gradio_api/run/predict"


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


def client(*middleware: Middleware, **answers) -> TestClient:
    """A client of an app that echoes at every address, behind some guards."""
    routes = [Route(path, answer, methods=["GET", "POST"]) for path, answer in answers.items()]
    routes.append(Route("/{path:path}", echo, methods=["GET", "POST"]))
    return TestClient(Starlette(routes=routes, middleware=list(middleware)), raise_server_exceptions=False)


def asked(session: str, text: str = "") -> str:
    return json.dumps({"data": [text], "fn_index": 1, "session_hash": session})


# ---- rates ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Time for the limits' library, which goes on only when a test says so."""
    now = SimpleNamespace(at=1_000_000.0)
    for module in ("limits.storage.memory", "limits.strategies", "demo.serving.limits.rates"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=lambda: now.at))
    return now


def test_a_class_behind_one_address_is_not_locked_out(clock):
    """Thirty students, an edit every 2 s, three questions an edit, for half a minute: all are answered."""
    settings = Settings(public=True)
    school = client(Middleware(BodyLimits), Middleware(RateLimit, settings.person_rate, settings.address_rate))
    refused = 0
    with school:  # one loop for all of it
        for _ in range(15):  # edits
            clock.at += 2
            for student in range(30):
                refused += sum(school.post(ASK, content=asked(f"s{student}")).status_code != 200 for _ in range(3))
    assert refused == 0


def test_one_person_without_end_is_told_to_wait_and_nobody_else_is(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=60, address=600))
    statuses = [web.post(ASK, content=asked("eager")).status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2, "60 a minute are 10 in ten seconds"
    refused = web.post(ASK, content=asked("eager"))
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 10
    assert refused.json()["code"] == "TooManyRequests"
    assert str(wait) in refused.json()["error"]
    assert web.post(ASK, content=asked("calm")).status_code == 200
    clock.at += 20
    assert web.post(ASK, content=asked("eager")).status_code == 200


def test_an_address_with_ever_new_sessions_is_told_to_wait(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=60, address=120))
    statuses = [web.post(ASK, content=asked(f"s{i}")).status_code for i in range(30)]
    assert statuses.count(200) == 20


def test_many_bytes_count_as_well_as_many_questions(clock):
    web = client(Middleware(BodyLimits, most=2**20), Middleware(RateLimit, person=10_000, address=10_000))
    statuses = [web.post(ASK, content=asked("large", "x" * 900_000)).status_code for _ in range(6)]
    assert statuses == [200] * 3 + [429] * 3, "20 MiB a minute are 3.3 MiB in ten seconds"


def test_uploads_and_pages_have_limits_of_their_own(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=10_000, address=10_000))
    form = {"files": ("a.csv", b"q,a\n")}
    assert [web.post("/gradio_api/upload", files=form).status_code for _ in range(121)].count(200) == 120
    assert [web.get("/").status_code for _ in range(121)].count(200) == 120
    assert all(web.get("/health").status_code == 200 for _ in range(200))


def test_what_is_under_way_to_one_address_is_counted():
    """Streams stay open: a third one is refused until one of the two has ended."""

    async def run() -> list[int]:
        release, statuses = asyncio.Event(), []

        async def stream(scope, receive, send):
            await release.wait()
            await PlainTextResponse("")(scope, receive, send)

        guard = ConcurrencyLimit(stream, most=2)

        async def ask() -> None:
            async def send(message):
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await guard({"type": "http", "client": ("10.0.0.1", 1), "path": "/", "headers": []}, None, send)

        waiting = [asyncio.create_task(ask()) for _ in range(2)]
        await asyncio.sleep(0)
        await ask()
        release.set()
        await asyncio.gather(*waiting)
        await ask()
        return statuses

    assert asyncio.run(run()) == [429, 200, 200, 200]


@pytest.mark.parametrize(
    ("said", "behind_proxy", "address"),
    [
        ("1.2.3.4", False, "9.9.9.9"),  # nobody is believed who was not asked
        ("1.2.3.4", True, "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", True, "1.2.3.4"),  # what the asker made up stands in front
        ("6.6.6.6, 1.2.3.4, 10.0.0.7", True, "1.2.3.4"),  # the proxy's own inner machines
        ("192.168.1.5", True, "192.168.1.5"),
        ("nonsense, <script>", True, "9.9.9.9"),
        ("2001:db8::1", True, "2001:db8::/64"),
        ("::ffff:1.2.3.4", True, "1.2.3.4"),
    ],
)
def test_whose_address_counts(said, behind_proxy, address):
    scope = {"type": "http", "client": ("9.9.9.9", 1), "headers": [(b"x-forwarded-for", said.encode())]}
    assert address_of(scope, behind_proxy) == address


def test_a_session_cannot_be_written_into_a_text():
    body = json.dumps({"data": ['"session_hash": "forged"'], "session_hash": "mine"}).encode()
    assert session_of(body) == "mine"
    assert session_of(b'{"data": ["a"]}') == ""


# ---- bodies --------------------------------------------------------------------------------------------------


def test_a_body_is_refused_by_its_size_before_it_is_read():
    web = client(Middleware(BodyLimits, most=1000, upload=3000))
    assert web.post("/", content=b"x" * 1000).json() == {"bytes": 1000}
    for body in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):  # said beforehand, and in pieces
        refused = web.post("/", content=body)
        assert (refused.status_code, refused.json()["code"]) == (413, "RequestTooLarge")
    assert web.post("/", files={"files": ("a.txt", b"x" * 2000)}).status_code == 200
    assert web.post("/", files={"files": ("a.txt", b"x" * 4000)}).status_code == 413
    assert web.post("/", content=b"", headers={"content-length": "9" * 400}).status_code == 413


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b'{"data": [["a", "b"], {"c": [1]}]}', False),
        (b"[" * 32 + b"]" * 32, False),
        (b"[" * 33 + b"]" * 33, True),
        (b'{"a":' * 40 + b"1" + b"}" * 40, True),
        (b'["' + b"[" * 5000 + b'"]', False),  # brackets in a text are text
        (b'["\\"' + b"[{" * 5000 + b'\\\\", "[["]', False),
        (b"[]," * 100_000, False),
        (b'"' + b'\\"[' * 300_000, False),  # never ended
        (b"[{" * 500_000, True),
    ],
    ids=range(9),
)
def test_nesting_is_measured_in_no_time(body, deep):
    started = time.process_time()
    assert too_deep(body) is deep
    assert time.process_time() - started < 1


def test_a_body_that_never_ends_is_given_up():
    async def run(**limits) -> int:
        statuses = []

        async def send(message):
            statuses.append(message.get("status"))

        async def receive():
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x", "more_body": True}

        scope = {"type": "http", "method": "POST", "headers": [], "path": "/", "query_string": b""}
        await BodyLimits(None, **limits)(scope, receive, send)
        return statuses[0]

    assert asyncio.run(run(seconds=0.2)) == 408, "a byte now and then"
    assert asyncio.run(run(idle_seconds=0.005)) == 408, "nothing at all"


# ---- doors, headers ------------------------------------------------------------------------------------------


def test_another_site_cannot_ask_through_somebodys_browser():
    web = client(Middleware(AllowedRoutes))
    own, other = "http://testserver", "https://evil.example"
    assert web.post(ASK, headers={"Origin": own}).status_code == 200
    assert web.post(ASK).status_code == 200, "a program"
    assert web.post(ASK, headers={"Sec-Fetch-Site": "same-origin", "Origin": other}).status_code == 200
    for headers in ({"Origin": other}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://["}):
        assert web.post(ASK, headers=headers).status_code == 403, headers
    forwarded = {"Origin": "https://lab.example", "X-Forwarded-Host": "lab.example"}
    assert web.post(ASK, headers=forwarded).status_code == 403
    assert client(Middleware(AllowedRoutes, behind_proxy=True)).post(ASK, headers=forwarded).status_code == 200


def test_a_page_may_run_its_own_scripts_by_their_digest_alone():
    page = "<script>one()</script><script src=x.js></script><p>&lt;script&gt;</p>"
    guard = Middleware(SecurityHeaders, scripts=["added()"])
    answered = client(guard, **{"/page": lambda request: HTMLResponse(page)}).get("/page")
    policy = {part.split()[0]: part.split()[1:] for part in answered.headers["Content-Security-Policy"].split("; ")}
    assert "'unsafe-inline'" not in policy["script-src"]
    assert [part[:8] for part in policy["script-src"]].count("'sha256-") == 2
    assert policy["connect-src"] == policy["frame-ancestors"] == ["'self'"]
    assert answered.text == page
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert "Cross-Origin-Opener-Policy" not in answered.headers, "over plain HTTP browsers complain of it"
    secure = {"/page": lambda request: HTMLResponse(page)}
    answered = client(guard, **secure).get("/page", headers={"X-Forwarded-Proto": "https"})
    assert answered.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    on_spaces = client(Middleware(SecurityHeaders, embedded=True), **{"/page": lambda request: HTMLResponse(page)})
    answered = on_spaces.get("/page", headers={"X-Forwarded-Proto": "https"})
    assert "https://huggingface.co" in answered.headers["Content-Security-Policy"]
    assert "Cross-Origin-Opener-Policy" not in answered.headers


def test_a_file_runs_nothing():
    kind = "image/svg+xml"
    answers = {"/gradio_api/file=/x": lambda request: PlainTextResponse("<svg/>", media_type=kind)}
    policy = (
        client(Middleware(SecurityHeaders), **answers).get("/gradio_api/file=/x").headers["Content-Security-Policy"]
    )
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy


# ---- what is told of it --------------------------------------------------------------------------------------


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake", metrics="all"), FakeEngine())


def test_what_is_counted_can_be_asked_for(lab):
    metrics = Metrics(lab)
    lab.compare(["a", "b"], ["c"])
    routes = [*create_metrics_routes(metrics, "all"), Route("/{path:path}", echo, methods=["GET", "POST"])]
    guards = [Middleware(RequestLog, metrics, routes), Middleware(BodyLimits, most=10)]
    web = TestClient(Starlette(routes=routes, middleware=guards))
    web.get(f"/{SECRET}")
    web.post("/", content=b"x" * 11)
    told = web.get("/metrics").text
    wanted = (
        'lab_http_requests_total{method="GET",route="/{path:path}",status="200"} 1.0',
        'lab_http_requests_refused_total{code="RequestTooLarge"} 1.0',
        'lab_http_request_duration_seconds_bucket{le="0.005",route="/{path:path}"}',
        "lab_http_requests_in_progress 1.0",
        "lab_engine_texts_total 3.0",
        "lab_engine_models_loaded 1.0",
        "lab_engine_questions_waiting 0.0",
        "lab_engine_cache_hits_total 0.0",
        'lab_jobs{state="waiting"}',
        "process_resident_memory_bytes",
    )
    for line in wanted:
        assert line in told, line
    assert SECRET not in told


def test_metrics_are_for_this_machine_alone_unless_it_is_said_otherwise(lab):
    def status(whose: str, host: str, **headers) -> int:
        app = Starlette(routes=create_metrics_routes(Metrics(lab), whose))
        return TestClient(app, client=(host, 1)).get("/metrics", headers=headers).status_code

    assert status("local", "127.0.0.1") == status("local", "::1") == status("all", "10.0.0.1") == 200
    assert status("local", "10.0.0.1") == status("off", "127.0.0.1") == 404
    assert status("local", "127.0.0.1", **{"X-Forwarded-For": "1.2.3.4"}) == 404, "a proxy asks for somebody"


def test_a_log_line_is_json_and_leaves_out_what_an_exception_says():
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("demo.x", logging.ERROR, "x.py", 1, "a %s", ("message",), caught)
    record.event, record.status = "fault", 500
    line = json.loads(JsonFormatter().format(record))
    assert {"level": "error", "logger": "demo.x", "event": "fault", "status": 500, "message": "a message"}.items() <= (
        line.items()
    )
    assert line["time"].endswith("Z")
    assert "test_guards.py" in line["trace"]
    assert line["trace"].endswith("ValueError")
    for formatter in (JsonFormatter(), PlainFormatter()):
        record.exc_text = None
        assert SECRET not in formatter.format(record)


def test_what_nobody_caught_leaves_no_words_behind(lab, caplog):
    def fail(request):
        raise RuntimeError(SECRET)

    async def half(request):
        async def parts():
            yield "a"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    caplog.set_level(logging.INFO)
    answers = {"/fail": fail, "/half": half, "/said": lambda request: PlainTextResponse(SECRET, 500)}
    web = client(Middleware(RequestLog, Metrics(lab)), **answers)
    for path in ("/fail", "/said"):
        refused = web.get(path)
        assert (refused.status_code, refused.json()["code"]) == (400, "RequestUnreadable")
    assert web.get("/half").text == "a"
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


# ---- connections ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """A real server, impatient after 0.6 s."""
    monkeypatch.setattr(HeaderTimeoutProtocol, "seconds", 0.6)
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])], middleware=[Middleware(BodyLimits)])
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    eventually(lambda: running.started)
    set_header_timeout(running)
    yield running.servers[0].sockets[0].getsockname()
    running.should_exit = True
    thread.join(10)


def test_whoever_never_says_what_they_want_is_hung_up_on(server):
    """Heads that never end: at once, after a byte, byte by byte, and behind a whole request."""
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for start, drip in ((b"", b""), (b"G", b""), (b"GET / HTTP/1.1\r\nA: ", b"a"), (whole, b"G")):
        with socket.create_connection(server, timeout=5) as line:
            line.sendall(start)
            began = time.monotonic()
            received = b"first"
            while received and time.monotonic() - began < 5:
                line.settimeout(0.1)
                try:
                    line.sendall(drip)
                    received = line.recv(4096)
                except TimeoutError:
                    continue
                except OSError:  # reset
                    break
            assert time.monotonic() - began < 4, start


def test_a_slow_answer_is_waited_for(server):
    """Only the head is timed: a body may take longer, and so may the answer."""
    with socket.create_connection(server, timeout=10) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        time.sleep(1.2)
        line.sendall(b"b")
        assert b"200 OK" in line.recv(4096)
