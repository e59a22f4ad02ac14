"""How similar two networks' features of the same images are.

B: images of a batch, N: all images, F: features of the first network, G: of the second, A: 1 + F + G + 2
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ctc_lightning.checks import count
from ctc_lightning.metrics.class_moments import ROUNDING
from ctc_lightning.metrics.feature_batch import checked_features


class LinearCKA(Metric):
    """CKA = ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖), Frobenius norms, X (N, F) and Y (N, G) centred; in [0, 1].

    1: the features are equal up to a rotation, a scale and an offset; 0: every feature of X is uncorrelated
    with every one of Y.

    ``debiased`` replaces each ‖YᵀX‖² (and, with Y = X, ‖XᵀX‖²) by the unbiased estimator of HSIC, which for
    linear kernels is, up to a factor that cancels,

        ‖YᵀX‖² − N/(N−2) Σ_n |x_n|²|y_n|² + Σ_n|x_n|² Σ_n|y_n|² / ((N−1)(N−2)).

    Without it, CKA of unrelated features is well above 0 unless N is much larger than F and G; with it, it is
    0 on average and may be negative, and still 1 for X = Y.

    The only state is about (F + G)² numbers in float64, however many images there are; batches and ranks
    are merged about their common mean.

    Args:
        num_features: F.
        num_other: G, as many as F by default.
        debiased: see above.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: ``num_features`` or ``num_other`` < 1.

    Source: Kornblith et al. 2019, arXiv 1905.00414; unbiased HSIC: Song et al. 2012, "Feature selection via
    dependence maximization", JMLR 13.
    """

    is_differentiable = False
    higher_is_better: bool | None = None
    full_state_update = False
    name = "linear CKA"
    packed: Tensor

    def __init__(
        self, num_features: int, num_other: int | None = None, *, debiased: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        num_other = num_features if num_other is None else num_other
        count(self.name, num_features=num_features, num_other=num_other)
        self.num_features, self.num_other, self.debiased = num_features, num_other, debiased
        width = 1 + num_features + num_other + 2
        empty = torch.zeros(width + 1, width, dtype=torch.float64)
        # one tensor, because moments about different means can only be merged together with the means
        self.add_state("packed", default=empty, dist_reduce_fx=self._merge)

    def update(self, x_BF: Tensor, y_BG: Tensor) -> None:
        """Take in (B, F) and (B, G) features, row by row of the same images.

        Raises:
            ValueError: other shapes, or features that are not finite.
        """
        if len(x_BF) != len(y_BG):
            raise ValueError(
                f"{self.name}: features of {len(x_BF)} and of {len(y_BG)} images; give both of the same "
                "images."
            )
        x_BF = checked_features(self.name, x_BF, self.num_features)
        y_BG = checked_features(self.name, y_BG, self.num_other)
        if len(x_BF) == 0:
            return
        mean = torch.cat([x_BF.mean(0), y_BG.mean(0)])
        x_BF, y_BG = x_BF - x_BF.mean(0), y_BG - y_BG.mean(0)
        squares = [part.square().sum(1, keepdim=True) for part in (x_BF, y_BG)]
        row_BA = torch.cat([torch.ones_like(squares[0]), x_BF, y_BG, *squares], dim=1)
        batch = self._pack(row_BA.T @ row_BA, mean)
        self.packed = self._merge(torch.stack([self.packed, batch]))

    def compute(self) -> Tensor:
        """CKA, 0-dim float64.

        Raises:
            ValueError: fewer than 2 images (4 if debiased), or features that are constant.
        """
        moment_AA = self.packed[:-1]
        num_images = int(moment_AA[0, 0])
        least = 4 if self.debiased else 2
        if num_images < least:
            raise ValueError(f"{self.name}: {num_images} images; it needs at least {least}.")
        x, y = self._blocks()
        xx, xy, yy = (self._similarity(moment_AA, *pair) for pair in ((x, x), (x, y), (y, y)))
        for which, block, similarity in (("first", x, xx), ("second", y, yy)):
            variance = moment_AA[block, block].trace() / num_images
            offset = self.packed[-1, block].square().sum()
            if variance <= ROUNDING**2 * offset or not similarity > 0:
                raise ValueError(
                    f"{self.name}: the {which} features of {num_images} images have a similarity to "
                    f"themselves of {float(similarity):.3g}; it must be above 0, use features that are "
                    "not constant and more images."
                )
        return xy / (xx.sqrt() * yy.sqrt())

    def _similarity(self, moment_AA: Tensor, a: slice, b: slice) -> Tensor:
        biased = moment_AA[a, b].square().sum()
        if not self.debiased:
            return biased
        num_images, square_a, square_b = moment_AA[0, 0], self._square(a), self._square(b)
        diagonal = moment_AA[square_a, square_b]
        total = moment_AA[0, square_a] * moment_AA[0, square_b]
        return (
            biased - num_images / (num_images - 2) * diagonal + total / ((num_images - 1) * (num_images - 2))
        )

    def _blocks(self) -> tuple[slice, slice]:
        """Where x and y stand in a row (1, x, y, |x|², |y|²)."""
        return slice(1, 1 + self.num_features), slice(1 + self.num_features, -2)

    def _square(self, block: slice) -> int:
        """Where the square of a block stands."""
        return -2 if block.start == 1 else -1

    def _pack(self, moment_AA: Tensor, mean: Tensor) -> Tensor:
        last = torch.cat([mean.new_zeros(1), mean, mean.new_zeros(2)])
        return torch.cat([moment_AA, last[None]])

    def _merge(self, packed_P: Tensor) -> Tensor:
        """Σ_n r_n r_nᵀ of rows r = (1, x, y, |x|², |y|²) about the mean of the union of P disjoint parts."""
        mean_P, count_P = packed_P[:, -1, 1:-2], packed_P[:, 0, 0]
        mean = (count_P[:, None] * mean_P).sum(0) / count_P.sum().clamp(min=1)
        parts = zip(packed_P[:, :-1], mean_P - mean, strict=True)
        return self._pack(torch.stack([self._moved(*part) for part in parts]).sum(0), mean)

    def _moved(self, moment_AA: Tensor, by: Tensor) -> Tensor:
        """The moments of rows whose x and y have all been moved: r → T r, so M → T M Tᵀ.

        x + d has the square |x|² + 2 d·x + |d|²; T is the identity but for these few rows and one column.
        """
        for _ in range(2):  # T M, then (T (T M)ᵀ)ᵀ
            moment_AA = moment_AA.T.clone()
            for block, d in zip(self._blocks(), by.split([self.num_features, self.num_other]), strict=True):
                moment_AA[self._square(block)] += 2 * d @ moment_AA[block] + d.square().sum() * moment_AA[0]
            moment_AA[1:-2] += torch.outer(by, moment_AA[0])
        return moment_AA
