"""InfoNCE, the loss of training, as a formula with the live numbers of one question. Knows no widget.

In MathML, which browsers draw without a script from another host.
"""

from __future__ import annotations

from html import escape

import numpy as np

from demo.domain.recipe import TrainStep
from demo.ui.kit.i18n import translate
from demo.ui.tabs.train.runs import Run
from demo.wording.numbers import digits

_L, _EQUALS, _TAU = "<mi>L</mi>", "<mo>=</mo>", "<mi>τ</mi>"
_D_PLUS, _D_J = "<msup><mi>d</mi><mo>+</mo></msup>", "<msub><mi>d</mi><mi>j</mi></msub>"
_OPEN, _CLOSE = '<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>'
_COS = f"<mi>cos</mi>{_OPEN}<mi>q</mi><mo>,</mo>{{}}{_CLOSE}<mo>/</mo>{_TAU}"


def render_formula(language: str, run: Run | None) -> str:
    """The loss as a formula; under it, with the numbers of the first question in the last step's batch."""
    words = {name: translate(language, f"train.formula.{name}") for name in ("title", "legend")}
    live = ""
    if run is not None and run.steps:
        live = _render_example(language, run.steps[-1], run.recipe.temperature)
    legend = f'<p class="hint">{escape(words["legend"])}</p>'
    return f"<h3>{escape(words['title'])}</h3><section><div>{render_loss()}{legend}</div>{live}</section>"


def render_loss() -> str:
    """L = −log( e^{cos(q,d⁺)/τ} / Σⱼ e^{cos(q,dⱼ)/τ} ): InfoNCE, arXiv 1807.03748."""
    total = f'<munder><mo movablelimits="false">∑</mo><mi>j</mi></munder>{_power(_COS.format(_D_J))}'
    return _math(f"{_L}{_EQUALS}{_minus_log(_fraction(_power(_COS.format(_D_PLUS)), total))}")


def _math(inner: str) -> str:
    return f'<math display="block"><mrow>{inner}</mrow></math>'


def _power(exponent: str) -> str:
    return f"<msup><mi>e</mi><mrow>{exponent}</mrow></msup>"


def _fraction(above: str, below: str) -> str:
    return f"<mfrac><mrow>{above}</mrow><mrow>{below}</mrow></mfrac>"


def _minus_log(inner: str) -> str:
    return f"<mo>−</mo><mi>log</mi><mrow><mo>(</mo>{inner}<mo>)</mo></mrow>"


def _render_example(language: str, step: TrainStep, temperature: float) -> str:
    """One row of the batch with its numbers, as a formula and in words."""
    cosines = np.asarray(step.example, dtype=np.float64)
    right, wrong = cosines[0], cosines[1:]
    parts = np.exp(cosines / temperature)
    share = parts[0] / parts.sum()
    loss = float(np.log(1 / share))
    tau = plain(temperature)
    over = [
        _power(f"<mn>{digits(value, 3)}</mn><mo>/</mo><mn>{tau}</mn>") for value in (right, wrong.max(initial=-1.0))
    ]
    more = "<mo>+</mo><mi>…</mi>" if len(wrong) > 1 else ""
    powers = _minus_log(_fraction(over[0], f"{over[0]}<mo>+</mo>{over[1]}{more}"))
    sums = _minus_log(_fraction(_large(parts[0]), _large(parts.sum())))
    numbers = _math(f"{_L}{_EQUALS}{powers}") + _math(f"{_L}{_EQUALS}{sums}{_EQUALS}<mn>{loss:.2f}</mn>")
    facts = (
        ("right", digits(right, 3)),
        ("wrong", digits(wrong.max(initial=-1.0), 3)),
        ("tau", tau),
        ("sum", f"{parts.sum():,.0f}"),
        ("row", f"{loss:.2f}"),
    )
    items = "".join(
        f'<div id="train-example-{name}"><dt>{escape(translate(language, f"train.example.{name}"))}</dt>'
        f"<dd>{escape(value)}</dd></div>"
        for name, value in facts
    )
    words = translate(
        language,
        "train.example.words",
        step=step.step,
        right=digits(right, 3),
        wrong=digits(wrong.max(initial=-1.0), 3),
        others=len(wrong),
        share=_percent(share),
        loss=f"{loss:.2f}",
        count=len(cosines),
        guess=f"{np.log(len(cosines)):.2f}",
        batch=f"{step.loss:.2f}",
    )
    return f"<div>{numbers}<dl>{items}</dl></div><p>{escape(words)}</p>"


def _large(value: float) -> str:
    """A large number in MathML: 12,345 or 1.23 · 10⁷."""
    if value < 1e6:
        return f"<mn>{value:,.0f}</mn>" if value >= 10 else f"<mn>{value:.2f}</mn>"
    power = int(np.floor(np.log10(value)))
    return f"<mn>{value / 10**power:.2f}</mn><mo>·</mo><msup><mn>10</mn><mn>{power}</mn></msup>"


def plain(value: float) -> str:
    """.0012: two significant digits without an exponent."""
    return f"{float(f'{value:.2g}'):.6f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "< 0.1%"
