"""Pairs of known information and estimators by their files, for the tests of this folder."""

import math

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.information.estimators import Pairs
from ctc_lightning.information.estimators.critic import Critic
from ctc_lightning.information.estimators.neural import FittedCritic, Scale


@pytest.fixture
def correlated():
    """A function of N, dimensions, nats and seed: Gaussian pairs, each dimension of y correlated with x's."""

    def draw(num_pairs, dims, information, seed=0):
        generator = torch.Generator().manual_seed(seed)
        correlation = math.sqrt(1 - math.exp(-2 * information / dims))
        x_NC, noise_NC = torch.randn(2, num_pairs, dims, generator=generator)
        return Pairs(x_NC, correlation * x_NC + math.sqrt(1 - correlation**2) * noise_NC)

    return draw


@pytest.fixture
def configured():
    """A function of a file in conf/estimator and of settings that differ from it: the estimator."""

    def build(name, **changed):
        with initialize_config_dir(str(config_dir()), version_base=None):
            file = compose(f"estimator/{name}")["estimator"]
        assert list(file) == [name]
        try:
            return instantiate(file[name], **changed)
        except InstantiationException as error:
            raise error.__cause__ from None

    return build


class TableCritic(Critic):
    """T(x_i, y_j) from a table, of x = i and y = j."""

    def __init__(self, score_NN):
        super().__init__()
        self.score_NN = score_NN

    def paired(self, x_BC, y_BE):
        return self.score_NN[x_BC[:, 0].long(), y_BE[:, 0].long()]

    def crossed(self, x_PC, y_QE):
        return self.score_NN[x_PC[:, :1].long(), y_QE[:, 0].long()]


@pytest.fixture
def judged():
    """A function of an estimator and an (N, N) array of T(x_i, y_j): its estimate on the N pairs."""

    def estimate(estimator, score_NN):
        x_N1 = torch.arange(len(score_NN), dtype=torch.float64)[:, None]
        scale = Scale.of(x_N1, standardise=False)
        fitted = FittedCritic(estimator, TableCritic(torch.as_tensor(score_NN)), scale, scale)
        return fitted(Pairs(x_N1, x_N1))

    return estimate


@pytest.fixture
def score_55():
    """T of 5 pairs, the diagonal, and of all others."""
    return np.random.default_rng(0).normal(0.5, 2.0, (5, 5)) + 2 * np.eye(5)


@pytest.fixture
def others():
    """A function of an (N, N) array: its N(N − 1) entries off the diagonal, row by row."""
    return lambda score_NN: score_NN[~np.eye(len(score_NN), dtype=bool)].reshape(len(score_NN), -1)
