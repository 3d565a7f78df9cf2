"""`idle` of page_actions: it waits for what the page waits for, and for nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.browser import page_actions
from tests.browser.page_actions import brings_nothing


@pytest.mark.parametrize(
    ("url", "nothing"),
    [
        ("http://x/gradio_api/queue/data?session_hash=told", True),
        ("http://x/gradio_api/queue/data?session_hash=waiting", False),
        ("http://x/gradio_api/queue/data?session_hash=of-another-server", False),
        ("http://x/gradio_api/queue/join?session_hash=told", False),
        ("http://x/live", False),
    ],
)
def test_a_stream_of_which_all_was_told_is_not_waited_for(monkeypatch, url, nothing):
    monkeypatch.setattr(
        page_actions,
        "queues",
        [
            SimpleNamespace(pending_event_ids_session={"told": set()}),
            SimpleNamespace(pending_event_ids_session={"waiting": {"e1"}}),
        ],
    )
    assert brings_nothing(url) is nothing
