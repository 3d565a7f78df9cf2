"""The command line: `python -m demo compare | embed | models`.

Options become a lab's arguments and its answers become lines, JSON, CSV or a file. Computes nothing itself.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from demo.datamodels import Comparison, Pooling, Postprocess, Prompt, Role
from demo.errors import BadInput, DemoError, ModelLoading
from demo.lab import Lab
from demo.settings import parse_settings
from demo.texts import load_texts, parse_texts

ARTICLE_QUESTIONS = ("Where is the headquarter of OpenAI?", "What is GPU?")
ARTICLE_ANSWERS = (
    "OpenAI is based at San Francisco.",
    "A graphics processing unit (GPU) is an electronic circuit that can perform mathematical calculations quickly",
)
_FORMULA_STARTS = ("=", "+", "-", "@")
_POLL_SECONDS = 0.05
Answer = TypeVar("Answer")


class CalmGroup(TyperGroup):
    """Every command's failures in one place: one line on stderr and an exit code, never a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except DemoError as error:
            _note(str(error), style="red")
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=CalmGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _choices(kind: type[Enum]) -> str:
    return ", ".join(member.value for member in kind)


ModelOption = Annotated[
    str | None,
    typer.Option(metavar="ID", help="An id from `python -m demo models`, a Hub id, or a folder with weights."),
]
PromptOption = Annotated[
    Prompt | None,
    typer.Option(
        metavar="NAME",
        help=f"What is written around each text: {_choices(Prompt)}; without it, what fits the model best.",
    ),
]
PoolingOption = Annotated[
    Pooling | None,
    typer.Option(
        metavar="NAME",
        help=f"How the tokens' states become one vector: {_choices(Pooling)}; without it, what fits the model best.",
    ),
]
LayerOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="The layer to read: 0 is the token embeddings, -1 the last, -2 the one before it."),
]
EosOption = Annotated[bool, typer.Option("--eos", help="Append the end-of-sequence token, and let it be pooled.")]
PostprocessOption = Annotated[
    Postprocess | None,
    typer.Option(metavar="NAME", help=f"What is done to the vectors of all texts together: {_choices(Postprocess)}."),
]
TaskOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="With --prompt e5_instruct: what the questions are asked for.")
]
TemplateOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="With --prompt custom: what the model reads, {text} in it.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What computes: auto, cpu, cuda, cuda:1, xpu or mps (or set DEMO_DEVICE)."),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The precision: auto, float32, bfloat16 or float16 (or set DEMO_DTYPE)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.callback()
def main() -> None:
    """Are GPTs good embedding models? Read vectors out of a language model and see which texts it finds alike.

    Every setting of `app.py` has an environment twin that works here too: DEMO_MODEL, DEMO_DEVICE, DEMO_MAX_TEXTS …
    """


@app.command(
    epilog="Examples:\n\n"
    "python -m demo compare\n\n"
    'python -m demo compare --question "What is GPU?" --answer "A processor." --answer "A city." --pooling mean\n\n'
    "python -m demo compare --prompt prompteol --pooling last_token --postprocess zscore\n\n"
    "python -m demo compare --questions-file q.txt --answers-file a.txt --model all-minilm-l6-v2 --csv > matrix.csv"
)
def compare(
    question: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A question; repeat it for more.")] = None,
    answer: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="An answer; repeat it for more.")] = None,
    questions_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one question a line.")
    ] = None,
    answers_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one answer a line.")
    ] = None,
    model: ModelOption = None,
    prompt: PromptOption = None,
    pooling: PoolingOption = None,
    layer: LayerOption = None,
    eos: EosOption = False,
    postprocess: PostprocessOption = None,
    task: TaskOption = None,
    template: TemplateOption = None,
    matches: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS",
            help='Which answer belongs to which question, like "1-2, 2-1"; without it, 1-1, 2-2 and so on.',
        ),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the matrix as CSV: questions down, answers across.")
    ] = False,
) -> None:
    """Compare every question with every answer. Without any texts, those of the article."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of the two", param_hint="--json, --csv")
    questions, answers = _gather(question, questions_file), _gather(answer, answers_file)
    if questions is None and answers is None:
        questions, answers = list(ARTICLE_QUESTIONS), list(ARTICLE_ANSWERS)
    lab = _make_lab(device, dtype)
    comparison = _wait_for_model(
        lambda: lab.compare(
            questions or [],
            answers or [],
            model=model,
            prompt=prompt,
            pooling=pooling,
            layer=layer,
            eos=eos,
            postprocess=postprocess,
            task=task,
            template=template,
            matches=matches,
            wait=False,
        )
    )
    if as_json:
        _print_json(comparison.to_dict())
    elif as_csv:
        _print_plain(render_csv(comparison))
        for notice in comparison.notices:
            _note(notice)
    else:
        _print_comparison(comparison)


@app.command(
    epilog="Examples:\n\n"
    'python -m demo embed --text "What is GPU?" --pooling mean\n\n'
    "python -m demo embed --texts-file texts.txt --model all-minilm-l6-v2 --out vectors.npz"
)
def embed(
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A text; repeat it for more.")] = None,
    texts_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A UTF-8 file with one text a line.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, not to the screen; the name ends in .npz or .json.")
    ] = None,
    model: ModelOption = None,
    prompt: PromptOption = None,
    pooling: PoolingOption = None,
    layer: LayerOption = None,
    eos: EosOption = False,
    postprocess: PostprocessOption = None,
    task: TaskOption = None,
    template: TemplateOption = None,
    role: Annotated[
        Role, typer.Option(help="Whose prompt is used, where a model has one for questions and one for answers.")
    ] = Role.ANSWER,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Turn texts into vectors: JSON on the screen, or a file with texts, embeddings and reading."""
    if out is not None and out.suffix not in (".npz", ".json"):
        raise BadInput(problem=f"“{out}” has no known ending. Accepted: names that end in .npz or .json.")
    lab = _make_lab(device, dtype)
    texts = parse_texts(_gather(text, texts_file) or [], "texts", lab.limits)
    chosen = {"model": model, "prompt": prompt, "pooling": pooling, "layer": layer}
    chosen |= {"eos": eos, "postprocess": postprocess, "task": task, "template": template}
    reading = _wait_for_model(lambda: lab.reading(**chosen, wait=False))
    vectors = lab.embed(texts, **chosen, role=role)
    result = {"embeddings": vectors.tolist(), "reading": reading.to_dict(), "texts": list(texts)}
    if out is None:
        _print_json(result)
        return
    try:
        if out.suffix == ".npz":
            np.savez_compressed(
                out, embeddings=vectors, texts=np.array(texts), reading=json.dumps(reading.to_dict(), indent=1)
            )
        else:
            out.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise BadInput(problem=f"{out} cannot be written: {error.strerror}.") from error
    _note(f"{len(vectors):,} × {vectors.shape[1]:,} → {out}")


@app.command()
def models(device: DeviceOption = None, dtype: DtypeOption = None, as_json: JsonOption = False) -> None:
    """List the models one can choose, and whether this machine can run them."""
    statuses = _make_lab(device, dtype).models()
    if as_json:
        _print_json([asdict(status) for status in statuses])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, options in {
        "model": {"no_wrap": True},
        "kind": {"no_wrap": True},
        "parameters": {"justify": "right", "no_wrap": True},
        "licence": {},
        "state": {},
    }.items():
        table.add_column(name, **options)
    for status in statuses:
        state = f"{status.state}: {status.reason}" if status.reason else status.state
        cells = (status.model, status.kind.value, _short_count(status.parameters), status.licence, state)
        table.add_row(*map(Text, cells), style="dim" if status.state == "unavailable" else None)
    # In a pipe or a log nobody needs the reasons folded into a narrow column.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def render_csv(comparison: Comparison) -> str:
    """The matrix with a header row. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["", *map(_harmless_cell, comparison.answers)])
    for question, row in zip(comparison.questions, comparison.similarity, strict=True):
        writer.writerow([_harmless_cell(question), *(f"{value:.6f}" for value in row)])
    return out.getvalue()


def _make_lab(device: str | None, dtype: str | None) -> Lab:
    flags = {"--device": device, "--dtype": dtype}
    return Lab(parse_settings([f"{flag}={value}" for flag, value in flags.items() if value is not None]))


def _gather(typed: list[str] | None, file: Path | None) -> list[str] | None:
    """The texts of the options, then those of the file; None where neither was given."""
    if not typed and file is None:
        return None
    return list(typed or []) + (load_texts(file) if file else [])


def _wait_for_model(ask: Callable[[], Answer]) -> Answer:
    """Ask until the model is there. On a terminal, stderr shows how far it is."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None, visible=False)
        while True:
            try:
                return ask()
            except ModelLoading as loading:
                stage, fraction = loading.values["stage"], loading.values["fraction"]
                progress.update(
                    task,
                    description=f"{loading.values['model']}: {stage}",
                    total=None if fraction is None else 1.0,
                    completed=fraction or 0.0,
                    visible=True,
                )
            time.sleep(_POLL_SECONDS)


def _print_comparison(comparison: Comparison) -> None:
    """The article's two lines a pair, the metrics, and where the numbers come from."""
    matches = comparison.pairing.matches
    for i, question in enumerate(comparison.questions):
        for j, answer in enumerate(comparison.answers):
            value = f"{comparison.similarity[i, j]:.4f}"
            matching = (i, j) in matches
            _print_line(("question: ", "dim"), question, (" and ans: ", "dim"), answer)
            _print_line(
                ("result: ", "dim"), (value, "bold green" if matching else ""), (" ← matching pair" * matching, "green")
            )
    numbers = comparison.metrics
    found = "–" if numbers.found_first is None else f"{numbers.found_first} of {numbers.n_matched}"
    shown = {
        "matching pairs": _decimal(numbers.matching_mean),
        "other pairs": _decimal(numbers.other_mean),
        "margin": _decimal(numbers.margin),
        "found first": found,
        "AUC": _decimal(numbers.auc),
    }
    _print_line()
    _print_line(*[part for name, value in shown.items() for part in ((f"{name} ", "dim"), (f"{value}   ", "bold"))])
    origin = comparison.provenance
    _print_line(
        (
            f"{comparison.reading.label()} · revision {origin['revision']} · weights from {origin['source']}, "
            f"{origin['weights_precision']} · computed in {origin['precision']} on {origin['device']} · "
            f"{origin['versions']}",
            "dim",
        )
    )
    for notice in comparison.notices:
        _print_line((notice, "yellow"))


def _print_line(*parts: str | tuple[str, str]) -> None:
    """A line as it is: people's text is never markup, and no line is broken at the terminal's width."""
    Console(highlight=False).print(Text.assemble(*parts), soft_wrap=True)


def _print_json(value) -> None:
    # Where the stream cannot carry every letter (a Windows pipe), JSON has its own way to write them.
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    _print_plain(json.dumps(value, ensure_ascii=not unicode, allow_nan=False) + "\n")


def _print_plain(text: str) -> None:
    sys.stdout.write(text)


def _note(message: str, style: str = "dim") -> None:
    """One line on stderr."""
    Console(stderr=True, highlight=False).print(Text(" ".join(message.split()), style=style), soft_wrap=True)


def _decimal(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _short_count(number: int) -> str:
    """135 M, 7.2 B."""
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"


def _harmless_cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def run() -> None:
    """Start the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A letter that a terminal cannot show becomes its number instead of ending the program.
        stream.reconfigure(errors="backslashreplace")
    app(prog_name="python -m demo")


if __name__ == "__main__":
    run()
