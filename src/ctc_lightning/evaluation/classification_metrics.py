"""The metrics of every classifier, with intervals. N: images, L: classes, R: resamples, G: groups."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ctc_lightning.evaluation.average_precision import ElevenPoints, Floats
from ctc_lightning.evaluation.bootstrap import bootstrap
from ctc_lightning.evaluation.measured import Measured

BINS = 15
FEW_GROUPS = 128
SINGLE_LABEL = ("top1", "mean_per_class", "ece")
MULTI_LABEL = ("map_11_point",)
LOWER_IS_BETTER = ("ece",)


def classification(
    test_NL: Tensor, test_label: Tensor, val_NL: Tensor, val_label: Tensor, metric: str, chosen: str
) -> list[Measured]:
    """All metrics of a classifier on test with 95 % bootstrap intervals over images, its own on validation.

    - ``top1``: (1/N) Σ_n [argmax_c z_nc = y_n];
    - ``mean_per_class``: the mean over the classes with images of each one's top-1;
    - ``ece``: Σ_b (N_b/N) |accuracy_b − confidence_b|, over 15 equal bins of the largest softmax probability
      (Guo et al. 2017, arXiv 1706.04599);
    - ``map_11_point``: the mean over classes with present images of (1/11) Σ_{r = 0, 0.1 … 1} max precision
      at recall >= r, images labelled -1 left out: see `ElevenPoints`.

    Args:
        test_NL: (N, L) logits.
        test_label: (N,) int64; of a multi-label target (N, L) with 1, 0 and -1.
        val_NL: logits on validation of the model that was chosen there.
        val_label: their labels.
        metric: the target's own: its validation value comes too.
        chosen: the hyper-parameters.

    Raises:
        ValueError: logits that are NaN.
    """
    _check_numbers(test_NL)
    names = SINGLE_LABEL if test_label.ndim == 1 else MULTI_LABEL
    measures = (_SingleLabel if test_label.ndim == 1 else _MultiLabel)(test_NL, test_label)
    num_images = len(test_label)
    values = measures(np.ones((1, num_images)))[0]
    low, high = bootstrap(measures, num_images)
    rows = [
        Measured(name, float(values[i]), float(low[i]), float(high[i]), num_images, chosen)
        for i, name in enumerate(names)
    ]
    on_val = Measured(f"val_{metric}", score(val_NL, val_label, metric), n=len(val_label), chosen=chosen)
    return [*rows, on_val]


def score(logits_NL: Tensor, label: Tensor, metric: str) -> float:
    """One metric, without an interval: for choosing hyper-parameters, so the larger the better.

    NaN where it is not defined: of several labels, where no image has any.

    Raises:
        ValueError: a metric that does not fit the labels, or is not better if larger; logits that are NaN.
    """
    _check_numbers(logits_NL)
    names: Sequence[str] = SINGLE_LABEL if label.ndim == 1 else MULTI_LABEL
    choices = [name for name in names if name not in LOWER_IS_BETTER]
    if metric not in choices:
        raise ValueError(
            f"metric is {metric!r}, must be one of {', '.join(choices)} for these labels: choose one."
        )
    if metric == "top1":
        return float((logits_NL.argmax(1).cpu() == label.cpu()).double().mean())
    measures = (_SingleLabel if label.ndim == 1 else _MultiLabel)(logits_NL, label)
    return float(measures(np.ones((1, len(label))))[0][names.index(metric)])


def _check_numbers(logits_NL: Tensor) -> None:
    """Refuse NaN, which would count as the first class."""
    if bad := int(logits_NL.isnan().any(1).sum()):
        raise ValueError(
            f"{bad} of {len(logits_NL)} predictions are NaN; the features or the probe diverged."
        )


class _SingleLabel:
    """(R, N) weights to (R, 3): top1, mean_per_class, ece."""

    def __init__(self, logits_NL: Tensor, label_N: Tensor) -> None:
        probability_NL = logits_NL.detach().double().softmax(1)
        confidence_N, predicted_N = (found.cpu().numpy() for found in probability_NL.max(1))
        label = label_N.cpu().numpy()
        self.correct_N = (predicted_N == label).astype(np.float64)
        # bins (b/15, (b+1)/15]; a confidence of 0 does not occur
        bin_N = np.ceil(confidence_N * BINS).astype(np.int64).clip(1, BINS) - 1
        self.gap_N = self.correct_N - confidence_N
        self.classes, self.bins = _Groups(label), _Groups(bin_N)

    def __call__(self, weight_RN: Floats) -> Floats:
        total_R = weight_RN.sum(1)
        top1_R = weight_RN @ self.correct_N / total_R
        of_class = self.classes.sums(weight_RN)
        with np.errstate(invalid="ignore"):
            per_class = self.classes.sums(weight_RN, self.correct_N) / of_class
        ece_R = np.abs(self.bins.sums(weight_RN, self.gap_N)).sum(1) / total_R
        return np.stack([top1_R, np.nanmean(per_class, axis=1), ece_R], axis=1)


class _MultiLabel:
    """(R, N) weights to (R, 1): map_11_point."""

    def __init__(self, logits_NL: Tensor, label_NL: Tensor) -> None:
        score_NL, label = logits_NL.detach().double().cpu().numpy(), label_NL.cpu().numpy()
        classes = (ElevenPoints(*both) for both in zip(score_NL.T, label.T, strict=True))
        self.classes = [of_class for of_class in classes if of_class.defined]

    def __call__(self, weight_RN: Floats) -> Floats:
        if not self.classes:
            return np.full((len(weight_RN), 1), np.nan)
        per_class = np.stack([of_class(weight_RN) for of_class in self.classes], axis=1)
        with warnings.catch_warnings():  # a resample may have no hit at all: NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.nanmean(per_class, axis=1, keepdims=True)


class _Groups:
    """Sums over images of the same group (class or bin)."""

    def __init__(self, group_N: NDArray[np.int64]) -> None:
        self.order_N = np.argsort(group_N, kind="stable")
        present, self.starts = np.unique(group_N[self.order_N], return_index=True)
        self.few = len(present) <= FEW_GROUPS
        if self.few:  # a product of matrices is faster than sorting every resample's weights
            self.member_NG = (group_N[:, None] == present).astype(np.float64)

    def sums(self, weight_RN: Floats, value_N: Floats | None = None) -> Floats:
        """Σ over each group of w_rn v_n: (R, groups that have images)."""
        if self.few:
            return weight_RN @ (self.member_NG if value_N is None else self.member_NG * value_N[:, None])
        weight_RN = weight_RN if value_N is None else weight_RN * value_N
        return np.add.reduceat(weight_RN[:, self.order_N], self.starts, axis=1)
