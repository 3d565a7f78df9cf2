"""`python -m demo sweep`: every layer × pooling × prompt × post-processing over one file of pairs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.app import app
from demo.cli.options import (
    FILE_OPTIONS,
    FORMATS,
    MACHINE_OPTIONS,
    JsonOption,
    expand_options,
    load_pairs,
    make_lab,
    option,
    shared_options,
)
from demo.cli.printing import interval, note, print_json, print_line, print_table, showing_progress
from demo.domain.datamodels import Prompt, Reading
from demo.domain.results import Lead, Sweep

_SHOWN = 15  # readings


@app.command(
    epilog="Examples:\n\n"
    "python -m demo sweep pairs.csv\n\n"
    "python -m demo sweep faq.xlsx --question-column Frage --answer-column Antwort --draw 200\n\n"
    "python -m demo sweep pairs.csv --model gemma-3-270m --prompt plain --prompt prompteol --json > sweep.json"
)
@expand_options(
    columns=FILE_OPTIONS,
    model=shared_options("model"),
    reading=shared_options("eos", "reference"),
    machine=MACHINE_OPTIONS,
)
def sweep(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"{FORMATS}: question, answer and, if there is one, label or score.")
    ],
    columns: dict[str, Any],
    model: dict[str, Any],
    prompt: Annotated[list[Prompt] | None, option("NAME", "Only this prompt; repeat it for more.")] = None,
    reading: dict[str, Any],
    machine: dict[str, Any],
    as_json: JsonOption = False,
) -> None:
    """Find the reading that tells your pairs apart best, and how sure that is."""
    labelled = load_pairs(file, columns)
    lab = make_lab(**machine)
    with showing_progress() as on_progress:
        found = lab.sweep(
            labelled=labelled,
            **model,
            eos=reading["eos"],
            reference=reading["reference"].value,
            prompts=[choice.value for choice in prompt] if prompt else None,
            on_progress=on_progress,
        )
    if as_json:
        print_json(_to_dict(found))
        return
    rows = [(reading.label(), f"{value:.4f}") for reading, value in found.ranked()[:_SHOWN]]
    print_table({"reading": "left", found.criterion: "right"}, rows)
    print_line()
    unit = "pairs" if labelled.graded else "questions"
    on = f"{found.held_out} held-out {unit}" if found.held_out else f"the {found.chosen_on} {unit} that chose it"
    for name, reading in (("best", found.best), ("runner-up", found.runner_up), ("the model's own", found.default)):
        if reading is not None:
            print_line((f"{name}: ", "dim"), reading.label(), f" {interval(found.scores[reading].headline)} on {on}")
    for other, lead in (("the runner-up", found.lead), ("the model's own reading", found.lead_over_default)):
        if lead is not None:
            print_line((f"lead over {other}: ", "dim"), interval(lead.difference, signed=True))
    note(f"{found.n_readings:,} readings in {found.seconds:.0f} s")
    for notice in found.notices:
        note(notice, style="yellow")


def _to_dict(found: Sweep) -> dict:
    def lead(value: Lead | None):
        return {"figure": value.figure, **asdict(value.difference)} if value else None

    def scored(reading: Reading | None):
        return {"reading": reading.to_dict(), "scores": found.scores[reading].to_dict()} if reading else None

    return {
        "criterion": found.criterion,
        "best": scored(found.best),
        "runner_up": scored(found.runner_up),
        "default": scored(found.default),
        "lead": lead(found.lead),
        "lead_over_default": lead(found.lead_over_default),
        "held_out": found.held_out,
        "chosen_on": found.chosen_on,
        "readings": [{"reading": reading.to_dict(), found.criterion: value} for reading, value in found.ranked()],
        "provenance": found.provenance,
        "notices": list(found.notices),
    }
