"""Standardised images against the formula; statistics against the definition."""

import pytest
import torch

from ctc_lightning.data.standardise import Standardise, channel_statistics


def noise(num, channels=3, height=5, width=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (num, channels, height, width), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_value_is_the_formula_s(channels, layout):
    image = noise(7, channels).contiguous(memory_format=layout)
    before = image.clone()
    mean, std = torch.tensor([0.5, 0.4, 0.3][:channels]), torch.tensor([0.2, 0.3, 0.1][:channels])
    out = Standardise(mean, std, image.shape[1:])(image)
    expected = (image.double() / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(out.double(), expected, atol=2e-6, rtol=0)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(image, before)


def test_results_do_not_share_memory():
    standardise = Standardise([0.5] * 3, [0.2] * 3, (3, 5, 6))
    first = standardise(noise(4))
    kept = first.clone()
    standardise(255 - noise(4))
    assert torch.equal(first, kept)


def test_already_float_images_stay_as_they_are():
    image = noise(4).float().contiguous(memory_format=torch.channels_last)
    before = image.clone()
    Standardise([0.5] * 3, [0.2] * 3, (3, 5, 6))(image)
    assert torch.equal(image, before)


def test_statistics_are_those_of_all_pixels():
    image = noise(5000, 3, 4, 3)  # more than one chunk
    image[:, 1] //= 3
    mean, std = channel_statistics(image)
    value = image.double() / 255
    torch.testing.assert_close(mean.double(), value.mean((0, 2, 3)), atol=1e-7, rtol=0)
    torch.testing.assert_close(std.double(), value.std((0, 2, 3), correction=0), atol=1e-7, rtol=0)


def test_training_images_get_mean_0_and_std_1():
    image = noise(300)
    out = Standardise(*channel_statistics(image), (3, 5, 6))(image).double()
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("mean", "std", "named"),
    [
        ([0.5] * 3, [0.1, 0.0, 0.1], "above 0"),
        ([0.5] * 2, [0.1] * 3, "3 channels"),
        ([0.5], [0.1], "3 channels"),
    ],
)
def test_refuses_statistics_that_do_not_fit(mean, std, named):
    with pytest.raises(ValueError, match=named):
        Standardise(mean, std, (3, 5, 6))
