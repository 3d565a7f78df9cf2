"""The Recommend tab without a browser: handlers over a planted reading, its sentence, table and figure."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Iterator

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Progress  # noqa: E402
from demo.domain.results import Candidate  # noqa: E402
from demo.jobs.queue import JobQueue  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.live.form import Form  # noqa: E402
from demo.ui.tabs.recommend.handlers import RecommendHandlers  # noqa: E402
from demo.ui.tabs.recommend.tab import budgets, create_recommend_tab  # noqa: E402
from demo.ui.tabs.recommend.text import (  # noqa: E402
    recommend_figures,
    render_candidates,
    render_found,
    render_rows,
    running_note,
)
from tests.page_requests import lab_values  # noqa: E402
from tests.planted import MODELS, PLANTED, Planted, pairs, try_two_prompts  # noqa: E402
from tests.ui.tabs.open_page import OpenPage  # noqa: E402
from tests.waiting import eventually  # noqa: E402

NASTY = "<img src=x onerror=alert(1)>"


class TwoModels(Planted):
    """A planted reading among the readings of two models."""

    def models(self):
        return [status for status in FakeEngine.models(self) if status.model in MODELS]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        try_two_prompts(patch)
        yield Lab(Settings(engine="fake", model=MODELS[0]), TwoModels())


@pytest.fixture(scope="module")
def found(lab):
    return lab.recommend(labelled=pairs(32))


def values(source="texts", budget="600", count=32, **chosen) -> list:
    texts = pairs(count)
    own = {"questions": "\n".join(texts.questions), "answers": "\n".join(texts.answers), "model": MODELS[0]}
    return [*lab_values(**{**own, **chosen}), source, budget]


@pytest.fixture
def page(lab) -> OpenPage:
    page = OpenPage.of_tab(lab, create_recommend_tab, RecommendHandlers, values)
    page.handlers.queue = JobQueue(workers=1)
    return page


@pytest.fixture
def held(lab, monkeypatch):
    """Recommendations that show a part and then wait until they are stopped."""
    started = threading.Event()
    reading = lab.open(MODELS[0]).default_reading

    def run(**wanted):
        wanted["on_part"]((Candidate(reading, "MiniLM", 0.75, 8, 120.0),))
        started.set()
        while True:
            wanted["on_progress"](Progress("MiniLM, plain", 0.25, 42.0))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "recommend", run)
    return started


def buttons(shown: str, kind: str) -> list[dict]:
    """What the buttons of a kind bring, row by row."""
    return [json.loads(html.unescape(text)) for text in re.findall(rf'data-{kind}="([^"]*)"', shown)]


def test_one_click_ends_with_the_sentence_the_table_and_the_picture(page):
    idle = page.tick()
    assert (idle["view"]["state"], "Press Start" in idle["view"]["note"]) == ("idle", True)
    done = page.complete()
    view = done["view"]
    assert (view["state"], view["note"], view["of"]["questions"]) == ("ready", "", values()[0])
    assert [figure["id"] for figure in view["figures"]] == ["recommend-cost"]
    assert "finds 16 of 16" in done["verdict"]
    assert "the first is better on 16 questions that chose nothing" in done["verdict"]
    assert re.search(r"in \d+ of 600 s", done["verdict"])
    assert done["board"].count("<tr role") == 1 + len(page.state.result.rows)
    assert "figures" not in page.tick()["view"], "the picture is sent once"
    again = page.reloaded().tick()
    assert [figure["id"] for figure in again["view"]["figures"]] == ["recommend-cost"]
    assert again["verdict"] == done["verdict"]
    assert page.beside("two").tick()["view"]["state"] == "idle"  # nobody else sees it


def test_a_run_says_what_it_does_how_long_it_takes_and_what_it_has_reached(page, held):
    begun = page.run()
    assert (begun["view"]["state"], begun["view"]["poll"], begun["view"]["figures"]) == ("running", True, [])
    assert (begun["run"]["interactive"], begun["stop"]["visible"]) == (False, True)
    held.wait(5)
    eventually(lambda: page.tick()["view"]["note"].startswith("Trying MiniLM, plain"))
    assert "board" not in page.tick(), "a table that stands there is not sent again"
    reloaded = page.reloaded()
    assert "MiniLM" in reloaded.tick()["board"], "a reload finds the run again"
    page.stop()
    done = page.finish()
    assert (done["view"]["state"], "nothing has tested" in done["view"]["note"]) == ("ready", True)
    assert ".75" in done["board"]
    assert (begun["verdict"], "verdict" in done) == ("", False), "what nothing has tested is no recommendation"
    assert done["run"]["interactive"]


def test_edited_texts_make_it_stale_and_the_budget_is_one_of_the_list(page, monkeypatch, lab):
    page.complete()
    view = page.tick(answers="Other.")["view"]
    assert (view["state"], "texts have changed" in view["note"]) == ("stale", True)
    assert page.tick()["view"]["state"] == "ready"
    asked = []
    monkeypatch.setattr(lab, "recommend", lambda **wanted: asked.append(wanted["seconds"]) or 1 / 0)
    for budget in ("60", "86400", "nonsense"):
        assert "on our side" in page.complete(budget=budget)["view"]["note"]
    assert asked == [60.0, 600.0, 600.0]
    assert budgets(lab.settings)[-1] == "1800"
    assert budgets(Settings(engine="fake", public=True))[-1] == "600"


def test_too_few_texts_are_no_recommendation(page):
    done = page.complete(count=6)
    assert done["verdict"].startswith('<p class="verdict">Too few texts for a recommendation')
    assert "recommend-use" not in done["verdict"]
    assert "the very questions that chose them (6)" in done["board"]
    assert "<em>" not in done["board"]
    one = page.complete(questions="One?", answers="One.", matches="")["view"]
    assert (one["state"], "no wrong pair" in one["note"]) == ("error", True)


def test_a_file_is_read_in_place_of_the_boxes(page):
    missing = page.run(source="file")
    assert "No file is open" in missing["source_note"]
    assert page.state.job is None
    rows = zip(pairs(32).questions, pairs(32).answers, strict=True)
    page.drop("question,answer\n" + "".join(f"{question},{answer}\n" for question, answer in rows), f"{NASTY}.csv")
    assert "questions 32" in page.tick(source="file")["source_note"]
    done = page.complete(source="file", questions="other", answers="other")
    assert "finds 16 of 16" in done["verdict"]
    [texts] = buttons(done["board"], "texts")
    assert texts == {"questions": list(pairs(32).questions), "answers": list(pairs(32).answers), "part": False}
    assert page.tick(source="file", questions="yet another")["view"]["state"] == "ready"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_each_row_carries_its_reading_for_the_lab_and_the_rest_of_the_page(lab, found, language):
    shown = render_rows(language, lab, found, {})
    forms, readings = (buttons(shown, kind) for kind in ("form", "reading"))
    assert (forms[::2], readings[::2]) == (forms[1::2], readings[1::2]), "the tick and the buttons of a row"
    for row, form, reading in zip(found.rows, forms[::2], readings[::2], strict=True):
        assert lab.reading(**{**Form.parse(form).reading, "eos": form["eos"]}) == row.reading
        assert reading == {"model": row.reading.model, **row.reading.choices()}
    assert shown.count(" checked") == min(4, len(found.rows))
    best = buttons(render_found(language, lab, found), "reading")
    assert best == [{"model": found.best.model, **found.best.choices()}]


@pytest.mark.parametrize(
    ("changes", "name"),
    [({}, "PromptEOL"), ({"layer": 1}, "prompteol, last_token"), ({"pooling": "mean"}, "prompteol, mean")],
)
def test_a_reading_has_a_recipes_name_where_it_is_that_recipe_in_every_choice(lab, changes, name):
    reading = lab.reading(PLANTED[0], prompt="prompteol", **{"pooling": "last_token", "postprocess": "none", **changes})
    shown = render_candidates("en", lab, [Candidate(reading, "SmolLM2", 0.9, 8, None)], {})
    assert f"· {name}" in [line.strip() for line in re.sub(r"<[^>]*>", "\n", shown).split("\n")]


def test_the_picture_joins_what_is_worth_its_cost(lab, found):
    [figure] = recommend_figures("en", found)
    line = figure["figure"]["data"][0]
    assert line["mode"] == "lines"
    assert len(line["x"]) == len(found.front)
    assert list(line["y"])[-1] == pytest.approx(found.rows[0].scores.auc.value)
    assert [row[0].split(":")[0] for row in figure["table"]["rows"]] == [row.provenance["model"] for row in found.rows]
    assert "worth their cost: " in figure["alt"]


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress("starting", 0.0), "Getting ready"),
        (Progress("smollm2: loading", 0.0, 30.0), "Loading smollm2"),
        (Progress("scoring", 0.9, 0.2), "Testing the best readings on questions that chose nothing"),
        (Progress("MiniLM, echo", 0.5, 200.0), "Trying MiniLM, echo"),
    ],
)
def test_a_step_in_words(progress, said):
    assert running_note("en", progress) == said
