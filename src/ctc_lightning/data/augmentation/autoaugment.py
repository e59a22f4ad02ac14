"""AutoAugment: pairs of operations that a search found for a data set."""

# B images, C channels, H rows, W columns, P sub-policies

from functools import cache

import torch
from torch import Tensor

from ctc_lightning.data.augmentation.chance import uniform
from ctc_lightning.data.augmentation.operations import NAMES, SIGNED, applied, magnitudes
from ctc_lightning.data.augmentation.policies import POLICIES

NUM_BINS = 10


class AutoAugment:
    """For each image one of 25 sub-policies: two operations, each with a probability and a magnitude.

    Policies, magnitudes, signs, nearest neighbour and black outside are those of torchvision's class of this
    name (Cubuk et al., arXiv 1805.09501). For colour and grey images.

    Args:
        policy: "cifar10", "imagenet" or "svhn": the data set that it was found for.

    Raises:
        ValueError: an unknown policy.
    """

    def __init__(self, policy: str = "cifar10") -> None:
        if policy not in POLICIES:
            raise ValueError(f"AutoAugment's policy is {policy!r}, must be one of: {', '.join(POLICIES)}.")
        self.policy = policy
        steps = POLICIES[policy]
        self._operation_P2 = torch.tensor([[NAMES.index(name) for name, *_ in pair] for pair in steps])
        self._probability_P2 = torch.tensor([[probability for _, probability, _ in pair] for pair in steps])

    def __call__(self, image_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 -> the same, channels_last."""
        B, _, H, W = image_BCHW.shape
        device = generator.device
        amount_P2 = _amounts(self.policy, H, W).to(device)
        policy_B = torch.randint(len(amount_P2), (B,), generator=generator, device=device)
        happens_2B, negative_2B = uniform(generator, 2, 2, B)
        for step in range(2):
            operation_B = self._operation_P2.to(device)[policy_B, step]
            amount_B = amount_P2[policy_B, step]
            happens_B = happens_2B[step] < self._probability_P2.to(device)[policy_B, step]
            negative_B = (negative_2B[step] < 0.5) & SIGNED.to(device)[operation_B]
            image_BCHW = applied(
                image_BCHW,
                torch.where(happens_B, operation_B, NAMES.index("Identity")),
                torch.where(negative_B, -amount_B, amount_B),
            )
        return image_BCHW


@cache
def _amounts(policy: str, height: int, width: int) -> Tensor:
    """(P, 2) float64 for images of this size."""
    return torch.tensor(
        [
            [magnitudes(name, NUM_BINS, height, width)[level].item() for name, _, level in pair]
            for pair in POLICIES[policy]
        ],
        dtype=torch.float64,
    )
