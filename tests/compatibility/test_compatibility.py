"""Compatibility: links, answers, exports and command lines of an earlier release still mean and give the same.

`stored/` was written by that release (see surfaces.py). A difference breaks a public promise: mend the code. A stored
example may change only where the change is meant and the changelog tells of it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no page to ask")

from demo.ui.live.link import parse_link
from tests import ROOT
from tests.compatibility.surfaces import STORED, normalise, read_command_line, read_page


def stored(name: str) -> dict[str, Any]:
    return json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def command_line() -> dict[str, Any]:
    return normalise(read_command_line(ROOT))


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return normalise(read_page(ROOT))


def same(now: Any, before: Any) -> bool:
    """Equal, with floats that may differ by what another processor rounds."""
    if isinstance(before, dict) and isinstance(now, dict):
        return now.keys() == before.keys() and all(same(now[name], before[name]) for name in before)
    if isinstance(before, list) and isinstance(now, list):
        return len(now) == len(before) and all(map(same, now, before))
    if isinstance(before, float) and isinstance(now, int | float):
        return now == pytest.approx(before, abs=2e-5, rel=1e-4)
    return now == before


def test_no_flag_of_a_command_has_gone(command_line):
    before = stored("command_line")["flags"]
    assert {name: flags for name, flags in before.items() if not set(flags) <= set(command_line["flags"][name])} == {}


@pytest.mark.parametrize("name", sorted(stored("command_line").keys() - {"flags"}))
def test_a_command_gives_what_it_gave(command_line, name):
    before = stored("command_line")[name]
    assert same(command_line[name], before) or command_line[name] == before


def test_no_element_of_the_page_has_gone(page):
    assert set(stored("page")["elements"]) <= set(page["elements"])


@pytest.mark.parametrize("name", sorted(stored("page").keys() - {"elements"}))
def test_a_page_answers_as_it_answered(page, name):
    before = stored("page")[name]
    assert same(page[name], before) or page[name] == before


@pytest.mark.parametrize("link", stored("links"))
def test_a_link_opens_what_it_opened(link):
    assert parse_link(link) == stored("links")[link]
