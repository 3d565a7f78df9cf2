"""A training run as the lab gives it: what is held out, what is seen of it, and what becomes of it. No weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Postprocess, Reference
from demo.domain.errors import BadInput, ModelNotAllowed, ModelNotFound
from demo.domain.recipe import Method, Pair, Recipe, TrainingSet
from demo.export.model_card import render_card
from demo.lab import Lab
from demo.settings import Settings
from demo.studies.training import TrainingRun, name_kept, split_held_out

PAIRS = tuple(Pair(f"What is thing{i}?", f"Thing{i} is alpha {i * 7}", f"thing{i} is not") for i in range(60))
SET = TrainingSet("things", PAIRS)
QUESTIONS, ANSWERS = "What is thing1?\nWhat is zebra?", "Thing1 is alpha\nThe zebra is an animal"


@pytest.fixture
def lab(tmp_path):
    return Lab(Settings(cache_dir=tmp_path / "cache", public=False), FakeEngine())


def start(lab, sets=(SET,), **more) -> TrainingRun:
    more = {"prompt": "plain", "pooling": "last_token", "how": {"steps": 6, "batch_size": 8}, **more}
    return lab.train(list(sets), QUESTIONS, ANSWERS, **more)


def test_held_out_texts_are_trained_on_nowhere():
    other = TrainingSet("others", (*PAIRS[:5], Pair("x", "y"), Pair("z", "w")), 0.5)
    left, held = split_held_out([SET, other], seed=3)
    assert len(held) == 6
    texts = {text for pair in held for text in (pair.question, pair.answer)}
    assert not texts & {text for one in left for pair in one.pairs for text in (pair.question, pair.answer)}
    assert [one.weight for one in left] == [1.0, 0.5]
    assert split_held_out([SET, other], seed=3) == (left, held)
    assert split_held_out([SET, other], seed=4)[1] != held


def test_a_handful_is_trained_on_whole():
    few = TrainingSet("few", PAIRS[:9])
    assert split_held_out([few]) == ([few], [])


def test_held_out_right_answers_of_one_question_are_never_counted_as_wrong(lab):
    several = TrainingSet("several", tuple(Pair(f"What is thing{i % 8}?", f"Thing{i} is alpha {i}") for i in range(60)))
    run = start(lab, [several])
    questions = [pair.question for pair in run.held_out]
    same = sum(one == other for one in questions for other in questions)
    held = run.evaluate().held_out
    assert (len(held.matched), len(held.mismatched)) == (same, len(questions) ** 2 - same)
    assert same > len(questions), "else this tests nothing"
    one = TrainingSet("one", tuple(Pair("What is it?", f"Thing{i} is alpha {i}") for i in range(60)))
    assert split_held_out([one]) == ([one], []), "nothing would be left to train on"


def test_every_step_is_reported_and_the_margin_grows(lab):
    run = start(lab)
    events = list(run.events(look_seconds=0))
    assert [event.step.step if event.step else 0 for event in events] == list(range(7))
    looks = [event.snapshot for event in events]
    assert looks[0].step == 0
    assert looks[-1].metrics.margin > looks[0].metrics.margin
    held = looks[-1].held_out
    assert (len(held.matched), len(held.mismatched), held.points.shape) == (6, 30, (12, 2))
    assert run.last_snapshot is looks[-1]
    assert looks[0].similarity.shape == (2, 2)
    similarity = lab.compare(QUESTIONS, ANSWERS, prompt="plain", pooling="last_token").similarity
    np.testing.assert_allclose(looks[0].similarity, similarity, atol=1e-5)


def test_evaluation_follows_the_clock_and_always_the_last_step(lab):
    events = list(start(lab).events(look_seconds=1e9))
    assert [event.snapshot is not None for event in events] == [True, *[False] * 5, True]


def test_points_are_rotated_onto_those_of_the_last_evaluation(lab):
    looks = [event.snapshot for event in start(lab).events(look_seconds=0)]
    points = [look.held_out.points for look in looks if look.held_out]
    assert len(points) > 1
    for before, after in zip(points, points[1:], strict=False):
        assert (before * after).sum() > 0.5 * np.linalg.norm(before) * np.linalg.norm(after)


def test_what_is_kept_can_be_chosen_and_is_read_as_it_was_trained(lab):
    run = start(lab, postprocess="zscore", reference="corpus", model="smollm2-135m-instruct")
    for event in run.events():
        if event.step and event.step.step == 3:
            break
    model = run.keep()
    info = lab.open(model)
    assert info.name.endswith("trained 3 steps")
    reading = info.default_reading
    assert (reading.model, reading.postprocess, reading.reference) == (model, Postprocess.ZSCORE, Reference.CORPUS)
    assert run.recipe.reading.postprocess is Postprocess.NONE
    assert lab.compare("a", "b", model=model).reading == reading


def test_a_named_model_is_listed_and_stays(lab, monkeypatch):
    monkeypatch.setattr("demo.studies.training._MOST_KEPT", 1)
    run = start(lab)
    model = run.keep()
    assert model not in {status.model for status in lab.models()}
    name_kept(lab, model, "Mine, 질문", run.info.model)
    for _ in range(3):
        run.keep()
    status = lab.status(model)
    assert (status.name, status.state) == ("Mine, 질문", "available")
    assert status.n_layers == lab.open(model).n_layers
    assert lab.status(model).state == "loaded"
    public = Lab(lab.settings.model_copy(update={"public": True}), lab.engine)
    assert public.status(model) is None, "strangers see no models of others"


def test_only_so_many_are_kept_on_disk(lab, monkeypatch):
    monkeypatch.setattr("demo.studies.training._MOST_KEPT", 2)
    run = start(lab)
    for _ in range(3):
        run.keep()
    assert len(list((lab.settings.cache_dir / "trained").iterdir())) == 2


def test_on_a_public_host_only_what_was_trained_here_may_be_named(tmp_path):
    lab = Lab(Settings(cache_dir=tmp_path, public=True), FakeEngine())
    with pytest.raises(ModelNotAllowed):
        lab.open("owner/name")
    with pytest.raises(ModelNotFound):
        lab.open("trained:../../secret")


@pytest.mark.parametrize("sets", [[], [TrainingSet("x", PAIRS[:1])]])
def test_training_without_pairs_is_refused(lab, sets):
    with pytest.raises(BadInput, match="no pairs to train on"):
        start(lab, sets)


def test_with_a_guide_a_batch_is_of_one_topic_and_no_pair_is_lost(lab):
    seen = {}

    def train(recipe, pairs, sources, guide):
        seen.update(pairs=pairs, sources=sources, guide=guide)
        return FakeEngine.train(lab.engine, recipe, pairs, sources, guide)

    lab.engine.train = train
    run = start(lab, how={"steps": 2, "batch_size": 8, "guide": "all-minilm-l6-v2"})
    assert len(seen["sources"]) > 1
    assert sum(count for count, _ in seen["sources"]) == len(seen["pairs"]) == sum(len(one.pairs) for one in run.sets)
    drawn = sum(weight * count**0.5 for count, weight in seen["sources"])
    assert drawn == pytest.approx(len(seen["pairs"]) ** 0.5), "a set is drawn from as often as if it were whole"
    expected = lab.embed(["a text"], model="all-minilm-l6-v2")
    np.testing.assert_array_equal(seen["guide"](["a text"]), expected)


def test_a_card_names_data_licences_settings_scores_and_versions(lab):
    run = start(lab)
    list(run.events())
    card = render_card(run.describe({"held_out_auc": 0.9}), {"things": "CC0"})
    for part in ("| things | 54 | 1 | CC0 |", "held out auc: 0.900", "6 steps of 8 pairs", "LoRA of rank 16", "torch"):
        assert part in card
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card
    recipe = replace(run.recipe, method=Method.PROJECTION, guide="all-minilm-l6-v2", guide_weight=0.8)
    card = render_card(run.describe() | {"recipe": recipe.to_dict()}, {})
    assert "one linear map" in card
    assert "80% of the loss are\n  the cosines of all-minilm-l6-v2" in card
    assert "not stated" in card


def test_a_recipe_is_json():
    lab_reading = Recipe(reading=Lab(engine=FakeEngine()).reading())
    assert json.loads(json.dumps(lab_reading.to_dict()))["method"] == "lora"


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.setenv("DEMO_ENGINE", "fake")
    monkeypatch.setenv("DEMO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "faq.jsonl").write_text(
        "\n".join(json.dumps({"question": pair.question, "answer": pair.answer}) for pair in PAIRS)
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0):
        result = CliRunner().invoke(app, ["train", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


def test_the_command_writes_an_adapter_with_a_card(command, tmp_path):
    told = command("--pairs", "faq.jsonl:0.5", "--licence", "mine", "--steps", "30", "--out", "made", "--json")
    info = json.loads(told.stdout)
    assert info["data"] == [{"name": "faq", "pairs": 54, "weight": 0.5}]
    assert info["steps"] == 30
    assert info["scores"]["held_out_auc"] is not None
    assert json.loads((tmp_path / "made" / "training.json").read_text()) == info
    assert "| faq | 54 | 0.5 | mine |" in (tmp_path / "made" / "README.md").read_text()
    assert not (tmp_path / "made" / "state").exists()


def test_the_command_goes_on_where_it_was_broken_off(command, tmp_path, monkeypatch):
    from demo.backend.fake import FakeTraining

    steps = FakeTraining.steps

    def broken(self):
        for step in steps(self):
            yield step
            if step.step == 26:
                raise KeyboardInterrupt

    monkeypatch.setattr(FakeTraining, "steps", broken)
    command("--pairs", "faq.jsonl", "--steps", "30", "--out", "made", code=130)
    assert (tmp_path / "made" / "state" / "state.json").is_file()
    monkeypatch.setattr(FakeTraining, "steps", steps)
    assert "Goes on after step 25 of 30" in command("--pairs", "faq.jsonl", "--steps", "30", "--out", "made").output
    assert json.loads((tmp_path / "made" / "training.json").read_text())["steps"] == 30


def test_a_full_folder_and_a_bad_weight_are_refused(command, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    command("--pairs", "faq.jsonl", "--out", "full", code=2)
    command("--pairs", "faq.jsonl:-1", "--out", "new", code=2)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
