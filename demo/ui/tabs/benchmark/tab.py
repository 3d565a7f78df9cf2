"""The Benchmark tab's widgets: set, models and readings, Run and Stop, the plot and the leaderboard. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.files.bundled import load_benchmark
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.presets import BASELINE_MODEL
from demo.ui.kit.view import create_view
from demo.ui.tabs.benchmark.runs import QUICK, READINGS

FIRST_SET = "all-en"
SPEED = "speed"
SORTS = ("auc", "top1", "mrr", "ndcg10", SPEED)


@dataclass(frozen=True)
class BenchmarkWidgets:
    """What the tab can read and write."""

    set: gr.Dropdown
    models: gr.CheckboxGroup
    models_note: gr.HTML
    readings: gr.CheckboxGroup
    run: gr.Button
    stop: gr.Button
    note: gr.HTML
    view: gr.HTML
    sort: gr.Radio
    board: gr.HTML

    @property
    def choices(self) -> list[gr.components.Component]:
        """What is asked for, in the order in which the handlers take it."""
        return [self.set, self.models, self.readings, self.sort]

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        names = ("set", "models", "readings", "run", "stop", "sort")
        return {f"benchmark_{name}": getattr(self, name) for name in names}


def create_benchmark_tab(settings: Settings) -> BenchmarkWidgets:
    """The widgets, inside the tab that is being built. Titles and models are named when the page opens."""
    models = list(dict.fromkeys([*CATALOG, settings.model]))
    set_choice = gr.Dropdown(
        list(load_benchmark()),
        value=FIRST_SET,
        label=label("benchmark_set"),
        elem_id="benchmark-set",
        filterable=False,
        interactive=True,
    )
    model_choice = gr.CheckboxGroup(
        models,
        value=list(dict.fromkeys([settings.model, BASELINE_MODEL])),
        label=label("benchmark_models"),
        elem_id="benchmark-models",
        elem_classes="benchmark-ticks",
        interactive=True,
    )
    models_note = gr.HTML(elem_id="benchmark-models-note", elem_classes="note", apply_default_css=False)
    readings = gr.CheckboxGroup(
        [(label(f"benchmark_readings_{name}"), name) for name in READINGS],
        value=list(QUICK),
        label=label("benchmark_readings"),
        info=label("benchmark_readings_info"),
        elem_id="benchmark-readings",
        elem_classes="benchmark-ticks",
        interactive=True,
    )
    with gr.Row(elem_id="benchmark-start", elem_classes="choices-row"):
        run = gr.Button(label("benchmark_run"), variant="primary", size="sm", elem_id="benchmark-run", min_width=0)
        stop = gr.Button(label("benchmark_stop"), size="sm", elem_id="benchmark-stop", visible=False, min_width=0)
    return BenchmarkWidgets(
        set=set_choice,
        models=model_choice,
        models_note=models_note,
        readings=readings,
        run=run,
        stop=stop,
        note=gr.HTML(elem_id="benchmark-note", apply_default_css=False),
        view=create_view("benchmark"),
        sort=gr.Radio(
            [(label(f"benchmark_sort_{name}"), name) for name in SORTS],
            value=SORTS[0],
            label=label("benchmark_sort"),
            elem_id="benchmark-sort",
            elem_classes="segments",
            interactive=True,
        ),
        board=gr.HTML(elem_id="benchmark-board", apply_default_css=False),
    )
