"""Evaluation: metrics against numbers done by hand, scikit-learn and SciPy; intervals against resamples one by one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score, roc_auc_score

from demo.analysis.evaluation import pair_cosines, paired_bootstrap, quick_metrics, score, score_cells, word_overlap
from demo.analysis.labelled_sets import labelled_from_pairing, sample, split, subset
from demo.domain.datamodels import Pairing
from demo.domain.results import LabelledSet
from demo.stages.similarity import cos_sim, score_pairs


def right_and_wrong(*questions: str) -> LabelledSet:
    """Each question by its candidates' labels: "010" has its right answer in the middle. No answer is shared."""
    pairs, labels = [], []
    for question, candidates in enumerate(questions):
        for label in candidates:
            pairs.append((question, len(pairs)))
            labels.append(float(label))
    answers = tuple(f"answer {i}" for i in range(len(pairs)))
    return LabelledSet(
        "set", tuple(f"question {i}" for i in range(len(questions))), answers, tuple(pairs), tuple(labels)
    )


def grades(*labels: float) -> LabelledSet:
    texts = tuple(f"text {i}" for i in range(len(labels)))
    return LabelledSet("grades", texts, texts, tuple((i, i) for i in range(len(labels))), labels, graded=True)


def random_set(n_questions: int = 30, n_candidates: int = 6, seed: int = 0) -> tuple[LabelledSet, np.ndarray]:
    """One right answer each, and cosines that know a little of it, without ties."""
    labelled = right_and_wrong(*["1".ljust(n_candidates, "0")] * n_questions)
    noise = np.random.default_rng(seed).normal(size=len(labelled.labels))
    return labelled, np.tanh((noise + np.asarray(labelled.labels)) / 3)


def test_cosines_of_the_listed_pairs_by_hand():
    """(3, 4) · (1, 0) = 3/5, (3, 4) · (0, 2) = 4/5, (1, 0) · (0, 2) = 0; a zero vector is like nothing."""
    labelled = LabelledSet("s", ("a", "b"), ("c", "d", "e"), ((1, 1), (0, 1), (0, 0), (0, 2)), (0, 1, 0, 0))
    cosines = pair_cosines(np.array([[3, 4], [1, 0]]), np.array([[1, 0], [0, 2], [0, 0]]), labelled)
    assert cosines.tolist() == [0, 0.8, 0.6, 0]
    assert cosines.dtype == np.float64


@pytest.mark.parametrize("scale", [1, 1e-8, 1e30])
def test_pair_cosines_equal_the_heatmaps(scale):
    """More questions than one block, short vectors below eps, and logits whose squares are no float32."""
    random = np.random.default_rng(0)
    questions, answers = (scale * random.normal(size=(n, 7)).astype(np.float32) for n in (150, 90))
    pairs = tuple((int(q), int(a)) for q, a in random.integers((150, 90), size=(400, 2)))
    labelled = LabelledSet("s", ("",) * 150, ("",) * 90, pairs, (1.0,) * 400)
    expected = [cos_sim(questions, answers)[pair] for pair in pairs]
    np.testing.assert_allclose(pair_cosines(questions, answers, labelled), expected, atol=1.1e-6)


def test_word_overlap_by_hand():
    """ "a b b" and "B c": 2·1 shared, lengths √5 and √2; case and punctuation do not matter."""
    labelled = LabelledSet("s", ("A b, b!", "?"), ("B c", "a B b", "!"), ((0, 0), (0, 1), (0, 2), (1, 2)), (0, 1, 0, 0))
    np.testing.assert_allclose(word_overlap(labelled), [2 / 10**0.5, 1, 0, 0], atol=1e-6)


def test_metrics_of_right_and_wrong_by_hand():
    """Ranks of the first right candidate: 1, 2 and 3. Of 3 × 5 comparisons .9 wins 5, .5 wins 2 and .1 none."""
    labelled = right_and_wrong("10", "010", "100")
    scores = score(np.array([0.9, 0.2, 0.7, 0.5, 0.3, 0.1, 0.8, 0.6]), labelled)
    assert scores.auc.value == pytest.approx(7 / 15)
    assert scores.top1.value == pytest.approx(1 / 3)
    assert scores.mrr.value == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert scores.ndcg10.value == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(4)) / 3)
    assert scores.spearman is None
    assert scores.headline is scores.auc
    assert (scores.n_pairs, scores.n_questions) == (8, 3)


def test_spearman_by_hand():
    """Ranks 1 2 3 4 against 1 2 4 3: 1 − 6·2 / (4·15) = .8."""
    scores = score(np.array([0.1, 0.2, 0.4, 0.3]), grades(0, 1, 2, 5))
    assert scores.spearman.value == pytest.approx(0.8)
    assert (scores.auc, scores.top1, scores.mrr, scores.ndcg10) == (None,) * 4
    assert (scores.n_pairs, scores.n_questions) == (4, 0)


def test_questions_without_a_right_or_a_wrong_candidate_have_no_ranking():
    scores = score(np.array([0.9, 0.1, 0.5, 0.6, 0.3]), right_and_wrong("10", "11", "0"))
    assert scores.n_questions == 1
    assert scores.top1.value == scores.mrr.value == scores.ndcg10.value == 1
    assert scores.auc.value == 1, "AUC counts all pairs: .9 .5 .6 above .1 .3"


def test_metrics_without_a_meaning_are_none():
    only_right = score(np.array([0.9, 0.1]), right_and_wrong("1", "1"))
    assert (only_right.auc, only_right.top1, only_right.mrr, only_right.ndcg10) == (None,) * 4
    assert score(np.array([0.9, 0.1]), grades(2, 2)).spearman is None
    assert paired_bootstrap(np.array([0.9, 0.1]), np.array([0.9, 0.1]), right_and_wrong("1", "1")) is None


def test_one_question_alone_leaves_everything_open():
    scores = score(np.array([0.9, 0.1]), right_and_wrong("10"))
    for interval in (scores.auc, scores.top1, scores.mrr, scores.ndcg10):
        assert (interval.value, interval.low, interval.high) == (1, 0, 1)
    assert paired_bootstrap(np.array([0.9, 0.1]), np.array([0.1, 0.9]), right_and_wrong("10")) is None


def test_equal_cosines_rank_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(np.full(6, 0.3), right_and_wrong("10", "01", "10")).auc.value == 0.5
        spearman = score(np.full(4, 0.3), grades(0, 1, 2, 5)).spearman
        assert (spearman.value, spearman.low, spearman.high) == (0, 0, 0)


def test_ties_are_broken_at_random_and_not_by_the_files_order():
    """A ranking of ties only, the right answer always first in the file: chance level is 1 of 4."""
    labelled = right_and_wrong(*["1000"] * 2000)
    top1 = score(np.zeros(8000), labelled, resamples=1).top1.value
    assert top1 == pytest.approx(0.25, abs=0.04)
    assert score(np.full(8000, 0.1) + 1e-9 * np.arange(8000)[::-1], labelled, resamples=1).top1.value == top1


def test_metrics_equal_scikit_learns_and_scipys():
    labelled, cosines = random_set(n_candidates=15)
    matrix, truth = cosines.reshape(30, 15), np.asarray(labelled.labels).reshape(30, 15)
    scores = score(cosines, labelled, resamples=2)
    assert scores.auc.value == pytest.approx(roc_auc_score(labelled.labels, cosines))
    assert scores.ndcg10.value == pytest.approx(ndcg_score(truth, matrix, k=10))
    ranks = 1 + (matrix > matrix[:, :1]).sum(axis=1)
    assert scores.top1.value == pytest.approx((ranks == 1).mean())
    assert scores.mrr.value == pytest.approx((1 / ranks).mean())


TENTHS = st.lists(st.tuples(st.integers(-10, 10), st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=25)


@given(TENTHS)
@settings(deadline=None)
def test_headlines_with_ties_equal_the_oracles(drawn):
    """Cosines in tenths, so that ties are common; score and quick_metrics say the same."""
    cosines = np.array([cosine for cosine, _, _ in drawn]) / 10
    question = tuple((group, i) for i, (_, _, group) in enumerate(drawn))
    texts = tuple(str(i) for i in range(max(5, len(drawn))))
    graded = LabelledSet("g", texts, texts, question, tuple(float(grade) for _, grade, _ in drawn), graded=True)
    binary = LabelledSet("b", texts, texts, question, tuple(float(grade > 1) for _, grade, _ in drawn))
    spearman, auc = score(cosines, graded, resamples=40).spearman, score(cosines, binary, resamples=40).auc
    quick = quick_metrics(cosines[None], graded)["spearman"][0], quick_metrics(cosines[None], binary)["auc"][0]
    if len(set(graded.labels)) < 2:
        assert spearman is None
        assert np.isnan(quick[0])
    else:
        expected = spearmanr(cosines, graded.labels).statistic if len(set(cosines)) > 1 else 0
        assert spearman.value == pytest.approx(expected, abs=1e-12)
        assert quick[0] == pytest.approx(expected, abs=1e-12)
    if len(set(binary.labels)) < 2:
        assert auc is None
        assert np.isnan(quick[1])
    else:
        expected = roc_auc_score(binary.labels, cosines)
        assert auc.value == pytest.approx(expected)
        assert quick[1] == pytest.approx(expected)


def one_by_one(figure, units: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The bootstrap as it is defined: the rows of the drawn units put together, then the figure of those rows."""
    names = np.unique(units)
    drawn = names[np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))]
    figures = [figure(np.concatenate([np.flatnonzero(units == name) for name in some])) for some in drawn]
    return np.percentile(figures, (2.5, 97.5))


def test_the_interval_equals_resampling_one_by_one():
    labelled, cosines = random_set(n_questions=20)
    cosines = np.round(cosines, 1)  # ties, as every question drawn twice brings
    units, labels = np.array(labelled.pairs)[:, 0], np.asarray(labelled.labels)
    slow = one_by_one(lambda rows: roc_auc_score(labels[rows], cosines[rows]), units, resamples=100, seed=7)
    interval = score(cosines, labelled, resamples=100, seed=7).auc
    np.testing.assert_allclose((interval.low, interval.high), slow)

    labels = np.random.default_rng(0).integers(0, 6, size=60).astype(float)
    cosines = np.round(labels / 10 + np.random.default_rng(1).normal(size=60) / 5, 1)
    slow = one_by_one(lambda rows: spearmanr(labels[rows], cosines[rows]).statistic, np.arange(60), 100, seed=7)
    interval = score(cosines, grades(*labels), resamples=100, seed=7).spearman
    np.testing.assert_allclose((interval.low, interval.high), slow)


def test_a_mean_of_zeros_and_ones_has_the_interval_of_a_binomial():
    """100 questions, half of them found: 2.5 % and 97.5 % of Binomial(100, ½) are .40 and .60."""
    labelled = right_and_wrong(*["10"] * 100)
    cosines = np.tile([0.9, 0.1, 0.1, 0.9], 50)
    top1 = score(cosines, labelled, resamples=4000).top1
    assert (top1.value, top1.low, top1.high) == pytest.approx((0.5, 0.4, 0.6), abs=0.011)


def test_nothing_leads_over_itself():
    labelled, cosines = random_set()
    lead = paired_bootstrap(cosines, cosines + 1e-9, labelled)
    assert (lead.difference.value, lead.difference.low, lead.difference.high) == (0, 0, 0)
    assert lead.a == lead.b == score(cosines, labelled).auc.value
    assert not lead.significant


def test_a_lead_is_b_minus_a_on_the_same_questions():
    labelled, cosines = random_set()
    better = cosines + 0.1 * np.asarray(labelled.labels)
    lead = paired_bootstrap(cosines, better, labelled)
    assert lead.figure == "auc"
    assert lead.difference.value == lead.b - lead.a > 0
    assert lead.difference.low <= lead.difference.value <= lead.difference.high
    assert lead.significant, "b is better in every resample, though the two intervals overlap"
    assert score(cosines, labelled).auc.high > score(better, labelled).auc.low
    back = paired_bootstrap(better, cosines, labelled)
    assert back.difference.value == -lead.difference.value
    assert back.difference.low == pytest.approx(-lead.difference.high)


def test_quick_metrics_of_many_readings_by_hand():
    """The margin of the first: .9 − (.2 + .4) / 2 = .6."""
    labelled = right_and_wrong("100")
    stack = np.array([[0.9, 0.2, 0.4], [0.3, 0.2, 0.4], [np.nan, 0.2, 0.4], [0.5, 0.5, 0.5]], dtype=np.float32)
    quick = quick_metrics(stack, labelled)
    np.testing.assert_allclose(quick["margin"], [0.6, 0, np.nan, 0], atol=1e-6)
    np.testing.assert_allclose(quick["auc"], [1, 0.5, np.nan, 0.5])


def test_quick_metrics_of_some_rows_are_those_of_the_subset():
    labelled, cosines = random_set()
    rows = np.arange(0, len(cosines), 7)
    mask = np.isin(np.arange(len(cosines)), rows)
    expected = score(cosines[rows], subset(labelled, rows), resamples=1).auc.value
    for chosen in (rows, mask):
        assert quick_metrics(cosines[None], labelled, chosen)["auc"] == pytest.approx(expected)


def test_quick_metrics_do_not_depend_on_their_block(monkeypatch):
    labelled = grades(*(float(i % 5) for i in range(40)))
    stack = np.random.default_rng(0).normal(size=(9, 40))
    stack[4, 3] = np.nan
    whole = quick_metrics(stack, labelled)["spearman"]
    monkeypatch.setattr("demo.analysis.evaluation._BLOCK", 100)
    np.testing.assert_array_equal(quick_metrics(stack, labelled)["spearman"], whole)
    assert np.isnan(whole).tolist() == [i == 4 for i in range(9)]


def test_halves_are_made_of_whole_questions_and_share_the_right_answers():
    labelled = right_and_wrong(*["10"] * 17, *["00"] * 6)
    chooses, scores = split(labelled)
    assert sorted([*chooses, *scores]) == list(range(46))
    question = np.array(labelled.pairs)[:, 0]
    assert not set(question[chooses]) & set(question[scores])
    right = np.asarray(labelled.labels)
    assert (right[chooses].sum(), right[scores].sum()) == (9, 8)
    np.testing.assert_array_equal(chooses, split(labelled)[0])
    assert set(chooses) != set(split(labelled, seed=1)[0])


@pytest.mark.parametrize("labelled", [right_and_wrong(*["10"] * 15, *["0"] * 9), grades(*map(float, range(15)))])
def test_too_few_to_hold_any_out(labelled):
    chooses, scores = split(labelled, fewest=8)
    assert (len(chooses), len(scores)) == (len(labelled.pairs), 0)
    assert len(split(labelled, fewest=7)[1])


def test_graded_halves_are_pairs():
    chooses, scores = split(grades(*map(float, range(17))))
    assert (len(chooses), len(scores)) == (9, 8)
    assert sorted([*chooses, *scores]) == list(range(17))


def test_a_subset_keeps_the_texts_and_so_the_rows_of_their_vectors():
    labelled = right_and_wrong("10", "01")
    part = subset(labelled, np.array([3, 0]))
    assert (part.questions, part.answers) == (labelled.questions, labelled.answers)
    assert (part.pairs, part.labels) == (((1, 3), (0, 0)), (1, 1))


def test_a_pairing_becomes_its_cells_and_has_the_heatmaps_auc():
    pairing = Pairing(("a", "b", "a"), ("x", "y"), frozenset({(0, 1), (2, 0)}))
    labelled = labelled_from_pairing(pairing)
    assert labelled.pairs == ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1))
    assert labelled.labels == (0, 1, 0, 0, 1, 0)
    similarity = np.array([[0.1, 0.6], [0.6, 0.3], [0.2, 0.4]], dtype=np.float32)
    metrics = score_pairs(similarity, pairing.mask())
    quick = quick_metrics(similarity.reshape(1, -1), labelled)
    assert score(similarity.ravel(), labelled).auc.value == metrics.auc
    assert (quick["auc"][0], quick["margin"][0]) == (pytest.approx(metrics.auc), pytest.approx(metrics.margin))


def test_a_sample_keeps_whole_questions_and_only_their_texts():
    pairs = tuple((q, a) for q in range(6) for a in range(4))
    labelled = LabelledSet("x", tuple("abcdef"), tuple("wxyz"), pairs, tuple(float(q % 4 == a) for q, a in pairs))
    drawn = sample(labelled, 9)
    assert len(drawn.questions) == 2
    assert len(drawn.pairs) == 8, "two questions with their four candidates"
    known = {
        (labelled.questions[q], labelled.answers[a]): label
        for (q, a), label in zip(pairs, labelled.labels, strict=True)
    }
    for (question, answer), label in zip(drawn.pairs, drawn.labels, strict=True):
        assert known[drawn.questions[question], drawn.answers[answer]] == label
    assert sample(labelled, 9) == drawn
    assert sample(labelled, 24) is labelled
    grades = LabelledSet(
        "x", tuple("abcdef"), tuple("uvwxyz"), tuple((i, i) for i in range(6)), tuple(map(float, range(6))), True
    )
    three = sample(grades, 3)
    assert len(three.pairs) == len(three.questions) == len(three.answers) == 3


# ---- a whole matrix at once: the same numbers as pair by pair -------------------------------------------------


def matrix(n_questions: int, n_answers: int, share: float, seed: int = 0) -> tuple[np.ndarray, Pairing]:
    """Cosines of one digit, so that many tie, and pairs that are right at random."""
    random = np.random.default_rng(seed)
    right = np.argwhere(random.random((n_questions, n_answers)) < share)
    texts = (tuple(f"{side}{i}" for i in range(count)) for side, count in (("q", n_questions), ("a", n_answers)))
    pairing = Pairing(*texts, frozenset(map(tuple, right.tolist())))
    return np.round(random.normal(size=(n_questions, n_answers)) / 3, 1).astype(np.float32), pairing


@pytest.mark.parametrize("shape", [(7, 5), (30, 40), (1, 4), (3, 1), (12, 12)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_a_matrix_scores_as_its_pairs_do(shape, share):
    """The fast path equals the slow one, intervals included: both draw the same resamples."""
    similarity, pairing = matrix(*shape, share)
    expected = score(similarity.ravel(), labelled_from_pairing(pairing), resamples=200)
    found, _ = score_cells(similarity, pairing.mask(), resamples=200)
    assert (found.n_pairs, found.n_questions) == (expected.n_pairs, expected.n_questions)
    for name in ("spearman", "auc", "top1", "mrr", "ndcg10"):
        one, other = getattr(found, name), getattr(expected, name)
        if other is None:
            assert one is None, name
        else:
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high)), name


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_margin_of_a_matrix_and_its_resamples_one_by_one(share):
    similarity, pairing = matrix(9, 6, share)
    mask = pairing.mask()
    _, margin = score_cells(similarity, mask, resamples=300, seed=5)
    assert margin.value == pytest.approx(score_pairs(similarity, mask).margin)
    random, margins = np.random.default_rng(5), []
    for _ in range(300):
        drawn = random.integers(9, size=9)
        margins.append(score_pairs(similarity[drawn], mask[drawn]).margin)
    margins = [value for value in margins if value is not None]
    assert (margin.low, margin.high) == pytest.approx(tuple(np.percentile(margins, (2.5, 97.5))))


def test_of_one_question_or_of_no_wrong_pair_a_matrix_says_little():
    similarity, pairing = matrix(1, 4, 0.4, seed=1)
    assert pairing.matches
    scores, margin = score_cells(similarity, pairing.mask())
    assert (scores.auc.low, scores.auc.high, margin.low, margin.high) == (0, 1, -2, 2)
    similarity, pairing = matrix(4, 3, 1.0)
    assert score_cells(similarity, pairing.mask())[1] is None
