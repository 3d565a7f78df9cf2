"""Shared options: groups of them that commands take in the place of one parameter, and the lab and texts they name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.cli.printing import confirm_download, note
from demo.domain.datamodels import Pooling, Postprocess, Prompt, Reference
from demo.domain.errors import BadInput
from demo.domain.results import LabelledSet
from demo.files.columns import ColumnChoice
from demo.files.examples import Capacity
from demo.files.labelled import LabelledLimits, load_labelled
from demo.lab import Lab
from demo.settings import parse_settings
from demo.stages.texts import load_texts

# The parts of a command's help.
READING, MACHINE, OUTPUT, FILE = "The reading", "The machine", "The output", "The file of pairs"


def choices(kind: type[Enum]) -> str:
    return ", ".join(member.value for member in kind)


def option(metavar: str | None, text: str, *flags: str, panel: str | None = READING) -> Any:
    """An option in a part of the help. metavar: None for a switch."""
    return typer.Option(*flags, metavar=metavar, help=text, rich_help_panel=panel)


Options = dict[str, tuple[Any, Any]]  # by name: the option's type, as typer takes it, and its default
_KINDS = {
    "model": Annotated[
        str | None, option("ID", "An id from `python -m demo models`, a Hub id, or a folder with weights.")
    ],
    "prompt": Annotated[
        Prompt | None,
        option("NAME", f"What is written around each text: {choices(Prompt)}; without it, what fits the model best."),
    ],
    "pooling": Annotated[
        Pooling | None,
        option(
            "NAME",
            f"How the tokens' states become one vector: {choices(Pooling)}; without it, what fits the model best.",
        ),
    ],
    "layer": Annotated[
        int | None, option("N", "The layer to read: 0 is the token embeddings, -1 the last, -2 the one before it.")
    ],
    "eos": Annotated[bool, option(None, "Append the end-of-sequence token, and let it be pooled.", "--eos")],
    "postprocess": Annotated[
        Postprocess | None,
        option("NAME", f"What is done to the vectors of all texts together: {choices(Postprocess)}."),
    ],
    "reference": Annotated[
        Reference, option("NAME", "What the post-processing is fitted on: texts (those at hand) or the corpus.")
    ],
    "task": Annotated[str | None, option("TEXT", "With --prompt e5_instruct: what the questions are asked for.")],
    "template": Annotated[str | None, option("TEXT", "With --prompt custom: what the model reads, {text} in it.")],
    "device": Annotated[
        str | None,
        option("NAME", "What computes: auto, cpu, cuda, cuda:1, xpu or mps (or set DEMO_DEVICE).", panel=MACHINE),
    ],
    "weights": Annotated[
        str | None,
        option(
            "NAME",
            "Where the weights are: auto, resident (in memory), stream (on disk, read for every set of texts; or set "
            "DEMO_WEIGHTS).",
            panel=MACHINE,
        ),
    ],
    "dtype": Annotated[
        str | None,
        option("NAME", "The precision: auto, float32, bfloat16 or float16 (or set DEMO_DTYPE).", panel=MACHINE),
    ],
    "yes": Annotated[bool, option(None, "Fetch weights of more than 2 GB without a question.", "--yes", panel=MACHINE)],
}
_DEFAULTS = {"eos": False, "yes": False, "reference": Reference.TEXTS}  # of the others: None
JsonOption = Annotated[bool, option(None, "Print JSON and nothing else.", "--json", panel=OUTPUT)]


def shared_options(*names: str, **defaults: Any) -> Options:
    """The named options, some with another default than usual."""
    return {name: (_KINDS[name], (_DEFAULTS | defaults).get(name)) for name in names}


READING_OPTIONS = shared_options(
    *("model", "prompt", "pooling", "layer", "eos", "postprocess", "reference", "task", "template")
)
MACHINE_OPTIONS = shared_options("device", "dtype", "weights", "yes")
FORMATS = "CSV, TSV, JSON, JSONL, .xlsx or Parquet"
ADVICE = {  # what a refused file is answered with, beside what is wrong
    "advice": "Say which with --question-column and --answer-column: a name, or a place from 1; --no-header where the "
    "first row is a pair.",
    "portion_advice": "A part of it is taken with --first N or --draw N.",
    "label_advice": "Say --grades, or --right LABEL for the label that means right, or which with --label-column.",
}
PAIR_LIMITS = LabelledLimits(bytes=64 * 2**20, rows=200_000, cells=2_000_000, **ADVICE)  # nobody else waits here


def _of_file(kind: Any, metavar: str | None, text: str, *flags: str, default: Any = None) -> tuple[Any, Any]:
    return Annotated[kind, option(metavar, text, *flags, panel=FILE)], default


# Which column of a file holds what, and how much of it is taken.
FILE_OPTIONS: Options = {
    "question_column": _of_file(str | None, "NAME", "The column of questions, where its name is not known."),
    "answer_column": _of_file(str | None, "NAME", "The column of answers. Instead of a name: its place, from 1."),
    "label_column": _of_file(str | None, "NAME", "The column of labels, 1 right and 0 wrong; or none."),
    "right": _of_file(list[str] | None, "LABEL", "A label that means right, where it is not 1; repeatable."),
    "grades": _of_file(bool, None, "The labels are grades, even if they are a few whole numbers.", default=False),
    "header": _of_file(bool | None, None, "Whether the first row names the columns.", "--header/--no-header"),
    "first": _of_file(int | None, "N", "Only the first N questions."),
    "draw": _of_file(int | None, "N", "Only N questions, drawn with a fixed seed."),
}


def file_choice(
    question_column: str | None,
    answer_column: str | None,
    label_column: str | None,
    right: list[str] | None,
    grades: bool,
    header: bool | None,
    first: int | None,
    draw: int | None,
) -> dict[str, Any]:
    """FILE_OPTIONS as what reads a file takes them."""
    if first is not None and draw is not None:
        raise BadInput(problem="--first and --draw exclude each other. One of them is accepted.")
    if min(first or 1, draw or 1) < 1 or 0 in (first, draw):
        raise BadInput(problem="A number of questions from 1 on is accepted.")
    choice = ColumnChoice(
        question_column or "", answer_column or "", label_column or "", tuple(right or ()), grades, header
    )
    capacity = Capacity(questions=first or draw) if first or draw else None
    return {"choice": choice, "capacity": capacity, "drawn": bool(draw)}


def expand_options(**groups: Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces each parameter named here by the options of its group; the command receives them as a dict."""

    def expand(parameter: inspect.Parameter) -> list[inspect.Parameter]:
        options = groups.get(parameter.name, {parameter.name: (parameter.annotation, parameter.default)})
        return [
            inspect.Parameter(name, parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in options.items()
        ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            received = {group: {name: values.pop(name) for name in options} for group, options in groups.items()}
            command(**values, **received)

        signature = inspect.signature(command, eval_str=True)
        parameters = [each for parameter in signature.parameters.values() for each in expand(parameter)]
        run.__signature__ = signature.replace(parameters=parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def on_terminal() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty()


def make_lab(device: str | None, dtype: str | None, weights: str | None = None, yes: bool = False) -> Lab:
    """A lab on what the options name. On a terminal it asks before a big download."""
    flags = {"--device": device, "--dtype": dtype, "--weights": weights, "--big-downloads": "always" if yes else None}
    settings = parse_settings([f"{flag}={value}" for flag, value in flags.items() if value is not None])
    return Lab(settings, limited=False, consent=confirm_download if on_terminal() else None)


def gather(typed: list[str] | None, file: Path | None) -> list[str] | None:
    """The texts of the options, then those of the file; None where neither was given."""
    if not typed and file is None:
        return None
    lines = load_texts(file) if file else []
    texts = [line for line in lines if line.strip()]
    blank = len("\n".join(lines).rstrip().split("\n")) - len(texts) if texts else 0
    if blank:
        note(f"{file}: {blank:,} blank lines in it are no texts.")
    return list(typed or []) + texts


def load_pairs(file: Path, columns: dict[str, Any]) -> LabelledSet:
    """A file of pairs, with what is to be said of it on stderr. columns: of the options. Raises BadInput."""
    labelled = load_labelled(file, PAIR_LIMITS, **file_choice(**columns))
    for notice in labelled.notices:
        note(notice)
    return labelled
