"""Bootstrap intervals: against scipy's, their coverage, and the same draws for all.

N: images, R: resamples, M: metrics
"""

import warnings

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import bootstrap as scipy_bootstrap

from ctc_lightning.evaluation import bootstrap as module
from ctc_lightning.evaluation.bootstrap import bootstrap


def mean_of(value_N):
    """Weighted mean, as one metric."""
    return lambda weight_RN: (weight_RN @ value_N / weight_RN.sum(1))[:, None]


def draws(num_images, resamples, seed=0):
    """What a metric is given."""
    seen = []

    def keep(weight_RN):
        seen.append(weight_RN.copy())
        return weight_RN[:, :1]

    bootstrap(keep, num_images, resamples=resamples, seed=seed)
    return np.concatenate(seen)


def test_agrees_with_scipys_percentile_interval():
    value_N = np.random.default_rng(0).exponential(size=200)
    low, high = bootstrap(mean_of(value_N), 200, resamples=10_000)
    expected = scipy_bootstrap(
        (value_N,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    )
    # a 2.5 % quantile of R draws of a normal variable has the standard deviation
    # sqrt(0.025 · 0.975/R)/density(-1.96) = 0.027 of its own;
    # two of them differ by less than 5 · sqrt(2) of it
    error = 5 * 2**0.5 * 0.027 * expected.standard_error
    assert low[0] == pytest.approx(expected.confidence_interval.low, abs=error)
    assert high[0] == pytest.approx(expected.confidence_interval.high, abs=error)


def test_ends_of_an_accuracy_are_quantiles_of_the_binomial():
    hit_N = (np.arange(500) < 350).astype(float)
    low, high = bootstrap(mean_of(hit_N), 500, resamples=20_000)
    hits = binom(500, 0.7)
    # the quantile's standard deviation is 0.019 of sqrt(500 · 0.7 · 0.3) = 10 hits, and hits are whole
    assert low[0] * 500 == pytest.approx(hits.ppf(0.025), abs=1)
    assert high[0] * 500 == pytest.approx(hits.ppf(0.975), abs=1)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        hit_N = (random.random(200) < 0.6).astype(float)
        low, high = bootstrap(mean_of(hit_N), 200, resamples=400)
        inside.append(low[0] <= 0.6 <= high[0])
    # 400 binomial draws: standard deviation 0.011; the percentile interval of 200 images is a little narrow
    assert 0.90 <= np.mean(inside) <= 0.98


def test_every_resample_has_as_many_images():
    weight_RN = draws(37, 100)
    assert weight_RN.shape == (100, 37)
    assert (weight_RN.sum(1) == 37).all()
    assert (weight_RN == weight_RN.round()).all()
    # an image is left out with probability (1 − 1/37)^37 = 0.363; 3700 weak draws: standard deviation 0.008
    assert (weight_RN == 0).mean() == pytest.approx((1 - 1 / 37) ** 37, abs=0.04)


@pytest.mark.parametrize("cells", [100, 2_000_000])
@pytest.mark.usefixtures("global_randomness_untouched")
def test_all_networks_meet_the_same_draws(cells, monkeypatch):
    monkeypatch.setattr(module, "_CELLS", cells)
    assert np.array_equal(draws(30, 50), draws(30, 50))
    assert not np.array_equal(draws(30, 50), draws(30, 50, seed=1))


def test_parts_of_bounded_memory_are_as_good(monkeypatch):
    whole = draws(30, 50)
    monkeypatch.setattr(module, "_CELLS", 100)
    sizes = []
    bootstrap(lambda weight_RN: sizes.append(weight_RN.size) or weight_RN[:, :1], 30, resamples=50)
    assert max(sizes) <= 100
    assert sum(sizes) == 30 * 50
    assert np.array_equal(draws(30, 50), whole)


def test_all_metrics_see_the_same_draws():
    value_N = np.random.default_rng(0).normal(size=60)
    low, high = bootstrap(lambda weight_RN: mean_of(value_N)(weight_RN) * [1, 3], 60)
    assert low[1] == pytest.approx(3 * low[0])
    assert high[1] == pytest.approx(3 * high[0])


def test_a_resample_without_a_number_is_left_out():
    value_N = np.random.default_rng(0).normal(size=60)

    def sometimes(weight_RN):
        mean_R1 = mean_of(value_N)(weight_RN)
        return np.where(weight_RN[:, :1] == 0, np.nan, mean_R1)

    weight_RN = draws(60, 1000)
    kept = mean_of(value_N)(weight_RN[weight_RN[:, 0] > 0])
    low, high = bootstrap(sometimes, 60)
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(kept, [0.025, 0.975])))


def test_a_metric_that_is_never_defined_has_no_interval_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = bootstrap(lambda weight_RN: np.full((len(weight_RN), 1), np.nan), 5)
    assert np.isnan([*low, *high]).all()


def test_a_single_image_is_its_own_interval():
    low, high = bootstrap(mean_of(np.array([0.25])), 1)
    assert (low[0], high[0]) == (0.25, 0.25)
