"""A new linear head for a target, its loss, its answers, its random draws.

B: batch, N: images, F: features, L: classes
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def new_head(num_features: int, num_classes: int, seed: int) -> nn.Linear:
    """W h + b with W and b uniform in ±1/√F, as PyTorch's own linear layers start.

    Args:
        num_features: F.
        num_classes: L.
        seed: of a generator of its own; the same on every device.
    """
    head = nn.utils.skip_init(nn.Linear, num_features, num_classes)
    draw = torch.Generator().manual_seed(seed)
    bound = num_features**-0.5
    with torch.no_grad():
        head.weight.uniform_(-bound, bound, generator=draw)
        head.bias.uniform_(-bound, bound, generator=draw)
    return head


def label_loss(logits_BL: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy; of several labels the mean binary cross-entropy over the classes that are to be judged.

    Args:
        logits_BL: (B, L).
        label: (B,) int64; or (B, L) with 1 present, 0 absent, -1 left out of the mean.

    Returns:
        A scalar; 0 where nothing is to be judged.
    """
    if label.ndim == 1:
        return cross_entropy(logits_BL, label)
    judged_BL = (label >= 0).to(logits_BL.dtype)
    target_BL = label.clamp(min=0).to(logits_BL.dtype)
    total = binary_cross_entropy_with_logits(logits_BL, target_BL, weight=judged_BL, reduction="sum")
    return total / judged_BL.sum().clamp(min=1)


@torch.no_grad()
def answers(
    model: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """(N, L) float32 logits, and the labels that came with the images, on the CPU.

    Args:
        model: views to (B, L).
        batches: of `TargetImages`, whose order and labels differ from the task's where an image stands in for
            an unreadable one.
    """
    parts = [(model(view_BCHW).float().cpu(), label.cpu()) for view_BCHW, label in batches]
    logits, labels = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(labels)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Global random numbers (dropout draws them) start from ``seed`` inside and go on as before outside."""
    with isolate_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        yield
