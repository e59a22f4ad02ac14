"""The classifier bound against scikit-learn and numeric integration. N: pairs, E: classes."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch.nn.functional import one_hot

from ctc_lightning.information.estimators import ClassifierBound, Pairs

STRENGTHS = [1e5, 1e3, 100.0, 10.0, 1.0, 0.1]
CENTRES, SHARES = (-2.0, 0.0, 1.0), (0.2, 0.5, 0.3)


def bound(strengths=STRENGTHS, hidden_dim=None, validation=0.2):
    return ClassifierBound(strengths=list(strengths), validation=validation, hidden_dim=hidden_dim)


def labelled(x_NC, label_N, num_classes):
    return Pairs(
        torch.as_tensor(x_NC, dtype=torch.float32), one_hot(torch.as_tensor(label_N), num_classes).float()
    )


def mixture(num, seed, deviations=(1.0, 1.0, 1.0)):
    """One dimension, three classes, normal in each."""
    random = np.random.default_rng(seed)
    label = random.choice(3, size=num, p=SHARES)
    x = np.array(CENTRES)[label] + np.array(deviations)[label] * random.normal(size=num)
    return labelled(x[:, None], label, 3)


def information(deviations=(1.0, 1.0, 1.0)):
    """h(x) − Σ p h(x | class), by numeric integration."""

    def entropy_density(x):
        density = sum(
            share * norm.pdf(x, centre, deviation)
            for share, centre, deviation in zip(SHARES, CENTRES, deviations, strict=True)
        )
        return -density * math.log(density) if density > 0 else 0.0

    entropy, _ = quad(entropy_density, -40, 40, points=CENTRES, limit=500)
    return entropy - sum(
        share * math.log(2 * math.pi * math.e * deviation**2) / 2
        for share, deviation in zip(SHARES, deviations, strict=True)
    )


def halves(pairs):
    num = len(pairs.x_NC) // 2
    return pairs.rows(torch.arange(num)), pairs.rows(torch.arange(num, 2 * num))


def held_out(estimator, pairs, seed=0):
    train, held = halves(pairs)
    return estimator.fit(train, seed=seed)(held).value


@pytest.mark.parametrize("strength", [10.0, 0.1])
def test_it_is_entropy_less_the_cross_entropy_of_a_probe(strength):
    train, held = halves(mixture(400, seed=0))
    mean, deviation = train.x_NC.double().mean(), train.x_NC.double().std(correction=0)
    probe = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=1000)
    probe.fit((train.x_NC.double() - mean) / deviation, train.y_NE.argmax(1))
    label = held.y_NE.argmax(1)
    ce = log_loss(label, probe.predict_proba((held.x_NC.double() - mean) / deviation))
    share = np.bincount(label) / len(label)
    estimate = bound([strength]).fit(train, seed=0)(held)
    assert estimate.ceiling == pytest.approx(-(share * np.log(share)).sum(), abs=1e-9)
    # the probe's mean objective is promised within 1e-4 of the optimum
    assert estimate.value == pytest.approx(estimate.ceiling - ce, abs=2e-3)
    assert math.isnan(estimate.upper)


# 3000 held-out pairs whose log ratios spread by about 0.6: 0.035 is 3 standard errors
def test_where_a_linear_probe_is_right_the_bound_is_tight():
    assert held_out(bound(), mixture(6000, seed=1)) == pytest.approx(information(), abs=0.035)


def test_hidden_units_find_what_a_linear_probe_cannot():
    deviations = (0.3, 3.0, 0.3)
    pairs, truth = mixture(6000, seed=2, deviations=deviations), information(deviations)
    assert held_out(bound(), pairs) < truth - 0.1
    assert held_out(bound([1.0, 0.1], hidden_dim=32), pairs) == pytest.approx(truth, abs=0.05)


def test_hidden_units_of_two_classes():
    """Near 0 or not: nothing linear."""
    random = np.random.default_rng(3)
    label = random.integers(2, size=1200)
    x = np.where(label == 0, 0.0, random.choice([-4.0, 4.0], size=1200)) + 0.5 * random.normal(size=1200)
    pairs = labelled(x[:, None], label, 2)
    assert held_out(bound(), pairs) < 0.05
    assert held_out(bound([0.1], hidden_dim=16), pairs) == pytest.approx(math.log(2), abs=0.05)


@pytest.mark.parametrize("hidden_dim", [None, 4])
def test_it_is_a_lower_bound_on_average_of_few_pairs(hidden_dim):
    estimator = bound([10.0, 1.0], hidden_dim=hidden_dim)
    values = []
    for seed in range(20):
        train = mixture(60, seed=1000 + seed)
        values.append(estimator.fit(train, seed=seed)(mixture(40, seed=2000 + seed)).value)
    assert np.mean(values) < information() + 3 * np.std(values) / math.sqrt(20)
    assert np.mean(values) > 0.2


def test_independent_pairs_have_none():
    random = np.random.default_rng(4)
    values = [
        held_out(bound(), labelled(random.normal(size=(200, 8)), np.arange(200) % 4, 4), seed)
        for seed in range(15)
    ]
    assert np.mean(values) < 3 * np.std(values, ddof=1) / math.sqrt(15)
    assert np.mean(values) > -0.1


def test_separated_classes_reach_the_ceiling_and_nothing_exceeds_it():
    random = np.random.default_rng(5)
    label = random.choice(4, size=800, p=[0.4, 0.3, 0.2, 0.1])
    x = 10 * np.eye(4)[label] + 0.1 * random.normal(size=(800, 4))
    train, held = halves(labelled(x, label, 4))
    estimate = bound([*STRENGTHS, 1e-3]).fit(train, seed=0)(held)
    assert estimate.ceiling - 0.01 < estimate.value <= estimate.ceiling < math.log(4)


def test_the_strength_is_chosen_where_probes_learn_by_heart():
    random = np.random.default_rng(6)
    label = np.arange(160) % 2
    x = random.normal(size=(160, 60))
    x[:, 0] += label
    pairs = labelled(x, label, 2)
    assert held_out(bound([1e-3]), pairs) < -0.5
    assert held_out(bound(), pairs) > -0.1


def test_units_of_x_do_not_matter():
    pairs = mixture(400, seed=7)
    scaled = pairs._replace(x_NC=1e4 * pairs.x_NC + 3)
    assert held_out(bound(), scaled) == pytest.approx(held_out(bound(), pairs), abs=1e-4)


def test_a_class_may_be_missing_where_it_is_judged():
    train = mixture(200, seed=8)
    held = mixture(200, seed=9)
    held = held.rows((held.y_NE.argmax(1) != 2).nonzero().squeeze(1))
    estimate = bound().fit(train, seed=0)(held)
    assert estimate.value <= estimate.ceiling <= math.log(2)


def test_its_configuration_builds_it(configured):
    assert held_out(configured("classifier"), mixture(2000, seed=13)) == pytest.approx(
        information(), abs=0.06
    )
    assert configured("classifier", hidden_dim=4).hidden_dim == 4


def test_it_says_what_it_is():
    estimator = bound([1.0, 10.0], hidden_dim=4)
    assert estimator.is_lower_bound
    assert estimator.learns
    assert estimator.uses_x
    assert estimator.settings == {"strengths": [10.0, 1.0], "validation": 0.2, "hidden_dim": 4}


def test_draws_depend_on_the_seed_alone():
    pairs = mixture(100, seed=10)
    noise = torch.randn(100, 20, generator=torch.Generator().manual_seed(0))  # something to choose λ for
    pairs = pairs._replace(x_NC=torch.cat([pairs.x_NC, noise], 1))
    state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # which none may use
    for estimator in (bound(np.geomspace(1, 100, 20)), bound([1.0], hidden_dim=4)):
        values = [held_out(estimator, pairs, seed) for seed in range(5)]
        assert values == [held_out(estimator, pairs, seed) for seed in range(5)]
        assert len(set(values)) > 1
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == repr(numpy_state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strengths": []}, r"strengths is \[\]; give at least one value"),
        ({"strengths": [1.0, 0.0]}, "give at least one value, each above 0"),
        ({"strengths": [math.inf]}, "give at least one value, each a finite number, above 0"),
        ({"validation": 0.0}, "validation is 0.0; it must be above 0 and below 1"),
        ({"validation": 1.0}, "validation is 1.0; it must be above 0 and below 1"),
        ({"hidden_dim": 0}, "hidden_dim is 0; it must be a whole number of at least 1, or null"),
    ],
)
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        bound(**options)


def test_y_that_is_not_one_hot_is_refused():
    pairs = mixture(50, seed=11)
    for y in (pairs.y_NE + 0.5, torch.cat([pairs.y_NE, pairs.y_NE], 1), torch.ones(50, 1), -pairs.y_NE):
        with pytest.raises(ValueError, match=r"not one-hot; .* choose another estimator"):
            bound().fit(pairs._replace(y_NE=y), seed=0)
    with pytest.raises(ValueError, match="50 of 50 rows are not one-hot"):
        bound().fit(pairs, seed=0)(pairs._replace(y_NE=torch.zeros(50, 3)))


def test_pairs_that_cannot_be_measured_are_refused():
    pairs = mixture(50, seed=12)
    without = pairs.rows((pairs.y_NE.argmax(1) != 1).nonzero().squeeze(1))
    with pytest.raises(ValueError, match=r"class 1 has 0 of .* at least 2 are needed"):
        bound().fit(without, seed=0)
    with pytest.raises(ValueError, match="the same x"):
        bound().fit(pairs._replace(x_NC=torch.ones(50, 1)), seed=0)
    broken = pairs._replace(x_NC=pairs.x_NC.clone())
    broken.x_NC[5] = math.nan
    with pytest.raises(ValueError, match="1 of 50 pairs have a value of x that is not finite"):
        bound().fit(broken, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        bound().fit(pairs, seed=0)(broken)
