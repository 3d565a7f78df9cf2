"""Leave: the end of a process whose threads may still compute.

Python's own end waits for some threads, and takes the others away in the midst of C++, which aborts the process
("terminate called without an active exception").
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process at once, with what it has written."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)
