"""Stable import path of the bundled corpus, for scripts that the lab has exported."""

from demo.files.bundled import load_reference

__all__ = ["load_reference"]
