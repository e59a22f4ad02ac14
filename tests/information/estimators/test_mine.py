"""MINE: its bound and its corrected gradient in NumPy, its setting as the reference has it, Gaussians."""

import math

import numpy as np
import pytest
import torch

from ctc_lightning.information.estimators.mine import MovingAverageLoss


def donsker_varadhan(score_NN, others):
    return np.diag(score_NN).mean() - np.log(np.exp(others(score_NN)).mean())


def test_the_bound_of_a_known_critic(configured, judged, score_55, others):
    found = judged(configured("mine"), score_55)
    assert found.value == pytest.approx(donsker_varadhan(score_55, others), rel=1e-9)
    assert found.ceiling == math.inf
    # a constant is no information
    assert judged(configured("mine"), score_55 + 40).value == pytest.approx(found.value, rel=1e-9)


def test_the_gradient_is_divided_by_the_moving_average(others):
    rate, average = 0.1, 1.0
    loss_of = MovingAverageLoss(rate)
    for score_55 in np.random.default_rng(1).normal(0, 2, (4, 5, 5)):
        joint_B = torch.tensor(np.diag(score_55), requires_grad=True)
        marginal_BK = torch.tensor(others(score_55), requires_grad=True)
        loss = loss_of(joint_B, marginal_BK)
        loss.backward()
        exponential_BK = np.exp(others(score_55))
        average = (1 - rate) * average + rate * exponential_BK.mean()
        assert loss.item() == pytest.approx(-donsker_varadhan(score_55, others), rel=1e-9)
        assert joint_B.grad.numpy() == pytest.approx(np.full(5, -1 / 5))
        assert marginal_BK.grad.numpy() == pytest.approx(exponential_BK / 20 / average, rel=1e-9)
        assert abs(average / exponential_BK.mean() - 1) > 0.05  # the correction matters here


def test_with_a_rate_of_1_the_gradient_is_that_of_the_bound(configured, others, score_55):
    joint_B = torch.tensor(np.diag(score_55))
    gradients = []
    for loss_of in (MovingAverageLoss(1.0), configured("mine").loss):
        marginal_BK = torch.tensor(others(score_55), requires_grad=True)
        gradients += torch.autograd.grad(loss_of(joint_B, marginal_BK), marginal_BK)
    assert torch.allclose(*gradients, rtol=1e-9)


def test_scores_that_overflow_as_exponentials_are_fine(configured, judged, others):
    score_55 = 2000 * np.eye(5) + 1000
    assert judged(configured("mine"), score_55).value == pytest.approx(2000)
    loss_of = MovingAverageLoss(0.01)
    marginal_BK = torch.tensor(others(score_55), dtype=torch.float32, requires_grad=True)
    loss_of(torch.zeros(5), marginal_BK).backward()
    assert marginal_BK.grad.isfinite().all()


@pytest.mark.parametrize("name", ["mine_reference_xt", "mine_reference_ty"])
def test_the_reference_draws_the_marginals_on_their_own(name, configured, correlated):
    """Its setting but for the size: three hidden layers, no validation, no scaling."""
    estimator = configured(
        name, iterations=3, batch_size=40, critic={"hidden": [16, 16, 16]}, learning_rate=1e-3
    )
    assert (estimator.critic.init_std, estimator.average_rate) == (0.02, 0.01)
    drawn = []

    class Recording:
        def __call__(self, size, *, independent=False):
            drawn.append((size, independent))
            return torch.zeros(size, 2), torch.zeros(size, 2)

    critic = estimator.critic.build(2, 2, torch.Generator())
    joint_B, marginal_BK = estimator.batch_scores(critic, Recording())
    assert (joint_B.shape, marginal_BK.shape) == ((40,), (40, 1))
    assert drawn == [(40, False), (40, True)]
    assert math.isfinite(estimator.fit(correlated(50, 2, 1.0), seed=0)(correlated(50, 2, 1.0, seed=1)).value)


def test_the_reference_s_exact_numbers(configured):
    for name, rate, steps in (("mine_reference_xt", 8e-5, 10_000), ("mine_reference_ty", 1e-5, 20_000)):
        settings = configured(name).settings
        assert settings["critic"]["settings"] == {"hidden": [1024] * 3, "init_std": 0.02}
        assert (settings["learning_rate"], settings["iterations"]) == (rate, steps)
        assert (settings["batch_size"], settings["average_rate"]) == (5000, 0.01)
        assert (settings["independent_marginal"], settings["standardise"]) == (True, False)
        assert (settings["validation"], settings["weight_decay"], settings["fresh_noise"]) == (0, 0, False)


def test_far_above_2_log_n_the_estimate_is_above_the_information(configured, correlated, judged):
    """With the best critic there is, so that nothing but the small number of pairs is to blame."""
    information, dims = 20.0, 16
    correlation = math.sqrt(1 - math.exp(-2 * information / dims))
    values = []
    for seed in range(20):
        x, y = correlated(20, dims, information, seed)[:2]
        ratio_NN = np.zeros((20, 20))
        for x_N, y_N in zip(x.double().numpy().T, y.double().numpy().T, strict=True):
            rest_NN = (y_N[None] - correlation * x_N[:, None]) ** 2 / (1 - correlation**2)
            ratio_NN += (y_N[None] ** 2 - rest_NN) / 2 - math.log(1 - correlation**2) / 2
        values.append(judged(configured("mine"), ratio_NN).value)
    assert np.mean(values) > information + 1
    assert not configured("mine").is_lower_bound


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_a_rate_that_is_none_is_one_sentence(rate, configured):
    with pytest.raises(ValueError, match=f"MINE: average_rate is {rate}; it must be above 0 and at most 1"):
        configured("mine", average_rate=rate)


@pytest.mark.parametrize(("dims", "information", "least"), [(2, 0.5, 0.25), (2, 2.0, 1.2), (8, 2.0, 1.2)])
def test_held_out_it_is_below_the_information_and_close(dims, information, least, configured, correlated):
    """Well below log N; 0.1: three standard errors of a mean of 2000."""
    fitted = configured("mine").fit(correlated(667, dims, information), seed=0)
    held_out = correlated(2000, dims, information, seed=1)
    assert least < fitted(held_out).value < information + 0.1
