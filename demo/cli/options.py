"""Shared options: groups of them that commands take in the place of one parameter, and the lab and texts they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.domain.datamodels import Pooling, Postprocess, Prompt, Reference
from demo.lab import Lab
from demo.settings import parse_settings
from demo.stages.texts import load_texts

READING, MACHINE, OUTPUT = "The reading", "The machine", "The output"  # the parts of a command's help


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
    "dtype": Annotated[
        str | None,
        option("NAME", "The precision: auto, float32, bfloat16 or float16 (or set DEMO_DTYPE).", panel=MACHINE),
    ],
}
_DEFAULTS = {"eos": False, "reference": Reference.TEXTS}  # of the others: None
JsonOption = Annotated[bool, option(None, "Print JSON and nothing else.", "--json", panel=OUTPUT)]


def shared_options(*names: str, **defaults: Any) -> Options:
    """The named options, some with another default than usual."""
    return {name: (_KINDS[name], (_DEFAULTS | defaults).get(name)) for name in names}


READING_OPTIONS = shared_options(
    *("model", "prompt", "pooling", "layer", "eos", "postprocess", "reference", "task", "template")
)
MACHINE_OPTIONS = shared_options("device", "dtype")


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


def make_lab(device: str | None, dtype: str | None) -> Lab:
    """A lab on what the options name."""
    flags = {"--device": device, "--dtype": dtype}
    return Lab(parse_settings([f"{flag}={value}" for flag, value in flags.items() if value is not None]))


def gather(typed: list[str] | None, file: Path | None) -> list[str] | None:
    """The texts of the options, then those of the file; None where neither was given."""
    if not typed and file is None:
        return None
    return list(typed or []) + (load_texts(file) if file else [])
