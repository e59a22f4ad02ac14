"""Jitter of torchvision's law and pixels, grey, solarised: as often as asked."""

import pytest
import torch
from scipy.stats import binomtest, chisquare, ks_2samp, kstest, uniform
from torchvision.transforms import v2 as tv
from torchvision.transforms.v2 import functional

from ctc_lightning.data.augmentation import ColourJitter, Grayscale, Solarize, colour
from ctc_lightning.data.augmentation.photometric import hue

NUM = 2000


@pytest.mark.parametrize(
    ("option", "low", "high"), [({"brightness": 0.4}, 0.6, 1.4), ({"brightness": 1.2}, 0.0, 2.2)]
)
def test_factors_are_uniform(option, low, high, generator):
    image = torch.full((NUM, 1, 1, 1), 100, dtype=torch.uint8)
    factor = (ColourJitter(**option)(image, generator(0)).flatten().double() + 0.5) / 100
    assert kstest(factor, uniform(low, high - low).cdf).pvalue > 1e-3


def test_turns_of_the_hue_are_uniform(generator):
    """Pure red turns towards yellow by its green, towards magenta by its blue, a sixth of the circle each."""
    image = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(NUM, -1, -1, -1)
    out = ColourJitter(hue=0.1)(image, generator(0)).view(NUM, 3).double()
    turn = (out[:, 1] - out[:, 2]) / 255 / 6
    assert kstest(turn, uniform(-0.1, 0.2).cdf).pvalue > 1e-3


def test_each_image_has_its_own_order(monkeypatch, generator):
    """Operations that write themselves down, in base 4: all 24 orders are as likely."""
    notes = tuple(lambda image, factor, digit=digit: image * 4 + digit for digit in range(4))
    monkeypatch.setattr(colour, "JITTERS", notes)
    blank = torch.zeros(4800, 1, 1, 1, dtype=torch.uint8)
    order, count = ColourJitter(1, 1, 1, 0.5)(blank, generator(0)).flatten().unique(return_counts=True)
    assert len(order) == 24
    assert chisquare(count).pvalue > 1e-3


def test_pixels_are_distributed_as_torchvision_s(images, generator):
    image = images(1, 3, 6, 6, seed=4)
    theirs = tv.RandomApply([tv.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = torch.cat([theirs(image) for _ in range(NUM)]).double()
    mine = ColourJitter(0.4, 0.4, 0.4, 0.1, 0.8)(image.expand(NUM, -1, -1, -1), generator(0)).double()
    statistics = {
        "pixel": lambda x: x[:, 0, 2, 3],
        "other pixel": lambda x: x[:, 2, 5, 0],
        "mean": lambda x: x.mean((1, 2, 3)),
        "contrast": lambda x: x.std((1, 2, 3)),
        "colour": lambda x: (x[:, 0] - x[:, 1]).mean((1, 2)),
    }
    for name, of in statistics.items():
        # Rounded: the order of summation must not tell apart the images that nothing has changed.
        mine_N, reference_N = of(mine).round(decimals=6), of(reference).round(decimals=6)
        assert ks_2samp(mine_N, reference_N).pvalue > 1e-3, name


def test_hue_is_torchvision_s_within_one_level(images):
    image = images(41, 3)
    image[-1, :, :8] = 0
    image[-1, :, 8:16] = 255
    turn = torch.linspace(-0.5, 0.5, 41)
    expected = torch.stack([functional.adjust_hue(x, t.item()) for x, t in zip(image, turn, strict=True)])
    difference = (hue(image, turn).int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 1e-3


def test_saturation_and_hue_leave_grey_images_alone(images, generator):
    image = images(16, 1)
    assert torch.equal(ColourJitter(saturation=0.9, hue=0.5)(image, generator(0)), image)


@pytest.mark.parametrize("probability", [0.2, 0.8])
@pytest.mark.parametrize(
    "make",
    [
        lambda p: ColourJitter(brightness=0.9, probability=p),
        Grayscale,
        lambda p: Solarize(10.0, p),
    ],
    ids=["jitter", "grey", "solarize"],
)
def test_as_often_as_its_probability(make, probability, generator):
    image = torch.tensor([250, 30, 10], dtype=torch.uint8).view(1, 3, 1, 1).expand(NUM, -1, 3, 3)
    changed = (make(probability)(image, generator(0)) != image).flatten(1).any(1).sum().item()
    assert binomtest(changed, NUM, probability).pvalue > 1e-3


def test_grey_is_torchvision_s(images, generator):
    image = images(16)
    assert torch.equal(Grayscale(1)(image, generator(0)), tv.Grayscale(3)(image))


def test_solarized_from_the_threshold_upwards(generator):
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for threshold in (0.0, 99.5, 128.0, 255.0):
        out = Solarize(threshold, 1)(image, generator(0)).flatten().int()
        value = image.flatten().int()
        assert torch.equal(out, torch.where(value >= threshold, 255 - value, value))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ColourJitter(brightness=-0.1), "brightness is -0.1"),
        (lambda: ColourJitter(contrast=-0.1), "contrast is -0.1"),
        (lambda: ColourJitter(saturation=-0.1), "saturation is -0.1"),
        (lambda: ColourJitter(hue=0.6), "0.6"),
        (lambda: ColourJitter(probability=1.5), "1.5"),
        (lambda: Grayscale(-1), "-1"),
        (lambda: Solarize(256), "256"),
        (lambda: Solarize(128, 2), "probability is 2"),
    ],
)
def test_refuses_values_out_of_range(make, named):
    with pytest.raises(ValueError, match=named):
        make()
