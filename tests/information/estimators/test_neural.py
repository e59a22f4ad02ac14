"""How critics learn and are judged: what may and what may not change an estimate, and bad input."""

import json
import math

import numpy as np
import pytest
import torch

from ctc_lightning.information.estimators import Pairs
from ctc_lightning.information.estimators import scores as scoring
from ctc_lightning.information.estimators.critic import JointDesign, SeparableDesign
from ctc_lightning.information.estimators.scores import off_diagonal, score_pairs

NAMES = ["info_nce", "mine", "nwj", "smile"]
SMALL = {"batch_size": 32, "iterations": 20}


def value(estimator, train, held_out, seed=0):
    return estimator.fit(train, seed=seed)(held_out).value


@pytest.fixture
def noisy():
    """A function of a seed: x of 20 dimensions, y = f(x) + ε of 6, f(x) known."""

    def draw(num_pairs, seed):
        generator = torch.Generator().manual_seed(seed)
        x_NC = torch.randn(num_pairs, 20, generator=generator)
        clean_NE = (x_NC @ torch.randn(20, 6, generator=torch.Generator().manual_seed(99))).tanh()
        noise_NE = torch.randn(num_pairs, 6, generator=generator)
        return Pairs(x_NC, clean_NE + 0.5 * noise_NE, clean_NE, 0.5)

    return draw


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_and_nobody_else_s_numbers_move(name, configured, correlated):
    train, held_out = correlated(100, 3, 1.0), correlated(100, 3, 1.0, seed=1)
    copies = [each.clone() for each in (train.x_NC, train.y_NE)]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = value(configured(name, **SMALL), train, held_out)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    with torch.no_grad():
        assert value(configured(name, **SMALL), train, held_out) == first
    assert value(configured(name, **SMALL), train, held_out, seed=1) != first
    assert all(torch.equal(*both) for both in zip(copies, (train.x_NC, train.y_NE), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_plain_and_hold_every_argument(name, configured):
    estimator = configured(name)
    settings = json.loads(json.dumps(estimator.settings))
    again = {key: value for key, value in settings.items() if key != "critic"}
    assert type(estimator)(critic=estimator.critic, **again).settings == estimator.settings
    assert settings["critic"]["class"] in ("JointDesign", "SeparableDesign")


@pytest.mark.parametrize("name", NAMES)
def test_of_independent_pairs_nothing_is_found_but_in_training(name, configured):
    """The truth is 0; held out, 0.05 is above three standard errors of a critic nearly constant."""
    x_NC, y_NE = torch.randn(2, 600, 16, generator=torch.Generator().manual_seed(0))
    pairs = Pairs(x_NC, y_NE)
    train, held_out = pairs.rows(torch.arange(400)), pairs.rows(torch.arange(400, 600))
    assert -0.05 < configured(name).fit(train, seed=0)(held_out).value < 0.05
    by_heart = configured(name, validation=0.0, iterations=100).fit(train, seed=0)
    assert by_heart(train).value > 0.2
    if name != "smile":  # the others are bounds here, far below log N
        assert by_heart(held_out).value < 0


def test_the_step_kept_is_the_best_of_those_looked_at(configured, correlated):
    """Of fits that end at each of the looks it is one, and not the last, which has learnt by heart."""
    train, held_out = correlated(150, 8, 1.0), correlated(1000, 8, 1.0, seed=1)
    settings = {"patience": 100, "batch_size": 64, "learning_rate": 0.01}
    chosen = value(configured("info_nce", iterations=40, interval=10, **settings), train, held_out)
    ends = [
        value(configured("info_nce", iterations=iterations, interval=1000, **settings), train, held_out)
        for iterations in (10, 20, 30, 40)
    ]
    assert chosen in ends
    assert chosen > ends[-1] + 0.1


def test_nothing_is_found_rather_than_less(configured):
    """Where each step is worse on the part that chooses than a critic that says nothing, that one is kept."""
    x_NC, y_NE = torch.randn(2, 100, 30, generator=torch.Generator().manual_seed(0))
    for name in NAMES:
        fitted = configured(name, learning_rate=0.02, **SMALL).fit(Pairs(x_NC[:60], y_NE[:60]), seed=0)
        assert fitted(Pairs(x_NC[60:], y_NE[60:])).value == pytest.approx(0, abs=1e-6)


def test_patience_ends_learning(configured, correlated):
    train = correlated(100, 2, 1.0)
    steps = []

    def watched(**changed):
        estimator = configured("info_nce", **{**SMALL, "interval": 1, "learning_rate": 0.1, **changed})
        learn = estimator.loss
        estimator.training_loss = lambda: lambda *scores: steps.append(1) or learn(*scores)
        steps.clear()
        estimator.fit(train, seed=0)
        return len(steps)

    assert watched(iterations=300, patience=2) < 300
    assert watched(iterations=60, patience=60) == 60
    assert watched(iterations=60, patience=1, validation=0.0) == 60


def test_own_noise_in_each_batch_is_learnt_from_and_not_by_heart(configured, noisy):
    train, held_out = noisy(300, 0), noisy(500, 1)
    fitted = {
        fresh: configured("info_nce", fresh_noise=fresh, batch_size=64, iterations=150).fit(train, seed=0)
        for fresh in (True, False)
    }
    assert fitted[True](held_out).value > fitted[False](held_out).value + 0.1
    # where nothing is known of y's noise the option has nothing to draw
    unknown = train._replace(clean_NE=None)
    values = [value(configured("info_nce", fresh_noise=f, **SMALL), unknown, held_out) for f in (True, False)]
    assert values[0] == values[1]


def test_units_do_not_matter_once_standardised(configured, correlated):
    train, held_out = correlated(200, 4, 1.0), correlated(200, 4, 1.0, seed=1)
    unit_C = 2.0 ** torch.tensor([-12, 0, 3, 12])

    def other_units(pairs):
        return pairs._replace(x_NC=pairs.x_NC * unit_C)

    for standardise in (True, False):
        estimator = configured("info_nce", standardise=standardise, **SMALL)
        same = value(estimator, train, held_out)
        other = value(estimator, other_units(train), other_units(held_out))
        assert (same == other) == standardise  # powers of two: exact


def test_a_dimension_that_is_constant_in_training_is_not_looked_at(configured, correlated):
    train, held_out = correlated(200, 4, 1.0), correlated(200, 4, 1.0, seed=1)
    train.x_NC[:, 2] = 0.1
    fitted = configured("info_nce", **SMALL).fit(train, seed=0)
    before = fitted(held_out).value
    held_out.x_NC[:, 2] *= 1e6
    assert fitted(held_out).value == before


@pytest.mark.parametrize(
    "design", [JointDesign(hidden=[8], init_std=None), SeparableDesign(hidden=[8], embedding=3)]
)
@pytest.mark.parametrize("max_marginal", [None, 1000, 56, 55, 17, 1])
def test_draws_from_the_marginals_are_all_others_or_equally_spaced(design, max_marginal, monkeypatch):
    """Eight pairs have 56 others; with fewer, each x meets as many, and never its own y."""
    draw = torch.Generator().manual_seed(0)
    critic = design.build(3, 2, draw).double()
    x, y = (torch.randn(8, dims, generator=draw, dtype=torch.float64) for dims in (3, 2))
    table = critic.crossed(x, y).detach().numpy()
    distances = {
        None: range(1, 8),
        1000: range(1, 8),
        56: range(1, 8),
        55: (1, 2, 3, 4, 5, 7),
        17: (1, 7),
        1: (1,),
    }
    monkeypatch.setattr(scoring, "_CELLS", 24)  # three rows at a time
    found = score_pairs(critic, x, y, lambda score: score, max_marginal)
    assert found.joint_N.detach().numpy() == pytest.approx(np.diag(table), rel=1e-9)
    assert found.num_marginal == len(distances[max_marginal])
    met = np.array([[table[i, (i - d) % 8] for d in distances[max_marginal]] for i in range(8)])
    assert found.log_marginal_N.detach().numpy() == pytest.approx(np.log(np.exp(met).mean(1)), rel=1e-9)


def test_off_diagonal_leaves_out_each_row_s_own():
    table = np.arange(25).reshape(5, 5)
    expected = [[table[i, j] for j in range(5) if j != i] for i in range(5)]
    assert off_diagonal(torch.tensor(table)).tolist() == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0}, "InfoNCE: learning_rate is 0; it must be above 0"),
        ({"weight_decay": -1}, "weight_decay is -1; it must be at least 0"),
        ({"validation": 1}, "validation is 1; it must be at least 0 and below 1"),
        ({"iterations": 0}, "iterations is 0; it must be a whole number of at least 1"),
        ({"batch_size": 1}, "batch_size is 1; it must be a whole number of at least 2"),
        ({"interval": 0}, "interval is 0; it must be a whole number of at least 1"),
        ({"patience": 0}, "patience is 0; it must be a whole number of at least 1"),
        ({"max_marginal": 0}, "max_marginal is 0; it must be a whole number of at least 1"),
    ],
)
def test_settings_out_of_range_are_one_sentence(changed, message, configured):
    with pytest.raises(ValueError, match=message):
        configured("info_nce", **changed)


def test_pairs_that_cannot_be_learnt_are_one_sentence(configured, correlated):
    estimator = configured("mine", batch_size=64, validation=0.2, iterations=3)
    train = correlated(100, 3, 1.0)
    with pytest.raises(
        ValueError, match="MINE: of 70 pairs 56 are learnt, 64 at a time, and 14 choose the step"
    ):
        estimator.fit(train.rows(torch.arange(70)), seed=0)
    few = configured("mine", batch_size=2, validation=0.2)
    with pytest.raises(
        ValueError, match=r"of 4 pairs 3 are learnt, 2 at a time, and 1 .*at least 2 are needed"
    ):
        few.fit(train.rows(torch.arange(4)), seed=0)
    for name, bad in (("x_NC", math.nan), ("y_NE", math.inf)):
        broken = getattr(train, name).clone()
        broken[7, 1] = bad
        with pytest.raises(ValueError, match=f"1 of 100 pairs have a value of {name[0]} that is not finite"):
            estimator.fit(train._replace(**{name: broken}), seed=0)
        with pytest.raises(ValueError, match=f"1 of 100 pairs have a value of {name[0]} that is not finite"):
            estimator.fit(train, seed=0)(train._replace(**{name: broken}))
        constant = torch.full_like(broken, 0.1)
        with pytest.raises(ValueError, match=f"MINE: {name[0]} is the same in all 100 pairs"):
            estimator.fit(train._replace(**{name: constant}), seed=0)
    with pytest.raises(ValueError, match="1 pairs, at least 2 are needed"):
        estimator.fit(train, seed=0)(train.rows(torch.arange(1)))


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_divergence_is_one_sentence_and_no_number(validation, configured, correlated):
    estimator = configured("nwj", learning_rate=1e6, validation=validation, interval=20, **SMALL)
    with pytest.raises(ValueError, match=r"NWJ: diverged with learning_rate 1000000.0; lower it"):
        estimator.fit(correlated(100, 3, 1.0), seed=0)
