"""The Space tab's widgets: all texts as points, and how far the cloud is from round. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.analysis.projection import umap_available
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view

DIMENSIONS = ("2d", "3d")
METHODS = ("pca", "umap") if umap_available() else ("pca",)


@dataclass(frozen=True)
class SpaceWidgets:
    """What the tab can read and write."""

    dimensions: gr.Radio
    method: gr.Radio
    view: gr.HTML
    facts: gr.HTML
    notices: gr.HTML

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        return {"space_dimensions": self.dimensions, "space_method": self.method}


def create_space_tab(settings: Settings) -> SpaceWidgets:
    """The widgets, inside the tab that is being built."""
    with gr.Row(elem_id="space-choices", elem_classes="choices-row"):
        dimensions = _create_choice("space_dimensions", DIMENSIONS)
        method = _create_choice("space_method", METHODS)
    return SpaceWidgets(
        dimensions=dimensions,
        method=method,
        view=create_view("space", follow=True),
        facts=gr.HTML(elem_id="space-facts", elem_classes="facts", apply_default_css=False),
        notices=gr.HTML(elem_id="space-notices", apply_default_css=False),
    )


def _create_choice(name: str, values: tuple[str, ...]) -> gr.Radio:
    return gr.Radio(
        [(label(f"{name}_{value}"), value) for value in values],
        value=values[0],
        label=label(name),
        elem_id=name.replace("_", "-"),
        elem_classes="segments",
        interactive=True,
        visible=len(values) > 1,
    )
