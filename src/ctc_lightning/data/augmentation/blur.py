"""Blur images by Gaussians of different widths."""

# B images, M of them blurred, C channels, H rows, W columns, K taps

from collections.abc import Sequence

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.chance import require_probability, sometimes, uniform
from ctc_lightning.data.augmentation.separable import filtered


class GaussianBlur:
    """Convolve each chosen image with a Gaussian of its own width, mirroring it at its border.

        weight(d) ∝ exp(-d² / 2σ²),  |d| <= K // 2,  σ uniform on ``sigma``

    K is a tenth of the image's shorter side, made odd, at least 3 (SimCLR, arXiv 2002.05709, appendix A; with
    σ in [0.1, 2] and probability 0.5 also in MoCo v2, arXiv 2003.04297, whose code leaves K to its library).

    Args:
        sigma: smallest and largest σ in pixels, 0 < smallest <= largest.
        probability: in [0, 1], that an image is blurred.

    Raises:
        ValueError: a value out of its range; when called, an image of fewer than 2 rows or columns.
    """

    def __init__(self, sigma: Sequence[float] = (0.1, 2.0), probability: float = 0.5) -> None:
        if len(sigma) != 2 or not 0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f"GaussianBlur's sigma is {list(sigma)}, must be two rising numbers above 0: give [0.1, 2]."
            )
        self.sigma = (float(sigma[0]), float(sigma[1]))
        self.probability = require_probability("GaussianBlur", probability)

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        B, _, H, W = image_BCHW.shape
        if min(H, W) < 2:
            raise ValueError(f"The images are {H} x {W} pixels, must be 2 x 2 or larger: do not blur them.")
        low, high = self.sigma
        sigma_B = low + (high - low) * uniform(generator, B)

        def kernel(some_MCHW: Tensor, row_M: Tensor) -> Tensor:
            return blurred(some_MCHW, sigma_B[row_M].to(some_MCHW.device, non_blocking=True))

        return sometimes(image_BCHW, self.probability, generator, kernel)


def kernel_size(side: int) -> int:
    """K for images of this many pixels on the shorter side."""
    return max(3, side // 10 // 2 * 2 + 1)


def blurred(image_MCHW: Tensor, sigma_M: Tensor) -> Tensor:
    """Each uint8 image blurred by its own σ."""
    H, W = image_MCHW.shape[2:]
    taps = kernel_size(min(H, W))
    distance_K = torch.arange(taps, device=sigma_M.device) - taps // 2
    weight_MK = torch.softmax(-((distance_K / sigma_M[:, None]) ** 2) / 2, dim=1)
    return filtered(image_MCHW, _banded(weight_MK, H), _banded(weight_MK, W))


def _banded(weight_MK: Tensor, num_pixels: int) -> Tensor:
    """(M, n, n): the convolution with mirrored border as a matrix."""
    K = weight_MK.shape[1]
    pixel = torch.arange(num_pixels, device=weight_MK.device)
    source_Kn = (torch.arange(K, device=weight_MK.device)[:, None] - K // 2 + pixel).abs()
    last = num_pixels - 1
    source_Kn = last - (last - source_Kn).abs()
    tap_Knn = (source_Kn[:, :, None] == pixel).to(weight_MK.dtype)
    return (weight_MK @ tap_Knn.flatten(1)).view(-1, num_pixels, num_pixels)
