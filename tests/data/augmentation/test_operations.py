"""Every operation, at every magnitude, against torchvision's on the same image."""

from math import atan, degrees

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ctc_lightning.data.augmentation.operations import NAMES, SIGNED, applied, magnitudes


def affine(image, *, translate=(0, 0), shear=(0.0, 0.0), center=None):
    return tv.affine(image, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), center=center)


EXPECTED = {
    "Identity": lambda image, m: image,
    "ShearX": lambda image, m: affine(image, shear=(degrees(atan(m)), 0), center=[0, 0]),
    "ShearY": lambda image, m: affine(image, shear=(0, degrees(atan(m))), center=[0, 0]),
    "TranslateX": lambda image, m: affine(image, translate=(int(m), 0)),
    "TranslateY": lambda image, m: affine(image, translate=(0, int(m))),
    "Rotate": tv.rotate,
    "Brightness": lambda image, m: tv.adjust_brightness(image, 1 + m),
    "Color": lambda image, m: tv.adjust_saturation(image, 1 + m),
    "Contrast": lambda image, m: tv.adjust_contrast(image, 1 + m),
    "Sharpness": lambda image, m: tv.adjust_sharpness(image, 1 + m),
    "Posterize": lambda image, m: tv.posterize(image, int(m)),
    "Solarize": tv.solarize,
    "AutoContrast": lambda image, m: tv.autocontrast(image),
    "Equalize": lambda image, m: tv.equalize(image),
    "Invert": lambda image, m: tv.invert(image),
}
ROUNDED = {"Brightness", "Color", "Contrast", "Sharpness", "AutoContrast"}  # all others are pixel-exact


def test_the_list_of_operations_is_complete():
    assert set(NAMES) == set(EXPECTED)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 41)])
@pytest.mark.parametrize("num_bins", [10, 31])
def test_an_operation_is_torchvision_s(name, channels, height, width, num_bins, images):
    image = images(num_bins, channels, height, width)
    number = NAMES.index(name)
    for sign in (1, -1) if SIGNED[number] else (1,):
        amount = sign * magnitudes(name, num_bins, height, width)
        out = applied(image, torch.full((num_bins,), number), amount)
        expected = torch.stack([EXPECTED[name](x, m) for x, m in zip(image, amount.tolist(), strict=True)])
        difference = (out.int() - expected.int()).abs()
        assert difference.max() <= (name in ROUNDED)
        assert (difference > 0).float().mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_flat_and_extreme_images(name):
    """A single colour, black, white, two values: no division by zero, no step of width zero."""
    image = torch.zeros(5, 3, 8, 9, dtype=torch.uint8)
    image[1] = 255
    image[2] = torch.tensor([10, 200, 10], dtype=torch.uint8).view(3, 1, 1)
    image[3, :, 0, 0] = 255
    image[4, :, :4] = 100
    amount = magnitudes(name, 31, 8, 9)[[9] * 5]
    out = applied(image, torch.full((5,), NAMES.index(name)), amount)
    expected = torch.stack([EXPECTED[name](x, amount[0].item()) for x in image])
    assert (out.int() - expected.int()).abs().max() <= 1


def test_images_with_different_operations_do_not_mix(images):
    image = images(3 * len(NAMES))
    operation = torch.arange(len(NAMES)).repeat(3)
    amount = torch.stack([magnitudes(NAMES[o], 31, 32, 32)[9] for o in operation])
    together = applied(image, operation, amount)
    for b in range(len(image)):
        assert torch.equal(
            together[b : b + 1], applied(image[b : b + 1], operation[b : b + 1], amount[b : b + 1])
        )


@pytest.mark.parametrize(("height", "width"), [(2, 9), (9, 2)])
def test_an_image_without_an_inside_cannot_be_sharpened(height, width, images):
    image = images(4, 3, height, width)
    assert torch.equal(
        applied(image, torch.full((4,), NAMES.index("Sharpness")), torch.full((4,), 0.9)), image
    )
