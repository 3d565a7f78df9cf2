"""InfoNCE, the loss of training, as a formula with the live numbers of one question. Knows no widget.

L = −log( e^{cos(q,d⁺)/τ} / Σⱼ e^{cos(q,dⱼ)/τ} ), arXiv 1807.03748; in MathML, which browsers draw without a script.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from demo.domain.recipe import TrainStep
from demo.ui.kit.html import render
from demo.ui.kit.i18n import DEFAULT_LANGUAGE
from demo.ui.tabs.train.runs import Run
from demo.wording.numbers import digits


def render_formula(language: str, run: Run | None) -> str:
    """The loss as a formula; under it, with the numbers of the first question in the last step's batch."""
    example = _example(run.steps[-1], run.recipe.temperature) if run is not None and run.steps else None
    return render("tabs/train/formula.html", language, example=example, alone=False)


def render_loss() -> str:
    """The formula alone."""
    return render("tabs/train/formula.html", DEFAULT_LANGUAGE, alone=True)


def plain(value: float) -> str:
    """.0012: two significant digits without an exponent."""
    return f"{float(f'{value:.2g}'):.6f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def _example(step: TrainStep, temperature: float) -> dict[str, Any]:
    """One row of the batch in numbers. step.example: float32 (k,), a question's cosines, the right one first."""
    cosines = np.asarray(step.example, dtype=np.float64)
    powers = np.exp(cosines / temperature)
    share = powers[0] / powers.sum()
    loss = f"{np.log(1 / share):.2f}"
    return {
        "step": step.step,
        "right": digits(cosines[0], 3),
        "wrong": digits(cosines[1:].max(initial=-1.0), 3),
        "others": len(cosines) - 1,
        "tau": plain(temperature),
        "e_right": _large(powers[0]),
        "e_sum": _large(powers.sum()),
        "sum": f"{powers.sum():,.0f}",
        "share": f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "< 0.1%",
        "row": loss,
        "loss": loss,
        "count": len(cosines),
        "guess": f"{np.log(len(cosines)):.2f}",
        "batch": f"{step.loss:.2f}",
    }


def _large(value: float) -> tuple[str, int]:
    """(digits, power of ten): 12,345 or 1.23 · 10⁷."""
    if value < 1e6:
        return f"{value:,.0f}" if value >= 10 else f"{value:.2f}", 0
    power = int(np.floor(np.log10(value)))
    return f"{value / 10**power:.2f}", power
