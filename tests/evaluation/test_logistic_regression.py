"""The path reaches scikit-learn's optimum. N: images, F: features, L: classes."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.logistic_regression import fit_path

STRENGTHS = [1e4, 1.0, 1e-2, 1e-5]
PRECISION = 1e-4  # nats per image: what is promised


def images(num_images, num_features, num_classes, *, signal, condition=1.0, shares=None):
    """Normal classes with linearly mixed features far from 0, as float32; the mix has the given condition."""
    random = np.random.default_rng(0)
    label_N = np.arange(num_images) % num_classes if shares is None else np.repeat(range(num_classes), shares)
    z_NF = random.normal(size=(num_images, num_features))
    z_NF += signal * random.normal(size=(num_classes, num_features))[label_N]
    turn_FF = np.linalg.qr(random.normal(size=(num_features, num_features)))[0]
    return np.float32(z_NF @ np.diag(np.geomspace(1, 1 / condition, num_features)) @ turn_FF + 3), label_N


CASES = {
    "more images than features": images(300, 12, 4, signal=0.5),
    "more features than images": images(40, 90, 3, signal=0.3),
    "badly conditioned": images(300, 12, 4, signal=0.5, condition=1e4),
    "imbalanced": images(300, 12, 4, signal=0.5, shares=[240, 50, 8, 2]),
    "separable": images(120, 8, 4, signal=6.0),
    "two classes": images(200, 6, 2, signal=0.5),
}


def objective(z_NF, label_N, weight_LF, bias_L, strength):
    """(1/N) (Σ CE + λ/2 |W|²); of two classes as scikit-learn has them, with one vector of weights."""
    weight_LF, bias_L, z_NF = (torch.as_tensor(a, dtype=torch.double) for a in (weight_LF, bias_L, z_NF))
    if len(weight_LF) == 2:
        weight_LF, bias_L = weight_LF[1:] - weight_LF[:1], bias_L[1:] - bias_L[:1]
    penalty = strength / 2 * weight_LF.square().sum() / len(label_N)
    if len(weight_LF) == 1:
        weight_LF, bias_L = torch.cat([0 * weight_LF, weight_LF]), torch.cat([0 * bias_L, bias_L])
    return float(cross_entropy(z_NF @ weight_LF.T + bias_L, torch.as_tensor(label_N)) + penalty)


def newton(z_NF, label_N, strength):
    """scikit-learn's optimum, by Newton steps on centred features."""
    mean_F = z_NF.mean(0, dtype=float)
    model = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10, max_iter=500)
    model.fit(z_NF - mean_F, label_N)
    return model.coef_, model.intercept_ - model.coef_ @ mean_F


@pytest.mark.filterwarnings("ignore")  # Newton's last line search meets rounding
@pytest.mark.parametrize("case", CASES)
def test_reaches_the_optimum_of_scikit_learn(case):
    z_NF, label_N = CASES[case]
    num_classes = label_N.max() + 1
    path = list(fit_path(torch.tensor(z_NF), torch.tensor(label_N), num_classes, STRENGTHS))
    for strength, linear in zip(STRENGTHS, path, strict=True):
        best = objective(z_NF, label_N, *newton(z_NF, label_N, strength), strength)
        reached = objective(z_NF, label_N, linear.weight_LF, linear.bias_L, strength)
        assert reached - best <= PRECISION
        assert reached >= best - 1e-6  # the reference is an optimum
        if best > 0.1:  # where the loss is not near 0: relative too
            assert reached <= best * (1 + PRECISION)


@pytest.mark.parametrize("case", CASES)
def test_reports_the_objective_it_reached(case):
    z_NF, label_N = CASES[case]
    for linear in fit_path(torch.tensor(z_NF), torch.tensor(label_N), label_N.max() + 1, STRENGTHS):
        reached = objective(z_NF, label_N, linear.weight_LF, linear.bias_L, linear.strength)
        assert linear.objective == pytest.approx(reached, rel=1e-5, abs=1e-6)  # float32 logits


def test_without_features_the_best_are_the_frequencies():
    label_N = torch.tensor([0, 0, 0, 1, 2, 2])
    (linear,) = fit_path(torch.ones(6, 2), label_N, 3, [1.0])
    assert linear(torch.ones(1, 2)).softmax(1)[0].tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 3], abs=1e-6)


def test_comes_from_the_strongest_to_the_weakest_whatever_the_order():
    z_NF, label_N = map(torch.tensor, CASES["imbalanced"])
    assert [linear.strength for linear in fit_path(z_NF, label_N, 4, [1.0, 1e2, 1e-2])] == [1e2, 1.0, 1e-2]


def test_a_class_without_training_images_is_never_predicted_and_changes_nothing():
    z_NF, label_N = map(torch.tensor, CASES["separable"])
    (three,), (four,) = (
        fit_path(z_NF[label_N < 3], label_N[label_N < 3], num_classes, [1.0]) for num_classes in (3, 4)
    )
    assert (four(z_NF).argmax(1) < 3).all()
    torch.testing.assert_close(four(z_NF)[:, :3], three(z_NF))


def test_several_labels_are_as_many_binary_problems_without_the_unjudged():
    random = np.random.default_rng(0)
    z_NF = np.float32(random.normal(size=(200, 5)) + 1)
    label_NL = np.int8(z_NF[:, :3] + random.normal(size=(200, 3)) > 1)
    label_NL[random.random((200, 3)) < 0.2] = -1
    for linear in fit_path(torch.tensor(z_NF), torch.tensor(label_NL), 3, [100.0, 1.0]):
        for k in range(3):
            judged_N = label_NL[:, k] >= 0
            z, y = z_NF[judged_N], label_NL[judged_N, k].astype(int)
            weight, bias = linear.weight_LF[[k]], linear.bias_L[[k]]
            best = objective(z, y, *newton(z, y, linear.strength), linear.strength)
            assert objective(z, y, weight, bias, linear.strength) == pytest.approx(best, abs=PRECISION)


def test_a_label_that_all_or_no_images_have_ranks_no_image():
    z_NF = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    label_NL = torch.stack([torch.ones(20), torch.zeros(20), (z_NF[:, 0] > 0).float()], dim=1).to(torch.int8)
    (linear,) = fit_path(z_NF, label_NL, 3, [1.0])
    logits_NL = linear(z_NF)
    assert logits_NL.isfinite().all()
    assert (logits_NL[:, :2] == logits_NL[:1, :2]).all()
