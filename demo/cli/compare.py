"""`python -m demo compare`: every question with every answer."""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.app import app
from demo.cli.options import MACHINE_OPTIONS, OUTPUT, READING_OPTIONS, JsonOption, expand_options, gather, make_lab
from demo.cli.printing import decimal, note, print_json, print_line, print_plain, wait_for_model
from demo.domain.datamodels import Comparison
from demo.domain.errors import BadInput
from demo.domain.results import LargeComparison
from demo.export.vectors import WRITERS, write_matrix
from demo.lab import Lab
from demo.studies.article import ANSWERS, QUESTIONS

SAVED = (*WRITERS, ".html")


class Language(str, Enum):
    """The report's."""

    ENGLISH = "en"
    KOREAN = "ko"


@app.command(
    epilog="Examples:\n\n"
    "python -m demo compare\n\n"
    'python -m demo compare --question "What is GPU?" --answer "A processor." --answer "A city." --pooling mean\n\n'
    "python -m demo compare --prompt prompteol --pooling last_token --postprocess zscore\n\n"
    "python -m demo compare --questions-file q.txt --answers-file a.txt --model all-minilm-l6-v2 --csv > matrix.csv\n\n"
    "python -m demo compare --out report.html"
)
@expand_options(reading=READING_OPTIONS, machine=MACHINE_OPTIONS)
def compare(
    *,
    question: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A question; repeat it for more.")] = None,
    answer: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="An answer; repeat it for more.")] = None,
    questions_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one question a line.")
    ] = None,
    answers_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one answer a line.")
    ] = None,
    reading: dict[str, Any],
    matches: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS",
            help='Which answer belongs to which question, like "1-2, 2-1"; without it, 1-1, 2-2 and so on.',
        ),
    ] = None,
    machine: dict[str, Any],
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print the matrix as CSV: questions down, answers across.", rich_help_panel=OUTPUT),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Write a file too, by its ending: {', '.join(SAVED)}. An .html is a report that prints on A4.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    language: Annotated[
        Language, typer.Option(metavar="NAME", help="Of the report: en or ko.", rich_help_panel=OUTPUT)
    ] = Language.ENGLISH,
) -> None:
    """Compare every question with every answer. Without any texts, those of the article."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of the two", param_hint="--json, --csv")
    if out is not None and out.suffix not in SAVED:
        raise BadInput(problem=f"“{out}” has no known ending. Accepted: names that end in {', '.join(SAVED)}.")
    questions, answers = gather(question, questions_file), gather(answer, answers_file)
    if questions is None and answers is None:
        questions, answers = list(QUESTIONS), list(ANSWERS)
    lab = make_lab(**machine)
    comparison = wait_for_model(
        lambda: lab.compare(questions or [], answers or [], matches=matches, wait=False, **reading)
    )
    if out is not None:
        save(lab, lab.compare_large(comparison.pairing, **reading), out, language.value)
        note(f"{comparison.reading.label()} → {out}")
    if as_json:
        print_json(comparison.to_dict())
    elif as_csv:
        print_plain(render_csv(comparison))
        for notice in comparison.notices:
            note(notice)
    else:
        print_comparison(comparison)


def save(lab: Lab, found: LargeComparison, out: Path, language: str) -> None:
    """A comparison as a file of the kind that its name says. Raises BadInput where it cannot be written."""
    try:
        if out.suffix == ".html":
            from demo.export.report import (  # here: it loads Plotly, and no other command needs that
                prepare_report,
                render_report,
            )

            reported = prepare_report(language, found, lab.open(found.reading.model), "fit", lab.code)
            out.write_text(render_report(language, reported), encoding="utf-8")
        else:
            WRITERS[out.suffix](found, out)
    except OSError as error:
        raise BadInput(problem=f"{out} cannot be written: {error.strerror or error}.") from error


def render_csv(comparison: Comparison) -> str:
    """The matrix as a CSV file holds it."""
    out = io.StringIO()
    write_matrix(comparison, out)
    return out.getvalue()


def print_comparison(comparison: Comparison) -> None:
    """The article's two lines a pair, the metrics, and where the numbers come from."""
    matches = comparison.pairing.matches
    for i, question in enumerate(comparison.questions):
        for j, answer in enumerate(comparison.answers):
            value = f"{comparison.similarity[i, j]:.4f}"
            matching = (i, j) in matches
            print_line(("question: ", "dim"), question, (" and ans: ", "dim"), answer)
            print_line(
                ("result: ", "dim"), (value, "bold green" if matching else ""), (" ← matching pair" * matching, "green")
            )
    numbers = comparison.metrics
    found = "–" if numbers.found_first is None else f"{numbers.found_first} of {numbers.n_matched}"
    shown = {
        "matching pairs": decimal(numbers.matching_mean),
        "other pairs": decimal(numbers.other_mean),
        "margin": decimal(numbers.margin),
        "found first": found,
        "AUC": decimal(numbers.auc),
    }
    print_line()
    print_line(*[part for name, value in shown.items() for part in ((f"{name} ", "dim"), (f"{value}   ", "bold"))])
    origin = comparison.provenance
    print_line(
        (
            f"{comparison.reading.label()} · revision {origin['revision']} · weights from {origin['source']}, "
            f"{origin['weights_precision']} · computed in {origin['precision']} on {origin['device']} · "
            f"{origin['versions']}",
            "dim",
        )
    )
    for notice in comparison.notices:
        print_line((notice, "yellow"))
