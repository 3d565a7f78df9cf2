"""The Story tab without a browser: its numbers, its buttons, the table of models. Its steps: test_step_tabs.py."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.catalog import CATALOG  # noqa: E402
from demo.domain.datamodels import Kind, Pairing, Pooling, Prompt  # noqa: E402
from demo.figures.story import plot_models, plot_next_tokens, plot_positions  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.stages.article import PRINTED, printed, procedure  # noqa: E402
from demo.ui.kit import page_jobs  # noqa: E402
from demo.ui.kit.job_tab import ModelsJob  # noqa: E402
from demo.ui.tabs.story.board import render_board  # noqa: E402
from demo.ui.tabs.story.handlers import StoryHandlers  # noqa: E402
from demo.ui.tabs.story.runs import BoardRow, Readout, StoryRuns  # noqa: E402
from demo.ui.tabs.story.tab import IN_LAB, STEPS  # noqa: E402
from demo.ui.tabs.story.text import explain_logits, explain_tokens, format_margin  # noqa: E402
from demo.wording.numbers import fine_percent  # noqa: E402
from tests.ui.tabs.step_visit import ENCODER, GPT, NASTY, TUNED, Visit, create_story, plain  # noqa: E402
from tests.waiting import eventually  # noqa: E402

MISTRAL = "mistral-7b-instruct-v0.1"
PAIRING = Pairing(("q1", "q2"), ("a1", "a2"), frozenset({(0, 0), (1, 1)}))


@pytest.fixture
def tuned(monkeypatch) -> str:
    """The tuned GPT stands in the catalogue, whatever the catalogue is by now."""
    entry = replace(CATALOG[GPT], id=TUNED, name="SmolLM2 tuned", kind=Kind.TUNED_GPT, pooling=Pooling.LAST_TOKEN)
    monkeypatch.setitem(CATALOG, TUNED, replace(entry, prompt=Prompt.PROMPTEOL))
    return TUNED


@pytest.fixture
def untuned(monkeypatch) -> None:
    """The tuned GPT is not there."""
    monkeypatch.delitem(CATALOG, TUNED, raising=False)


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.load(GPT)
    return engine


@pytest.fixture
def handlers(engine) -> StoryHandlers:
    return create_story(Lab(Settings(engine="fake"), engine))


@pytest.fixture
def visit(handlers) -> Visit:
    return Visit(handlers)


def test_the_articles_figures_are_as_printed():
    mistral, e5 = (printed(model, PAIRING) for model in PRINTED)
    assert mistral.similarity.tolist() == np.float32([[0.96, 0.90], [0.93, 0.94]]).tolist()
    assert (mistral.metrics.found_first, e5.metrics.found_first) == (2, 2)
    assert mistral.metrics.margin == pytest.approx((0.96 + 0.94 - 0.90 - 0.93) / 2, abs=1e-6)
    assert e5.metrics.margin == pytest.approx((0.88 + 0.84 - 0.56 - 0.67) / 2, abs=1e-6)
    assert mistral.provenance["model"] == "Mistral-7B-Instruct-v0.1"


def test_the_procedure_takes_what_the_model_has(engine):
    taken = [[procedure(engine.load(model))[name] for name in ("prompt", "pooling")] for model in (GPT, ENCODER)]
    assert taken == [["chat", "last_token_logits"], ["plain", "last_token"]]


# ---- steps ----------------------------------------------------------------------------------------------------------


def test_numbers_in_sentences_are_the_labs(handlers, visit):
    lab, runs = handlers.lab, handlers.runs
    article = {"questions": runs.questions, "answers": runs.answers, "model": GPT}
    here = lab.compare(**article, prompt="chat", pooling="last_token_logits")
    found = plain(visit.look("result")["found"])
    assert f"margin {format_margin(here)}, right answers found first: {here.metrics.found_first} of 2" in found
    assert "Mistral-7B-Instruct-v0.1: .95 against .92, margin +.035" in found
    last, prompteol = (
        lab.compare(**article, prompt=prompt, pooling="last_token", layer=-1) for prompt in ("plain", "prompteol")
    )
    assert f"from {format_margin(last)} to {format_margin(prompteol)}" in plain(visit.look("why")["found"])


def test_the_same_gpt_after_training_is_shown_in_one_reading(visit, tuned):
    text = visit.announce("loss")["text"]
    assert "SmolLM2 tuned, the very same GPT" in text
    assert "<math" in text
    before, after = visit.look("loss")["view"]["figures"]
    assert before["title"] == "SmolLM2-135M-Instruct · prompteol · last_token · last layer"
    assert after["title"] == "SmolLM2 tuned · prompteol · last_token · last layer"
    scales = [[figure["figure"]["data"][0][end] for end in ("zmin", "zmax")] for figure in (before, after)]
    assert scales[0] == scales[1]


def test_another_model_stands_in_for_a_missing_tuned_one(visit, untuned):
    assert "another, smaller model" in visit.announce("loss")["text"]
    models = [figure["title"].split(" ")[0] for figure in visit.look("loss")["view"]["figures"]]
    assert models == ["SmolLM2-135M-Instruct", "all-MiniLM-L6-v2"]


def test_a_reading_that_the_pure_gpt_cannot_take_falls_back_to_the_articles(visit, tuned, monkeypatch):
    monkeypatch.setitem(CATALOG, TUNED, replace(CATALOG[TUNED], prompt=Prompt.OWN))
    before, after = visit.look("loss")["view"]["figures"]
    assert "plain" in before["title"]
    assert "own" in after["title"]


def test_only_the_buttons_of_the_step_are_visible(visit):
    for step in STEPS:
        seen = visit.announce(step)
        visible = {name for name in ("use", "train", "measure", "stop") if seen[name]["visible"]}
        expected = {"use"} if step in IN_LAB else set()
        assert visible == expected | {"loss": {"train"}, "models": {"measure"}}.get(step, set()), step


# ---- every model ----------------------------------------------------------------------------------------------------


def rows_of(board: str) -> list[str]:
    return [plain(row).strip() for row in re.findall(r"<tr role=\"row\" class=.*?</tr>", board, re.DOTALL)]


def test_the_table_has_the_articles_figures_and_loaded_models(handlers, visit):
    seen = visit.look("models")
    rows = rows_of(seen["found"])
    assert rows[0].startswith("Mistral-7B-Instruct-v0.1 printed in the article .96 .90 .93 .94 +.035 2 of 2")
    assert "no LM head" in rows[1]
    assert rows[1].endswith(".88 .56 .67 .84 +.245 2 of 2")
    assert "<li>Mistral-7B-Instruct-v0.1: needs 16.2 GiB, this machine has 8.0 GiB for models</li>" in seen["found"]
    own = next(row for row in rows if row.startswith("SmolLM2-135M-Instruct"))
    assert "own and the article" in own
    assert "chat · last_token_logits" in own
    waiting = [row for row in rows if "Not measured yet" in row]
    assert len(waiting) == len(handlers.runs.missing()) > 3
    assert len(seen["view"]["figures"][0]["table"]["rows"]) == 3


def test_missing_models_are_measured_by_a_job(handlers, visit, engine, untuned):
    engine.load_seconds = 0.05
    begun = visit.named(handlers.on_measure(visit.request, "models"))
    assert begun["view"]["state"] == "running"
    assert (begun["measure"]["interactive"], begun["stop"]["visible"]) == (False, True)
    notes = set()
    eventually(
        lambda: notes.add(visit.tick("models")["view"]["note"]),
        until=lambda _: not handlers.pages.of(visit.request).running,
    )
    assert any("is being loaded" in note for note in notes)
    seen = visit.look("models")
    rows = rows_of(seen["found"])
    assert ["the article&#39;s" in row for row in rows if row.startswith("all-MiniLM-L6-v2")] == [True, False]
    assert "The weights of GPT-2 could not be fetched" in next(row for row in rows if row.startswith("GPT-2"))
    assert seen["stop"]["visible"] is False
    assert handlers.runs.missing() == ["gpt2"]


def test_stop_keeps_what_was_measured_and_nobody_measures_twice_at_once(handlers, visit, engine):
    engine.load_seconds = 0.4
    other = Visit(handlers, session="two")
    handlers.on_measure(visit.request, "models")
    assert "already" in other.named(handlers.on_measure(other.request, "models"))["note"]
    assert "Stopping" in visit.named(handlers.on_stop(visit.request, "models"))["view"]["note"]
    assert visit.look("models")["view"]["note"].startswith("Stopped.")
    assert visit.look("models")["view"]["note"] == "", "once"
    assert handlers.runs.missing()


def test_closed_page_leaves_no_job_behind(handlers, visit, engine, monkeypatch):
    monkeypatch.setattr(page_jobs, "_GRACE_SECONDS", 0)
    engine.load_seconds = 0.4
    handlers.on_measure(visit.request, "models")
    job = handlers.pages.of(visit.request).job
    handlers.pages.leave(visit.request)
    assert job.done.wait(20)


def test_a_host_with_fewer_models_says_so(handlers, visit, monkeypatch):
    monkeypatch.setattr(handlers.lab.engine, "models", lambda: [CATALOG[GPT].status("loaded")])
    assert "<li>Mistral-7B-Instruct-v0.1: this host does not offer it</li>" in visit.look("models")["found"]
    assert handlers.runs.gpt == GPT


def test_the_pages_own_model_tells_the_story_if_no_other_is_available(engine, monkeypatch):
    lab = Lab(Settings(engine="fake", model=ENCODER), engine)
    monkeypatch.setattr(engine, "models", lambda: [CATALOG[ENCODER].status("available")])
    runs = StoryRuns(lab)
    assert (runs.gpt, runs.tuned) == (ENCODER, ENCODER)
    assert runs.missing() == [ENCODER]
    assert [row.state for row in runs.board(ModelsJob())] == ["known", "unavailable", "known", "unavailable", "waiting"]


# ---- words and figures ----------------------------------------------------------------------------------------------


def test_tokens_are_escaped(handlers):
    side = handlers.runs.readouts(GPT, "article")[0].inspected
    tokens = (NASTY, "\n", "a&b")
    side = replace(side, text=NASTY, prompted="".join(tokens), tokens=tokens, token_ids=(1, 2, 3), pooled=(0, 3))
    nasty = [Readout("Q1", replace(side, inside=(0, 2)), ((NASTY, 0.9), ("<b>x</b>", 0.1)))]
    figures, found = explain_tokens("en", nasty)
    assert "<img" not in found
    assert "“a&amp;b”" in found
    figures += explain_logits("en", nasty)[0]
    assert len(figures) == 2
    assert "<b>x" not in str([figure["figure"] for figure in figures])
    unavailable = BoardRow("x", NASTY, "article", state="unavailable", reason=NASTY)
    assert "<img" not in render_board("en", [BoardRow(MISTRAL, "M", "printed", printed(MISTRAL, PAIRING)), unavailable])


def test_the_read_position_is_the_last_and_marked(handlers):
    readouts = handlers.runs.readouts(GPT, "article")
    sides = [each.inspected for each in readouts]
    read = plot_positions(sides, [each.name for each in readouts]).data[2]
    assert list(read.y) == ["Q1", "Q2", "A1", "A2"]
    assert list(read.base) == [len(side.tokens) - 1 for side in sides]


def test_bars_are_the_probabilities_and_equal_tokens_keep_their_places():
    figure = plot_next_tokens([(" A", 0.6), ("A", 0.004), ("\n", 0.0001)], 0.6)
    assert list(figure.data[0].x) == [0.6, 0.004, 0.0001]
    assert list(figure.data[0].text) == ["60 %", "0.4 %", "< 0.1 %"]
    assert list(figure.layout.yaxis.ticktext) == ["A", "A", "↵"]
    assert fine_percent(0.0994) == "9.9 %"


def test_right_pairs_are_full_and_wrong_ones_open():
    figure = plot_models([("M", "printed")], [printed(MISTRAL, PAIRING)])
    points = {trace.marker.symbol: sorted(round(float(x), 2) for x in trace.x) for trace in figure.data}
    assert points == {"circle": [0.94, 0.96], "circle-open": [0.90, 0.93]}


def test_a_margin_shows_its_third_digit():
    assert format_margin(printed(MISTRAL, PAIRING)) == "+.035"
    assert format_margin(printed(MISTRAL, replace(PAIRING, matches=frozenset({(0, 1), (1, 0)})))) == "−.035"
