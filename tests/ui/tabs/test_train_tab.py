"""The Train tab without a browser: its runs and handlers over the fake engine, its words, its figures."""

from __future__ import annotations

import json
import re
import shutil
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.catalog import CATALOG  # noqa: E402
from demo.domain.errors import OutOfMemory, ReadingRefused  # noqa: E402
from demo.domain.recipe import EFFORTS, Pair, TrainingSet, TrainStep  # noqa: E402
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
from demo.ui.kit.i18n import LOCALES  # noqa: E402
from demo.ui.tabs.train import runs as train_runs  # noqa: E402
from demo.ui.tabs.train.formula import plain, render_formula  # noqa: E402
from demo.ui.tabs.train.handlers import TrainHandlers  # noqa: E402
from demo.ui.tabs.train.runs import DONE, Run, RunSettings  # noqa: E402
from demo.ui.tabs.train.tab import create_train_tab, offered_efforts  # noqa: E402
from demo.wording.numbers import two_digits  # noqa: E402
from tests.page_requests import lab_values  # noqa: E402
from tests.ui.tabs.open_page import OpenPage  # noqa: E402
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
    monkeypatch.setattr(TrainingRun.events, "__defaults__", (0.0, None))
    monkeypatch.setattr(train_runs, "_WAIT_SECONDS", 0.02)


@pytest.fixture
def lab(tmp_path) -> Lab:
    lab = Lab(Settings(engine="fake", cache_dir=tmp_path), FakeEngine(seconds_per_step=0.002))
    lab.open(MODEL)
    return lab


def open_page(lab: Lab) -> OpenPage:
    return OpenPage.of_tab(lab, create_train_tab, TrainHandlers, values)


@pytest.fixture
def page(lab) -> OpenPage:
    return open_page(lab)


def values(
    model="lab", reading="recommended", source="texts", sets=(), effort="projection", model_=MODEL, **lab_choices
) -> list:
    """The form. model: the tab's; model_: the lab's."""
    own = {"questions": QUESTIONS, "answers": ANSWERS, "model": model_}
    return [*lab_values(**{**own, **lab_choices}), model, reading, source, list(sets), effort]


def drop(page: OpenPage, content: str, name: str = "pairs.jsonl", drawn: bool = False) -> str:
    page.drop(content, name, drawn)
    page.state.sent.clear()
    return page.tick(source="file")["source_note"]


def send(page: OpenPage, event: str) -> dict:
    """An event that is not sent with the form."""
    return page.named(getattr(page.handlers, f"on_{event}")(page.request))


def begin(lab: Lab, run: Run, report=lambda progress: None) -> threading.Thread:
    """A run in a thread, paused after the untrained model."""
    run.pause(True)
    thread = threading.Thread(target=run.train, args=(lab, 60, report))
    thread.start()
    eventually(lambda: run.snapshots, 60)
    return thread


# ---- a run ------------------------------------------------------------------------------------------------------


def settings_of(**changes) -> RunSettings:
    reading = {"prompt": "prompteol", "pooling": "last_token", "layer": -1}
    sets = (TrainingSet("some", tuple(Pair(f"what is {i}", f"it is {i}") for i in range(40))),)
    return RunSettings(**{"model": MODEL, "effort": "projection", "reading": reading, "sets": sets, **changes})


def test_run_records_every_step(lab):
    run = Run(settings_of(questions=QUESTIONS, answers=ANSWERS))
    progress = []
    run.train(lab, 60, progress.append)
    assert (run.ended, [step.step for step in run.steps]) == (DONE, list(range(1, 13)))
    assert [look.step for look in run.snapshots] == list(range(13))
    assert run.snapshots[0].similarity.shape == (3, 3)
    assert len(run.margins) == 13
    assert 0 < len(run.aucs) <= 13
    assert run.recipe.steps == 12
    assert progress[-1].fraction == 1.0
    assert run.comparison(run.snapshots[3]).similarity is run.snapshots[3].similarity
    assert kept_folder(lab, run.kept).is_dir()
    assert lab.open(run.kept).name.endswith("trained 12 steps")


def test_snapshot_is_found_by_its_step(lab):
    run = Run(settings_of())
    assert run.snapshot_at(None) is None
    run.train(lab, 60, lambda progress: None)
    assert run.pairing is None
    assert run.comparison(run.snapshots[0]) is None
    assert run.snapshot_at(None).step == 12
    assert [run.snapshot_at(step).step for step in (-3, 0, 5, 99)] == [0, 0, 5, 12]
    seen, held = run.held_out_at(run.snapshot_at(7))
    assert seen <= 7
    assert held.matched.shape == (4,)  # a tenth of forty


def test_snapshots_are_thinned_and_first_and_last_stay(lab, monkeypatch):
    monkeypatch.setattr(train_runs, "_MAX_SNAPSHOTS", 6)
    run = Run(settings_of(questions=QUESTIONS, answers=ANSWERS))
    run.train(lab, 60, lambda progress: None)
    steps = [look.step for look in run.snapshots]
    assert len(steps) <= 6
    assert (steps[0], steps[-1]) == (0, 12)
    assert steps == sorted(set(steps))
    assert len(run.margins) == 13  # the curve keeps every point


def test_time_limit_ends_a_run_and_keeps_its_model(lab):
    run = Run(settings_of())
    run.train(lab, 0, lambda progress: None)
    assert run.ended == "limit"
    assert (len(run.steps), len(run.snapshots)) == (0, 1)
    assert lab.open(run.kept).name.endswith("trained 0 steps")


def test_paused_run_takes_no_step_and_keeps_on_request(lab):
    run = Run(settings_of())
    thread = begin(lab, run)
    first = run.keep()
    assert kept_folder(lab, first).is_dir()
    assert run.keep() == first  # nothing has changed since
    assert not run.steps
    run.pause(False)
    thread.join(20)
    assert (run.ended, len(run.steps)) == (DONE, 12)
    assert run.kept != first
    assert run.keep() == run.kept  # over: what is kept


def test_stopped_run_keeps_nothing_and_no_request_waits_for_ever(page, lab):
    lab.engine.seconds_per_step = 0.05
    page.run()
    run = eventually(lambda: page.state.run)
    run.pause(True)
    eventually(lambda: run.snapshots)
    job = page.state.job
    page.leave()
    assert job.done.wait(20)
    assert (run.ended, run.kept, run.keep()) == ("", "", "")


def test_the_last_run_comes_back_where_the_next_had_nothing_when_its_page_closed(page, lab, monkeypatch):
    page.complete()
    last, train, gate = page.state.run, lab.train, threading.Event()
    monkeypatch.setattr(lab, "train", lambda *sets, **how: gate.wait(20) and train(*sets, **how))
    page.run()
    job = page.state.job
    page.leave()
    eventually(lambda: page.state.job is None)
    gate.set()
    assert job.done.wait(20)
    assert page.tick()["view"]["state"] == "ready"
    assert page.state.run is last


def test_kept_model_reproduces_the_snapshot(tiny, settings):
    """Of a real architecture, kept in the middle and at the end."""
    lab = Lab(settings)
    texts = {"questions": "a?\nb?", "answers": "a\nb"}
    run = Run(settings_of(model=str(tiny("llama")), **texts))
    thread = begin(lab, run)
    untrained = run.keep()
    run.pause(False)
    thread.join(60)
    assert run.ended == DONE
    for model, look in ((untrained, run.snapshots[0]), (run.kept, run.snapshots[-1])):
        assert np.allclose(lab.compare(**texts, model=model).similarity, look.similarity, atol=1e-3)


# ---- handlers ---------------------------------------------------------------------------------------------------


def test_idle_tab_describes_the_run(page):
    answer = page.send("open", source="bundled", sets=load_training())
    view = answer["view"]
    assert (view["state"], "Press Train" in view["note"]) == ("idle", True)
    assert answer["model"]["choices"][0] == ("the model in the lab", "lab")
    ready = {model for _, model in answer["model"]["choices"]}
    assert MODEL in ready
    assert "mistral-7b-instruct-v0.1" not in ready  # does not fit here
    assert not any(CATALOG[model].base for model in ready - {"lab"})  # no adapter on top of an adapter
    count = sum(len(one.pairs) for one in load_training().values())
    assert f"{count:,} pairs" in answer["source_note"]
    assert f"news, {len(load_training()['news'].pairs)}" in dict(map(reversed, answer["sets"]["choices"]))["news"]
    assert "12 steps of 8 pairs" in answer["plan"]
    assert "<math" in answer["formula"]
    assert "PromptEOL" in answer["reading_note"]
    again = page.tick(source="bundled", sets=load_training(), reading="lab")
    assert set(again) == {"view", "reading_note"}  # nothing else has changed
    assert "chat · last_token_logits · layer 30" in again["reading_note"]


def test_running_job_is_followed_to_its_end(page, lab):
    lab.engine.seconds_per_step = 0.3
    form = {"source": "bundled", "sets": ["news"]}
    seen = page.run(**form)
    assert (seen["view"]["state"], seen["view"]["poll"]) == ("running", True)
    assert seen["view"]["figures"] == [], "the last run's figures go"
    assert (seen["run"]["interactive"], seen["stop"]["visible"]) == (False, True)
    eventually(lambda: seen.update(page.tick(**form)) or "of 12" in seen["state"] and "step 1" in seen["formula"])
    assert (seen["view"]["note"], 0 < seen["view"]["progress"] < 1) == ("Training", True)
    assert (seen["pause"]["visible"], seen["keep"]["interactive"]) == (True, True)
    lab.engine.seconds_per_step = 0.002
    seen |= page.finish(**form)
    assert seen["view"]["state"] == "ready"
    assert "Done after 12 steps. Held-out AUC from " in seen["view"]["note"]
    assert "Margin of your texts from " in seen["view"]["note"]
    drawn = page.state.drawn
    assert list(drawn["live"]) == ["train-heatmap", "train-loss", "train-progress"]
    assert list(drawn["held"]) == ["train-points", "train-cosines"]
    assert seen["run"]["interactive"]
    assert (seen["pause"]["visible"], seen["stop"]["visible"]) == (False, False)
    again = page.tick(**form)
    assert set(again) == {"view"}
    assert "figures" not in again["view"]
    assert page.beside("two").tick()["view"]["state"] == "idle", "nobody else sees it"


def test_slider_draws_an_earlier_snapshot(page):
    page.complete()
    answer = page.send("look", 3)
    heatmap, loss, progress = answer["view"]["figures"]
    assert heatmap["title"] == "Your texts at step 3"
    assert heatmap["figure"]["data"][0]["zmin"] == 0
    assert heatmap["figure"]["data"][0]["zmax"] == 1
    assert (loss, progress) == ({"id": "train-loss"}, {"id": "train-progress"})  # as they were drawn
    run = page.state.run
    drawn = [row[1:] for row in heatmap["table"]["rows"]]
    assert [cell.split(" ")[0] for row in drawn for cell in row] == [
        two_digits(float(value)) for value in run.snapshots[3].similarity.ravel()
    ]
    assert "figures" not in page.tick()["view"]
    last = page.send("look", 12)
    assert last["view"]["figures"][0]["title"] == "Your texts at step 12"
    assert last["look"]["value"] == 12
    assert page.beside("nobody").send("look", 3)["view"]["state"] == "idle"
    assert page.send("look", None)["view"]["state"] == "ready"


def test_run_pauses_resumes_and_stops(page, lab):
    lab.engine.seconds_per_step = 0.03
    page.run()
    eventually(lambda: page.state.run.steps)
    assert page.send("pause")["pause"]["value"] == "Go on"
    eventually(lambda: page.state.run.resting)
    steps = len(page.state.run.steps)
    assert page.tick()["view"]["note"].startswith(f"Paused after step {steps}.")
    assert page.send("pause")["pause"]["value"] == "Pause"
    eventually(lambda: len(page.state.run.steps) > steps)
    assert page.run()["view"]["state"] == "running", "pressed twice: still the first one"
    stopping = page.stop()
    assert stopping["view"]["note"] == "Stopping after this step"
    assert not stopping["stop"]["interactive"]
    done = page.finish()["view"]
    assert (done["state"], "what was reached can be kept" in done["note"]) == ("ready", True)
    assert page.state.run.snapshots[-1].step == len(page.state.run.steps) < 12


def test_waiting_pages_see_their_place_and_closed_pages_make_room(page):
    page.run()
    page.send("pause")  # so that it lasts until its page is left
    two, three = page.beside("two"), page.beside("three")
    two.run()
    waiting = three.run()["view"]
    assert (waiting["state"], waiting["poll"], waiting["progress"]) == ("running", True, None)
    assert waiting["note"].startswith("2 runs are before yours.")
    left = two.stop()["view"]
    assert (left["state"], left["note"]) == ("error", "Stopped before the first step.")
    assert three.tick()["view"]["note"].startswith("1 run is before yours.")
    eventually(lambda: page.state.run.snapshots)
    page.leave()
    assert three.finish()["view"]["state"] == "ready"
    assert "because this page was away" in page.tick()["view"]["note"]
    assert "Nothing is left" in send(page, "keep")["keep_note"]


def test_full_queue_is_a_sentence(page, lab):
    lab.engine.seconds_per_step = 0.05
    pages = [page.beside(str(session)) for session in range(9)]
    for each in pages:
        each.run()
    late = page.beside("late")
    full = late.run()
    assert (full["view"]["state"], full["run"]["interactive"]) == ("error", True)
    assert "8 runs are waiting already" in full["view"]["note"]
    pages[3].leave()
    assert late.run()["view"]["note"].startswith("8 runs are before yours")
    for each in (*pages, late):
        each.leave()


NAMED = "SmolLM2-135M-Instruct, trained 12 steps"


def test_kept_model_joins_the_list_of_models(page, lab):
    page.complete()
    answer = send(page, "keep")
    model = answer["model"]
    assert model["value"].startswith("trained:")
    assert model["choices"][-1] == (f"{NAMED} — GPT tuned for embeddings, 135M", model["value"])
    assert lab.status(model["value"]).name == NAMED, "listed everywhere, and after a reload"
    assert "in use in the lab" in answer["keep_note"]
    assert send(page, "keep")["model"] == model  # pressed twice: the same one
    assert lab.compare(QUESTIONS, ANSWERS, model=model["value"]).reading.prompt.value == "prompteol"
    page.complete()
    second = send(page, "keep")["model"]
    assert [name.split(" — ")[0] for name, _ in second["choices"][-2:]] == [NAMED, f"{NAMED} · 2"]
    assert kept_folder(lab, model["value"]).is_dir()  # in somebody's list: it stays


def test_adapter_is_trained_again_from_its_base_model(page, lab):
    page.complete()
    kept = send(page, "keep")["model"]["value"]
    lab.open(kept)
    answer = page.tick(model_=kept)
    assert "an adapter over SmolLM2-135M-Instruct: that one is trained" in answer["plan"]
    assert page.complete(model_=kept)["view"]["state"] == "ready"
    assert page.state.run.settings.model == MODEL


def test_model_of_a_running_job_can_be_kept(page, lab):
    lab.engine.seconds_per_step = 0.2
    page.run()
    eventually(lambda: page.state.run.steps)
    model = send(page, "keep")["model"]
    steps = int(re.search(r"trained (\d+) steps", model["choices"][-1][0])[1])
    assert 0 < steps < 12
    assert lab.open(model["value"]).name.endswith(f"trained {steps} steps")
    page.stop()
    page.finish()


def test_unused_model_is_removed_by_the_next_run(page, lab):
    page.complete()
    first = page.state.run
    page.complete()
    assert not kept_folder(lab, first.kept).exists()
    assert kept_folder(lab, page.state.run.kept).is_dir()


def test_adapter_is_downloaded_as_zip(page, lab):
    page.complete()
    answer = send(page, "download")
    path = answer["file"]
    assert path.endswith("smollm2-135m-instruct-trained-12-steps.zip")
    with zipfile.ZipFile(path) as packed:
        assert {"training.json", "README.md"} <= set(packed.namelist())
        assert json.loads(packed.read("training.json"))["steps"] == 12
    shutil.rmtree(kept_folder(lab, page.state.run.kept))
    assert "Nothing is left" in send(page, "download")["keep_note"]
    assert "Nothing is left" in send(page.beside("nobody"), "keep")["keep_note"]


# ---- what cannot be -----------------------------------------------------------------------------------------------


def test_missing_pairs_are_a_sentence(page):
    answer = page.run(source="bundled")
    assert (answer["view"]["state"], "At least one set" in answer["view"]["note"]) == ("error", True)
    assert page.send("choose")["view"]["state"] == "idle"
    answer = page.run(source="file")
    assert "No file is open" in answer["view"]["note"]
    assert page.state.job is None
    assert "There are no" in page.complete(answers="")["view"]["note"]
    assert "“9-9”" in page.complete(matches="9-9")["view"]["note"]
    assert "no pairs to train on" in page.complete(questions="One?", answers="One.")["view"]["note"]


def test_uploaded_pairs_need_no_texts(page):
    drop(page, PAIRS)
    done = page.complete(source="file", questions="", answers=" ")
    assert "margin" not in done["view"]["note"].lower()
    state = page.state
    state.drawn.clear()
    assert [figure["title"] for figure in state.figures("en", "live")] == ["Loss by step", "Held-out AUC by step"]


def test_last_run_comes_back_after_a_refused_one(page, lab, monkeypatch):
    page.complete()

    def refuse(recipe, *rest):
        raise ReadingRefused(
            field="pooling", model="M", reason="a projection is trained on the last layer, with one of x."
        )

    with monkeypatch.context() as patch:
        patch.setattr(lab.engine, "train", refuse)
        wrong = page.complete(reading="lab")
        assert wrong["view"]["state"] == "error"
        assert wrong["view"]["note"] == "M: a projection is trained on the last layer, with one of x."
        assert page.state.drawn["live"]["train-heatmap"] == (12,)  # drawn again
        assert send(page, "keep")["model"]["value"] == page.state.run.kept
    with monkeypatch.context() as patch:
        patch.setattr(lab, "train", lambda *a, **k: 1 / 0)
        wrong = page.complete()["view"]
        assert (wrong["state"], "on our side" in wrong["note"]) == ("error", True)
    wrong = page.complete(model="gpt2")["view"]
    assert "could not be fetched" in wrong["note"]
    assert page.complete()["view"]["state"] == "ready"


def test_failed_run_keeps_its_snapshots(page, lab, monkeypatch):
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
    wrong = page.complete()
    assert (wrong["view"]["state"], "ran out of memory" in wrong["view"]["note"]) == ("error", True)
    assert page.state.run.snapshots[-1].step == 3
    assert not wrong["keep"]["interactive"]
    assert page.state.job is None  # what the run held is not remembered


def test_chosen_reading_is_trained(page, lab):
    page.complete(reading="lab", prompt="plain", pooling="mean", layer=30, eos=True, postprocess="zscore")
    recipe = page.state.run.recipe.reading
    assert (recipe.prompt.value, recipe.pooling.value, recipe.layer, recipe.eos) == ("plain", "mean", -1, True)
    assert recipe.postprocess.value == "none"
    page.complete(model=SMALL, reading="lab", prompt="plain", pooling="mean", layer=30)  # the last layer of either
    assert (page.state.run.recipe.reading.model, page.state.run.recipe.reading.layer) == (SMALL, -1)
    page.complete()
    recipe = page.state.run.recipe.reading
    assert (recipe.prompt.value, recipe.pooling.value, recipe.layer) == ("prompteol", "last_token", -1)


def test_public_host_trains_projections_only_by_default(lab, tmp_path):
    assert offered_efforts(Settings(engine="fake")) == ("projection", "lora_quick", "lora")
    assert offered_efforts(Settings(engine="fake", public=True)) == ("projection",)
    assert offered_efforts(Settings(engine="fake", public=True, train_lora=True))[1:] == ("lora_quick", "lora")
    public = Lab(Settings(engine="fake", public=True, cache_dir=tmp_path), FakeEngine())
    public.open(MODEL)
    page = open_page(public)
    assert [value for _, value in page.handlers.widgets.effort.choices] == ["projection"]
    answer = page.run(effort="lora")  # asked for past the page
    assert "a linear map only" in answer["view"]["note"]
    assert page.state.job is None
    assert page.complete()["view"]["state"] == "ready"
    assert send(page, "keep")["model"]["value"].startswith("trained:")


def test_zerogpu_host_trains_nothing(tmp_path):
    page = open_page(Lab(Settings(engine="zerogpu", cache_dir=tmp_path), FakeEngine()))
    answer = page.run()
    assert "lent for a call at a time" in answer["view"]["note"]
    assert page.state.job is None


@pytest.mark.parametrize("nonsense", ["", None, "<b>", "lora_slow"])
def test_unknown_effort_starts_nothing(page, nonsense):
    answer = page.run(effort=nonsense)
    assert answer["view"]["state"] == "error"
    assert page.state.job is None


# ---- files --------------------------------------------------------------------------------------------------------


def test_uploaded_pairs_are_learned(page):
    note = drop(page, PAIRS, f"{NASTY.replace('/', '')}.jsonl")
    assert "pairs 40, with a negative 0" in note
    assert "<img" not in note
    done = page.complete(source="file")
    assert done["view"]["state"] == "ready"
    assert [one.name for one in page.state.run.settings.sets] == [NASTY.replace("/", "")]
    assert len(page.state.run.held_out) == 4


def test_a_file_that_cannot_be_learned_says_why(page):
    note = drop(page, "question,answer\n1,\n", "a.csv")
    assert 'role="alert"' in note
    assert "no question or no answer" in note
    assert page.run(source="file")["view"]["state"] == "error"
    assert page.state.job is None


def test_of_a_large_file_a_part_is_taken_as_one_chooses(page):
    content = "question,answer\n" + "".join(f"q{i},a{i}\n" for i in range(5003))
    assert "Of 5,003 questions 5,000 are taken, the first ones." in drop(page, content, "large.csv")
    assert "drawn at random" in drop(page, content, "large.csv", drawn=True)


def test_training_on_typed_texts_warns(page):
    answer = page.tick()
    assert 'class="caution"' in answer["source_note"]
    assert "learned by heart" in answer["source_note"]


# ---- words and figures --------------------------------------------------------------------------------------------


def test_formula_shows_the_numbers_of_a_row():
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


def test_figures_have_alt_text_and_table(page):
    drop(page, PAIRS.replace("what is 3", NASTY + "3"))
    page.complete(source="file")
    state = page.state
    for language in ("en", "ko"):
        state.drawn.clear()
        figures = [*state.figures(language, "live"), *state.figures(language, "held")]
        assert len(figures) == 5
        for figure in figures:
            assert figure["alt"]
            assert figure["table"]["rows"]
            assert all(len(row) == len(figure["table"]["head"]) for row in figure["table"]["rows"])
            assert language == "en" or re.search("[가-힣]", figure["title"] + figure["alt"])


def test_efforts_have_names_in_both_languages():
    for texts in LOCALES.values():
        assert all(f"label.train_effort_{name}" in texts and f"train.effort.{name}" in texts for name in EFFORTS)
