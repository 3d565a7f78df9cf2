"""`python -m demo code` and `export`: a reading as a script of its own, and as a sentence-transformers folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.app import app
from demo.cli.options import MACHINE_OPTIONS, READING_OPTIONS, expand_options, make_lab, shared_options
from demo.cli.printing import note, print_plain, wait_for_model


class Library(str, Enum):
    """Whose calls the script makes."""

    TRANSFORMERS = "transformers"
    SENTENCE_TRANSFORMERS = "sentence-transformers"


@app.command(
    epilog="Examples:\n\n"
    "python -m demo code --prompt prompteol --pooling last_token --postprocess zscore > my_reading.py\n\n"
    "python -m demo code --model all-minilm-l6-v2 --library sentence-transformers"
)
@expand_options(reading=READING_OPTIONS, machine=MACHINE_OPTIONS)
def code(
    *,
    library: Annotated[
        Library,
        typer.Option(metavar="NAME", help="transformers, or sentence-transformers where it can say the reading."),
    ] = Library.TRANSFORMERS,
    reading: dict[str, Any],
    machine: dict[str, Any],
) -> None:
    """Print a short script that reproduces a reading's vectors without this lab."""
    lab = make_lab(**machine)
    print_plain(wait_for_model(lambda: lab.code(library=library.value, wait=False, **reading)))


@app.command(
    epilog="Example:\n\n"
    "python -m demo export my-encoder --model smollm2-135m-instruct --prompt plain --pooling weighted_mean"
)
@expand_options(
    reading=shared_options("model", "prompt", "pooling", "eos", "task", "template"), machine=MACHINE_OPTIONS
)
def export(
    *,
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or an empty folder.")],
    reading: dict[str, Any],
    machine: dict[str, Any],
) -> None:
    """Write a folder that `SentenceTransformer("FOLDER")` loads, with the same vectors."""
    lab = make_lab(**machine)
    wait_for_model(lambda: lab.open(reading["model"], wait=False))
    note(f"{lab.export(out, **reading).label()} → {out}")
