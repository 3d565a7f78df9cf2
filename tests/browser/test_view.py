"""The view by itself, in a real browser: what a payload becomes, when it asks, and what a click says."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import expect_text, idle

gr = pytest.importorskip("gradio")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402

pytestmark = pytest.mark.browser
VIEW = "#probe .view"
NASTY = "<b>bold</b> ${x}"


@pytest.fixture(scope="module")
def asked() -> list[int]:
    return []


@pytest.fixture(scope="module")
def address(asked):
    """A page with one view: running twice, then ready with two figures; a button takes one of them away."""
    import plotly.graph_objects as go

    from demo.ui.kit.view import create_view, figure_payload, next_seq, show_view
    from demo.ui.live.heatmap import _PLOTLY_URL
    from demo.ui.page import launch_options

    bars = go.Figure(go.Bar(x=[1, 2], y=[3, 1]), layout={"xaxis": {"title": {"text": "place"}}, "title": {"text": "T"}})
    points = go.Figure(go.Scatter(x=[1, 2], y=[2, 1], mode="markers", customdata=["one", "two"]))
    table = {"head": ["place", "height"], "rows": [[NASTY, "3"], ["2", "1"]]}

    def figures():
        return [
            figure_payload("bars", bars, NASTY, "Two bars.", height=200, table=table),
            figure_payload("points", points, "Points", "Two points.", height=200),
        ]

    def on_tick():
        asked.append(1)
        if len(asked) % 3:
            return show_view("en", next_seq(), "running", "Working", progress=len(asked) % 3 / 4)
        return show_view("en", next_seq(), "ready", figures=figures())

    def on_pick(event: gr.EventData):
        return f"{event.figure} {event.point}"

    with gr.Blocks() as page, gr.Column(elem_id="hero"):
        view = create_view("probe")
        start, fewer = gr.Button("start", elem_id="start"), gr.Button("fewer", elem_id="fewer")
        said = gr.Textbox(elem_id="said")
        start.click(on_tick, None, view)
        view.tick(on_tick, None, view)
        view.pick(on_pick, None, said)
        fewer.click(lambda: show_view("en", next_seq(), "ready", figures=figures()[:1]), None, view)
    options = launch_options(Lab(Settings(engine="fake", port=0), FakeEngine()))
    options["head"] = f'<script src="{_PLOTLY_URL}"></script>'
    _, url, _ = page.launch(**options, prevent_thread_lock=True)
    yield url
    page.close(verbose=False)


def test_a_view_from_start_to_click(open_page, address, asked):
    page = open_page(address, drawn=False)
    page.wait_for_selector(VIEW, state="attached")
    idle(page)
    assert not asked  # it does not follow, and nothing is under way
    page.click("#start")
    page.wait_for_selector(f'{VIEW}[data-state="running"]')
    expect_text(page, "#probe .view-note", "Working 25 %")
    page.wait_for_selector(f'{VIEW}[data-state="ready"]')
    assert len(asked) == 3
    page.wait_for_selector("#probe .js-plotly-plot >> nth=1")
    idle(page)
    assert len(asked) == 3
    expect(page.locator("#probe figcaption >> nth=0")).to_have_text(NASTY, use_inner_text=True)
    expect(page.locator("#probe .view-plot >> nth=0")).to_have_attribute("aria-label", "Two bars.")
    expect(page.locator("#probe .xtitle").first).to_have_text("place")
    expect(page.locator("#probe .gtitle")).to_have_count(0)
    page.click("#probe .view-table summary")
    expect(page.locator("#probe .view-table td, #probe .view-table th >> nth=2")).to_have_text(
        NASTY, use_inner_text=True
    )
    node = page.query_selector("#probe .js-plotly-plot")
    page.hover("#probe [data-figure=points] .point >> nth=1", force=True)
    page.click("#probe [data-figure=points] .point >> nth=1", force=True)
    page.wait_for_function("() => document.querySelector('#said textarea, #said input').value === 'points two'")
    page.click("#fewer")
    page.wait_for_function("() => document.querySelectorAll('#probe figure').length === 1")
    assert page.evaluate("(node) => node === document.querySelector('#probe .js-plotly-plot')", node)
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_function("(node) => node._fullLayout.width < 700", arg=node)
