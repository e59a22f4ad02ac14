"""Each estimator, as configured, is right where it is known to work, and fails beyond as is known.

The information density ln p(x, y)/p(x)p(y) of D jointly normal pairs has the variance Σ ρ² <= min(D, 2I), so
that the mean over N held-out pairs has a standard deviation of at most √(min(D, 2I)/N), for a perfect
estimator. Four of them are allowed on both sides, and on the lower side what learning from 2000 pairs costs.
"""

from math import exp, log, sqrt

import pytest
from calibrate import load_estimators
from distributions import DISTRIBUTIONS

NEURAL = ["mine", "nwj", "smile", "info_nce"]


def held_out(estimator, distribution, dims, information, num_train=2000, num_held_out=1000, options=()):
    """The estimate on fresh pairs, with the estimator as configured."""
    known = DISTRIBUTIONS[distribution](dims, information)
    fitted = load_estimators([estimator], options)[estimator].fit(known.draw(num_train, seed=0), seed=0)
    return fitted(known.draw(num_held_out, seed=1))


def spread(dims, information, num_held_out=1000):
    return sqrt(min(dims, 2 * information) / num_held_out)


# estimator, distribution, dimensions, nats, nats that learning may cost
KNOWN_TO_WORK = [
    # an error in D² covariances costs about D²/N nats on fresh pairs
    ("gaussian", "gaussians", 2, 5.0, 0.01),
    ("gaussian", "rotated", 16, 5.0, 16**2 / 2000),
    # nothing is learned; the bias at two nats in two dimensions is below the spread
    ("ksg", "gaussians", 2, 2.0, 0.0),
    ("ksg", "rotated", 2, 2.0, 0.0),
    # I well below ln N = 8: the bias of ln (1/M) Σ p is of the order of e^I/M
    ("noisy_channel", "noisy_features", 16, 3.0, exp(3) / 3000),
    ("noisy_channel", "noisy_features", 128, 1.0, exp(1) / 3000),
    # 9·10 weights and biases fitted on 2000 pairs cost about 100/2N nats, a held-out entropy 9/2N
    ("classifier", "label_mixture", 9, 1.0, 0.05),
    # critics learn a few nats in few dimensions, and lose a share of them
    *((name, "gaussians", 2, 1.0, 0.15) for name in NEURAL),
    *((name, "rotated", 16, 2.0, 0.7) for name in NEURAL),
]


@pytest.mark.parametrize(("estimator", "distribution", "dims", "information", "learning"), KNOWN_TO_WORK)
def test_right_where_it_is_known_to_work(estimator, distribution, dims, information, learning):
    found = held_out(estimator, distribution, dims, information)
    allowed = 4 * spread(dims, information)
    assert information - allowed - learning <= found.value <= information + allowed


def test_the_upper_bound_of_the_channel_is_one_and_meets_the_lower_one():
    found = held_out("noisy_channel", "noisy_features", 16, 3.0)
    allowed = 4 * spread(16, 3.0)
    assert 3.0 - allowed <= found.upper <= 3.0 + allowed + exp(3) / 3000
    assert found.upper >= found.value


@pytest.mark.parametrize(
    ("estimator", "distribution", "num_pairs"),
    [
        ("info_nce", "gaussians", 100),  # those that are judged
        ("noisy_channel", "noisy_features", 400 + 100),  # those of the fit as well
    ],
)
def test_contrastive_bounds_end_at_log_n(estimator, distribution, num_pairs):
    found = held_out(estimator, distribution, 16, 10.0, num_train=400, num_held_out=100)
    assert found.ceiling == pytest.approx(log(num_pairs))
    assert found.value <= found.ceiling + 1e-6
    assert found.value < 10 - 3, "the ceiling is 3.8 nats below the truth, or further"


def test_the_upper_bound_of_the_channel_holds_where_the_lower_one_is_at_its_ceiling():
    found = held_out("noisy_channel", "noisy_features", 16, 10.0, num_train=400, num_held_out=100)
    assert found.upper >= 10 - 4 * spread(16, 10.0, 100)


def test_neighbours_are_refused_in_many_dimensions_and_would_lose_most_there():
    with pytest.raises(ValueError, match="dimensions"):
        held_out("ksg", "gaussians", 16, 5.0)
    assert held_out("ksg", "gaussians", 16, 5.0, options=["xt.ksg.max_dims=16"]).value < 5.0 / 2


def test_neighbours_end_where_i_is_large_even_in_two_dimensions():
    found = held_out("ksg", "gaussians", 2, 10.0)
    assert found.value <= found.ceiling < 10
    assert found.value < 10 - 2


def test_the_gaussian_form_sees_only_the_correlation():
    """The correlation of x and y³ is 3ρ/√15: D/2 · ln 2.5 nats are the most that it says of cubes."""
    information, dims = 5.0, 2
    square = 1 - exp(-2 * information / dims)
    of_the_correlation = -dims / 2 * log(1 - 0.6 * square)
    found = held_out("gaussian", "cubed", dims, information)
    # heavy tails: y³ of 1000 pairs has a few values of 30 standard deviations that carry the spread
    assert found.value == pytest.approx(of_the_correlation, abs=0.35)
    assert found.value < information / 2


def test_a_probe_ends_at_the_entropy_of_the_labels():
    found = held_out("classifier", "label_mixture", 9, 2.2)
    assert found.ceiling <= log(10) + 1e-6
    assert found.value <= found.ceiling
    with pytest.raises(ValueError, match="one-hot"):
        held_out("classifier", "gaussians", 2, 1.0)


@pytest.mark.parametrize("estimator", NEURAL)
def test_critics_do_not_learn_ten_nats_from_two_thousand_pairs(estimator):
    assert held_out(estimator, "gaussians", 2, 10.0).value < 10 - 2
