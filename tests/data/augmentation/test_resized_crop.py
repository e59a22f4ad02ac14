"""Boxes of torchvision's law, pixels within one level of torchvision's."""

import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop as Torchvision
from torchvision.transforms.v2.functional import resized_crop

from ctc_lightning.data.augmentation import RandomResizedCrop
from ctc_lightning.data.augmentation.resized_crop import resized

NUM = 3000


def ours(height, width, generator, **options):
    sides = (torch.full((NUM,), n) for n in (height, width))
    return RandomResizedCrop(8, **options).boxes(*sides, generator(0)).double()


def theirs(height, width, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    image = torch.empty(1, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.tensor([Torchvision.get_params(image, scale, ratio) for _ in range(NUM)]).double()


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [
        (120, 90, {}),
        (64, 200, {}),
        (32, 32, {"scale": (0.2, 1.0)}),
        (50, 50, {"scale": (0.7, 1.0), "ratio": (0.5, 2.0)}),
        (40, 90, {"scale": (0.9, 1.0)}),  # mostly the central fallback
    ],
)
def test_boxes_are_distributed_as_torchvision_s(height, width, options, generator):
    mine, reference = ours(height, width, generator, **options), theirs(height, width, **options)
    for name, of in {
        "top": lambda box: box[:, 0],
        "left": lambda box: box[:, 1],
        "area": lambda box: box[:, 2] * box[:, 3],
        "aspect": lambda box: box[:, 3] / box[:, 2],
        "place": lambda box: box[:, 0] / (height - box[:, 2]).clamp(min=1) - box[:, 1] / width,
    }.items():
        assert ks_2samp(of(mine), of(reference)).pvalue > 1e-3, name


def test_boxes_lie_inside_images_of_different_sizes(generator):
    g = generator(0)
    height, width = torch.randint(1, 300, (2, 5000), generator=g)
    top, left, h, w = RandomResizedCrop(8).boxes(height, width, g).unbind(1)
    assert (h >= 1).all()
    assert (w >= 1).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()


def test_every_image_s_box_follows_its_own_size(generator):
    """Images of one size among others have the boxes' law of that size."""
    height, width = torch.tensor([[120, 90], [30, 300]]).repeat(NUM, 1).unbind(1)
    box = RandomResizedCrop(8).boxes(height, width, generator(1)).double()[::2]
    reference = theirs(120, 90)
    assert ks_2samp(box[:, 2] * box[:, 3], reference[:, 2] * reference[:, 3]).pvalue > 1e-3
    assert ks_2samp(box[:, 0], reference[:, 0]).pvalue > 1e-3


def test_neighbours_are_independent(generator):
    area = ours(100, 100, generator)[:, 2:].prod(1)
    place = ours(100, 100, generator)[:, 0]
    pairs = torch.stack([area[::2], area[1::2], place[::2], place[1::2]])
    correlation = torch.corrcoef(pairs)
    assert correlation[0, 1].abs() < 0.08
    assert correlation[2, 3].abs() < 0.08


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (45, 70)])
@pytest.mark.parametrize("size", [7, 32, 60])
def test_pixels_are_torchvision_s_within_one_level(channels, height, width, size, images, generator):
    image = images(24, channels, height, width)
    g = generator(4)
    box = RandomResizedCrop(size).boxes(torch.full((24,), height), torch.full((24,), width), g)
    out = resized(image, box, size, size)
    for b in range(24):
        expected = resized_crop(image[b], *box[b].tolist(), [size, size], antialias=True)
        assert (out[b].int() - expected.int()).abs().max() <= 1


def test_a_call_draws_boxes_and_resizes(images, generator):
    image = images(16, 3, 40, 30)
    box = RandomResizedCrop(20).boxes(torch.full((16,), 40), torch.full((16,), 30), generator(8))
    assert torch.equal(RandomResizedCrop(20)(image, generator(8)), resized(image, box, 20, 20))


def test_without_a_size_images_keep_theirs(images, generator):
    assert RandomResizedCrop()(images(4, 3, 20, 30), generator(0)).shape == (4, 3, 20, 30)


def test_the_whole_image_at_its_own_size_stays(images, generator):
    image = images(8)
    assert torch.equal(RandomResizedCrop(32, scale=(1, 1), ratio=(1, 1))(image, generator(0)), image)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 0}, "0"),
        ({"size": 8, "scale": (0.0, 1.0)}, "scale"),
        ({"size": 8, "scale": (0.5, 1.5)}, "1.5"),
        ({"size": 8, "scale": (0.9, 0.5)}, "scale"),
        ({"size": 8, "ratio": (2.0, 0.5)}, "ratio"),
        ({"size": 8, "ratio": (0.0, 0.5)}, "ratio"),
    ],
)
def test_refuses_ranges_that_are_none(options, named):
    with pytest.raises(ValueError, match=named):
        RandomResizedCrop(**options)
