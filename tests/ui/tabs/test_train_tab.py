"""The Train tab without a browser: its runs and handlers over the fake engine, its words, its figures."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.catalog import CATALOG  # noqa: E402
from demo.domain.errors import OutOfMemory, ReadingRefused  # noqa: E402
from demo.domain.recipe import EFFORTS, Pair, Recipe, TrainingSet, TrainStep, pairs_of  # noqa: E402
from demo.figures.training import WORDS as TRAINING_WORDS  # noqa: E402
from demo.figures.training import (  # noqa: E402
    chance_loss,
    count_cosines,
    plot_cosines,
    plot_held_points,
    plot_loss,
    plot_progress,
)
from demo.files.bundled import load_training  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.studies.training import TrainingRun, kept_folder  # noqa: E402
from demo.ui.kit.i18n import LOCALES, translate_phrase  # noqa: E402
from demo.ui.live.tab import create_lab_tab  # noqa: E402
from demo.ui.tabs.train import runs as train_runs  # noqa: E402
from demo.ui.tabs.train.formula import plain, render_formula  # noqa: E402
from demo.ui.tabs.train.handlers import TrainHandlers  # noqa: E402
from demo.ui.tabs.train.runs import DONE, Run, RunSettings  # noqa: E402
from demo.ui.tabs.train.tab import create_train_tab, offered_efforts  # noqa: E402
from demo.wording.numbers import two_digits  # noqa: E402
from tests.page_requests import lab_values, page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402

MODEL, SMALL = "smollm2-135m-instruct", "all-minilm-l6-v2"
QUESTIONS = "What is GPU?\nWhere is OpenAI?\nWho wrote Hamlet?"
ANSWERS = "A graphics processing unit\nSan Francisco\nShakespeare did"
NASTY = "<img src=x onerror=alert(1)>"
PAIRS = "".join(json.dumps({"question": f"what is {i}", "answer": f"it is {i}"}) + "\n" for i in range(40))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short runs, and a look after every step."""
    for name in EFFORTS:
        monkeypatch.setitem(EFFORTS, name, {**EFFORTS[name], "steps": 12, "batch_size": 8})
    monkeypatch.setattr(TrainingRun.events, "__defaults__", (0.0,))
    monkeypatch.setattr(train_runs, "_WAIT_SECONDS", 0.02)


@pytest.fixture
def lab(tmp_path) -> Lab:
    lab = Lab(Settings(engine="fake", cache_dir=tmp_path), FakeEngine(seconds_per_step=0.002))
    lab.open(MODEL)
    return lab


def make_tab(lab: Lab) -> TrainHandlers:
    first = lab.status(MODEL)
    with gr.Blocks():
        lab_widgets = create_lab_tab(lab.settings, first)
        widgets = create_train_tab(lab.settings)
    return TrainHandlers(lab, widgets, lab_widgets)


@pytest.fixture
def tab(lab) -> TrainHandlers:
    return make_tab(lab)


def values(
    model="lab", reading="recommended", source="texts", sets=(), effort="projection", model_=MODEL, **lab_choices
) -> list:
    """What stands in the widgets. model: the tab's; model_: the lab's."""
    own = {"questions": QUESTIONS, "answers": ANSWERS, "model": model_}
    return [*lab_values(**{**own, **lab_choices}), model, reading, source, list(sets), effort]


def finish(tab: TrainHandlers, session: str = "one", **chosen) -> dict:
    """Ticks until the run is over; what the page shows then, of all that was told."""
    shown: dict = {}

    def told():
        shown.update(tab.on_tick(page_request(session), *values(**chosen)))
        return shown if shown[tab.widgets.view]["state"] != "running" else None

    return eventually(told)


def train(tab: TrainHandlers, session: str = "one", **chosen) -> dict:
    begun = tab.on_run(page_request(session), *values(**chosen))
    return {**begun, **finish(tab, session, **chosen)}


def run_of(tab: TrainHandlers, session: str = "one") -> Run:
    return tab.pages.of(page_request(session)).run


def upload(tab, tmp_path, content: str | bytes, name: str = "pairs.jsonl", language: str = "en") -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    answer = tab.on_upload(page_request(language=language), str(path), *values(source="file"))
    assert not path.exists()  # people's texts do not stay on the disk
    return answer[tab.widgets.source_note]


# ---- a run ------------------------------------------------------------------------------------------------------


def wanted(**said) -> RunSettings:
    reading = {"prompt": "prompteol", "pooling": "last_token", "layer": -1}
    sets = (TrainingSet("some", tuple(Pair(f"what is {i}", f"it is {i}") for i in range(40))),)
    return RunSettings(**{"model": MODEL, "effort": "projection", "reading": reading, "sets": sets, **said})


def test_a_run_is_noted_step_by_step(lab):
    run = Run(wanted(questions=QUESTIONS, answers=ANSWERS))
    told = []
    run.train(lab, 60, told.append)
    assert (run.ended, [step.step for step in run.steps]) == (DONE, list(range(1, 13)))
    assert [look.step for look in run.snapshots] == list(range(13))
    assert run.snapshots[0].similarity.shape == (3, 3)
    assert len(run.margins) == 13
    assert 0 < len(run.aucs) <= 13
    assert run.recipe.steps == 12
    assert told[-1].fraction == 1.0
    assert run.comparison(run.snapshots[3]).similarity is run.snapshots[3].similarity
    assert kept_folder(lab, run.kept).is_dir()
    assert lab.open(run.kept).name.endswith("trained 12 steps")


def test_a_look_is_found_by_its_step(lab):
    run = Run(wanted())
    assert run.snapshot_at(None) is None
    run.train(lab, 60, lambda progress: None)
    assert run.pairing is None
    assert run.comparison(run.snapshots[0]) is None
    assert run.snapshot_at(None).step == 12
    assert [run.snapshot_at(step).step for step in (-3, 0, 5, 99)] == [0, 0, 5, 12]
    seen, held = run.held_out_at(run.snapshot_at(7))
    assert seen <= 7
    assert held.matched.shape == (4,)  # a tenth of forty


def test_so_many_looks_are_kept_and_the_first_and_the_last_always(lab, monkeypatch):
    monkeypatch.setattr(train_runs, "_MAX_SNAPSHOTS", 6)
    run = Run(wanted(questions=QUESTIONS, answers=ANSWERS))
    run.train(lab, 60, lambda progress: None)
    steps = [look.step for look in run.snapshots]
    assert len(steps) <= 6
    assert (steps[0], steps[-1]) == (0, 12)
    assert steps == sorted(set(steps))
    assert len(run.margins) == 13  # the curve keeps every point


def test_the_clock_ends_a_run_and_what_was_reached_is_kept(lab):
    run = Run(wanted())
    run.train(lab, 0, lambda progress: None)
    assert run.ended == "limit"
    assert (len(run.steps), len(run.snapshots)) == (0, 1)
    assert lab.open(run.kept).name.endswith("trained 0 steps")


def test_a_paused_run_takes_no_step_and_keeps_when_asked(lab):
    run = Run(wanted())
    run.pause(True)
    thread = threading.Thread(target=run.train, args=(lab, 60, lambda progress: None))
    thread.start()
    eventually(lambda: run.snapshots)
    first = run.keep()
    assert kept_folder(lab, first).is_dir()
    assert run.keep() == first  # nothing has changed since
    assert not run.steps
    run.pause(False)
    thread.join(20)
    assert (run.ended, len(run.steps)) == (DONE, 12)
    assert run.kept != first
    assert run.keep() == run.kept  # over: what is kept


def test_a_run_whose_page_has_gone_keeps_nothing_and_no_wish_waits_for_ever(lab):
    run = Run(wanted())
    run.pause(True)
    gone = threading.Event()

    def report(progress):
        if gone.is_set():
            raise train_runs.Stopped()

    def go():
        with pytest.raises(train_runs.Stopped):
            run.train(lab, 60, report)

    thread = threading.Thread(target=go)
    thread.start()
    eventually(lambda: run.snapshots)
    gone.set()
    thread.join(20)
    assert not thread.is_alive()
    assert (run.ended, run.kept, run.keep()) == ("", "", "")


def test_the_model_that_is_kept_draws_the_heatmap_that_was_seen(tiny, settings):
    """Of a real architecture, kept in the middle and at the end."""
    lab = Lab(settings)
    texts = {"questions": "a?\nb?", "answers": "a\nb"}
    run = Run(wanted(model=str(tiny("llama")), **texts))
    run.pause(True)
    thread = threading.Thread(target=run.train, args=(lab, 60, lambda progress: None))
    thread.start()
    eventually(lambda: run.snapshots, 60)
    untrained = run.keep()
    run.pause(False)
    thread.join(60)
    assert run.ended == DONE
    for model, look in ((untrained, run.snapshots[0]), (run.kept, run.snapshots[-1])):
        assert np.allclose(lab.compare(**texts, model=model).similarity, look.similarity, atol=1e-3)


def test_what_nobody_took_is_removed(lab):
    run = Run(wanted())
    run.train(lab, 60, lambda progress: None)
    run.used.add(run.kept)
    run.discard(lab)
    assert kept_folder(lab, run.kept).is_dir()
    run.used.clear()
    run.discard(lab)
    assert not kept_folder(lab, run.kept).exists()


def test_the_texts_at_hand_are_pairs(lab):
    pairing = lab.compare("a?\nb?", "a\nb", matches="1-2, 1-1").pairing
    assert pairs_of(pairing, "texts") == TrainingSet("texts", (Pair("a?", "a"), Pair("a?", "b")))


def test_every_effort_is_a_recipe():
    for how in EFFORTS.values():
        assert Recipe(None, **how).to_dict  # no field that a recipe does not have


# ---- handlers ---------------------------------------------------------------------------------------------------


def test_before_anything_it_says_what_to_press_and_what_will_happen(tab):
    answer = tab.on_open(page_request(), *values(source="bundled", sets=load_training()))
    view = answer[tab.widgets.view]
    assert (view["state"], "Press Train" in view["note"]) == ("idle", True)
    assert answer[tab.widgets.model]["choices"][0] == ("the model in the lab", "lab")
    ready = {model for _, model in answer[tab.widgets.model]["choices"]}
    assert MODEL in ready
    assert "mistral-7b-instruct-v0.1" not in ready  # does not fit here
    assert not any(CATALOG[model].base for model in ready - {"lab"})  # no adapter on top of an adapter
    count = sum(len(one.pairs) for one in load_training().values())
    assert f"{count:,} pairs" in answer[tab.widgets.source_note]
    assert (
        f"news, {len(load_training()['news'].pairs)}"
        in dict(map(reversed, answer[tab.widgets.sets]["choices"]))["news"]
    )
    assert "12 steps of 8 pairs" in answer[tab.widgets.plan]
    assert "<math" in answer[tab.widgets.formula]
    assert "PromptEOL" in answer[tab.widgets.reading_note]
    again = tab.on_tick(page_request(), *values(source="bundled", sets=load_training(), reading="lab"))
    assert set(again) == {tab.widgets.view, tab.widgets.reading_note}  # nothing else has changed
    assert "chat · last_token_logits · layer 30" in again[tab.widgets.reading_note]


def test_a_run_is_told_of_until_its_end(tab, lab):
    lab.engine.seconds_per_step = 0.05
    started = tab.on_run(page_request(), *values(source="bundled", sets=["news"]))
    assert started[tab.widgets.view]["state"] == "running"
    assert started[tab.widgets.view]["poll"]
    assert started[tab.widgets.view]["figures"] == []  # whatever was drawn goes
    assert started[tab.widgets.run]["interactive"] is False
    assert started[tab.widgets.stop]["visible"]
    seen = {}

    def middle():
        answer = tab.on_tick(page_request(), *values(source="bundled", sets=["news"]))
        seen.update(answer)
        return len(run_of(tab).steps) > 4

    eventually(middle)
    assert seen[tab.widgets.view]["note"] == "Training"
    assert 0 < seen[tab.widgets.view]["progress"] < 1
    assert seen[tab.widgets.pause]["visible"]
    assert seen[tab.widgets.keep]["interactive"]
    assert "of 12" in seen[tab.widgets.state]
    assert "In words, at step" in seen[tab.widgets.formula]
    done = finish(tab, source="bundled", sets=["news"])
    view = done[tab.widgets.view]
    assert view["state"] == "ready"
    assert "Done after 12 steps. Held-out AUC from " in view["note"]
    assert "Margin of your texts from " in view["note"]
    drawn = tab.pages.of(page_request()).drawn
    assert list(drawn["live"]) == ["train-heatmap", "train-loss", "train-progress"]
    assert list(drawn["held"]) == ["train-points", "train-cosines"]
    assert done[tab.widgets.run]["interactive"]
    assert not done[tab.widgets.pause]["visible"]
    assert not done[tab.widgets.stop]["visible"]
    again = tab.on_tick(page_request(), *values(source="bundled", sets=["news"]))
    assert set(again) == {tab.widgets.view}
    assert "figures" not in again[tab.widgets.view]
    assert tab.on_tick(page_request("two"), *values())[tab.widgets.view]["state"] == "idle"  # nobody else sees it


def test_looking_back_draws_that_look_and_follows_again_at_the_end(tab):
    train(tab)
    answer = tab.on_look(page_request(), 3, *values())
    heatmap, loss, progress = answer[tab.widgets.view]["figures"]
    assert heatmap["title"] == "Your texts at step 3"
    assert heatmap["figure"]["data"][0]["zmin"] == 0
    assert heatmap["figure"]["data"][0]["zmax"] == 1
    assert (loss, progress) == ({"id": "train-loss"}, {"id": "train-progress"})  # as they were drawn
    run = run_of(tab)
    drawn = [row[1:] for row in heatmap["table"]["rows"]]
    assert [cell.split(" ")[0] for row in drawn for cell in row] == [
        two_digits(float(value)) for value in run.snapshots[3].similarity.ravel()
    ]
    assert "figures" not in tab.on_tick(page_request(), *values())[tab.widgets.view]
    last = tab.on_look(page_request(), 12, *values())
    assert last[tab.widgets.view]["figures"][0]["title"] == "Your texts at step 12"
    assert last[tab.widgets.look]["value"] == 12
    assert tab.on_look(page_request("nobody"), 3, *values())[tab.widgets.view]["state"] == "idle"
    assert tab.on_look(page_request(), None, *values())[tab.widgets.view]["state"] == "ready"


def test_it_pauses_goes_on_and_stops(tab, lab):
    lab.engine.seconds_per_step = 0.03
    tab.on_run(page_request(), *values())
    eventually(lambda: run_of(tab).steps)
    paused = tab.on_pause(page_request(), *values())
    assert paused[tab.widgets.pause]["value"] == "Go on"
    eventually(lambda: run_of(tab).resting)
    steps = len(run_of(tab).steps)
    note = tab.on_tick(page_request(), *values())[tab.widgets.view]["note"]
    assert note.startswith(f"Paused after step {steps}.")
    assert tab.on_pause(page_request(), *values())[tab.widgets.pause]["value"] == "Pause"
    eventually(lambda: len(run_of(tab).steps) > steps)
    again = tab.on_run(page_request(), *values())
    assert again[tab.widgets.view]["state"] == "running", "pressed twice: still the first one"
    stopping = tab.on_stop(page_request(), *values())
    assert stopping[tab.widgets.view]["note"] == "Stopping after this step"
    assert not stopping[tab.widgets.stop]["interactive"]
    done = finish(tab)[tab.widgets.view]
    assert (done["state"], "what was reached can be kept" in done["note"]) == ("ready", True)
    assert run_of(tab).snapshots[-1].step == len(run_of(tab).steps) < 12


def test_others_wait_in_line_and_see_their_place(tab, lab):
    lab.engine.seconds_per_step = 0.05
    tab.on_run(page_request("one"), *values())
    assert "One run" not in tab.on_tick(page_request("one"), *values())[tab.widgets.view]["note"]
    tab.on_run(page_request("two"), *values())
    three = tab.on_run(page_request("three"), *values())[tab.widgets.view]
    assert (three["state"], three["note"].split(".")[0]) == ("running", "2 runs are before yours")
    assert three["poll"]
    assert three["progress"] is None
    left = tab.on_stop(page_request("two"), *values())[tab.widgets.view]
    assert (left["state"], left["note"]) == ("error", "Stopped before the first step.")
    note = tab.on_tick(page_request("three"), *values())[tab.widgets.view]["note"]
    assert note.split(".")[0] == "1 run is before yours"
    job = tab.pages.of(page_request("one")).job
    tab.on_leave(page_request("one"))  # whoever goes makes room
    assert job.done.wait(10)
    assert finish(tab, "three")[tab.widgets.view]["state"] == "ready"
    away = tab.on_tick(page_request("one"), *values())[tab.widgets.view]
    assert "because this page was away" in away["note"]
    assert "Nothing is left" in tab.on_keep(page_request("one"))[tab.widgets.keep_note]


def test_who_leaves_the_line_loses_the_place_and_a_full_line_is_a_sentence(tab, lab):
    lab.engine.seconds_per_step = 0.05
    for session in range(9):
        tab.on_run(page_request(str(session)), *values())
    full = tab.on_run(page_request("late"), *values())
    assert full[tab.widgets.view]["state"] == "error"
    assert "8 runs are waiting already" in full[tab.widgets.view]["note"]
    assert full[tab.widgets.run]["interactive"]
    tab.on_leave(page_request("3"))
    assert tab.on_run(page_request("late"), *values())[tab.widgets.view]["note"].startswith("8 runs are before yours")
    for session in (*map(str, range(9)), "late"):
        tab.on_leave(page_request(session))


def test_what_was_reached_becomes_a_model_of_this_page(tab, lab):
    train(tab)
    answer = tab.on_keep(page_request())
    model = answer[tab.lab_widgets.model]
    assert model["value"].startswith("trained:")
    assert model["choices"][-1] == ("SmolLM2-135M-Instruct, trained 12 steps", model["value"])
    assert len(model["choices"]) == len(lab.models()) + 1
    assert "in use in the lab" in answer[tab.widgets.keep_note]
    assert tab.on_keep(page_request())[tab.lab_widgets.model] == model  # pressed twice: the same one
    assert lab.compare(QUESTIONS, ANSWERS, model=model["value"]).reading.prompt.value == "prompteol"
    train(tab)
    second = tab.on_keep(page_request())[tab.lab_widgets.model]
    assert [name for name, _ in second["choices"][-2:]] == [
        "SmolLM2-135M-Instruct, trained 12 steps",
        "SmolLM2-135M-Instruct, trained 12 steps · 2",
    ]
    assert kept_folder(lab, model["value"]).is_dir()  # in somebody's list: it stays


def test_what_was_trained_here_is_trained_again_from_the_model_below(tab, lab):
    train(tab)
    kept = tab.on_keep(page_request())[tab.lab_widgets.model]["value"]
    lab.open(kept)
    answer = tab.on_tick(page_request(), *values(model_=kept))
    assert "an adapter over SmolLM2-135M-Instruct: that one is trained" in answer[tab.widgets.plan]
    assert train(tab, model_=kept)[tab.widgets.view]["state"] == "ready"
    assert run_of(tab).settings.model == MODEL


def test_in_the_middle_of_a_run_it_can_be_kept_too(tab, lab):
    lab.engine.seconds_per_step = 0.05
    tab.on_run(page_request(), *values())
    eventually(lambda: len(run_of(tab).steps) > 2)
    answer = tab.on_keep(page_request())
    name = answer[tab.lab_widgets.model]["choices"][-1][0]
    steps = int(re.search(r"trained (\d+) steps", name)[1])
    assert 2 < steps < 12
    assert lab.open(answer[tab.lab_widgets.model]["value"]).name.endswith(f"trained {steps} steps")
    finish(tab)


def test_a_run_that_nobody_took_makes_room_for_the_next(tab, lab):
    train(tab)
    first = run_of(tab)
    train(tab)
    assert not kept_folder(lab, first.kept).exists()
    assert kept_folder(lab, run_of(tab).kept).is_dir()


def test_the_adapter_is_a_zip(tab, lab):
    train(tab)
    answer = tab.on_download(page_request())
    path = answer[tab.widgets.file]
    assert path.endswith("smollm2-135m-instruct-trained-12-steps.zip")
    with zipfile.ZipFile(path) as packed:
        assert {"training.json", "README.md"} <= set(packed.namelist())
        assert json.loads(packed.read("training.json"))["steps"] == 12
    folder = kept_folder(lab, run_of(tab).kept)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert "Nothing is left" in tab.on_download(page_request())[tab.widgets.keep_note]
    assert "Nothing is left" in tab.on_keep(page_request("nobody"))[tab.widgets.keep_note]


# ---- what cannot be -----------------------------------------------------------------------------------------------


def test_nothing_to_learn_from_is_a_sentence(tab):
    answer = tab.on_run(page_request(), *values(source="bundled"))
    assert (answer[tab.widgets.view]["state"], "At least one set" in answer[tab.widgets.view]["note"]) == (
        "error",
        True,
    )
    assert tab.on_choose(page_request(), *values())[tab.widgets.view]["state"] == "idle"
    answer = tab.on_run(page_request(), *values(source="file"))
    assert "No file has been chosen" in answer[tab.widgets.view]["note"]
    assert tab.pages.of(page_request()).job is None
    assert "There are no" in train(tab, answers="")[tab.widgets.view]["note"]
    assert "“9-9”" in train(tab, matches="9-9")[tab.widgets.view]["note"]
    assert "no pairs to train on" in train(tab, questions="One?", answers="One.")[tab.widgets.view]["note"]


def test_pairs_of_ones_own_need_no_texts_in_the_boxes(tab, tmp_path):
    upload(tab, tmp_path, PAIRS)
    done = train(tab, source="file", questions="", answers=" ")
    assert "margin" not in done[tab.widgets.view]["note"].lower()
    page = tab.pages.of(page_request())
    page.drawn.clear()
    assert [figure["title"] for figure in page.figures("en", "live")] == ["Loss by step", "Held-out AUC by step"]


def test_what_the_engine_refuses_is_a_sentence_and_the_last_run_comes_back(tab, lab, monkeypatch):
    train(tab)

    def refuse(recipe, *rest):
        raise ReadingRefused(
            field="pooling", model="M", reason="a projection is trained on the last layer, with one of x."
        )

    with monkeypatch.context() as patch:
        patch.setattr(lab.engine, "train", refuse)
        wrong = train(tab, reading="lab")
        assert wrong[tab.widgets.view]["state"] == "error"
        assert wrong[tab.widgets.view]["note"] == "M: a projection is trained on the last layer, with one of x."
        assert tab.pages.of(page_request()).drawn["live"]["train-heatmap"] == (12,)  # drawn again
        assert tab.on_keep(page_request())[tab.lab_widgets.model]["value"] == run_of(tab).kept
    with monkeypatch.context() as patch:
        patch.setattr(lab, "train", lambda *a, **k: 1 / 0)
        wrong = train(tab)[tab.widgets.view]
        assert (wrong["state"], "on our side" in wrong["note"]) == ("error", True)
    wrong = train(tab, model="gpt2")[tab.widgets.view]
    assert "could not be fetched" in wrong["note"]
    assert train(tab)[tab.widgets.view]["state"] == "ready"


def test_what_goes_wrong_in_the_middle_leaves_what_was_seen(tab, lab, monkeypatch):
    steps = FakeEngine.train

    def train_a_little(engine, recipe, pairs, sources, guide=None):
        training = steps(engine, recipe, pairs, sources, guide)

        def few():
            for step in type(training).steps(training):
                if step.step > 3:
                    raise OutOfMemory(model="M", tokens=9)
                yield step

        training.steps = few
        return training

    monkeypatch.setattr(FakeEngine, "train", train_a_little)
    wrong = train(tab)
    assert (wrong[tab.widgets.view]["state"], "ran out of memory" in wrong[tab.widgets.view]["note"]) == ("error", True)
    assert run_of(tab).snapshots[-1].step == 3
    assert not wrong[tab.widgets.keep]["interactive"]
    assert tab.pages.of(page_request()).job is None  # what the run held is not remembered


def test_the_readings(tab, lab):
    train(tab, reading="lab", prompt="plain", pooling="mean", layer=30, eos=True, postprocess="zscore")
    recipe = run_of(tab).recipe.reading
    assert (recipe.prompt.value, recipe.pooling.value, recipe.layer, recipe.eos) == ("plain", "mean", -1, True)
    assert recipe.postprocess.value == "none"
    train(tab, model=SMALL, reading="lab", prompt="plain", pooling="mean", layer=30)  # the last layer of either
    assert (run_of(tab).recipe.reading.model, run_of(tab).recipe.reading.layer) == (SMALL, -1)
    train(tab)
    recipe = run_of(tab).recipe.reading
    assert (recipe.prompt.value, recipe.pooling.value, recipe.layer) == ("prompteol", "last_token", -1)


def test_a_public_host_trains_a_projection_only_unless_it_says_otherwise(lab, tmp_path):
    assert offered_efforts(Settings(engine="fake")) == ("projection", "lora_quick", "lora")
    assert offered_efforts(Settings(engine="fake", public=True)) == ("projection",)
    assert offered_efforts(Settings(engine="fake", public=True, train_lora=True))[1:] == ("lora_quick", "lora")
    public = Lab(Settings(engine="fake", public=True, cache_dir=tmp_path), FakeEngine())
    public.open(MODEL)
    tab = make_tab(public)
    assert [value for _, value in tab.widgets.effort.choices] == ["projection"]
    answer = tab.on_run(page_request(), *values(effort="lora"))  # asked for past the page
    assert "a linear map only" in answer[tab.widgets.view]["note"]
    assert tab.pages.of(page_request()).job is None
    assert train(tab)[tab.widgets.view]["state"] == "ready"
    assert tab.on_keep(page_request())[tab.lab_widgets.model]["value"].startswith("trained:")


def test_where_a_gpu_is_lent_for_single_calls_nothing_is_trained(tmp_path):
    tab = make_tab(Lab(Settings(engine="zerogpu", cache_dir=tmp_path), FakeEngine()))
    answer = tab.on_run(page_request(), *values())
    assert "lent for a call at a time" in answer[tab.widgets.view]["note"]
    assert tab.pages.of(page_request()).job is None


@pytest.mark.parametrize("nonsense", ["", None, "<b>", "lora_slow"])
def test_an_effort_that_there_is_not_begins_nothing(tab, nonsense):
    answer = tab.on_run(page_request(), *values(effort=nonsense))
    assert answer[tab.widgets.view]["state"] == "error"
    assert tab.pages.of(page_request()).job is None


# ---- files --------------------------------------------------------------------------------------------------------


def test_a_file_is_learned_from(tab, tmp_path):
    note = upload(tab, tmp_path, PAIRS, f"{NASTY.replace('/', '')}.jsonl")
    assert "pairs 40, with a negative 0" in note
    assert "<img" not in note
    done = train(tab, source="file")
    assert done[tab.widgets.view]["state"] == "ready"
    assert [one.name for one in run_of(tab).settings.sets] == [NASTY.replace("/", "")]
    assert len(run_of(tab).held_out) == 4


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "a.jsonl", "is empty"),
        ("{", "a.jsonl", "is not JSON"),
        ("[1]", "a.json", "neither a list of objects"),
        ("a,b\n1,2\n", "a.csv", "names no question column"),
        ("question,answer\n1,\n", "a.csv", "no question or no answer"),
        ("question,answer\n1,2\n", "a.csv", "fewer than two pairs"),
        (b"\xff\xfe\x00", "a.csv", "not UTF-16"),
        ("x" * (2 * 2**20 + 1), "a.csv", "At most 2 MiB"),
        ("question,answer\n" + "".join(f"q{i},a{i}\n" for i in range(5001)), "a.csv", "At most 5,000"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_what_is(tab, tmp_path, content, name, said):
    upload(tab, tmp_path, PAIRS)
    note = upload(tab, tmp_path, content, name)
    assert 'role="alert"' in note
    assert said in note
    assert "JSONL, JSON, CSV or TSV" in note
    assert tab.pages.of(page_request()).uploaded is None
    korean = re.sub(
        r"\([^)]*\)|<[^>]*>|JSONL?|CSV|TSV|UTF|MiB|negative|a\.\w+", "", upload(tab, tmp_path, content, name, "ko")
    )
    assert not re.search("[a-z]{3}", korean), korean


def test_the_texts_in_the_boxes_come_with_a_warning(tab):
    answer = tab.on_tick(page_request(), *values())
    assert 'class="caution"' in answer[tab.widgets.source_note]
    assert "learned by heart" in answer[tab.widgets.source_note]


# ---- words and figures --------------------------------------------------------------------------------------------


def test_the_formula_holds_the_numbers_of_a_row_and_says_them():
    step = TrainStep(7, 1.5, 1e-3, 10.0, np.array([0.6, 0.5, 0.55], dtype=np.float32))
    run = SimpleNamespace(steps=[step], recipe=SimpleNamespace(temperature=0.05))
    said = render_formula("en", run)
    parts = np.exp(step.example.astype(float) / 0.05)
    loss = -np.log(parts[0] / parts.sum())
    for value in (".600", ".550", ".05", f"{parts.sum():,.0f}", f"{loss:.2f}"):
        assert f"<dd>{value}</dd>" in said
    assert "nearest of 2 wrong ones" in said
    assert f"so this row costs {loss:.2f}" in said
    assert f"it would cost {np.log(3):.2f}" in said
    assert said.count("<math") == 3
    assert "http" not in said
    assert render_formula("ko", None).count("<math") == 1
    alone = SimpleNamespace(steps=[TrainStep(1, 0.0, 1e-3, 1.0, np.array([0.2], dtype=np.float32))], recipe=run.recipe)
    assert "<dd>0.00</dd>" in render_formula("en", alone)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0012, ".0012"), (0.05, ".05"), (2e-3, ".002"), (20.0, "20"), (0.00031234, ".00031"), (0, "0")],
)
def test_small_numbers_stand_without_an_exponent(value, said):
    assert plain(value) == said


def test_the_loss_is_drawn_over_the_whole_run():
    figure = plot_loss([4.0, 3.0, 2.0], 100, chance_loss(64, 64))
    dots, line = figure.data
    assert list(dots.y) == [4.0, 3.0, 2.0]
    assert np.allclose(line.y, [4.0, 3.85, 3.5725])
    assert figure.layout.xaxis.range[1] > 100
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Step", "Loss")
    assert figure.layout.shapes[0].y0 == pytest.approx((np.log(128) + np.log(64)) / 2)


def test_what_the_loss_is_for_is_drawn_beside_it():
    figure = plot_progress([(0, 0.01), (9, -0.3)], [(0, 0.5), (9, 0.9)], 20, "Both")
    assert [trace.name for trace in figure.data] == ["Held-out AUC", "Margin of your texts"]
    assert figure.layout.yaxis.range[0] < -0.3
    assert len({(trace.line.dash, trace.marker.symbol) for trace in figure.data}) == 2
    assert [trace.name for trace in plot_progress([], [(0, 0.5)], 20, "One").data] == ["Held-out AUC"]


def test_cosines_are_shares_and_none_is_lost():
    matched, mismatched = np.array([1.0, 0.5, -1.0, 1.0000001]), np.zeros(90)
    assert count_cosines(matched).sum() == pytest.approx(1)
    assert count_cosines(np.array([])).sum() == 0
    figure = plot_cosines(matched, mismatched, 3)
    wrong, right = figure.data
    assert (sum(wrong.y), sum(right.y)) == (pytest.approx(1), pytest.approx(1))
    assert wrong.marker.pattern.shape
    assert not right.marker.pattern.shape
    assert "step 3" in figure.layout.title.text


def test_held_out_pairs_are_joined_and_their_texts_are_escaped():
    points = np.array([[0, 0], [0.1, 0], [0.5, 0.5], [0.6, 0.5]], dtype=np.float32)
    figure = plot_held_points(points, [NASTY, "b?"], ["a", "b"], 4)
    lines, questions, answers = figure.data
    assert np.allclose(lines.x[:2], [0, 0.5])
    assert np.isnan(lines.x[2])
    assert questions.marker.symbol != answers.marker.symbol
    assert "<img" not in questions.hovertext[0]
    assert figure.layout.xaxis.range == figure.layout.yaxis.range == (-1.02, 1.02)


def test_figures_come_with_words_and_a_table(tab, tmp_path):
    upload(tab, tmp_path, PAIRS.replace("what is 3", NASTY + "3"))
    train(tab, source="file")
    page = tab.pages.of(page_request())
    for language in ("en", "ko"):
        page.drawn.clear()
        figures = [*page.figures(language, "live"), *page.figures(language, "held")]
        assert len(figures) == 5
        for figure in figures:
            assert figure["alt"]
            assert figure["table"]["rows"]
            assert all(len(row) == len(figure["table"]["head"]) for row in figure["table"]["rows"])
            assert language == "en" or re.search("[가-힣]", figure["title"] + figure["alt"])


def test_every_word_on_the_figures_has_a_translation():
    assert {name: LOCALES["en"][f"train.figure.{name}"] for name in TRAINING_WORDS} == TRAINING_WORDS


def test_efforts_have_names_in_both_languages():
    for texts in LOCALES.values():
        assert all(f"label.train_effort_{name}" in texts and f"train.effort.{name}" in texts for name in EFFORTS)


def test_refusals_are_said_in_korean():
    said = translate_phrase("ko", "it carries an adapter already. Train the model below it.")
    assert not re.search("[a-z]{3}", said)
