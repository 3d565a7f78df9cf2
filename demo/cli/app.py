"""The command line's frame: one group of commands, and every failure of theirs in one place."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer
from typer.core import TyperGroup

from demo.cli.printing import note
from demo.domain.errors import BadInput, DemoError, ModelNotAllowed, ModelNotFound, ReadingRefused
from demo.jobs.leave import leave

_USAGE_ERRORS = (BadInput, ReadingRefused, ModelNotAllowed, ModelNotFound)
_ORDER = ("app", "compare", "article", "embed", "models", "sweep", "recommend", "benchmark", "train", "code", "export")


class CommandGroup(TyperGroup):
    """Every command's failures in one place: one line on stderr and an exit code, never a traceback."""

    def list_commands(self, ctx) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def invoke(self, ctx):
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()  # what cannot be written shall fail here
            return answer
        except DemoError as error:
            note(str(error), style="red")
            raise typer.Exit(2 if isinstance(error, _USAGE_ERRORS) else 1) from error
        except BrokenPipeError as error:
            _leave_stdout()
            raise typer.Exit(0) from error  # whoever read it had enough: `| head`
        except OSError as error:
            _leave_stdout()
            note(f"{error.filename or 'The output'}: {error.strerror or error}.", style="red")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


def _leave_stdout() -> None:
    """Nobody takes what is still to be written: at the end Python would try again, and complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # no file stands behind it
        return


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Output goes to stdout, progress and complaints to stderr.\n\n"
    "Exit codes: 0 done; 1 it could not be done (weights, memory, disk); 2 asked for wrongly; 130 interrupted.\n\n"
    "Examples:\n\n"
    "python -m demo compare\n\n"
    "python -m demo embed --texts-file texts.txt --pooling mean --out vectors.npz\n\n"
    "python -m demo sweep pairs.csv",
)


@app.callback()
def main() -> None:
    """Are GPTs good embedding models? Read vectors out of a language model and see which texts it finds alike.

    Every setting of `app.py` has an environment twin that works here too: DEMO_MODEL, DEMO_DEVICE, DEMO_MAX_TEXTS …
    """


def run() -> None:
    """Start the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A letter that a terminal cannot show becomes its number instead of ending the program.
        stream.reconfigure(errors="backslashreplace")
    try:
        command = Path(sys.argv[0]).name
        app(prog_name=f"python -m {__package__.split('.')[0]}" if command == "__main__.py" else command)
    except SystemExit as end:
        if end.code:  # a thread may still compute what nobody waits for any more
            leave(end.code)
        raise
