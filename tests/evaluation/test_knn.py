"""Nearest neighbours against a loop. N: images, F: features."""

import numpy as np
import pytest

from ctc_lightning.evaluation import Features, NearestNeighbours, Score


def naive_accuracy(train, queries, k):
    """Cosine similarity to every training image, then a vote."""
    correct = 0
    for h_F, label in zip(*queries, strict=True):
        similarity_N = train.h_NF @ h_F / np.linalg.norm(train.h_NF, axis=1) / np.linalg.norm(h_F)
        votes = np.bincount(train.label_N[similarity_N.argsort()[-k:]], minlength=3)
        correct += votes.argmax() == label
    return correct / len(queries.label_N)


def test_equals_a_loop_over_k_and_images(splits):
    train, val, test = splits
    best = max(
        (naive_accuracy(train, val, k), -k) for k in (1, 3, 5, 15, 200)
    )  # of equally good ones the smallest k
    expected = Score(naive_accuracy(train, test, -best[1]), best[0], -best[1])
    assert NearestNeighbours([1, 3, 5, 15, 200]).score(*splits) == pytest.approx(expected)


@pytest.mark.parametrize("neighbours", [[5, 1], [1, 5]])
def test_of_equally_good_k_the_first_is_taken(neighbours):
    label_N = np.arange(40) % 2
    split = Features(np.stack([label_N, 1 - label_N], axis=1) + 0.0, label_N)
    assert NearestNeighbours(neighbours).score(split, split, split).chosen == neighbours[0]


def test_the_test_split_is_not_looked_at(splits, assert_test_is_not_looked_at):
    assert_test_is_not_looked_at(NearestNeighbours([1, 5]), *splits)


def test_features_that_are_not_finite_are_refused(splits_with_a_nan):
    with pytest.raises(
        ValueError, match=r"1 of (240|150) images have features that are not finite.*learning rate"
    ):
        NearestNeighbours([1]).score(*splits_with_a_nan)


@pytest.mark.parametrize("neighbours", [[], [0, 5], [-1]])
def test_wrong_neighbours_are_refused(neighbours):
    with pytest.raises(ValueError, match=rf"neighbours are \{neighbours}; give at least one, all at least 1"):
        NearestNeighbours(neighbours)


def test_more_neighbours_than_training_images_are_refused(splits):
    with pytest.raises(ValueError, match="k = 241 neighbours of 240 training images; choose at most as many"):
        NearestNeighbours([1, 241]).score(*splits)
