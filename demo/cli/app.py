"""The command line's frame: one group of commands, and every failure of theirs in one place."""

from __future__ import annotations

import sys

import typer
from typer.core import TyperGroup

from demo.cli.printing import note
from demo.errors import DemoError


class CalmGroup(TyperGroup):
    """Every command's failures in one place: one line on stderr and an exit code, never a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except DemoError as error:
            note(str(error), style="red")
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
    app(prog_name="python -m demo")
