"""`python -m demo models`: what one can choose, and whether this machine can run it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from demo.cli.app import app
from demo.cli.options import MACHINE_OPTIONS, JsonOption, expand_options, make_lab
from demo.cli.printing import Console, print_json
from demo.wording.numbers import parameter_count


@app.command()
@expand_options(machine=MACHINE_OPTIONS)
def models(*, machine: dict[str, Any], as_json: JsonOption = False) -> None:
    """List the models one can choose, and whether this machine can run them."""
    statuses = make_lab(**machine).models()
    if as_json:
        print_json([asdict(status) for status in statuses])
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
        reason = f"texts are sent to {status.host}" if status.host else status.reason
        state = f"{status.state}: {reason}" if reason else status.state
        size = parameter_count(status.parameters, " ") if status.parameters else "–"
        cells = (status.model, status.kind.value, size, status.licence or "–", state)
        table.add_row(*map(Text, cells), style="dim" if status.state == "unavailable" else None)
    # In a pipe or a log nobody needs the reasons folded into a narrow column.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
