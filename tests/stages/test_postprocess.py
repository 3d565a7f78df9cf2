"""Post-processing against NumPy on numbers made by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from demo import Lab
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Postprocess
from demo.domain.errors import UnknownChoice
from demo.stages.postprocess import fit_postprocess
from demo.stages.similarity import cos_sim

SQUARE = np.array([[1.0, 10.0], [3.0, 10.0], [1.0, 30.0], [3.0, 30.0]])  # mean 2, 20; deviations 1, 10


def test_by_hand():
    new = np.array([[4.0, 20.0]])
    assert fit_postprocess(SQUARE, Postprocess.NONE)(new).tolist() == [[4, 20]]
    assert fit_postprocess(SQUARE, Postprocess.CENTER)(new).tolist() == [[2, 0]]
    assert fit_postprocess(SQUARE, Postprocess.ZSCORE)(new).tolist() == [[2, 0]]
    assert fit_postprocess(SQUARE, Postprocess.ZSCORE)(np.array([[2.0, 50.0]])).tolist() == [[0, 3]]
    # The second axis is the first principal direction, and one direction is a hundredth of two, at least one.
    np.testing.assert_allclose(fit_postprocess(SQUARE, Postprocess.ALL_BUT_THE_TOP)([[4.0, 50.0]]), [[2, 0]], atol=1e-5)
    whitened = fit_postprocess(SQUARE, Postprocess.WHITENING)([[4.0, 50.0]])
    np.testing.assert_allclose(sorted(np.abs(whitened[0])), [2, 3], atol=1e-5)


def test_soft_whitening_by_hand():
    """SQUARE z-scored has variance 1 along both axes: each is divided by √(1 + 1). Twice the same axis: by √(2 + 1)."""
    found = fit_postprocess(SQUARE, Postprocess.SOFT_WHITENING)([[4.0, 50.0]])
    np.testing.assert_allclose(sorted(np.abs(found[0])), [2 / 2**0.5, 3 / 2**0.5], atol=1e-5)
    twice = np.array([[-1.0, -1.0], [1.0, 1.0]])
    found = fit_postprocess(twice, Postprocess.SOFT_WHITENING)([[3.0, 3.0]])
    np.testing.assert_allclose(found, [[3 / 3**0.5, 3 / 3**0.5]], atol=1e-5)


def test_soft_whitening_is_the_inverse_root_of_the_covariance_plus_one():
    rng = np.random.default_rng(3)
    reference, new = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)) + 5, rng.normal(size=(4, 6))
    scaler = StandardScaler().fit(reference)
    variance, directions = np.linalg.eigh(np.cov(scaler.transform(reference).T, bias=True) + np.eye(6))
    expected = scaler.transform(new) @ directions @ np.diag(variance**-0.5) @ directions.T
    np.testing.assert_allclose(fit_postprocess(reference, Postprocess.SOFT_WHITENING)(new), expected, atol=1e-5)


def test_zscore_and_whitening_equal_scikit_learn():
    rng = np.random.default_rng(0)
    reference, new = rng.normal(size=(50, 6)) * [1, 2, 3, 4, 5, 6] + 7, rng.normal(size=(4, 6))
    scaler = StandardScaler().fit(reference)
    np.testing.assert_allclose(fit_postprocess(reference, Postprocess.ZSCORE)(new), scaler.transform(new), atol=1e-5)
    ours = fit_postprocess(reference, Postprocess.WHITENING)(new)
    theirs = PCA(whiten=True, svd_solver="full").fit(reference).transform(new)
    np.testing.assert_allclose(cos_sim(ours, ours), cos_sim(theirs, theirs), atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 90), (90, 12)])
def test_directions_from_small_products_equal_the_singular_value_decomposition(shape):
    """Few texts in many dimensions, and many in few: the short way gives what NumPy's svd of the whole gives."""
    reference = np.random.default_rng(4).normal(size=shape) * np.linspace(1, 3, shape[1])
    centred = reference - reference.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    kept = singular > 1e-3 * singular[0]
    white = centred @ directions[kept].T / (singular[kept] / np.sqrt(len(reference)))
    ours = fit_postprocess(reference, Postprocess.WHITENING)(reference)
    np.testing.assert_allclose(cos_sim(ours, ours), cos_sim(white, white), atol=1e-5)
    top = directions[: max(1, round(shape[1] / 100))]
    np.testing.assert_allclose(
        fit_postprocess(reference, Postprocess.ALL_BUT_THE_TOP)(reference), centred - centred @ top.T @ top, atol=1e-5
    )


def test_all_but_the_top_takes_a_hundredth_of_the_directions():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(400, 300))
    left = fit_postprocess(reference, Postprocess.ALL_BUT_THE_TOP)(reference)
    assert np.linalg.matrix_rank(left, tol=1e-3) == 300 - 3


@pytest.mark.parametrize("method", [m for m in Postprocess if m is not Postprocess.NONE])
def test_the_reference_set_comes_out_centred(method):
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(40, 5)) + 100
    np.testing.assert_allclose(fit_postprocess(reference, method)(reference).mean(axis=0), 0, atol=1e-4)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31), st.sampled_from(list(Postprocess)))
@hypothesis_settings(max_examples=100, deadline=None)
def test_any_set_gives_finite_vectors_of_the_same_count(count, dim, seed, method):
    """One text, equal texts, dimensions that never change: nothing divides by zero."""
    vectors = np.random.default_rng(seed).integers(-2, 3, size=(count, dim)).astype(float)
    found = fit_postprocess(vectors, method)(vectors)
    assert len(found) == count
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_the_lab_fits_on_the_texts_at_hand_and_warns_of_few():
    lab = Lab(engine=FakeEngine())
    questions, answers = ["alpha beta", "gamma delta"], ["alpha gamma", "beta delta"]
    plain = lab.compare(questions, answers)
    centred = lab.compare(questions, answers, postprocess="center")
    assert not np.allclose(plain.similarity, centred.similarity)
    assert any("center was fitted on 4 distinct texts" in notice for notice in centred.notices)
    assert not plain.notices
    assert centred.reading.label().endswith("center")
    many = [f"text number {i} of many {i * i}" for i in range(20)]
    assert not lab.compare(many, many[:5], postprocess="zscore").notices


def test_an_unknown_method_is_said_with_what_is_accepted():
    with pytest.raises(UnknownChoice, match="all_but_the_top"):
        Lab(engine=FakeEngine()).compare("a", "b", postprocess="magic")


def test_whitening_a_handful_says_nothing_and_is_warned_of():
    """Four texts in more than four dimensions become a regular simplex, whatever they say."""
    lab = Lab(engine=FakeEngine())
    compared = lab.compare(["alpha", "beta"], ["alpha one", "beta two"], postprocess="whitening")
    np.testing.assert_allclose(compared.similarity, -1 / 3, atol=1e-4)
    assert any("below 192" in notice for notice in compared.notices)


def test_changing_it_makes_no_forward_pass(settings, tiny):
    from demo.backend.local import LocalEngine

    lab = Lab(settings, LocalEngine(settings))
    folder = str(tiny("llama"))
    lab.compare(["a b"], ["c d", "e f"], model=folder)
    passes = lab.engine.counts().forward_passes
    for method in Postprocess:
        lab.compare(["a b"], ["c d", "e f"], model=folder, postprocess=method.value)
    assert lab.engine.counts().forward_passes == passes
