"""Quiet: how the page's own events are wired. Gradio shows no progress of its own: the views tell theirs in words."""

from __future__ import annotations

from typing import Any

# Else every output of any event ever asked for counts as a place of progress, though a hidden one, and Gradio's front
# end walks through the whole page for each: a key press was painted after 193 ms so, and after 130 without (measured).
QUIET: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": (), "api_visibility": "private"}
# An event that repeats, as a poll or a slider does: the newest of those that wait replaces the others.
LIVE: dict[str, Any] = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
