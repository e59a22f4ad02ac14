"""What a batch must be before a metric of features takes it in. B: images, F: features, L: classes."""

import torch
from torch import Tensor


def checked_features(metric: str, h_BF: Tensor, num_features: int) -> Tensor:
    """The batch in float64, without a gradient.

    Args:
        metric: what a message calls the metric.
        h_BF: (B, F) floating point.
        num_features: F.

    Raises:
        ValueError: another shape, or NaN or infinite features.
    """
    if h_BF.ndim != 2 or h_BF.shape[1] != num_features:
        raise ValueError(
            f"{metric}: features of shape {tuple(h_BF.shape)}; it was built for (images, {num_features}): "
            "set num_features to the network's."
        )
    bad = int((~h_BF.isfinite()).any(dim=1).sum())
    if bad:
        raise ValueError(
            f"{metric}: {bad} of {len(h_BF)} images have features that are not finite; the network has "
            "diverged, lower the learning rate."
        )
    return h_BF.detach().to(torch.float64)


def check_labels(metric: str, label_B: Tensor, num_images: int, num_classes: int) -> None:
    """Refuse labels that do not belong to the batch, or to [0, L).

    Raises:
        ValueError: another number of labels than images, or a label outside [0, L).
    """
    if label_B.shape != (num_images,):
        raise ValueError(
            f"{metric}: labels of shape {tuple(label_B.shape)} for {num_images} images; give one for each."
        )
    wrong_B = label_B[(label_B < 0) | (label_B >= num_classes)]
    if len(wrong_B):
        raise ValueError(
            f"{metric}: label {int(wrong_B[0])} with num_classes = {num_classes}; labels lie in "
            f"[0, {num_classes - 1}], set num_classes to the data set's."
        )
