"""Steps in order, named steps, and the crop that loaders take over."""

import pytest
import torch

from ctc_lightning.data.augmentation import (
    Compose,
    HorizontalFlip,
    Identity,
    RandomCrop,
    RandomResizedCrop,
    Solarize,
    split_crop,
)


def test_steps_run_in_order_from_one_generator(images, generator):
    image, g = images(16), generator(3)
    expected = HorizontalFlip()(RandomCrop(4, "zero")(image, g), g)
    assert torch.equal(Compose(RandomCrop(4, "zero"), HorizontalFlip())(image, generator(3)), expected)
    assert torch.equal(
        Compose(crop=RandomCrop(4, "zero"), flip=HorizontalFlip())(image, generator(3)), expected
    )


def test_null_leaves_a_step_out(images, generator):
    image = images(16)
    without = Compose(crop=RandomCrop(4), flip=None)
    assert torch.equal(without(image, generator(3)), RandomCrop(4)(image, generator(3)))


def test_no_steps_is_the_images(images, generator):
    image = images(2)
    assert torch.equal(Compose()(image, generator(0)), image)


def test_refuses_a_step_that_is_none():
    with pytest.raises(ValueError, match="'flip'"):
        Compose(RandomCrop(4), "flip")


def test_a_resized_crop_alone_is_split_off():
    crop = RandomResizedCrop(16)
    first, rest = split_crop(crop)
    assert first is crop
    assert isinstance(rest, Identity)


def test_a_leading_resized_crop_is_split_off_and_the_rest_remains(images, generator):
    crop = RandomResizedCrop(16)
    for composed in (
        Compose(crop, HorizontalFlip(), Solarize()),
        Compose(Compose(crop, HorizontalFlip()), Solarize()),
    ):
        first, rest = split_crop(composed)
        assert first is crop
        image = images(16)
        expected = Compose(HorizontalFlip(), Solarize())(image, generator(2))
        assert torch.equal(rest(image, generator(2)), expected)


@pytest.mark.parametrize(
    "augmentation",
    [RandomCrop(2), Compose(), Compose(HorizontalFlip(), RandomResizedCrop(16)), Identity()],
    ids=["crop", "empty", "later", "identity"],
)
def test_without_a_leading_resized_crop_nothing_is_split_off(augmentation):
    assert split_crop(augmentation) == (None, augmentation)
