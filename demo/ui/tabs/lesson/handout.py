"""The lesson's handout as a page that prints on A4: examples/lesson.md in the reader's language."""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from demo.domain.example_files import EXAMPLES
from demo.ui.kit.html import render
from demo.ui.kit.i18n import choose_language

HANDOUT = "handout"  # its address, below the page's
_FILES = {"en": "lesson.md", "ko": "lesson.ko.md"}


def handout_route() -> Route:
    """Serves it: an `async def`, so that a short page waits for no thread."""

    async def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(render_handout(choose_language(request)))

    return Route(f"/{HANDOUT}", answer)


@cache
def render_handout(language: str) -> str:
    """The whole page. The file is this project's own, HTML included."""
    from markdown_it import MarkdownIt  # here: hardly a visit asks for it

    text = (EXAMPLES / _FILES[language]).read_text(encoding="utf-8")
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return render("tabs/lesson/handout.html", language, body_html=html, other="ko" if language == "en" else "en")
