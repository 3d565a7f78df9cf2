"""Error report: an exception becomes a sentence for the person; an unexpected one is logged without anybody's texts."""

from __future__ import annotations

import logging
import traceback

from demo.domain.errors import DemoError
from demo.ui.kit.i18n import translate, translate_error

_log = logging.getLogger(__name__)


def report_unexpected(language: str, error: Exception, where: str) -> str:
    """The sentence for the person. The log gets the exception's class, `where` and the stack, never its message."""
    _log.error("%s in %s:\n%s", type(error).__name__, where, "".join(traceback.format_tb(error.__traceback__)))
    return translate(language, "message.unexpected")


def explain_error(language: str, error: Exception, where: str) -> str:
    """A DemoError's own sentence; else the one of `report_unexpected`, so that the page stays usable."""
    return (
        translate_error(language, error) if isinstance(error, DemoError) else report_unexpected(language, error, where)
    )
