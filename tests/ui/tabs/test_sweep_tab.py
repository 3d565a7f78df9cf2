"""The Sweep tab without a browser: its handlers over the fake engine, its words, its figures."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend import fake  # noqa: E402
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess  # noqa: E402
from demo.domain.errors import Stopped  # noqa: E402
from demo.figures.sweep import WORDS as SWEEP_WORDS  # noqa: E402
from demo.figures.sweep import plot_layers, plot_sweep, slice_sweep  # noqa: E402
from demo.files.labelled import LabelledLimits, make_labelled_set  # noqa: E402
from demo.files.table import parse_table  # noqa: E402
from demo.jobs.queue import JobQueue  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.i18n import LOCALES, translate_phrase  # noqa: E402
from demo.ui.live.tab import create_lab_tab  # noqa: E402
from demo.ui.tabs.sweep.handlers import SweepHandlers  # noqa: E402
from demo.ui.tabs.sweep.tab import FOR_EVERY_MODEL, create_sweep_tab  # noqa: E402
from demo.ui.tabs.sweep.text import (  # noqa: E402
    reading_choices,
    render_scores,
    render_sweep_verdict,
    sweep_figures,
)
from tests.page_requests import lab_values, page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

SMALL = "all-minilm-l6-v2"  # seven layers, no head
QUESTIONS = "What is GPU?\nWhere is OpenAI?\nWho wrote Hamlet?"
ANSWERS = "A graphics processing unit\nSan Francisco\nShakespeare did"
SCORED = "question,answer,score\na b,a c,4.5\nb d,x y,0.5\nc e,c f,3\nd g,z,1\n"
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def lab() -> Lab:
    lab = Lab(Settings(engine="fake", model=SMALL), fake.FakeEngine())
    lab.open(SMALL)
    return lab


@pytest.fixture(scope="module")
def found(lab):
    return lab.sweep(QUESTIONS, ANSWERS, model="smollm2-135m-instruct", prompts=["plain", "echo"], eos=True)


@pytest.fixture(scope="module")
def graded(lab):
    limits = LabelledLimits()
    labelled = make_labelled_set(parse_table(SCORED.encode(), "grades.csv", limits), limits)
    return lab.sweep(labelled=labelled, model=SMALL, prompts=["plain"])


@pytest.fixture
def tab(lab) -> SweepHandlers:
    settings = lab.settings
    first = lab.status(SMALL)
    with gr.Blocks():
        lab_widgets = create_lab_tab(settings, first)
        widgets = create_sweep_tab(settings)
    return SweepHandlers(lab, widgets, lab_widgets, JobQueue(workers=1))


def values(prompts=("plain",), source="texts", figure="auc", method="best", **lab_choices) -> list:
    own = {"questions": QUESTIONS, "answers": ANSWERS, "model": SMALL, "prompt": "plain", "layer": 6, "pooling": "mean"}
    return [*lab_values(**{**own, **lab_choices}), source, list(prompts), False, "texts", figure, method]


def finish(tab: SweepHandlers, session: str = "one", **chosen) -> dict:
    """Ticks until the sweep is done; the answer that tells so."""
    return eventually(
        lambda: tab.on_tick(page_request(session), *values(**chosen)),
        until=lambda answer: answer[tab.widgets.view]["state"] != "running",
    )


def sweep(tab: SweepHandlers, session: str = "one", **chosen) -> dict:
    begun = tab.on_run(page_request(session), *values(**chosen))
    return finish(tab, session, **chosen) if begun[tab.widgets.view]["state"] == "running" else begun


def wait_first(tab: SweepHandlers) -> None:
    """Until the lab is in the middle of the sweep."""
    job = tab.pages.of(page_request()).job
    eventually(lambda: job.progress.stage != "starting")


@pytest.fixture
def slow(lab, monkeypatch):
    """A sweep that goes on until it is stopped."""

    def run(**wanted):
        for step in range(2000):
            wanted["on_progress"](SimpleNamespace(stage="plain", fraction=step / 2000))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "sweep", run)


def test_before_anything_it_says_what_to_press_and_how_many_readings_that_is(tab):
    assert not {"custom", "chat", "own"} & set(FOR_EVERY_MODEL)
    answer = tab.on_tick(page_request(), *values(prompts=FOR_EVERY_MODEL))
    assert answer[tab.widgets.view]["state"] == "idle"
    assert "Press Sweep" in answer[tab.widgets.view]["note"]
    assert tab.widgets.prompts not in answer, "what stands there already is not sent: a click on its way would be lost"
    readings = len(FOR_EVERY_MODEL) * 6 * 7 * len(Postprocess)  # prompts × poolings × layers × post-processings
    assert f"{readings:,} readings" in answer[tab.widgets.estimate]
    again = tab.on_tick(page_request(), *values(prompts=["plain"]))
    assert tab.widgets.prompts not in again
    assert "Up to 252 readings" in again[tab.widgets.estimate]
    custom = tab.on_tick(page_request(), *values(prompt="custom", template="{text}"))
    assert "custom" in custom[tab.widgets.prompts]["choices"]


def test_a_sweep_runs_and_is_told_once(tab):
    started = tab.on_run(page_request(), *values())
    assert started[tab.widgets.view]["state"] == "running"
    assert started[tab.widgets.view]["poll"]
    assert started[tab.widgets.run]["interactive"] is False
    assert started[tab.widgets.stop]["visible"]
    done = finish(tab)
    view = done[tab.widgets.view]
    assert (view["state"], view["note"]) == ("ready", "")
    assert [figure["id"] for figure in view["figures"]] == ["sweep-map", "sweep-layers"]
    assert done[tab.widgets.run]["interactive"]
    assert not done[tab.widgets.stop]["visible"]
    assert done[tab.widgets.verdict].startswith('<p class="verdict">Best of 42 readings: plain · ')
    assert "very questions that chose it (3)" in done[tab.widgets.verdict]
    assert "within noise: other texts" in done[tab.widgets.verdict]
    again = tab.on_tick(page_request(), *values())
    assert "figures" not in again[tab.widgets.view]
    other = tab.on_tick(page_request(), *values(figure="margin"))
    assert other[tab.widgets.view]["figures"][0]["title"].startswith("Margin")
    assert tab.on_tick(page_request("two"), *values())[tab.widgets.view]["state"] == "idle"  # nobody else sees it


def test_a_reading_is_applied_and_then_in_use(tab):
    done = sweep(tab)
    assert done[tab.widgets.use_best]["value"] == "Use this reading"
    best = tab.pages.of(page_request()).result.best
    used = {widget.elem_id: value for widget, value in tab.on_use_best(page_request(), SMALL).items()}
    assert used["pooling"] == best.pooling.value
    assert used["layer"] == (6 if best.layer == LAST_LAYER else best.layer)
    assert {"prompt", "eos", "postprocess"} < set(used)
    assert "template" not in used
    after = tab.on_tick(page_request(), *values(**used))
    assert after[tab.widgets.use_best] == gr.update(value="In use", interactive=False, visible=True)
    other = tab.on_tick(page_request(), *values(model="gpt2"))
    assert other[tab.widgets.view]["state"] == "stale"
    assert not other[tab.widgets.use_best]["interactive"]
    assert list(tab.on_use_best(page_request(), "gpt2").values()) == [gr.skip()]
    assert list(tab.on_use_best(page_request("nobody"), SMALL).values()) == [gr.skip()]


def test_a_cell_that_is_clicked_offers_its_reading(tab):
    sweep(tab)
    spot = [0, 1, 0, 3]
    answer = tab.on_pick(page_request(), gr.EventData(None, {"point": spot}), *values())
    reading = tab.pages.of(page_request()).result.reading_at(*spot)
    assert f"plain · {reading.pooling.value} · layer 3" in answer[tab.widgets.picked]
    assert answer[tab.widgets.use_picked]["interactive"]
    used = {widget.elem_id: value for widget, value in tab.on_use_picked(page_request(), SMALL).items()}
    assert (used["pooling"], used["layer"]) == (reading.pooling.value, 3)
    for nonsense in (None, "x", [0, 0], [0, 0, 0, 7], [-1, 0, 0, 0], [0, 0, 0, 1.0], [True, 0, 0, 0], {"a": 1}):
        event = gr.EventData(None, {"point": nonsense})
        assert tab.on_pick(page_request(), event, *values()) == {tab.widgets.picked: gr.skip()}


def test_it_stops_and_stays_usable(tab, slow):
    tab.on_run(page_request(), *values())
    wait_first(tab)
    running = tab.on_tick(page_request(), *values())[tab.widgets.view]
    assert running["note"] == "Sweeping: prompt plain"
    assert 0 <= running["progress"] < 1
    assert (
        tab.on_run(page_request(), *values())[tab.widgets.view]["state"] == "running"
    )  # pressed twice: still the first one
    assert tab.on_stop(page_request(), *values())[tab.widgets.view]["note"] == "Stopping after this step"
    done = finish(tab)
    assert (done[tab.widgets.view]["state"], done[tab.widgets.view]["note"]) == ("idle", "Stopped.")
    assert done[tab.widgets.run]["interactive"]
    assert tab.on_stop(page_request(), *values())[tab.widgets.view]["state"] == "idle"


def test_all_places_taken_is_a_sentence_and_who_leaves_makes_room(tab, slow):
    tab.on_run(page_request("one"), *values())
    answer = tab.on_run(page_request("two"), *values())
    assert answer[tab.widgets.view]["state"] == "error"
    assert "already running" in answer[tab.widgets.view]["note"]
    assert answer[tab.widgets.run]["interactive"]
    job = tab.pages.of(page_request("one")).job
    tab.on_leave(page_request("one"))
    assert job.done.wait(5)
    with pytest.raises(Stopped):
        job.result()


def test_who_waits_in_line_sees_how_many_are_before(tab, slow):
    tab.queue.capacity = 1
    tab.on_run(page_request("one"), *values())
    assert tab.on_run(page_request("two"), *values())[tab.widgets.view]["note"] == "Waiting for others: 1 before you"
    waiting = tab.on_tick(page_request("two", "ko"), *values())[tab.widgets.view]
    assert (waiting["state"], waiting["note"]) == ("running", "차례를 기다리는 중: 앞에 1명")
    jobs = [tab.pages.of(page_request(session)).job for session in ("two", "one")]
    tab.on_leave(page_request("two"))
    tab.on_leave(page_request("one"))
    assert all(job.done.wait(5) for job in jobs)


def test_what_goes_wrong_is_a_sentence(tab, lab, monkeypatch):
    assert sweep(tab, answers="")[tab.widgets.view]["state"] == "idle"
    wrong = sweep(tab, questions="One?", answers="One.")[tab.widgets.view]
    assert (wrong["state"], "no wrong pair" in wrong["note"]) == ("error", True)
    again = tab.on_tick(page_request(), *values(questions="One?", answers="One."))[tab.widgets.view]
    assert again["note"] == wrong["note"]  # until something else is asked
    assert tab.on_tick(page_request(), *values())[tab.widgets.view]["state"] == "idle"
    wrong = sweep(tab, matches="9-9")[tab.widgets.view]
    assert "“9-9”" in wrong["note"]
    monkeypatch.setattr(lab, "sweep", lambda **wanted: 1 / 0)
    wrong = sweep(tab)[tab.widgets.view]
    assert (wrong["state"], "on our side" in wrong["note"]) == ("error", True)


def test_no_prompt_and_no_file_begin_nothing(tab):
    answer = tab.on_run(page_request(), *values(prompts=[]))
    assert "At least one" in answer[tab.widgets.estimate]
    answer = tab.on_run(page_request(), *values(source="file"))
    assert "No file has been chosen" in answer[tab.widgets.upload_note]
    assert answer[tab.widgets.view]["state"] == "idle"
    assert tab.pages.of(page_request()).job is None


def test_a_sweep_says_when_the_texts_have_changed(tab):
    sweep(tab)
    view = tab.on_tick(page_request(), *values(questions="Other?"))[tab.widgets.view]
    assert view["state"] == "stale"
    assert "texts have changed" in view["note"]
    assert tab.on_tick(page_request(), *values())[tab.widgets.view]["state"] == "ready"


def upload(tab, tmp_path, content: str, name: str = "pairs.csv", language: str = "en") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    note = tab.on_upload(page_request(language=language), str(path))
    assert not path.exists()  # people's texts do not stay on the disk
    return note


def test_a_file_is_swept(tab, tmp_path):
    assert "a row a pair" in tab.on_upload(page_request(), None)
    note = upload(tab, tmp_path, f"question,answer\nOne?,{NASTY}\nTwo?,Two.\n", f"{NASTY.replace('/', '')}.csv")
    assert "questions 2, answers 2; pairs 4, of which right 2" in note
    assert "<img" not in note
    assert sweep(tab, source="file")[tab.widgets.view]["state"] == "ready"
    assert tab.on_tick(page_request(), *values(source="file", questions="Other?"))[tab.widgets.view]["state"] == "ready"


def test_grades_have_one_figure(tab, tmp_path):
    assert "pairs 4 with grades" in upload(tab, tmp_path, SCORED)
    done = sweep(tab, source="file")
    assert not done[tab.widgets.figure]["visible"]
    assert "Spearman" in done[tab.widgets.verdict]
    assert done[tab.widgets.view]["figures"][0]["title"].startswith("Spearman")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("one column\nonly", "a single column"),
        ("question,answer,label\na,b,<b>", "The label “&lt;b&gt;” in row 2 is not a number"),
        ("question,answer\na", "Row 2 has no answer"),
        ("question,answer\n" + "".join(f"q{i},a{i}\n" for i in range(201)), "cells"),
        ("question,answer,label\n" + "".join(f"q{i},a{i},{i}\n" for i in range(201)), "402 different texts"),
        ("question,answer,label\n" + "".join(f"q{i},a,{i}\n" for i in range(2001)), "2,000 are accepted"),
        ("question,answer\na,b\x00", "a NUL character"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_forgets_the_last_one(tab, tmp_path, content, said):
    upload(tab, tmp_path, SCORED)
    note = upload(tab, tmp_path, content)
    assert 'role="alert"' in note
    assert said.lower() in note.lower()
    assert tab.pages.of(page_request()).labelled is None


SPOKEN = [
    "The winner was picked on the very texts that score it: with so few, some reading always wins.",
    "The winner's lead over the runner-up is within noise: other texts may turn it round.",
]


@pytest.mark.parametrize("sentence", SPOKEN)
def test_notices_are_said_in_korean(sentence):
    assert re.search("[가-힣]", translate_phrase("ko", sentence))
    assert not re.search("[a-z]{3}", translate_phrase("ko", sentence))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "one column\nonly",
        "question,answer,label\na,b,x",
        "question,answer\na",
        "question,answer\na,b,c",
        "question,answer,label\na,b,2\nc,d,2",
        "question,answer,label\na,b,0",
        "question,answer,label\na,b,0\na,b,1",
        "question,answer\na,b",
        "question,answer,answer\na,b,c",
        "question,text\na,b",
        'question,answer\na,"b',
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_korean(tab, tmp_path, content):
    note = upload(tab, tmp_path, content, language="ko")
    note = re.sub(r"\([^)]*\)|<[^>]*>|CSV", "", note)  # column names stay as they are
    assert re.search("[가-힣]", note)
    assert not re.search("[a-z]{3}", note), note


def test_the_heatmap_of_a_sweep(found):
    figure = plot_sweep(found, "auc")
    heat, star = figure.data
    assert np.shape(heat.z) == (31, 7 + 1 + 7)
    assert np.isnan(heat.z[:30, 0]).all()  # logits below the last layer
    assert np.isfinite(heat.z[30, 0])
    assert np.isnan(heat.z[:, 7]).all()  # between two prompts
    assert heat.customdata[30][8] == [1, 0, 0, 30]
    assert heat.zmin == 0.5
    assert heat.zmax >= np.nanmax(heat.z)
    spot = heat.customdata[star.y[0]][star.x[0]]
    assert found.reading_at(*spot) == found.best
    layout = figure.layout
    assert layout.title.text == "AUC by layer, prompt and pooling"
    assert (layout.yaxis.title.text, layout.xaxis.title.text) == ("Layer", "Pooling, in a group for each prompt")
    assert list(layout.xaxis2.ticktext) == ["plain", "echo"]
    assert list(layout.xaxis.ticktext[:2]) == ["last_token_logits", "last_token"]
    assert layout.yaxis.tickvals[-1] == 30
    assert heat.text[30][0] == "plain + EOS · last_token_logits · last layer"


def test_the_picture_of_the_best_post_processing_is_their_maximum(lab):
    texts = [f"word{i} thing" for i in range(12)]
    found = lab.sweep(texts, texts[::-1], matches=[[i + 1, 12 - i] for i in range(12)], model=SMALL, prompts=["plain"])
    assert Postprocess.CENTER in found.postprocess
    picture = slice_sweep(found, "margin")
    assert np.array_equal(picture.values, np.nanmax(found.metrics["margin"], axis=2))
    center = slice_sweep(found, "margin", Postprocess.CENTER)
    assert found.postprocess[center.best[2]] is Postprocess.CENTER
    assert center.values[center.best[0], center.best[1], center.best[3]] == np.nanmax(center.values)
    assert found.reading_at(*slice_sweep(found, "auc").best) == found.best


def test_the_lines_of_a_sweep(found):
    figure = plot_layers(found, "auc")
    lines = {trace.name: trace for trace in figure.data}
    assert set(lines) == {pooling.value for pooling in Pooling}
    assert list(lines["last_token_logits"].x) == [30]
    assert list(lines["mean"].x) == list(range(31))
    assert len({(trace.line.dash, trace.marker.symbol) for trace in lines.values()}) == len(lines)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Layer", "AUC")
    assert found.best.prompt.value in figure.layout.title.text


def test_figures_come_with_words_and_a_table(found, graded):
    for language in ("en", "ko"):
        heat, lines = sweep_figures(language, found, "auc", "best")
        assert found.best.label(SWEEP_WORDS, "").split(" · ")[1] in heat["alt"]
        assert len(heat["table"]["rows"]) == 30
        assert len(lines["table"]["rows"]) == 31
    assert sweep_figures("en", found, "auc", "best")[0]["table"]["rows"][0][1] == found.best.label(SWEEP_WORDS, "")
    assert "스피어만" in sweep_figures("ko", graded, "spearman", "best")[0]["title"]


def test_verdict_and_scores_in_every_case(found, graded):
    assert render_scores("en", found).count("<td") == 4 * 3
    assert render_scores("en", graded).count("<td") == 3
    own = replace(found, best=found.default, scores={**found.scores, found.default: found.scores[found.best]})
    assert "It is the model&#x27;s own reading." in render_sweep_verdict("en", replace(own, runner_up=None, lead=None))
    assert "12 questions that did not choose it" in render_sweep_verdict("en", replace(found, held_out=12))
    assert "짝" in render_sweep_verdict("ko", graded)


def test_a_reading_as_the_widgets_hold_it(found):
    chosen = reading_choices(found, replace(found.best, layer=LAST_LAYER, task="Find it"))
    assert chosen["layer"] == 30
    assert chosen["task"] == "Find it"
    assert chosen["eos"] is True
    assert "reference" not in reading_choices(found, replace(found.best, postprocess=Postprocess.NONE))


def test_every_word_on_the_figures_has_a_translation():
    assert {name: LOCALES["en"][f"sweep.figure.{name}"] for name in SWEEP_WORDS} == SWEEP_WORDS
