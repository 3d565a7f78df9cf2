"""The first picture in a browser: there before any script has come, where the page draws its own, and gone then."""

from __future__ import annotations

import pytest

from tests.browser.conftest import FORGET
from tests.browser.page_actions import PATIENCE_MS, STATE

pytestmark = pytest.mark.browser

BOX = """selector => {
  const boxes = [...document.querySelectorAll(selector)].map((one) => one.getBoundingClientRect());
  const [first, last] = [boxes[0], boxes.at(-1)];
  return [first.x, last.right - first.x, last.bottom - first.y, first.y];
}"""
# In the first picture and on the page: the cells, the verdict, its button, the recipes.
PLACES = {
    "#first-picture .cell": ".hm-plot .heatmaplayer image",
    "#first-picture .verdict": "#verdict .verdict",
    "#first-picture .turn": "#verdict .turn",
    "#first-picture .recipes .chosen": ".recipe[aria-pressed=true]",
    "#first-picture .views": "#views .tab-container",
}
FIRST = next(iter(PLACES))


@pytest.fixture
def page(regular):
    """A page of somebody whose browser has its parts already."""
    page = regular(locale="en-US").new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.evaluate(FORGET)
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_stands_where_the_page_will_draw_its_own(url, page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.route("**/*.js", lambda route: route.abort())
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_selector(FIRST)
    expected = [page.evaluate(BOX, first) for first in PLACES]
    page.unroute_all()
    page.goto(url)
    page.wait_for_selector(STATE.format("ready"))
    page.wait_for_selector("#first-picture", state="detached")
    for (first, own), place in zip(PLACES.items(), expected, strict=True):
        assert page.evaluate(BOX, own) == pytest.approx(place, abs=3), first


def test_a_link_with_other_texts_shows_none(url, page):
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{url}#q=Other", wait_until="domcontentloaded")
    assert page.query_selector("#first-picture") is None
