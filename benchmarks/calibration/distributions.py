"""Distributions of known mutual information, on which estimators are calibrated.

N: pairs, D: dimensions of x and of y, L: labels, K: L − 1, M: draws of an expectation
"""

from abc import ABC, abstractmethod
from math import exp, expm1, log, sqrt
from typing import Any

import torch
from scipy.linalg import helmert
from scipy.optimize import brentq
from torch import Tensor
from torch.nn.functional import leaky_relu, one_hot
from torch.nn.init import orthogonal_

from ctc_lightning.information.estimators import Pairs

MAX_NATS_PER_DIMENSION = 10  # the noise is then e⁻¹⁰ of the signal, a thousand times float32's rounding


class Distribution(ABC):
    """A distribution of (x, y) with a known I(x; y).

    Args:
        num_dims: D of x and, unless y is a label, of y.
        information: I(x; y) in nats.
    """

    standard_error = 0.0  # of ``information``, where it is an average over draws

    def __init__(self, num_dims: int, information: float) -> None:
        assert 0 < information <= MAX_NATS_PER_DIMENSION * num_dims, (num_dims, information)
        self.num_dims, self.information = num_dims, float(information)

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "standard_error"}

    def draw(self, num_pairs: int, *, seed: int) -> Pairs:
        """N independent pairs, float32 on the CPU; they depend on ``seed`` only."""
        x_ND, y_NE, clean_NE, noise = self._draw(num_pairs, torch.Generator().manual_seed(seed))
        return Pairs(x_ND.float(), y_NE.float(), None if clean_NE is None else clean_NE.float(), noise)

    @abstractmethod
    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        """The same in float64."""


class Gaussians(Distribution):
    """D independent pairs of standard normal numbers with correlation ρ: I = −D/2 · ln(1 − ρ²).

    Subclasses transform x and y invertibly, which leaves I unchanged.
    """

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        x_ND, noise_ND = normal(2, num_pairs, self.num_dims, generator=generator)
        correlation = sqrt(-expm1(-2 * self.information / self.num_dims))
        y_ND = correlation * x_ND + sqrt(1 - correlation**2) * noise_ND
        return Pairs(self._of_x(x_ND), self._of_y(y_ND))

    def _of_x(self, x_ND: Tensor) -> Tensor:
        return x_ND

    def _of_y(self, y_ND: Tensor) -> Tensor:
        return y_ND


class CubedGaussians(Gaussians):
    """`Gaussians` with y → y³ in every dimension: y is heavy-tailed."""

    def _of_y(self, y_ND: Tensor) -> Tensor:
        return y_ND**3


class RotatedGaussians(Gaussians):
    """`Gaussians` with a random rotation of x and another one of y: no dimension has a partner."""

    def __init__(self, num_dims: int, information: float, rotation_seed: int = 0) -> None:
        super().__init__(num_dims, information)
        self.rotation_seed = rotation_seed
        generator = torch.Generator().manual_seed(rotation_seed)
        self._of_x, self._of_y = (InvertibleNetwork(num_dims, 1, 1.0, generator) for _ in range(2))


class WarpedGaussians(Gaussians):
    """`Gaussians` with x and y each passed through an `InvertibleNetwork`."""

    def __init__(
        self,
        num_dims: int,
        information: float,
        num_layers: int = 3,
        slope: float = 0.2,
        network_seed: int = 0,
    ) -> None:
        super().__init__(num_dims, information)
        self.num_layers, self.slope, self.network_seed = num_layers, slope, network_seed
        generator = torch.Generator().manual_seed(network_seed)
        self._of_x, self._of_y = (InvertibleNetwork(num_dims, num_layers, slope, generator) for _ in range(2))


class NoisyFeatures(Distribution):
    """As features are measured: y = f(x) + σε with a known σ, f an inverted network, f(x) Gaussian.

    The variance of dimension d of f(x) is λ_d ∝ d^−decay with mean 1, and
    I(x; y) = I(f(x); y) = ½ Σ_d ln(1 + λ_d/σ²), which determines σ.
    """

    def __init__(
        self,
        num_dims: int,
        information: float,
        decay: float = 1.0,
        num_layers: int = 3,
        slope: float = 0.2,
        network_seed: int = 0,
    ) -> None:
        super().__init__(num_dims, information)
        self.decay, self.num_layers, self.slope = decay, num_layers, slope
        self.network_seed = network_seed
        generator = torch.Generator().manual_seed(network_seed)
        self._of_x = InvertibleNetwork(num_dims, num_layers, slope, generator)
        variance_D = torch.arange(1, num_dims + 1, dtype=torch.float64) ** -decay
        self._variance_D = variance_D / variance_D.mean()
        # Of all spectra with mean 1 the flat one has the largest I, D/2 · ln(1 + 1/σ²), and so the largest σ;
        # no spectrum has variances below D^−decay.
        largest = log(1 / sqrt(expm1(2 * information / num_dims)))
        log_noise = brentq(
            lambda s: float((self._variance_D * exp(-2 * s)).log1p().sum()) / 2 - information,
            largest - decay / 2 * log(num_dims) - 1e-9,
            largest + 1e-9,
            xtol=1e-13,
        )
        self._noise = exp(log_noise)

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        clean_ND, noise_ND = normal(2, num_pairs, self.num_dims, generator=generator)
        clean_ND = clean_ND * self._variance_D.sqrt()
        return Pairs(self._of_x(clean_ND), clean_ND + self._noise * noise_ND, clean_ND, self._noise)


class LabelMixture(Distribution):
    """y uniform over L labels, one-hot; x = s·v_y + ε, v the corners of a simplex with edges of length 1.

    I(x; y) = ln L − E ln(1 + Σ_{c≠y} exp(s(z_c − z_y)/√2 − s²/2)), z ~ N(0, 1) in L dimensions: the average
    over M fixed draws, with its ``standard_error``. It is below ln L and determines s. The simplex lies in a
    random subspace of the D >= L − 1 dimensions.
    """

    def __init__(
        self,
        num_dims: int,
        information: float,
        num_labels: int = 10,
        num_draws: int = 2**17,
        subspace_seed: int = 0,
    ) -> None:
        super().__init__(num_dims, information)
        assert num_labels - 1 <= num_dims, (num_labels, num_dims)
        assert information < log(num_labels), (information, num_labels)
        self.num_labels, self.num_draws, self.subspace_seed = num_labels, num_draws, subspace_seed
        generator = torch.Generator().manual_seed(subspace_seed)
        corner_LK = torch.from_numpy(helmert(num_labels).T) / sqrt(2)
        self._corner_LD = corner_LK @ random_orthonormal(num_dims, num_labels - 1, generator).T
        z_ML = normal(num_draws, num_labels, generator=generator)
        step_MC = (z_ML[:, 1:] - z_ML[:, :1]) / sqrt(2)

        def information_of(s: float) -> Tensor:  # (M,), to be averaged
            return log(num_labels) - (s * step_MC - s**2 / 2).exp().sum(1).log1p()

        self._separation = brentq(lambda s: float(information_of(s).mean()) - information, 0, 100)
        self.standard_error = float(information_of(self._separation).std()) / sqrt(num_draws)

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        label_N = torch.randint(self.num_labels, (num_pairs,), generator=generator)
        noise_ND = normal(num_pairs, self.num_dims, generator=generator)
        return Pairs(
            self._separation * self._corner_LD[label_N] + noise_ND, one_hot(label_N, self.num_labels)
        )


class InvertibleNetwork:
    """``num_layers`` times h → leaky ReLU(Q h) with random rotations Q and a slope in (0, 1]."""

    def __init__(self, num_dims: int, num_layers: int, slope: float, generator: torch.Generator) -> None:
        self.slope = slope
        self.rotations = [random_orthonormal(num_dims, num_dims, generator) for _ in range(num_layers)]

    def __call__(self, h_ND: Tensor) -> Tensor:
        """(N, D) in, (N, D) out."""
        for rotation_DD in self.rotations:
            h_ND = leaky_relu(h_ND @ rotation_DD, self.slope)
        return h_ND

    def inverse(self, h_ND: Tensor) -> Tensor:
        """Undo the call."""
        for rotation_DD in reversed(self.rotations):
            h_ND = leaky_relu(h_ND, 1 / self.slope) @ rotation_DD.T
        return h_ND


def random_orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) float64 with orthonormal columns, uniformly distributed; rows >= columns."""
    return orthogonal_(torch.empty(rows, columns, dtype=torch.float64), generator=generator)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Standard normal float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


DISTRIBUTIONS = {
    "gaussians": Gaussians,
    "cubed": CubedGaussians,
    "rotated": RotatedGaussians,
    "warped": WarpedGaussians,
    "noisy_features": NoisyFeatures,
    "label_mixture": LabelMixture,
}
