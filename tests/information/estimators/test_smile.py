"""SMILE: its formula in NumPy, its limits, and Gaussians of known information."""

import numpy as np
import pytest
import torch


def estimate(score_NN, others, clip):
    return np.diag(score_NN).mean() - np.log(
        np.clip(np.exp(others(score_NN)), np.exp(-clip), np.exp(clip)).mean()
    )


@pytest.mark.parametrize("clip", [0.5, 1.0, 100.0])
def test_the_estimate_of_a_known_critic(clip, configured, judged, score_55, others):
    found = judged(configured("smile", clip=clip), score_55)
    assert found.value == pytest.approx(estimate(score_55, others, clip), rel=1e-9)
    assert not configured("smile").is_lower_bound


def test_with_a_wide_clip_it_is_donsker_varadhan(configured, judged, score_55):
    wide, mine = judged(configured("smile", clip=100.0), score_55), judged(configured("mine"), score_55)
    assert wide.value == pytest.approx(mine.value, rel=1e-9)
    narrow = judged(configured("smile", clip=0.1), score_55)
    assert abs(narrow.value - mine.value) > 0.5


def test_what_is_learnt_classifies_pairs(configured, score_55, others):
    joint, marginal = np.diag(score_55), others(score_55)
    expected = -np.log(1 / (1 + np.exp(-joint))).mean() - np.log(1 / (1 + np.exp(marginal))).mean()
    loss = configured("smile").loss(torch.tensor(joint), torch.tensor(marginal))
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_a_clip_that_is_none_is_one_sentence(configured):
    with pytest.raises(ValueError, match="SMILE: clip is 0; it must be above 0"):
        configured("smile", clip=0)


@pytest.mark.parametrize(("dims", "information", "least"), [(2, 0.5, 0.25), (2, 2.0, 1.2), (8, 2.0, 1.2)])
def test_held_out_it_is_close_to_the_information(dims, information, least, configured, correlated):
    """No bound, but here e^τ is above nearly every density ratio."""
    fitted = configured("smile").fit(correlated(667, dims, information), seed=0)
    held_out = correlated(2000, dims, information, seed=1)
    assert least < fitted(held_out).value < information + 0.5
