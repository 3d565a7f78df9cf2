"""What it costs the server that a page opens: thirty do at once, and what is the same is done once."""

from __future__ import annotations

import gzip
import inspect

import anyio
import brotli
import gradio as gr
import gradio.blocks
import gradio.state_holder
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
from demo.ui.page import VIEWS, create_page, launch_options

SCRIPT = "const letters = 'abc'; // the same for everybody\n" * 200


@pytest.fixture
def asked() -> list[str]:
    """What the app behind had to answer."""
    return []


@pytest.fixture
def web(asked, tmp_path) -> TestClient:
    (tmp_path / "index-1a2b.js").write_text(SCRIPT)
    (tmp_path / "tiny-1a2b.js").write_text("0")
    (tmp_path / "logo-1a2b.png").write_bytes(bytes(5000))

    def note(request: Request) -> str:
        asked.append(request.url.path)
        return request.path_params.get("name", "")

    def file(request: Request) -> Response:
        path = tmp_path / note(request)
        return FileResponse(path) if path.exists() else PlainTextResponse("none" * 200, 404)

    def page(request: Request) -> Response:
        note(request)
        said = request.query_params.get("says", "the same")
        return HTMLResponse(f"<p>{said}</p>" * 100, headers={"Cache-Control": "no-cache, private"})

    def plain(request: Request) -> Response:
        note(request)
        return PlainTextResponse(SCRIPT)

    routes = [
        Route("/assets/{name}", file),
        Route("/", page, methods=["GET", "POST"]),
        Route("/static/{name}", plain),
        Route("/v1/{name}", plain),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(AssetCache)]))


@pytest.mark.parametrize(("taken", "encoding"), [("gzip, deflate, br", "br"), ("gzip, deflate", "gzip")])
def test_a_fixed_file_is_fetched_and_compressed_once(web, asked, taken, encoding):
    """Over plain HTTP in a classroom's network browsers take gzip alone."""
    first, again = (web.get("/assets/index-1a2b.js", headers={"Accept-Encoding": taken}) for _ in range(2))
    assert asked == ["/assets/index-1a2b.js"]
    for answer in (first, again):
        assert answer.text == SCRIPT
        assert answer.headers["content-encoding"] == encoding
        assert int(answer.headers["content-length"]) < len(SCRIPT) / 10
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert first.headers == again.headers


def test_the_bytes_are_what_their_encoding_says(web):
    for encoding, unpack in (("br", brotli.decompress), ("gzip", gzip.decompress)):
        with web.stream("GET", "/assets/index-1a2b.js", headers={"Accept-Encoding": encoding}) as answer:
            assert unpack(b"".join(answer.iter_raw())).decode() == SCRIPT


def test_who_has_a_file_already_is_told_so(web, asked):
    whole = web.get("/assets/index-1a2b.js")
    again = web.get("/assets/index-1a2b.js", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == whole.headers["etag"]
    assert web.get("/assets/index-1a2b.js", headers={"If-None-Match": '"another"'}).text == SCRIPT
    assert len(asked) == 1


@pytest.mark.parametrize("refusing", ["", "identity", "br;q=0, gzip;q=0.0"])
def test_who_takes_no_compression_gets_none(web, refusing):
    answer = web.get("/assets/index-1a2b.js", headers={"Accept-Encoding": refusing})
    assert answer.text == SCRIPT
    assert "content-encoding" not in answer.headers


def test_a_part_of_a_file_is_that_part(web):
    answer = web.get("/assets/index-1a2b.js", headers={"Range": "bytes=6-12"})
    assert (answer.status_code, answer.text) == (206, SCRIPT[6:13])


def test_what_gains_nothing_stays_as_it_is(web):
    for name in ("tiny-1a2b.js", "logo-1a2b.png"):
        for _ in range(2):
            answer = web.get(f"/assets/{name}")
            assert answer.status_code == 200
            assert "content-encoding" not in answer.headers


def test_what_is_not_there_is_not_kept(web, asked):
    for _ in range(2):
        assert web.get("/assets/none.js").status_code == 404
    assert len(asked) == 2


def test_a_page_is_made_for_everybody_and_never_mistaken_for_another(web, asked):
    for says in ("one", "two", "one"):
        answer = web.get("/", params={"says": says})
        assert answer.text == f"<p>{says}</p>" * 100
        assert answer.headers["content-encoding"] == "br"
        assert answer.headers["cache-control"] == "no-cache, private"
    assert len(asked) == 3, "a page may differ from the last one, so each is asked for"


def test_answers_to_people_pass_by_and_none_is_kept(web, asked):
    for _ in range(2):
        assert "content-encoding" not in web.get("/v1/embeddings").headers
    assert "content-encoding" not in web.post("/").headers
    assert len(asked) == 3


def test_thirty_who_ask_together_wait_for_one(tmp_path):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        await anyio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css")]})
        await send({"type": "http.response.body", "body": SCRIPT.encode()[:5000], "more_body": True})
        await send({"type": "http.response.body", "body": SCRIPT.encode()[5000:]})

    guard, sent = AssetCache(app), []

    async def one() -> None:
        scope = {"type": "http", "method": "GET", "path": "/assets/a.css", "headers": [(b"accept-encoding", b"br")]}

        async def send(message):
            sent.append(message)

        await guard(scope, None, send)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(one)

    anyio.run(all_of_them)
    assert len(calls) == 1
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert {brotli.decompress(body).decode() for body in bodies} == {SCRIPT}
    assert len(bodies) == 30


def test_what_is_kept_has_a_bound(asked):
    async def app(scope, receive, send):
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        await send({"type": "http.response.body", "body": bytes(600)})

    web = TestClient(AssetCache(app, most=1000))
    for name in ("a", "b", "a"):
        assert len(web.get(f"/assets/{name}.png").content) == 600
    assert asked == ["/assets/a.png", "/assets/b.png", "/assets/a.png"]


# ---- the page itself -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(Settings(engine="fake", port=0), FakeEngine())


@pytest.fixture(scope="module")
def page(lab) -> gr.Blocks:
    return create_page(lab)


def test_nothing_is_written_out_for_a_session_that_nobody_reads(page, monkeypatch):
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


def test_the_page_itself_is_written_out_in_full(page):
    assert len(page.get_config_file()["components"]) > 100


def test_who_is_not_asked_does_not_look_a_thousand_times_a_second(page):
    queue = page._queue
    assert (queue.sleep_when_free, queue.progress_update_sleep_when_free) == (0.02, 0.5)
    for loop, name in ((queue.start_processing, "sleep"), (queue.start_progress_updates, "progress_update_sleep")):
        assert f"asyncio.sleep(self.{name}_when_free)" in inspect.getsource(loop), "Gradio's own names for them"


def test_a_page_that_opens_is_told_of_no_tab_that_it_has_not_opened(page):
    """What a tab's boxes offer is said by its view's `opened` event."""
    loads = [fn for fn in page.fns.values() if (page._id, "load") in fn.targets and fn.fn is not None]
    opened = [fn for fn in page.fns.values() if any(event == "opened" for _, event in fn.targets)]
    assert len(opened) >= len(VIEWS) - 1, "the space tab has nothing to tell"
    assert len(loads) <= 4, [fn.name for fn in loads]


def test_the_page_goes_out_compressed(lab, page):
    app, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    try:
        import httpx2

        answer = httpx2.get(url, headers={"Accept-Encoding": "br"})
        assert answer.headers["content-encoding"] == "br"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "gradio_config" in answer.text
        assert int(answer.headers["content-length"]) < len(answer.content) / 5
        script = f"{url}static/js/iframeResizer.contentWindow.min.js"
        etag = httpx2.get(script).headers["etag"]
        for _ in range(2):
            known = httpx2.get(script, headers={"If-None-Match": etag})
            assert (known.status_code, known.content) == (304, b"")
            assert "content-length" not in known.headers
    finally:
        page.close(verbose=False)
