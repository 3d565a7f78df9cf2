"""The Sweep tab without a browser: handlers over the fake engine, text and figures."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend import fake  # noqa: E402
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Progress  # noqa: E402
from demo.domain.errors import Stopped  # noqa: E402
from demo.figures.sweep import WORDS as SWEEP_WORDS  # noqa: E402
from demo.figures.sweep import plot_layers, plot_sweep, slice_sweep  # noqa: E402
from demo.files.labelled import LabelledLimits, make_labelled_set  # noqa: E402
from demo.files.table import parse_table  # noqa: E402
from demo.jobs.queue import JobQueue  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.tabs.pairs_tab import labelled_part  # noqa: E402
from demo.ui.tabs.sweep.handlers import SweepHandlers  # noqa: E402
from demo.ui.tabs.sweep.tab import FOR_EVERY_MODEL, create_sweep_tab  # noqa: E402
from demo.ui.tabs.sweep.text import (  # noqa: E402
    reading_choices,
    render_scores,
    render_sweep_verdict,
    sweep_figures,
)
from tests.page_requests import lab_values  # noqa: E402
from tests.ui.tabs.open_page import OpenPage  # noqa: E402
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
def page(lab) -> OpenPage:
    page = OpenPage.of_tab(lab, create_sweep_tab, SweepHandlers, values)
    page.handlers.queue = JobQueue(workers=1)
    return page


def values(prompts=("plain",), source="texts", figure="auc", method="best", **lab_choices) -> list:
    own = {"questions": QUESTIONS, "answers": ANSWERS, "model": SMALL, "prompt": "plain", "layer": 6, "pooling": "mean"}
    return [*lab_values(**{**own, **lab_choices}), source, list(prompts), False, "texts", figure, method]


@pytest.fixture
def slow(lab, monkeypatch):
    """A sweep that goes on until it is stopped."""

    def run(**wanted):
        for step in range(2000):
            wanted["on_progress"](Progress("plain", step / 2000))
            time.sleep(0.005)

    monkeypatch.setattr(lab, "sweep", run)


def test_idle_tab_estimates_the_number_of_readings(page):
    assert not {"custom", "chat", "own"} & set(FOR_EVERY_MODEL)
    answer = page.tick(prompts=FOR_EVERY_MODEL)
    assert answer["view"]["state"] == "idle"
    assert "Press Sweep" in answer["view"]["note"]
    assert "prompts" not in answer, "what stands there already is not sent: a click on its way would be lost"
    readings = len(FOR_EVERY_MODEL) * 6 * 7 * len(Postprocess)  # prompts × poolings × layers × post-processings
    assert f"{readings:,} readings" in answer["estimate"]
    again = page.tick(prompts=["plain"])
    assert "prompts" not in again
    assert "Up to 252 readings" in again["estimate"]
    custom = page.tick(prompt="custom", template="{text}")
    assert "custom" in custom["prompts"]["choices"]


def test_result_is_sent_once(page):
    started = page.run()
    assert started["view"]["state"] == "running"
    assert started["view"]["poll"]
    assert started["run"]["interactive"] is False
    assert started["stop"]["visible"]
    done = page.finish()
    view = done["view"]
    assert (view["state"], view["note"]) == ("ready", "")
    assert [figure["id"] for figure in view["figures"]] == ["sweep-map", "sweep-layers"]
    assert done["run"]["interactive"]
    assert not done["stop"]["visible"]
    assert done["verdict"].startswith('<p class="verdict">Best of 42 readings: plain · ')
    assert "very questions that chose it (3)" in done["verdict"]
    assert "within noise: other texts" in done["verdict"]
    again = page.tick()
    assert "figures" not in again["view"]
    other = page.tick(figure="margin")
    assert other["view"]["figures"][0]["title"].startswith("Margin")
    assert page.beside("two").tick()["view"]["state"] == "idle"  # nobody else sees it


def test_applied_reading_is_in_use(page):
    done = page.complete()
    assert done["use_best"]["value"] == "Use this reading"
    best = page.state.result.best
    used = use(page, "best")
    assert used["pooling"] == best.pooling.value
    assert used["layer"] == (6 if best.layer == LAST_LAYER else best.layer)
    assert {"prompt", "eos", "postprocess"} < set(used)
    assert "template" not in used
    after = page.tick(**used)
    assert after["use_best"] == gr.update(value="In use", interactive=False, visible=True)
    other = page.tick(model="gpt2")
    assert other["view"]["state"] == "stale"
    assert not other["use_best"]["interactive"]
    assert use(page, "best", "gpt2") == use(page.beside("nobody"), "best") == {"prompt": gr.skip()}


def test_clicked_cell_offers_its_reading(page):
    page.complete()
    spot = [0, 1, 0, 3]
    answer = page.send("pick", gr.EventData(None, {"point": spot}))
    reading = page.state.result.reading_at(*spot)
    assert f"plain · {reading.pooling.value} · layer 3" in answer["picked"]
    assert answer["use_picked"]["interactive"]
    used = use(page, "picked")
    assert (used["pooling"], used["layer"]) == (reading.pooling.value, 3)
    for nonsense in (None, "x", [0, 0], [0, 0, 0, 7], [-1, 0, 0, 0], [0, 0, 0, 1.0], [True, 0, 0, 0], {"a": 1}):
        event = gr.EventData(None, {"point": nonsense})
        assert page.send("pick", event) == {"picked": gr.skip()}


def test_stopped_tab_stays_usable(page, slow):
    page.run()
    eventually(lambda: page.state.job.progress.stage != "starting")
    running = page.tick()["view"]
    assert running["note"] == "Sweeping: prompt plain"
    assert 0 <= running["progress"] < 1
    assert page.run()["view"]["state"] == "running"  # pressed twice: still the first one
    assert page.stop()["view"]["note"] == "Stopping after this step"
    done = page.finish()
    assert (done["view"]["state"], done["view"]["note"]) == ("idle", "Stopped.")
    assert done["run"]["interactive"]
    assert page.stop()["view"]["state"] == "idle"


@pytest.fixture
def halfway(lab, monkeypatch):
    """A sweep that shows the first of two prompts, and goes on when it is told to."""
    go, sweep = threading.Event(), lab.sweep

    def run(on_progress, on_part, **wanted):
        def wait(part) -> None:
            on_part(part)
            while not go.wait(0.01):
                on_progress(Progress("prompteol", 0.5))

        return sweep(**wanted, on_progress=on_progress, on_part=wait)

    monkeypatch.setattr(lab, "sweep", run)
    return go


TWO = ("plain", "prompteol")


def test_what_a_sweep_has_reached_is_shown_and_can_be_used(page, halfway):
    page.run(prompts=TWO)
    eventually(lambda: page.state.run.part is not None)
    part = page.tick(prompts=TWO)
    assert part["view"]["state"] == "running"
    assert [figure["id"] for figure in part["view"]["figures"]] == ["sweep-map", "sweep-layers"]
    assert part["verdict"].startswith('<p class="verdict">Best of 42 readings so far: plain · ')
    assert "very questions that chose it (3)" in part["verdict"]
    assert (part["scores"], part["use_best"]["value"]) == ("", "Use this reading")
    assert "figures" not in page.tick(prompts=TWO)["view"], "they are sent once"
    assert page.tick(prompts=TWO, figure="margin")["view"]["figures"][0]["title"].startswith("Margin")
    assert "plain" in page.send("pick", gr.EventData(None, {"point": [0, 1, 0, 3]}), prompts=TWO)["picked"]
    again = page.reloaded()
    assert again.tick(prompts=TWO)["verdict"] == part["verdict"], "a reload finds it again"
    halfway.set()
    done = again.finish(prompts=TWO, figure="margin")
    assert done["verdict"].startswith('<p class="verdict">Best of 84 readings: ')
    assert done["scores"]
    assert done["view"]["figures"][0]["title"].startswith("Margin"), "what was chosen of the part stays"
    assert "picked" not in done


def test_a_stopped_sweep_keeps_the_prompts_that_were_done(page, halfway):
    page.run(prompts=TWO)
    eventually(lambda: page.state.run.part is not None)
    page.stop(prompts=TWO)
    stopped = page.finish(prompts=TWO)
    assert stopped["view"]["state"] == "ready"
    assert stopped["view"]["note"].startswith("Stopped. These are the prompts that were done")
    assert "readings so far" in stopped["verdict"]
    assert page.tick(prompts=TWO)["use_best"]["value"] == "Use this reading"


def test_full_queue_is_a_sentence_and_waiting_page_sees_its_place(page, slow):
    other = page.beside("two")
    page.run()
    full = other.run()
    assert (full["view"]["state"], "already running" in full["view"]["note"]) == ("error", True)
    assert full["run"]["interactive"]
    page.handlers.queue.capacity = 1
    assert other.run()["view"]["note"] == "Waiting for others: 1 before you"
    waiting = page.beside("two", "ko").tick()["view"]
    assert (waiting["state"], waiting["note"]) == ("running", "차례를 기다리는 중: 앞에 1명")
    jobs = [other.state.job, page.state.job]
    other.leave()
    page.leave()
    assert all(job.done.wait(5) for job in jobs), "a closed page makes room"
    with pytest.raises(Stopped):
        jobs[1].result()


def test_errors_are_sentences(page, lab, monkeypatch):
    assert page.complete(answers="")["view"]["state"] == "idle"
    wrong = page.complete(questions="One?", answers="One.")["view"]
    assert (wrong["state"], "no wrong pair" in wrong["note"]) == ("error", True)
    again = page.tick(questions="One?", answers="One.")["view"]
    assert again["note"] == wrong["note"]  # until something else is asked
    assert page.tick()["view"]["state"] == "idle"
    wrong = page.complete(matches="9-9")["view"]
    assert "“9-9”" in wrong["note"]
    monkeypatch.setattr(lab, "sweep", lambda **wanted: 1 / 0)
    wrong = page.complete()["view"]
    assert (wrong["state"], "on our side" in wrong["note"]) == ("error", True)


def test_sweep_without_prompt_or_file_does_not_start(page):
    answer = page.run(prompts=[])
    assert "At least one" in answer["estimate"]
    answer = page.run(source="file")
    assert "No file is open" in answer["source_note"]
    assert answer["view"]["state"] == "idle"
    assert page.state.job is None


def test_edited_texts_make_the_result_stale(page):
    page.complete()
    view = page.tick(questions="Other?")["view"]
    assert view["state"] == "stale"
    assert "texts have changed" in view["note"]
    assert page.tick()["view"]["state"] == "ready"


def use(page: OpenPage, which: str, model: str = SMALL) -> dict:
    """The reading that goes into the lab's widgets."""
    return page.named(getattr(page.handlers, f"on_use_{which}")(page.request, model))


def noted(page: OpenPage) -> str:
    return page.tick(source="file")["source_note"]


def test_a_file_is_swept(page):
    assert page.tick()["source_note"] == ""
    page.drop(f"question,answer\nOne?,{NASTY}\nTwo?,Two.\n", f"{NASTY.replace('/', '')}.csv")
    assert "questions 2, answers 2; pairs 4, of which right 2" in noted(page)
    assert "<img" not in noted(page)
    assert page.complete(source="file")["view"]["state"] == "ready"
    assert page.tick(source="file", questions="Other?")["view"]["state"] == "ready"
    assert page.tick(source="texts")["view"]["state"] == "stale", "the boxes hold other texts"
    page.drop(SCORED)
    assert page.tick(source="file")["view"]["state"] == "stale", "another file"


def test_grades_have_one_figure(page):
    page.drop(SCORED)
    assert "pairs 4 with grades" in noted(page)
    done = page.complete(source="file")
    assert not done["figure"]["visible"]
    assert "Spearman" in done["verdict"]
    assert done["view"]["figures"][0]["title"].startswith("Spearman")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question,answer,label\na,b,<b>", "The label “&lt;b&gt;” in row 2 is not a number"),
        ("question,answer,label\na,b,0\na,c,1\nd,b,2\n", "these may be classes"),
    ],
)
def test_a_file_that_cannot_be_swept_says_why(page, content, said):
    page.drop(content)
    note = noted(page)
    assert 'role="alert"' in note
    assert said in note
    refused = page.run(source="file")
    assert refused["view"]["state"] == "error"
    assert page.state.job is None


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ("question,answer\n" + "".join(f"q{i},a{i}\n" for i in range(201)), 141),  # 20,000 cells
        ("question,answer,score\n" + "".join(f"q{i},a{i},{i}\n" for i in range(201)), 200),  # 400 texts
        ("question,answer,new\n" + "".join(f"q{i},a{i},{i % 2}\n" for i in range(201)), 200),
        ("question,answer,score\n" + "".join(f"q{i // 10},a{i % 9},{i}\n" for i in range(2001)), 200),  # 2,000 rows
    ],
)
def test_of_a_large_file_a_part_is_taken_as_one_chooses(page, content, taken):
    first = labelled_part(page.handlers.lab, page.drop(content))
    assert f" questions {taken:,} are taken, the first ones." in noted(page)
    assert first.questions == tuple(f"q{i}" for i in range(taken))
    drawn = labelled_part(page.handlers.lab, page.drop(content, drawn=True))
    assert "drawn at random" in noted(page)
    assert drawn.questions != first.questions


def test_heatmap_has_layers_and_grouped_poolings(found):
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


def test_best_postprocess_slice_is_the_maximum(lab):
    texts = [f"word{i} thing" for i in range(12)]
    found = lab.sweep(texts, texts[::-1], matches=[[i + 1, 12 - i] for i in range(12)], model=SMALL, prompts=["plain"])
    assert Postprocess.CENTER in found.postprocess
    picture = slice_sweep(found, "margin")
    assert np.array_equal(picture.values, np.nanmax(found.metrics["margin"], axis=2))
    center = slice_sweep(found, "margin", Postprocess.CENTER)
    assert found.postprocess[center.best[2]] is Postprocess.CENTER
    assert center.values[center.best[0], center.best[1], center.best[3]] == np.nanmax(center.values)
    assert found.reading_at(*slice_sweep(found, "auc").best) == found.best


def test_lines_cover_all_layers(found):
    figure = plot_layers(found, "auc")
    lines = {trace.name: trace for trace in figure.data}
    assert set(lines) == {pooling.value for pooling in Pooling if pooling is not Pooling.OWN}
    assert list(lines["last_token_logits"].x) == [30]
    assert list(lines["mean"].x) == list(range(31))
    assert len({(trace.line.dash, trace.marker.symbol) for trace in lines.values()}) == len(lines)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Layer", "AUC")
    assert found.best.prompt.value in figure.layout.title.text


def test_figures_have_alt_text_and_table(found, graded):
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
    assert not re.search("[a-z]{3} [a-z]{3}", re.sub("<[^>]*>", " ", render_sweep_verdict("ko", found)))


def test_reading_becomes_widget_values(found):
    chosen = reading_choices(found, replace(found.best, layer=LAST_LAYER, task="Find it"))
    assert chosen["layer"] == 30
    assert chosen["task"] == "Find it"
    assert chosen["eos"] is True
    assert "reference" not in reading_choices(found, replace(found.best, postprocess=Postprocess.NONE))


def test_a_reload_finds_the_sweep_and_its_result_again(page, slow):
    page.run()
    again = page.reloaded()
    assert again.tick()["view"]["state"] == "running"
    again.stop()
    again.finish()


def test_a_result_is_sent_whole_after_a_reload(page):
    page.complete()
    seen = page.reloaded().tick()
    assert seen["view"]["figures"]
    assert "verdict" in seen


def test_while_a_file_is_swept_nothing_of_the_boxes_is_shown(page, slow, graded):
    page.state.result, page.state.result_input = graded, (SMALL, QUESTIONS, ANSWERS, "")
    started = page.run()
    assert started["view"]["figures"] == []
    assert {started[name] for name in ("verdict", "scores", "hint", "picked")} == {""}
    page.stop()
    stopped = page.finish()
    assert stopped["view"]["figures"], "what was found before comes back"
    assert stopped["verdict"]
