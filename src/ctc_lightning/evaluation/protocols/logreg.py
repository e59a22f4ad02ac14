"""The tuned linear probe: logistic regression on frozen features. N: images, F: features, L: classes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.logistic_regression import Linear, fit_path
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Task
from ctc_lightning.evaluation.scaling import FeatureSums, check_scale, fit_scaling


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
        ValueError: a scale that is none, no or non-positive ``strengths``; in use, labels of a single class.
    """

    version = 1

    def __init__(
        self, *, scale: str | None, strengths: Sequence[float] | Mapping[str, float], refit: bool = True
    ) -> None:
        check_scale(scale)
        values: list[float]
        if isinstance(strengths, Mapping):
            if set(strengths) != {"first", "last", "num"} or min(strengths.values()) <= 0:
                raise ValueError(
                    f"logistic regression: strengths are {dict(strengths)}; give a list, or first, last and "
                    "num, all above 0."
                )
            values = np.geomspace(strengths["first"], strengths["last"], int(strengths["num"])).tolist()
        else:
            values = [float(strength) for strength in strengths]
        if not values or not all(0 < strength < math.inf for strength in values):
            raise ValueError(
                f"logistic regression: strengths are {values}; give at least one, all above 0 and finite."
            )
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
