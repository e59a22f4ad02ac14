"""Crops against a naive transcription, and the distribution of their offsets."""

import pytest
import torch
from scipy.stats import chisquare
from torch.nn.functional import pad as torch_pad

from ctc_lightning.data.augmentation import Identity, RandomCrop


def noise_images(num, channels=3, height=9, width=7):
    """Images of noise: no two shifts of one look alike."""
    return torch.randint(0, 256, (num, channels, height, width), dtype=torch.uint8, generator=generator(99))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def offsets(image, cropped, pad):
    """(dy, dx) in [0, 2 pad] of every crop: the one crop of the replicate-padded original that it equals."""
    padded = torch_pad(image.double(), (pad,) * 4, mode="replicate").to(torch.uint8)
    height, width = image.shape[2:]
    found = []
    for b in range(len(image)):
        matches = [
            (dy, dx)
            for dy in range(2 * pad + 1)
            for dx in range(2 * pad + 1)
            if torch.equal(cropped[b], padded[b, :, dy : dy + height, dx : dx + width])
        ]
        assert len(matches) == 1, f"image {b} is not one crop of its padded original"
        found.append(matches[0])
    return torch.tensor(found)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pad", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_crop_is_a_shift_of_the_padded_original(channels, pad, layout):
    image = noise_images(16, channels).contiguous(memory_format=layout)
    before = image.clone()
    cropped = RandomCrop(pad)(image, generator(0))
    offsets(image, cropped, pad)
    assert cropped.dtype == torch.uint8
    assert cropped.shape == image.shape
    assert cropped.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(image, before)


def test_offsets_are_uniform_and_independent():
    """All 25 offsets of an image are as likely, and so are all 25 pairs of neighbouring images' dy."""
    image = noise_images(4000, channels=1, height=6, width=6)
    dy, dx = offsets(image, RandomCrop(2)(image, generator(1)), 2).unbind(1)
    assert chisquare(torch.bincount(5 * dy + dx, minlength=25)).pvalue > 1e-3
    assert chisquare(torch.bincount(5 * dy[::2] + dy[1::2], minlength=25)).pvalue > 1e-3


def test_crops_are_a_function_of_the_generator():
    image = noise_images(64)
    crop = RandomCrop(2)
    assert torch.equal(crop(image, generator(5)), crop(image, generator(5)))
    assert not torch.equal(crop(image, generator(5)), crop(image, generator(6)))


def test_no_pad_is_no_crop():
    image = noise_images(8)
    assert torch.equal(RandomCrop(0)(image, generator(0)), image)


def test_identity_is_the_same_tensor_and_draws_nothing():
    image, g = noise_images(8), generator(0)
    state = g.get_state()
    assert Identity()(image, g) is image
    assert torch.equal(g.get_state(), state)


def test_refuses_a_negative_pad():
    with pytest.raises(ValueError, match="-1"):
        RandomCrop(-1)
