"""The sweep: each of its numbers is what the lab says of that reading, and its winner is doubted where it must be."""

from dataclasses import replace

import numpy as np
import pytest

from demo.analysis.labelled_sets import labelled_from_pairing
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Progress, Prompt, Reference
from demo.domain.errors import BadInput, ReadingRefused, Stopped, UnknownChoice
from demo.domain.results import LabelledSet
from demo.jobs.pace import Pace
from demo.lab import Lab
from demo.settings import Settings
from demo.stages.texts import parse_pairing
from demo.studies.survey import Survey
from demo.studies.sweep import find_winners, measure_reading, run_sweep
from demo.wording.translate import translate_phrase
from tests.conftest import TEXTS

QUESTIONS = [f"What does word{i} number{i * 7} mean?" for i in range(20)]
ANSWERS = [f"The word{i} number{i * 7} is a thing." for i in range(20)]


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake"), FakeEngine())


def test_every_number_equals_one_comparison_under_that_reading(settings, engine, tiny):
    """On a real architecture: the sweep's arithmetic equals one comparison a reading."""
    lab = Lab(settings, engine)
    texts = [f"{text} {i}" for i, text in enumerate(TEXTS[:7] * 3)]
    folder = str(tiny("llama"))
    found = lab.sweep(texts, texts[::-1], matches=[[i + 1, 21 - i] for i in range(21)], model=folder)
    assert found.prompts == tuple(prompt for prompt in Prompt if prompt not in (Prompt.OWN, Prompt.CUSTOM))
    assert found.postprocess == (Postprocess.NONE, Postprocess.CENTER, Postprocess.ZSCORE)
    chosen = [0, 4, LAST_LAYER]
    assert found.metrics["auc"].shape == (len(found.prompts), 7, 3, 5)
    rng = np.random.default_rng(0)
    whole = lab.sweep(texts[:6], texts[:6], model=folder, prompts=["plain", "echo"])  # nothing is held out of six
    assert whole.held_out == 0
    for _ in range(12):
        spot = [int(rng.integers(size)) for size in whole.metrics["auc"].shape]
        wanted = whole.reading_at(*spot)
        if wanted.pooling is Pooling.LAST_TOKEN_LOGITS and wanted.layer not in chosen[2:]:
            assert np.isnan(whole.metrics["auc"][tuple(spot)])
            continue
        said = lab.compare(texts[:6], texts[:6], model=folder, **_options(wanted))
        assert whole.metrics["auc"][tuple(spot)] == pytest.approx(said.metrics.auc, abs=2e-2)
        assert whole.metrics["margin"][tuple(spot)] == pytest.approx(said.metrics.margin, abs=1e-5)


def test_a_part_is_the_sweep_of_the_prompts_that_are_done(lab):
    parts = []
    found = lab.sweep(QUESTIONS, ANSWERS, prompts=["plain", "echo", "prompteol"], on_part=parts.append)
    assert len(parts) == 2, "the last prompt's is the whole"
    for count, part in enumerate(parts, 1):
        for name, values in part.metrics.items():
            assert np.array_equal(values[:count], found.metrics[name][:count], equal_nan=True)
            assert np.isnan(values[count:]).all()
        assert part.ranked()[0][1] == pytest.approx(dict(part.ranked())[part.best], abs=1e-6)
        assert part.n_readings * 3 == found.n_readings * count
        assert part.scores == {}, "what is held out scores the whole alone"


def test_what_a_model_cannot_be_given_is_left_out_and_said(lab):
    found = lab.sweep(QUESTIONS, ANSWERS, model="all-minilm-l6-v2")
    assert Prompt.TOKEN_PREPENDING not in found.prompts
    said = "Left out, because all-MiniLM-L6-v2 cannot be given them: chat, own, token_prepending."
    assert said in found.notices
    assert "뺀 프롬프트" in translate_phrase("ko", said)
    with pytest.raises(ReadingRefused, match="no EOS token"):
        lab.sweep(QUESTIONS, ANSWERS, model="all-minilm-l6-v2", eos=True)


def _options(reading):
    return {
        "prompt": reading.prompt.value,
        "pooling": reading.pooling.value,
        "layer": reading.layer,
        "postprocess": reading.postprocess.value,
        "eos": reading.eos,
    }


@pytest.mark.parametrize("graded", [False, True])
def test_a_survey_gives_the_cosines_of_one_reading_at_a_time(settings, engine, tiny, graded):
    """All cells by one product, and a few pairs one by one: what `measure_reading` says of each reading."""
    lab = Lab(settings, engine)
    labelled = labelled_from_pairing(parse_pairing(TEXTS[1:7], TEXTS[1:7][::-1]))
    if graded:
        labelled = replace(labelled, pairs=((0, 1), (4, 2)), labels=(1.0, 3.0), graded=True)
    reading = lab.reading(str(tiny("llama")), "echo", "mean", 2)
    poolings = (Pooling.LAST_TOKEN_LOGITS, Pooling.MEAN, Pooling.LAST_TOKEN)
    survey = Survey(lab, labelled, reading, poolings)
    for pooling in poolings:
        found = survey.cosines(pooling, 2, list(Postprocess))
        for cosines, method in zip(found, Postprocess, strict=True):
            expected = measure_reading(lab, labelled, replace(reading, pooling=pooling, postprocess=method))
            np.testing.assert_allclose(cosines, expected, atol=2e-5)


def test_among_equals_the_one_that_is_good_at_other_layers_wins_then_the_margin():
    auc, margin = np.full((2, 1, 2, 3), 0.5), np.zeros((2, 1, 2, 3))
    auc[0, 0, 0] = [1.0, 0.5, np.nan]
    auc[1, 0, 1] = [0.5, 1.0, 1.0]
    margin[1, 0, 1] = [0.0, 0.1, 0.2]
    assert find_winners({"auc": auc, "margin": margin}, "auc") == ((1, 0, 1, 2), (0, 0, 0, 0))
    auc[1, 0, 0], auc[0, 0, 1] = np.nan, np.nan
    assert find_winners({"auc": auc[:1, :, :1]}, "auc") == ((0, 0, 0, 0), None)


def test_the_winner_is_scored_on_questions_that_did_not_choose_it(lab):
    found = lab.sweep(QUESTIONS, ANSWERS, prompts=["plain", "prompteol"])
    assert (found.chosen_on, found.held_out) == (10, 10)
    assert found.scores[found.best].n_questions == 10
    best = np.nanmax(found.metrics["auc"])
    assert found.ranked()[0][1] == pytest.approx(best)
    assert found.n_readings == np.isfinite(found.metrics["auc"]).sum() == len(found.ranked())
    assert found.best != found.runner_up
    same = (found.best.prompt, found.best.pooling, found.best.postprocess)
    assert same != (found.runner_up.prompt, found.runner_up.pooling, found.runner_up.postprocess)
    assert found.default in found.scores


def test_notices_warn_of_too_few_texts(lab):
    found = lab.sweep("a\nb", "a thing\nb thing", prompts=["plain"])
    assert found.held_out == 0
    assert any("picked on the very texts" in notice for notice in found.notices)
    assert found.postprocess == (Postprocess.NONE,)
    assert any("too few to fit them on: center, zscore" in notice for notice in found.notices)


def test_the_corpus_fits_what_four_texts_cannot(lab):
    found = lab.sweep("a\nb", "a thing\nb thing", prompts=["plain"], reference="corpus")
    assert Postprocess.WHITENING in found.postprocess
    spot = (0, 1, found.postprocess.index(Postprocess.ZSCORE), 3)
    assert found.reading_at(*spot).reference is Reference.CORPUS
    assert found.reading_at(0, 1, 0, 3).reference is Reference.TEXTS


def test_a_graded_set_is_ranked_by_spearman(lab):
    texts = tuple(QUESTIONS)
    grades = tuple(float(i % 6) for i in range(20))
    labelled = LabelledSet("grades", texts, tuple(ANSWERS), tuple((i, i) for i in range(20)), grades, graded=True)
    found = lab.sweep(labelled=labelled, prompts=["plain"])
    assert found.criterion == "spearman"
    assert set(found.metrics) == {"spearman"}
    assert found.scores[found.best].spearman is not None
    assert found.scores[found.best].auc is None


def test_progress_grows_to_one_and_its_callback_may_stop_the_sweep(lab):
    seen = []
    lab.sweep("a\nb", "a thing\nb thing", on_progress=seen.append, prompts=["plain", "echo"])
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert seen[0].stage == "plain"

    def stop(progress: Progress) -> None:
        raise Stopped()

    with pytest.raises(Stopped):
        lab.sweep(QUESTIONS, ANSWERS, on_progress=stop)


def test_impossible_sweeps_are_refused(lab):
    with pytest.raises(UnknownChoice, match="nonsense"):
        lab.sweep("a\nb", "a\nb", prompts=["nonsense"])
    with pytest.raises(ReadingRefused, match="none of these prompts"):
        lab.sweep("a\nb", "a\nb", model="all-minilm-l6-v2", prompts=["chat"])
    with pytest.raises(BadInput, match="no wrong pair"):
        lab.sweep("a", "a", prompts=["plain"])
    with pytest.raises(TypeError, match="layers"):
        run_sweep(lab, LabelledSet("x", ("a",), ("b",), ((0, 0),), (1.0,)), layers=3)


def test_task_and_template_reach_the_reading(lab):
    found = lab.sweep("a\nb", "a thing\nb thing", prompts=["custom", "e5_instruct"], template="{text}!", task="Find it")
    assert found.reading_at(found.prompts.index(Prompt.CUSTOM), 1, 0, 1).template == "{text}!"
    assert found.reading_at(found.prompts.index(Prompt.E5_INSTRUCT), 1, 0, 1).task == "Find it"


def test_one_pass_a_text_and_prompt(settings, engine, tiny):
    lab = Lab(settings, engine)
    lab.open(str(tiny("llama")))
    before = engine.counts().forward_passes
    lab.sweep(TEXTS[1:4], TEXTS[4:7], model=str(tiny("llama")), prompts=["plain", "echo", "prompteol"])
    assert engine.counts().forward_passes - before <= 3 * 6 + 6, "three prompts, six texts, and the model's own reading"


class SlowEngine(FakeEngine):
    """Moves a clock by what passes take on a processor: a millisecond a character."""

    now = 0.0

    def survey(self, prompted, reading, poolings):
        self.now += 1e-3 * sum(len(text.rendered()) for text in prompted)
        return super().survey(prompted, reading, poolings)


def test_progress_follows_the_time_whatever_the_prompts_length():
    """Of prompts and texts of unequal length: a fifth of the time is about a fifth of the progress."""
    engine = SlowEngine()
    lab, pace, seen = Lab(Settings(engine="fake"), engine), Pace(lambda: engine.now), []
    questions = [text * (1 + 4 * (i % 5)) for i, text in enumerate(QUESTIONS)]
    report = lambda progress: seen.append((engine.now, pace(progress)))  # noqa: E731
    lab.sweep(questions, ANSWERS, prompts=["plain", "echo", "prompteol"], on_progress=report, clock=lambda: engine.now)
    fractions = [progress.fraction for _, progress in seen]
    assert fractions == sorted(fractions)
    whole = engine.now
    checked = [(now, progress) for now, progress in seen if 0.2 <= now / whole <= 0.9]
    assert len({progress.fraction for _, progress in checked}) >= 5, "a step is a small part of the whole"
    for now, progress in checked:
        assert 0.5 <= progress.seconds_left / (whole - now) <= 2.0


def test_a_sweep_that_is_stopped_ends_at_the_next_step():
    engine = SlowEngine()
    lab, stopped = Lab(Settings(engine="fake"), engine), []

    def report(progress):
        if progress.fraction > 0.3:
            stopped.append(engine.now)
            raise Stopped()

    with pytest.raises(Stopped):
        lab.sweep([text * 8 for text in QUESTIONS], ANSWERS, on_progress=report, clock=lambda: engine.now)
    assert engine.now == stopped[0], "no pass after it"
