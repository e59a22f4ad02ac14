"""Images brought to what a network expects, against torchvision's functions."""

import json

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ctc_lightning.data import Digits
from ctc_lightning.data.network_input import AsSeenBy, NetworkInput

RGB32 = NetworkInput((3, 32, 32), (0.5, 0.25, 0.125), (0.2, 0.3, 0.4))
GREY8 = NetworkInput((1, 8, 8), (0.3,), (0.4,))


def images(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def standardised(image, expected):
    """By torchvision, from uint8 images of the right shape."""
    return tv.normalize(tv.to_dtype(image, torch.float32, scale=True), expected.mean, expected.std)


def test_grey_8x8_becomes_rgb_32x32():
    grey = images(5, 1, 8, 8)
    rgb = tv.grayscale_to_rgb(tv.resize(grey, [32, 32], antialias=True))
    torch.testing.assert_close(AsSeenBy(RGB32)(grey), standardised(rgb, RGB32))


@pytest.mark.parametrize("size", [(32, 32), (40, 24), (9, 64)])
def test_rgb_of_any_size_becomes_grey_8x8(size):
    rgb = images(4, 3, *size)
    grey = tv.resize(tv.rgb_to_grayscale(rgb), [8, 8], antialias=True)
    torch.testing.assert_close(AsSeenBy(GREY8)(rgb), standardised(grey, GREY8))


def test_another_size_is_resampled_with_antialiasing():
    """Alternating rows average to grey; picking every second row would keep them black or white."""
    stripes = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    expected = NetworkInput((1, 8, 8), (0.0,), (1.0,))
    middle = AsSeenBy(expected)(stripes)[..., 2:-2, :]
    torch.testing.assert_close(middle, torch.full_like(middle, 0.5), atol=0.02, rtol=0)


def test_images_of_the_right_shape_are_only_standardised():
    image = images(6, 3, 32, 32)
    torch.testing.assert_close(AsSeenBy(RGB32)(image), standardised(image, RGB32))


def test_images_are_left_as_they_were():
    image = images(2, 1, 8, 8)
    before = image.clone()
    AsSeenBy(RGB32)(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(("channels", "expected"), [(4, RGB32), (2, GREY8), (3, None), (1, None)])
def test_other_channels_are_refused(channels, expected, one_sentence):
    expected = expected or NetworkInput((5, 8, 8), (0.5,) * 5, (0.5,) * 5)
    with pytest.raises(ValueError, match="only grey and RGB can be converted") as error:
        AsSeenBy(expected)(images(1, channels, 8, 8))
    one_sentence(error, f"{channels} channels", f"expects {expected.shape[0]}")


def test_a_mean_that_does_not_fit_the_channels_is_refused():
    with pytest.raises(ValueError, match="one value for each channel"):
        AsSeenBy(NetworkInput((3, 8, 8), (0.5,), (0.5,)))


# ------------------------------------------------------------------------------------------ of a data module


@pytest.fixture
def digits():
    data = Digits(num_train=40, num_val=20, num_test=20, batch_size=20)
    data.setup()
    return data


def test_a_data_module_says_what_a_network_sees(digits):
    image = digits.image_sets["source"]["train"].image.double() / 255
    shape, mean, std = digits.network_input
    assert shape == (1, 8, 8)
    assert mean == pytest.approx([image.mean().item()], rel=1e-6)
    assert std == pytest.approx([image.std(correction=0).item()], rel=1e-6)


def test_shown_as_another_networks_input_every_batch_looks_like_that(digits):
    digits.show_as(RGB32)
    assert digits.image_shape == digits.network_input.shape == (3, 32, 32)
    assert digits.network_input.mean == RGB32.mean  # these are float32 numbers
    (batch,) = digits.evaluation_batches("source", "test", torch.device("cpu"))
    torch.testing.assert_close(batch.view, AsSeenBy(RGB32)(digits.image_sets["source"]["test"].image))


def test_shown_as_its_own_input_nothing_changes(digits):
    before, standardise = digits.network_input, digits.standardise
    digits.show_as(before)
    assert digits.network_input == before
    assert digits.standardise is standardise


def test_what_a_module_sees_survives_plain_values(digits):
    """As in a checkpoint, and read back."""
    seen = digits.network_input
    plain = json.loads(json.dumps(seen._asdict()))
    assert NetworkInput(*map(tuple, plain.values())) == seen
    other = Digits(num_train=40, num_val=20, num_test=20, batch_size=20, split_seed=1)
    other.setup()
    assert other.network_input != seen
    other.show_as(seen)
    assert other.network_input == seen
