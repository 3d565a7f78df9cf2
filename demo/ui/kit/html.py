"""Jinja2 environment for HTML fragments: templates stand beside the tab or panel that renders them.

Autoescape is on: a text of a person that a template writes never becomes markup.
"""

from __future__ import annotations

from functools import partial
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

    HTML that was rendered before is passed as markupsafe.Markup.
    """
    return _ENVIRONMENT.get_template(template).render(t=partial(translate, language), **values)
