"""The Benchmark tab's widgets: set, models and readings, Run and Stop, the plot and the leaderboard. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.files.bundled import load_benchmark
from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.presets import BASELINE_MODEL
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import BUNDLED, TEXTS, create_source
from demo.ui.tabs.benchmark.runs import QUICK, READINGS

FIRST_SET = "all-en"
SPEED = "speed"
SORTS = ("auc", "top1", "mrr", "ndcg10", SPEED)
FORM = ("source", "set", "models", "readings", "sort")  # the inputs of every event, after the lab's own


def create_benchmark_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built. Sets and models are named when the page opens."""
    panel = Panel("benchmark")
    create_source(panel, (BUNDLED, TEXTS))
    panel.create(
        "set", gr.Dropdown, choices=list(load_benchmark()), value=FIRST_SET, filterable=False, interactive=True
    )
    models = list(dict.fromkeys([*CATALOG, settings.model]))
    ticked = list(dict.fromkeys([settings.model, BASELINE_MODEL]))
    _create_ticks(panel, "models", models, ticked)
    panel.create_html("models_note", elem_classes="note")
    _create_ticks(panel, "readings", list(READINGS), list(QUICK))
    with gr.Row(elem_id="benchmark-start", elem_classes="choices-row"):
        panel.create_button("run", variant="primary")
        panel.create_button("stop", visible=False)
    panel.create_html("note")
    panel.put("view", create_view("benchmark"))
    panel.create_choice("sort", SORTS)
    panel.create_html("board")
    return panel


def _create_ticks(panel: Panel, name: str, choices: list[str], value: list[str]) -> None:
    options = {"choices": choices, "value": value, "elem_classes": "benchmark-ticks", "interactive": True}
    panel.create(name, gr.CheckboxGroup, **options)
