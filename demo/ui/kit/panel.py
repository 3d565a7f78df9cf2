"""Component registry: the widgets of one tab or panel by name, with element id and labels derived from that name.

One line adds a widget to the Sweep tab, whose registry is `panel = Panel("sweep")`:

    panel.create("figure", gr.Radio, choices=["auc", "margin"], interactive=True)

Its element id is `sweep-figure`. Its label is `label.sweep_figure` in the locales; its hint (`…_info`), placeholder
(`…_placeholder`) and choices (`…_auc`, `…_margin`) are labelled where the locales have such keys. Handlers read it as
`panel.figure`, and the page relabels it when the address names another language than the browser.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Sequence
from typing import Any

import gradio as gr

from demo.ui.gradio.private import unchecked
from demo.ui.kit.i18n import LOCALES, label, translate

# Its value may lie beyond the maximum that Gradio's server knows: each model has a layer count and each run a number of
# steps of its own, which the browser has first. Handlers check it.
UncheckedSlider = unchecked(gr.Slider)


class Panel:
    """Widgets by name, as attributes. prefix: what their ids and labels begin with; "" for the lab's own widgets."""

    def __init__(self, prefix: str = ""):
        self._prefix = prefix
        self._widgets: dict[str, gr.blocks.Block] = {}
        self.labelled: dict[str, gr.blocks.Block] = {}  # by label name

    def create(self, name: str, kind: Callable[..., Any], key: str = "", **options: Any) -> Any:
        """A new widget of a Gradio class, where it is called. Explicit options win over the derived id and labels.

        key: what id and labels are derived from, if not from the panel's prefix and the widget's name.
        """
        key = key or "_".join(filter(None, (self._prefix, name)))
        labels = _labels(key, kind, options.get("choices", ()), label)
        if "choices" in labels:
            options = {**options, "choices": labels["choices"]}
        widget = kind(**{"elem_id": key.replace("_", "-"), **labels, **options})
        if labels:
            self.labelled[key] = widget
        return self.put(name, widget)

    def create_html(self, name: str, **options: Any) -> gr.HTML:
        """Room for HTML that handlers render."""
        return self.create(name, gr.HTML, apply_default_css=False, **options)

    def create_button(self, name: str, **options: Any) -> gr.Button:
        """A small button."""
        return self.create(name, gr.Button, **{"size": "sm", "min_width": 0, **options})

    def create_choice(self, name: str, choices: Sequence[str], **options: Any) -> gr.Radio:
        """A row of segments, exactly one of which is on; at first the first one."""
        options = {"value": choices[0], "elem_classes": "segments", "interactive": True, **options}
        return self.create(name, gr.Radio, choices=list(choices), **options)

    def put(self, name: str, widget: Any) -> Any:
        """Registers a widget that was built elsewhere, for example a figure view."""
        if hasattr(self, name):
            raise ValueError(f"{name!r} is taken")
        self._widgets[name] = widget
        return widget

    def select(self, *names: str) -> list[Any]:
        """Several widgets, as the inputs or outputs of an event."""
        return [self._widgets[name] for name in names]

    def items(self) -> ItemsView[str, gr.blocks.Block]:
        """All names with their widgets, in the order of creation."""
        return self._widgets.items()

    def __getattr__(self, name: str) -> Any:  # only for what is no attribute or method
        if name.startswith("_") or name not in self._widgets:
            raise AttributeError(f"no widget {name!r}")
        return self._widgets[name]


def relabel(language: str, key: str, widget: gr.blocks.Block) -> dict[str, Any]:
    """The update that puts a widget's labels into a language. key: its label's name."""
    choices = [value for _, value in getattr(widget, "choices", None) or ()]
    return gr.update(**_labels(key, type(widget), choices, lambda name: translate(language, f"label.{name}")))


def _labels(
    key: str, kind: Callable[..., Any], choices: Sequence[Any], text_of: Callable[[str], Any]
) -> dict[str, Any]:
    """The labels that the locales have for a widget, by its constructor's options."""
    names = {"value" if kind is gr.Button else "label": key}
    names |= {option: f"{key}_{option}" for option in ("info", "placeholder")}
    labels = {option: text_of(name) for option, name in names.items() if f"label.{name}" in LOCALES["en"]}
    if any(f"label.{key}_{value}" in LOCALES["en"] for value in choices):
        labels["choices"] = [(text_of(f"{key}_{value}"), value) for value in choices]
    return labels
