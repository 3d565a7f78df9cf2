"""The asset cache, and the other work that a page must not cost the server when thirty people open it at once."""

from __future__ import annotations

import gzip
import inspect
from contextlib import suppress

import anyio
import anyio.lowlevel
import brotli
import gradio as gr
import gradio.blocks
import gradio.state_holder
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.serving.ops.asset_cache import AssetCache
from demo.settings import Settings
from demo.ui.page import create_page

FILE = "/assets/index-1a2b.js"
SCRIPT = "const letters = 'abc'; // the same for everybody\n" * 200


@pytest.fixture
def fetched() -> list[str]:
    """Paths that reached the app behind the cache."""
    return []


@pytest.fixture
def web(fetched, tmp_path) -> TestClient:
    (tmp_path / "index-1a2b.js").write_text(SCRIPT)
    (tmp_path / "tiny-1a2b.js").write_text("0")
    (tmp_path / "logo-1a2b.png").write_bytes(bytes(5000))

    def respond(request: Request) -> Response:
        path = request.url.path
        fetched.append(path)
        if path == "/":
            text = f"<p>{request.query_params.get('text')}</p>" * 100
            return HTMLResponse(text, headers={"Cache-Control": "no-cache, private"})
        if not path.startswith("/assets/"):
            return PlainTextResponse(SCRIPT)
        file = tmp_path / request.path_params["name"]
        return FileResponse(file) if file.exists() else PlainTextResponse("none" * 200, 404)

    paths = ("/assets/{name}", "/v1/{name}", "/")
    routes = [Route(path, respond, methods=["GET", "POST"]) for path in paths]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(AssetCache)]))


@pytest.mark.parametrize(
    ("accepted", "encoding", "unpack"),
    [("gzip, deflate, br", "br", brotli.decompress), ("gzip, deflate", "gzip", gzip.decompress)],
    ids=["br", "gzip"],  # over plain HTTP in a classroom's network browsers accept gzip alone
)
def test_fixed_file_is_fetched_and_compressed_once(web, fetched, accepted, encoding, unpack):
    headers = []
    for _ in range(2):
        with web.stream("GET", FILE, headers={"Accept-Encoding": accepted}) as response:
            body = b"".join(response.iter_raw())
        assert unpack(body).decode() == SCRIPT
        assert len(body) == int(response.headers["content-length"]) < len(SCRIPT) / 10
        assert response.headers["content-encoding"] == encoding
        assert response.headers["vary"] == "Accept-Encoding"
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        headers.append(response.headers)
    assert headers[0] == headers[1]
    assert fetched == [FILE]


def test_browser_that_has_the_file_gets_304(web, fetched):
    whole = web.get(FILE)
    again = web.get(FILE, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == whole.headers["etag"]
    assert web.get(FILE, headers={"If-None-Match": '"another"'}).text == SCRIPT
    assert len(fetched) == 1


@pytest.mark.parametrize("accepted", ["", "identity", "br;q=0, gzip;q=0.0"])
def test_client_without_compression_gets_the_file_as_it_is(web, accepted):
    response = web.get(FILE, headers={"Accept-Encoding": accepted})
    assert response.text == SCRIPT
    assert "content-encoding" not in response.headers


def test_range_request_gets_its_part(web):
    response = web.get(FILE, headers={"Range": "bytes=6-12"})
    assert (response.status_code, response.text) == (206, SCRIPT[6:13])


@pytest.mark.parametrize("name", ["tiny-1a2b.js", "logo-1a2b.png"])
def test_small_and_binary_files_are_not_compressed(web, name):
    for _ in range(2):
        response = web.get(f"/assets/{name}")
        assert response.status_code == 200
        assert "content-encoding" not in response.headers


def test_missing_file_is_not_cached(web, fetched):
    assert [web.get("/assets/none.js").status_code for _ in range(2)] == [404, 404]
    assert len(fetched) == 2


def test_page_is_rendered_each_time_and_never_mistaken_for_another(web, fetched):
    for text in ("one", "two", "one"):
        response = web.get("/", params={"text": text})
        assert response.text == f"<p>{text}</p>" * 100
        assert response.headers["content-encoding"] == "br"
        assert response.headers["cache-control"] == "no-cache, private"
    assert len(fetched) == 3


def test_other_responses_pass_through_uncached(web, fetched):
    responses = [web.get("/v1/embeddings"), web.get("/v1/embeddings"), web.post("/")]
    assert not any("content-encoding" in response.headers for response in responses)
    assert len(fetched) == 3


def test_thirty_concurrent_requests_share_one_fetch():
    fetched, sent = [], []

    async def app(scope, receive, send):
        fetched.append(scope["path"])
        await anyio.lowlevel.checkpoint()  # the others come meanwhile
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css")]})
        await send({"type": "http.response.body", "body": SCRIPT.encode()[:5000], "more_body": True})
        await send({"type": "http.response.body", "body": SCRIPT.encode()[5000:]})

    async def collect(message) -> None:
        sent.append(message)

    async def request_thirty_times() -> None:
        cache = AssetCache(app)
        scope = {"type": "http", "method": "GET", "path": "/assets/a.css", "headers": [(b"accept-encoding", b"br")]}
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(cache, dict(scope), None, collect)

    anyio.run(request_thirty_times)
    assert len(fetched) == 1
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert [brotli.decompress(body).decode() for body in bodies] == [SCRIPT] * 30


def run_requests(app, disconnected: int, staying: int) -> list[bytes]:
    """The bodies that clients get who stay, after some who leave at once."""
    bodies = []

    async def leave():
        return {"type": "http.disconnect"}

    async def ignore(message) -> None:
        pass

    async def collect(message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    async def request_all() -> None:
        cache = AssetCache(app)
        scope = {"type": "http", "method": "GET", "path": "/assets/a.css", "headers": [(b"accept-encoding", b"br")]}
        for _ in range(disconnected):
            with suppress(RuntimeError):
                await cache(dict(scope), leave, ignore)
        for _ in range(staying):
            await cache(dict(scope), leave, collect)

    anyio.run(request_all)
    return bodies


def test_client_that_leaves_spoils_the_file_for_nobody():
    async def app(scope, receive, send):
        """As a streaming response does, it stops where its client disconnects."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css")]})
        with anyio.move_on_after(0.01):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.body", "body": SCRIPT.encode()})

    assert [brotli.decompress(body).decode() for body in run_requests(app, 1, 2)] == [SCRIPT] * 2


def test_half_a_file_is_never_cached():
    fetched = []

    async def app(scope, receive, send):
        fetched.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css")]})
        if len(fetched) > 1:
            await send({"type": "http.response.body", "body": SCRIPT.encode()})

    assert [brotli.decompress(body).decode() for body in run_requests(app, 1, 1)] == [SCRIPT]


def test_cache_evicts_beyond_its_size(fetched):
    async def app(scope, receive, send):
        fetched.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        await send({"type": "http.response.body", "body": bytes(600)})

    web = TestClient(AssetCache(app, most=1000))
    for name in ("a", "b", "a"):
        assert len(web.get(f"/assets/{name}.png").content) == 600
    assert fetched == ["/assets/a.png", "/assets/b.png", "/assets/a.png"]


# ---- the page itself -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    return create_page(Lab(Settings(engine="fake", port=0), FakeEngine()))


def test_session_serializes_no_component(page, monkeypatch):
    written = []
    original = gradio.blocks.BlocksConfig.config_for_block
    monkeypatch.setattr(
        gradio.blocks.BlocksConfig,
        "config_for_block",
        staticmethod(lambda *args: written.append(args) or original(*args)),
    )
    session = gradio.state_holder.SessionState(page)
    assert len(session.blocks_config.blocks) > 100
    block = next(block for block in page.blocks.values() if isinstance(block, gr.Textbox))
    session[block._id] = gr.Textbox(label="another", render=False)
    session._update_value_in_config(block._id, "a text")
    assert session[block._id].label == "another"
    assert written == []
    assert page.default_config.blocks[block._id] is block, "another session's widget is not touched"


def test_page_config_holds_every_component(page):
    assert len(page.get_config_file()["components"]) > 100


def test_idle_queue_of_gradio_polls_rarely(page):
    queue = page._queue
    assert (queue.sleep_when_free, queue.progress_update_sleep_when_free) == (0.02, 0.5)
    for loop, name in ((queue.start_processing, "sleep"), (queue.start_progress_updates, "progress_update_sleep")):
        assert f"asyncio.sleep(self.{name}_when_free)" in inspect.getsource(loop), "Gradio's own names for them"


def test_page_load_updates_no_tab_that_is_not_open(page):
    """A view's `opened` event fills its boxes."""
    loads = [fn for fn in page.fns.values() if (page._id, "load") in fn.targets and fn.fn is not None]
    opened = [fn for fn in page.fns.values() if any(event == "opened" for _, event in fn.targets)]
    assert len(opened) >= 5, "tabs with boxes to fill"
    assert len(loads) <= 4, [fn.name for fn in loads]


def test_live_page_goes_out_compressed(url):
    page = httpx2.get(url, headers={"Accept-Encoding": "br"})
    assert page.headers["content-encoding"] == "br"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "gradio_config" in page.text
    assert int(page.headers["content-length"]) < len(page.content) / 5
    script = f"{url}/static/js/iframeResizer.contentWindow.min.js"
    etag = httpx2.get(script).headers["etag"]
    for _ in range(2):
        known = httpx2.get(script, headers={"If-None-Match": etag})
        assert (known.status_code, known.content) == (304, b"")
        assert "content-length" not in known.headers
