"""The page: widgets put together with handlers. Wires events, and says how the page is served. Computes nothing."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import Scope

from demo.domain.errors import DemoError
from demo.lab import Lab
from demo.serving import Metrics, UnderWay, create_middleware, create_routes
from demo.serving.limits.client_address import ignore_forwarded_addresses
from demo.ui.api import create_api
from demo.ui.first.first_picture import FirstPicture
from demo.ui.gradio.cheap_sessions import lighten_gradio
from demo.ui.gradio.event_options import QUIET
from demo.ui.gradio.redact_prints import redact_prints
from demo.ui.gradio.theme import create_theme
from demo.ui.kit.i18n import LOCALES, choose_language, label, page_i18n, translate, translate_error
from demo.ui.kit.page_jobs import open_session
from demo.ui.kit.panel import relabel
from demo.ui.live.heatmap import plotly_route
from demo.ui.live.route import create_live_route
from demo.ui.live.tab import create_lab_tab
from demo.ui.live.wiring import wire_lab
from demo.ui.page_file.bar import create_bar
from demo.ui.page_file.handlers import wire_page_file
from demo.ui.panels.explain.handlers import wire_explain
from demo.ui.panels.explain.panel import create_explain
from demo.ui.panels.present.handlers import wire_present
from demo.ui.panels.present.panel import create_present
from demo.ui.panels.save.handlers import wire_save
from demo.ui.panels.save.panel import create_save
from demo.ui.panels.share.handlers import wire_share
from demo.ui.panels.share.panel import create_share
from demo.ui.panels.takehome.adapter import adapter_route
from demo.ui.panels.takehome.handlers import wire_takehome
from demo.ui.panels.takehome.panel import create_takehome, create_takehome_button
from demo.ui.tabs.benchmark.handlers import wire_benchmark
from demo.ui.tabs.benchmark.tab import create_benchmark_tab
from demo.ui.tabs.compare.handlers import wire_compare
from demo.ui.tabs.compare.tab import create_compare_tab
from demo.ui.tabs.file.handlers import wire_file
from demo.ui.tabs.file.tab import create_file_tab
from demo.ui.tabs.lesson.handlers import wire_lesson
from demo.ui.tabs.lesson.handout import handout_route
from demo.ui.tabs.lesson.tab import create_lesson_tab
from demo.ui.tabs.recommend.handlers import wire_recommend
from demo.ui.tabs.recommend.tab import create_recommend_tab
from demo.ui.tabs.space.handlers import wire_space
from demo.ui.tabs.space.tab import create_space_tab
from demo.ui.tabs.story.handlers import wire_story
from demo.ui.tabs.story.tab import create_story_tab
from demo.ui.tabs.sweep.handlers import wire_sweep
from demo.ui.tabs.sweep.tab import create_sweep_tab
from demo.ui.tabs.train.handlers import wire_train
from demo.ui.tabs.train.tab import create_train_tab

_HERE = Path(__file__).parent
_STYLES = [_HERE / "static" / "base.css", *(path for path in sorted(_HERE.rglob("*.css")) if path.stem != "base")]
_SCRIPTS = (
    "static/retry_429.js",
    "live/live.js",
    "static/page.js",
    "static/texts.js",
    "live/cell_text.js",
    "recipes/recipes.js",
    "recipes/history.js",
    "tabs/compare/compare_these.js",
    "tabs/recommend/recommend.js",
    "page_file/page_file.js",
    "page_file/paste.js",
    "kit/cell_cursor.js",
    "static/announce.js",
    "live/link.js",
)
_PREVIEW = re.compile(rb'<meta\s+(?:name|property)\s*=\s*"(?:og|twitter):[^>]*>')  # of a link
_AT_ONCE = 8  # how many answers may be under way together, all people taken together
_WAITING = 64


# The tabs behind the heatmap's, in their order: what builds each, and what wires it. Its label is `label.view_{name}`.
VIEWS = {
    "story": (create_story_tab, wire_story),
    "lesson": (create_lesson_tab, wire_lesson),
    "recommend": (create_recommend_tab, wire_recommend),
    "sweep": (create_sweep_tab, wire_sweep),
    "compare": (create_compare_tab, wire_compare),
    "file": (create_file_tab, wire_file),
    "space": (create_space_tab, wire_space),
    "train": (create_train_tab, wire_train),
    "benchmark": (create_benchmark_tab, wire_benchmark),
}


def create_page(lab: Lab) -> gr.Blocks:
    """The page over a lab."""
    settings = lab.settings
    first = lab.status(settings.model)
    tabs: dict[str, gr.Tab] = {}
    created: dict[str, Any] = {}

    def create_panels() -> None:
        created["explain"] = create_explain()
        create_takehome_button(created["takehome"])
        created["save"] = create_save()

    def create_views() -> None:
        for name, (create, _) in VIEWS.items():
            with gr.Tab(label(f"view_{name}"), id=name, elem_id=f"view-{name}") as tabs[name]:
                created[name] = create(settings)

    def create_head() -> None:
        created["page_file"] = create_bar()

    kept = {"delete_cache": (600, 600)}  # seconds: files that came, and files that were made to be fetched
    with gr.Blocks(title=LOCALES["en"]["page.title"], analytics_enabled=False, fill_width=True, **kept) as page:
        skip = gr.Button(label("skip"), elem_id="skip")
        skip.click(None, js="() => { window.lab.skipToResult(); }", **QUIET)
        with gr.Row(elem_id="tools"):
            present, share = create_present(), create_share()
            created["takehome"] = create_takehome()
        widgets = create_lab_tab(settings, first, create_panels, create_views, create_head)
        wire_lab(page, widgets, settings.live)
        wire_present(page, present)
        wire_share(page, lab, share)
        wire_explain(page, lab, created["explain"], widgets)
        wire_takehome(page, lab, created["takehome"])
        wire_save(page, lab, created["save"])
        for name, (_, wire) in VIEWS.items():
            wire(page, lab, created[name], widgets)
        wire_page_file(page, lab, created["page_file"], [created[name] for name in VIEWS])
        labelled = {"skip": skip}
        for part in created.values():
            labelled |= getattr(part, "labelled", {})
        _wire_tabs(page, {"heatmap": widgets.view_heatmap, **tabs}, labelled)
        create_api(lab)
    page.queue(default_concurrency_limit=_AT_ONCE, max_size=_WAITING, api_open=False)
    lighten_gradio(page)
    return page


def _wire_tabs(page: gr.Blocks, tabs: dict[str, gr.Tab], labelled: dict[str, gr.blocks.Block]) -> None:
    """The address keeps which view is open; its language, where it names one, wins over the browser's."""
    for name, tab in tabs.items():
        tab.select(None, js=f"() => {{ window.lab.keepView({name!r}); }}", **QUIET)
    labelled = {**labelled, **{f"view_{name}": tab for name, tab in tabs.items()}}

    def on_load(request: gr.Request) -> list:
        open_session(request)  # before its tabs are looked at: a job of theirs may be under way since before a reload
        if "lang" not in request.query_params:
            return [gr.skip() for _ in labelled]
        language = choose_language(request)
        return [relabel(language, name, widget) for name, widget in labelled.items()]

    page.load(on_load, None, list(labelled.values()), queue=False, **QUIET)


def _say(request: Request, error: DemoError) -> str:
    """How the server words a refusal."""
    return translate_error(choose_language(request), error)


def _describe(page: bytes, scope: Scope) -> bytes:
    """The page with a preview of its own, where Gradio's names Gradio and shows its picture."""
    if not _PREVIEW.search(page):
        return page
    language = choose_language(Request(scope))
    said = {"title": translate(language, "page.title"), "description": translate(language, "page.description")}
    tags = [f'<meta property="og:{name}" content="{escape(text)}" />' for name, text in said.items()]
    tags += ['<meta property="og:type" content="website" />', '<meta name="twitter:card" content="summary" />']
    return _PREVIEW.sub(b"", page).replace(b"<head>", ("<head>" + "".join(tags)).encode(), 1)


def launch_options(lab: Lab, under_way: UnderWay | None = None) -> dict[str, Any]:
    """How the page is served: no history, no monitoring, no tracebacks, nothing from outside."""
    settings = lab.settings
    redact_prints()
    ignore_forwarded_addresses()
    metrics = Metrics(lab)
    routes = [plotly_route(), handout_route(), adapter_route(), create_live_route(lab), *create_routes(lab, metrics)]
    scripts = [(_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return {
        "server_name": settings.host,
        "server_port": settings.port or None,
        "root_path": settings.root_path.rstrip("/"),
        "quiet": True,
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "max_file_size": "16mb",  # what a tab accepts is less, and it says so in a sentence
        "state_session_capacity": 500,
        "footer_links": [],
        "theme": create_theme(),
        "css": "\n".join(path.read_text(encoding="utf-8") for path in _STYLES),
        "head": "".join(f"<script>{script}</script>" for script in scripts),
        "i18n": page_i18n(),
        "app_kwargs": {
            "routes": routes,
            "middleware": [
                *create_middleware(lab, metrics, routes, _say, scripts, under_way, _describe),
                Middleware(FirstPicture, lab, ("heatmap", *VIEWS)),
            ],
        },
    }
