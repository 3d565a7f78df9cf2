"""`python -m demo code` and `export`: a reading as a script of its own, and as a sentence-transformers folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from demo.cli.app import app
from demo.cli.options import (
    DeviceOption,
    DtypeOption,
    EosOption,
    LayerOption,
    ModelOption,
    PoolingOption,
    PostprocessOption,
    PromptOption,
    ReferenceOption,
    TaskOption,
    TemplateOption,
    make_lab,
)
from demo.cli.printing import note, print_plain, wait_for_model
from demo.domain.datamodels import Reference


class Library(str, Enum):
    """Whose calls the script makes."""

    TRANSFORMERS = "transformers"
    SENTENCE_TRANSFORMERS = "sentence-transformers"


@app.command(
    epilog="Examples:\n\n"
    "python -m demo code --prompt prompteol --pooling last_token --postprocess zscore > my_reading.py\n\n"
    "python -m demo code --model all-minilm-l6-v2 --library sentence-transformers"
)
def code(
    library: Annotated[
        Library,
        typer.Option(metavar="NAME", help="transformers, or sentence-transformers where it can say the reading."),
    ] = Library.TRANSFORMERS,
    model: ModelOption = None,
    prompt: PromptOption = None,
    pooling: PoolingOption = None,
    layer: LayerOption = None,
    eos: EosOption = False,
    postprocess: PostprocessOption = None,
    reference: ReferenceOption = Reference.TEXTS,
    task: TaskOption = None,
    template: TemplateOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Print a short script that reproduces a reading's vectors without this lab."""
    lab = make_lab(device, dtype)
    chosen = {"prompt": prompt, "pooling": pooling, "layer": layer, "eos": eos, "postprocess": postprocess}
    chosen |= {"reference": reference, "task": task, "template": template}
    print_plain(wait_for_model(lambda: lab.code(model, library.value, wait=False, **chosen)))


@app.command(
    epilog="Example:\n\n"
    "python -m demo export my-encoder --model smollm2-135m-instruct --prompt plain --pooling weighted_mean"
)
def export(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or an empty folder.")],
    model: ModelOption = None,
    prompt: PromptOption = None,
    pooling: PoolingOption = None,
    eos: EosOption = False,
    task: TaskOption = None,
    template: TemplateOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Write a folder that `SentenceTransformer("FOLDER")` loads, with the same vectors."""
    lab = make_lab(device, dtype)
    wait_for_model(lambda: lab.open(model, wait=False))
    reading = lab.export(out, model, prompt=prompt, pooling=pooling, eos=eos, task=task, template=template)
    note(f"{reading.label()} → {out}")
