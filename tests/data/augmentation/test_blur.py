"""Gaussian blur: torchvision's pixels, uniform widths."""

import pytest
import torch
from scipy.stats import binomtest
from torchvision.transforms.v2.functional import gaussian_blur

from ctc_lightning.data.augmentation import GaussianBlur
from ctc_lightning.data.augmentation.blur import blurred, kernel_size


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 3), (64, 50, 5), (4, 9, 3), (96, 120, 9)])
def test_blurred_is_torchvision_s_within_one_level(channels, height, width, size, images):
    image, sigma = images(12, channels, height, width), torch.linspace(0.1, 2, 12)
    out = blurred(image, sigma)
    for b in range(12):
        expected = gaussian_blur(image[b], [size, size], [sigma[b].item()] * 2)
        difference = (out[b].int() - expected.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 1e-2


def test_the_kernel_is_a_tenth_of_the_image_and_odd():
    assert [kernel_size(side) for side in (8, 32, 64, 96, 224)] == [3, 3, 7, 9, 23]


def test_widths_are_uniform(generator):
    """A single bright pixel tells the width of the Gaussian that blurred it."""
    image = torch.zeros(3000, 1, 40, 40, dtype=torch.uint8)
    image[:, :, 20, 20] = 255
    out = GaussianBlur((0.5, 2.0), 1)(image, generator(0))[:, 0, 20, 20]
    grid = torch.linspace(0.5, 2.0, 1501)
    height = blurred(image[:1].expand(1501, -1, -1, -1), grid)[:, 0, 20, 20]
    # As many drawn pixels are at most as bright as a grid of widths says.
    drawn = torch.bincount(out.long(), minlength=256).cumsum(0) / 3000
    expected = torch.bincount(height.long(), minlength=256).cumsum(0) / 1501
    assert (drawn - expected).abs().max() < 1.95 / 3000**0.5


@pytest.mark.parametrize("probability", [0.5, 0.1])
def test_as_often_as_its_probability(probability, images, generator):
    image = images(2000, 1, 8, 8)
    changed = (GaussianBlur((1.0, 2.0), probability)(image, generator(0)) != image).flatten(1).any(1).sum()
    assert binomtest(changed.item(), 2000, probability).pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "named"),
    [({"sigma": (0.0, 2.0)}, "sigma"), ({"sigma": (2.0, 1.0)}, "sigma"), ({"probability": 1.2}, "1.2")],
)
def test_refuses_ranges_that_are_none(options, named):
    with pytest.raises(ValueError, match=named):
        GaussianBlur(**options)


def test_refuses_images_of_one_row(images, generator):
    with pytest.raises(ValueError, match="1 x 9"):
        GaussianBlur()(images(2, 1, 1, 9), generator(0))
