"""InfoNCE: its formula in NumPy, its ceiling, and Gaussians of known information."""

import math

import numpy as np
import pytest
import torch


def test_the_bound_of_a_known_critic(configured, judged, score_55):
    share = np.exp(np.diag(score_55)) / np.exp(score_55).mean(1)
    found = judged(configured("info_nce"), score_55)
    assert found.value == pytest.approx(np.log(share).mean(), rel=1e-9)
    assert found.ceiling == pytest.approx(math.log(5))


def test_what_is_learnt_is_minus_the_bound(configured, score_55, others):
    loss = configured("info_nce").loss(torch.tensor(np.diag(score_55)), torch.tensor(others(score_55)))
    assert loss.item() == pytest.approx(-np.log(np.exp(np.diag(score_55)) / np.exp(score_55).mean(1)).mean())


def test_a_critic_that_knows_nothing_gives_0_and_a_perfect_one_the_ceiling(configured, judged):
    estimator = configured("info_nce")
    assert judged(estimator, np.full((7, 7), 3.0)).value == pytest.approx(0, abs=1e-12)
    perfect = judged(estimator, 1000 * np.eye(7))
    assert perfect.value == pytest.approx(perfect.ceiling) == pytest.approx(math.log(7))


@pytest.mark.parametrize(("dims", "information", "least"), [(2, 0.5, 0.4), (2, 2.0, 1.7), (8, 2.0, 1.3)])
def test_held_out_it_is_below_the_information_and_close(dims, information, least, configured, correlated):
    """Of few pairs more is not found in more dimensions. 0.1: three standard errors of a mean of 2000."""
    fitted = configured("info_nce").fit(correlated(667, dims, information), seed=0)
    held_out = correlated(2000, dims, information, seed=1)
    assert least < fitted(held_out).value < information + 0.1


def test_beyond_log_n_it_fails_and_shows_it(configured, correlated):
    held_out = correlated(40, 4, 16.0, seed=1)
    found = configured("info_nce").fit(correlated(667, 4, 16.0), seed=0)(held_out)
    assert found.ceiling == pytest.approx(math.log(40))
    assert 0.95 * found.ceiling < found.value <= found.ceiling  # under a quarter of what there is
