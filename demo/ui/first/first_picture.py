"""First paint: middleware that writes the first set's heatmap into the page itself, as plain HTML.

A browser needs two seconds and more until Gradio and Plotly have built the page. The server has the answer to what the
page opens with long before that, so it comes with the first response and stands where the page will draw it; the script
in the template takes it away once the page has drawn its own.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence

from plotly.colors import sample_colorscale
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.datamodels import LAST_LAYER, Comparison
from demo.domain.errors import DemoError
from demo.figures.layout import COLORSCALE, is_dark
from demo.figures.similarity import draw_similarity
from demo.lab import Lab
from demo.ui.gradio.theme import theme_colors
from demo.ui.kit.html import render
from demo.ui.kit.i18n import choose_language, translate_group
from demo.ui.kit.text import render_verdict
from demo.ui.live.examples import load_examples
from demo.ui.recipes.recipes import Recipe, chosen_recipe, list_recipes, render_turn
from demo.wording.numbers import two_digits

_BODY = re.compile(rb"<body\b[^>]*>")
_POLL_SECONDS = 0.2
_LARGEST_CELL, _AROUND = 400, (366, 420)  # pixels, as heatmap.js has them

logger = logging.getLogger("demo")


class FirstPicture:
    """Around the page. A page whose address says more than its language opens with other texts, and gets none.

    views: the names of the tabs. The comparison is computed once, when somebody has loaded the model; no page waits.
    """

    def __init__(self, app: ASGIApp, lab: Lab, views: Mapping[str, object]):
        self.app = app
        self._views = tuple(views)
        self._lab = lab
        self._comparison: Comparison | None = None
        self._rendered: dict[str, bytes] = {}  # by language
        # Elsewhere no texts are sent before somebody has opened the page; a lent GPU is not used up for it.
        here = not lab.settings.model.startswith("remote:") and lab.settings.engine != "zerogpu"
        if lab.settings.live and here:
            threading.Thread(target=self._compute, args=(lab,), name="first picture", daemon=True).start()

    def _compute(self, lab: Lab) -> None:
        article = next(iter(load_examples().values()))
        try:
            while lab.engine.loaded(lab.settings.model) is None:
                time.sleep(_POLL_SECONDS)
            self._comparison = lab.compare(article.questions, article.answers, matches=article.matches or None)
        except DemoError as error:
            logger.info("the page opens without a first picture: %s", type(error).__name__)

    def _render(self, language: str) -> bytes:
        model = self._lab.settings.model
        statuses = {status.model: status for status in self._lab.models()}
        info = self._lab.engine.loaded(model)
        recipes = list_recipes(statuses, model, model, info)
        form = self._comparison.reading.to_dict() | {"model": model}
        if form["layer"] == LAST_LAYER and info:
            form["layer"] = info.n_layers
        chosen = chosen_recipe(recipes, form, info)
        return render_first_picture(language, self._comparison, self._views, recipes, chosen).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET"
        request = Request(scope) if plain else None
        if request is None or self._comparison is None or set(request.query_params) - {"lang"}:
            return await self.app(scope, receive, send)
        language = choose_language(request)
        if language not in self._rendered:
            self._rendered[language] = self._render(language)
        page: list[Message] = []  # held back until it is complete

        async def insert(message: Message) -> None:
            page.append(message)
            if message["type"] == "http.response.start" or message.get("more_body"):
                return
            whole = b"".join(part.get("body", b"") for part in page[1:])
            body = _BODY.search(whole)
            if body:
                whole = whole[: body.end()] + self._rendered[language] + whole[body.end() :]
            headers = [(name, value) for name, value in page[0]["headers"] if name.lower() != b"content-length"]
            await send({**page[0], "headers": [*headers, (b"content-length", b"%d" % len(whole))]})
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, insert)


def render_first_picture(
    language: str,
    comparison: Comparison,
    views: Sequence[str],
    recipes: Sequence[Recipe] = (),
    chosen: str = "",
) -> str:
    """The heatmap with its texts and its verdict, as HTML that needs no file and no script to be seen."""
    article = next(iter(load_examples().values()))
    figure = draw_similarity(comparison)["data"][0]
    low, high = figure["zmin"], figure["zmax"]
    shares = ((comparison.similarity - low) / (high - low)).clip(0, 1)
    paints = [sample_colorscale(COLORSCALE, [float(share) for share in row]) for row in shares]
    rows = [
        [
            {
                "paint": paint,
                "dark": is_dark(paint),
                "text": two_digits(float(value)),
                "match": (i, j) in comparison.pairing.matches,
            }
            for j, (paint, value) in enumerate(zip(paints[i], comparison.similarity[i], strict=True))
        ]
        for i in range(len(paints))
    ]
    return render(
        "first/first_picture.html",
        language,
        views=views,
        recipes=[recipe.name for recipe in recipes] if len(recipes) > 1 else [],
        chosen=chosen,
        set_title=article.title[language],
        teaches=article.teaches[language],
        rows=rows,
        questions=comparison.pairing.questions,
        answers=comparison.pairing.answers,
        low=two_digits(low),
        high=two_digits(high),
        ramp=", ".join(sample_colorscale(COLORSCALE, 9)),
        outlined=translate_group(language, "heatmap")["outlined"],
        verdict_html=render_verdict(language, comparison) + render_turn(language, recipes, chosen),
        largest=_LARGEST_CELL,
        around=_AROUND,
        light=theme_colors(dark=False),
        dark=theme_colors(dark=True),
    )
