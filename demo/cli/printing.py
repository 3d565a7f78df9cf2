"""What a command prints: lines, tables, JSON, progress. People's text is never markup."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import typer
from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.domain.datamodels import Progress as Step
from demo.domain.errors import BigDownload, ModelLoading
from demo.domain.results import Interval
from demo.jobs.pace import Pace
from demo.lab import Lab
from demo.wording.remaining import describe_left
from demo.wording.translate import DEFAULT_LANGUAGE

Answer = TypeVar("Answer")


class Console(RichConsole):
    """Rich's console, except that a pipe that nobody reads is for the command line's frame to deal with."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


_bars: list[Progress] = []  # that are on the terminal now


def confirm_download(question: BigDownload) -> bool:
    """Whether somebody at the terminal says yes."""
    said = "{size} of {model} will be fetched to {place}; {free} are free there. Fetch them?".format(**question.values)
    for bar in _bars:
        bar.stop()
    answer = typer.confirm(said, err=True)
    for bar in _bars:
        bar.start()
    return answer


@contextmanager
def _progress(*columns: ProgressColumn) -> Iterator[Progress]:
    """Rich's progress on stderr, where that is a terminal."""
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        _bars.append(progress)
        try:
            yield progress
        finally:
            _bars.remove(progress)


def wait_for_model(ask: Callable[[], Answer]) -> Answer:
    """Ask until the model is there. On a terminal, stderr shows how far it is."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with _progress(*columns) as progress:
        task = progress.add_task("", total=None, visible=False)

        def show(loading: ModelLoading) -> None:
            stage, fraction = loading.values["stage"], loading.values.get("fraction")
            step = Step(stage, fraction, loading.values.get("seconds_left"))
            progress.update(
                task,
                description=f"{loading.values['model']}: {_say(step)}",
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                visible=True,
            )

        return Lab.wait_for_model(ask, show)


@contextmanager
def showing_progress() -> Iterator[Callable[[Step], None]]:
    """On a terminal, stderr shows how far a long computation is; elsewhere nothing is printed."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with _progress(*columns) as progress:
        task, pace = progress.add_task("", total=1.0), Pace()
        yield lambda step: progress.update(task, description=_say(pace(step)), completed=step.fraction or 0.0)


def _say(step: Step) -> str:
    return ", ".join(filter(None, (step.stage, describe_left(DEFAULT_LANGUAGE, step.seconds_left))))


def print_table(columns: dict[str, str], rows: Iterable[Sequence[str]]) -> None:
    """A table: name → "left" or "right". In a pipe or a log nobody needs it folded into a narrow terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in columns.items():
        table.add_column(name, justify=side, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def print_line(*parts: str | tuple[str, str]) -> None:
    """A line as it is: people's text is never markup, and no line is broken at the terminal's width."""
    Console(highlight=False).print(Text.assemble(*parts), soft_wrap=True)


def print_json(value) -> None:
    # Where the stream cannot carry every letter (a Windows pipe), JSON has its own way to write them.
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    print_plain(to_json(value, ensure_ascii=not unicode) + "\n")


def to_json(value, ensure_ascii: bool = False) -> str:
    """JSON as every reader takes it: NaN and infinity, for which it has no words, are null."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=ensure_ascii, allow_nan=False)


def _finite(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def print_plain(text: str) -> None:
    sys.stdout.write(text)


def note(message: str, style: str = "dim") -> None:
    """One line on stderr."""
    Console(stderr=True, highlight=False).print(Text(" ".join(message.split()), style=style), soft_wrap=True)


def decimal(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def interval(figure: Interval | None, signed: bool = False) -> str:
    """`0.738 [0.710, 0.764]`."""
    if figure is None:
        return "–"
    low, value, high = (
        f"{number:+.3f}" if signed else f"{number:.3f}" for number in (figure.low, figure.value, figure.high)
    )
    return f"{value} [{low}, {high}]"
