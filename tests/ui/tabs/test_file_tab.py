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
from demo.domain.errors import BadInput  # noqa: E402
from demo.figures.matrix import palette, quantize, shown_range  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.ui.kit.i18n import LOCALES, placeholders, translate_phrase  # noqa: E402
from demo.ui.live.tab import create_lab_tab  # noqa: E402
from demo.ui.panels.save.handlers import NAMES  # noqa: E402
from demo.ui.tabs.file.handlers import FileHandlers  # noqa: E402
from demo.ui.tabs.file.matrix import show_matrix  # noqa: E402
from demo.ui.tabs.file.pages import ResultCache  # noqa: E402
from demo.ui.tabs.file.tab import create_file_tab  # noqa: E402
from demo.ui.tabs.file.text import render_best, render_worst  # noqa: E402
from tests.page_requests import lab_values, page_request  # noqa: E402
from tests.studies.test_large import MODEL, READING, make, new_lab  # noqa: E402
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


def new_tab(lab: Lab) -> FileHandlers:
    first = lab.status(MODEL)
    with gr.Blocks():
        lab_widgets = create_lab_tab(lab.settings, first)
        widgets = create_file_tab(lab.settings)
    return FileHandlers(lab, widgets, lab_widgets)


@pytest.fixture
def tab(lab) -> FileHandlers:
    return new_tab(lab)


def values(order: str = "given", **chosen) -> list:
    return [*lab_values(**{"model": MODEL, **READING, **chosen}), order]


def write(folder: Path, content: str, name: str = "set.csv") -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def table(pairing: Pairing) -> str:
    rows = zip(pairing.questions, pairing.answers, strict=True)
    return "question,answer\n" + "".join(f"{question},{answer}\n" for question, answer in rows)


def upload(tab: FileHandlers, folder: Path, content: str, name: str = "set.csv", **who) -> dict:
    return tab.columns.on_upload(page_request(**who), write(folder, content, name))


def finish(tab: FileHandlers, session: str = "one", **chosen) -> list[dict]:
    """Every answer until the comparison is done."""
    answers = []
    eventually(
        lambda: answers.append(tab.on_tick(page_request(session), *values(**chosen))),
        until=lambda _: answers[-1][tab.widgets.view]["state"] != "running",
    )
    return answers


def compare(tab: FileHandlers, session: str = "one", **chosen) -> dict:
    tab.on_run(page_request(session), *values(**chosen))
    return finish(tab, session, **chosen)[-1]


@pytest.fixture
def slow(lab, monkeypatch):
    """A comparison that shows a part and goes on until it is stopped."""

    def run(pairing, on_progress, on_part, **reading):
        on_part(np.zeros((2, 2), dtype=np.float32))
        for step in range(2000):
            on_progress(SimpleNamespace(stage="embedding", fraction=step / 2000))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "compare_large", run)


def wait_part(tab: FileHandlers) -> None:
    eventually(lambda: tab.pages.of(page_request()).run.part is not None)


def test_a_file_becomes_a_preview_and_columns(tab, tmp_path):
    assert "At" not in tab.columns.on_load(page_request("two", "ko"))[tab.widgets.note]
    assert "1,000 different questions" in tab.columns.on_load(page_request())[tab.widgets.note]
    content = f"nr,frage,antwort,label\n1,{NASTY},yes,1\n2,second,no,0\n"
    answer = upload(tab, tmp_path, content, f"{'x' * 5}<b>.csv")
    assert not list(tmp_path.iterdir()), "the file itself is not kept"
    assert answer[tab.widgets.upload] is None
    assert "“xxxxx&lt;b&gt;.csv”: rows 2, columns 4." in answer[tab.widgets.note]
    assert NASTY not in answer[tab.widgets.preview]
    assert answer[tab.widgets.preview].count("<tr>") == 3
    assert answer[tab.widgets.question]["choices"] == [("nr", 0), ("frage", 1), ("antwort", 2), ("label", 3)]
    chosen = [answer[widget]["value"] for widget in (tab.widgets.question, tab.widgets.answer, tab.widgets.label)]
    assert chosen == [1, 2, 3]
    assert (answer[tab.widgets.named]["value"], answer[tab.widgets.named]["visible"]) == (True, True)
    view = tab.on_tick(page_request(), *values())
    assert "2 questions × 2 answers = 4 cosines; right pairs: 1. Read as the lab reads now: " in view[tab.widgets.plan]
    assert "SmolLM2-135M-Instruct · plain · mean · layer 30" in view[tab.widgets.plan]
    assert view[tab.widgets.run]["interactive"]
    assert "Press Compare all" in view[tab.widgets.view]["note"]


def test_other_columns_can_be_chosen(tab, tmp_path):
    upload(tab, tmp_path, "a1,q1\na2,q2\n")
    swapped = tab.columns.on_columns(page_request(), 1, 0, "unknown", False)
    assert tab.pages.of(page_request()).pairing == Pairing(("q1", "q2"), ("a1", "a2"), frozenset())
    assert swapped[tab.widgets.question]["value"] == 1
    named = tab.columns.on_columns(page_request(), 1, 0, "unknown", True)
    assert named[tab.widgets.question]["choices"] == [("a1", 0), ("q1", 1)]
    same = tab.columns.on_columns(page_request(), 0, 0, "each_row", True)
    assert "same column" in same[tab.widgets.note]
    assert tab.pages.of(page_request()).pairing is None
    assert not tab.on_tick(page_request(), *values())[tab.widgets.run]["interactive"]
    for nonsense in (None, "x", True, 9, -1, [0], 1.0):
        tab.columns.on_columns(page_request(), nonsense, 1, nonsense, True)
        assert tab.pages.of(page_request()).pairing is None
    assert list(tab.columns.on_columns(page_request("nobody"), 0, 1, 2, True).values()) == [gr.skip()]


def test_a_bad_file_says_why_and_the_one_before_stays(tab, tmp_path):
    assert "single column" in upload(tab, tmp_path, "one\ntwo")[tab.widgets.note]
    upload(tab, tmp_path, table(make(3)))
    pairing = tab.pages.of(page_request()).pairing
    answer = upload(tab, tmp_path, "[" * 9999, "deep.json")
    assert "nested too deeply" in answer[tab.widgets.note]
    assert "The file before it stays." in answer[tab.widgets.note]
    assert tab.pages.of(page_request()).pairing is pairing
    assert "너무 깊이" in upload(tab, tmp_path, "[" * 9999, "deep.json", language="ko")[tab.widgets.note]
    assert tab.columns.on_upload(page_request(), None)[tab.widgets.upload] is None


def test_an_upload_that_nobody_expected_is_a_calm_sentence_and_no_text_reaches_the_log(
    tab, tmp_path, monkeypatch, caplog
):
    def explode(*_):
        raise RuntimeError(secret)

    secret = "secret " + "text"
    monkeypatch.setattr("demo.ui.tabs.file.columns.load_pairing_table", explode)
    assert "went wrong on our side" in upload(tab, tmp_path, secret)[tab.widgets.note]
    assert "RuntimeError in an upload" in caplog.text
    assert secret not in caplog.text


def test_a_comparison_shows_parts_then_all_of_it_and_texts_are_sent_once(lab, tmp_path):
    lab = Lab(lab.settings, FakeEngine(seconds_per_text=0.0005))
    lab.open(MODEL)
    tab = new_tab(lab)
    upload(tab, tmp_path, table(make(300)))
    started = tab.on_run(page_request(), *values())
    assert started[tab.widgets.view]["state"] == "running"
    assert started[tab.widgets.view]["poll"]
    assert not started[tab.widgets.run]["interactive"]
    assert started[tab.widgets.stop]["visible"]
    answers = finish(tab)
    pictures = [answer[tab.widgets.matrix] for answer in [started, *answers] if tab.widgets.matrix in answer]
    shapes = [(told["picture"]["rows"], told["picture"]["columns"]) for told in pictures]
    assert shapes[-1] == (300, 300)
    assert len(shapes) > 1, "a part came before the whole"
    assert ["texts" in told for told in pictures] == [True] + [False] * (len(pictures) - 1)
    notes = " ".join(answer[tab.widgets.view]["note"] for answer in answers)
    assert re.search(r"Embedded \d+ of 600 texts\. The picture shows the first 64 questions and 64 answers", notes)
    last = answers[-1]
    assert (last[tab.widgets.view]["state"], last[tab.widgets.view]["note"]) == ("ready", "")
    assert last[tab.widgets.run]["interactive"]
    assert not last[tab.widgets.stop]["visible"]
    assert "SmolLM2-135M-Instruct · plain · mean · last layer; computed in" in last[tab.widgets.verdict]
    assert re.search(r"<dd>\d+ of 300<small>95 %: ", last[tab.widgets.facts])
    assert "<details>" in last[tab.widgets.best]
    assert tab.widgets.matrix not in tab.on_tick(page_request(), *values()), "what has been sent is not sent again"
    assert tab.on_tick(page_request("two"), *values())[tab.widgets.view]["state"] == "idle", "nobody else sees it"


def test_another_order_sends_the_order_alone(tab, tmp_path):
    assert list(tab.on_order(page_request(), "best").values()) == [gr.skip()]
    upload(tab, tmp_path, table(make(40)))
    first = compare(tab, order="best")[tab.widgets.matrix]
    assert "orders" in first, "the order that was chosen before holds for the new picture"
    answer = tab.on_order(page_request(), "clustered")
    told = answer[tab.widgets.matrix]
    assert set(told) == {"seq", "words", "orders"}
    assert sorted(unpack(told["orders"][0], "<u2")) == list(range(40))
    assert answer[tab.widgets.best].count("<tr>") == 41
    assert list(tab.on_order(page_request(), "nonsense").values()) == [gr.skip()]


def test_it_stops_and_says_what_the_picture_shows(tab, slow, tmp_path):
    upload(tab, tmp_path, table(make(4)))
    started = tab.on_run(page_request(), *values())
    wait_part(tab)
    assert tab.widgets.matrix in {**started, **tab.on_tick(page_request(), *values())}
    assert (
        tab.on_run(page_request(), *values())[tab.widgets.view]["state"] == "running"
    )  # pressed twice: still the first one
    assert tab.on_stop(page_request(), *values())[tab.widgets.view]["note"] == "Stopping after these texts"
    done = finish(tab)[-1]
    expected = "Stopped. The picture shows the first 2 questions and 2 answers so far."
    assert (done[tab.widgets.view]["state"], done[tab.widgets.view]["note"]) == ("stale", expected)
    assert done[tab.widgets.run]["interactive"]
    assert not done[tab.widgets.stop]["visible"]


def test_a_second_one_waits_in_line_and_who_leaves_makes_room(tab, slow, tmp_path):
    for session in ("one", "two"):
        upload(tab, tmp_path, table(make(4)), session=session)
        tab.on_run(page_request(session), *values())
    assert tab.on_tick(page_request("two"), *values())[tab.widgets.view]["note"] == "Waiting for others: 1 before you"
    first, second = (tab.pages.of(page_request(session)).job for session in ("one", "two"))
    tab.on_leave(page_request("one"))
    assert first.done.wait(5)
    eventually(lambda: tab.pages.of(page_request("two")).run.part is not None)
    assert second.ahead == 0
    tab.on_stop(page_request("two"), *values())
    assert second.done.wait(5)


def test_the_last_picture_comes_back_where_a_new_comparison_was_stopped(tab, lab, tmp_path, monkeypatch, request):
    upload(tab, tmp_path, table(make(6)))
    compare(tab)
    request.getfixturevalue("slow")
    started = tab.on_run(page_request(), *values(pooling="max"))
    wait_part(tab)
    part = {**started, **tab.on_tick(page_request(), *values(pooling="max"))}[tab.widgets.matrix]
    assert part["picture"]["rows"] == 2
    tab.on_stop(page_request(), *values(pooling="max"))
    done = finish(tab, pooling="max")[-1]
    assert done[tab.widgets.matrix]["picture"]["rows"] == 6
    assert done[tab.widgets.view]["note"].startswith("Stopped. The lab's reading has changed")
    back = tab.on_tick(page_request(), *values())
    assert (back[tab.widgets.view]["state"], back[tab.widgets.view]["note"]) == ("ready", "Stopped.")


def test_what_was_found_tells_when_something_else_is_chosen(tab, tmp_path):
    upload(tab, tmp_path, table(make(5)))
    compare(tab)
    changed = tab.on_tick(page_request(), *values(pooling="max"))[tab.widgets.view]
    assert changed["state"] == "stale"
    assert "reading has changed" in changed["note"]
    upload(tab, tmp_path, table(make(6)))
    assert "other texts" in tab.on_tick(page_request(), *values())[tab.widgets.view]["note"]


def test_what_goes_wrong_is_a_sentence(tab, lab, tmp_path, monkeypatch):
    upload(tab, tmp_path, table(make(5)))
    impossible = {"model": "all-minilm-l6-v2", "layer": 6, "pooling": "last_token_logits"}
    refused = compare(tab, **impossible)[tab.widgets.view]
    assert refused["state"] == "error"
    assert "no logits" in refused["note"]
    again = tab.on_tick(page_request(), *values(**impossible))[tab.widgets.view]
    assert again["state"] == "error", "it is told until something else is asked"
    assert tab.on_tick(page_request(), *values())[tab.widgets.view]["state"] == "idle"

    def explode(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(lab, "compare_large", explode)
    told = [tab.on_run(page_request(), *values()), *finish(tab)]
    [broken] = [answer[tab.widgets.view]["note"] for answer in told if answer[tab.widgets.view]["state"] == "error"]
    assert "went wrong on our side" in broken
    assert tab.on_tick(page_request(), *values())[tab.widgets.run]["interactive"]


def test_files_to_take_home(tab, tmp_path):
    refused = tab.on_download("csv", page_request())
    assert "no longer holds" in refused[tab.widgets.taken]
    assert refused[tab.widgets.file] is None, "the file before must not be fetched again"
    upload(tab, tmp_path, table(make(5)))
    compare(tab)
    for kind, name in NAMES.items():
        answer = tab.on_download(kind, page_request())
        assert answer[tab.widgets.taken] == ""
        assert Path(answer[tab.widgets.file]).name == name
        assert Path(answer[tab.widgets.file]).stat().st_size > 100


def test_results_are_kept_within_a_budget_and_the_page_says_when_they_are_gone(tab, tmp_path):
    upload(tab, tmp_path, table(make(5)))
    compare(tab)
    tab.results = ResultCache(max_bytes=1)
    told = tab.on_tick(page_request(), *values())[tab.widgets.view]
    assert told["state"] == "stale"
    assert "no longer holds" in told["note"]


def test_a_result_too_large_to_be_kept_is_an_error_that_is_told(tab, tmp_path):
    upload(tab, tmp_path, table(make(5)))
    tab.results = ResultCache(max_bytes=1)
    assert compare(tab)[tab.widgets.view]["state"] == "error"


def test_the_lists_say_what_was_missed_and_show_no_markup(lab):
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


def test_words_in_both_languages():
    english, korean = LOCALES["en"], LOCALES["ko"]
    keys = [key for key in english if key.startswith(("file.", "matrix.", "label.file_"))]
    assert len(keys) > 60
    for key in keys:
        assert placeholders(english[key]) == placeholders(korean[key]), key
    sentence = str(BadInput(problem="The file is empty. Accepted: two different columns."))
    assert translate_phrase("ko", sentence) == "파일이 비어 있어요. 서로 다른 두 열을 받아요."
