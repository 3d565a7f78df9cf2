"""Text of the panel that explains a cell: two texts token by token, as values for its templates. Knows no widget.

Every token is a piece of a person's text: the templates escape it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

from demo.domain.datamodels import Pooling
from demo.domain.results import Explanation, Inspected
from demo.figures.explanation import MOST_TOKENS
from demo.ui.kit.html import render
from demo.ui.kit.i18n import translate, translate_phrase
from demo.wording.numbers import digits, fine_percent, two_digits

_FIRST, _LAST = 300, 100  # tokens that are shown of a longer text
_MOST_NUMBERED = 48  # with more tokens, shares are shown on hover and in the table only
_LONGEST_TEXT, _LONGEST_TOKEN = 240, 16  # characters
_SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]")
_MARKS = {" ": "␣", "\n": "↵", "\r": "↵", "\t": "⇥"}
_BLANK = re.compile(r"\s*")


def render_head(language: str, row: int, column: int, explanation: Explanation | None = None) -> str:
    """The cell, its two texts, and a button to close the panel."""
    texts, cosine = [], ""
    if explanation:
        cosine = two_digits(explanation.cosine)
        sides = (f"Q{row + 1}", explanation.question), (f"A{column + 1}", explanation.answer)
        texts = [(name, _shorten(side.text, _LONGEST_TEXT)) for name, side in sides]
    values = {"row": row + 1, "column": column + 1, "cosine": cosine, "texts": texts}
    return render("panels/explain/head.html", language, **values)


def render_explanation(language: str, explanation: Explanation) -> str:
    """The tokens that the model receives, their shares of the cosine, and the embeddings' next tokens."""
    pooling, method = explanation.reading.pooling, explanation.method
    if method == "decomposition" and pooling is Pooling.MAX:
        method = "decomposition_max"
    shares = np.concatenate([explanation.question_shares, explanation.answer_shares])
    largest = float(np.abs(shares).max()) if shares.size else 0.0
    top_tokens = (explanation.question_top_tokens, explanation.answer_top_tokens)
    likeliest = max((chance for side in top_tokens for _, chance in side), default=1.0) or 1.0
    return render(
        "panels/explain/explanation.html",
        language,
        mark=_mark,
        notices=[translate_phrase(language, notice) for notice in explanation.notices],
        legend_html=render_token_legend(language),
        method=translate(language, f"explain.{method}", cosine=two_digits(explanation.cosine), pooling=pooling.value),
        largest=digits(largest, 3),
        any_says=any(top_tokens),
        most_tokens=MOST_TOKENS,
        sides=[
            {
                "role": role,
                "n_tokens": len(side.tokens),
                "tokens_html": render_tokens(language, side, pooling),
                "prompted": side.prompted,
                "rewritten": side.text not in side.prompted,
                "says": [
                    (token, _shorten(token, _LONGEST_TOKEN), f"{chance / likeliest:.3f}", fine_percent(chance))
                    for token, chance in says
                ],
                **_share_values(side, shares, method != "leave_one_out", largest or 1.0),
            }
            for role, side, shares, says in (
                ("question", explanation.question, explanation.question_shares, top_tokens[0]),
                ("answer", explanation.answer, explanation.answer_shares, top_tokens[1]),
            )
        ],
    )


def render_token_legend(language: str) -> str:
    """The meaning of the marks of `render_tokens`."""
    return render("panels/explain/legend.html", language)


def render_tokens(language: str, side: Inspected, pooling: Pooling) -> str:
    """The tokens as the model receives them; special, surrounding and pooled ones are marked."""
    pooled, spelled = _pooled(side, pooling), list(_spell(side))
    tokens = []
    for place, left_out in _visible(range(len(side.tokens))):
        gap, text = spelled[place]
        css = {
            "ex-t": True,
            "ex-odd": place % 2,
            "ex-special": _SPECIAL.fullmatch(text),
            "ex-around": not side.inside[0] <= place < side.inside[1],
            "ex-pooled": place in pooled,
        }
        token = {"place": place, "left_out": left_out, "gap": gap, "text": text, "id": side.token_ids[place]}
        tokens.append({**token, "css": " ".join(name for name, holds in css.items() if holds)})
    return render("panels/explain/tokens.html", language, tokens=tokens, mark=_mark)


def _pooled(side: Inspected, pooling: Pooling) -> range:
    """The positions whose state is pooled: one of the span, or all of it."""
    start, end = side.pooled
    if pooling in (Pooling.LAST_TOKEN, Pooling.LAST_TOKEN_LOGITS):
        return range(end - 1, end)
    return range(start, start + 1) if pooling is Pooling.FIRST_TOKEN else range(start, end)


def _spell(side: Inspected) -> Iterator[tuple[str, str]]:
    """Each token behind the white space that some tokenizers leave out between tokens."""
    at = 0
    for token in side.tokens:
        blank = _BLANK.match(side.prompted, at).end()
        if side.prompted.startswith(token, at):
            gap, at = "", at + len(token)
        elif side.prompted.startswith(token, blank):
            gap, at = side.prompted[at:blank], blank + len(token)
        else:
            gap = ""  # a special token that stands for no characters, or one more piece of one character
        yield gap, token


def _share_values(side: Inspected, shares: np.ndarray, adds_up: bool, largest: float) -> dict[str, Any]:
    """One text's shares of the cosine, and their sum if there is more than the person's own tokens."""
    positions = range(*(side.pooled if adds_up else side.inside))
    values = []
    for place, left_out in _visible(positions):
        share = float(shares[place])
        css = "ex-s ex-minus" if share < 0 else "ex-s ex-plus"
        css += "" if side.inside[0] <= place < side.inside[1] else " ex-around"
        part = f"{abs(share) / largest:.3f}"
        values.append({"place": place, "left_out": left_out, "text": side.tokens[place], "css": css, "part": part})
        values[-1] |= {"exact": digits(share, 4), "short": digits(share, 3)}
    total = {}
    if adds_up and not (side.inside[0] <= side.pooled[0] and side.pooled[1] <= side.inside[1]):
        own, whole = round(float(shares[slice(*side.inside)].sum()), 2), round(float(shares.sum()), 2)
        total = {"own": two_digits(own), "around": two_digits(whole - own), "sum": two_digits(whole)}
    return {"shares": values, "numbered": len(positions) <= _MOST_NUMBERED, "sum": total}


def _visible(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(a position, how many are left out before it): all of them, or the first and the last ones of a long text."""
    shown = [*positions] if len(positions) <= _FIRST + _LAST else [*positions[:_FIRST], *positions[-_LAST:]]
    for before, place in zip([None, *shown], shown, strict=False):
        yield place, 0 if before is None else place - before - 1


def _mark(text: str) -> Markup:
    """Escaped, with visible white space."""
    marks = {char: f'<i class="ex-mark" aria-hidden="true">{mark}</i>' for char, mark in _MARKS.items()}
    return Markup("".join(marks.get(char) or escape(char) for char in text))


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
