"""Jinja2 environment for HTML fragments: templates stand beside the tab or panel that renders them.

Autoescape is on: a text of a person that a template writes never becomes markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from demo.ui.kit.i18n import translate

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, language: str, **values: Any) -> str:
    """A fragment. template: its path under demo/ui. In it, `t(key, **values)` is a sentence of the locales.

    Values whose names end in `_html` were rendered before; templates write them as they are.
    """
    return (
        _ENVIRONMENT.get_template(template).render(t=partial(translate, language), language=language, **values).strip()
    )


def render_table(
    language: str, caption: str, heads: Sequence[str], rows: Sequence[Mapping[str, Any]], css: str = ""
) -> str:
    """A table that a small screen shows as cards. heads: of all columns, that of the rows' heads first.

    rows: `head` or `head_html`, `cells` or `note_html` (one cell for all columns), and optionally `css`.
    """
    return render("kit/table.html", language, caption=caption, heads=heads, rows=rows, css=css)


@dataclass(frozen=True)
class Cell:
    """A cell of a table of texts, or of its head."""

    text: str
    small: str = ""
    number: str = ""  # of the text, as Q3
    cosine: str = ""
    css: str = ""


def render_cells(language: str, caption: str, head: Iterable[Cell], rows: Iterable[Iterable[Cell]]) -> str:
    """A table of texts, in room of its own that scrolls."""
    return render("kit/cells.html", language, caption=caption, head=head, rows=rows)


def render_paragraph(text: str) -> str:
    """Plain text as a paragraph; nothing for no text."""
    return f"<p>{escape(text)}</p>" if text else ""
