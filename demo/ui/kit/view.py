"""A view: any number of Plotly figures with their state, drawn by view.js. Computes nothing, knows no figure's content.

A view that follows the heatmap asks by its `tick` event for what it should show, whenever the heatmap has a new answer
and the view is looked at; hidden, it costs nothing. A click on a point is its `pick` event. Its `opened` event comes
once, when its tab is opened for the first time: who never opens it need not be told what its boxes offer.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError, ModelLoading, NoTexts
from demo.ui.kit.i18n import LOCALES, translate, translate_error, translate_word
from demo.ui.kit.unexpected import report_unexpected

_HERE = Path(__file__).parent
_PREFIX = "view."
_numbers = itertools.count(time.time_ns() // 1_000_000)  # goes on where the page's last server stopped, and beyond


def create_view(name: str, follow: bool = False, **html_args: Any) -> gr.HTML:
    """The component, with elem_id `name`. follow: it asks anew (`tick`) after every new heatmap.

    Wire it with `gr.on([view.tick, …], fn, outputs=[view, …])`; `view.pick(fn)` where fn takes a gr.EventData with
    `figure` (its id) and `point` (the point's customdata, else [x, y]).
    """
    template = (_HERE / "view.html").read_text(encoding="utf-8")
    return gr.HTML(
        value=None,
        elem_id=name,
        html_template=template.replace("DATA_LIVE", "data-live" if follow else ""),
        js_on_load=(_HERE / "view.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **html_args,
    )


def next_seq() -> int:
    """A number that no payload has had: by it a view knows that its question was answered."""
    return next(_numbers)


def show_view(
    language: str,
    seq: int,
    state: str,
    note: str = "",
    progress: float | None = None,
    figures: list[dict[str, Any]] | None = None,
    poll: bool = False,
) -> dict[str, Any]:
    """A payload. state: idle, loading, running, ready, stale or error; without figures the last drawn ones stay.

    progress: 0…1, or None where it cannot be known. poll: the view asks again (`tick`) soon, as it does by itself
    while loading or running.
    """
    payload = {"seq": seq, "state": state, "note": note, "progress": progress, "poll": poll, "words": _words(language)}
    return payload if figures is None else {**payload, "figures": figures}


def figure_payload(
    id: str,
    figure: Any,
    title: str,
    alt: str,
    height: int = 420,
    square: bool = False,
    table: dict[str, list] | None = None,
) -> dict[str, Any]:
    """One figure of a payload. figure: a Plotly Figure or its dict, where people's texts are escaped already.

    title and alt (what a screen reader says of the picture) are plain text. height: pixels; square: the space
    between the margins is as high as wide, and the whole no wider than `height`. table: {"head": [...], "rows":
    [[...], ...]}, plain text, for "Show as table".
    """
    drawn = figure if isinstance(figure, dict) else figure.to_dict()
    layout = {name: value for name, value in drawn.get("layout", {}).items() if name != "template"}
    return {
        "id": id,
        "figure": {"data": drawn["data"], "layout": layout},
        "title": title,
        "alt": alt,
        "height": height,
        "square": square,
        "table": table,
    }


def captioned_figure(
    language: str, id: str, key: str, figure: Any, height: int, head: list[str], rows: list[list[str]], **values: Any
) -> dict[str, Any]:
    """One figure of a payload, whose title and alternative text are the sentences `{key}.figure` and `{key}.alt`.

    head, rows: the table for "Show as table". values: what stands in the sentences.
    """
    title, alt = (translate(language, f"{key}.{part}", **values) for part in ("figure", "alt"))
    return figure_payload(id, figure, title, alt, height=height, table={"head": head, "rows": rows})


def keep_figure(id: str) -> dict[str, Any]:
    """In a payload, a figure that stays as it was drawn last: what has not changed is not sent again."""
    return {"id": id}


def answer_view(language: str, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """answer()'s payload. What went wrong becomes a sentence in the view; what nobody expected is logged as well."""
    try:
        return answer()
    except ModelLoading as error:
        stage = translate_word(language, "stage", error.values["stage"])
        note = translate(language, "heatmap.loading", model=error.values["model"], stage=stage)
        return show_view(language, next_seq(), "loading", note, error.values.get("fraction"))
    except NoTexts:
        return show_view(language, next_seq(), "idle", translate(language, "view.empty"))
    except DemoError as error:
        return show_view(language, next_seq(), "error", translate_error(language, error))
    except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
        return show_view(language, next_seq(), "error", report_unexpected(language, error, "a view"))


def _words(language: str) -> dict[str, str]:
    keys = (key for key in LOCALES["en"] if key.startswith(_PREFIX))
    return {key.removeprefix(_PREFIX): translate(language, key) for key in keys}
