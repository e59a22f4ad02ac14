"""Information through a channel with known Gaussian noise, between two bounds that nothing is trained for.

N: pairs to judge, M: all pairs, B: pairs at once, D: draws of the noise, E: dimensions of y
"""

import math

import numpy as np
import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.information.estimators.checks import check_pairs, check_readable
from ctc_lightning.information.estimators.gaussian_forms import MaxEntropy
from ctc_lightning.information.estimators.protocol import Estimate, Estimator, Fitted, Pairs

_ELEMENTS = 2**21  # float64 in one B × M matrix, of which there are a few


class NoisyChannel(Estimator):
    """Bounds of I(x; y) for y = c + σε, c = f(x), ε ~ N(0, 1), from log p(y | x) = −|y − c|² / 2σ² + const.

    With y_i = c_i + σε, pairs j of all M, and the mean over the pairs i that are judged and over draws of ε:

        value = ⟨log p(y_i | x_i) − log (1/M) Σ_j p(y_i | x_j)⟩ ≤ I,   never above log M, its ``ceiling``,
        upper = ⟨log p(y_i | x_i) − log (1/(M−1)) Σ_{j≠i} p(y_i | x_j)⟩ ≥ I,

    both in expectation: InfoNCE with the true density in place of a critic, and the leave-one-out bound
    (Poole et al. 2019, arXiv 1905.06922, the bounds with a known conditional; Goldfeld et al. 2019, arXiv
    1810.05728, estimate the same quantity, by mixtures of Gaussians). Of two upper bounds, this and
    `MaxEntropy`, the second is given where it is lower by more than two standard errors of their difference:
    always taking the lower one would favour draws that are too low.

    This is the number to trust about features with noise. Nothing is learned, so nothing can be learned
    badly; x enters through c alone, so the size of the images does not matter; what is not known is seen,
    as the distance between both bounds. It is wide where I is near log M or above: then more images, or more
    noise, are the only remedies. Measured on 1500 pairs with Gaussian c in 4 to 64 dimensions (log M = 7.3):
    ``value`` is less than 0.1 nats too low up to 3 nats, 0.2 at 4, 0.4 at 5, 0.7 at 6, 1.2 at 7. A
    lower bound that was learned must not end above ``upper``.

    ε is drawn anew: y and its noise are not used. The pairs of ``fit`` serve as further x_j. Distances are
    float64.

    Args:
        draws: of ε for each pair. They lessen the part of the spread that ε makes, not that of the images.

    Raises:
        ValueError: ``draws`` below 1; in use: pairs without a known noise, too few, not finite, all the same.
    """

    version = 1
    learns = False
    needs = "noise"
    uses_x = False

    def __init__(self, *, draws: int) -> None:
        count("noisy channel", example=8, draws=draws)
        self.draws = draws

    def fit(self, train: Pairs, *, seed: int) -> "FittedChannel":
        """Keep the pairs, and fit the Gaussian of the second upper bound; ``seed`` draws ε."""
        clean_NE = _clean(train)
        check_pairs("noisy channel", train, at_least=2, uses_x=False)
        return FittedChannel(clean_NE, train.noise, self.draws, seed)


class FittedChannel(Fitted):
    """The clean features of other pairs."""

    def __init__(self, clean_NE: Tensor, noise: float, draws: int, seed: int) -> None:
        self._others_NE, self._noise, self._draws, self._seed = clean_NE, noise, draws, seed
        self._max_entropy = MaxEntropy(clean_NE, noise)

    def __call__(self, pairs: Pairs) -> Estimate:
        """Both bounds on these pairs: others than those of ``fit``, or exactly those."""
        clean_NE = _clean(pairs)
        check_readable("noisy channel", pairs, uses_x=False)
        if pairs.noise != self._noise:
            raise ValueError(
                f"noisy channel: these pairs have a noise of {pairs.noise}, those of the fit {self._noise}; "
                "give both the same."
            )
        same = torch.equal(clean_NE, self._others_NE)  # else each would meet itself as another
        clean_ME = clean_NE if same else torch.cat([clean_NE, self._others_NE])
        num, num_all = len(clean_NE), len(clean_ME)
        u_ME = (clean_ME.double() - clean_ME.double().mean(0)) / self._noise
        random = np.random.default_rng(self._seed)
        size = max(1, _ELEMENTS // num_all)
        others_N = torch.cat(
            [self._others(u_ME, first, min(first + size, num), random) for first in range(0, num, size)]
        )

        # log p(y_i | x_i) is 0 in these units
        value = math.log(num_all) - torch.logaddexp(others_N, torch.zeros_like(others_N))
        upper_N = (math.log(num_all - 1) - others_N).mean(1)
        entropy_N = self._max_entropy(clean_NE)
        lower_N = upper_N - entropy_N
        error = float(lower_N.std()) / math.sqrt(num) if num > 1 else math.inf
        clear = float(lower_N.mean()) > 2 * error
        upper = float((entropy_N if clear else upper_N).mean())
        return Estimate(float(value.mean()), upper=upper, ceiling=math.log(num_all))

    def _others(self, u_ME: Tensor, first: int, last: int, random: np.random.Generator) -> Tensor:
        """The log Σ_{j≠i} p(y_i | x_j) / p(y_i | x_i) of some i, (B, D)."""
        u_BE = u_ME[first:last]
        half_M = u_ME.square().sum(1) / 2
        closeness_BM = u_BE @ u_ME.T - half_M - half_M[first:last, None]  # −|u_i − u_j|² / 2
        closeness_BM.diagonal(first).fill_(-torch.inf)
        # pair after pair, so that it does not matter how many are taken at once
        noise_BDE = torch.from_numpy(random.standard_normal((len(u_BE), self._draws, u_BE.shape[1])))
        found = []
        for noise_BE in noise_BDE.to(u_BE.device).unbind(1):
            shift_BM = noise_BE @ u_ME.T - (noise_BE * u_BE).sum(1, keepdim=True)
            found.append((closeness_BM + shift_BM).logsumexp(1))
        return torch.stack(found, 1)


def _clean(pairs: Pairs) -> Tensor:
    """The clean features."""
    if pairs.clean_NE is None or not pairs.noise > 0:
        raise ValueError(
            f"noisy channel: y has no known noise (noise={pairs.noise:g}); add some, as noise=0.5, or choose "
            "an estimator that needs none."
        )
    return pairs.clean_NE
