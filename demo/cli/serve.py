"""`python -m demo app`: the page, from the command line that an installation has."""

from __future__ import annotations

import typer

from demo.cli.app import app
from demo.jobs.leave import leave

_ALL_OF_THEM = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("app", context_settings=_ALL_OF_THEM, add_help_option=False)
def serve(context: typer.Context) -> None:
    """Serve the page, with the flags of app.py: `app --help` lists them."""
    from demo.app import main  # here: no other command serves

    leave(main(context.args))
