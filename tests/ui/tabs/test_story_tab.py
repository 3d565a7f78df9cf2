"""The Story tab without a browser: its steps over the fake engine, the table of models, its words."""

from __future__ import annotations

import re
import time
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
from demo.ui.kit.i18n import LOCALES, translate  # noqa: E402
from demo.ui.kit.job_tab import ModelsJob  # noqa: E402
from demo.ui.live.examples import load_examples  # noqa: E402
from demo.ui.live.handlers import Session  # noqa: E402
from demo.ui.live.tab import create_lab_tab  # noqa: E402
from demo.ui.tabs.story.board import render_board  # noqa: E402
from demo.ui.tabs.story.handlers import StoryHandlers  # noqa: E402
from demo.ui.tabs.story.runs import TUNED, BoardRow, Readout, StoryRuns  # noqa: E402
from demo.ui.tabs.story.tab import IN_LAB, STEPS, create_story_tab  # noqa: E402
from demo.ui.tabs.story.text import explain_logits, explain_tokens, format_margin, render_step  # noqa: E402
from demo.wording.numbers import fine_percent  # noqa: E402
from tests.page_requests import by_name, page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

GPT, ENCODER, MISTRAL, E5 = (
    "smollm2-135m-instruct",
    "all-minilm-l6-v2",
    "mistral-7b-instruct-v0.1",
    "e5-mistral-7b-instruct",
)
NASTY = "<img src=x onerror=alert(1)>"
PAGE, OTHER_PAGE, KOREAN = page_request("one"), page_request("two"), page_request("three", "ko")


@pytest.fixture
def tuned(monkeypatch) -> str:
    """The tuned GPT stands in the catalogue, whatever the catalogue is by now."""
    base = CATALOG[GPT]
    entry = replace(base, id=TUNED, name="SmolLM2 tuned", kind=Kind.TUNED_GPT, pooling=Pooling.LAST_TOKEN)
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
    settings = Settings(engine="fake")
    lab = Lab(settings, engine)
    first = lab.status(GPT)
    with gradio.Blocks(analytics_enabled=False):
        lab_widgets = create_lab_tab(settings, first, next(iter(load_examples().values())))
        widgets = create_story_tab(settings)
    return StoryHandlers(lab, widgets, lab_widgets)


def named(handlers, answer) -> dict:
    return by_name(answer, handlers.lab_widgets, handlers.widgets)


def look(handlers, step: str, page=PAGE) -> dict:
    """A step once it is ready: asked again while a model is on its way, as the view does."""
    seen = eventually(
        lambda: named(handlers, handlers.on_tick(page, step)),
        until=lambda seen: seen["view"]["state"] not in ("loading", "running"),
    )
    assert seen["view"]["state"] == "ready", seen["view"]["note"]
    return seen


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


def pairing() -> Pairing:
    return Pairing(("q1", "q2"), ("a1", "a2"), frozenset({(0, 0), (1, 1)}))


# ---- the article ----------------------------------------------------------------------------------------------------


def test_the_articles_figures_are_as_printed():
    mistral, e5 = (printed(model, pairing()) for model in PRINTED)
    assert mistral.similarity.tolist() == np.float32([[0.96, 0.90], [0.93, 0.94]]).tolist()
    assert (mistral.metrics.found_first, e5.metrics.found_first) == (2, 2)
    assert mistral.metrics.margin == pytest.approx((0.96 + 0.94 - 0.90 - 0.93) / 2, abs=1e-6)
    assert e5.metrics.margin == pytest.approx((0.88 + 0.84 - 0.56 - 0.67) / 2, abs=1e-6)
    assert mistral.provenance["model"] == "Mistral-7B-Instruct-v0.1"


def test_the_procedure_takes_what_the_model_has(engine):
    taken = [[procedure(engine.load(model))[name] for name in ("prompt", "pooling")] for model in (GPT, ENCODER)]
    assert taken == [["chat", "last_token_logits"], ["plain", "last_token"]]


# ---- steps ----------------------------------------------------------------------------------------------------------


def test_nothing_is_computed_before_somebody_looks(handlers, engine):
    opened = named(handlers, handlers.on_open(PAGE, None))
    announced = named(handlers, next(handlers.on_step(PAGE, "why")))
    assert engine.embedded_texts == 0
    assert (opened["view"]["state"], opened["view"]["figures"]) == ("running", [])
    assert "Four texts become tokens" in opened["text"]
    assert "PromptEOL" in announced["text"]
    assert announced["found"] == ""


@pytest.mark.parametrize("language", sorted(LOCALES))
@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_figures_with_words_for_those_who_do_not_see_them(handlers, step, language):
    page = page_request(language, language)
    seen = look(handlers, step, page)
    assert seen["view"]["figures"]
    for figure in seen["view"]["figures"]:
        assert figure["title"]
        assert figure["alt"]
        assert len({len(row) for row in [figure["table"]["head"], *figure["table"]["rows"]]}) == 1
        for axis in ("xaxis", "yaxis"):
            assert figure["figure"]["layout"][axis]["title"]["text"]
    assert plain(seen["found"])
    if language == "ko":
        heading = next(iter(handlers.on_step(page, step)))[handlers.widgets.text]
        assert re.search("[가-힣]", heading)
        assert all(re.search("[가-힣]", said) for said in re.findall("<p>(.*?)</p>", seen["found"]))


def test_what_was_computed_once_is_known_to_everybody(handlers, engine):
    for step in STEPS:
        look(handlers, step)
    counted = engine.embedded_texts
    for step in STEPS:
        look(handlers, step, OTHER_PAGE)
    assert engine.embedded_texts == counted


def test_a_model_on_its_way_is_said_and_nobody_waits(handlers, engine, untuned):
    engine.load_seconds = 0.5
    started = time.monotonic()
    seen = named(handlers, handlers.on_tick(PAGE, "loss"))
    assert time.monotonic() - started < 0.4
    assert seen["view"]["state"] == "loading"
    assert "all-MiniLM-L6-v2 is being loaded" in seen["view"]["note"]
    assert len(look(handlers, "loss")["view"]["figures"]) == 2


def test_numbers_in_sentences_are_the_labs(handlers):
    lab, runs = handlers.lab, handlers.runs
    article = {"questions": runs.questions, "answers": runs.answers, "model": GPT}
    here = lab.compare(**article, prompt="chat", pooling="last_token_logits")
    found = plain(look(handlers, "result")["found"])
    assert f"margin {format_margin(here)}, right answers found first: {here.metrics.found_first} of 2" in found
    assert "Mistral-7B-Instruct-v0.1: .95 against .92, margin +.035" in found
    last, asked = (
        lab.compare(**article, prompt=prompt, pooling="last_token", layer=-1) for prompt in ("plain", "prompteol")
    )
    assert f"from {format_margin(last)} to {format_margin(asked)}" in plain(look(handlers, "why")["found"])


def test_the_same_gpt_after_training_is_shown_in_one_reading(handlers, tuned):
    text = named(handlers, next(handlers.on_step(PAGE, "loss")))["text"]
    assert "SmolLM2 tuned, the very same GPT" in text
    assert "<math" in text
    before, after = look(handlers, "loss")["view"]["figures"]
    assert before["title"] == "SmolLM2-135M-Instruct · prompteol · last_token · last layer"
    assert after["title"] == "SmolLM2 tuned · prompteol · last_token · last layer"
    scales = [[figure["figure"]["data"][0][end] for end in ("zmin", "zmax")] for figure in (before, after)]
    assert scales[0] == scales[1]


def test_without_it_another_model_stands_in(handlers, untuned):
    assert "another, smaller model" in named(handlers, next(handlers.on_step(PAGE, "loss")))["text"]
    assert [figure["title"].split(" ")[0] for figure in look(handlers, "loss")["view"]["figures"]] == [
        "SmolLM2-135M-Instruct",
        "all-MiniLM-L6-v2",
    ]


def test_a_reading_that_the_pure_gpt_cannot_take_falls_back_to_the_articles(handlers, tuned, monkeypatch):
    monkeypatch.setitem(CATALOG, TUNED, replace(CATALOG[TUNED], prompt=Prompt.OWN))
    before, after = look(handlers, "loss")["view"]["figures"]
    assert "plain" in before["title"]
    assert "own" in after["title"]


def test_only_the_buttons_of_the_step_are_there(handlers):
    for step in STEPS:
        seen = named(handlers, next(handlers.on_step(PAGE, step)))
        shown = {name for name in ("use", "train", "measure", "stop") if seen[name]["visible"]}
        wanted = {"use"} if step in IN_LAB else set()
        wanted |= {"loss": {"train"}, "models": {"measure"}}.get(step, set())
        assert shown == wanted, step
        assert (seen["back"]["interactive"], seen["next"]["interactive"]) == (step != STEPS[0], step != STEPS[-1])


def test_rubbish_is_the_first_step(handlers):
    for step in (None, "<b>", {"a": 1}, 7):
        assert look(handlers, step)["view"]["figures"][0]["id"] == "story-positions"


# ---- the lab --------------------------------------------------------------------------------------------------------


def test_a_reading_goes_into_the_labs_widgets(handlers):
    assert named(handlers, handlers.on_use(PAGE, Session(model=GPT), "why")).keys() == {"heatmap"}, "nothing known yet"
    look(handlers, "why")
    session = Session(model=GPT)
    answer = named(handlers, handlers.on_use(PAGE, session, "why"))
    assert answer["questions"].split("\n") == list(handlers.runs.questions)
    chosen = [answer[name] for name in ("model", "prompt", "pooling", "eos", "postprocess", "matches")]
    assert chosen == [GPT, "prompteol", "last_token", False, "none", ""]
    assert (answer["layer"]["value"], answer["layer"]["maximum"]) == (30, 30)
    assert "heatmap" not in answer, "the widgets' own changes draw it"
    assert session.linked == {}


def test_another_model_is_asked_for_as_a_link_would(handlers):
    look(handlers, "why")
    session = Session(model=ENCODER, seq=7)
    answer = named(handlers, handlers.on_use(PAGE, session, "why"))
    assert (session.linked["model"], session.linked["prompt"], session.linked["layer"]) == (GPT, "prompteol", 30)
    assert (answer["heatmap"]["state"], answer["heatmap"]["seq"]) == ("loading", 7)


# ---- every model ----------------------------------------------------------------------------------------------------


def rows_of(board: str) -> list[str]:
    return [plain(row).strip() for row in re.findall(r"<tr role=\"row\" class=.*?</tr>", board, re.DOTALL)]


def test_the_table_has_the_articles_figures_and_what_is_in_memory(handlers):
    seen = look(handlers, "models")
    rows = rows_of(seen["found"])
    assert rows[0].startswith("Mistral-7B-Instruct-v0.1 printed in the article .96 .90 .93 .94 +.035 2 of 2")
    assert rows[1] == (
        "Mistral-7B-Instruct-v0.1 on this machine Not on this machine: needs 16.2 GiB, this machine has 8.0 GiB for "
        "models"
    )
    assert "no LM head" in rows[2]
    assert rows[2].endswith(".88 .56 .67 .84 +.245 2 of 2")
    own = next(row for row in rows if row.startswith("SmolLM2-135M-Instruct"))
    assert "its own and the article" in own
    assert "chat · last_token_logits" in own
    waiting = [row for row in rows if "Not measured yet" in row]
    assert len(waiting) == len(handlers.runs.missing()) > 3
    assert len(seen["view"]["figures"][0]["table"]["rows"]) == 3


def test_the_others_are_measured_when_one_asks(handlers, engine, untuned):
    engine.load_seconds = 0.05
    begun = named(handlers, handlers.on_measure(PAGE, "models"))
    assert begun["view"]["state"] == "running"
    assert (begun["measure"]["interactive"], begun["stop"]["visible"]) == (False, True)
    notes = set()
    eventually(
        lambda: notes.add(named(handlers, handlers.on_tick(PAGE, "models"))["view"]["note"]),
        until=lambda _: not handlers.pages.of(PAGE).running,
    )
    assert any("is being loaded" in note for note in notes)
    seen = look(handlers, "models")
    rows = rows_of(seen["found"])
    minilm = [row for row in rows if row.startswith("all-MiniLM-L6-v2")]
    assert ["procedure" in row for row in minilm] == [True, False]
    assert "The weights of GPT-2 could not be fetched" in next(row for row in rows if row.startswith("GPT-2"))
    assert seen["stop"]["visible"] is False
    assert handlers.runs.missing() == ["gpt2"]


def test_stop_keeps_what_was_measured_and_nobody_measures_twice_at_once(handlers, engine):
    engine.load_seconds = 0.4
    handlers.on_measure(PAGE, "models")
    assert "already" in named(handlers, handlers.on_measure(OTHER_PAGE, "models"))["note"]
    assert "Stopping" in named(handlers, handlers.on_stop(PAGE, "models"))["view"]["note"]
    assert look(handlers, "models")["view"]["note"].startswith("Stopped.")
    assert look(handlers, "models")["view"]["note"] == "", "once"
    assert handlers.runs.missing()


def test_a_page_that_has_gone_leaves_no_job_behind(handlers, engine):
    engine.load_seconds = 0.4
    handlers.on_measure(PAGE, "models")
    job = handlers.pages.of(PAGE).job
    handlers.pages.close(PAGE)
    assert job.done.wait(20)


def test_a_host_with_fewer_models_says_so(handlers, monkeypatch):
    fewer = [status for status in handlers.lab.models() if status.model == GPT]
    monkeypatch.setattr(handlers.lab.engine, "models", lambda: fewer)
    assert "this host does not offer it" in rows_of(look(handlers, "models")["found"])[1]
    assert handlers.runs.gpt == GPT


# ---- words ----------------------------------------------------------------------------------------------------------


def test_tokens_are_escaped(handlers):
    told = handlers.runs.readouts("article")[0]
    tokens = (NASTY, "\n", "a&b")
    side = replace(
        told.inspected, text=NASTY, prompted="".join(tokens), tokens=tokens, token_ids=(1, 2, 3), pooled=(0, 3)
    )
    nasty = [Readout("Q1", replace(side, inside=(0, 2)), ((NASTY, 0.9), ("<b>x</b>", 0.1)))]
    figures, found = explain_tokens("en", nasty)
    assert "<img" not in found
    assert "“a&amp;b”" in found
    figures += explain_logits("en", nasty)[0]
    assert len(figures) == 2
    assert "<b>x" not in str([figure["figure"] for figure in figures])
    board = render_board(
        "en",
        [
            BoardRow(MISTRAL, "M", "printed", printed(MISTRAL, pairing())),
            BoardRow("x", NASTY, "article", state="unavailable", reason=NASTY),
        ],
    )
    assert "<img" not in board


def test_the_read_position_is_the_last_and_marked(handlers):
    told = handlers.runs.readouts("article")
    sides = [each.inspected for each in told]
    figure = plot_positions(sides, [each.name for each in told])
    read = figure.data[2]
    assert list(read.y) == ["Q1", "Q2", "A1", "A2"]
    assert list(read.base) == [len(side.tokens) - 1 for side in sides]


def test_bars_are_the_probabilities_and_equal_tokens_keep_their_places():
    figure = plot_next_tokens([(" A", 0.6), ("A", 0.004), ("\n", 0.0001)], 0.6)
    assert list(figure.data[0].x) == [0.6, 0.004, 0.0001]
    assert list(figure.data[0].text) == ["60 %", "0.4 %", "< 0.1 %"]
    assert list(figure.layout.yaxis.ticktext) == ["A", "A", "↵"]
    assert fine_percent(0.0994) == "9.9 %"


def test_right_pairs_are_full_and_wrong_ones_open():
    figure = plot_models([("M", "printed")], [printed(MISTRAL, pairing())])
    points = {trace.marker.symbol: sorted(round(float(x), 2) for x in trace.x) for trace in figure.data}
    assert points == {"circle": [0.94, 0.96], "circle-open": [0.90, 0.93]}


def test_a_margin_shows_its_third_digit():
    assert format_margin(printed(MISTRAL, pairing())) == "+.035"
    even = printed(MISTRAL, replace(pairing(), matches=frozenset({(0, 1), (1, 0)})))
    assert format_margin(even) == "−.035"


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_step_and_button_has_its_words(language):
    for step in STEPS:
        assert LOCALES[language][f"label.story_step_{step}"]
        assert translate(language, f"story.{step}.title") in render_step(language, step, GPT, TUNED).replace(
            "&#x27;", "'"
        )
    for name in ("printed", "article", "own", "both", "here"):
        assert LOCALES[language][f"story.how.{name}"]


def test_a_model_that_cannot_be_had_leaves_the_story_to_the_pages_own(engine, monkeypatch):
    lab = Lab(Settings(engine="fake", model=ENCODER), engine)
    monkeypatch.setattr(engine, "models", lambda: [CATALOG[ENCODER].status("available")])
    runs = StoryRuns(lab)
    assert (runs.gpt, runs.tuned) == (ENCODER, ENCODER)
    assert runs.missing() == [ENCODER]
    assert [row.state for row in runs.board(ModelsJob())] == ["known", "unavailable", "known", "unavailable", "waiting"]
