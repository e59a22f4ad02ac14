"""The aggregated log-odds are what their formula says."""

import numpy as np
import pytest
from scipy.special import logit

from ctc_lightning.analysis import comparable, load_runs, log_odds_curves, log_odds_summary
from ctc_lightning.analysis.frames.log_odds import log_odds

SOURCE = {("classifier", "source"): ([0.2, 0.9],) * 2}


def test_log_odds_are_the_logit():
    p = np.array([0.1, 0.5, 0.93])
    np.testing.assert_allclose(log_odds(p, np.array([1000] * 3)), logit(p), rtol=1e-12)


@pytest.mark.parametrize(("n", "margin"), [(50, 0.01), (2000, 0.00025), (0, 0.0005)])
def test_none_and_all_are_half_an_image_away(n, margin):
    low, high = log_odds(np.array([0.0, 1.0]), np.array([n, n]))
    np.testing.assert_allclose([low, high], [logit(margin), logit(1 - margin)], rtol=1e-12)


def test_the_mean_is_over_targets_and_the_peak_by_validation(write_run):
    curves = {
        ("whitened", "hue"): ([0.9, 0.5], [0.5, 0.9]),
        ("whitened", "fine"): ([0.8, 0.6], [0.5, 0.9]),
        ("knn", "hue"): ([0.1, 0.1],) * 2,
    }
    frame = comparable(load_runs(write_run(SOURCE | curves, epochs=(0, 5), n=100)))
    measured = log_odds_curves(frame)
    expected = [logit([0.9, 0.8]).mean(), logit([0.5, 0.6]).mean()]
    np.testing.assert_allclose(measured["test"], expected)
    row = log_odds_summary(frame).iloc[0]
    assert row["peak_mean"] == row["final_mean"] == pytest.approx(expected[1])
    assert (row["metric"], row["n"], row["last_epoch"]) == ("log_odds", 1, 5)


def test_mean_and_std_over_seeds(write_run, tmp_path):
    ends = (0.7, 0.8, 0.9)
    for seed, end in enumerate(ends):
        write_run(SOURCE | {("whitened", "hue"): ([0.5, end],) * 2}, seed=seed, epochs=(0, 1))
    row = log_odds_summary(comparable(load_runs(tmp_path))).iloc[0]
    assert row["final_mean"] == pytest.approx(logit(ends).mean())
    assert row["final_std"] == pytest.approx(logit(ends).std(ddof=1))


def test_an_epoch_without_one_of_the_targets_is_not_there(write_run):
    curves = {("whitened", "hue"): ([0.5, 0.6],) * 2, ("whitened", "fine"): ([0.5],) * 2}
    frame = load_runs(write_run(SOURCE | curves, epochs=(0, 1)))
    assert log_odds_curves(frame)["epoch"].tolist() == [0]
