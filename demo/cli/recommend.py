"""`python -m demo recommend`: which model, read how, tells your pairs apart best, within a budget of seconds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.app import app
from demo.cli.compare import Language
from demo.cli.options import (
    FILE_OPTIONS,
    FORMATS,
    MACHINE_OPTIONS,
    OUTPUT,
    JsonOption,
    expand_options,
    load_pairs,
    make_lab,
    option,
)
from demo.cli.printing import interval, note, print_json, print_line, print_table, showing_progress
from demo.domain.datamodels import Reading, Reference
from demo.domain.errors import BadInput
from demo.domain.results import BenchmarkRow, Recommendation
from demo.lab import Lab
from demo.studies.recommend import SECONDS
from demo.wording.recommendation import describe_recommendation
from demo.wording.translate import translate_phrase


@app.command(
    epilog="Examples:\n\n"
    "python -m demo recommend pairs.xlsx\n\n"
    "python -m demo recommend faq.csv --seconds 120 --model smollm2-135m-instruct --model all-minilm-l6-v2\n\n"
    "python -m demo recommend pairs.csv --code reading.py --json > recommendation.json"
)
@expand_options(columns=FILE_OPTIONS, machine=MACHINE_OPTIONS)
def recommend(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"{FORMATS}: question, answer and, if there is one, label or score.")
    ],
    columns: dict[str, Any],
    seconds: Annotated[
        float, typer.Option(metavar="N", help="How long it may take; with less, less is tried, and that is stated.")
    ] = SECONDS,
    model: Annotated[
        list[str] | None,
        option(
            "ID",
            "Only this model; repeat it for more. Without it, all that run here from memory.",
            *("--model", "--models"),
        ),
    ] = None,
    machine: dict[str, Any],
    as_json: JsonOption = False,
    code: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a script that reads texts in the best way.", rich_help_panel=OUTPUT),
    ] = None,
    language: Annotated[
        Language,
        typer.Option(metavar="NAME", help="Of the sentence and the notices: en or ko.", rich_help_panel=OUTPUT),
    ] = Language.ENGLISH,
) -> None:
    """Find the model and the reading that tell your pairs apart best, how surely, and at which cost."""
    labelled = load_pairs(file, columns)
    lab = make_lab(**machine)
    with showing_progress() as on_progress:
        found = lab.recommend(labelled=labelled, models=model, seconds=seconds, on_progress=on_progress)
    sentence = describe_recommendation(language.value, found)
    if code:
        _write_code(lab, found.best, code)
    if as_json:
        print_json({"sentence": sentence, **found.to_dict()})
        return
    _print_table(found)
    print_line()
    print_line((sentence, "bold"))
    print_line(("take it home: ", "dim"), _command(found.best))
    note(
        f"{found.n_readings:,} readings, {found.n_tried} of {found.n_possible} combinations of model and prompt, "
        f"in {found.seconds:.0f} of {found.budget:.0f} s"
    )
    for notice in found.notices:
        note(translate_phrase(language.value, notice), style="yellow")


def _print_table(found: Recommendation) -> None:
    unit = "pairs" if found.criterion == "spearman" else "questions"
    on = f"{found.held_out} held-out {unit}" if found.held_out else f"the {found.chosen_on} {unit} that chose"
    print_line(f"on {on}; in brackets 95 % by bootstrap; lead: of the first reading, in {found.criterion}")
    columns = {"reading": "left", found.criterion: "right", "top-1": "right", "lead": "right", "texts/s": "right"}
    print_table(columns, [_cells(found, row) for row in found.rows])


def _cells(found: Recommendation, row: BenchmarkRow) -> tuple[str, ...]:
    own = "" if row.reading in found.chosen else " (the model's own)"
    lead = found.leads.get(row.reading)
    return (
        row.label + own,
        interval(row.scores.headline),
        interval(row.scores.top1),
        interval(lead.difference, signed=True) if lead else "–",
        f"{row.texts_per_second:.0f}" if row.texts_per_second else "–",
    )


def _command(reading: Reading) -> str:
    """The command that prints a reading as a script."""
    chosen = {"model": reading.model, **reading.choices()}
    parts = [f"--{name} {shlex.quote(str(chosen[name]))}" for name in ("model", "prompt", "pooling", "layer")]
    if reading.postprocess.value != "none":
        parts.append(f"--postprocess {reading.postprocess.value}")
        parts += ["--reference corpus"] if reading.reference is Reference.CORPUS else []
    return " ".join(["python -m demo code", *parts])


def _write_code(lab: Lab, reading: Reading, file: Path) -> None:
    try:
        file.write_text(lab.code(reading.model, **reading.choices()), encoding="utf-8")
    except OSError as error:
        raise BadInput(problem=f"{file} cannot be written: {error.strerror or error}.") from error
    note(f"{reading.label()} → {file}")
