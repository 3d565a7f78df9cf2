"""The options that several commands share, and what they become: a lab, texts, a reading."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from demo.domain.datamodels import Pooling, Postprocess, Prompt, Reference
from demo.lab import Lab
from demo.settings import parse_settings
from demo.stages.texts import load_texts

READING, MACHINE, OUTPUT = "The reading", "The machine", "The output"  # the parts of a command's help


def choices(kind: type[Enum]) -> str:
    return ", ".join(member.value for member in kind)


ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="An id from `python -m demo models`, a Hub id, or a folder with weights.",
        rich_help_panel=READING,
    ),
]
PromptOption = Annotated[
    Prompt | None,
    typer.Option(
        metavar="NAME",
        help=f"What is written around each text: {choices(Prompt)}; without it, what fits the model best.",
        rich_help_panel=READING,
    ),
]
PoolingOption = Annotated[
    Pooling | None,
    typer.Option(
        metavar="NAME",
        help=f"How the tokens' states become one vector: {choices(Pooling)}; without it, what fits the model best.",
        rich_help_panel=READING,
    ),
]
LayerOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The layer to read: 0 is the token embeddings, -1 the last, -2 the one before it.",
        rich_help_panel=READING,
    ),
]
EosOption = Annotated[
    bool, typer.Option("--eos", help="Append the end-of-sequence token, and let it be pooled.", rich_help_panel=READING)
]
PostprocessOption = Annotated[
    Postprocess | None,
    typer.Option(
        metavar="NAME",
        help=f"What is done to the vectors of all texts together: {choices(Postprocess)}.",
        rich_help_panel=READING,
    ),
]
ReferenceOption = Annotated[
    Reference,
    typer.Option(
        metavar="NAME",
        help="What the post-processing is fitted on: texts (those at hand) or the corpus.",
        rich_help_panel=READING,
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="With --prompt e5_instruct: what the questions are asked for.", rich_help_panel=READING
    ),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="With --prompt custom: what the model reads, {text} in it.", rich_help_panel=READING
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What computes: auto, cpu, cuda, cuda:1, xpu or mps (or set DEMO_DEVICE).",
        rich_help_panel=MACHINE,
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The precision: auto, float32, bfloat16 or float16 (or set DEMO_DTYPE).",
        rich_help_panel=MACHINE,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.", rich_help_panel=OUTPUT)]


def make_lab(device: str | None, dtype: str | None) -> Lab:
    """A lab on what the options name."""
    flags = {"--device": device, "--dtype": dtype}
    return Lab(parse_settings([f"{flag}={value}" for flag, value in flags.items() if value is not None]))


def gather(typed: list[str] | None, file: Path | None) -> list[str] | None:
    """The texts of the options, then those of the file; None where neither was given."""
    if not typed and file is None:
        return None
    return list(typed or []) + (load_texts(file) if file else [])
