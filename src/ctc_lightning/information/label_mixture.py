"""Labels and a Gaussian mixture of known mutual information.

N: pairs, D: dimensions of x, L: labels, K = L − 1: dimensions of a simplex, M: draws of an expectation
"""

from math import log, sqrt

import torch
from scipy.linalg import helmert
from scipy.optimize import brentq
from torch import Tensor
from torch.nn.functional import one_hot

from ctc_lightning.estimators import Pairs
from ctc_lightning.information.invertible_network import random_orthonormal
from ctc_lightning.information.known import Known, normal


class LabelMixture(Known):
    """y uniform over L labels, one-hot; x = s·v_y + ε, v the corners of a simplex with edges of length 1.

    I(x; y) = ln L − E ln(1 + Σ_{c≠y} exp(s(z_c − z_y)/√2 − s²/2)), z ~ N(0, 1) in L dimensions: the average
    over M fixed draws, with its ``standard_error``. s is what makes it ``information``.

    Args:
        num_dims: D >= L − 1; the simplex lies in a random subspace, the rest is noise.
        information: I < ln L.
        num_labels: L >= 2.
        num_draws: M >= 2.
        subspace_seed: of the subspace, which all draws of pairs share, and of the M draws.

    Raises:
        ValueError: a number outside its limits.
    """

    def __init__(
        self, *, num_dims: int, information: float, num_labels: int, num_draws: int, subspace_seed: int
    ) -> None:
        super().__init__(num_dims=num_dims, information=information)
        if num_labels < 2 or num_draws < 2:
            raise ValueError(
                f"num_labels is {num_labels} and num_draws {num_draws}; give at least 2 of each."
            )
        if num_dims < num_labels - 1:
            raise ValueError(
                f"label mixture: {num_labels} labels need {num_labels - 1} dimensions, not {num_dims}; "
                "choose fewer labels or more dimensions."
            )
        if information >= log(num_labels):
            raise ValueError(
                f"label mixture: {num_labels} labels carry less than ln {num_labels} = {log(num_labels):.2f} "
                f"nats, not {information:g}; choose more labels or less information."
            )
        self.num_labels, self.num_draws, self.subspace_seed = num_labels, num_draws, subspace_seed
        generator = torch.Generator().manual_seed(subspace_seed)
        corner_LK = torch.from_numpy(helmert(num_labels).T) / sqrt(2)
        self._corner_LD = corner_LK @ random_orthonormal(num_dims, num_labels - 1, generator).T
        z_ML = normal(num_draws, num_labels, generator=generator)
        step_MC = (z_ML[:, 1:] - z_ML[:, :1]) / sqrt(2)

        def information_of(s: float) -> Tensor:  # (M,) whose mean it is
            return log(num_labels) - (s * step_MC - s**2 / 2).exp().sum(1).log1p()

        self._separation = brentq(lambda s: float(information_of(s).mean()) - information, 0, 100)
        self._standard_error = float(information_of(self._separation).std()) / sqrt(num_draws)

    @property
    def standard_error(self) -> float:
        """Of ``information``: the standard deviation over the M draws, divided by √M."""
        return self._standard_error

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        label_N = torch.randint(self.num_labels, (num_pairs,), generator=generator)
        noise_ND = normal(num_pairs, self.num_dims, generator=generator)
        return Pairs(
            self._separation * self._corner_LD[label_N] + noise_ND, one_hot(label_N, self.num_labels)
        )
