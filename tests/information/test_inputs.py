"""What stands for X: in the order of the features, the same for every checkpoint, computed once."""

import pytest
import torch

from ctc_lightning.information.inputs import Encoder, Inputs, Pixels, Projection


class Images:
    """Batches in an order of their own."""

    def __init__(self, view, shown):
        self.view, self.shown, self.asked = view, shown, 0

    def inputs(self, split):
        assert split == "test"
        self.asked += 1
        for rows in torch.arange(len(self.view)).flip(0).split(4):
            yield self.view[rows], rows


@pytest.fixture
def view():
    return torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_pixels_are_in_the_order_of_the_rows(view):
    assert torch.equal(Pixels().of(Images(view, object())), view.flatten(1))


def test_the_same_images_are_read_once(view):
    x, shown = Pixels(), object()
    first, again = Images(view, shown), Images(view, shown)
    x.of(first)
    x.of(again)
    assert (first.asked, again.asked) == (1, 0)
    other = Images(view + 1, object())
    assert torch.equal(x.of(other), view.flatten(1) + 1)


def test_a_projection_is_linear_fixed_and_keeps_lengths_on_average(view):
    images = Images(view, object())
    one, same, other = (Projection(dims=2000, seed=seed).of(images) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(Projection(dims=2000, seed=0).of(Images(2 * view, object())), 2 * one)
    # ‖Rx/√P‖² ≈ D ‖x‖²/P, relative error √(2/D) ≈ 3 %
    ratio = one.square().sum(1) / (2000 * view.flatten(1).square().mean(1))
    assert (ratio - 1).abs().max() < 0.15


def test_an_encoder_is_fixed_and_leaves_random_numbers_alone(view):
    before = torch.get_rng_state()
    one = Encoder(backbone="cifar/resnet8", pretrained=False, seed=3).of(Images(view, object()))
    same = Encoder(backbone="cifar/resnet8", pretrained=False, seed=3).of(Images(view, object()))
    assert torch.equal(before, torch.get_rng_state())
    assert one.shape == (10, 64)
    torch.testing.assert_close(one, same)
    assert not one.requires_grad


def test_names_and_settings_tell_them_apart():
    choices: list[Inputs] = [
        Pixels(),
        Projection(dims=8, seed=0),
        Projection(dims=16, seed=0),
        Encoder(backbone="cifar/resnet8", pretrained=False, seed=0),
    ]
    assert [x.name for x in choices] == ["pixels", "projection8", "projection16", "cifar_resnet8"]
    assert len({str(x.settings) for x in choices}) == 4
    with pytest.raises(ValueError, match="dims is 0; it must be at least 1"):
        Projection(dims=0, seed=0)
