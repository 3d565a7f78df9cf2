"""Logs: the one place where they are configured: a line for people, or one of JSON (`--log-json`) for machines.

What an exception says is left out everywhere, since it may quote what somebody typed: its class and its place stay.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from types import TracebackType

import uvicorn.config

_PLAIN = "%(asctime)s %(message)s"
_TOLD = ("event", "code", "method", "route", "status", "duration_s")  # what a record may carry beside its message
_REQUESTS = "demo.serving.ops.request_log"


class PlainFormatter(logging.Formatter):
    """For people."""

    def formatException(self, ei: tuple) -> str:
        return _place(*ei)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and what of `_TOLD` there is."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        seconds = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "message",
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _TOLD if hasattr(record, name)}
        if "duration_s" in line:
            line["duration_s"] = round(line["duration_s"], 4)
        if record.exc_info:
            line["trace"] = _place(*record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs(as_json: bool = False) -> None:
    """For the whole process, uvicorn's loggers included. Plain: warnings, and what `demo` tells; JSON: requests too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(_PLAIN, "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("demo").setLevel(logging.INFO)  # which weights are fetched and how far
    logging.getLogger(_REQUESTS).setLevel(logging.INFO if as_json else logging.ERROR)
    logging.captureWarnings(True)
    # uvicorn configures its loggers when a server is made; the access log, whose lines hold query strings, is ours.
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
    quiet = {name: {"handlers": [], "level": "WARNING", "propagate": True} for name in names}
    quiet["uvicorn.access"] = {"handlers": [], "level": "CRITICAL", "propagate": False}
    uvicorn.config.LOGGING_CONFIG.update(formatters={}, handlers={}, loggers=quiet)


def _place(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> str:
    """Where it happened, and the class of what was raised."""
    return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")
