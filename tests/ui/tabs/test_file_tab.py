"""The file tab without a browser: the matrix's payload, and its handlers over the fake engine."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Pairing, Progress  # noqa: E402
from demo.figures.matrix import palette, quantize, shown_range  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.ui.kit.page_jobs import open_session  # noqa: E402
from demo.ui.page_file.registry import PAGE_FILES  # noqa: E402
from demo.ui.panels.save.handlers import NAMES  # noqa: E402
from demo.ui.tabs.file.handlers import FileHandlers  # noqa: E402
from demo.ui.tabs.file.matrix import show_matrix  # noqa: E402
from demo.ui.tabs.file.pages import ResultCache  # noqa: E402
from demo.ui.tabs.file.tab import create_file_tab  # noqa: E402
from demo.ui.tabs.file.text import render_best, render_worst  # noqa: E402
from tests.page_requests import lab_values  # noqa: E402
from tests.studies.test_large import MODEL, READING, make, new_lab  # noqa: E402
from tests.ui.tabs.open_page import OpenPage  # noqa: E402
from tests.waiting import eventually  # noqa: E402

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def lab() -> Lab:
    return new_lab()


# ---- the payload ----------------------------------------------------------------------------------------------------


def unpack(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=kind)


@pytest.mark.parametrize("low", [-1.0, 0.4, 0.999])
def test_cosines_arrive_right_to_four_digits(low):
    similarity = np.random.default_rng(0).uniform(low, 1, size=(40, 30)).astype(np.float32)
    picture = show_matrix("en", similarity, make(40, 30), alt="x")["picture"]
    steps = unpack(picture["steps"], "<u2").reshape(40, 30)
    start, end = picture["range"]
    np.testing.assert_allclose(start + steps / 65535 * (end - start), similarity, atol=2e-5)
    assert start <= picture["shown"][0] < picture["shown"][1] <= end


def test_equal_cosines_are_a_picture_too():
    same = np.full((3, 2), 0.5, dtype=np.float32)
    steps, low, high = quantize(same)
    assert (steps.max(), low, high) == (0, 0.5, 0.5)
    low, high = shown_range(same)
    assert low < 0.5 < high


def test_a_million_cosines_are_less_than_three_megabytes():
    pairing = make(1000)
    similarity = np.random.default_rng(0).uniform(-1, 1, size=(1000, 1000)).astype(np.float32)
    told = show_matrix("en", similarity, pairing, alt="x", with_texts=True)
    assert len(json.dumps({**told, "texts": ""})) < 2.75e6
    assert json.loads(told["texts"]) == [list(pairing.questions), list(pairing.answers)]
    assert isinstance(told["texts"], str)
    assert "steps" not in json.dumps(show_matrix("en", orders=(np.arange(3), np.arange(2))))
    assert len(palette()) == 256


def test_right_pairs_outside_a_part_are_not_sent():
    picture = show_matrix("en", np.zeros((2, 3), np.float32), make(5), alt="x")["picture"]
    assert unpack(picture["matches"], "<u2").reshape(-1, 2).tolist() == [[0, 0], [1, 1]]
    none = show_matrix("en", np.zeros((2, 3), np.float32), replace(make(5), matches=frozenset()), alt="x")
    assert none["picture"]["matches"] == ""


# ---- the tab --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(lab) -> OpenPage:
    return OpenPage.of_tab(lab, create_file_tab, FileHandlers, values)


def values(order: str = "given", **chosen) -> list:
    return [*lab_values(**{"model": MODEL, **READING, **chosen}), order]


def table(count: int) -> str:
    pairing = make(count)
    rows = zip(pairing.questions, pairing.answers, strict=True)
    return "question,answer\n" + "".join(f"{question},{answer}\n" for question, answer in rows)


def send(page: OpenPage, event: str, *values) -> dict:
    """An event that is not sent with the form."""
    return page.named(getattr(page.handlers, f"on_{event}")(page.request, *values))


def pairing_of(page: OpenPage) -> Pairing | None:
    """The texts of the page's file, as they would be compared."""
    return page.handlers._pairing(open_session(page.request))


@pytest.fixture
def slow(lab, monkeypatch):
    """A comparison that shows a part and goes on until it is stopped."""

    def run(pairing, on_progress, on_part, **reading):
        on_part(np.zeros((2, 2), dtype=np.float32))
        for step in range(2000):
            on_progress(Progress("embedding", step / 2000))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "compare_large", run)


def test_a_file_is_there_to_be_compared(page):
    assert "more than 1,000 different questions" in page.tick()["note"]
    assert not page.tick()["run"]["interactive"]
    page.drop(f"nr,frage,antwort,label\n1,{NASTY},yes,1\n2,second,no,0\n")
    view = page.tick()
    assert "2 questions × 2 answers = 4 cosines; right pairs: 1. Read as the lab reads now: " in view["plan"]
    assert "SmolLM2-135M-Instruct · plain · mean · layer 30" in view["plan"]
    assert view["run"]["interactive"]
    assert "Press Compare all" in view["view"]["note"]
    page.drop("question,answer,score\na,b,3.5\n")
    view = page.tick()
    assert "neither 1 nor 0" in view["note"]
    assert not view["run"]["interactive"]
    page.run()
    assert page.state.job is None


def test_of_a_large_file_a_part_is_taken_as_one_chooses(page):
    page.drop(table(1003))
    assert "Of 1,003 questions 1,000 are taken, the first ones." in page.tick()["note"]
    before = pairing_of(page)
    assert (len(before.questions), len(before.matches)) == (1000, 1000)
    page.drop(table(1003), drawn=True)
    assert "drawn at random" in page.tick()["note"]
    assert len(pairing_of(page).questions) == 1000
    assert pairing_of(page).questions != before.questions


def test_a_closed_file_leaves_its_figures(page):
    page.drop(table(3))
    page.complete()
    PAGE_FILES.close(open_session(page.request))
    view = page.tick()["view"]
    assert (view["state"], "The file is closed" in view["note"]) == ("stale", True)


def test_parts_are_shown_before_the_result_and_texts_are_sent_once(lab):
    lab = Lab(lab.settings, FakeEngine(seconds_per_text=0.0005))
    lab.open(MODEL)
    page = OpenPage.of_tab(lab, create_file_tab, FileHandlers, values)
    page.drop(table(300))
    answers = [started := page.run()]
    eventually(lambda: answers.append(page.tick()) or answers[-1]["view"]["state"] != "running")
    assert (started["view"]["state"], started["view"]["poll"]) == ("running", True)
    assert (started["run"]["interactive"], started["stop"]["visible"]) == (False, True)
    pictures = [answer["matrix"] for answer in answers if "matrix" in answer]
    shapes = [(told["picture"]["rows"], told["picture"]["columns"]) for told in pictures]
    assert shapes[-1] == (300, 300)
    assert len(shapes) > 1, "a part came before the whole"
    assert ["texts" in told for told in pictures] == [True] + [False] * (len(pictures) - 1)
    notes = " ".join(answer["view"]["note"] for answer in answers)
    assert re.search(r"Embedded \d+ of 600 texts\. The picture shows the first 64 questions and 64 answers", notes)
    last = answers[-1]
    assert (last["view"]["state"], last["view"]["note"]) == ("ready", "")
    assert last["run"]["interactive"]
    assert not last["stop"]["visible"]
    assert "SmolLM2-135M-Instruct · plain · mean · last layer; computed in" in last["verdict"]
    assert re.search(r"<dd>\d+ of 300<small>95 %: ", last["facts"])
    assert "<details>" in last["best"]
    assert "matrix" not in page.tick(), "what has been sent is not sent again"
    assert page.beside("two").tick()["view"]["state"] == "idle", "nobody else sees it"


def test_another_order_sends_the_order_alone(page):
    assert send(page, "order", "best") == {"matrix": gr.skip()}
    page.drop(table(40))
    first = page.complete(order="best")["matrix"]
    assert "orders" in first, "the order that was chosen before holds for the new picture"
    answer = send(page, "order", "clustered")
    told = answer["matrix"]
    assert set(told) == {"seq", "words", "orders"}
    assert sorted(unpack(told["orders"][0], "<u2")) == list(range(40))
    assert answer["best"].count("<tr>") == 41
    assert send(page, "order", "nonsense") == {"matrix": gr.skip()}


def test_stopped_comparison_says_which_part_is_shown(page, slow):
    page.drop(table(4))
    started = page.run()
    eventually(lambda: page.state.run.part is not None)
    assert "matrix" in {**started, **page.tick()}
    assert page.run()["view"]["state"] == "running", "pressed twice: still the first one"
    assert page.stop()["view"]["note"] == "Stopping after these texts"
    done = page.finish()
    expected = "Stopped. The picture shows the first 2 questions and 2 answers so far."
    assert (done["view"]["state"], done["view"]["note"]) == ("stale", expected)
    assert done["run"]["interactive"]
    assert not done["stop"]["visible"]


def test_second_comparison_waits_and_closed_page_makes_room(page, slow):
    other = page.beside("two")
    for each in (page, other):
        each.drop(table(4))
        each.run()
    assert other.tick()["view"]["note"] == "Waiting for others: 1 before you"
    first, second = page.state.job, other.state.job
    page.leave()
    assert first.done.wait(5)
    eventually(lambda: other.state.run.part is not None)
    assert second.ahead == 0
    other.stop()
    assert second.done.wait(5)


def test_last_result_comes_back_after_a_stopped_comparison(page, request):
    page.drop(table(6))
    page.complete()
    request.getfixturevalue("slow")
    started = page.run(pooling="max")
    eventually(lambda: page.state.run.part is not None)
    part = {**started, **page.tick(pooling="max")}["matrix"]
    assert part["picture"]["rows"] == 2
    page.stop(pooling="max")
    done = page.finish(pooling="max")
    assert done["matrix"]["picture"]["rows"] == 6
    assert done["view"]["note"].startswith("Stopped. The lab's reading has changed")
    back = page.tick()
    assert (back["view"]["state"], back["view"]["note"]) == ("ready", "Stopped.")


def test_result_is_stale_for_another_reading_or_file(page):
    page.drop(table(5))
    page.complete()
    changed = page.tick(pooling="max")["view"]
    assert changed["state"] == "stale"
    assert "reading has changed" in changed["note"]
    page.drop(table(6))
    assert "other texts" in page.tick()["view"]["note"]


def test_errors_are_sentences(page, lab, monkeypatch):
    page.drop(table(5))
    impossible = {"model": "all-minilm-l6-v2", "layer": 6, "pooling": "last_token_logits"}
    refused = page.complete(**impossible)["view"]
    assert refused["state"] == "error"
    assert "no logits" in refused["note"]
    again = page.tick(**impossible)["view"]
    assert again["state"] == "error", "it is told until something else is asked"
    assert page.tick()["view"]["state"] == "idle"

    def explode(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(lab, "compare_large", explode)
    broken = page.complete()["view"]
    assert (broken["state"], "went wrong on our side" in broken["note"]) == ("error", True)
    assert page.tick()["run"]["interactive"]


def test_result_is_downloaded_in_every_format(page):
    refused = page.named(page.handlers.on_download("csv", page.request))
    assert "no longer holds" in refused["taken"]
    assert refused["file"] is None, "the file before must not be fetched again"
    page.drop(table(5))
    page.complete()
    for kind, name in NAMES.items():
        answer = page.named(page.handlers.on_download(kind, page.request))
        assert answer["taken"] == ""
        assert Path(answer["file"]).name == name
        assert Path(answer["file"]).stat().st_size > 100


def test_evicted_result_is_said_to_be_gone(page):
    page.drop(table(5))
    page.complete()
    page.handlers.results = ResultCache(max_bytes=1)
    told = page.tick()["view"]
    assert told["state"] == "stale"
    assert "no longer holds" in told["note"]


def test_result_larger_than_the_cache_is_an_error(page):
    page.drop(table(5))
    page.handlers.results = ResultCache(max_bytes=1)
    assert page.complete()["view"]["state"] == "error"


def test_lists_show_missed_questions_and_no_markup(lab):
    texts = tuple(f"{NASTY} {i} {'x' * 300}" for i in range(12))
    pairing = Pairing(texts, texts[::-1], frozenset((i, i) for i in range(12)))
    found = lab.compare_large(pairing, **READING)
    worst = render_worst("en", found)
    assert worst.count("<tr>") == 11, "ten and the head"
    assert "Missed most" in worst
    orders = (np.arange(12)[::-1], np.arange(12))
    best = render_best("ko", found, orders)
    assert best.index("<b>Q12</b>") < best.index("<b>Q1</b>"), "in the picture's order"
    for html in (worst, best):
        assert "<img" not in html
        assert "&lt;img" in html
        assert "…" in html
    assert render_worst("en", lab.compare_large(make(3), **READING)) == ""


def test_a_page_that_was_away_gets_the_result_that_came_meanwhile(page):
    page.drop(table(4))
    page.run()
    job = page.state.job
    assert job.done.wait(20)
    page.leave()
    eventually(lambda: page.state.job is None)
    back = page.tick()
    assert (back["view"]["state"], "picture" in back["matrix"]) == ("ready", True)


def test_a_page_that_was_forgotten_gets_its_result_again(page):
    page.drop(table(4))
    page.complete()
    page.handlers.pages._pages.clear()
    back = page.tick()
    assert (back["view"]["state"], "picture" in back["matrix"]) == ("ready", True)
