"""Mirrored images, as often as asked, independently."""

import pytest
import torch
from scipy.stats import binomtest, chisquare

from ctc_lightning.data.augmentation import HorizontalFlip


def flipped(image, out):
    """Which images are mirrored; the others must be as they were."""
    is_flipped = (out == image.flip(3)).flatten(1).all(1)
    assert (is_flipped | (out == image).flatten(1).all(1)).all()
    return is_flipped


@pytest.mark.parametrize("probability", [0.5, 0.1])
def test_as_often_as_its_probability(probability, images, generator):
    image = images(4000, 1, 4, 5)
    count = flipped(image, HorizontalFlip(probability)(image, generator(0))).sum().item()
    assert binomtest(count, 4000, probability).pvalue > 1e-3


def test_independent_of_the_neighbour(images, generator):
    image = images(4000, 1, 4, 5)
    is_flipped = flipped(image, HorizontalFlip()(image, generator(0))).long()
    assert chisquare(torch.bincount(2 * is_flipped[::2] + is_flipped[1::2], minlength=4)).pvalue > 1e-3


def test_always_and_never(images, generator):
    image = images(50)
    assert torch.equal(HorizontalFlip(1)(image, generator(0)), image.flip(3))
    assert torch.equal(HorizontalFlip(0)(image, generator(0)), image)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_refuses_what_is_no_probability(probability):
    with pytest.raises(ValueError, match=str(probability)):
        HorizontalFlip(probability)
