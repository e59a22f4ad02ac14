"""NWJ: its formula in NumPy, and Gaussians of known information."""

import math

import numpy as np
import pytest
import torch


def bound(score_NN, others):
    """Of T = 1 + the critic."""
    return (np.diag(score_NN) + 1).mean() - np.exp(others(score_NN) + 1).mean() / math.e


def test_the_bound_of_a_known_critic(configured, judged, score_55, others):
    found = judged(configured("nwj"), score_55)
    assert found.value == pytest.approx(bound(score_55, others), rel=1e-9)
    assert found.ceiling == math.inf
    assert configured("nwj").is_lower_bound


def test_what_is_learnt_is_minus_the_bound(configured, score_55, others):
    loss = configured("nwj").loss(torch.tensor(np.diag(score_55)), torch.tensor(others(score_55)))
    assert loss.item() == pytest.approx(-bound(score_55, others), rel=1e-9)


def test_no_other_constant_is_better_where_the_offset_was_chosen(configured, judged, score_55, others):
    estimator = configured("nwj")
    scores = []
    estimator.bound = lambda given: scores.append(given) or torch.zeros(())
    judged(estimator, score_55)
    del estimator.bound
    offset = estimator.offset(scores[0]).item()
    assert np.exp(others(score_55) + offset).mean() == pytest.approx(1, rel=1e-9)
    best = judged(estimator, score_55 + offset).value
    assert all(judged(estimator, score_55 + offset + more).value < best for more in (-0.1, 0.1))


@pytest.mark.parametrize(("dims", "information", "least"), [(2, 0.5, 0.25), (2, 2.0, 1.2), (8, 2.0, 1.2)])
def test_held_out_it_is_below_the_information_and_close(dims, information, least, configured, correlated):
    """Where e^I is far below N², and so its variance small; 0.1: three standard errors of a mean of 2000."""
    fitted = configured("nwj").fit(correlated(667, dims, information), seed=0)
    held_out = correlated(2000, dims, information, seed=1)
    assert least < fitted(held_out).value < information + 0.1
