"""`python -m demo article`: the article's experiment, beside the figures that are printed there."""

from __future__ import annotations

from typing import Any

import numpy as np

from demo.cli.app import app
from demo.cli.options import JsonOption, expand_options, make_lab, shared_options
from demo.cli.printing import print_json, print_line, wait_for_model
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Comparison, Kind
from demo.stages.article import PRINTED
from demo.studies.article import SEED, ArticleRow, run_article
from demo.wording.comparison import describe_verdict

_WAYS = {
    "article": "as the article reads it",
    "own": "by its own reading",
    "both": "as the article reads it, which is its own reading",
}
_GPT, _TUNED = PRINTED


@app.command(
    epilog="Examples:\n\npython -m demo article\n\n"
    "python -m demo article --model smollm2-135m-instruct-contrastive\n\n"
    "python -m demo article --model e5-mistral-7b-instruct --json"
)
@expand_options(model=shared_options("model"), machine=shared_options("device", "dtype", "weights", dtype="float32"))
def article(*, model: dict[str, Any], machine: dict[str, Any], as_json: JsonOption = False) -> None:
    """The article's experiment on a model: its four texts, its procedure, and its figures beside ours."""
    lab = make_lab(**machine)
    rows = wait_for_model(lambda: run_article(lab, **model))
    if as_json:
        print_json({"seed": SEED, "readings": [_to_dict(row) for row in rows]})
        return
    for row in rows:
        _print(row)


def _printed_for(comparison: Comparison) -> str:
    """The article's model whose figures stand beside: the same one, else the pure GPT or the tuned one."""
    model = comparison.reading.model
    if model in PRINTED:
        return model
    return _GPT if model not in CATALOG or CATALOG[model].kind is Kind.GPT else _TUNED


def _difference(row: ArticleRow) -> np.ndarray:
    return row.comparison.similarity - np.array(PRINTED[_printed_for(row.comparison)])


def _to_dict(row: ArticleRow) -> dict[str, Any]:
    beside = _printed_for(row.comparison)
    verdict, sentence, _ = describe_verdict("en", row.comparison)
    return {
        "way": row.way,
        "random_head": row.random_head,
        **row.comparison.to_dict(),
        "printed": {
            "model": beside,
            "same_model": beside == row.comparison.reading.model,
            "similarity": PRINTED[beside],
        },
        "difference": _difference(row).tolist(),
        "verdict": verdict,
        "verdict_sentence": sentence,
    }


def _print(row: ArticleRow) -> None:
    comparison, beside = row.comparison, _printed_for(row.comparison)
    origin = comparison.provenance
    print_line((f"{origin['model']}, {_WAYS[row.way]}", "bold"), (f"   {comparison.reading.label()}", "dim"))
    if row.random_head:
        print_line(
            f"  Its checkpoint has no LM head: as there, a random one was made up (normal numbers, seed {SEED}), and "
            "its logits are a random projection of the last token's state.",
        )
    other = "" if beside == comparison.reading.model else ", which the article measured instead"
    lines = {
        "here": _figures(comparison.similarity, 3),
        f"printed for {CATALOG[beside].name}{other}": _figures(PRINTED[beside], 2),
        "difference": _figures(_difference(row), 3, signed=True),
    }
    width = max(map(len, lines))
    for name, figures in lines.items():
        print_line((f"  {name:{width}}  ", "dim"), (figures, "bold" if name == "here" else ""))
    print_line("  ", describe_verdict("en", comparison)[1])
    print_line(
        (
            f"  revision {origin['revision']} · weights from {origin['source']}, {origin['weights_precision']} · "
            f"computed in {origin['precision']} on {origin['device']} · {origin['versions']}",
            "dim",
        )
    )
    for notice in comparison.notices:
        print_line((f"  {notice}", "yellow"))
    print_line()


def _figures(rows, digits: int, signed: bool = False) -> str:
    """`.353 .241 / .364 .258`: question 1 with both answers, then question 2."""

    def number(value: float) -> str:
        text = f"{value:{'+' if signed else ''}.{digits}f}".replace("0.", ".", 1)
        return text.replace("-", "−")

    return " / ".join(" ".join(number(float(value)) for value in row) for row in rows)
