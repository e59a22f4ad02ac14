"""Crops against a naive transcription, and the distribution of their offsets."""

import pytest
import torch
from scipy.stats import chisquare
from torch.nn.functional import pad as torch_pad

from ctc_lightning.data.augmentation import RandomCrop


def noise_images(num, channels=3, height=9, width=7):
    """Images of noise: no two shifts of one look alike."""
    return torch.randint(0, 256, (num, channels, height, width), dtype=torch.uint8, generator=generator(99))


def generator(seed):
    return torch.Generator().manual_seed(seed)


MODES = {"replicate": "replicate", "zero": "constant", "reflect": "reflect"}


def offsets(image, cropped, pad, mode="replicate"):
    """(dy, dx) in [0, 2 pad] of every crop: the one crop of the padded original that it equals."""
    padded = torch_pad(image.double(), (pad,) * 4, mode=MODES[mode]).to(torch.uint8)
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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pad", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_crop_is_a_shift_of_the_padded_original(channels, pad, layout, mode):
    image = noise_images(16, channels).contiguous(memory_format=layout)
    before = image.clone()
    cropped = RandomCrop(pad, mode)(image, generator(0))
    offsets(image, cropped, pad, mode)
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


@pytest.mark.parametrize("mode", MODES)
def test_no_pad_is_no_crop(mode):
    image = noise_images(8)
    assert torch.equal(RandomCrop(0, mode)(image, generator(0)), image)


def test_a_crop_may_lie_wholly_in_the_black():
    cropped = RandomCrop(4, "zero")(noise_images(64, height=3, width=2) // 2 + 100, generator(3))
    black = (cropped == 0).flatten(1).all(1)
    assert black.any()
    assert not black.all()


def test_the_draws_of_a_seed_stay_what_they_were():
    """Golden losses of the whole program depend on them: rows first, then columns, each in [-pad, pad]."""
    image = noise_images(16)
    dy, dx = torch.randint(-2, 3, (2, 16), generator=generator(7))
    assert torch.equal(offsets(image, RandomCrop(2)(image, generator(7)), 2), torch.stack([dy, dx], 1) + 2)


@pytest.mark.parametrize(
    ("arguments", "named"), [((-1,), "-1"), ((2, "wrap"), "'wrap'"), ((2, "constant"), "zero")]
)
def test_refuses_what_it_cannot_do(arguments, named):
    with pytest.raises(ValueError, match=named):
        RandomCrop(*arguments)


def test_refuses_to_reflect_more_than_the_image():
    with pytest.raises(ValueError, match="7 pixels"):
        RandomCrop(7, "reflect")(noise_images(2), generator(0))
