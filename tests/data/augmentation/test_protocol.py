"""What holds for every augmentation: reproducible, independent per image, shape, layout, input untouched."""

import pytest
import torch

from ctc_lightning.data.augmentation import (
    ColourJitter,
    Compose,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Identity,
    RandomCrop,
    RandomResizedCrop,
    Solarize,
)

ALL = {
    "crop": RandomCrop(4, "zero"),
    "flip": HorizontalFlip(),
    "resized_crop": RandomResizedCrop(),
    "jitter": ColourJitter(0.4, 0.4, 0.4, 0.1, 0.8),
    "grey": Grayscale(0.5),
    "blur": GaussianBlur(),
    "solarize": Solarize(100.0, 0.5),
    "composed": Compose(RandomResizedCrop(), ColourJitter(0.4, 0.4, 0.4, 0.1), HorizontalFlip()),
}
COLOURFUL = {"grey"}  # those that leave grey images as they are


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shape_dtype_and_layout(name, channels, layout, images, generator):
    image = images(12, channels, 20, 24).contiguous(memory_format=layout)
    before = image.clone()
    out = ALL[name](image, generator(0))
    assert out.dtype == torch.uint8
    assert out.shape == image.shape
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(image, before), "the input has changed"
    assert torch.equal(out, image) == (channels == 1 and name in COLOURFUL)


@pytest.mark.parametrize("name", ALL)
def test_the_layout_of_the_input_does_not_matter(name, images, generator):
    image = images(12)
    assert torch.equal(
        ALL[name](image, generator(3)),
        ALL[name](image.contiguous(memory_format=torch.contiguous_format), generator(3)),
    )


@pytest.mark.parametrize("name", ALL)
def test_a_function_of_the_generator_alone(name, images, generator):
    image = images(32)
    torch.manual_seed(0)
    first = ALL[name](image, generator(5))
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(ALL[name](image, generator(5)), first)
    assert not torch.equal(ALL[name](image, generator(6)), first)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"


@pytest.mark.parametrize("name", ALL)
def test_successive_batches_differ(name, images, generator):
    image, g = images(32), generator(5)
    assert not torch.equal(ALL[name](image, g), ALL[name](image, g))


@pytest.mark.parametrize("name", ALL)
def test_copies_of_an_image_are_augmented_differently(name, images, generator):
    """Each outcome, too, is one that the image gets in other company: images do not mix."""
    image = images(1).expand(64, -1, -1, -1)
    out = ALL[name](image, generator(1))
    assert len(out.flatten(1).unique(dim=0)) > 1
    others = images(64, seed=9)
    others[::2] = image[::2]
    assert torch.equal(ALL[name](others, generator(1))[::2], out[::2])


def test_identity_is_the_same_tensor_and_draws_nothing(images, generator):
    image, g = images(8), generator(0)
    state = g.get_state()
    assert Identity()(image, g) is image
    assert torch.equal(g.get_state(), state)
