"""The linear probe's invariances, and that it chooses on validation alone. N: images, F: features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ctc_lightning.evaluation import Features, LinearProbe

STRENGTHS = [1e-3, 1e-1, 10.0]


def mapped(splits, matrix_FF, shift_F=0.0):
    return [Features(split.h_NF @ matrix_FF + shift_F, split.label_N) for split in splits]


def test_equals_a_loop_of_logistic_regressions(splits):
    train, val, test = splits
    mean_F, deviation_F = train.h_NF.mean(0), train.h_NF.std(0)
    z, z_val, z_test = ((split.h_NF - mean_F) / deviation_F for split in splits)
    found = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(z, train.label_N)
        found.append((model.score(z_val, val.label_N), -strength, model.score(z_test, test.label_N)))
    val_top1, negative_strength, top1 = max(found)
    score = LinearProbe(whiten=False, strengths=STRENGTHS).score(*splits)
    assert score == pytest.approx((top1, val_top1, -negative_strength), abs=1 / 150 + 1e-9)


def test_whitened_accuracy_is_invariant_under_invertible_linear_maps(splits):
    probe, random = LinearProbe(whiten=True, strengths=STRENGTHS), np.random.default_rng(2)
    left_FF, right_FF = (np.linalg.qr(random.normal(size=(6, 6)))[0] for _ in range(2))
    ill_conditioned_FF = left_FF @ np.diag(np.logspace(-2, 2, 6)) @ right_FF
    before, after = probe.score(*splits), probe.score(*mapped(splits, ill_conditioned_FF, shift_F=50.0))
    assert after == pytest.approx(before, abs=1 / 150 + 1e-9)


def test_standardised_accuracy_is_invariant_under_scaling_and_shifting_each_feature(splits):
    probe = LinearProbe(whiten=False, strengths=STRENGTHS)
    before, after = (
        probe.score(*splits),
        probe.score(*mapped(splits, np.diag(np.logspace(-3, 3, 6)), shift_F=50.0)),
    )
    assert after == pytest.approx(before, abs=1 / 150 + 1e-9)


@pytest.mark.parametrize("whiten", [True, False])
def test_a_constant_feature_does_no_harm(whiten, splits):
    probe = LinearProbe(whiten=whiten, strengths=STRENGTHS)
    padded = [
        Features(np.pad(split.h_NF, ((0, 0), (0, 1)), constant_values=0.3), split.label_N) for split in splits
    ]
    assert probe.score(*padded) == pytest.approx(probe.score(*splits), abs=1 / 150 + 1e-9)


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in divide:RuntimeWarning"
)  # PCA's, of no variance
@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("constant", [0.0, 0.3, 1000.0])
def test_a_network_that_has_collapsed_on_its_training_images_gives_chance(constant, whiten, splits):
    train, val, test = splits
    collapsed = Features(np.full_like(train.h_NF, np.float32(constant)), train.label_N)
    majority = np.bincount(train.label_N).argmax()
    score = LinearProbe(whiten=whiten, strengths=STRENGTHS).score(collapsed, val, test)
    assert score.top1 == pytest.approx((test.label_N == majority).mean())


def test_whitening_does_not_blow_up_the_rounding_of_redundant_features(splits):
    probe, random = LinearProbe(whiten=True, strengths=STRENGTHS), np.random.default_rng(3)
    redundant = [
        Features(np.float64(np.float32(h_NF)), y) for h_NF, y in mapped(splits, random.normal(size=(6, 60)))
    ]
    assert probe.score(*redundant) == pytest.approx(probe.score(*splits), abs=1 / 150 + 1e-9)


def test_more_features_than_images_are_no_obstacle_to_whitening():
    random = np.random.default_rng(0)
    label_N = random.integers(2, size=30)
    split = Features(random.normal(size=(30, 64)) + 6 * label_N[:, None], label_N)
    assert LinearProbe(whiten=True, strengths=[1.0]).score(split, split, split).top1 == 1


def test_many_features_that_each_tell_a_little_call_for_a_small_strength():
    random = np.random.default_rng(0)

    def split(num_images):
        label_N = np.arange(num_images) % 2
        return Features(random.normal(size=(num_images, 60)) + 0.4 * label_N[:, None], label_N)

    assert (
        LinearProbe(whiten=False, strengths=[1e4, 1e-3]).score(split(100), split(400), split(400)).chosen
        == 1e-3
    )


def test_a_difference_of_features_calls_for_a_large_strength():
    random = np.random.default_rng(0)

    def split(num_images):
        label_N, nuisance_N = random.integers(2, size=num_images), 5 * random.normal(size=num_images)
        return Features(np.stack([label_N + nuisance_N, nuisance_N], axis=1), label_N)

    assert (
        LinearProbe(whiten=False, strengths=[1e4, 1e-2]).score(split(80), split(400), split(400)).chosen
        == 1e4
    )


def test_of_equally_good_strengths_the_smallest_is_taken():
    label_N = np.arange(40) % 2
    split = Features(label_N[:, None] + np.zeros((40, 2)), label_N)
    assert LinearProbe(whiten=False, strengths=[10.0, 0.1, 1.0]).score(split, split, split).chosen == 0.1


@pytest.mark.parametrize("whiten", [True, False])
def test_the_test_split_is_not_looked_at(whiten, splits, assert_test_is_not_looked_at):
    assert_test_is_not_looked_at(LinearProbe(whiten=whiten, strengths=STRENGTHS), *splits)


def test_features_that_are_not_finite_are_refused(splits_with_a_nan):
    with pytest.raises(
        ValueError, match=r"1 of (240|150) images have features that are not finite.*learning rate"
    ):
        LinearProbe(whiten=True, strengths=STRENGTHS).score(*splits_with_a_nan)


@pytest.mark.parametrize("strengths", [[], [0.0, 1.0], [-1.0]])
def test_wrong_strengths_are_refused(strengths):
    message = rf"strengths are \{strengths}; give at least one, all above 0"
    with pytest.raises(ValueError, match=message):
        LinearProbe(whiten=True, strengths=strengths)
