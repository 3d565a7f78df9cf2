"""The guides name only what exists, and the README stays short."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

GUIDES = sorted([*ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")])


def names_in(text: str) -> set[str]:
    """Paths of this project in code spans, without wildcards and commands."""
    spans = re.findall(r"`([\w./{},-]+)`", text)
    return {span for span in spans if re.match(r"(demo|tests|examples|browser|backend|serving|ui)/", span)}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_guides_link_and_name_what_exists(guide):
    text = guide.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing = [link for link in links if not (guide.parent / link).exists()]
    if guide.name == "CONTRIBUTING.md":
        for name in names_in(text):
            paths = [name.replace("{en,ko}", language) for language in ("en", "ko")]
            if not all((ROOT / path).exists() or (ROOT / "tests" / path).exists() for path in paths):
                missing.append(name)
    assert missing == []


def test_the_readme_is_read_in_a_minute():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_tests_named_in_the_guide_exist():
    """`path/test_x.py::test_y` in the tables of threats, faults and reaches."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(?:[\w/.]+::)?(test_\w+)`", text)
    assert [name for name in named if f"def {name}(" not in sources] == []
