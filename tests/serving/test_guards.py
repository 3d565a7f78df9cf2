"""The middleware, each alone over an app of three lines; health, metrics and logs. The page itself: test_attacks.py."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import threading
import time
from types import SimpleNamespace

import httpx
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
from demo.serving.limits.client_address import PAGE_HEADER, address_of, page_of
from demo.serving.limits.header_timeout import HeaderTimeoutProtocol, set_header_timeout
from demo.serving.limits.rates import ConcurrencyLimit, RateLimit
from demo.serving.ops.logs import JsonFormatter, PlainFormatter
from demo.serving.ops.metrics import create_metrics_routes
from demo.serving.ops.request_log import RequestLog
from demo.serving.security.allowed_routes import AllowedRoutes
from demo.serving.security.headers import SecurityHeaders
from demo.settings import Settings
from tests.serving.conftest import SECRET, live_page, serve
from tests.waiting import eventually

RUN = "/gradio_api/run/predict"


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


def client(*middleware: Middleware, **handlers) -> TestClient:
    """A client of an app that tells the size of every body, behind some middleware."""
    routes = [Route(path, handler, methods=["GET", "POST"]) for path, handler in handlers.items()]
    routes.append(Route("/{path:path}", echo, methods=["GET", "POST"]))
    return TestClient(Starlette(routes=routes, middleware=list(middleware)), raise_server_exceptions=False)


def statuses(web: TestClient, count: int, text: str = "", page: str = "eager") -> list[int]:
    """Of requests of one page; of a new page each where the page's id holds {}."""
    pages = ({PAGE_HEADER: page.format(i)} for i in range(count))
    return [web.post(RUN, content=text, headers=headers).status_code for headers in pages]


# ---- rate and concurrency limits -----------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The time of the limits' library, which only the test moves."""
    now = SimpleNamespace(at=1_000_000.0)
    for module in ("limits.storage.memory", "limits.strategies", "demo.serving.limits.rates"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=lambda: now.at))
    return now


def test_class_behind_one_address_stays_within_the_limits(clock):
    """Thirty students, an edit every 2 s, three requests an edit, for half a minute."""
    settings = Settings(public=True)
    school = client(Middleware(BodyLimits), Middleware(RateLimit, settings.person_rate, settings.address_rate))
    with school:  # one loop for all of it
        for _ in range(15):  # edits
            clock.at += 2
            for _ in range(3):
                assert statuses(school, 30, page="s{}") == [200] * 30


def test_one_session_is_limited_and_others_are_not(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=60, address=600))
    assert statuses(web, 12) == [200] * 10 + [429] * 2, "60 a minute are 10 in ten seconds"
    refused = web.post(RUN, headers={PAGE_HEADER: "eager"})
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 10
    assert refused.json()["code"] == "TooManyRequests"
    assert str(wait) in refused.json()["error"]
    assert statuses(web, 1, page="calm") == [200]
    clock.at += 20
    assert statuses(web, 1) == [200]


def test_address_with_ever_new_sessions_is_limited(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=60, address=120))
    assert statuses(web, 30, page="s{}").count(200) == 20


def test_bytes_are_limited_as_well_as_requests(clock):
    web = client(Middleware(BodyLimits, most=2**20), Middleware(RateLimit, person=10_000, address=10_000))
    assert statuses(web, 6, text="x" * 900_000) == [200] * 3 + [429] * 3, "20 MiB a minute are 3.3 MiB in ten seconds"


def test_uploads_and_page_loads_have_limits_of_their_own(clock):
    web = client(Middleware(BodyLimits), Middleware(RateLimit, person=10_000, address=10_000))
    form = {"files": ("a.csv", b"q,a\n")}
    assert [web.post("/gradio_api/upload", files=form).status_code for _ in range(121)].count(200) == 120
    assert [web.get("/").status_code for _ in range(121)].count(200) == 120
    assert all(web.get("/health").status_code == 200 for _ in range(200))


def test_open_streams_count_against_the_concurrency_limit():
    """A third stream is refused until one of two has ended."""

    async def run() -> list[int]:
        release, received = asyncio.Event(), []

        async def stream(scope, receive, send):
            await release.wait()
            await PlainTextResponse("")(scope, receive, send)

        limit = ConcurrencyLimit(stream, most=2)

        async def request() -> None:
            async def send(message):
                received.extend([message["status"]] if "status" in message else [])

            await limit({"type": "http", "client": ("10.0.0.1", 1), "path": "/", "headers": []}, None, send)

        waiting = [asyncio.create_task(request()) for _ in range(2)]
        await asyncio.sleep(0)  # both have begun
        await request()
        release.set()
        await asyncio.gather(*waiting)
        await request()
        return received

    assert asyncio.run(run()) == [429, 200, 200, 200]


@pytest.mark.parametrize(
    ("forwarded", "behind_proxy", "address"),
    [
        ("1.2.3.4", False, "9.9.9.9"),  # not trusted
        ("1.2.3.4", True, "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", True, "1.2.3.4"),  # what the client made up stands in front
        ("6.6.6.6, 1.2.3.4, 10.0.0.7", True, "1.2.3.4"),  # the proxy's own inner machines
        ("192.168.1.5", True, "192.168.1.5"),
        ("nonsense, <script>", True, "9.9.9.9"),
        ("2001:db8::1", True, "2001:db8::/64"),
        ("::ffff:1.2.3.4", True, "1.2.3.4"),
    ],
)
def test_client_address_comes_from_the_trusted_part_of_forwarded_for(forwarded, behind_proxy, address):
    scope = {"type": "http", "client": ("9.9.9.9", 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    assert address_of(scope, behind_proxy) == address


@pytest.mark.parametrize(("header", "page"), [("a1-b2", "a1-b2"), (None, ""), ("", ""), ("<b>", ""), ("x" * 65, "")])
def test_page_is_named_by_its_header(header, page):
    headers = [] if header is None else [(PAGE_HEADER.encode(), header.encode())]
    assert page_of({"type": "http", "headers": headers}) == page


# ---- body limits ---------------------------------------------------------------------------------------------


def test_body_is_refused_by_its_size_before_it_is_read():
    web = client(Middleware(BodyLimits, most=1000, upload=3000))
    assert web.post("/", content=b"x" * 1000).json() == {"bytes": 1000}
    for body in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):  # announced, and in chunks
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
def test_nesting_is_measured_in_linear_time(body, deep):
    started = time.process_time()
    assert too_deep(body) is deep
    assert time.process_time() - started < 1


def test_body_that_never_ends_times_out():
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


# ---- allowed routes, headers ---------------------------------------------------------------------------------


def test_cross_site_requests_of_a_browser_are_refused():
    web = client(Middleware(AllowedRoutes))
    own, other = "http://testserver", "https://evil.example"
    assert web.post(RUN, headers={"Origin": own}).status_code == 200
    assert web.post(RUN).status_code == 200, "a program"
    assert web.post(RUN, headers={"Sec-Fetch-Site": "same-origin", "Origin": other}).status_code == 200
    for headers in ({"Origin": other}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://["}):
        assert web.post(RUN, headers=headers).status_code == 403, headers
    forwarded = {"Origin": "https://lab.example", "X-Forwarded-Host": "lab.example"}
    assert web.post(RUN, headers=forwarded).status_code == 403
    assert client(Middleware(AllowedRoutes, behind_proxy=True)).post(RUN, headers=forwarded).status_code == 200


def test_policy_allows_the_pages_scripts_by_digest_alone():
    page = "<script>one()</script><script src=x.js></script><p>&lt;script&gt;</p>"

    def get(headers: dict | None = None, **options):
        handlers = {"/page": lambda request: HTMLResponse(page)}
        return client(Middleware(SecurityHeaders, **options), **handlers).get("/page", headers=headers)

    answered = get(scripts=["added()"])
    policy = {part.split()[0]: part.split()[1:] for part in answered.headers["Content-Security-Policy"].split("; ")}
    assert "'unsafe-inline'" not in policy["script-src"]
    assert [part[:8] for part in policy["script-src"]].count("'sha256-") == 2
    assert policy["connect-src"] == policy["frame-ancestors"] == ["'self'"]
    assert answered.text == page
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert "Cross-Origin-Opener-Policy" not in answered.headers, "over plain HTTP browsers complain about it"
    encrypted = {"X-Forwarded-Proto": "https"}
    assert get(encrypted).headers["Cross-Origin-Opener-Policy"] == "same-origin"
    on_spaces = get(encrypted, embedded=True)
    assert "https://huggingface.co" in on_spaces.headers["Content-Security-Policy"]
    assert "Cross-Origin-Opener-Policy" not in on_spaces.headers


def test_served_file_may_run_nothing():
    path = "/gradio_api/file=/x"
    handlers = {path: lambda request: PlainTextResponse("<svg/>", media_type="image/svg+xml")}
    policy = client(Middleware(SecurityHeaders), **handlers).get(path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy


# ---- health, metrics, logs -----------------------------------------------------------------------------------


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake", metrics="all"), FakeEngine())


def test_health_answers_at_once_and_ready_once_the_first_model_is_loaded(lab):
    web = serve(lab)
    assert web.get("/health").json() == {"status": "ok"}
    waiting = web.get("/ready")
    assert (waiting.status_code, waiting.json()) == (503, {"status": "loading"})
    lab.open(wait=True)
    ready = web.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


def test_metrics_count_requests_refusals_and_the_engine(lab):
    metrics = Metrics(lab)
    lab.compare(["a", "b"], ["c"])
    routes = [*create_metrics_routes(metrics, "all"), Route("/{path:path}", echo, methods=["GET", "POST"])]
    guards = [Middleware(RequestLog, metrics, routes), Middleware(BodyLimits, most=10)]
    web = TestClient(Starlette(routes=routes, middleware=guards))
    web.get(f"/{SECRET}")
    web.post("/", content=b"x" * 11)
    scraped = web.get("/metrics").text
    expected = (
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
    for line in expected:
        assert line in scraped, line
    assert SECRET not in scraped


def test_metrics_are_local_unless_the_setting_opens_them(lab):
    def status(whose: str, host: str, **headers) -> int:
        app = Starlette(routes=create_metrics_routes(Metrics(lab), whose))
        return TestClient(app, client=(host, 1)).get("/metrics", headers=headers).status_code

    assert status("local", "127.0.0.1") == status("local", "::1") == status("all", "10.0.0.1") == 200
    assert status("local", "10.0.0.1") == status("off", "127.0.0.1") == 404
    assert status("local", "127.0.0.1", **{"X-Forwarded-For": "1.2.3.4"}) == 404, "a proxy sends for another machine"


def test_log_line_is_json_without_the_exceptions_message():
    with pytest.raises(ValueError, match=SECRET) as caught:
        raise ValueError(SECRET)
    record = logging.LogRecord(
        "demo.x", logging.ERROR, "x.py", 1, "a %s", ("message",), (caught.type, caught.value, caught.tb)
    )
    record.event, record.status = "fault", 500
    line = json.loads(JsonFormatter().format(record))
    expected = {"level": "error", "logger": "demo.x", "event": "fault", "status": 500, "message": "a message"}
    assert expected.items() <= line.items()
    assert line["time"].endswith("Z")
    assert "test_guards.py" in line["trace"]
    assert line["trace"].endswith("ValueError")
    for formatter in (JsonFormatter(), PlainFormatter()):
        record.exc_text = None
        assert SECRET not in formatter.format(record)


def test_uncaught_exception_leaves_no_text_behind(lab, caplog):
    def fail(request):
        raise RuntimeError(SECRET)

    async def half(request):
        async def parts():
            yield "a"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    caplog.set_level(logging.INFO)
    answers = {"/fail": fail, "/half": half, "/text": lambda request: PlainTextResponse(SECRET, 500)}
    web = client(Middleware(RequestLog, Metrics(lab)), **answers)
    for path in ("/fail", "/text"):
        refused = web.get(path)
        assert (refused.status_code, refused.json()["code"]) == (400, "RequestUnreadable")
    assert web.get("/half").text == "a"
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


# ---- header timeout ------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """Address of a real server with a header timeout of 0.6 s."""
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


def is_closed(line: socket.socket, drip: bytes = b"") -> bool:
    """Whether the server has closed the connection, after another `drip`; TimeoutError where it has sent nothing."""
    line.settimeout(0.1)
    try:
        line.sendall(drip)
        return line.recv(4096) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("start", "drip"),
    [(b"", b""), (b"G", b""), (b"GET / HTTP/1.1\r\nA: ", b"a"), (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"G")],
    ids=["nothing", "a byte", "byte by byte", "behind a whole request"],
)
def test_connection_whose_head_never_ends_is_closed(server, start, drip):
    with socket.create_connection(server) as line:
        line.sendall(start)
        eventually(lambda: is_closed(line, drip), catching=TimeoutError)


def test_body_and_response_may_take_longer_than_the_head(server):
    with socket.create_connection(server, timeout=10) as line, socket.create_connection(server) as idle:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        eventually(lambda: is_closed(idle), catching=TimeoutError)  # so the time of a head has passed
        line.sendall(b"b")
        assert b"200 OK" in line.recv(4096)


def test_a_full_disk_is_this_machines_fault_and_logged(lab, caplog):
    def upload(request):
        raise OSError(errno.ENOSPC, "No space left on device", "somebody's file.csv")

    web = client(Middleware(RequestLog, Metrics(lab)), **{"/upload": upload})
    refused = web.get("/upload")
    assert (refused.status_code, refused.json()["code"]) == (507, "StorageFailed")
    assert "No space left on device" in refused.json()["error"]
    assert "No space left on device" in caplog.text
    assert "somebody" not in refused.text + caplog.text


def test_an_upload_on_a_full_disk_is_not_the_requests_fault(small_disk, monkeypatch):
    folder, _ = small_disk
    lab = Lab(Settings(engine="fake", port=0, public=False), FakeEngine())
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    with live_page(lab) as (url, _):
        refused = httpx.post(f"{url}/gradio_api/upload", files={"files": ("texts.csv", b"x" * 200_000)}, timeout=20)
    assert (refused.status_code, refused.json()["code"]) == (507, "StorageFailed")
