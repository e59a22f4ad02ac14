"""Images whose pixels differ, and generators."""

import pytest
import torch
from torch.nn.functional import interpolate


@pytest.fixture
def generator():
    return lambda seed: torch.Generator().manual_seed(seed)


@pytest.fixture
def images(generator):
    """(num, channels, height, width) uint8, channels_last: smooth colours, noise, and clipped values."""

    def make(num, channels=3, height=32, width=32, seed=0):
        g = generator(seed)
        smooth = interpolate(torch.rand(num, channels, 5, 5, generator=g), (height, width), mode="bicubic")
        noisy = 280 * smooth - 10 + 15 * torch.randn(num, channels, height, width, generator=g)
        return noisy.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)

    return make
