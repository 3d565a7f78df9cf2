"""Tests of the page begin without a file of an earlier test's page."""

import pytest


@pytest.fixture(autouse=True)
def no_page_files():
    pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
    from demo.ui.page_file.registry import PAGE_FILES

    yield
    PAGE_FILES._files.clear()
