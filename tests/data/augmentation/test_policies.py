"""AutoAugment and RandAugment: every outcome of torchvision's is one of ours, and as likely."""

import pytest
import torch
from scipy.stats import chi2_contingency
from torchvision.transforms import AutoAugmentPolicy
from torchvision.transforms import v2 as tv

from ctc_lightning.data.augmentation import AutoAugment, RandAugment

NUM = 2500
PAIRS = {
    "cifar10": (AutoAugment("cifar10"), tv.AutoAugment(AutoAugmentPolicy.CIFAR10)),
    "imagenet": (AutoAugment("imagenet"), tv.AutoAugment(AutoAugmentPolicy.IMAGENET)),
    "svhn": (AutoAugment("svhn"), tv.AutoAugment(AutoAugmentPolicy.SVHN)),
    "randaugment": (RandAugment(), tv.RandAugment()),
    "randaugment once, strong": (RandAugment(1, 30), tv.RandAugment(1, 30)),
}


@pytest.fixture(scope="module", params=PAIRS)
def outcomes(request):
    """Copies of one image, augmented anew and by torchvision: the nearest of our many earlier outcomes."""
    ours, theirs = PAIRS[request.param]
    g = torch.Generator().manual_seed(11)
    # Without symmetry, and with every channel's own histogram, so that no two operations look alike.
    up = torch.linspace(0, 1, 12)
    down = (1 - up)[:, None]
    image = torch.stack([up.outer(up), up[:, None] * down.T, 0.6 * down.expand(12, 12)])
    image = (30 + 200 * image + 20 * torch.rand(3, 12, 12, generator=g)).to(torch.uint8)[None]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        reference = torch.cat([theirs(image) for _ in range(NUM)]).flatten(1).float()
    known = ours(image.expand(10 * NUM, -1, -1, -1), g).flatten(1).unique(dim=0).float()
    mine = ours(image.expand(NUM, -1, -1, -1), g).flatten(1).float()
    return [torch.cdist(x, known, p=1).min(1) for x in (mine, reference)], image.numel()


def test_torchvision_s_outcomes_are_ours(outcomes):
    (_, reference), num_values = outcomes
    close = reference.values / num_values < 0.5  # levels on average, from rounding
    assert close.float().mean() > 0.995


def test_outcomes_are_as_likely(outcomes):
    (mine, reference), _ = outcomes
    size = 1 + max(mine.indices.max(), reference.indices.max())
    count = torch.stack([torch.bincount(side.indices, minlength=size) for side in (mine, reference)])
    rare = count.sum(0) < 10
    count = torch.cat([count[:, ~rare], count[:, rare].sum(1, keepdim=True)], dim=1)
    assert chi2_contingency(count[:, count.sum(0) > 0]).pvalue > 1e-3


def test_neighbours_are_independent(images, generator):
    """Whether an image changed says nothing about the next one."""
    image = images(1).expand(4000, -1, -1, -1)
    changed = (AutoAugment("cifar10")(image, generator(0)) != image).flatten(1).any(1).long()
    assert (
        chi2_contingency(torch.bincount(2 * changed[::2] + changed[1::2], minlength=4).view(2, 2)).pvalue
        > 1e-3
    )


def test_no_operations_is_the_images(images, generator):
    image = images(8)
    assert torch.equal(RandAugment(num_ops=0)(image, generator(0)), image)


def test_translation_grows_with_the_image(generator):
    """150/331 of the width, whatever the width is."""
    widths = []
    for width in (32, 96):
        image = torch.full((2000, 1, 8, width), 255, dtype=torch.uint8)
        out = RandAugment(1, 30)(image, generator(0))
        black = (out == 0)[:, 0]
        sideways = (black == black[:, :1]).flatten(1).all(1)  # whole columns; a rotation cuts across some
        widths.append(black[sideways & ~black.flatten(1).all(1), 0].sum(1).max().item())
    assert widths == [int(150 / 331 * 32), int(150 / 331 * 96)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AutoAugment("cifar100"), "'cifar100'"),
        (lambda: RandAugment(num_ops=-1), "-1"),
        (lambda: RandAugment(magnitude=31), "31"),
        (lambda: RandAugment(magnitude=-1), "-1"),
        (lambda: RandAugment(num_magnitude_bins=1, magnitude=0), "num_magnitude_bins is 1"),
    ],
)
def test_refuses_what_it_does_not_have(make, named):
    with pytest.raises(ValueError, match=named):
        make()
