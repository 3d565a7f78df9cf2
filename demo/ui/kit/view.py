"""Figure view: a component with any number of Plotly figures and a state, drawn by view.js. Knows no figure's content.

Its `tick` event requests a payload: while a job or a load is under way, and, if it follows the heatmap, after every new
heatmap; hidden, it costs nothing. `pick` is a click on a point. `opened` comes when its tab is first opened, and
when a script asks for it (`lab:reopen`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.errors import ModelLoading, NoTexts
from demo.ui.kit.i18n import translate, translate_group, translate_word
from demo.ui.kit.unexpected import explain_error
from demo.wording.remaining import describe_left

_HERE = Path(__file__).parent
_numbers = itertools.count(time.time_ns() // 1_000_000)  # higher than those of the page's last server


def create_view(name: str, follow: bool = False) -> gr.HTML:
    """The component, with elem_id `name`. follow: `tick` comes after every new heatmap, too.

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
    )


def next_seq() -> int:
    """A number that no payload has had: it tells a view that its request was answered."""
    return next(_numbers)


def show_view(
    language: str,
    seq: int,
    state: str,
    note: str = "",
    progress: float | None = None,
    figures: list[dict[str, Any]] | None = None,
    poll: bool = False,
    of: Mapping[str, Any] | None = None,
    left: str = "",
) -> dict[str, Any]:
    """A payload. state: idle, loading, running, ready, stale or error; without figures the last drawn ones stay.

    progress: 0…1, or None if unknown. left: the time that it still takes, in words. poll: `tick` comes again soon, as
    it does anyway while loading or running. of: the fields of the lab's form that the figures are the answer to; the
    browser dims them once others stand there.
    """
    payload = {
        "seq": seq,
        "state": state,
        "note": note,
        "progress": progress,
        "left": left,
        "poll": poll,
        "words": translate_group(language, "view"),
        "of": of,
    }
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
    """One figure of a payload. figure: a Plotly Figure or its dict, in which people's texts are escaped already.

    title and alt (for screen readers) are plain text. height: pixels; square: the space
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
    """In a payload, a figure that stays as it was drawn last, without its data."""
    return {"id": id}


def note_loading(language: str, model: str, stage: str) -> str:
    """`… is being loaded`: the note of a model on its way."""
    return translate(language, "heatmap.loading", model=model, stage=translate_word(language, "stage", stage))


def answer_view(language: str, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The payload of `answer`. An error becomes a sentence in the view; an unexpected one is logged as well."""
    try:
        return answer()
    except ModelLoading as error:
        note = note_loading(language, error.values["model"], error.values["stage"])
        left = describe_left(language, error.values.get("seconds_left"))
        return show_view(language, next_seq(), "loading", note, error.values.get("fraction"), left=left)
    except NoTexts:
        return show_view(language, next_seq(), "idle", translate(language, "view.empty"))
    except Exception as error:
        return show_view(language, next_seq(), "error", explain_error(language, error, "a view"))
