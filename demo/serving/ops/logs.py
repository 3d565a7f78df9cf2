"""Logs: their one configuration. Lines for people, or JSON lines (`--log-json`) for machines.

An exception's message may quote people's texts, so every format leaves it out: its class and its stack stay.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

import uvicorn.config

_PLAIN = "%(asctime)s %(message)s"
_FIELDS = ("event", "code", "method", "route", "status", "duration_s")  # of a record, beside its message
_REQUESTS = f"{__package__}.request_log"


class PlainFormatter(logging.Formatter):
    """For people."""

    def formatException(self, ei: tuple) -> str:
        kind, _, trace = ei
        return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")


class JsonFormatter(PlainFormatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and those of `_FIELDS` that there are."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        line = {
            "time": f"{time.isoformat(timespec='milliseconds')}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "message",
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if "duration_s" in line:
            line["duration_s"] = round(line["duration_s"], 4)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs(as_json: bool = False) -> None:
    """For the whole process, uvicorn's loggers included. Plain: warnings and `demo`'s messages; JSON: requests too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(_PLAIN, "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("demo").setLevel(logging.INFO)  # downloads of weights, and how far they are
    logging.getLogger(_REQUESTS).setLevel(logging.INFO if as_json else logging.ERROR)
    logging.captureWarnings(True)
    # uvicorn reads it when a server is made. Its access log holds query strings; RequestLog stands for it.
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
    quiet = {name: {"handlers": [], "level": "WARNING", "propagate": True} for name in names}
    quiet["uvicorn.access"] = {"handlers": [], "level": "CRITICAL", "propagate": False}
    uvicorn.config.LOGGING_CONFIG.update(formatters={}, handlers={}, loggers=quiet)
