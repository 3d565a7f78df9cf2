"""A panel's widgets by name: ids, labels, relabelling."""

from __future__ import annotations

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.ui.kit.i18n import label  # noqa: E402
from demo.ui.kit.panel import Panel, UncheckedSlider, relabel  # noqa: E402
from tests import ROOT  # noqa: E402


@pytest.fixture
def panel() -> Panel:
    with gr.Blocks(analytics_enabled=False):
        panel = Panel("sweep")
        panel.create_choice("figure", ("auc", "margin"))
        panel.create_button("run", variant="primary")
        panel.create_html("upload_note")
        panel.create_button("use_best", value=label("sweep_use"))
    return panel


def test_ids_and_labels_are_derived_from_names(panel):
    assert [widget.elem_id for _, widget in panel.items()] == [
        "sweep-figure",
        "sweep-run",
        "sweep-upload-note",
        "sweep-use-best",
    ]
    assert str(panel.figure.label) == str(label("sweep_figure"))
    choices = [(str(text), value) for text, value in panel.figure.choices]
    assert choices == [(str(label(f"sweep_figure_{name}")), name) for name in ("auc", "margin")]
    assert [str(button.value) for button in (panel.run, panel.use_best)] == [
        str(label(name)) for name in ("sweep_run", "sweep_use")
    ]
    assert panel.select("run", "figure") == [panel.run, panel.figure]
    assert set(panel.labelled) == {"sweep_figure", "sweep_run"}


def test_labels_are_put_into_the_addresss_language(panel):
    assert relabel("ko", "sweep_run", panel.run)["value"] == "훑기"
    update = relabel("en", "sweep_figure", panel.figure)
    assert [value for _, value in update["choices"]] == ["auc", "margin"]
    assert all(isinstance(name, str) for name, _ in update["choices"])


def test_name_is_registered_once_and_hides_no_method(panel):
    for name in ("run", "create", "labelled"):
        with pytest.raises(ValueError, match=name):
            panel.put(name, gr.HTML())
    with pytest.raises(AttributeError, match="nothing"):
        _ = panel.nothing


def test_an_unchecked_slider_stays_so_when_gradio_rebuilds_it():
    with gr.Blocks() as page:
        slider = UncheckedSlider(minimum=0, maximum=6, value=3)
    rebuilt = type(slider)(**{**slider.constructor_args, "maximum": 2})
    assert (slider.preprocess(30), rebuilt.preprocess(30)) == (30, 30)
    assert "slider" in {each["type"] for each in page.get_config_file()["components"]}
    assert not list((ROOT / "demo").rglob("*.pyi")), "Gradio writes one beside a subclass"
