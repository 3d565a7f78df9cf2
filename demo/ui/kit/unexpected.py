"""Error report: an unexpected exception becomes one calm sentence, and a line in the log without anybody's texts."""

from __future__ import annotations

import logging
import traceback

from demo.ui.kit.i18n import translate

_log = logging.getLogger(__name__)


def report_unexpected(language: str, error: Exception, where: str) -> str:
    """The sentence for the person. The log gets the exception's class, `where` and the stack, never its message."""
    _log.error("%s in %s:\n%s", type(error).__name__, where, "".join(traceback.format_tb(error.__traceback__)))
    return translate(language, "message.unexpected")
