"""Templates: the Jinja2 environment of scripts, model cards and reports. HTML is escaped, Python source is not.

In Python source every string that a person or a checkpoint has written passes through the filter `literal`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from demo.domain.choices import Role


def render(template: str, /, **context: Any) -> str:
    """A template of this folder, filled in. template: its path, as in "templates/transformers.py.jinja"."""
    return _environment().get_template(template).render(context)


def literal(text: str) -> str:
    """A Python string literal, in double quotes where the text has none."""
    source = repr(text)
    return source if '"' in source else f'"{source[1:-1]}"'


@cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: the first page does not wait for it

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: ".html" in (name or ""),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(literal=literal, repr=repr)
    environment.globals["Role"] = Role
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False}
    return environment
