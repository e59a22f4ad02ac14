"""The path against scikit-learn's optimum and Newton's in float64. N: images, F: features, L: classes."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import LogisticRegression

from ctc_lightning.evaluation.logistic_regression import fit_path
from ctc_lightning.evaluation.scaling import fit_scaling

PROMISE = 1e-4  # nats per image above the optimum
STRENGTHS = [100.0, 1.0, 1e-3]


def gaussians(num_images, num_features, num_classes, *, noise=2.0, seed=0, share=None):
    """Classes around random centres, as float32 features and labels."""
    random = np.random.default_rng(seed)
    centre_LF = random.normal(size=(num_classes, num_features))
    label_N = random.choice(num_classes, size=num_images, p=share)
    h_NF = centre_LF[label_N] + noise * random.normal(size=(num_images, num_features))
    return torch.tensor(h_NF, dtype=torch.float32), torch.tensor(label_N)


def rescaled(scales):
    h_NF, label_N = gaussians(300, len(scales), 4)
    return h_NF * torch.tensor(scales, dtype=torch.float32), label_N


def with_columns(*added):
    h_NF, label_N = gaussians(200, 6, 3)
    return torch.cat([h_NF, *(column(h_NF) for column in added)], dim=1), label_N


def rectified(num_images=250, num_features=40):
    """Non-negative with a decaying spectrum, a third of them dead: pooled features of a network."""
    h_NF, label_N = gaussians(num_images, num_features, 5, noise=3)
    turn_FF = np.linalg.qr(np.random.default_rng(1).normal(size=(num_features, num_features)))[0]
    h_NF = (h_NF / torch.arange(1, num_features + 1) ** 0.7) @ torch.tensor(turn_FF).float()
    h_NF[:, ::3] = -1
    return h_NF.relu(), label_N


def collinear(num_images=600, num_features=24):
    """Standardised features whose directions span three decades; the classes overlap, as in a real probe."""
    h_NF, label_N = gaussians(num_images, num_features, 6, noise=5)
    turn_FF = np.linalg.qr(np.random.default_rng(2).normal(size=(num_features, num_features)))[0]
    h_NF = (h_NF.double() * torch.logspace(0, -3, num_features)) @ torch.tensor(turn_FF)
    return ((h_NF - h_NF.mean(0)) / h_NF.std(0)).float(), label_N


CASES = {
    "more images than features": lambda: gaussians(300, 10, 5),
    "more features than images": lambda: gaussians(60, 150, 4),
    "scales 1e-4 to 1e4": lambda: rescaled(10.0 ** np.linspace(-4, 4, 9)),
    "constant features": lambda: with_columns(lambda h: 0 * h + 7, lambda h: 0 * h),
    "duplicate features": lambda: with_columns(lambda h: h, lambda h: 2 * h[:, :2]),
    "separable": lambda: gaussians(120, 8, 4, noise=0.05),
    "two classes": lambda: gaussians(200, 5, 2),
    "two classes, separable": lambda: gaussians(100, 5, 2, noise=0.1),
    "imbalanced": lambda: gaussians(400, 6, 4, share=[0.9, 0.07, 0.02, 0.01]),
    "mean of 1000": lambda: (gaussians(300, 8, 4)[0] + 1000, gaussians(300, 8, 4)[1]),
    "rectified": rectified,
    "collinear": collinear,
}


def objective(h_NF, label_N, weight_LF, bias_L, strength):
    """(1/N) (Σ CE + λ/2 |W|²) in float64, by the definition."""
    z_NL = h_NF.double().numpy() @ weight_LF.T + bias_L
    top_N = z_NL.max(1)
    loss_N = top_N + np.log(np.exp(z_NL - top_N[:, None]).sum(1)) - z_NL[np.arange(len(z_NL)), label_N]
    return (loss_N.sum() + strength / 2 * (weight_LF**2).sum()) / len(h_NF)


def lowest_binary(h_NF, hit_N, strength):
    """Minimum of Σ log(1 + exp(−s (w h + b))) + λ/2 |w|² over w and b, s = ±1: Newton in float64."""
    h_NG = np.hstack([h_NF.double().numpy(), np.ones((len(h_NF), 1))])
    sign_N, penalty_G = 2.0 * hit_N - 1, np.r_[np.full(h_NF.shape[1], strength), 0.0]

    def value(w_G):
        margin_N = sign_N * (h_NG @ w_G)
        return np.logaddexp(0, -margin_N).sum() + (penalty_G * w_G**2).sum() / 2

    def slope(w_G):
        margin_N = sign_N * (h_NG @ w_G)
        return -(sign_N / (1 + np.exp(margin_N))) @ h_NG + penalty_G * w_G

    def hessian(w_G):
        p_N = 1 / (1 + np.exp(-(h_NG @ w_G)))
        return (h_NG.T * (p_N * (1 - p_N))) @ h_NG + np.diag(penalty_G)

    start = np.zeros(h_NG.shape[1])
    found = scipy.optimize.minimize(value, start, jac=slope, hess=hessian, method="trust-exact", tol=1e-9)
    return found.fun, found.x


def sklearn_optimum(h_NF, label_N, strength):
    """The better of two solvers run to the end: on bad conditioning the first stops early."""
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for solver in ("newton-cholesky", "lbfgs"):
            model = LogisticRegression(C=1 / strength, solver=solver, tol=1e-10, max_iter=3000)
            model.fit(h_NF.double().numpy(), label_N.numpy())
            fits.append((sklearn_objective(model, h_NF, label_N, strength), model))
    return min(fits, key=lambda fit: fit[0])


def sklearn_objective(model, h_NF, label_N, strength):
    if len(model.classes_) > 2:
        return objective(h_NF, label_N.numpy(), model.coef_, model.intercept_, strength)
    z_N = h_NF.double().numpy() @ model.coef_[0] + model.intercept_
    hit_N = label_N.numpy() == model.classes_[1]
    loss = np.logaddexp(0, z_N).sum() - z_N[hit_N].sum()
    return (loss + strength / 2 * (model.coef_**2).sum()) / len(h_NF)


def our_objective(linear, h_NF, label_N, num_classes):
    """Two classes have one weight vector: the difference."""
    weight_LF, bias_L = linear.weight_LF.numpy(), linear.bias_L.numpy()
    if num_classes > 2:
        return objective(h_NF, label_N.numpy(), weight_LF, bias_L, linear.strength)
    both = np.stack([0 * weight_LF[0], weight_LF[1] - weight_LF[0]]), np.array([0, bias_L[1] - bias_L[0]])
    return objective(h_NF, label_N.numpy(), *both, linear.strength)


@pytest.mark.parametrize("case", CASES)
def test_the_objective_is_scikit_learns_optimum(case):
    h_NF, label_N = CASES[case]()
    num_classes = len(label_N.unique())
    for linear in fit_path(h_NF, label_N, num_classes, STRENGTHS):
        lowest, _ = sklearn_optimum(h_NF, label_N, linear.strength)
        reached = our_objective(linear, h_NF, label_N, num_classes)
        assert reached <= lowest + PROMISE, f"λ = {linear.strength}: {reached} instead of {lowest}"
        assert reached >= lowest - 1e-6, "the reference is no optimum"
        # what the fit itself says is what it reached, to float32's rounding
        assert linear.objective == pytest.approx(reached, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("scale", ["standardised", "whitened"])
@pytest.mark.parametrize("case", ["more images than features", "rectified", "collinear", "mean of 1000"])
def test_of_scaled_features_too_and_the_weights_are_of_the_features(scale, case):
    h_NF, label_N = CASES[case]()
    num_classes = len(label_N.unique())
    scaling = fit_scaling(h_NF, scale)
    z_NF = scaling(h_NF)
    for linear in fit_path(h_NF, label_N, num_classes, STRENGTHS, scaling):
        lowest, model = sklearn_optimum(z_NF, label_N, linear.strength)
        assert linear.objective == pytest.approx(lowest, abs=PROMISE)
        theirs = model.predict_proba(z_NF.numpy())
        np.testing.assert_allclose(linear(h_NF).softmax(1), theirs, atol=2e-2)


def test_two_badly_conditioned_classes_reach_newtons_optimum():
    # 1e-5 shows whether the directions of 1e-4 are used at all; Newton in float64 needs no conditioning here
    h_NF, label_N = rescaled(10.0 ** np.linspace(-4, 4, 9))
    label_N = (label_N > 1).long()
    for linear in fit_path(h_NF, label_N, 2, [1.0, 1e-6, 1e-9]):
        lowest, _ = lowest_binary(h_NF, label_N.numpy(), linear.strength)
        assert our_objective(linear, h_NF, label_N, 2) <= lowest / len(h_NF) + 1e-5


def test_small_directions_hold_information_too():
    # classes differ only in a feature of 1e-4 beside one of 1e4: eight decades, as float32 columns can have
    random = np.random.default_rng(0)
    label_N = torch.tensor(np.arange(200) % 2)
    h_NF = torch.tensor(random.normal(size=(200, 2)) + np.array([[0.0, 6.0]]) * label_N[:, None].numpy())
    h_NF = (h_NF * torch.tensor([1e4, 1e-4])).float()
    (linear,) = fit_path(h_NF, label_N, 2, [1e-9])
    assert (linear(h_NF).argmax(1) == label_N).double().mean() > 0.99


@pytest.mark.parametrize("strength", STRENGTHS)
def test_predictions_are_scikit_learns(strength):
    h_NF, label_N = gaussians(400, 10, 5, noise=3)
    (linear,) = fit_path(h_NF[:300], label_N[:300], 5, [strength])
    _, model = sklearn_optimum(h_NF[:300], label_N[:300], strength)
    theirs = model.predict_proba(h_NF[300:].double().numpy())
    ours = linear(h_NF[300:]).softmax(1).numpy()
    # a mean objective 1e-6 above the optimum moves probabilities by about its root at most
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    assert (ours.argmax(1) == theirs.argmax(1)).mean() >= 0.99


def test_the_logits_of_two_classes_are_scikit_learns():
    h_NF, label_N = gaussians(200, 5, 2)
    (linear,) = fit_path(h_NF, label_N, 2, [10.0])
    _, model = sklearn_optimum(h_NF, label_N, 10.0)
    z_NL = linear(h_NF)
    theirs = model.decision_function(h_NF.double().numpy())
    np.testing.assert_allclose(z_NL[:, 1] - z_NL[:, 0], theirs, atol=1e-2)


def test_a_class_without_training_images_is_never_predicted():
    h_NF, label_N = gaussians(200, 6, 3)
    spread_N = torch.tensor([1, 4, 6])[label_N]
    for linear, dense in zip(
        fit_path(h_NF, spread_N, 8, STRENGTHS), fit_path(h_NF, label_N, 3, STRENGTHS), strict=True
    ):
        z_NL = linear(h_NF)
        assert z_NL.shape == (200, 8)
        torch.testing.assert_close(z_NL[:, [1, 4, 6]], dense(h_NF))
        assert (z_NL[:, [0, 2, 3, 5, 7]] == -torch.inf).all()
        assert not z_NL.softmax(1).isnan().any()


def test_each_of_several_labels_is_its_own_binary_fit():
    h_NF, _ = gaussians(250, 7, 2)
    random = np.random.default_rng(3)
    weight_FL = random.normal(size=(7, 4))
    label_NL = (h_NF.numpy() @ weight_FL + 3 * random.normal(size=(250, 4)) > [0, 2, 4, -3]).astype(np.int8)
    label_NL[random.random(label_NL.shape) < 0.2] = -1
    for linear in fit_path(h_NF, torch.tensor(label_NL), 4, STRENGTHS):
        reached = 0.0
        for c in range(4):
            judged_N = label_NL[:, c] >= 0
            hit_N = label_NL[judged_N, c] == 1
            theirs, w_G = lowest_binary(h_NF[judged_N], hit_N, linear.strength)
            z_N = linear(h_NF[judged_N])[:, c].numpy()
            ours = np.logaddexp(0, z_N).sum() - z_N[hit_N].sum()
            ours += linear.strength / 2 * float(linear.weight_LF[c].square().sum())
            assert ours <= theirs + PROMISE * len(h_NF)
            reached += ours / len(h_NF)
            np.testing.assert_allclose(z_N, h_NF[judged_N].double().numpy() @ w_G[:-1] + w_G[-1], atol=0.05)
        assert linear.objective == pytest.approx(reached, abs=1e-5)


def test_labels_without_both_answers_say_nothing():
    h_NF, label_N = gaussians(100, 4, 2)
    label_NL = torch.stack([label_N, 0 * label_N, 0 * label_N + 1, 0 * label_N - 1], dim=1).to(torch.int8)
    (linear,) = fit_path(h_NF, label_NL, 4, [1.0])
    z_NL = linear(h_NF)
    assert (z_NL[:, 1:] == 0).all()
    (alone,) = fit_path(h_NF, label_NL[:, :1], 1, [1.0])
    torch.testing.assert_close(z_NL[:, :1], alone(h_NF))


@pytest.mark.parametrize("case", ["more images than features", "more features than images", "rectified"])
def test_a_warm_path_ends_where_single_fits_do(case):
    h_NF, label_N = CASES[case]()
    strengths = np.geomspace(1e3, 1e-3, 13).tolist()
    for linear in fit_path(h_NF, label_N, 5, strengths):
        (cold,) = fit_path(h_NF, label_N, 5, [linear.strength])
        assert linear.objective == pytest.approx(cold.objective, abs=PROMISE / 2)


def test_a_fine_path_over_eleven_decades_stays_at_the_optimum():
    # Each solution starts from the last two, logits are never computed anew: errors must not add up
    h_NF, label_N = rectified()
    for linear in fit_path(h_NF, label_N, 5, np.logspace(5, -6, 45).tolist()):
        reached = our_objective(linear, h_NF, label_N, 5)
        assert linear.objective == pytest.approx(reached, abs=1e-5)
        if round(4 * np.log10(linear.strength)) % 10 == 0:
            assert reached <= sklearn_optimum(h_NF, label_N, linear.strength)[0] + PROMISE


def test_the_path_is_quick_where_it_changes_little():
    # Without a start from the last solutions every value would cost what the first one costs
    h_NF, label_N = rectified()
    strengths = np.geomspace(10, 1e-2, 25).tolist()
    path = sum(linear.steps for linear in fit_path(h_NF, label_N, 5, strengths))
    cold = sum(next(iter(fit_path(h_NF, label_N, 5, [strength]))).steps for strength in strengths)
    assert path < cold / 2


def test_strengths_come_from_the_strongest_and_may_repeat():
    h_NF, label_N = gaussians(100, 5, 3)
    path = list(fit_path(h_NF, label_N, 3, [1.0, 10.0, 1.0, 0.1]))
    assert [linear.strength for linear in path] == [10.0, 1.0, 1.0, 0.1]
    assert path[1].objective == pytest.approx(path[2].objective, abs=PROMISE / 10)


def test_features_that_are_all_the_same_give_the_frequencies():
    label_N = torch.tensor([0, 0, 0, 1, 2, 2])
    (linear,) = fit_path(torch.full((6, 3), 5.0), label_N, 3, [1.0])
    probability_L = linear(torch.full((1, 3), 5.0)).softmax(1)[0]
    torch.testing.assert_close(probability_L, torch.tensor([3, 1, 2]).double() / 6, atol=1e-6, rtol=0)


def test_global_random_numbers_and_inputs_stay_as_they_were():
    h_NF, label_N = gaussians(60, 5, 3)
    before, state = h_NF.clone(), torch.get_rng_state()
    first, second = (list(fit_path(h_NF, label_N, 3, [1.0, 0.1])) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(h_NF, before)
    assert all(torch.equal(a.weight_LF, b.weight_LF) for a, b in zip(first, second, strict=True))
