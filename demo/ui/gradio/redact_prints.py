"""Redacted prints: what Gradio prints of an exception, with people's texts, goes to our log without them.

A malformed request raises in Gradio's own code, before any handler of ours. Gradio has no setting for it: the
`print_exc` that two of its modules call is replaced.
"""

from __future__ import annotations

import sys
import traceback
from types import SimpleNamespace

import gradio.queueing
import gradio.routes

from demo.serving.ops.request_log import report_fault


def redact_prints() -> None:
    """Once or often, for the whole process."""
    for module in (gradio.routes, gradio.queueing):
        module.traceback = SimpleNamespace(**{**vars(traceback), "print_exc": _log_fault})


def _log_fault(*args, **kwargs) -> None:
    error = sys.exc_info()[1]
    if error is not None:
        report_fault(error)
