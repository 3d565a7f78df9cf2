"""Large sets: the study over the fake engine, and its files to take home."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Pairing
from demo.domain.errors import ReadingRefused, Stopped, TooManyTexts
from demo.export.vectors import write_npz, write_similarity
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.settings import Settings
from demo.studies import large
from demo.wording.translate import translate_error
from tests.waiting import eventually

MODEL = "smollm2-135m-instruct"
READING = {"prompt": "plain", "pooling": "mean", "layer": 30}


def make(n_questions: int, n_answers: int | None = None) -> Pairing:
    """The i-th answer shares its word with the i-th question."""
    n_answers = n_questions if n_answers is None else n_answers
    words = [f"{i * 7919 % 9973:04d}" * 3 for i in range(max(n_questions, n_answers))]
    questions = tuple(f"Where is {word}?" for word in words[:n_questions])
    answers = tuple(f"{word} is over there." for word in words[:n_answers])
    return Pairing(questions, answers, frozenset((i, i) for i in range(min(n_questions, n_answers))))


def new_lab(**options) -> Lab:
    lab = Lab(Settings(engine="fake", model=MODEL, **options), FakeEngine())
    lab.open(MODEL)
    return lab


@pytest.fixture(scope="module")
def lab() -> Lab:
    return new_lab()


@pytest.fixture(scope="module")
def found(lab):
    return lab.compare_large(make(150, 140), **READING)


# ---- the study ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", [{}, {"postprocess": "zscore"}, {"pooling": "last_token", "prompt": "echo"}])
def test_it_equals_the_heatmap_of_the_same_texts(lab, reading):
    pairing = make(90, 70)
    found = lab.compare_large(pairing, **reading)
    expected = lab.compare(pairing.questions, pairing.answers, **reading)
    np.testing.assert_allclose(found.similarity, expected.similarity, atol=1e-6)
    assert found.metrics == expected.metrics
    assert (found.reading, found.notices) == (expected.reading, expected.notices)
    assert found.scores.auc.value == pytest.approx(expected.metrics.auc)
    assert found.margin.low <= found.margin.value == pytest.approx(expected.metrics.margin)
    assert np.count_nonzero(found.ranks == 1) == expected.metrics.found_first


def test_parts_come_early_grow_fourfold_and_are_the_corner_of_the_whole(lab):
    parts, told = [], []
    pairing = make(600, 500)
    found = lab.compare_large(pairing, on_progress=told.append, on_part=parts.append, **READING)
    assert [part.shape for part in parts] == [(64, 64), (128, 128), (256, 256), (576, 500)]
    for part in parts:
        np.testing.assert_allclose(part, found.similarity[: part.shape[0], : part.shape[1]], atol=1e-6)
    shares = [progress.fraction for progress in told if progress.stage == "embedding"]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (64 / 1100, 1.0)
    assert told[-1].stage == "scoring"


def test_texts_come_in_turns_as_far_along_on_both_sides():
    turns = list(large._turns(200, 70))
    assert [role.value[0] for role, _ in turns] == list("qaqqaq"), "200 questions and 70 answers"
    assert [start for _, start in turns] == [0, 0, 64, 128, 64, 192]
    assert len(list(large._turns(1, 1))) == 2


def test_it_stops_between_chunks():
    engine = FakeEngine()
    lab = Lab(Settings(engine="fake"), engine)

    def stop(progress):
        if (progress.fraction or 0) > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        lab.compare_large(make(300), on_progress=stop, **READING)
    assert engine.embedded_texts == 192, "the third chunk was the last one"


def test_other_people_get_in_between():
    """A heatmap that is asked for meanwhile does not wait for the large set."""
    engine = FakeEngine(seconds_per_text=0.002)
    lab = Lab(Settings(engine="fake", model=MODEL), engine)
    lab.open(MODEL)
    job = JobQueue().submit(lambda report: lab.compare_large(make(400), on_progress=report, **READING))
    eventually(lambda: job.progress.stage == "embedding")
    lab.compare(["a question"], ["an answer"], model=MODEL)
    assert not job.done.is_set()
    job.stop()
    assert job.done.wait(10)


def test_limits_of_the_lab(lab, monkeypatch):
    with pytest.raises(TooManyTexts, match="3 answers"):
        new_lab(max_file_texts=2).compare_large(make(2, 3))
    monkeypatch.setattr(large, "_MOST_NUMBERS", 96 * 20)
    with pytest.raises(ReadingRefused, match="At most 20 texts are accepted under this reading; last_token") as caught:
        lab.compare_large(make(15), pooling="last_token_logits")
    assert caught.value.instead == "last_token"
    assert "글 30개" in translate_error("ko", caught.value)
    lab.compare_large(make(10), pooling="mean")
    with pytest.raises(ReadingRefused, match="At most 5 texts"):
        lab.compare_large(make(10), pooling="mean", postprocess="center")


def test_one_pair_alone_and_nothing_that_belongs_together(lab):
    one = lab.compare_large(make(1))
    assert (one.similarity.shape, one.metrics.auc, one.margin) == ((1, 1), None, None)
    unknown = lab.compare_large(replace(make(5), matches=frozenset()))
    assert (unknown.scores.auc, unknown.scores.mrr, unknown.ranks.tolist()) == (None, None, [0] * 5)


# ---- files to take home ---------------------------------------------------------------------------------------------


def test_no_cell_of_the_csv_is_a_formula(lab, tmp_path):
    nasty = ("=1+1", "+1", "-1", "@x", "한국어, “quoted”\nand two lines", "'kept")
    pairing = Pairing(nasty, (*nasty[:2], "plain"), frozenset({(0, 0)}))
    found = lab.compare_large(pairing)
    write_similarity(found, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:5] == ["", "'=1+1", "'+1", "plain", "right answers"]
    assert [row[0] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", *nasty[4:]]
    np.testing.assert_allclose(np.array([row[1:4] for row in rows], dtype=float), found.similarity, atol=1e-6)


def test_the_embeddings_come_with_all_that_made_them(found, tmp_path):
    write_npz(found, tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz") as loaded:  # no pickle
        metadata = json.loads(str(loaded["metadata"]))
        np.testing.assert_array_equal(loaded["questions"], found.question_vectors)
        assert loaded["answers"].shape == (140, 96)
        assert loaded["answers"].dtype == np.float32
    assert metadata["reading"] == found.reading.to_dict()
    assert {"model", "revision", "precision", "device", "versions"} <= set(metadata)
    assert metadata["questions"] == list(found.pairing.questions)
    assert metadata["matches"][1] == [1, 1]
