"""Mutual information as if everything were Gaussian.

N: pairs, V: those of the inner split, C: dimensions of x, E: dimensions of y, J: C + E, R: directions of J
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.information.estimators.checks import check_pairs, check_readable
from ctc_lightning.information.estimators.gaussian_forms import LogRatio, MaxEntropy
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs

_MOST_DIMS = 20_000  # a covariance of 3 GB
_ROUNDING = torch.finfo(torch.float32).eps  # a standard deviation below this share of the largest value


class Gaussian(Estimator):
    """⟨log N(x, y; μ, Σ) − log N(x; μ_x, Σ_x) − log N(y; μ_y, Σ_y)⟩ over held-out pairs, in nats.

    μ and Σ are fitted on all pairs of ``fit``, in units of each dimension's standard deviation, in which
    Σ = (1 − s) · covariance + s · 1. Of several s the one under which the pairs of an inner split are most
    likely is taken. Dimensions without variance are left out.

    For many pairs of jointly Gaussian x and y this is I(x; y). Otherwise it is neither an upper nor a lower
    bound: an error in the fitted p(y | x) lowers it, one in p(y) raises it.
    ``upper``, where the noise is known, is the bound of `MaxEntropy`.

    Args:
        shrinkages: the values of s to try, each in [0, 1].
        validation: share of the pairs that chooses among them, in (0, 1).

    Raises:
        ValueError: no ``shrinkages`` or a value out of range; in use: too few pairs, values that are not
            finite or all the same, fewer pairs than dimensions where s is 0, more than 20 000 dimensions.
    """

    version = 1
    is_lower_bound = False

    def __init__(self, *, shrinkages: Sequence[float], validation: float) -> None:
        in_range("Gaussian", "[0, 1]", shrinkages=list(shrinkages))
        in_range("Gaussian", "(0, 1)", example=0.2, validation=validation)
        self.shrinkages = [float(shrinkage) for shrinkage in shrinkages]
        self.validation = validation

    @property
    def needs(self) -> Literal["independent"] | None:  # type: ignore[override]
        """Without shrinkage, dimensions that follow from others have no density."""
        return "independent" if 0 in self.shrinkages else None

    def fit(self, train: Pairs, *, seed: int) -> "FittedGaussian":
        """Choose s, then fit μ and Σ; ``seed`` draws the inner split."""
        check_pairs("Gaussian", train, at_least=4)
        joint_NJ = torch.cat([train.x_NC, train.y_NE], 1).double()
        mean_J, deviation_J = joint_NJ.mean(0), joint_NJ.std(0, correction=0)
        varies_J = deviation_J > _ROUNDING * joint_NJ.abs().amax(0)
        if (num := int(varies_J.sum())) > _MOST_DIMS:
            raise ValueError(
                f"Gaussian: {num} dimensions of x and y together, at most {_MOST_DIMS} are allowed, as their "
                "covariance does not fit in memory; project x (input_view=projection)."
            )
        z_NJ = ((joint_NJ - mean_J) / deviation_J)[:, varies_J]
        shrinkage = self._chosen(z_NJ, seed)
        covariance_JJ = (1 - shrinkage) * (z_NJ.T @ z_NJ) / len(z_NJ)
        covariance_JJ.diagonal().add_(shrinkage)
        if len(z_NJ) <= z_NJ.shape[1] and not shrinkage:
            raise ValueError(
                f"Gaussian: {len(z_NJ)} pairs do not determine the covariance of {z_NJ.shape[1]} dimensions; "
                "give a shrinkage above 0, project x, or use more images."
            )
        ratio = LogRatio(covariance_JJ, int(varies_J[: train.x_NC.shape[1]].sum()))
        return FittedGaussian(mean_J[varies_J], deviation_J[varies_J], varies_J, ratio, MaxEntropy.of(train))

    def _chosen(self, z_NJ: Tensor, seed: int) -> float:
        """The shrinkage under which held-out pairs are most likely; of equally good ones the largest."""
        if len(self.shrinkages) == 1:
            return self.shrinkages[0]
        order_N = torch.randperm(len(z_NJ), generator=torch.Generator().manual_seed(seed)).to(z_NJ.device)
        num = min(max(1, round(self.validation * len(z_NJ))), len(z_NJ) - 2)
        held_VJ, rest_NJ = z_NJ[order_N[:num]], z_NJ[order_N[num:]]
        held_VJ = held_VJ - rest_NJ.mean(0)
        _, singular_R, direction_RJ = torch.linalg.svd(rest_NJ - rest_NJ.mean(0), full_matrices=False)
        along_R = (held_VJ @ direction_RJ.T).square().mean(0)
        # directions in which no pair differs have the variance s
        num_rest = z_NJ.shape[1] - len(along_R)
        rest = (held_VJ.square().sum(1).mean() - along_R.sum()).clamp(min=0)
        costs = {}
        for shrinkage in sorted(self.shrinkages, reverse=True):
            variance_R = (1 - shrinkage) * singular_R.square() / len(rest_NJ) + shrinkage
            cost = (along_R / variance_R + variance_R.log()).sum()
            if num_rest and shrinkage:
                cost = cost + rest / shrinkage + num_rest * math.log(shrinkage)
            possible = bool(cost.isfinite()) and (shrinkage > 0 or not num_rest)
            costs[shrinkage] = float(cost) if possible else math.inf
        return min(costs, key=lambda shrinkage: costs[shrinkage])


class FittedGaussian(Fitted):
    """μ, Σ and, where the noise is known, the Gaussian of largest entropy."""

    def __init__(
        self,
        mean_J: Tensor,
        deviation_J: Tensor,
        varies_J: Tensor,
        ratio: LogRatio,
        max_entropy: MaxEntropy | None,
    ) -> None:
        self._mean_J, self._deviation_J, self._varies_J = mean_J, deviation_J, varies_J
        self._ratio, self._max_entropy = ratio, max_entropy

    def __call__(self, pairs: Pairs) -> Estimate:
        """The mean log density ratio of these pairs."""
        check_readable("Gaussian", pairs)
        joint_NJ = torch.cat([pairs.x_NC, pairs.y_NE], 1)[:, self._varies_J]
        value = float(self._ratio((joint_NJ - self._mean_J) / self._deviation_J).mean())
        if self._max_entropy is None or pairs.clean_NE is None:
            return Estimate(value)
        return Estimate(value, upper=float(self._max_entropy(pairs.clean_NE).mean()))
