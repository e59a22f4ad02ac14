"""Linear CKA. N: images, F, G: features of the two networks."""

from itertools import permutations

import numpy as np
import pytest
import torch

from ctc_lightning.metrics import LinearCKA


@pytest.fixture
def other(labelled):
    """Four features that depend on the five of ``labelled`` and on noise."""
    generator = torch.Generator().manual_seed(1)
    mixing_FG = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return labelled[0].tanh() @ mixing_FG + torch.randn(60, 4, generator=generator) - 3


def cka(x_NF, y_NG, **kwargs):
    metric = LinearCKA(x_NF.shape[1], y_NG.shape[1], **kwargs)
    metric.update(x_NF, y_NG)
    return metric.compute().item()


def test_equals_numpy_with_gram_matrices(labelled, other):
    """HSIC = tr(K H L H), H = I − 1/N, of the N × N kernels."""
    kernels = [z @ z.T for z in (labelled[0].numpy(), other.numpy())]
    centring = np.eye(60) - 1 / 60

    def hsic(a, b):
        return np.trace(a @ centring @ b @ centring)

    a, b = kernels
    assert cka(labelled[0], other) == pytest.approx(hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b)), rel=1e-10)


def test_debiased_equals_the_u_statistic(labelled, other):
    """E[a₁₂b₁₂] + E[a₁₂b₃₄] − 2 E[a₁₂b₁₃] of both kernels, over all draws of distinct images."""
    x_NF, y_NG = labelled[0][:8], other[:8]

    def hsic(first, second):
        a, b = (z.numpy() @ z.numpy().T for z in (first, second))
        terms = [a[i, j] * (b[i, j] + b[m, n] - 2 * b[i, m]) for i, j, m, n in permutations(range(8), 4)]
        return np.mean(terms)

    expected = hsic(x_NF, y_NG) / np.sqrt(hsic(x_NF, x_NF) * hsic(y_NG, y_NG))
    assert cka(x_NF, y_NG, debiased=True) == pytest.approx(expected, rel=1e-9)
    assert abs(expected - cka(x_NF, y_NG)) > 0.01


@pytest.mark.parametrize("debiased", [False, True])
def test_a_turned_scaled_and_moved_copy_is_the_same(debiased, labelled):
    turn_FF = torch.linalg.qr(torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.eye(5))[0]
    copy_NF = -0.01 * labelled[0] @ turn_FF + 100
    assert cka(labelled[0], copy_NF, debiased=debiased) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("debiased", [False, True])
def test_turning_scaling_moving_and_exchanging_change_nothing(debiased, labelled, other):
    turn_FF = torch.linalg.qr(torch.arange(25.0, dtype=torch.float64).view(5, 5).sin() + torch.eye(5))[0]
    found = cka(labelled[0], other, debiased=debiased)
    assert 0.1 < found < 0.9
    moved = cka(3 * labelled[0] @ turn_FF + 1000, 1e-3 * other - 5, debiased=debiased)
    assert moved == pytest.approx(found, rel=1e-9)
    assert cka(other, labelled[0], debiased=debiased) == pytest.approx(found, rel=1e-12)


def test_uncorrelated_features_give_zero():
    x_NF = torch.tensor([[1, 0], [1, 0], [-1, 0], [-1, 0]], dtype=torch.float64)
    y_NG = torch.tensor([[2], [-2], [2], [-2]], dtype=torch.float64)
    assert cka(x_NF, y_NG) == pytest.approx(0, abs=1e-12)


def test_independent_features_are_near_zero():
    generator = torch.Generator().manual_seed(0)
    x_NF, y_NG = torch.randn(2000, 3, generator=generator), torch.randn(2000, 4, generator=generator)
    assert 0 < cka(x_NF, y_NG) < 0.01
    assert abs(cka(x_NF, y_NG, debiased=True)) < 0.01


def test_debiasing_removes_what_few_images_feign():
    """Forty images, fifty independent features: 40 draws average to 0 only if debiased."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(40, 2, 40, 50, generator=generator)
    assert min(cka(*draw) for draw in draws) > 0.4
    assert abs(np.mean([cka(*draw, debiased=True) for draw in draws])) < 0.02


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("offset", [0, 1000])
def test_same_however_split(debiased, offset, labelled, other, assert_same_however_split):
    x_NF = labelled[0] + offset
    assert_same_however_split(lambda **kwargs: LinearCKA(5, 4, debiased=debiased, **kwargs), x_NF, other)


def test_constant_features_are_refused(labelled):
    constant_NG = torch.full((60, 3), 0.1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"the second features of 60 images .* it must be above 0"):
        cka(labelled[0], constant_NG)
    with pytest.raises(ValueError, match=r"the first features of 60 images .* it must be above 0"):
        cka(constant_NG, labelled[0], debiased=True)


@pytest.mark.parametrize(("debiased", "least"), [(False, 2), (True, 4)])
def test_too_few_images_are_refused(debiased, least, labelled, other):
    with pytest.raises(ValueError, match=f"{least - 1} images; it needs at least {least}"):
        cka(labelled[0][: least - 1], other[: least - 1], debiased=debiased)
    assert np.isfinite(cka(labelled[0][:least], other[:least], debiased=debiased))


def test_what_does_not_fit_is_refused(labelled, other):
    with pytest.raises(ValueError, match="features of 60 and of 59 images"):
        cka(labelled[0], other[1:])
    with pytest.raises(ValueError, match="1 of 60 images have features that are not finite"):
        cka(labelled[0], other.index_fill(0, torch.tensor([5]), torch.nan))
    with pytest.raises(ValueError, match="set num_features to the network's"):
        LinearCKA(5).update(labelled[0], other)
    with pytest.raises(ValueError, match="num_other is 0"):
        LinearCKA(5, 0)
