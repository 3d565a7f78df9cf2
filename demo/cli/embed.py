"""`python -m demo embed`: texts become vectors, on the screen or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from demo.cli.app import app
from demo.cli.options import MACHINE_OPTIONS, OUTPUT, READING, READING_OPTIONS, expand_options, gather, make_lab
from demo.cli.printing import note, print_json, to_json, wait_for_model
from demo.domain.choices import Role
from demo.domain.errors import BadInput
from demo.stages.texts import cut_notice, normalized_notice, parse_texts


@app.command(
    epilog="Examples:\n\n"
    'python -m demo embed --text "What is GPU?" --pooling mean\n\n'
    "python -m demo embed --texts-file texts.txt --model all-minilm-l6-v2 --out vectors.npz"
)
@expand_options(reading=READING_OPTIONS, machine=MACHINE_OPTIONS)
def embed(
    *,
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A text; repeat it for more.")] = None,
    texts_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one text a line.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write here, not to the screen; the name ends in .npz or .json.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    reading: dict[str, Any],
    role: Annotated[
        Role,
        typer.Option(
            help="Whose prompt is used, where a model has one for questions and one for answers.",
            rich_help_panel=READING,
        ),
    ] = Role.ANSWER,
    truncate: Annotated[
        bool, typer.Option(help="Cut a text that is longer than the model takes, and say so; or refuse it.")
    ] = True,
    machine: dict[str, Any],
) -> None:
    """Turn texts into vectors: JSON on the screen, or a file with texts, embeddings and reading."""
    if out is not None and out.suffix not in (".npz", ".json"):
        raise BadInput(problem=f"“{out}” has no known ending. Accepted: names that end in .npz or .json.")
    lab = make_lab(**machine)
    given = gather(text, texts_file) or []
    texts = parse_texts(given, "texts", lab.limits)
    chosen = wait_for_model(lambda: lab.reading(**reading, wait=False))
    embedded = lab.embed_texts(texts, chosen, role, truncate)
    for notice in (*normalized_notice(given, "texts"), *cut_notice(embedded, "texts")):
        note(notice)
    vectors, resolved = embedded.vectors, chosen.to_dict()
    result = {"embeddings": vectors.tolist(), "reading": resolved, "texts": list(texts)}
    if out is None:
        print_json(result)
        return
    try:
        if out.suffix == ".npz":
            np.savez_compressed(out, embeddings=vectors, texts=np.array(texts), reading=json.dumps(resolved, indent=1))
        else:
            out.write_text(to_json(result), encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise BadInput(problem=f"{out} cannot be written: {error.strerror}.") from error
    note(f"{len(vectors):,} × {vectors.shape[1]:,} → {out}")
