"""The file tab without a browser: the matrix's payload, and its handlers over the fake engine."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Pairing  # noqa: E402
from demo.figures.matrix import palette, quantize, shown_range  # noqa: E402
from demo.lab import Lab  # noqa: E402
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
    handlers = page.handlers if hasattr(page.handlers, f"on_{event}") else page.handlers.columns
    return page.named(getattr(handlers, f"on_{event}")(page.request, *values))


def upload(page: OpenPage, folder: Path, content: str, name: str = "set.csv") -> dict:
    (folder / name).write_text(content, encoding="utf-8")
    return send(page, "upload", str(folder / name))


@pytest.fixture
def slow(lab, monkeypatch):
    """A comparison that shows a part and goes on until it is stopped."""

    def run(pairing, on_progress, on_part, **reading):
        on_part(np.zeros((2, 2), dtype=np.float32))
        for step in range(2000):
            on_progress(SimpleNamespace(stage="embedding", fraction=step / 2000))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "compare_large", run)


def test_file_becomes_a_preview_and_columns(page, tmp_path):
    assert "At" not in send(page.beside("two", "ko"), "load")["note"]
    assert "more than 1,000 different questions" in send(page, "load")["note"]
    content = f"nr,frage,antwort,label\n1,{NASTY},yes,1\n2,second,no,0\n"
    answer = upload(page, tmp_path, content, f"{'x' * 5}<b>.csv")
    assert not list(tmp_path.iterdir()), "the file itself is not kept"
    assert answer["upload"] is None
    assert "“xxxxx&lt;b&gt;.csv”: rows 2, columns 4." in answer["note"]
    assert NASTY not in answer["preview"]
    assert answer["preview"].count("<tr>") == 3
    assert answer["question"]["choices"] == [("nr", 0), ("frage", 1), ("antwort", 2), ("label", 3)]
    assert [answer[name]["value"] for name in ("question", "answer", "label")] == [1, 2, 3]
    assert (answer["named"]["value"], answer["named"]["visible"]) == (True, True)
    view = page.tick()
    assert "2 questions × 2 answers = 4 cosines; right pairs: 1. Read as the lab reads now: " in view["plan"]
    assert "SmolLM2-135M-Instruct · plain · mean · layer 30" in view["plan"]
    assert view["run"]["interactive"]
    assert "Press Compare all" in view["view"]["note"]


def test_other_columns_can_be_chosen(page, tmp_path):
    upload(page, tmp_path, "a1,q1\na2,q2\n")
    swapped = send(page, "columns", 1, 0, "unknown", False)
    assert page.state.pairing == Pairing(("q1", "q2"), ("a1", "a2"), frozenset())
    assert swapped["question"]["value"] == 1
    named = send(page, "columns", 1, 0, "unknown", True)
    assert named["question"]["choices"] == [("a1", 0), ("q1", 1)]
    same = send(page, "columns", 0, 0, "each_row", True)
    assert "same column" in same["note"]
    assert page.state.pairing is None
    assert not page.tick()["run"]["interactive"]
    for nonsense in (None, "x", True, 9, -1, [0], 1.0):
        send(page, "columns", nonsense, 1, nonsense, True)
        assert page.state.pairing is None
    assert send(page.beside("nobody"), "columns", 0, 1, 2, True) == {"note": gr.skip()}


def test_of_a_large_file_a_part_is_taken_as_one_chooses(page, tmp_path):
    first = upload(page, tmp_path, table(1003))
    assert first["take"]["visible"]
    assert "Of 1,003 questions 1,000 are taken, the first ones." in first["note"]
    before = page.state.pairing
    assert (len(before.questions), len(before.matches)) == (1000, 1000)
    drawn = send(page, "take", "drawn")
    assert "drawn at random" in drawn["note"]
    assert len(page.state.pairing.questions) == 1000
    assert page.state.pairing.questions != before.questions
    assert not upload(page, tmp_path, table(3))["take"]["visible"]


def test_a_column_of_ones_and_zeros_is_the_label_whatever_its_name(page, tmp_path):
    answer = upload(page, tmp_path, "qid1,question1,question2,similar\n1,a?,b.,1\n2,c?,d.,0\n")
    assert [answer[name]["value"] for name in ("question", "answer", "label")] == [1, 2, 3]
    assert page.state.pairing.matches == {(0, 0)}


def test_unusable_file_says_why_and_the_last_one_stays(page, tmp_path):
    assert "single column" in upload(page, tmp_path, "one\ntwo")["note"]
    upload(page, tmp_path, table(3))
    pairing = page.state.pairing
    answer = upload(page, tmp_path, "[" * 9999, "deep.json")
    assert "nested too deeply" in answer["note"]
    assert "The file before it stays." in answer["note"]
    assert page.state.pairing is pairing
    assert "너무 깊이" in upload(page.beside("one", "ko"), tmp_path, "[" * 9999, "deep.json")["note"]
    assert send(page, "upload", None)["upload"] is None


def test_unexpected_error_of_an_upload_logs_no_text(page, tmp_path, monkeypatch, caplog):
    def explode(*_):
        raise RuntimeError(secret)

    secret = "secret " + "text"
    monkeypatch.setattr("demo.ui.tabs.file.columns.load_pairing_table", explode)
    assert "went wrong on our side" in upload(page, tmp_path, secret)["note"]
    assert "RuntimeError in an upload" in caplog.text
    assert secret not in caplog.text


def test_parts_are_shown_before_the_result_and_texts_are_sent_once(lab, tmp_path):
    lab = Lab(lab.settings, FakeEngine(seconds_per_text=0.0005))
    lab.open(MODEL)
    page = OpenPage.of_tab(lab, create_file_tab, FileHandlers, values)
    upload(page, tmp_path, table(300))
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


def test_another_order_sends_the_order_alone(page, tmp_path):
    assert send(page, "order", "best") == {"matrix": gr.skip()}
    upload(page, tmp_path, table(40))
    first = page.complete(order="best")["matrix"]
    assert "orders" in first, "the order that was chosen before holds for the new picture"
    answer = send(page, "order", "clustered")
    told = answer["matrix"]
    assert set(told) == {"seq", "words", "orders"}
    assert sorted(unpack(told["orders"][0], "<u2")) == list(range(40))
    assert answer["best"].count("<tr>") == 41
    assert send(page, "order", "nonsense") == {"matrix": gr.skip()}


def test_stopped_comparison_says_which_part_is_shown(page, slow, tmp_path):
    upload(page, tmp_path, table(4))
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


def test_second_comparison_waits_and_closed_page_makes_room(page, slow, tmp_path):
    other = page.beside("two")
    for each in (page, other):
        upload(each, tmp_path, table(4))
        each.run()
    assert other.tick()["view"]["note"] == "Waiting for others: 1 before you"
    first, second = page.state.job, other.state.job
    page.leave()
    assert first.done.wait(5)
    eventually(lambda: other.state.run.part is not None)
    assert second.ahead == 0
    other.stop()
    assert second.done.wait(5)


def test_last_result_comes_back_after_a_stopped_comparison(page, tmp_path, request):
    upload(page, tmp_path, table(6))
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


def test_result_is_stale_for_another_reading_or_file(page, tmp_path):
    upload(page, tmp_path, table(5))
    page.complete()
    changed = page.tick(pooling="max")["view"]
    assert changed["state"] == "stale"
    assert "reading has changed" in changed["note"]
    upload(page, tmp_path, table(6))
    assert "other texts" in page.tick()["view"]["note"]


def test_errors_are_sentences(page, lab, tmp_path, monkeypatch):
    upload(page, tmp_path, table(5))
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


def test_result_is_downloaded_in_every_format(page, tmp_path):
    refused = page.named(page.handlers.on_download("csv", page.request))
    assert "no longer holds" in refused["taken"]
    assert refused["file"] is None, "the file before must not be fetched again"
    upload(page, tmp_path, table(5))
    page.complete()
    for kind, name in NAMES.items():
        answer = page.named(page.handlers.on_download(kind, page.request))
        assert answer["taken"] == ""
        assert Path(answer["file"]).name == name
        assert Path(answer["file"]).stat().st_size > 100


def test_evicted_result_is_said_to_be_gone(page, tmp_path):
    upload(page, tmp_path, table(5))
    page.complete()
    page.handlers.results = ResultCache(max_bytes=1)
    told = page.tick()["view"]
    assert told["state"] == "stale"
    assert "no longer holds" in told["note"]


def test_result_larger_than_the_cache_is_an_error(page, tmp_path):
    upload(page, tmp_path, table(5))
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
