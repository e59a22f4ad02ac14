"""Cross-fitting: every image is held out once, nothing is judged by what it was fitted on, flags are said."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import t as student_t

from ctc_lightning.information.estimators import Estimate, NoisyChannel, Pairs
from ctc_lightning.information.input_view import Pixels
from ctc_lightning.information.protocols import InputInformation, LabelInformation

FOLDS = {"folds": 4, "max_images": 5000}


def of_input(estimator, noise=0.5, **options):
    return InputInformation(estimator=estimator, x=Pixels(), noise=noise, **FOLDS | options)


def test_every_image_is_held_out_once_and_never_fitted_on_at_the_same_time(task, recorder):
    estimator = recorder()
    of_input(estimator).measure(task)
    held_out = torch.cat([pairs.clean_NE for pairs in estimator._judged_on])
    assert len(held_out.unique(dim=0)) == len(held_out) == 100
    for known, unseen in zip(estimator._fitted_on, estimator._judged_on, strict=True):
        assert len(torch.cat([known.clean_NE, unseen.clean_NE]).unique(dim=0)) == 100


def test_the_features_are_scaled_by_one_number_and_the_noise_is_of_the_stated_size(task, recorder):
    estimator = recorder()
    of_input(estimator, noise=0.25).measure(task)
    pairs = estimator._judged_on[0].rows(torch.arange(25))
    assert pairs.noise == 0.25
    h_NF = task.features["test"].double().numpy()
    expected = (h_NF - h_NF.mean(0)) / np.sqrt(h_NF.var(0).mean())
    clean = torch.cat([p.clean_NE for p in estimator._judged_on]).double().numpy()
    np.testing.assert_allclose(np.sort(clean, axis=0), np.sort(expected, axis=0), atol=1e-5)
    added = torch.cat([p.y_NE - p.clean_NE for p in estimator._judged_on]) / 0.25
    # Of 400 standard normal draws: mean within 4/√400, standard deviation within 4/√800
    assert abs(added.mean()) < 0.2
    assert abs(added.std() - 1) < 0.15


def test_all_checkpoints_meet_the_same_noise_and_the_same_folds(task, recorder):
    one, other = recorder(), recorder()
    of_input(one).measure(task)
    later = {split: h_NF.flip(1) for split, h_NF in task.features.items()}
    of_input(other).measure(replace(task, features=later))
    for a, b in zip(one._judged_on, other._judged_on, strict=True):
        torch.testing.assert_close(a.clean_NE, b.clean_NE.flip(1))
        torch.testing.assert_close(a.y_NE - a.clean_NE, b.y_NE - b.clean_NE, atol=1e-5, rtol=0)


def test_without_noise_no_channel_is_claimed(task, recorder):
    estimator = recorder()
    of_input(estimator, noise=0).measure(task)
    pairs = estimator._judged_on[0]
    assert pairs.clean_NE is None
    assert pairs.noise == 0


def test_the_value_is_the_mean_over_folds_with_its_t_interval(task, recorder):
    estimator = recorder()
    value = of_input(estimator, folds=3).measure(task)[0]
    sizes = np.array([34, 33, 33]) / 1000
    half = student_t.ppf(0.975, 2) * sizes.std(ddof=1) / sqrt(3)
    assert value.metric == "information"
    assert value.value == pytest.approx(sizes.mean())
    assert (value.low, value.high) == pytest.approx((sizes.mean() - half, sizes.mean() + half))
    assert value.n == 100
    assert value.chosen == "noise=0.5; folds=3"


def test_a_ceiling_that_is_near_and_a_gap_are_flagged(task, recorder):
    flagged = of_input(recorder(ceiling=0.026, train=1.025)).measure(task)
    assert flagged[0].note == "within 5 % of its ceiling of 0.03 nats; training estimate 1.00 nats above"
    assert {m.metric: m.value for m in flagged}["information_train"] == pytest.approx(1.025)
    assert of_input(recorder(ceiling=0.027, train=0.1)).measure(task)[0].note == ""


def test_a_zero_that_says_nothing_is_flagged(task, recorder, monkeypatch):
    estimator = recorder()
    fitted = type(estimator.fit(Pairs(torch.zeros(1, 1), torch.zeros(1, 1)), seed=0))
    monkeypatch.setattr(fitted, "__call__", lambda self, pairs: Estimate(0.0))
    (note,) = {number.note for number in of_input(estimator).measure(task) if number.metric == "information"}
    assert note == "0 because nothing that was learnt held on other pairs"


def test_a_ceiling_that_is_the_entropy_itself_is_no_flaw(task, recorder):
    estimator = recorder(ceiling=0.026)
    estimator.__class__ = type("Entropy", (type(estimator),), {"saturates": False})
    assert of_input(estimator).measure(task)[0].note == ""


def test_labels_are_one_hot_and_every_fold_has_its_share(task, recorder):
    estimator = recorder()
    LabelInformation(estimator=estimator, **FOLDS).measure(task)
    for pairs in estimator._judged_on:
        assert pairs.y_NE.shape[1] == 3
        assert set(pairs.y_NE.sum(1).tolist()) == {1.0}
        counts = pairs.y_NE.sum(0)
        assert counts.max() - counts.min() <= 1
    features = torch.cat([pairs.x_NC for pairs in estimator._judged_on])
    assert len(features.unique(dim=0)) == 100


def test_fewer_images_are_drawn_alike_for_every_checkpoint(task, recorder):
    one, other = recorder(), recorder()
    for estimator in (one, other):
        of_input(estimator, max_images=40).measure(task)
    assert sum(len(pairs.y_NE) for pairs in one._judged_on) == 40
    assert torch.equal(one._judged_on[0].clean_NE, other._judged_on[0].clean_NE)


def test_collapsed_features_are_an_error_not_a_number(task, recorder):
    collapsed = {split: torch.full_like(h_NF, 0.3) for split, h_NF in task.features.items()}
    for protocol in (of_input(recorder()), LabelInformation(estimator=recorder(), **FOLDS)):
        with pytest.raises(ValueError, match="features of all test images of hue are the same"):
            protocol.measure(replace(task, features=collapsed))


def test_features_that_differ_by_rounding_alone_are_collapsed_too(task, recorder):
    """Divided by their own spread they would tell images apart."""
    draw = torch.Generator().manual_seed(0)
    collapsed = 0.3 * (1 + 6e-8 * torch.randint(-1, 2, (100, 4), generator=draw))
    assert collapsed.std() > 0
    features = {**task.features, "test": collapsed}
    for protocol in (of_input(recorder()), LabelInformation(estimator=recorder(), **FOLDS)):
        with pytest.raises(ValueError, match="features of all test images of hue are the same"):
            protocol.measure(replace(task, features=features))


def test_a_dimension_that_differs_by_rounding_alone_is_flat(task, recorder):
    draw = torch.Generator().manual_seed(0)
    flat = 0.3 * (1 + 6e-8 * torch.randint(-1, 2, (100, 1), generator=draw))
    features = {**task.features, "test": torch.cat([task.features["test"], flat], 1)}
    estimator = recorder()
    of_input(estimator, noise=0).measure(replace(task, features=features))
    assert bool((estimator._judged_on[0].y_NE[:, -1] == 0).all())


def test_an_estimate_that_is_no_number_is_an_error(task, recorder, monkeypatch):
    estimator = recorder()
    fitted = type(estimator.fit(Pairs(torch.zeros(1, 1), torch.zeros(1, 1)), seed=0))
    monkeypatch.setattr(fitted, "__call__", lambda self, pairs: Estimate(float("nan")))
    with pytest.raises(ValueError, match="the estimate is nan on a fold"):
        of_input(estimator).measure(task)


def test_a_part_of_many_classes_has_its_share_of_each(task, recorder):
    """1000 classes of 50 images, of which 5000 are drawn: by chance some would have too few for the folds."""
    label = {**task.label, "test": torch.arange(100) % 20}
    estimator = recorder()
    LabelInformation(estimator=estimator, folds=3, max_images=60).measure(replace(task, label=label))
    assert sum(pairs.y_NE.sum(0) for pairs in estimator._judged_on).tolist() == [3.0] * 20
    with pytest.raises(ValueError, match=r"raise max_images \(40 of 100 images are used\)"):
        LabelInformation(estimator=recorder(), folds=3, max_images=40).measure(replace(task, label=label))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"folds": 2}, "folds is 2; it must be a whole number of at least 3"),
        ({"max_images": 2}, "max_images is 2; it must be at least folds=4"),
        ({"noise": -1}, "noise is -1; it must be at least 0"),
    ],
)
def test_options_that_cannot_work(change, sentence, recorder):
    with pytest.raises(ValueError, match=sentence):
        of_input(recorder(), **change)


def test_too_few_images_and_a_class_too_rare_for_the_folds(task, recorder):
    few = {**task.features, "test": task.features["test"][:3]}
    with pytest.raises(ValueError, match="hue has 3 test images for 4 folds"):
        of_input(recorder()).measure(replace(task, features=few))
    rare = {**task.label, "test": (torch.arange(100) < 2).long()}
    with pytest.raises(ValueError, match="a class of hue has 2 test images, each of 4 folds needs one"):
        LabelInformation(estimator=recorder(), **FOLDS).measure(replace(task, label=rare))
    several = {split: torch.zeros(len(h), 3, dtype=torch.int8) for split, h in task.features.items()}
    with pytest.raises(ValueError, match="may have several labels"):
        LabelInformation(estimator=recorder(), **FOLDS).measure(replace(task, label=several))


def test_settings_tell_estimators_inputs_and_options_apart(recorder):
    settings = [
        of_input(recorder()).settings,
        of_input(recorder(ceiling=2)).settings,
        of_input(recorder(), noise=1).settings,
        of_input(recorder(), folds=5).settings,
    ]
    assert len({str(one) for one in settings}) == 4
    assert str(of_input(recorder()).settings) == str(settings[0])


def test_two_groups_apart_carry_one_bit_at_little_noise(recorder, task):
    """Features at ±1: T_σ tells which of two, so I = ln 2 when σ is small against their distance."""
    sign = torch.where(torch.arange(300) < 150, 1.0, -1.0)
    features = {**task.features, "test": sign[:, None].clone()}
    channel = NoisyChannel(draws=8)
    found = {
        m.metric: m.value for m in of_input(channel, noise=0.1).measure(replace(task, features=features))
    }
    assert found["information"] == pytest.approx(np.log(2), abs=0.01)  # σ = distance / 20: no overlap
