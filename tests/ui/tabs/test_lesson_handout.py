"""The lesson's handout as a page: both languages, whole, and nothing but itself."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.ui.tabs.lesson.handout import HANDOUT, handout_route
from demo.ui.tabs.lesson.steps import NAMES
from demo.ui.tabs.lesson.text import render_step
from tests import ROOT


@pytest.mark.parametrize(("language", "file"), [("en", "lesson.md"), ("ko", "lesson.ko.md")])
def test_the_handout_is_the_file_as_a_page(language, file):
    page = TestClient(Starlette(routes=[handout_route()])).get(f"/{HANDOUT}", params={"lang": language}).text
    assert f'<html lang="{language}">' in page
    source = (ROOT / "examples" / file).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", source, re.M)
    assert [title for title in titles if f">{title}</h" not in page] == []
    assert page.count("<tr>") == len(re.findall(r"^\|(?!-)", source, re.M))
    assert "break-before: page" in page
    assert not re.search('(src|href)="(https?:)?//', page), "it needs nothing from elsewhere"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_step_links_to_it(language):
    for name in NAMES:
        assert f'href="{HANDOUT}?lang={language}"' in render_step(language, name, "smollm2-135m-instruct")
