"""The number of features that a module gives. B: images, F: features."""

import torch
from torch import Tensor, nn

from ctc_lightning.networks.eval_mode import evaluating


def find_width(backbone: nn.Module, shape: tuple[int, int, int], remedy: str) -> int:
    """F, by one forward pass in eval mode.

    Args:
        backbone: (B, C, H, W) to (B, F).
        shape: (C, H, W) of the images.
        remedy: what errors advise.

    Raises:
        ValueError: it does not take such images, or gives no (B, F).
    """
    called, like = type(backbone).__name__, next(backbone.parameters(), torch.empty(0))
    try:
        with torch.no_grad(), evaluating(backbone):
            h_BF = backbone(like.new_zeros(2, *shape))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"backbone: {called} does not take images of shape {shape} ({reason}); {remedy}."
        ) from error
    if not isinstance(h_BF, Tensor) or h_BF.ndim != 2:
        given = tuple(h_BF.shape) if isinstance(h_BF, Tensor) else type(h_BF).__name__
        raise ValueError(
            f"backbone: {called} gives {given} for 2 images; it must give features of shape "
            "(2, F): pool and flatten them, and leave out its classifier."
        )
    return h_BF.shape[1]
