"""The Benchmark tab without a browser: what is measured and kept, the leaderboard, the plot, the CSV."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import unquote

import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Reading  # noqa: E402
from demo.domain.errors import BadInput  # noqa: E402
from demo.domain.results import BenchmarkRow, Interval, Scores  # noqa: E402
from demo.figures.benchmark import plot_benchmark  # noqa: E402
from demo.files.bundled import load_benchmark  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.ui.kit.i18n import LOCALES, translate, translate_error  # noqa: E402
from demo.ui.tabs.benchmark.handlers import BenchmarkHandlers  # noqa: E402
from demo.ui.tabs.benchmark.runs import QUICK, READINGS, Row  # noqa: E402
from demo.ui.tabs.benchmark.tab import SORTS, create_benchmark_tab  # noqa: E402
from demo.ui.tabs.benchmark.text import benchmark_figures, ranked, render_board, set_choices, write_csv  # noqa: E402
from tests.page_requests import lab_values  # noqa: E402
from tests.ui.tabs.open_page import OpenPage  # noqa: E402
from tests.waiting import eventually  # noqa: E402

GPT, ENCODER, BASE, UNREACHABLE = "smollm2-135m-instruct", "all-minilm-l6-v2", "gemma-3-270m", "gpt2"
SET = "astronomy-ko"
OWN = Reading(GPT)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def page(engine) -> OpenPage:
    with gradio.Blocks(analytics_enabled=False):
        widgets = create_benchmark_tab(Settings(engine="fake"))
    return OpenPage(BenchmarkHandlers(Lab(Settings(engine="fake"), engine), widgets), values)


def values(models, readings, sort="auc", source="bundled", **texts) -> list:
    return [*lab_values(**texts), source, SET, models, readings, sort]


def places(board: str) -> list[str]:
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<th scope=\"row\".*?</b>", board)]


def make_row(auc=0.7, speed=10.0, reading: Reading | None = OWN, name="SmolLM2") -> BenchmarkRow:
    figure = Interval(auc, auc - 0.05, auc + 0.05)
    origin = dict.fromkeys(("revision", "source", "weights_precision", "precision", "device", "versions"), "=1+1")
    scores = Scores(None, figure, figure, figure, figure, 60, 6)
    return BenchmarkRow(SET, reading, "label", scores, speed, {"model": name, **origin} if reading else {})


# ---- what is measured ---------------------------------------------------------------------------------------------


def test_rows_of_every_model_and_reading_appear(page):
    seen = page.complete(models=[GPT, ENCODER], readings=list(QUICK))
    assert seen["view"]["state"] == "ready"
    assert seen["view"]["note"] == ""
    assert seen["board"].count('scope="row"') == 6, (
        "word overlap, four readings of the GPT (its own is the article's), one"
    )
    assert "the article&#39;s · the model&#39;s own" in seen["board"]
    assert (seen["run"]["interactive"], seen["stop"]["visible"]) == (True, False)


def test_what_was_measured_once_is_known_to_everybody(page, engine):
    page.complete(models=[ENCODER], readings=["own"])
    counted = engine.embedded_texts
    page.leave()
    seen = page.beside("two").tick(models=[ENCODER], readings=["own"])
    assert seen["view"]["state"] == "ready"
    page.beside("two").complete(models=[ENCODER], readings=["own"])
    assert engine.embedded_texts == counted


def test_the_plot_comes_with_every_answer_at_rest(page):
    """A page that has much to do may take two answers for one: the second must not be without it."""
    chosen = {"models": [ENCODER], "readings": ["own"]}
    page.complete(**chosen)
    for _ in range(2):
        assert [figure["id"] for figure in page.tick(**chosen)["view"]["figures"]] == ["benchmark-speed"]


def test_own_texts_are_measured_and_nobody_else_sees_them(page):
    own = {"models": [ENCODER], "readings": ["own"], "source": "texts", "questions": "a?\nb?", "answers": "a.\nb.\nc."}
    assert "on these texts" in page.tick(**own)["view"]["note"]
    seen = page.complete(**own)
    assert "<caption>in the boxes</caption>" in seen["board"]
    assert len(places(seen["board"])) == 2
    assert page.tick(**{**own, "questions": "other?"})["view"]["state"] == "idle"
    assert page.beside("two").tick(**own)["view"]["state"] == "idle"
    assert "at least one question" in page.complete(**{**own, "answers": ""})["view"]["note"]


def test_the_pages_file_is_measured(page):
    chosen = {"models": [ENCODER], "readings": ["own"], "source": "file"}
    assert "No file is open" in page.run(**chosen)["source_note"]
    page.drop("question,answer\na?,a.\nb?,<b>\n", "my <b>.csv")
    assert "pairs 4, of which right 2" in page.tick(**chosen)["source_note"]
    seen = page.complete(**chosen)
    assert "<caption>my &lt;b&gt;.csv · 2 rows</caption>" in seen["board"]
    assert page.beside("two").tick(**chosen)["view"]["state"] == "idle"
    page.drop("question,answer,score\na,b,1\nc,d,4.5\n")
    refused = page.run(**chosen)["view"]
    assert (refused["state"], "Grades rank no answers" in refused["note"]) == ("error", True)


def test_only_what_is_missing_is_measured(page, engine):
    page.complete(models=[GPT], readings=["mean"])
    counted = engine.embedded_texts
    seen = page.tick(models=[GPT], readings=["mean", "echo"])
    assert "not measured yet: 1" in seen["view"]["note"]
    page.complete(models=[GPT], readings=["mean", "echo"])
    assert engine.embedded_texts == counted + 16


def test_texts_that_were_embedded_before_have_no_speed(page):
    """The engine keeps what it embedded: what comes from there says nothing of the model's speed."""
    page.complete(models=[GPT], readings=["mean"])
    page.complete(models=[GPT], readings=["mean", "weighted_mean"])
    speeds = {
        each.names: each.result.texts_per_second for each in page.handlers.results.rows(SET, [GPT], list(READINGS))
    }
    assert speeds["mean",] > 0
    assert speeds["weighted_mean",] is None


def test_an_embedding_model_is_read_in_its_own_way_only(page):
    assert page.handlers.results.missing(SET, [ENCODER], ["echo", "mean"]) == {ENCODER: ["own"]}
    assert page.handlers.results.missing(SET, [GPT], ["mean", "echo"]) == {GPT: ["mean", "echo"]}
    assert page.handlers.results.missing(SET, [ENCODER, GPT], []) == {}


def test_what_a_model_cannot_do_is_said_and_the_others_go_on(page):
    seen = page.complete(models=[UNREACHABLE, BASE], readings=["article", "mean"])
    assert "The weights of GPT-2 could not be fetched" in seen["note"]
    assert "Left out. the article&#x27;s: Gemma 3 270M" in seen["note"]
    assert len(places(seen["board"])) == 2


def test_nothing_chosen_is_said(page):
    seen = page.run(models=[], readings=["mean"])
    assert "Tick at least one model" in seen["note"]
    assert seen["view"]["state"] == "idle"


def test_one_at_a_time_and_what_was_reached_stays(page, engine):
    engine.seconds_per_text = 0.001
    everything = {"models": [GPT], "readings": list(READINGS)}
    page.run(**everything)
    busy = page.beside("two").run(**everything)
    assert "One benchmark runs on this machine at a time" in busy["note"]
    seen: dict = {}

    def first_row():
        seen.update(page.tick(**everything))
        assert seen["view"]["state"] == "running"
        assert 0 <= seen["view"]["progress"] <= 1
        return seen.get("board")

    eventually(first_row)
    stopping = page.stop(**everything)
    assert "Stopping" in stopping["view"]["note"]
    seen |= page.finish(**everything)
    assert seen["view"]["note"].startswith("Stopped.")
    assert 2 <= len(places(seen["board"])) < 9
    engine.seconds_per_text = 0
    assert len(places(page.beside("two").complete(models=[GPT], readings=list(READINGS))["board"])) == 9


def test_a_page_that_has_gone_leaves_no_job_behind(page, engine):
    engine.seconds_per_text = 0.001
    page.run(models=[GPT], readings=list(READINGS))
    job = page.state.job
    page.leave()
    assert job.done.wait(20)
    eventually(lambda: page.state.job is None)


def test_progress_says_model_and_prompt(page, engine):
    engine.load_seconds = engine.seconds_per_text = 0.002
    everything = {"models": [GPT], "readings": ["echo"]}
    notes = {page.run(**everything)["view"]["note"]}
    eventually(
        lambda: notes.add(page.tick(**everything)["view"]["note"]),
        until=lambda _: not page.state.running,
    )
    assert "SmolLM2-135M-Instruct: every text under the prompt “echo”" in notes


# ---- what is shown ------------------------------------------------------------------------------------------------


ROWS = [
    Row(make_row(0.6, None, None)),
    Row(make_row(0.9, 5.0), ("own",)),
    Row(make_row(0.5, 50.0, Reading(ENCODER), "MiniLM"), ("mean",)),
]


def test_the_best_stands_first_by_what_is_asked():
    assert [each.result.scores.auc.value for each in ranked(ROWS, "auc")] == [0.9, 0.6, 0.5]
    assert [each.result.texts_per_second for each in ranked(ROWS, "speed")] == [50.0, 5.0, None]
    board = render_board("en", ROWS, "auc", SET)
    assert re.findall(r'benchmark-rank">(\d*)<', board) == ["1", "", "2"], "word overlap has no place of its own"
    assert board.count("<em>best</em>") == len(SORTS), "the best of each column, in words"
    assert re.search(r'aria-sort="descending">AUC<', board)


def test_names_are_escaped():
    nasty = Row(make_row(reading=Reading("<b>x</b>"), name="<i>y</i>"), ("own",))
    board = render_board("en", [nasty], "auc", SET)
    figure = plot_benchmark([nasty.result], ["<u>z</u>"]).to_json()
    for text in (board, figure):
        assert not re.search("<[iu]>[yz]", text)
    assert "&lt;i&gt;y" in board


def test_the_csv_is_the_board_and_no_cell_is_a_formula():
    said = write_csv(ROWS)
    rows = list(csv.DictReader(io.StringIO(said)))
    assert [row["auc"] for row in rows] == ["0.6", "0.9", "0.5"]
    assert (rows[0]["model"], rows[0]["texts_per_second"]) == ("label", "")
    assert rows[1]["revision"] == "'=1+1"
    address = re.search(r'href="(data:text/csv[^"]+)"', render_board("en", ROWS, "auc", SET))[1]
    assert unquote(address.split(",", 1)[1]) == "\ufeff" + write_csv(ranked(ROWS, "auc"))


def test_the_plot_has_a_marker_a_reading_and_a_table():
    [payload] = benchmark_figures("en", ROWS, "speed")
    markers = [trace for trace in payload["figure"]["data"] if trace["mode"] == "markers"]
    assert {trace["name"]: list(trace["y"]) for trace in markers} == {"SmolLM2": [0.9], "MiniLM": [0.5]}
    assert len({trace["marker"]["symbol"] for trace in markers}) == 2
    texts = [trace["text"] for trace in payload["figure"]["data"] if trace["mode"] == "text"]
    assert sorted(map(list, texts)) == [["<b>1</b>"], ["<b>2</b>"]], "the places in the table"
    assert len(payload["table"]["rows"]) == 3
    assert payload["alt"].startswith("2 readings as points: AUC upwards")
    assert benchmark_figures("en", ROWS[:1], "auc") == []


def test_readings_of_one_pass_stand_side_by_side():
    figure = plot_benchmark([make_row(0.5 + i / 10, 20.0) for i in range(3)], ["a", "b", "c"])
    x = [float(value) for value in figure.data[0].x]
    assert len(set(x)) == 3
    assert sorted(x)[1] == pytest.approx(20.0)
    assert max(x) / min(x) < 1.1


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_choice_has_its_words(language):
    for name in READINGS:
        assert LOCALES[language][f"label.benchmark_readings_{name}"]
    for name in SORTS:
        assert LOCALES[language][f"label.benchmark_sort_{name}"]
    titles = [title for title, _ in set_choices(language)]
    assert len(set(titles)) == len(load_benchmark()) == 22
    assert titles[0] == translate(
        language,
        "benchmark.set",
        title=translate(language, "benchmark.all"),
        spoken=translate(language, "benchmark.language.en"),
        count=130,
    )


def test_too_large_a_set_is_told_in_korean():
    problem = (
        "9,000 texts under 7 poolings need 9.5 GiB for their vectors; 8 GiB is the limit. Take fewer poolings at once, "
        "or a smaller set."
    )
    said = translate_error("ko", BadInput(problem=problem))
    assert "9.5 GiB가 필요해요" in said
    assert not re.search("[a-z]{4}", said)
