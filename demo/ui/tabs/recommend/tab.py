"""The Recommend tab's widgets: texts or a file, a budget, Start, Stop, and the results' places. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import create_source

BUDGETS = ("60", "180", "600", "1800")  # seconds
FIRST_BUDGET, LONGEST_PUBLIC = "600", "600"
FORM = ("source", "budget")  # the inputs of every event, after the lab's own


def create_recommend_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built."""
    panel = Panel("recommend")
    create_source(panel)
    with gr.Row(elem_id="recommend-start", elem_classes="choices-row"):
        panel.create_choice("budget", budgets(settings), value=FIRST_BUDGET)
        panel.create_button("run", variant="primary")
        panel.create_button("stop", variant="secondary", visible=False)
    marked = {"js_on_load": "watch('value', () => setTimeout(lab.markRecommended, 0)); lab.markRecommended();"}
    panel.create_html("verdict", **marked)
    panel.put("view", create_view("recommend", follow=True))
    panel.create_html("board", **marked)
    return panel


def budgets(settings: Settings) -> tuple[str, ...]:
    """The budgets to choose from: strangers have no half hour."""
    return BUDGETS[: BUDGETS.index(LONGEST_PUBLIC) + 1] if settings.public else BUDGETS
