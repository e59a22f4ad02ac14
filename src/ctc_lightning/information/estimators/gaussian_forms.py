"""What is known in closed form of Gaussians: information, and the largest entropy.

N: pairs, C: dimensions of x, E: dimensions of y, J: C + E, D: dimensions of any of them
"""

import torch
from torch import Tensor

from ctc_lightning.information.estimators.protocol import Pairs

# Of a dimension's variance, what the dimensions before it leave of it: below this it is rounding
_ROUNDING = 1e-12


def gaussian_information(covariance_JJ: Tensor, dims_x: int) -> float:
    """I(x; y) = ½ (log |Σ_x| + log |Σ_y| − log |Σ|), in nats, of jointly Gaussian x and y.

    Args:
        covariance_JJ: Σ, (J, J), positive definite, or a correlation matrix: x first, then y.
        dims_x: C.

    Raises:
        ValueError: Σ is not positive definite.
    """
    return LogRatio(covariance_JJ.double(), dims_x).information


class MaxEntropy:
    """An upper bound of I(x; c + σε), c = f(x), as entropies of Gaussians are largest: −⟨log q(y)⟩ − h(σε).

    With q = N(μ, Σ_c + σ²), fitted on the c of other pairs, the mean over ε is known: each pair gives

        ½ log |1 + Σ_c / σ²| + ½ (uᵀ A u + tr A − E),  u = (c − μ) / σ,  A = (1 + Σ_c / σ²)⁻¹.

    On the pairs of the fit the mean of the second term is 0. On others the mean of the whole is in
    expectation never below I, whatever q is; without the second term it could be, as log |·| of an estimated
    covariance is too small on average.

    Args:
        clean_NE: (N, E), to fit μ and Σ_c on.
        noise: σ > 0.
    """

    def __init__(self, clean_NE: Tensor, noise: float) -> None:
        clean_NE = clean_NE.double()
        self._mean_E, self._noise = clean_NE.mean(0), noise
        u_NE = (clean_NE - self._mean_E) / noise
        covariance_EE = u_NE.T @ u_NE / len(u_NE)
        covariance_EE.diagonal().add_(1)
        self._root_EE = torch.linalg.cholesky(covariance_EE)
        inverse_EE = torch.linalg.solve_triangular(
            self._root_EE, torch.eye(len(covariance_EE)).to(covariance_EE), upper=False
        )
        self._constant = (_log_det(self._root_EE) + float(inverse_EE.square().sum()) - len(covariance_EE)) / 2

    @classmethod
    def of(cls, train: Pairs) -> "MaxEntropy | None":
        """Fitted on these pairs; None where no noise is known."""
        return cls(train.clean_NE, train.noise) if train.clean_NE is not None and train.noise > 0 else None

    def __call__(self, clean_NE: Tensor) -> Tensor:
        """(N,) float64, in nats: what each pair gives."""
        u_NE = (clean_NE.double() - self._mean_E) / self._noise
        return self._constant + _square(self._root_EE, u_NE) / 2


class LogRatio:
    """log N(x, y; 0, Σ) − log N(x; 0, Σ_x) − log N(y; 0, Σ_y); its mean under Σ is ``information``."""

    def __init__(self, covariance_JJ: Tensor, dims_x: int) -> None:
        x, y = slice(dims_x), slice(dims_x, None)
        self._parts = [
            (sign, part, _root(covariance_JJ[part, part]))
            for sign, part in ((-1, x), (-1, y), (1, slice(None)))
        ]
        self.information = -sum(sign * _log_det(root_DD) for sign, _, root_DD in self._parts) / 2

    def __call__(self, z_NJ: Tensor) -> Tensor:
        """(N,) float64."""
        distance_N = torch.stack(
            [sign * _square(root_DD, z_NJ[:, part]) for sign, part, root_DD in self._parts]
        )
        return self.information - distance_N.sum(0) / 2


def _root(covariance_DD: Tensor) -> Tensor:
    """Its lower triangular root."""
    root_DD, failed = torch.linalg.cholesky_ex(covariance_DD)
    left_D = root_DD.diagonal().square() / covariance_DD.diagonal()
    if int(failed) or bool((left_D < _ROUNDING).any()):
        raise ValueError(
            f"Gaussian: in a covariance of {len(covariance_DD)} dimensions some follow from the others, so "
            "that the information is infinite or not determined; leave these out, or add noise or shrinkage."
        )
    return root_DD


def _log_det(root_DD: Tensor) -> float:
    """The log |Σ| from the root of Σ."""
    return 2 * float(root_DD.diagonal().log().sum())


def _square(root_DD: Tensor, z_ND: Tensor) -> Tensor:
    """(N,) zᵀ Σ⁻¹ z."""
    return torch.linalg.solve_triangular(root_DD, z_ND.T, upper=False).square().sum(0)
