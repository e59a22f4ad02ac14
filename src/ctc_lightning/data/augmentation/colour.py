"""Random changes of colour: jitter, grey, solarised."""

# B images, C channels, H rows, W columns; F: the four operations of the jitter

import torch
from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.data.augmentation import photometric
from ctc_lightning.data.augmentation.chance import Kernel, changed, require_probability, sometimes, uniform

JITTERS = (photometric.brightness, photometric.contrast, photometric.saturation, photometric.hue)


class ColourJitter:
    """Change brightness, contrast, saturation and hue by random amounts, in a random order for each image.

    The factors are uniform on [max(0, 1 - amount), 1 + amount], the turn of the hue uniform on [-hue, hue] of
    the colour circle: the law of torchvision's ``ColorJitter``, which rounds to whole values after each
    operation, as here. Saturation and hue leave grey images as they are.

    Args:
        brightness: >= 0.
        contrast: >= 0.
        saturation: >= 0.
        hue: in [0, 1/2].
        probability: in [0, 1], that an image is changed at all.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        probability: float = 1.0,
    ) -> None:
        in_range(
            "ColourJitter",
            "[0, inf)",
            example=0,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
        )
        in_range("ColourJitter", "[0, 0.5]", example=0, hue=hue)
        self.amounts = (brightness, contrast, saturation, hue)
        self.probability = require_probability("ColourJitter", probability)

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        B = len(image_BCHW)
        happens_B = uniform(generator, B) < self.probability
        order_BF = uniform(generator, B, len(JITTERS)).argsort(1)
        draw_BF = uniform(generator, B, len(JITTERS))
        low_F = torch.tensor([max(0.0, 1 - a) for a in self.amounts[:3]] + [-self.amounts[3]])
        high_F = torch.tensor([1 + a for a in self.amounts[:3]] + [self.amounts[3]])
        low_F, high_F = low_F.to(draw_BF.device), high_F.to(draw_BF.device)
        factor_BF = low_F + (high_F - low_F) * draw_BF

        def kernel(number: int) -> Kernel:
            def jitter(some_MCHW: Tensor, row_M: Tensor) -> Tensor:
                factor_M = factor_BF[row_M, number].to(some_MCHW.device, non_blocking=True)
                return JITTERS[number](some_MCHW, factor_M)

            return jitter

        kernels = {number: kernel(number) for number, amount in enumerate(self.amounts) if amount}
        for operation_B in order_BF.unbind(1):
            image_BCHW = changed(image_BCHW, torch.where(happens_B, operation_B, -1), kernels)
        return image_BCHW


class Grayscale:
    """Take the colour out of each image with a probability; the number of channels stays.

    Args:
        probability: in [0, 1].

    Raises:
        ValueError: a probability out of range.
    """

    def __init__(self, probability: float = 0.2) -> None:
        self.probability = require_probability("Grayscale", probability)

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        return sometimes(image_BCHW, self.probability, generator, lambda some_MCHW, _: _greyed(some_MCHW))


def _greyed(image_MCHW: Tensor) -> Tensor:
    return photometric.levels(photometric.grey(image_MCHW)).expand_as(image_MCHW)


class Solarize:
    """Invert the values from a threshold upwards, of each image with a probability.

    Args:
        threshold: in [0, 255].
        probability: in [0, 1].

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(self, threshold: float = 128.0, probability: float = 0.2) -> None:
        in_range("Solarize", "[0, 255]", example=128, threshold=threshold)
        self.threshold = threshold
        self.probability = require_probability("Solarize", probability)

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        return sometimes(image_BCHW, self.probability, generator, self._solarized)

    def _solarized(self, some_MCHW: Tensor, row_M: Tensor) -> Tensor:
        return photometric.solarize(
            some_MCHW, torch.full((len(row_M),), self.threshold, device=some_MCHW.device)
        )
