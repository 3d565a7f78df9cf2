"""The Compare tab without a browser: its slots, its words, its handlers. Over the fake engine."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import LAST_LAYER, Comparison, Pairing, Pooling, Reading  # noqa: E402
from demo.files.table import parse_table  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.stages.similarity import score_pairs  # noqa: E402
from demo.studies.contrast import rank  # noqa: E402
from demo.ui.kit.page_jobs import open_session  # noqa: E402
from demo.ui.kit.presets import (  # noqa: E402
    KEPT,
    LETTERS,
    OWN,
    PRESETS,
    Slot,
    add_slot,
    change_slot,
    first_slots,
    pairs,
    preset_options,
    remove_slot,
)
from demo.ui.live.form import Form  # noqa: E402
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile  # noqa: E402
from demo.ui.tabs.compare.handlers import CompareHandlers, Memory  # noqa: E402
from demo.ui.tabs.compare.link import compare_button, dump_slots, load_slots  # noqa: E402
from demo.ui.tabs.compare.tab import ANSWERED, CHOSEN, create_compare_tab  # noqa: E402
from demo.ui.tabs.compare.text import (  # noqa: E402
    difference_missing,
    render_ranking,
    render_slot,
    render_table,
)
from tests.page_requests import lab_values, page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

GPT, ENCODER, LARGE, UNREACHABLE = (
    "smollm2-135m-instruct",
    "all-minilm-l6-v2",
    "mistral-7b-instruct-v0.1",
    "gpt2",
)
NASTY = "<img src=x onerror='hacked()'>"
QUESTIONS, ANSWERS = "Where is OpenAI?\nWhat is GPU?", "OpenAI is in San Francisco.\nA GPU is a chip."


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.load(GPT)
    engine.load(ENCODER)
    return engine


@pytest.fixture(scope="module")
def widgets():
    with gradio.Blocks(analytics_enabled=False):
        return create_compare_tab(Settings(engine="fake"))


@pytest.fixture
def handlers(engine, widgets) -> CompareHandlers:
    return CompareHandlers(Lab(Settings(engine="fake"), engine), widgets)


def current(questions: str = QUESTIONS, answers: str = ANSWERS, **reading) -> list:
    return lab_values(questions=questions, answers=answers, **reading)


def ask(handlers, slots, memory=None, scale="shared", pair="BA", values=None, source="texts") -> dict:
    """One tick: the view's payload and what stands beside it, by name."""
    memory = memory or Memory()
    _, _, view, *said = handlers.on_tick(page_request(), slots, memory, scale, pair, source, *(values or current()))
    return {"view": view, **dict(zip(("source_note", "A", *LETTERS, "verdict", "hint", "table"), said, strict=True))}


def until_ready(handlers, slots, memory) -> dict:
    return eventually(lambda: ask(handlers, slots, memory), until=lambda seen: seen["view"]["state"] != "running")


def figures(answer) -> list[str]:
    return [figure["id"] for figure in answer["view"]["figures"]]


B = {"B": Slot(ENCODER, OWN, serial=1)}


# ---- slots ------------------------------------------------------------------------------------------------------


def test_the_first_slot_is_the_tuned_model_the_yardstick_or_another_reading_of_the_same_model(engine):
    statuses = engine.models()
    assert first_slots(statuses, GPT) == {"B": Slot(f"{GPT}-contrastive", OWN)}, "the article's own comparison"
    assert first_slots(statuses, "gemma-3-270m") == {"B": Slot(ENCODER, OWN)}
    assert first_slots(statuses, ENCODER) == {"B": Slot(GPT, OWN)}
    assert first_slots(statuses, f"{GPT}-contrastive") == {"B": Slot(GPT, OWN)}, "what tuning has changed"
    assert first_slots(statuses, "trained:abc", base="gemma-3-270m") == {"B": Slot("gemma-3-270m", OWN)}
    away = [replace(status, state="unavailable") for status in statuses]
    assert first_slots(away, GPT) == {"B": Slot(GPT, "prompteol")}
    assert first_slots(away, GPT, reading=preset_options("prompteol")) == {"B": Slot(GPT, "mean")}


def test_letters_stay_and_the_first_free_one_is_taken():
    four = add_slot(add_slot(B, GPT), GPT)
    assert list(four) == ["B", "C", "D"]
    assert len({slot.serial for slot in four.values()}) == 3
    assert four["C"].preset != four["D"].preset
    assert add_slot(four, GPT) == four
    without = remove_slot(four, "B")
    assert list(without) == ["C", "D"]
    assert list(add_slot(without, GPT)) == ["B", "C", "D"]
    assert remove_slot(B, "B") == B
    assert change_slot(B, "D", model=GPT) == B
    assert change_slot(B, "B", preset="mean")["B"].serial > B["B"].serial
    assert add_slot(B, GPT, reading="prompteol")["C"].preset != "prompteol", "what stands as A"
    assert pairs(["A", "C", "D"]) == ["CA", "DA", "DC"]


def test_every_preset_is_a_reading_that_the_lab_takes(handlers):
    handlers.lab.open("qwen3-embedding-0.6b")
    for name in PRESETS:
        reading = handlers.lab.reading(GPT, **Slot(GPT, name).options(handlers.lab.open(GPT)))
        assert reading.layer == LAST_LAYER
    assert handlers.lab.reading(GPT, **Slot(GPT, "e5_instruct").options()).eos


# ---- answers ----------------------------------------------------------------------------------------------------


def test_readings_stand_side_by_side_with_their_difference(handlers):
    answer = ask(handlers, B)
    assert answer["view"]["state"] == "ready"
    assert figures(answer) == ["compare-a", "compare-b", "compare-difference"]
    a, b, change = answer["view"]["figures"]
    assert a["title"] == "A  SmolLM2-135M-Instruct · chat · last_token_logits · last layer"
    assert b["title"].startswith("B  all-MiniLM-L6-v2 · plain · mean")
    assert "2 questions by 2 answers" in a["alt"]
    assert "(belong together)" in a["table"]["rows"][0][1]
    assert a["table"]["rows"][1][0] == "Q2 What is GPU?"
    ends = [(figure["figure"]["data"][0]["zmin"], figure["figure"]["data"][0]["zmax"]) for figure in (a, b)]
    assert ends[0] == ends[1]
    assert change["title"].startswith("B − A")
    assert "AUC" in answer["verdict"]
    assert "SmolLM2" in answer["A"]
    assert answer["C"] == gradio.skip()


def test_each_its_own_scale(handlers):
    answer = ask(handlers, B, scale="own")
    a, b, change = (figure["figure"]["data"][0] for figure in answer["view"]["figures"])
    assert (a["zmin"], a["zmax"]) != (b["zmin"], b["zmax"])
    assert "standard deviations" in change["colorbar"]["title"]["text"]
    assert "standard deviations" in answer["hint"]


def test_the_chosen_difference_is_shown_if_it_can_be(handlers):
    three = add_slot(B, GPT)
    assert ask(handlers, three, scale="own", pair="CB")["view"]["figures"][-1]["title"].startswith("C − B")
    assert ask(handlers, B, scale="own", pair="CB")["view"]["figures"][-1]["title"].startswith("B − A")


def test_one_wrong_reading_leaves_the_others_drawn(handlers):
    slots = {"B": Slot(ENCODER, "article"), "C": Slot(LARGE, OWN), "D": Slot(GPT, "mean")}
    answer = ask(handlers, slots)
    assert answer["view"]["state"] == "ready"
    assert figures(answer) == ["compare-a", "compare-d", "compare-difference"]
    assert "alert" in answer["B"]
    assert "no LM head" in answer["B"]
    assert "16.2 GiB" in answer["C"]
    assert "alert" not in answer["D"]
    assert "B separates" not in answer["verdict"]


def test_a_file_is_compared_instead_of_the_boxes(handlers):
    missing = ask(handlers, B, source="file")["view"]
    assert (missing["state"], "No file is open" in missing["note"]) == ("error", True)
    rows = "".join(f"question {i},answer {i}\n" for i in range(210))
    PAGE_FILES.put(open_session(page_request()), PageFile.of(parse_table(f"q,a\n{rows}".encode(), "f.csv", LIMITS)))
    memory = Memory()
    answer = ask(handlers, B, memory, source="file")
    assert "Of 210 questions 141 are taken, the first ones." in answer["source_note"]
    assert memory.comparisons["A"][1].pairing.questions[140] == "question 140"
    assert memory.comparisons["A"][1].pairing.matches == {(i, i) for i in range(141)}
    assert "questions" not in answer["view"]["of"], "whatever is typed, it stays the answer"
    assert ask(handlers, B, memory)["view"]["of"]["questions"] == QUESTIONS
    assert len(memory.comparisons["A"][1].pairing.questions) == len(QUESTIONS.split("\n"))


def test_the_current_reading_may_be_the_wrong_one(handlers):
    answer = ask(handlers, B, values=current(layer=99))
    assert figures(answer) == ["compare-b"]
    assert "“99”" in answer["A"]
    assert answer["verdict"] == ""


def test_a_model_on_its_way_holds_nobody_up_and_a_failed_one_is_not_fetched_at_every_key(handlers, engine):
    engine.load_seconds = 0.1
    memory, slots = Memory(), {"B": Slot("gemma-3-270m", OWN), "C": Slot(UNREACHABLE, OWN)}
    answer = ask(handlers, slots, memory)
    assert answer["view"]["state"] == "running"
    assert "being loaded" in answer["view"]["note"]
    assert figures(answer) == ["compare-a"]
    answer = until_ready(handlers, slots, memory)
    assert figures(answer)[:2] == ["compare-a", "compare-b"]
    assert "cannot be reached" in answer["C"]
    again = ask(handlers, slots, memory, values=current("Another?"))
    assert again["view"]["state"] == "ready"
    assert "cannot be reached" in again["C"]
    chosen = change_slot(slots, "C", model=UNREACHABLE)
    assert ask(handlers, chosen, memory)["view"]["state"] == "running"


def test_what_has_not_changed_is_not_computed_again(handlers, monkeypatch):
    memory = Memory()
    before = ask(handlers, B, memory)
    monkeypatch.setattr(handlers.lab, "compare", lambda *_, **__: pytest.fail("computed again"))
    after = ask(handlers, B, memory, scale="own")
    assert after["verdict"] == before["verdict"]
    assert after["table"] == before["table"]


@pytest.mark.parametrize(("values", "state"), [({"questions": " "}, "idle"), ({"matches": "9-9"}, "error")])
def test_what_is_wrong_with_the_texts_is_said_once(handlers, values, state):
    answer = ask(handlers, B, values=current(**values))
    assert answer["view"]["state"] == state
    assert "figures" not in answer["view"]
    assert answer["A"] == answer["verdict"] == gradio.skip()


def test_what_nobody_expected_is_one_calm_sentence_and_no_text_in_the_log(handlers, monkeypatch, caplog):
    compare = handlers.lab.compare

    def break_encoder(questions, answers, model, **reading):
        if model == ENCODER:
            raise RuntimeError(questions)
        return compare(questions, answers, model, **reading)

    monkeypatch.setattr(handlers.lab, "compare", break_encoder)
    answer = ask(handlers, B, values=current("A secret?"))
    assert "went wrong on our side" in answer["B"]
    assert figures(answer) == ["compare-a"]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


# ---- choosing ---------------------------------------------------------------------------------------------------


def test_keeping_the_current_reading_outlives_a_change_of_it(handlers):
    slots = handlers.on_keep(B, *current(pooling="mean", layer=30))
    assert slots["C"].model == GPT
    assert dict(slots["C"].kept)["layer"] == LAST_LAYER
    assert len(handlers.on_slots(None, slots, "BA")) == len(CHOSEN)
    answer = ask(handlers, slots, values=current(layer=3))
    assert answer["view"]["figures"][2]["title"].endswith("chat · mean · last layer")
    assert "layer 3" in answer["A"]
    same = ask(handlers, slots, values=current(pooling="mean"))
    assert "C is the same reading as A." in same["verdict"]


def test_a_choice_that_is_none_changes_nothing(handlers):
    for name, value in (("model", " "), ("model", None), ("reading", "nonsense"), ("reading", KEPT)):
        assert handlers.on_choose(B, Memory(), value, letter="B", name=name) == gradio.skip()
    assert handlers.on_choose(B, Memory(), "mean", letter="B", name="reading")["B"].preset == "mean"


def test_a_model_comes_with_its_own_reading_until_somebody_has_chosen_one(handlers):
    slots = handlers.on_choose(add_slot(B, GPT), Memory(), f"{GPT}-contrastive", letter="C", name="model")
    assert (slots["C"].model, slots["C"].preset) == (f"{GPT}-contrastive", OWN), (
        "not the first preset of the last model"
    )
    _, model, reading, *_ = handlers.on_slots(None, {"B": slots["C"]}, "BA")
    assert (model["value"], reading["value"]) == (f"{GPT}-contrastive", OWN), "the box says so"
    slots = handlers.on_choose(slots, Memory(), "mean", letter="C", name="reading")
    assert handlers.on_choose(slots, Memory(), GPT, letter="C", name="model")["C"].preset == "mean"


def test_slots_that_nobody_changed_follow_the_model_in_use(handlers, engine):
    engine.load(f"{GPT}-contrastive")
    values = current(model=f"{GPT}-contrastive", prompt="prompteol", pooling="last_token")
    slots, _, view, *_ = handlers.on_tick(page_request(), handlers.first, Memory(), "shared", "BA", "texts", *values)
    assert slots == {"B": Slot(GPT, OWN)}, "the untouched base, after a recipe chose the tuned model"
    assert view["slots"] == ""
    assert handlers.on_open(page_request(), handlers.first, "BA", "", *values)[0] == slots
    again, *_ = handlers.on_tick(page_request(), slots, Memory(), "shared", "BA", "texts", *values)
    assert again == gradio.skip(), "nothing to tell"
    mine = change_slot(handlers.first, "B", preset="mean")
    assert handlers.on_tick(page_request(), mine, Memory(), "shared", "BA", "texts", *values)[0] == gradio.skip()


def test_the_boxes_follow_the_slots(handlers):
    slots = handlers.on_add(B, *current())
    box, model, reading, remove, *rest = handlers.on_slots(None, slots, "BA")
    assert (box["visible"], model["value"], reading["value"], remove["visible"]) == (True, ENCODER, OWN, True)
    assert rest[0]["visible"]
    assert rest[-1]["visible"]
    assert "value" not in rest[-1], "another difference may have been chosen meanwhile"
    assert [value for _, value in rest[-1]["choices"]] == ["BA", "CA", "CB"]
    slots = remove_slot(slots, "B")
    box, _, _, _, box_c, *_, pair = handlers.on_slots(None, slots, "CB")
    assert (list(slots), box["visible"], box_c["visible"]) == (["C"], False, True)
    assert (pair["value"], pair["visible"]) == ("CA", False)
    full = add_slot(add_slot(B, GPT), GPT)
    assert not handlers.on_slots(None, full, "BA")[-2]["visible"]


# ---- words ------------------------------------------------------------------------------------------------------


def made(scores: list[float], model: str) -> Comparison:
    """Questions, each with an answer of its own, whose cosines stand so far over those of all others."""
    count = len(scores)
    similarity = np.full((count, count), 0.5, dtype=np.float32)
    np.fill_diagonal(similarity, 0.5 + np.asarray(scores))
    texts = (tuple(f"{side}{i}" for i in range(count)) for side in "qa")
    pairing = Pairing(*texts, frozenset((i, i) for i in range(count)))
    metrics = score_pairs(similarity, pairing.mask())
    return Comparison(pairing, similarity, metrics, Reading(model, pooling=Pooling.MEAN), {"model": model})


UP, MIXED, DOWN = [0.1] * 10, [0.1] * 8 + [-0.1] * 2, [-0.1] * 10


def said_of(**readings) -> str:
    return render_ranking("en", readings, rank(readings))


def test_a_ranking_names_a_winner_that_chance_does_not_explain_and_no_other():
    up, mixed, down = made(UP, "up"), made(MIXED, "mixed"), made(DOWN, "down")
    html = said_of(A=down, B=up)
    assert "compare-better" in html
    assert (
        "B (up · chat · mean · last layer) separates your pairs best: AUC 1.00. That is surely better than A." in html
    )
    assert "B − A +1.00 [+1.00, +1.00]" in html
    html = said_of(A=mixed, B=up, C=down)
    assert "compare-better" not in html
    assert "is ahead: AUC 1.00. That is surely better than C. The lead over A may be chance." in html
    assert "A, C share the highest AUC: 1.00. That is surely better than B." in said_of(
        A=up, B=down, C=made(UP, "other")
    )
    assert "B is the same reading as A." in said_of(A=up, B=up)


def test_two_questions_name_no_winner():
    html = said_of(A=made(DOWN[:2], "down"), B=made(UP[:2], "up"))
    assert "is ahead: AUC 1.00. With only 2 answered questions that may be chance" in html
    assert "surely" not in html
    assert "[" not in html, "no interval that looks surer than it is"


@pytest.mark.parametrize("count", range(2, 5))
def test_readings_that_differ_by_chance_alone_are_seldom_called_better(count):
    """Whichever of them leads: its lead over the last is the largest of all differences."""
    random = np.random.default_rng(0)
    beaten = 0
    for _ in range(50):
        beaten += bool(rank({str(i): made(random.normal(0, 0.1, 20), "noise") for i in range(count)}).beaten)
    assert beaten <= 7


def test_a_map_of_one_colour_is_a_sentence(handlers, monkeypatch):
    low, high = made(UP, "low"), made(MIXED, "high")
    high = replace(high, similarity=high.similarity + 0.4)
    said = difference_missing("en", {"A": low, "B": high}, "shared", "BA")
    assert "every cosine of A lies far below that of B, by .40 on average" in said
    assert difference_missing("en", {"A": low, "B": high}, "own", "BA") == ""
    assert difference_missing("en", {"A": low, "B": low}, "shared", "BA") == ""
    monkeypatch.setattr(
        handlers.lab, "compare", lambda questions, answers, matches, model, **_: high if model == ENCODER else low
    )
    answer = ask(handlers, B)
    assert figures(answer) == ["compare-a", "compare-b"]
    assert "No map of B − A" in answer["hint"]


@pytest.mark.parametrize(
    ("questions", "answers", "matches", "said"),
    [
        (["one"], ["a", "b"], None, "One question"),
        (["one", "two"], ["a"], "1-1, 2-1", "Every pair"),
        (["one", "two"], ["a", "b"], [], "No answer"),
    ],
)
def test_what_is_missing_for_a_verdict(handlers, questions, answers, matches, said):
    a, b = (handlers.lab.compare(questions, answers, model, matches=matches) for model in (GPT, ENCODER))
    assert said in render_ranking("en", {"A": a, "B": b}, rank({"A": a, "B": b}))


def test_the_best_is_marked_in_bold_and_in_words_where_figures_compare(handlers):
    texts = ["one", "two", "three"], ["one!", "two!", "three!"]
    a, b = (handlers.lab.compare(*texts, model) for model in (GPT, ENCODER))
    a = replace(a, metrics=replace(a.metrics, auc=0.5, found_first=1))
    b = replace(b, metrics=replace(b.metrics, auc=1.0, found_first=1))
    html = render_table("en", {"A": a, "B": b})
    assert html.count('class="best"') == 1
    assert "<b>1.00</b> <small>best</small>" in html
    assert render_table("en", {}) == ""


def test_no_text_of_a_person_becomes_html(handlers):
    answer = ask(handlers, B, values=current(NASTY, NASTY, prompt="custom", template=NASTY + "{text}", pooling="mean"))
    for name in ("A", "B", "verdict", "table"):
        assert "<img" not in str(answer[name])
    assert "&lt;img" in answer["A"]
    assert "<img" not in render_slot("en", "B", alert=NASTY)
    assert "<img" not in str([figure["figure"] for figure in answer["view"]["figures"]])


# ---- slots in a link ------------------------------------------------------------------------------------------


def test_slots_come_back_from_a_link(handlers):
    kept = (("prompt", "plain"), ("task", ""), ("template", "{text} 질문"), ("eos", False), ("pooling", "mean"))
    kept += (("layer", LAST_LAYER), ("postprocess", "zscore"), ("reference", "corpus"))
    slots = {"B": Slot(ENCODER, OWN, (), 0), "D": Slot(GPT, KEPT, kept, 1)}
    link = dump_slots(slots)
    linked = load_slots(link)
    assert {letter: slot.options() for letter, slot in linked.items() if slot.preset == KEPT} == {"D": dict(kept)}
    assert json.loads(dump_slots(linked)) == json.loads(link)
    assert handlers.on_open(page_request(), {"B": Slot(GPT, OWN, serial=-1)}, "BA", link, *current())[0] == linked
    assert ask(handlers, slots)["view"]["slots"] == link
    assert ask(handlers, handlers.first)["view"]["slots"] == "", "what every page begins with needs no link"


def test_a_tick_before_the_tab_is_opened_leaves_the_slots_of_the_link(handlers):
    memory = Memory()
    slots, _, view, *notes = handlers.on_tick(page_request(), None, memory, "shared", "BA", "texts", *current())
    assert [slots, *notes] == [gradio.skip()] * len(ANSWERED)
    assert view["poll"], "the view asks again"
    assert "slots" not in view, "the link keeps them"
    assert memory.comparisons == {}, "nothing was computed"
    chosen = [handlers.on_choose(slots, memory, "mean", letter="B", name="reading") for slots in (None, handlers.first)]
    assert chosen[0] == chosen[1], "what is chosen that early is kept"
    add = handlers.with_boxes(handlers.on_add)
    assert list(add(page_request(), "BA", None, memory, *current())[0]) == ["B", "C"]


@pytest.mark.parametrize("change", ["choose", "add"])
def test_a_slot_that_is_chosen_while_another_model_is_taken_is_kept(handlers, engine, change, monkeypatch):
    engine.load(f"{GPT}-contrastive")
    memory, values = Memory(), current(model=f"{GPT}-contrastive")
    compare, add = handlers.lab.compare, handlers.with_boxes(handlers.on_add)

    def choose_meanwhile(**options):
        if change == "choose":
            handlers.on_choose(handlers.first, memory, "mean", letter="B", name="reading")
        else:
            add(page_request(), "BA", handlers.first, memory, *values)
        return compare(**options)

    monkeypatch.setattr(handlers.lab, "compare", choose_meanwhile)
    slots, *_ = handlers.on_tick(page_request(), handlers.first, memory, "shared", "BA", "texts", *values)
    assert slots == gradio.skip(), "not written over"
    monkeypatch.undo()
    slots, *_ = handlers.on_tick(page_request(), handlers.first, memory, "shared", "BA", "texts", *values)
    assert slots == {"B": Slot(GPT, OWN)}, "where nobody chose meanwhile they follow the model"


@pytest.mark.parametrize(
    "link",
    ["", None, 3, "[", "[[]]", "[1]", '[["B","m"]]', '[["B",1,"own",{}]]', '[["B","m","x",{}]]', '[["Z","m","own",{}]]']
    + ['[["B","m","kept",{"prompt":"no"}]]', '[["B","m","kept",3]]', '[[["B"],"m","own",{}]]', "[" * 7_000],
)
def test_a_link_that_says_nothing_of_slots_leaves_them(handlers, link):
    assert load_slots(link) == {}
    assert handlers.on_open(page_request(), B, "BA", link, *current())[0] == B


def test_a_button_brings_readings_of_another_tab(handlers):
    readings = [
        handlers.lab.reading(GPT, prompt="echo", pooling="mean"),
        handlers.lab.reading(ENCODER),
        handlers.lab.reading(GPT, prompt="custom", template="<b>{text}", pooling="mean", layer=3),
    ]
    html = compare_button("en", handlers.lab, readings)
    assert "<b>" not in html.replace(">Compare these<", "")
    first, *others = json.loads(unescape(re.search('data-compare="(.*?)"', html)[1]))
    assert first["layer"] == 30, "the slider has no −1"
    assert handlers.lab.reading(**Form.parse(first).reading) == readings[0]
    said = json.dumps([["BCD"[at], other.pop("model"), KEPT, other] for at, other in enumerate(others)])
    slots = load_slots(said, 7)
    assert [slot.serial for slot in slots.values()] == [7, 8]
    assert [handlers.lab.reading(slot.model, **slot.options()) for slot in slots.values()] == readings[1:]
