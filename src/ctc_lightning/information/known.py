"""Distributions of known mutual information, on which estimators are calibrated.

N: pairs, D: dimensions of x and of y, E: dimensions of y where it may be a label
"""

from abc import ABC, abstractmethod
from math import exp, expm1, isfinite, log, sqrt
from typing import Any

import torch
from scipy.optimize import brentq
from torch import Tensor

from ctc_lightning.estimators import Pairs
from ctc_lightning.information.invertible_network import InvertibleNetwork, random_orthonormal

MOST_PER_DIMENSION = 10  # nats: the noise is then e⁻¹⁰ of the signal, a thousand times float32's rounding


class Known(ABC):
    """A distribution of (x, y) of which I(x; y) is known.

    Args:
        num_dims: D >= 1, of x and, unless y is a label, of y.
        information: I(x; y) > 0, in nats.

    Raises:
        ValueError: there is no such distribution, in one sentence.
    """

    def __init__(self, *, num_dims: int, information: float) -> None:
        if num_dims < 1:
            raise ValueError(f"num_dims is {num_dims}; it must be at least 1.")
        if not (isfinite(information) and information > 0):
            raise ValueError(f"information is {information}; it must be a positive number of nats.")
        if information > MOST_PER_DIMENSION * num_dims:
            raise ValueError(
                f"information is {information:g} nats in {num_dims} dimensions; float32 holds at most "
                f"{MOST_PER_DIMENSION} in each, choose more dimensions or less information."
            )
        self.num_dims = num_dims
        self.information = float(information)

    @property
    def settings(self) -> dict[str, Any]:
        """The public attributes, which are the constructor's arguments."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def standard_error(self) -> float:
        """Of ``information``, where it is itself an average over draws; else 0."""
        return 0.0

    def draw(self, num_pairs: int, *, seed: int) -> Pairs:
        """N independent pairs, float32 on the CPU; they depend on ``seed`` only.

        Raises:
            ValueError: ``num_pairs`` < 1.
        """
        if num_pairs < 1:
            raise ValueError(f"num_pairs is {num_pairs}; it must be at least 1.")
        x_ND, y_NE, clean_NE, noise = self._draw(num_pairs, torch.Generator().manual_seed(seed))
        return Pairs(x_ND.float(), y_NE.float(), None if clean_NE is None else clean_NE.float(), noise)

    @abstractmethod
    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        """The same in float64."""


class Gaussians(Known):
    """D independent pairs of standard normal numbers of correlation ρ: I = −D/2 · ln(1 − ρ²).

    The noise of y = ρx + √(1 − ρ²) · ε is not told to the estimator.

    Args:
        num_dims: D.
        information: I.

    Raises:
        ValueError: see `Known`.
    """

    @property
    def correlation(self) -> float:
        """ρ = √(1 − exp(−2I/D))."""
        return sqrt(-expm1(-2 * self.information / self.num_dims))

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        x_ND, noise_ND = normal(2, num_pairs, self.num_dims, generator=generator)
        return Pairs(x_ND, self.correlation * x_ND + sqrt(1 - self.correlation**2) * noise_ND)


class CubedGaussians(Gaussians):
    """`Gaussians` with y → y³ in every dimension: I stays, as the cube is invertible; y is heavy-tailed."""

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        x_ND, y_ND, *_ = super()._draw(num_pairs, generator)
        return Pairs(x_ND, y_ND**3)


class RotatedGaussians(Gaussians):
    """`Gaussians` with x and y each turned by a random rotation: no dimension belongs to another one.

    Args:
        num_dims: D.
        information: I.
        rotation_seed: of the two rotations, which all draws share.

    Raises:
        ValueError: see `Known`.
    """

    def __init__(self, *, num_dims: int, information: float, rotation_seed: int) -> None:
        super().__init__(num_dims=num_dims, information=information)
        self.rotation_seed = rotation_seed
        generator = torch.Generator().manual_seed(rotation_seed)
        self._of_x_DD, self._of_y_DD = (random_orthonormal(num_dims, num_dims, generator) for _ in range(2))

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        x_ND, y_ND, *_ = super()._draw(num_pairs, generator)
        return Pairs(x_ND @ self._of_x_DD, y_ND @ self._of_y_DD)


class WarpedGaussians(Gaussians):
    """`Gaussians` with x and y each mixed by an `InvertibleNetwork`: I stays.

    Args:
        num_dims: D.
        information: I.
        num_layers: of both networks.
        slope: likewise.
        network_seed: likewise; all draws share the networks.

    Raises:
        ValueError: see `Known` and `InvertibleNetwork`.
    """

    def __init__(
        self, *, num_dims: int, information: float, num_layers: int, slope: float, network_seed: int
    ) -> None:
        super().__init__(num_dims=num_dims, information=information)
        self.num_layers, self.slope, self.network_seed = num_layers, slope, network_seed
        generator = torch.Generator().manual_seed(network_seed)
        self._of_x, self._of_y = (
            InvertibleNetwork(num_dims, num_layers=num_layers, slope=slope, generator=generator)
            for _ in range(2)
        )

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        x_ND, y_ND, *_ = super()._draw(num_pairs, generator)
        return Pairs(self._of_x(x_ND), self._of_y(y_ND))


class NoisyFeatures(Known):
    """As features are measured: y = f(x) + σε with a known σ, f an inverted network, f(x) Gaussian.

    The variance of dimension d of f(x) is λ_d ∝ d^−decay with mean 1, and
    I(x; y) = I(f(x); y) = ½ Σ_d ln(1 + λ_d/σ²), which sets σ.

    Args:
        num_dims: D.
        information: I.
        decay: of the spectrum; 0: all variances are 1.
        num_layers: of the network.
        slope: likewise.
        network_seed: likewise; all draws share the network.

    Raises:
        ValueError: see `Known` and `InvertibleNetwork`; a negative ``decay``.
    """

    def __init__(
        self,
        *,
        num_dims: int,
        information: float,
        decay: float,
        num_layers: int,
        slope: float,
        network_seed: int,
    ) -> None:
        super().__init__(num_dims=num_dims, information=information)
        if decay < 0:
            raise ValueError(f"decay is {decay}; it must be at least 0.")
        self.decay, self.num_layers, self.slope = decay, num_layers, slope
        self.network_seed = network_seed
        generator = torch.Generator().manual_seed(network_seed)
        self._of_x = InvertibleNetwork(num_dims, num_layers=num_layers, slope=slope, generator=generator)
        variance_D = torch.arange(1, num_dims + 1, dtype=torch.float64) ** -decay
        self._variance_D = variance_D / variance_D.mean()
        # Of all spectra of mean 1 the flat one has the largest I, D/2 · ln(1 + 1/σ²): its σ is the largest;
        # none has variances below D^−decay.
        most = 1 / sqrt(expm1(2 * information / num_dims))
        log_noise = brentq(
            lambda s: float((self._variance_D * exp(-2 * s)).log1p().sum()) / 2 - information,
            log(most) - decay / 2 * log(num_dims) - 1e-9,
            log(most) + 1e-9,
            xtol=1e-13,
        )
        self._noise = exp(log_noise)

    def _draw(self, num_pairs: int, generator: torch.Generator) -> Pairs:
        clean_ND, noise_ND = normal(2, num_pairs, self.num_dims, generator=generator)
        clean_ND = clean_ND * self._variance_D.sqrt()
        return Pairs(self._of_x(clean_ND), clean_ND + self._noise * noise_ND, clean_ND, self._noise)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Standard normal float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
