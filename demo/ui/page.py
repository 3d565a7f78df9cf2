"""The page: widgets put together with handlers. Wires events, and says how the page is served. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.lab import Lab
from demo.settings import Settings
from demo.ui.api import create_api
from demo.ui.benchmark_handlers import wire_benchmark
from demo.ui.benchmark_tab import create_benchmark_tab
from demo.ui.compare_handlers import wire_compare
from demo.ui.compare_tab import create_compare_tab
from demo.ui.examples import load_examples
from demo.ui.explain_handlers import wire_explain
from demo.ui.file_handlers import wire_file
from demo.ui.file_tab import create_file_tab
from demo.ui.handlers import Handlers, Session
from demo.ui.heatmap import plotly_route
from demo.ui.i18n import LOCALES, choose_language, label, page_i18n, translate
from demo.ui.lab_tab import LINKED, create_lab_tab
from demo.ui.space_handlers import wire_space
from demo.ui.space_tab import create_space_tab
from demo.ui.story_handlers import wire_story
from demo.ui.story_tab import create_story_tab
from demo.ui.sweep_handlers import wire_sweep
from demo.ui.sweep_tab import create_sweep_tab
from demo.ui.takehome_handlers import wire_takehome
from demo.ui.theme import create_theme
from demo.ui.train_handlers import wire_train
from demo.ui.train_tab import create_train_tab

_HERE = Path(__file__).parent
_STYLES = [_HERE / "style.css", *sorted((_HERE / "styles").glob("*.css"))]
_AT_ONCE = 8  # how many answers may be under way together, all people taken together
_WAITING = 64
_QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class View:
    """A tab behind the heatmap's. Its label is `label.view_{name}`, its elements' id `view-{name}`."""

    name: str
    create: Callable[[Settings], Any]  # (settings) → its widgets
    wire: Callable[..., None]  # (page, lab, its widgets, the lab's widgets, session): its events


VIEWS = (  # in the order of the tabs
    View("story", create_story_tab, wire_story),
    View("sweep", create_sweep_tab, wire_sweep),
    View("compare", create_compare_tab, wire_compare),
    View("file", create_file_tab, wire_file),
    View("space", create_space_tab, wire_space),
    View("train", create_train_tab, wire_train),
    View("benchmark", create_benchmark_tab, wire_benchmark),
)


def create_page(lab: Lab) -> gr.Blocks:
    """The page over a lab."""
    settings = lab.settings
    first = next((status for status in lab.models() if status.model == settings.model), None)
    article = next(iter(load_examples().values()))
    tabs: dict[str, gr.Tab] = {}
    created: dict[str, Any] = {}

    def create_views() -> None:
        for view in VIEWS:
            with gr.Tab(label(f"view_{view.name}"), id=view.name, elem_id=f"view-{view.name}") as tabs[view.name]:
                created[view.name] = view.create(settings)

    kept = {"delete_cache": (3600, 3600)}  # seconds: files that were made to be fetched
    with gr.Blocks(title=LOCALES["en"]["page.title"], analytics_enabled=False, fill_width=True, **kept) as page:
        session = gr.State(Session(model=settings.model if first else ""))
        widgets = create_lab_tab(settings, first, article, create_views)
        handlers = Handlers(lab, widgets, session)
        _wire(page, handlers, settings.live)
        wire_explain(page, lab, widgets.explain, widgets, session)
        wire_takehome(page, lab, widgets.takehome, widgets, session)
        for view in VIEWS:
            view.wire(page, lab, created[view.name], widgets, session)
        _wire_tabs(page, {"heatmap": widgets.view_heatmap, **tabs}, {"takehome": widgets.takehome, **created})
        create_api(lab)
    page.queue(default_concurrency_limit=_AT_ONCE, max_size=_WAITING, api_open=False)
    return page


def _wire(page: gr.Blocks, handlers: Handlers, live: bool) -> None:
    widgets, session = handlers.widgets, handlers.session
    # `change`, not `input`: Textbox.input misses Backspace, paste and input methods.
    edits = [widget.change for widget in widgets.choices if widget is not widgets.model]
    asks = [page.load, widgets.model.input, widgets.heatmap.tick, widgets.compute.click]
    gr.on(
        [*asks, *edits] if live else asks,
        handlers.on_compute,
        inputs=[session, *widgets.choices, widgets.link],
        outputs=[session, *widgets.answered],
        js="(...values) => [...values.slice(0, -1), window.sayWhatIsShown()]",
        trigger_mode="always_last",
        queue=False,  # two round trips less
        preprocess=False,  # checked by us: a layer may come that the last answer's model no longer has
        **_QUIET,
    )
    said = ", ".join(LINKED)
    gr.on(
        [page.load, widgets.model.change, *edits],
        None,
        inputs=widgets.choices,
        js=f"({said}) => {{ window.keepLink({{ {said} }}); return []; }}",
        **_QUIET,
    )
    if not live:
        gr.on(edits, None, js="() => window.markChanged()", **_QUIET)
    gr.on(
        [page.load, widgets.questions.change, widgets.answers.change, widgets.texts_head.change],
        None,
        js="() => { setTimeout(window.numberLines, 0); }",
        **_QUIET,
    )
    page.load(None, js="() => { window.keepWhy(); }", **_QUIET)
    page.unload(handlers.on_leave)
    boxes = [widgets.questions, widgets.answers, widgets.matches]
    widgets.examples.input(handlers.on_example, widgets.examples, boxes, trigger_mode="always_last", **_QUIET)
    widgets.examples.input(
        handlers.on_example_note,
        widgets.examples,
        widgets.notes["examples"],
        trigger_mode="always_last",
        **_QUIET,
    )
    for name in ("prompt", "pooling"):
        note, box = widgets.notes[name], getattr(widgets, name)
        note.click(partial(handlers.on_take, field_name=name), session, box, **_QUIET)


def _wire_tabs(page: gr.Blocks, tabs: dict[str, gr.Tab], created: dict[str, Any]) -> None:
    """The address keeps which view is open; its language, where it names one, wins over the browser's."""
    for name, tab in tabs.items():
        tab.select(None, js=f"() => {{ window.keepView({name!r}); }}", **_QUIET)
    page.load(None, js="() => { window.openView(); }", **_QUIET)
    labelled = {f"view_{name}": tab for name, tab in tabs.items()}
    for widgets in created.values():
        labelled |= getattr(widgets, "labelled", {})

    def on_load(request: gr.Request) -> list:
        if "lang" not in request.query_params:
            return [gr.skip() for _ in labelled]
        language = choose_language(request)
        return [_relabel(language, name, widget) for name, widget in labelled.items()]

    page.load(on_load, None, list(labelled.values()), queue=False, **_QUIET)


def _relabel(language: str, name: str, widget: gr.blocks.Block) -> dict:
    """What `label(name)` says in a language, with `name_info`, `name_placeholder`, `name_{choice}` if there are any."""
    said = {"value" if isinstance(widget, gr.Button) else "label": translate(language, f"label.{name}")}
    for more in ("info", "placeholder"):
        if f"label.{name}_{more}" in LOCALES["en"]:
            said[more] = translate(language, f"label.{name}_{more}")
    choices = getattr(widget, "choices", None) or []
    if any(f"label.{name}_{value}" in LOCALES["en"] for _, value in choices):
        said["choices"] = [(translate(language, f"label.{name}_{value}"), value) for _, value in choices]
    return gr.update(**said)


def launch_options(settings: Settings) -> dict[str, Any]:
    """How the page is served: no history, no monitoring, no tracebacks, nothing from outside."""
    return {
        "server_name": settings.host,
        "server_port": settings.port or None,
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
        "head": f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        "i18n": page_i18n(),
        "app_kwargs": {"routes": [plotly_route()]},
    }
