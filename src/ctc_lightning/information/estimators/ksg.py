"""Mutual information from distances to the k-th neighbour, for low dimensions.

N: pairs to judge, M: all pairs, C: dimensions of x, E: dimensions of y
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor

from ctc_lightning.checks import count, in_range
from ctc_lightning.information.estimators.checks import check_pairs, check_readable
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs

Array = NDArray[np.float64]
_ROUNDING = torch.finfo(torch.float32).eps  # a standard deviation below this share of the largest value


class KSG(Estimator):
    """I(x; y) = ψ(k) + ψ(M) − ⟨ψ(m_x + 1) + ψ(m_y + 1)⟩, in nats.

    d is the distance of a pair to its k-th neighbour in the norm max(|Δx|_∞, |Δy|_∞); m_x is the number of
    other pairs with |Δx|_∞ < d, m_y likewise; ψ is the digamma function.
    Kraskov, Stögbauer and Grassberger 2004 (arXiv cond-mat/0305641), eq. (8), their first estimator.

    Neighbours are searched among all M pairs, those of ``fit`` and those judged, and the mean is over those
    judged: the mean over folds of equal size is the estimator on all pairs. Every dimension is first divided
    by its standard deviation over all pairs, which does not change I.

    It is no bound. Where x and y are independent it is right on average; the more dimensions, and the nearer
    I comes to ψ(M) − ψ(k), which it never exceeds, the lower it is. Measured for 1500 pairs of Gaussians with
    2 nats, k = 3: right within 0.05 nats in 1 and 2 dimensions of x and of y, 0.2 too low in 3, 0.4 in 4,
    1 in 8. So more than ``max_dims`` are refused.

    Args:
        neighbours: k; small: little bias, much spread.
        max_dims: of x and of y, each.
        jitter: standard deviation of normal noise added to every dimension after scaling, against ties, which
            the formula excludes; 0: none. Far below all distances that matter.

    Raises:
        ValueError: ``neighbours`` or ``max_dims`` below 1, ``jitter`` negative or above 0.01; in use: too few
            pairs, too many dimensions, values that are not finite or all the same.
    """

    version = 1
    is_lower_bound = False
    learns = False

    def __init__(self, *, neighbours: int, max_dims: int, jitter: float) -> None:
        count("KSG", example=3, neighbours=neighbours)
        count("KSG", max_dims=max_dims)
        in_range("KSG", "[0, 0.01]", example=1e-10, jitter=jitter)
        self.neighbours = neighbours
        self.max_dims = max_dims
        self.jitter = jitter

    def fit(self, train: Pairs, *, seed: int) -> "FittedKSG":
        """Keep the pairs as neighbours; ``seed`` draws the jitter."""
        check_pairs("KSG", train, at_least=self.neighbours + 1)
        for name, values in (("x", train.x_NC), ("y", train.y_NE)):
            if values.shape[1] > self.max_dims:
                raise ValueError(
                    f"KSG: {name} has {values.shape[1]} dimensions, at most {self.max_dims} are allowed, "
                    "because neighbours say little in more; project it first, or choose another estimator."
                )
        return FittedKSG(train, self.neighbours, self.jitter, seed)


class FittedKSG(Fitted):
    """The pairs of ``fit``, and the estimator's options."""

    def __init__(self, train: Pairs, neighbours: int, jitter: float, seed: int) -> None:
        self._train, self._neighbours, self._jitter, self._seed = train, neighbours, jitter, seed

    def __call__(self, pairs: Pairs) -> Estimate:
        """The mean over these pairs: others than those of ``fit``, or exactly those.

        ``ceiling`` is ψ(M) − ψ(k): of the k nearest only one need not be strictly nearer than the k-th.
        """
        check_readable("KSG", pairs)
        num, train = len(pairs.y_NE), self._train
        x, y = [pairs.x_NC], [pairs.y_NE]
        # a pair that met itself would find a neighbour at distance 0
        if not (torch.equal(pairs.x_NC, train.x_NC) and torch.equal(pairs.y_NE, train.y_NE)):
            x, y = [*x, train.x_NC], [*y, train.y_NE]
        random = np.random.default_rng(self._seed)
        x_MC, y_ME = (self._scaled(torch.cat(parts), random) for parts in (x, y))

        joint_MJ = np.hstack([x_MC, y_ME])
        # each finds itself first, at distance 0
        distance_NK, _ = cKDTree(joint_MJ).query(joint_MJ[:num], k=[self._neighbours + 1], p=np.inf)
        below_N = np.nextafter(distance_NK[:, 0], 0)
        count_x_N, count_y_N = (
            cKDTree(values).query_ball_point(values[:num], below_N, p=np.inf, return_length=True)
            for values in (x_MC, y_ME)
        )  # with the pair itself: m + 1
        ceiling = float(digamma(len(joint_MJ)) - digamma(self._neighbours))
        value = digamma(self._neighbours) + digamma(len(joint_MJ))
        value -= float(np.mean(digamma(count_x_N) + digamma(count_y_N)))
        return Estimate(float(value), ceiling=ceiling)

    def _scaled(self, values: Tensor, random: np.random.Generator) -> Array:
        """Float64 with a standard deviation of 1 in each dimension that has one, and the jitter."""
        values_MD: Array = values.double().cpu().numpy()
        deviation_D = values_MD.std(0)
        varies_D = deviation_D > _ROUNDING * np.abs(values_MD).max(0)
        values_MD = (values_MD - values_MD.mean(0)) / np.where(varies_D, deviation_D, np.inf)
        return values_MD + self._jitter * random.normal(size=values_MD.shape)
