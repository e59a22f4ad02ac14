"""Random rotations and invertible networks: what mixes x or y and leaves I(x; y) as it is.

N: pairs, D: dimensions
"""

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu
from torch.nn.init import orthogonal_


class InvertibleNetwork:
    """``num_layers`` times h → leaky ReLU(Q h), Q a random rotation: both have an inverse, so I stays.

    Args:
        num_dims: D.
        num_layers: at least 1.
        slope: of the negative side, in (0, 1).
        generator: of the rotations.

    Raises:
        ValueError: a number outside its limits.
    """

    def __init__(self, num_dims: int, *, num_layers: int, slope: float, generator: torch.Generator) -> None:
        if num_layers < 1 or not 0 < slope < 1:
            raise ValueError(
                f"num_layers is {num_layers} and slope {slope}; give at least 1 and a slope between 0 and 1."
            )
        self.slope = slope
        self.rotations = [random_orthonormal(num_dims, num_dims, generator) for _ in range(num_layers)]

    def __call__(self, h_ND: Tensor) -> Tensor:
        """(N, D), mixed."""
        for rotation_DD in self.rotations:
            h_ND = leaky_relu(h_ND @ rotation_DD, self.slope)
        return h_ND

    def inverse(self, h_ND: Tensor) -> Tensor:
        """(N, D), as it was."""
        for rotation_DD in reversed(self.rotations):
            h_ND = leaky_relu(h_ND, 1 / self.slope) @ rotation_DD.T
        return h_ND


def random_orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) float64 with orthonormal columns, uniformly distributed; rows >= columns."""
    return orthogonal_(torch.empty(rows, columns, dtype=torch.float64), generator=generator)
