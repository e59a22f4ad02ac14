"""Random numbers of torch, NumPy and Python go on where they stopped."""

import io
import random

import numpy as np
import pytorch_lightning as pl
import torch

from ctc_lightning.training.callbacks import RandomState


def draw():
    numpy = np.random.rand(3).tolist()  # noqa: NPY002 - the global state is what is saved
    return torch.rand(3).tolist(), numpy, random.random(), random.gauss(0, 1)


def seed(number):
    pl.seed_everything(number, verbose=False)


def through_a_file(state):
    """As a checkpoint does, which is read without unpickling code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_draws_go_on_as_if_nothing_had_happened():
    seed(1)
    draw()
    saved = through_a_file(RandomState().state_dict())
    expected = draw(), draw()

    seed(2)
    resumed = RandomState()
    resumed.load_state_dict(saved)
    draw()  # what happens until training starts leaves no trace
    resumed.on_train_start(None, None)
    assert (draw(), draw()) == expected


def test_saving_draws_nothing():
    seed(1)
    expected = draw()
    seed(1)
    RandomState().state_dict()
    assert draw() == expected


def test_a_run_that_does_not_resume_keeps_its_own():
    seed(1)
    expected = draw()
    seed(1)
    RandomState().on_train_start(None, None)
    assert draw() == expected


def test_a_rank_that_was_not_there_keeps_its_own():
    fresh = RandomState()
    fresh.load_state_dict({"ranks": []})
    seed(1)
    expected = draw()
    seed(1)
    fresh.on_train_start(None, None)
    assert draw() == expected


def test_states_are_restored_once():
    seed(1)
    callback = RandomState()
    callback.load_state_dict(callback.state_dict())
    callback.on_train_start(None, None)
    first = draw()
    callback.on_train_start(None, None)  # another fit of the same trainer
    assert draw() != first
