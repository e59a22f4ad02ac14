"""The tuned linear probe: logistic regression on frozen features. N: images, F: features, L: classes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from ctc_lightning.checks import count, in_range, one_of
from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.logistic_regression import Linear, fit_path
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Task
from ctc_lightning.evaluation.scaling import FeatureSums, Scale, fit_scaling

# Bytes at the peak of the refit, measured: for each feature of an image (a float32 copy of train and val, the
# float32 directions and their squares; else two float64 matrices too), and for each class of an image
_WHITENED, _OTHERWISE, _LOGIT = 12, 22, 44


class LogisticRegressionProbe(ClassifierProtocol):
    """min_{W,b} Σ_n CE(W z_n + b, y_n) + (λ/2) |W|², z the frozen features; λ chosen on validation.

    The path of λ is fitted on train, the one of the best validation metric is chosen (of equally good ones
    the strongest), then W and b are fitted anew on train and val, and test is predicted once.

    Args:
        scale: what z is: None: the features as they are (Kornblith et al. 2019, arXiv 1805.08974, and
            ssl-transfer); ``standardised`` or ``whitened``, see `fit_scaling`. Fitted on the images that W is
            fitted on.
        strengths: the values of λ to try, each > 0: a list, or ``{first, last, num}`` for ``num`` values
            evenly spaced in log λ.
        refit: whether W is fitted anew on train and val; else the chosen W of train predicts test.

    Raises:
        ValueError: a scale that is none, no or non-positive ``strengths``; in use, labels of a single class
            or too little free memory.
    """

    version = 1

    def __init__(
        self, *, scale: str | None, strengths: Sequence[float] | Mapping[str, float], refit: bool = True
    ) -> None:
        one_of("logistic regression", get_args(Scale), null=True, scale=scale)
        values: list[float]
        if isinstance(strengths, Mapping):
            if set(strengths) != {"first", "last", "num"}:
                raise ValueError(
                    f"logistic regression: strengths is {dict(strengths)}; give a list, or first, last, num."
                )
            in_range("strengths", "(0, inf)", first=strengths["first"], last=strengths["last"])
            count("strengths", num=strengths["num"])
            values = np.geomspace(strengths["first"], strengths["last"], int(strengths["num"])).tolist()
        else:
            values = [float(strength) for strength in strengths]
        in_range("logistic regression", "(0, inf)", strengths=values)
        self.scale = scale
        self.strengths = sorted(values, reverse=True)
        self.refit = refit

    def predict(self, task: Task) -> Predicted:
        """Fit the path on train, choose on val, predict test."""
        h_NF, label = task.features["train"], task.label["train"]
        if label.ndim == 1 and len(label.unique()) < 2:
            raise ValueError(
                f"logistic regression: all {len(label)} training images of {task.target} are of one class; "
                "at least 2 classes are needed, choose another target."
            )
        num_images = len(h_NF) + (len(task.features["val"]) if self.refit else 0)
        self._check_memory(num_images, h_NF.shape[1], task.num_classes, h_NF.device)
        sums = None if self.scale is None else FeatureSums.of(h_NF)
        scaling = None if sums is None else fit_scaling(sums, self.scale)
        best: tuple[float, Linear, Tensor] | None = None
        for linear in fit_path(h_NF, label, task.num_classes, self.strengths, scaling):
            val_NL = linear(task.features["val"])
            found = score(val_NL, task.label["val"], task.metric)
            if best is None or found > best[0]:
                best = found, linear, val_NL
        assert best is not None, "there is at least one strength"
        _, linear, val_NL = best
        if self.refit:
            if sums is not None:
                scaling = fit_scaling(sums.union(FeatureSums.of(task.features["val"])), self.scale)
            h_NF = torch.cat([h_NF, task.features["val"]])
            label = torch.cat([label, task.label["val"]])
            (linear,) = fit_path(h_NF, label, task.num_classes, [linear.strength], scaling)
        test_NL = linear(task.features["test"])
        return Predicted(test_NL, val_NL, f"lambda={linear.strength:.3g}")

    def _check_memory(
        self, num_images: int, num_features: int, num_classes: int, device: torch.device
    ) -> None:
        size = _WHITENED if self.scale == "whitened" else _OTHERWISE
        needed, free = num_images * (num_features * size + num_classes * _LOGIT), free_memory(device)
        if needed > free:
            raise ValueError(
                f"logistic regression: {num_images} images with {num_features} features and {num_classes} "
                f"classes need about {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free; "
                "use protocol=probe_bn, which learns from one batch at a time."
            )


def free_memory(device: torch.device) -> float:
    """Bytes that can be had without swapping; where the system does not say, what is installed."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
