"""Why a cell is what it is, as HTML. Knows no widget and no lab.

Every token is a piece of a person's text: everything that comes from outside the locales is escaped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

import numpy as np

from demo.domain.datamodels import Pooling
from demo.domain.results import Explanation, Inspected
from demo.figures.explanation import MOST_TOKENS
from demo.ui.kit.i18n import translate, translate_phrase
from demo.wording.numbers import digits, fine_percent, two_digits

_HEAD, _TAIL = 300, 100  # tokens that are shown of a longer text
_MOST_NUMBERED = 48  # more tokens than this carry their share on hover and in the table only
_LONGEST_TEXT, _LONGEST_SAID = 240, 16  # characters
_SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]")
_MARKS = {" ": "␣", "\n": "↵", "\r": "↵", "\t": "⇥"}
_BLANK = re.compile(r"\s*")


def render_head(language: str, row: int, column: int, explanation: Explanation | None = None) -> str:
    """Which cell this is, its two texts, and the way out."""
    cell = translate(language, "explain.cell", row=row + 1, column=column + 1)
    texts = cosine = ""
    if explanation:
        cosine = f" <b>{two_digits(explanation.cosine)}</b>"
        lines = ((f"Q{row + 1}", explanation.question), (f"A{column + 1}", explanation.answer))
        texts = "".join(f"<p><b>{name}</b> {escape(_shortened(side.text, _LONGEST_TEXT))}</p>" for name, side in lines)
    close = escape(translate(language, "explain.close"))
    return (
        f'<div class="ex-top"><h2>{escape(cell)}{cosine}</h2>'
        f'<button type="button" class="ex-close">{close}</button></div>{texts}'
    )


def render_explanation(language: str, explanation: Explanation) -> str:
    """What the model receives, which tokens carry the cosine, and what the embeddings say."""
    notices = "".join(
        f'<p class="ex-notice" role="status">{escape(translate_phrase(language, notice))}</p>'
        for notice in explanation.notices
    )
    figure = translate(language, "explain.tokens_hint", count=MOST_TOKENS)
    return (
        notices
        + _section(language, "received", _received(language, explanation), render_token_legend(language))
        + _section(language, "shares", _shares(language, explanation), _shares_hint(language, explanation))
        + _section(language, "says", *_says(language, explanation))
        + _section(language, "tokens", "", f'<p class="hint">{escape(figure)}</p>')
    )


def _section(language: str, name: str, inner: str, hint: str) -> str:
    heading = escape(translate(language, f"explain.{name}"))
    return f'<section class="ex-{name}"><h3>{heading}</h3>{hint}<div class="ex-pair">{inner}</div></section>'


def _sides(language: str, explanation: Explanation) -> Iterator[tuple[str, Inspected, np.ndarray]]:
    yield translate(language, "explain.question"), explanation.question, explanation.question_shares
    yield translate(language, "explain.answer"), explanation.answer, explanation.answer_shares


# ---- what the model receives ------------------------------------------------------------------------------------


def _received(language: str, explanation: Explanation) -> str:
    copy, count = (translate(language, f"explain.{name}") for name in ("exact", "count"))
    return "".join(
        f"<div><h4>{escape(name)} <small>{escape(count.format(count=len(side.tokens)))}</small></h4>"
        f'<p class="ex-text">{render_tokens(language, side, explanation.reading.pooling)}</p>'
        f"<details><summary>{escape(copy)}</summary><pre>{escape(side.prompted)}</pre></details></div>"
        for name, side, _ in _sides(language, explanation)
    )


def render_token_legend(language: str) -> str:
    """What the marks of `render_tokens` mean."""
    said = {
        name: escape(translate(language, f"explain.legend_{name}")) for name in ("pooled", "special", "around", "marks")
    }
    return (
        f'<p class="ex-legend"><span class="ex-t ex-pooled">{said["pooled"]}</span>'
        f'<span class="ex-t ex-special">{said["special"]}</span><span class="ex-t ex-around">{said["around"]}</span>'
        f"<span>{said['marks']}</span></p>"
    )


def render_tokens(language: str, side: Inspected, pooling: Pooling) -> str:
    """The tokens as the model receives them: what is special, written around the text, pooled."""
    pooled = _pooled(side, pooling)
    html, before = [], None
    spelled = list(_spelled(side))
    for index in _shown(range(len(side.tokens))):
        if before is not None and index != before + 1:
            html.append(_left_out(language, index - before - 1))
        gap, token = spelled[index]
        names = ["ex-t", "ex-odd" if index % 2 else ""]
        names += ["ex-special" if _SPECIAL.fullmatch(token) else ""]
        names += ["" if side.inside[0] <= index < side.inside[1] else "ex-around"]
        names += ["ex-pooled" if index in pooled else ""]
        title = translate(language, "explain.token", number=index + 1, id=side.token_ids[index])
        classes = " ".join(filter(None, names))
        html.append(f'{_marked(gap)}<wbr><span class="{classes}" title="{escape(title)}">{_marked(token)}</span>')
        html.append("<br>" if "\n" in token else "")
        before = index
    return "".join(html)


def _pooled(side: Inspected, pooling: Pooling) -> range:
    """The positions whose state is pooled: one of the span, or all of it."""
    start, end = side.pooled
    if pooling in (Pooling.LAST_TOKEN, Pooling.LAST_TOKEN_LOGITS):
        return range(end - 1, end)
    return range(start, start + 1) if pooling is Pooling.FIRST_TOKEN else range(start, end)


def _spelled(side: Inspected) -> Iterator[tuple[str, str]]:
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


def _marked(text: str) -> str:
    """Escaped, with white space to be seen."""
    marks = {char: f'<i class="ex-mark" aria-hidden="true">{mark}</i>' for char, mark in _MARKS.items()}
    return "".join(marks.get(char) or escape(char) for char in text)


# ---- which tokens carry the cosine ------------------------------------------------------------------------------


def _shares_hint(language: str, explanation: Explanation) -> str:
    name, pooling = explanation.method, explanation.reading.pooling
    if name == "decomposition" and pooling is Pooling.MAX:
        name = "decomposition_max"
    values = {"cosine": two_digits(explanation.cosine), "pooling": pooling.value}
    largest = digits(_largest(explanation), 3)
    lowers, raises = (escape(translate(language, f"explain.{word}")) for word in ("lowers", "raises"))
    return (
        f'<p class="hint">{escape(translate(language, f"explain.{name}", **values))}</p>'
        f'<p class="ex-legend"><span>{lowers} −{largest}</span><i class="ex-ramp"></i>'
        f"<span>+{largest} {raises}</span></p>"
    )


def _largest(explanation: Explanation) -> float:
    shares = np.concatenate([explanation.question_shares, explanation.answer_shares])
    return float(np.abs(shares).max()) if shares.size else 0.0


def _shares(language: str, explanation: Explanation) -> str:
    adds_up = explanation.method == "decomposition"
    largest = _largest(explanation) or 1.0
    html = []
    for name, side, shares in _sides(language, explanation):
        positions = range(*(side.pooled if adds_up else side.inside))
        numbered = " ex-numbered" if len(positions) <= _MOST_NUMBERED else ""
        strip, before = [], None
        for index in _shown(positions):
            if before is not None and index != before + 1:
                strip.append(_left_out(language, index - before - 1))
            strip.append(_share(side, index, float(shares[index]), largest))
            before = index
        html.append(
            f'<div><h4>{escape(name)}</h4><p class="ex-strip{numbered}">{"".join(strip)}</p>'
            f"{_sum(language, side, shares) if adds_up else ''}{_table(language, side, positions, shares)}</div>"
        )
    return "".join(html)


def _share(side: Inspected, index: int, share: float, largest: float) -> str:
    token = side.tokens[index]
    classes = "ex-minus" if share < 0 else "ex-plus"
    if not side.inside[0] <= index < side.inside[1]:
        classes += " ex-around"
    return (
        f'<span class="ex-s {classes}" style="--share:{abs(share) / largest:.3f}" title="{digits(share, 4)}">'
        f"<span>{_marked(token) or '∅'}</span><small>{digits(share, 3)}</small></span>"
    )


def _sum(language: str, side: Inspected, shares: np.ndarray) -> str:
    """How much the person's own tokens carry, and how much what the prompt writes around them."""
    if side.inside[0] <= side.pooled[0] and side.pooled[1] <= side.inside[1]:
        return ""
    own, whole = round(float(shares[slice(*side.inside)].sum()), 2), round(float(shares.sum()), 2)
    values = {"own": two_digits(own), "around": two_digits(whole - own), "sum": two_digits(whole)}
    return f'<p class="hint">{escape(translate(language, "explain.sum", **values))}</p>'


def _table(language: str, side: Inspected, positions: range, shares: np.ndarray) -> str:
    head = "".join(f'<th scope="col">{escape(translate(language, f"explain.{name}"))}</th>' for name in ("t", "share"))
    rows = "".join(
        f'<tr><th scope="row">{index + 1}. {_marked(side.tokens[index])}</th>'
        f"<td>{digits(float(shares[index]), 4)}</td></tr>"
        for index in _shown(positions)
    )
    summary = escape(translate(language, "explain.table"))
    return f"<details><summary>{summary}</summary><div><table><tr>{head}</tr>{rows}</table></div></details>"


# ---- what the embedding says ------------------------------------------------------------------------------------


def _says(language: str, explanation: Explanation) -> tuple[str, str]:
    """Two bar lists and a sentence; for a model without an LM head the sentence alone."""
    said = (explanation.question_top_tokens, explanation.answer_top_tokens)
    if not any(said):
        return "", f'<p class="hint">{escape(translate(language, "explain.no_head"))}</p>'
    largest = max(share for side in said for _, share in side) or 1.0
    html = []
    for (name, _, _), tokens in zip(_sides(language, explanation), said, strict=True):
        items = "".join(
            f'<li><span class="ex-t" title="{escape(token)}">{_marked(_shortened(token, _LONGEST_SAID)) or "∅"}</span>'
            f'<i style="--share:{share / largest:.3f}"></i><span>{escape(fine_percent(share))}</span></li>'
            for token, share in tokens
        )
        html.append(f"<div><h4>{escape(name)}</h4><ol>{items}</ol></div>")
    return "".join(html), f'<p class="hint">{escape(translate(language, "explain.says_hint"))}</p>'


# ---- pieces -----------------------------------------------------------------------------------------------------


def _shown(positions: range) -> list[int]:
    """All positions, or the first and the last ones of a long text."""
    if len(positions) <= _HEAD + _TAIL:
        return list(positions)
    return [*positions[:_HEAD], *positions[-_TAIL:]]


def _left_out(language: str, count: int) -> str:
    return f'<em class="ex-left-out">{escape(translate(language, "explain.left_out", count=count))}</em>'


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
