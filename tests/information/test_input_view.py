"""What stands for X: in the order of the features, the same for every checkpoint, computed once."""

import pytest
import torch

from ctc_lightning.information.input_view import Encoder, Inputs, Pixels, Projection

ALL = torch.arange(10)


class Images:
    """Batches in an order of their own; image 2 may stand in for image 3."""

    def __init__(self, view, shown, *, stand_in=False):
        self.view, self.shown, self.asked, self.stand_in = view, shown, 0, stand_in

    def inputs(self, split):
        assert split == "test"
        self.asked += 1
        for rows in torch.arange(len(self.view)).flip(0).split(4):
            index = torch.where(rows == 3, 2, rows) if self.stand_in else rows
            yield self.view[index], index


@pytest.fixture
def view():
    return torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_pixels_are_in_the_order_of_the_rows(view):
    assert torch.equal(Pixels().of(Images(view, object()), ALL), view.flatten(1))


def test_the_same_images_are_read_once(view):
    x, shown = Pixels(), object()
    first, again = Images(view, shown), Images(view, shown)
    x.of(first, ALL)
    x.of(again, ALL)
    assert (first.asked, again.asked) == (1, 0)
    other = Images(view + 1, object())
    assert torch.equal(x.of(other, ALL), view.flatten(1) + 1)


class Counting(Pixels):
    """Notes how many images it is shown."""

    num = 0

    def __call__(self, view):
        self.num += len(view)
        return super().__call__(view)


def test_no_more_images_are_held_than_are_asked_for(view):
    """50 000 images of 224² pixels are 30 GB."""
    x, row_M, images = Counting(), torch.tensor([1, 4, 7]), Images(view, object())
    assert torch.equal(x.of(images, row_M), view.flatten(1)[row_M])
    assert x.num == 3
    fewer = torch.tensor([0, 4])
    assert torch.equal(x.of(images, fewer), view.flatten(1)[fewer])


@pytest.mark.parametrize("rows", [[0, 3, 9], [2, 3, 4], list(range(10))])
def test_images_that_stand_in_for_others_are_where_their_features_are(view, rows):
    row_M = torch.tensor(rows)
    expected = view[[0, 1, 2, 2, 4, 5, 6, 7, 8, 9]].flatten(1)[row_M]
    assert torch.equal(Pixels().of(Images(view, object(), stand_in=True), row_M), expected)


def test_other_weights_in_the_same_file_are_another_encoder(tmp_path):
    file, options = tmp_path / "weights.pt", {"backbone": "cifar/resnet8", "seed": 0}
    file.write_bytes(b"one")
    before = Encoder(pretrained=str(file), **options).settings
    file.write_bytes(b"two")
    assert Encoder(pretrained=str(file), **options).settings != before
    with pytest.raises(ValueError, match="pretrained=/nowhere cannot be read"):
        Encoder(pretrained="/nowhere", **options)


def test_a_projection_is_linear_fixed_and_keeps_lengths_on_average(view):
    images = Images(view, object())
    one, same, other = (Projection(dims=2000, seed=seed).of(images, ALL) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(Projection(dims=2000, seed=0).of(Images(2 * view, object()), ALL), 2 * one)
    # ‖Rx/√P‖² ≈ D ‖x‖²/P, relative error √(2/D) ≈ 3 %
    ratio = one.square().sum(1) / (2000 * view.flatten(1).square().mean(1))
    assert (ratio - 1).abs().max() < 0.15


def test_an_encoder_is_fixed_and_leaves_random_numbers_alone(view):
    before = torch.get_rng_state()
    one = Encoder(backbone="cifar/resnet8", pretrained=False, seed=3).of(Images(view, object()), ALL)
    same = Encoder(backbone="cifar/resnet8", pretrained=False, seed=3).of(Images(view, object()), ALL)
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
    with pytest.raises(ValueError, match="dims is 0; it must be a whole number of at least 1"):
        Projection(dims=0, seed=0)
