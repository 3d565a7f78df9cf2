"""Recommend: a planted reading is found in few passes and in time, and no more is claimed than held-out texts show."""

from __future__ import annotations

import numpy as np
import pytest

from demo.analysis.labelled_sets import cut_candidates, resampling_units
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Pooling, Postprocess, Progress, Prompt, Reading
from demo.domain.errors import BadInput, ModelNotFound, NotFinite, Stopped, WeightsUnavailable
from demo.domain.results import LabelledSet, Recommendation
from demo.lab import Lab
from demo.settings import Settings
from demo.studies import recommend, survey
from demo.studies.arms import confirm_best, find_front, surely_behind
from demo.wording.recommendation import describe_recommendation
from demo.wording.translate import translate_phrase
from tests.planted import MODELS, PLANTED, Clock, Planted, pairs


def lab_of(engine: FakeEngine) -> Lab:
    return Lab(Settings(engine="fake"), engine)


@pytest.fixture(scope="module")
def planted() -> tuple[Planted, Recommendation, list[Progress]]:
    engine, seen = Planted(clock=Clock(), pace=0.01), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "_CHARACTERS_AT_ONCE", 10**6)  # each survey is one pass
        found = lab_of(engine).recommend(labelled=pairs(64), models=MODELS, on_progress=seen.append, clock=engine.clock)
    return engine, found, seen


def test_a_planted_reading_is_recommended_and_carried_by_the_held_out_questions(planted):
    engine, found, _ = planted
    assert (found.best.model, found.best.pooling) == (PLANTED[0], PLANTED[2])
    assert found.best.prompt in (Prompt.PROMPTEOL, Prompt.TOKEN_PREPENDING, Prompt.PROMPTEOL_EXAMPLE, Prompt.KNOWLEDGE)
    assert (found.held_out, found.chosen_on, found.verdict) == (32, 32, "carried")
    assert found.rows[0].reading == found.best
    assert found.rows[0].scores.n_questions == 32
    assert found.other.reading.model == MODELS[0]
    assert found.leads[found.other.reading].difference.low > 0
    said = describe_recommendation("en", found)
    assert said.startswith("SmolLM2-135M-Instruct · ")
    assert " finds 32 of 32; all-MiniLM-L6-v2 · " in said
    assert "the first is better on 32 questions that chose nothing: AUC +." in said
    assert "고르는 데 쓰지 않은 질문 32개에서도 앞의 것이 나아요" in describe_recommendation("ko", found)


def test_losers_leave_early(planted):
    engine, found, _ = planted
    assert found.n_tried == found.n_possible == 16
    assert engine.surveys[:28] == [16] * 16 + [32] * 8 + [64] * 4, "all on eight questions, half of them on sixteen …"
    readings = "the best of either model, and one model's own, on the held-out part"
    assert len(engine.surveys) <= 28 + 1 + 3 * 2, readings


def test_progress_grows_and_says_how_many_seconds_are_left(planted):
    _, found, seen = planted
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    assert all(0 <= progress.seconds_left <= found.budget for progress in seen)
    assert seen[-1].seconds_left < found.seconds / 4


def test_each_models_best_so_far_is_shown_on_the_way():
    shown = []
    found = lab_of(Planted()).recommend(labelled=pairs(32), models=MODELS, on_part=shown.append)
    assert [candidate.reading.model for candidate in shown[0]] == MODELS[:1]
    assert {candidate.model for candidate in shown[-1]} == {row.provenance["model"] for row in found.rows}
    assert [candidate.chosen_on for part in shown for candidate in part][::100] == [8]
    assert {candidate.reading: candidate.figure for candidate in shown[-1]} == found.chosen
    assert shown[-1][0].reading == found.best
    assert shown[-1][0].chosen_on == found.chosen_on == 16


def test_the_sure_front_goes_from_the_cheapest_to_what_is_surely_better(planted):
    _, found, _ = planted
    assert found.front[-1] == found.best, "surely better, whatever it costs"
    assert len(found.front) <= 2
    held = pairs(30)
    truth = np.asarray(held.labels)
    noise = np.random.default_rng(0).normal(size=(2, len(truth)))
    cheap, same, dear = (Reading("m", postprocess=method) for method in list(Postprocess)[:3])
    cosines = {dear: truth + 0.1 * noise[0], cheap: noise[0], same: noise[0] + 1e-3 * noise[1]}
    assert find_front(cosines, {cheap: 0.1, same: 0.2, dear: 0.3}, held) == (cheap, dear)
    assert find_front(cosines, {cheap: 0.3, same: 0.2, dear: 0.1}, held) == (dear,)
    assert find_front(cosines, {same: 0.2}, held) == (same,)
    assert lab_of(Planted()).recommend(labelled=pairs(6), models=MODELS).front == (), "nothing tested it"


def test_its_figures_are_those_of_the_readings_on_the_held_out_part_alone(planted):
    engine, found, _ = planted
    again = lab_of(engine)
    assert found.leads[found.other.reading].b == pytest.approx(found.rows[0].scores.auc.value)
    assert {row.reading for row in found.rows} == {*found.chosen, again.open(PLANTED[0]).default_reading}
    behind = next(reading for reading in found.chosen if reading.model != PLANTED[0])
    assert found.leads[behind].difference.low > 0, "so its model's own reading was not scored"
    json = found.to_dict()
    assert json["verdict"] == "carried"
    assert json["readings"][0]["provenance"]["revision"]
    assert json["readings"][0]["role"] == "best"
    assert [row["on_front"] for row in json["readings"]] == [row.reading in found.front for row in found.rows]
    assert json["readings"][-1]["role"] == "default"
    assert all(row.texts_per_second == pytest.approx(100) for row in found.rows)


@pytest.mark.parametrize("seconds", [6.0, 20.0, 60.0])
def test_the_budget_is_kept_and_what_it_left_out_is_said(seconds):
    engine = Planted(clock=Clock(), pace=0.1)
    found = lab_of(engine).recommend(labelled=pairs(64), models=MODELS, seconds=seconds, clock=engine.clock)
    assert engine.clock.now - 100.0 == pytest.approx(found.seconds)
    assert found.seconds <= 1.1 * seconds
    if seconds < 60:
        assert any(notice.startswith("Combinations of model and prompt") for notice in found.notices)
    for notice in found.notices:
        assert translate_phrase("ko", notice) != notice


def test_a_first_model_that_loads_slowly_is_waited_for_and_the_others_are_left_out():
    engine = Planted(clock=Clock(), pace=0.01)
    load = engine.load

    def slowly(model, on_progress=None):
        engine.clock.now += 6.0 if model not in engine.loads else 0.0
        return load(model, on_progress)

    engine.load = slowly
    found = lab_of(engine).recommend(labelled=pairs(20), models=MODELS, seconds=10, clock=engine.clock)
    assert {row.reading.model for row in found.rows} == {MODELS[0]}
    assert f"Left out, because time was up before it was loaded: {MODELS[1]}." in found.notices
    assert found.seconds <= 11


def test_too_little_time_is_an_error_that_says_so():
    engine = Planted(clock=Clock(), pace=10.0)
    with pytest.raises(BadInput, match="In 1 seconds no reading could be measured. More seconds"):
        lab_of(engine).recommend(labelled=pairs(20), models=MODELS, seconds=1, clock=engine.clock)
    for wrong in (0, -1, float("nan"), float("inf"), "ten", True):
        with pytest.raises(BadInput, match="no number of seconds"):
            lab_of(engine).recommend(labelled=pairs(20), seconds=wrong)


def test_too_few_texts_are_no_recommendation():
    found = lab_of(Planted()).recommend(labelled=pairs(6), models=MODELS)
    assert (found.held_out, found.verdict, found.leads) == (0, "too_few", {})
    said = describe_recommendation("en", found)
    assert said.startswith("Too few texts for a recommendation: 6 questions chose")
    assert "finds" not in said
    assert describe_recommendation("ko", found).startswith("글이 적어 권할 수 없어요. 질문 6개")


def test_where_all_is_noise_nothing_is_called_better():
    found = lab_of(Planted(planted=None)).recommend(labelled=pairs(40), models=MODELS)
    assert found.verdict == "chance"
    assert "may be chance" in describe_recommendation("en", found)


def test_what_the_held_out_part_surely_speaks_for_is_recommended(monkeypatch):
    """The choice is turned about: a reading without meaning comes first."""
    choose = recommend.choose_best
    monkeypatch.setattr(recommend, "choose_best", lambda *found: dict(reversed(choose(*found).items())))
    found = lab_of(Planted()).recommend(labelled=pairs(64), models=MODELS)
    first = next(iter(found.chosen))
    assert (first.model, found.best.model, found.verdict) == (MODELS[0], PLANTED[0], "overturned")
    assert [row.reading for row in found.rows[:2]] == [found.best, first]
    assert found.other.reading == first
    assert found.leads[first].difference.low > 0
    assert found.best in found.front
    said = describe_recommendation("en", found)
    assert said.startswith("SmolLM2-135M-Instruct · ")
    assert "the second was chosen, but 32 questions that chose nothing surely speak for the first: AUC +." in said
    assert "앞의 것이 확실히 나아요" in describe_recommendation("ko", found)


def test_a_reading_gives_way_to_its_models_own_unless_it_is_better():
    held = pairs(30)
    truth = np.asarray(held.labels)
    noise = np.random.default_rng(0).normal(size=(3, len(truth)))
    own, chosen, other = (Reading("m", postprocess=method) for method in list(Postprocess)[:3])
    good, equal, poor = truth + noise[0], truth + noise[0] + 1e-3 * noise[1], noise[2]
    assert confirm_best({chosen: good, own: good}, chosen, own, held) == own, "as good"
    assert confirm_best({chosen: good, own: poor}, chosen, own, held) == chosen
    assert confirm_best({chosen: good}, chosen, own, held) == chosen, "its own was not scored"
    assert confirm_best({chosen: poor, own: poor, other: equal}, chosen, own, held) == other, "surely better"


def test_what_is_surely_behind_is_told_from_what_may_be_chance():
    held = pairs(30)
    truth = np.asarray(held.labels)
    noise = np.random.default_rng(0).normal(size=(3, len(truth)))
    first, near, far = (Reading("m", postprocess=method) for method in list(Postprocess)[:3])
    found = {far: noise[0], first: truth + 0.5 * noise[1], near: truth + 0.5 * noise[2]}
    assert surely_behind(found, held) == {far}
    assert surely_behind({first: truth}, held) == surely_behind({}, held) == set()


def test_a_single_model_is_compared_with_its_own_reading():
    found = lab_of(Planted()).recommend(labelled=pairs(40), models=MODELS[1:])
    assert found.other.reading == lab_of(Planted()).open(MODELS[1]).default_reading
    assert found.verdict == "carried"


def test_grades_are_ranked_by_spearman():
    whole = pairs(70)
    listed = tuple((i, (i + i % 4) % 70) for i in range(70))
    grades = tuple(5.0 - i % 4 * (1 + i % 3 / 10) for i in range(70))
    graded = LabelledSet("grades", whole.questions, whole.answers, listed, grades, graded=True)
    found = lab_of(Planted(noise=0.1)).recommend(labelled=graded, models=MODELS)
    assert (found.criterion, found.held_out, found.chosen_on) == ("spearman", 35, 35)
    assert "reaches a Spearman correlation of" in describe_recommendation("en", found)


def test_however_little_time_there_is_graded_pairs_are_scored_on_thirty_two():
    whole = pairs(140)
    grades = tuple(float(i % 5) for i in range(140))
    listed = tuple((i, (i + i % 5) % 140) for i in range(140))
    graded = LabelledSet("grades", whole.questions, whole.answers, listed, grades, graded=True)
    engine = Planted(clock=Clock(), pace=0.1)
    found = lab_of(engine).recommend(labelled=graded, models=MODELS[:1], seconds=20, clock=engine.clock)
    assert found.held_out == 35
    assert "Held-out questions or pairs that score, to end in time: 35 of 70." in found.notices


def test_models_that_cannot_be_had_are_left_out_unless_they_are_named():
    engine = Planted()
    engine.models = lambda: [
        s for s in FakeEngine.models(engine) if s.model in ("gpt2", *MODELS, "mistral-7b-instruct-v0.1")
    ]
    found = lab_of(engine).recommend(labelled=pairs(16))
    assert {row.reading.model for row in found.rows} == set(MODELS)
    assert any("GPT-2 could not be fetched" in notice for notice in found.notices)
    with pytest.raises(WeightsUnavailable):
        lab_of(engine).recommend(labelled=pairs(16), models=["gpt2"])
    with pytest.raises(ModelNotFound):
        lab_of(engine).recommend(labelled=pairs(16), models=["nonsense"])


def test_a_reading_that_fails_is_left_out_and_the_others_go_on():
    class Headless(Planted):
        def logits_of(self, model, states, layer):
            raise NotFinite(model=model, precision="float32", device="fake")

    found = lab_of(Headless()).recommend(labelled=pairs(32), models=MODELS)
    assert {row.reading.model for row in found.rows} == set(MODELS)
    assert all(row.reading.pooling is not Pooling.LAST_TOKEN_LOGITS for row in found.rows)
    assert any(notice.startswith("Left out: ") for notice in found.notices)


def test_of_a_large_set_some_held_out_questions_score(monkeypatch):
    monkeypatch.setattr("demo.studies.recommend._MOST_PAIRS", 100)
    found = lab_of(Planted()).recommend(labelled=pairs(40), models=MODELS[:1])
    assert found.held_out == 10
    assert found.rows[0].scores.n_pairs == 100
    assert "Held-out questions or pairs that score, to end in time: 10 of 20." in found.notices


def test_on_progress_may_stop_it_and_impossible_sets_are_refused():
    def stop(progress: Progress) -> None:
        raise Stopped()

    with pytest.raises(Stopped):
        lab_of(Planted()).recommend(labelled=pairs(16), on_progress=stop)
    with pytest.raises(BadInput, match="no wrong pair"):
        lab_of(Planted()).recommend("a", "a")


def test_candidates_are_cut_to_those_that_cost_little():
    dense = pairs(10)
    part = cut_candidates(dense, np.arange(4), 2)
    assert (len(part.questions), len(part.answers), len(part.pairs)) == (4, 4, 16)
    listed = tuple((i, 10 * i + j) for i in range(4) for j in range(10))
    answers = tuple(f"a{i}" for i in range(40))
    own = LabelledSet(
        "own", dense.questions[:4], answers, listed, tuple(float(j == 3) for _ in range(4) for j in range(10))
    )
    few, more = (cut_candidates(own, np.arange(count), 2) for count in (2, 4))
    assert (len(few.pairs), len(more.pairs)) == (6, 12)
    assert set(few.answers) < set(more.answers), "what has run is not run for nothing"
    assert sum(few.labels) == 2
    assert len(np.unique(resampling_units(few))) == 2


@pytest.mark.weights
def test_on_real_weights_the_trained_encoder_is_told_from_noise():
    sides = [
        ("What is a GPU?", "A processor for graphics."), ("Where is Paris?", "It is in France."),
        ("Who wrote Hamlet?", "The play is by Shakespeare."), ("What do cows eat?", "They live on grass."),
        ("When is Christmas?", "In late December."), ("What colour is snow?", "It is white."),
        ("What is H2O?", "That is water."), ("How many days has a week?", "There are seven."),
    ]  # fmt: skip
    questions = [q for q, _ in sides] + [q.replace("?", " exactly?") for q, _ in sides]
    answers = [a for _, a in sides] + [f"Well: {a}" for _, a in sides]
    matches = [[i + 1, j + 1] for i in range(16) for j in range(16) if i % 8 == j % 8]
    lab = Lab(device="cpu", disk_cache_mb=0)
    found = lab.recommend(questions, answers, matches, models=["all-minilm-l6-v2"], seconds=60)
    assert found.held_out == 8
    assert found.rows[0].scores.auc.value > 0.9
    assert found.rows[0].texts_per_second > 1
    compile(lab.code(found.best.model, **found.best.choices()), "reading.py", "exec")
